"""`skerry subscriptions`: who is told of what happens, and who cannot be reached."""

from __future__ import annotations

from collections.abc import Sequence

import click

from skerry.cli import output
from skerry.cli.session import Session, command
from skerry.client.http import Http
from skerry.client.node import OWN
from skerry.client.views import SubscriptionView
from skerry.errors import InvalidError, NotFoundError


@click.command()
@click.option("--resume", metavar="ID", default="", help="Try this subscriber again at once, from where it was.")
@command
def subscriptions(session: Session, resume: str) -> None:
    """List the subscribers of all APIs, and how they fare.

    ACTIVE has all that there is or is getting it; FAILING is tried again and again; PARKED took nothing for a day and is given
    up until it subscribes again or --resume.
    """
    http = session.node.http
    if resume:
        http.send("POST", f"{OWN}/subscriptions/{_one(_all(http), resume).id}/resume")
    shown = _all(http)
    if session.as_json:
        session.emit(shown)
        return
    rows = [(one.id[:8], one.api, one.callback_uri, one.state, str(one.waiting), one.error) for one in shown]
    output.table(("ID", "API", "CALLBACK", "STATE", "WAITING", "TROUBLE"), rows)


def _all(http: Http) -> list[SubscriptionView]:
    return list(http.every(f"{OWN}/subscriptions", SubscriptionView))


def _one(known: Sequence[SubscriptionView], wanted: str) -> SubscriptionView:
    """The one of an id or its beginning."""
    found = [one for one in known if one.id.startswith(wanted)]
    if not found:
        raise NotFoundError(f"cannot find subscription {wanted}", suggestion="`skerry subscriptions` lists them")
    if len(found) > 1:
        several = ", ".join(one.id for one in found[:8])
        raise InvalidError(
            f"cannot tell which subscription {wanted} means: {several}", suggestion="give more of the id"
        )
    return found[0]
