"""`skerry mep`: the MEC platform of a node."""

from __future__ import annotations

import click

from skerry.cli import output
from skerry.cli.lazy import Lazy
from skerry.cli.session import Session, command
from skerry.client.mep import Mep

PROOF = {True: "verified", False: "-"}


@click.group(cls=Lazy)
def mep() -> None:
    """See the MEC platform: applications, services, traffic and DNS rules."""


@mep.command()
@command
def platforms(session: Session) -> None:
    """List the platform of each zone with its manager."""
    found = Mep(session.node.http).platforms()
    if session.as_json:
        session.emit(found)
        return
    rows = [
        (
            one.id,
            one.zone or "-",
            one.manager,
            one.orchestrator or "-",
            *map(str, (one.apps, one.services, one.traffic_rules, one.dns_rules)),
        )
        for one in found
    ]
    output.table(("PLATFORM", "ZONE", "MANAGER", "ORCHESTRATOR", "APPS", "SERVICES", "TRAFFIC", "NAMES"), rows)


@mep.command()
@command
def apps(session: Session) -> None:
    """List applications at the platform."""
    found = Mep(session.node.http).apps()
    if session.as_json:
        session.emit(found)
        return
    rows = [
        (one.name, output.short(one.id), one.state, one.zone or "-", str(one.services), str(one.subscriptions))
        for one in found
    ]
    output.table(("NAME", "ID", "STATE", "ZONE", "SERVICES", "SUBSCRIPTIONS"), rows)


@mep.command()
@command
def services(session: Session) -> None:
    """List services that applications offer."""
    found = Mep(session.node.http).services()
    if session.as_json:
        session.emit(found)
        return
    rows = [
        (
            one.name,
            one.version,
            one.state,
            output.short(one.app),
            one.endpoint or one.transport,
            f"{one.interval_s} s, {one.heard_at}" if one.interval_s else "-",
        )
        for one in found
    ]
    output.table(("NAME", "VERSION", "STATE", "APPLICATION", "ENDPOINT", "SIGN OF LIFE"), rows)


@mep.command()
@command
def rules(session: Session) -> None:
    """List traffic rules, what they do, and whether that was seen."""
    found = Mep(session.node.http).rules()
    if session.as_json:
        session.emit(found)
        return
    rows = [
        (
            one.id,
            output.short(one.app),
            "CHANGING" if one.changing else one.state,
            PROOF[one.verified],
            str(one.priority),
            one.action,
            one.to or "-",
            "; ".join(one.filters),
        )
        for one in found
    ]
    output.table(("RULE", "APPLICATION", "STATE", "PROOF", "PRIORITY", "ACTION", "TO", "TRAFFIC"), rows)


@mep.command()
@command
def dns(session: Session) -> None:
    """List DNS rules, and where their names are resolved."""
    found = Mep(session.node.http).names()
    if session.as_json:
        session.emit(found)
        return
    rows = [
        (
            one.name,
            one.address,
            str(one.ttl) if one.ttl is not None else "-",
            "CHANGING" if one.changing else one.state,
            PROOF[one.verified],
            one.zone or "-",
            output.short(one.app),
        )
        for one in found.rules
    ]
    output.table(("NAME", "ADDRESS", "TTL", "STATE", "PROOF", "ZONE", "APPLICATION"), rows)
    output.note(
        f"names are resolved at {found.server}" if found.server else "no DNS server runs: no rule was active yet"
    )
