"""Asks another node whose a token is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

from skerry.access.roles import Principal, Role
from skerry.errors import UnavailableError
from skerry.model.notifications import Authentication
from skerry.notifications.wire import Answer


class Call(Protocol):
    """One request to somebody else's API."""

    async def __call__(
        self, method: str, uri: str, headers: Mapping[str, str], body: bytes, who: Authentication
    ) -> Answer: ...


class _Valid(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    client_id: Annotated[str, Meta(min_length=1, max_length=255)]
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    tenant: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    role: Role
    scope: str


async def vouched(endpoint: str, call: Call, token: str) -> Principal | None:
    """The caller as the node at `endpoint` knows it, None for nobody. `UnavailableError` where it does not say."""
    uri = f"{endpoint.rstrip('/')}/oauth2/validate"
    answer = await call("POST", uri, {"Authorization": f"Bearer {token}"}, b"", Authentication())
    if answer.status == 401:
        return None
    try:
        said = msgspec.json.decode(answer.body, type=_Valid) if answer.status == 200 else None
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnavailableError(f"cannot read what {endpoint} says of a token") from error
    if said is None:
        raise UnavailableError(f"cannot ask {endpoint} whose a token is: it answers {answer.status}")
    return Principal(
        name=said.name,
        tenant=said.tenant,
        role=said.role,
        scopes=frozenset(said.scope.split()),
        client=f"{endpoint} {said.client_id}",
    )
