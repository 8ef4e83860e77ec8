"""Our own API: the clients that may call, for administrators; and who the caller is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta
from starlette.responses import Response

from skerry.access.authority import Authority
from skerry.access.clients import Client
from skerry.access.roles import MANAGED, NODE_TENANT, OF_NODE, Right, Role, RoleName, covered, role_allows, role_of
from skerry.api.own.types import Asked, Tenant
from skerry.api.route import Call, Endpoint
from skerry.client.access import Caller, ClientCertificate, ClientSecret, ClientView
from skerry.errors import ForbiddenError, InvalidError

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}$")]


class ClientRequest(Asked, frozen=True, kw_only=True):
    """A client to make. `tenant` empty means the caller's; `scopes` empty all that the role allows; `rate_per_s` requests a
    second, 0 for the node's setting."""

    name: Name
    tenant: Tenant | None = None
    role: RoleName = RoleName.GUEST
    scopes: tuple[str, ...] = ()
    rate_per_s: Annotated[float, Meta(ge=0, le=1_000_000)] = 0.0


def authority(call: Call) -> Authority:
    """The node's."""
    found: Authority = call.request.app.state.authority
    return found


def render(client: Client) -> ClientView:
    """A client as callers see it: never its secret."""
    return ClientView(
        id=client.id,
        name=client.name,
        tenant=client.tenant,
        role=client.role,
        scopes=client.scopes,
        rate_per_s=client.rate_per_s,
        created_at=client.created_at,
        certificates=len(client.certificates),
    )


def _tenant(call: Call) -> str | None:
    """Whose clients the caller sees: of every tenant, if it is an administrator of the node."""
    return None if call.tenant == NODE_TENANT else call.tenant


def _manages(call: Call) -> bool:
    """Whether the caller is an account manager, who has less than what he hands out and is bound by tenant and role."""
    return call.principal.role == Role.ACCOUNT_MANAGER


def _managed(client: Client) -> bool:
    """Whether an account manager sees to this client: never one of the node's tenant, such as his own."""
    return client.tenant != NODE_TENANT and client.role in MANAGED


def find(call: Call) -> Client:
    """The client of the path."""
    found = authority(call).clients.get(call.path("clientId"), _tenant(call))
    if _manages(call) and not _managed(found):
        raise ForbiddenError(
            "cannot reach this client as an account manager",
            suggestion=f"ask an administrator of the tenant {NODE_TENANT}",
        )
    return found


async def me(call: Call) -> Response:
    """Who the caller is."""
    who = call.principal
    scopes = None if who.scopes is None else tuple(sorted(who.scopes))
    return call.show(Caller(name=who.name, tenant=who.tenant, role=who.role, client=who.client, scopes=scopes))


async def listing(call: Call) -> Response:
    """Clients."""
    found = authority(call).clients.all(_tenant(call))
    return call.listed([one for one in found if _managed(one)] if _manages(call) else found, render)


async def show(call: Call) -> Response:
    """One client."""
    return call.show(render(find(call)))


async def create(call: Call) -> Response:
    """Make one; its secret is in this answer only."""
    asked = await call.body(ClientRequest)
    tenant = asked.tenant or call.tenant
    if call.tenant not in (tenant, NODE_TENANT):
        raise ForbiddenError(
            f"cannot create a client of the tenant {tenant}", suggestion=f"leave the tenant out, or say {call.tenant}"
        )
    if _manages(call) and (tenant == NODE_TENANT or asked.role in OF_NODE or asked.scopes):
        raise ForbiddenError(
            "cannot make this client as an account manager",
            suggestion=f"name another tenant than {NODE_TENANT}, a role of its users, and no scopes",
        )
    _require_rate(call, asked.rate_per_s)
    role = role_of(asked.role, tenant)
    scopes = () if _manages(call) else _scopes(call, asked.scopes)
    if role is Role.ACCOUNT_MANAGER:
        _within(call, authority(call).every_scope)  # he hands out all of them
    client, secret = authority(call).create(
        asked.name, tenant=tenant, role=role, scopes=scopes, rate_per_s=asked.rate_per_s
    )
    return _once(call, client, secret, status=201)


def _require_rate(call: Call, wanted: float) -> None:
    """More requests than others may make are for the node's administrators to give."""
    usual = call.services.settings.client_rate_per_s
    if 0 < usual < wanted and not role_allows(call.principal, Right.NODE):
        raise ForbiddenError(
            f"cannot give a client {wanted:g} requests a second: clients of this node may make {usual:g}",
            suggestion=f"ask for less, or ask an administrator of the tenant {NODE_TENANT}",
        )


def _scopes(call: Call, asked: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes of a new client: none that its maker has not."""
    known = authority(call).every_scope
    unknown = [scope for scope in asked if scope not in known]
    if unknown:
        raise InvalidError(
            f"cannot use the scopes {', '.join(unknown)[:200]}", suggestion="scopes are: " + ", ".join(known)
        )
    held = call.principal.scopes
    if held is None or (not asked and all(covered(scope, held) for scope in known)):
        return asked
    _within(call, asked)
    return asked or tuple(sorted(held))


def _within(call: Call, scopes: Iterable[str]) -> None:
    """`ForbiddenError` for scopes that the caller has not got: nobody gets more by way of another client. An account manager
    is bound by `find` and `create` instead."""
    if _manages(call):
        return
    held = call.principal.scopes
    beyond = [scope for scope in scopes if held is not None and not covered(scope, held)]
    if beyond:
        raise ForbiddenError(
            f"cannot give the scopes {', '.join(beyond)[:200]}: this caller has not got them",
            suggestion="ask a caller who has them",
        )


async def rotate(call: Call) -> Response:
    """Replace the secret; tokens and certificates of the client end."""
    found = find(call)
    _within(call, authority(call).reach(found))
    client, secret = authority(call).clients.rotate(found.id)
    return _once(call, client, secret)


def _once(call: Call, client: Client, secret: str, status: int = 200) -> Response:
    location = call.href(f"/access/clients/{client.id}") if status == 201 else ""
    made = call.show(ClientSecret(client=render(client), client_secret=secret), status=status, location=location)
    made.headers["Cache-Control"] = "no-store"
    return made


async def certify(call: Call) -> Response:
    """Issue a certificate; its key is in this answer only."""
    tls = call.services.settings.data_dir / "tls"
    found = find(call)
    _within(call, authority(call).reach(found))
    certificate, key = authority(call).certify(found.id, tls)
    answer = call.show(ClientCertificate(certificate=certificate, key=key, ca=(tls / "ca.pem").read_text()), status=201)
    answer.headers["Cache-Control"] = "no-store"
    return answer


async def delete(call: Call) -> Response:
    """Forget one."""
    authority(call).clients.delete(find(call).id)
    return call.done()


ALL = "/access/clients"
ONE = f"{ALL}/{{clientId}}"
ROUTES = (
    Endpoint("GET", "/access/me", me, "Who the caller is", answer=Caller),
    Endpoint("GET", ALL, listing, "List clients", answer=list[ClientView]),
    Endpoint("POST", ALL, create, "Make a client", ClientRequest, ClientSecret, 201),
    Endpoint("GET", ONE, show, "Read a client", answer=ClientView),
    Endpoint("DELETE", ONE, delete, "Forget a client", status=204),
    Endpoint("POST", f"{ONE}/rotate", rotate, "Replace a client's secret", answer=ClientSecret),
    Endpoint(
        "POST", f"{ONE}/certificate", certify, "Issue a client's certificate", answer=ClientCertificate, status=201
    ),
)
