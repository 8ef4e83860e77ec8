"""Fetches an archive from an address that a caller named, into a file.

The address is judged as those of subscribers are (`notifications.targets`): the connection goes to what was judged, no
redirect is followed, no proxy of the environment is used, and size and time are bounded.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from base64 import b64encode
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import SplitResult, quote_plus, urlencode, urlsplit

import h11
import msgspec

from skerry.errors import InvalidError, TooLargeError, UnavailableError
from skerry.model.notifications import Authentication, ClientCredentials
from skerry.notifications import targets

CHUNK = 1 << 16
SILENCE_S = 30.0
LONGEST_S = 4 * 3600.0
WHOLE_S = 3600.0
AT_ONCE = 2
MOST_AHEAD = 32  # answers that only say that another comes (1xx)
SMALLEST = 64  # bytes of a piece, by and large: what comes in smaller ones costs more work than it is worth
PATIENCE = 4096  # pieces before that counts
TOKEN_BYTES = 1 << 16


class Fetcher:
    """`context` makes the TLS of addresses with https. `limit` is the most bytes of an archive. `AT_ONCE` archives of a
    tenant are fetched at the same time; its others wait for their turn."""

    def __init__(
        self,
        policy: targets.Policy,
        context: Callable[[], ssl.SSLContext],
        limit: int,
        resolve: targets.Resolve = targets.system_resolve,
        longest_s: float = LONGEST_S,
    ) -> None:
        self._policy = policy
        self._context = context
        self._limit = limit
        self._resolve = resolve
        self._longest_s = longest_s
        self._turns: dict[str, asyncio.Semaphore] = {}

    async def judge(self, uri: str) -> None:
        """`InvalidError` for what is no plain http(s) URI or leads where the policy forbids."""
        with _fetching():
            targets.check_form(uri, "addressInformation")
        await self._address(urlsplit(uri))

    async def fetch(self, uri: str, target: Path, who: Authentication, *, tenant: str = "") -> int:
        """The archive as a file; its size. `UnavailableError` and its like say what went wrong, without secrets."""
        await self.judge(uri)
        turns = self._turns.setdefault(tenant, asyncio.Semaphore(AT_ONCE))
        try:
            async with turns, asyncio.timeout(self._longest_s):
                headers = await self._authorization(who)
                with target.open("wb") as out:
                    return await self._get("GET", uri, headers, b"", out, self._limit)
        except TimeoutError as error:
            raise UnavailableError(
                f"cannot fetch the archive: it takes longer than {self._longest_s:g} s",
                suggestion="upload it, or name an address that answers faster",
            ) from error

    async def _authorization(self, who: Authentication) -> dict[str, str]:
        if who.oauth2:
            return {"Authorization": f"Bearer {await self._token(who.oauth2)}"}
        if who.basic:
            return {"Authorization": _basic(who.basic.user_name, who.basic.password)}
        return {}

    async def _token(self, credentials: ClientCredentials) -> str:
        await self.judge(credentials.token_endpoint)
        headers = {
            "Authorization": _basic(quote_plus(credentials.client_id), quote_plus(credentials.client_password)),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        out = io.BytesIO()
        form = urlencode({"grant_type": "client_credentials"}).encode()
        await self._get("POST", credentials.token_endpoint, headers, form, out, TOKEN_BYTES)
        try:
            text = str(msgspec.json.decode(out.getvalue(), type=dict[str, object])["access_token"])
        except (msgspec.DecodeError, KeyError, ValueError, RecursionError) as error:
            raise UnavailableError("cannot get a token: the token endpoint answers no token") from error
        if not targets.is_clean(text):
            raise UnavailableError("cannot use the token of the token endpoint: it has forbidden characters")
        return text

    async def _address(self, parts: SplitResult) -> str:
        with _fetching():
            return await targets.choose(parts.hostname or "", _port(parts), self._policy, self._resolve)

    async def _get(
        self, method: str, uri: str, headers: Mapping[str, str], body: bytes, out: BinaryIO, limit: int
    ) -> int:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        address = await self._address(parts)
        tls = self._context() if parts.scheme.lower() == "https" else None
        try:
            async with asyncio.timeout(SILENCE_S):
                reader, writer = await asyncio.open_connection(
                    address, _port(parts), ssl=tls, server_hostname=host if tls else None
                )
            try:
                async with asyncio.timeout(WHOLE_S):
                    return await _exchange(reader, writer, _request(method, parts, headers, body), body, out, limit)
            finally:
                writer.close()
        except TimeoutError as error:
            raise UnavailableError(
                f"cannot fetch from {host}: it is silent for {SILENCE_S:g} s, or needs more than {WHOLE_S:g} s"
            ) from error
        except (OSError, h11.RemoteProtocolError) as error:
            raise UnavailableError(f"cannot fetch from {host}: {_reason(error)}") from error


@contextmanager
def _fetching() -> Generator[None]:
    """What `targets` says of subscribers is said of archives."""
    try:
        yield
    except InvalidError as error:
        detail = error.detail.replace("notify", "fetch from")
        raise InvalidError(detail, faults=error.faults, suggestion=error.suggestion) from error


async def _exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: h11.Request,
    body: bytes,
    out: BinaryIO,
    limit: int,
) -> int:
    """One request; the body of its answer into `out`."""
    protocol = h11.Connection(h11.CLIENT)
    sent = [protocol.send(request), protocol.send(h11.Data(data=body)), protocol.send(h11.EndOfMessage())]
    writer.write(b"".join(part for part in sent if part))
    taken = _Taken(out, limit)
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            async with asyncio.timeout(SILENCE_S):
                protocol.receive_data(await reader.read(CHUNK))
        elif isinstance(event, h11.InformationalResponse):
            taken.announced()
        elif isinstance(event, h11.Response) and event.status_code != 200:
            raise UnavailableError(f"cannot fetch the archive: it answers {event.status_code} instead of 200")
        elif isinstance(event, h11.Data):
            taken.write(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return taken.size
        elif isinstance(event, h11.ConnectionClosed):
            raise h11.RemoteProtocolError("the connection ended too early")


class _Taken:
    """What came, within its bounds."""

    def __init__(self, out: BinaryIO, limit: int) -> None:
        self.size = 0
        self._out, self._limit = out, limit
        self._pieces = self._ahead = 0

    def announced(self) -> None:
        """An answer said that another comes."""
        self._ahead += 1
        if self._ahead > MOST_AHEAD:
            raise h11.RemoteProtocolError("it answers that an answer comes, again and again")

    def write(self, data: bytes) -> None:
        """Keep a piece of the archive."""
        self.size, self._pieces = self.size + len(data), self._pieces + 1
        if self.size > self._limit:
            raise TooLargeError(f"cannot take an archive of more than {self._limit} bytes (setting max_upload_bytes)")
        if self._pieces > PATIENCE and self.size < self._pieces * SMALLEST:
            raise h11.RemoteProtocolError("it sends the archive in too small pieces")
        self._out.write(data)


def _request(method: str, parts: SplitResult, headers: Mapping[str, str], body: bytes) -> h11.Request:
    own = {"Host": parts.netloc, "User-Agent": "skerry", "Accept": "*/*", "Connection": "close", **headers}
    own["Content-Length"] = str(len(body))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return h11.Request(method=method, target=target, headers=list(own.items()))


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme.lower() == "https" else 80)


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]
