"""Carries notifications over HTTP, saying who the node is in the way that the subscriber wants.

Every connection goes to an address that `targets` judged, whatever the name behind it says next. No redirect is followed,
no proxy of the environment is used, what comes back is read within a limit and a time, and no secret reaches a message.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote_plus, urlencode

import msgspec

from skerry.errors import Fault, InvalidError, SkerryError, UnavailableError
from skerry.model.notifications import Authentication, ClientCredentials, Subscription
from skerry.model.time import Clock
from skerry.notifications import targets
from skerry.notifications.sending import Outcome

if TYPE_CHECKING:
    from skerry.notifications.wire import Answer, Wire

TIMEOUT_S = 10.0
MOST_BYTES = 64 * 1024
TOKEN_MARGIN_S = 30.0
REFUSED = frozenset({400, 405, 406, 413, 415, 422})
"""The subscriber understood the request and will not take it, however often it comes."""


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """PEM files: more authorities to trust, and the certificate by which the node says who it is. They may be absent."""

    authorities: tuple[Path, ...] = ()
    certificate: Path | None = None
    key: Path | None = None

    def context(self, *, certificate: bool = False) -> ssl.SSLContext:
        """Trust the system's authorities and those named; show the node's certificate where that is wished."""
        made = ssl.create_default_context()
        for file in self.authorities:
            if file.exists():
                made.load_verify_locations(file)
        if certificate and self.certificate:
            made.load_cert_chain(self.certificate, self.key)
        return made


class Token(NamedTuple):
    """An access token and the monotonic second until which it is used."""

    text: str
    until: float


class HttpSender:
    """Fits `notifications.sending.Sender`."""

    def __init__(
        self,
        policy: targets.Policy,
        clock: Clock,
        files: Files | None = None,
        resolve: targets.Resolve = targets.system_resolve,
        timeout_s: float = TIMEOUT_S,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Of an answer no more than `most_bytes` are read."""
        self._most_bytes = most_bytes
        self._timeout_s = timeout_s
        self._policy = policy
        self._clock = clock
        self._files = files or Files()
        self._resolve = resolve
        self._wires: dict[bool, Wire] = {}
        self._tokens: dict[ClientCredentials, Token] = {}
        self._fetching: dict[ClientCredentials, asyncio.Lock] = {}

    async def test(self, subscription: Subscription) -> Outcome:
        """Whether the subscriber is there (GET answers 204)."""
        try:
            answer = await self._authorized("GET", subscription, b"")
        except UnavailableError as error:
            return Outcome(ok=False, detail=error.detail)
        if answer.status == 204:
            return Outcome(ok=True)
        return Outcome(ok=False, detail=f"GET answers {answer.status} instead of 204")

    async def send(self, subscription: Subscription, body: bytes) -> Outcome:
        """Deliver one notification."""
        try:
            answer = await self._authorized("POST", subscription, body)
        except SkerryError as error:
            return Outcome(ok=False, detail=error.detail)
        if 200 <= answer.status < 300:
            return Outcome(ok=True)
        detail = f"POST answers {answer.status} instead of 204"
        asked = _seconds(answer.headers.get("retry-after", ""))
        return Outcome(ok=False, detail=detail, refused=answer.status in REFUSED, retry_after_s=asked)

    async def call(self, method: str, uri: str, headers: Mapping[str, str], body: bytes, who: Authentication) -> Answer:
        """One request to somebody else's API, and again with a fresh token where the first is not taken any more."""
        answer = await self._call(method, uri, headers, body, who)
        if answer.status == 401 and who.oauth2 and self._tokens.pop(who.oauth2, None):
            answer = await self._call(method, uri, headers, body, who)
        return answer

    async def _call(
        self, method: str, uri: str, headers: Mapping[str, str], body: bytes, who: Authentication
    ) -> Answer:
        return await self._exchange(method, uri, {**headers, **await self._who(who)}, body, certificate=who.certificate)

    async def _who(self, who: Authentication) -> dict[str, str]:
        if who.oauth2:
            return {"Authorization": f"Bearer {await self._token(who.oauth2)}"}
        return {"Authorization": _basic(who.basic.user_name, who.basic.password)} if who.basic else {}

    async def close(self) -> None:
        """Let go of every connection."""
        wires, self._wires = list(self._wires.values()), {}
        for wire in wires:
            await wire.close()

    # -- who we are ---------------------------------------------------------------------------------------------------

    async def _authorized(self, method: str, subscription: Subscription, body: bytes) -> Answer:
        """One request; with a fresh token if the first one is not taken any more."""
        headers = {"Version": subscription.version, "Accept": "application/json"}
        if body:
            headers["Content-Type"] = "application/json"
        return await self.call(method, subscription.callback_uri, headers, body, subscription.authentication)

    async def _token(self, credentials: ClientCredentials) -> str:
        """A valid access token, fetched once for all that wait for it (RFC 6749 4.4)."""
        async with self._fetching.setdefault(credentials, asyncio.Lock()):
            known = self._tokens.get(credentials)
            if known is None or known.until <= self._clock.monotonic():
                known = self._tokens[credentials] = await self._fetch(credentials)
        return known.text

    async def _fetch(self, credentials: ClientCredentials) -> Token:
        who = _basic(quote_plus(credentials.client_id), quote_plus(credentials.client_password))
        headers = {"Authorization": who, "Content-Type": "application/x-www-form-urlencoded"}
        form = urlencode({"grant_type": "client_credentials"}).encode()
        answer = await self._exchange("POST", credentials.token_endpoint, headers, form, certificate=False)
        if answer.status != 200:
            raise UnavailableError(f"cannot get a token: the token endpoint answers {answer.status}")
        try:
            told: dict[str, Any] = msgspec.json.decode(answer.body, type=dict[str, Any])
            text, life = str(told["access_token"]), float(told.get("expires_in") or 60.0)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise UnavailableError("cannot get a token: the token endpoint answers no token") from error
        if not targets.is_clean(text):
            raise UnavailableError("cannot use the token of the token endpoint: it has forbidden characters")
        return Token(text, self._clock.monotonic() + max(life - TOKEN_MARGIN_S, life / 2))

    # -- the wire -----------------------------------------------------------------------------------------------------

    async def _exchange(
        self, method: str, uri: str, headers: Mapping[str, str], body: bytes, *, certificate: bool
    ) -> Answer:
        """One request and its answer, within the limits."""
        targets.check_form(uri)
        wire = self._wires.get(certificate)
        if wire is None:
            wire = self._wires[certificate] = self._wire(certificate)
        return await wire.exchange(method, uri, headers, body, self._timeout_s)

    def _wire(self, certificate: bool) -> Wire:
        if certificate:
            self._require_certificate()
        from skerry.notifications.wire import Wire  # noqa: PLC0415 - loads with the first notification

        async def choose(host: str, port: int) -> str:
            return await targets.choose(host, port, self._policy, self._resolve)

        return Wire(choose, lambda: self._files.context(certificate=certificate), self._most_bytes)

    def _require_certificate(self) -> None:
        if self._files.certificate is None or not self._files.certificate.exists():
            fix = "let the node serve TLS, or choose another authType"
            fault = Fault(message="this node has none", code="authentication", path="/authentication", fix=fix)
            raise InvalidError("cannot show a certificate: this node has none", faults=[fault], suggestion=fix)


def _seconds(text: str) -> float:
    """What `Retry-After` asks for, as far as it counts; 0 for a date and for nonsense."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()
