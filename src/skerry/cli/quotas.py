"""`skerry access quota`: what each tenant may have at most."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click
import msgspec

from skerry.cli import output
from skerry.cli.lazy import Lazy
from skerry.cli.session import Session, command
from skerry.client.quotas import QuotaClient, QuotaView
from skerry.errors import InvalidError

NAMES = {
    "vcpus": "vCPUs",
    "memory_bytes": "memory",
    "storage_bytes": "storage",
    "instances": "instances",
    "ns": "network services",
    "apps": "applications",
}
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
LIFTED = ("none", "unlimited")
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*?)b?", re.IGNORECASE)


@click.group(cls=Lazy)
def quota() -> None:
    """Limit what each tenant may have: processors, memory, storage, instances, network services, applications.

    What would exceed a limit is refused before anything is made. For who runs the node only.
    """


@quota.command("list")
@command
def list_quotas(session: Session) -> None:
    """List the tenants that have limits, with what they use."""
    session.table(
        QuotaClient(session.node.http).all(),
        ("TENANT", *(name.upper() for name in NAMES.values())),
        lambda one: (one.tenant, *(_share(one, name) for name in NAMES)),
    )


@quota.command()
@click.argument("tenant")
@command
def show(session: Session, tenant: str) -> None:
    """Show what TENANT uses, and its limits."""
    _tell(session, QuotaClient(session.node.http).get(tenant))


@quota.command("set")
@click.argument("tenant")
@click.option("--vcpus", metavar="NUMBER", help="Most vCPUs.")
@click.option("--memory", "memory_bytes", metavar="SIZE", help="Most memory, such as 8GiB.")
@click.option("--storage", "storage_bytes", metavar="SIZE", help="Most storage, such as 100GB.")
@click.option("--instances", metavar="NUMBER", help="Most VNFC instances.")
@click.option("--ns", metavar="NUMBER", help="Most network services.")
@click.option("--apps", metavar="NUMBER", help="Most edge applications.")
@command
def set_quota(session: Session, /, tenant: str, **given: str | None) -> None:
    """Set limits of TENANT; those that are not named stay, `none` lifts one.

    What the tenant has stays, also where it is more than that.
    """
    changes = {name: _number(name, text) for name, text in given.items() if text is not None}
    if not changes:
        raise InvalidError("cannot set a quota: no limit is named", suggestion="name one, such as --vcpus 4")
    node = QuotaClient(session.node.http)
    limits = msgspec.structs.replace(node.get(tenant).limits, **changes)
    _tell(session, node.put(tenant, limits))


@quota.command()
@click.argument("tenant")
@command
def delete(session: Session, tenant: str) -> None:
    """Lift all limits of TENANT."""
    QuotaClient(session.node.http).delete(tenant)
    if session.as_json:
        session.emit({"deleted": tenant})


def _tell(session: Session, view: QuotaView) -> None:
    if session.as_json:
        session.emit(view)
        return
    output.facts((("tenant", view.tenant), *((NAMES[name], _share(view, name)) for name in NAMES)))


def _share(view: QuotaView, name: str) -> str:
    """What is used of what is allowed."""
    used, most = _shown(name, getattr(view.usage, name)), getattr(view.limits, name)
    return used if most is None else f"{used} of {_shown(name, most)}"


def _shown(name: str, amount: float) -> str:
    return output.size(amount) if name.endswith("_bytes") else f"{amount:g}"


def _number(name: str, text: str) -> float | int | None:
    """A limit as it was written. `InvalidError` for what is none."""
    if text.lower() in LIFTED:
        return None
    found = _AMOUNT.fullmatch(text.strip())
    units: Mapping[str, Any] = UNITS if name.endswith("_bytes") else {"": 1}
    unit = units.get(found[2].lower()) if found else None
    amount = float(found[1]) * unit if found and unit else -1.0
    if found is None or amount < 0 or (name != "vcpus" and not amount.is_integer()):
        example = "8GiB" if name.endswith("_bytes") else "4"
        raise InvalidError(f"cannot use {text} as a limit of {NAMES[name]}", suggestion=f"write {example}, or none")
    return amount if name == "vcpus" else int(amount)
