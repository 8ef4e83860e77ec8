"""The Docker Engine API over a unix socket, TCP or TLS: requests, errors, streams. Knows nothing of Skerry's resources."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from skerry.errors import (
    ConflictError,
    DriverError,
    InvalidError,
    NotFoundError,
    SkerryError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedError,
)

if TYPE_CHECKING:
    import httpx

_KNOWN_VERSION = (1, 41)  # what this module is written for; newer Engines still speak it or their own oldest


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where an Engine is, and how to prove who we are. Paths are PEM files; with any of them the connection is TLS."""

    endpoint: str
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    api_version: str = ""
    timeout_s: float = 60.0

    @property
    def tls(self) -> bool:
        """Whether the connection is TLS."""
        return bool(self.tls_ca or self.tls_cert or self.tls_key)


class Engine:
    """One Engine. `open` first."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        parts = urlsplit(settings.endpoint)
        if parts.scheme not in ("unix", "tcp"):
            raise InvalidError(
                f"cannot use the Docker endpoint {settings.endpoint}: its scheme is neither unix nor tcp",
                suggestion="write it as unix:///var/run/docker.sock or tcp://host:2376",
            )
        self._socket = parts.path if parts.scheme == "unix" else ""
        self._host, self._port = parts.hostname or "", parts.port or (2376 if settings.tls else 2375)
        self._prefix = ""
        self._client: httpx.AsyncClient | None = None

    @property
    def local(self) -> bool:
        """Whether it is reached by a unix socket."""
        return bool(self._socket)

    async def open(self) -> None:
        """Connect and agree on the API's version."""
        import httpx  # noqa: PLC0415 - 40 ms and 7 MB that only this driver needs

        tls = self._context() if self._settings.tls else False
        transport = httpx.AsyncHTTPTransport(
            uds=self._socket or None, verify=tls, limits=httpx.Limits(max_connections=100, max_keepalive_connections=8)
        )
        scheme = "https" if self._settings.tls else "http"
        where = f"{scheme}://docker" if self._socket else f"{scheme}://{self._host}:{self._port}"
        self._client = httpx.AsyncClient(
            transport=transport, base_url=where, timeout=self._settings.timeout_s, trust_env=False
        )
        try:
            found = await self.get("/version")
        except SkerryError:
            await self.close()
            raise
        self._prefix = "/v" + (self._settings.api_version or _version(found))

    async def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _context(self) -> ssl.SSLContext:
        own = self._settings
        try:
            context = ssl.create_default_context(cafile=own.tls_ca or None)
            if own.tls_cert:
                context.load_cert_chain(own.tls_cert, own.tls_key or None)
        except OSError as wrong:
            raise UnauthorizedError(
                f"cannot use the TLS files of the Docker endpoint {own.endpoint}: {wrong}",
                suggestion="check the paths of tls_ca, tls_cert and tls_key, and that certificate and key belong together",
            ) from wrong
        return context

    async def get(self, path: str, **query: Any) -> Any:
        """GET a JSON document."""
        return await self.request("GET", path, query=query)

    async def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """POST a JSON body; returns the answer's JSON, None if it has none."""
        return await self.request("POST", path, body=body, query=query)

    async def delete(self, path: str, **query: Any) -> None:
        """DELETE; what is gone is no error."""
        try:
            await self.request("DELETE", path, query=query)
        except NotFoundError:
            return

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        content: AsyncIterator[bytes] | bytes | None = None,
        patient: bool = False,
    ) -> Any:
        """One call. `content` is a tar instead of a JSON body; `patient` waits for an answer without limit."""
        import httpx  # noqa: PLC0415

        headers = {"Content-Type": "application/json" if content is None else "application/x-tar"}
        data: Any = content if content is not None else (msgspec.json.encode(body) if body is not None else None)
        timeout = httpx.Timeout(None) if patient else httpx.USE_CLIENT_DEFAULT
        with self._errors(method, path):
            answer = await self._open_client().request(
                method, self._prefix + path, content=data, params=_query(query), headers=headers, timeout=timeout
            )
        if answer.status_code >= 400:
            raise refused(answer.status_code, answer.content, f"{method} {path}")
        return _decoded(answer.content)

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """A call whose answer comes in pieces, for as long as it takes."""
        import httpx  # noqa: PLC0415

        data = msgspec.json.encode(body) if body is not None else None
        headers = {"Content-Type": "application/json", "Connection": "close"}  # the Engine may close it unannounced
        with self._errors(method, path):
            async with self._open_client().stream(
                method,
                self._prefix + path,
                content=data,
                params=_query(query),
                headers=headers,
                timeout=httpx.Timeout(self._settings.timeout_s, read=None),
            ) as answer:
                if answer.status_code >= 400:
                    raise refused(answer.status_code, await answer.aread(), f"{method} {path}")
                yield answer.aiter_raw()

    async def hijack(self, path: str, body: Any = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """POST with an upgrade to a two-way byte stream."""
        call = f"POST {path}"
        data = b"" if body is None else msgspec.json.encode(body)
        try:
            if self._socket:
                reader, writer = await asyncio.open_unix_connection(self._socket)
            else:
                tls = self._context() if self._settings.tls else None
                reader, writer = await asyncio.open_connection(self._host, self._port, ssl=tls)
            writer.write(
                f"POST {self._prefix}{path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                + data
            )
            head = await reader.readuntil(b"\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError) as broken:
            raise self._unreachable(call, broken) from broken
        status = int(head.split(b" ", 2)[1])
        if status not in (101, 200):
            text = await reader.read(4096)
            writer.close()
            raise refused(status, text, call)
        return reader, writer

    def _open_client(self) -> httpx.AsyncClient:
        if self._client is None:
            raise UnavailableError(
                f"cannot ask the Docker Engine at {self._settings.endpoint}: it is not open", suggestion="open it first"
            )
        return self._client

    def _errors(self, method: str, path: str) -> _Translated:
        return _Translated(self, f"{method} {path}")

    def _unreachable(self, call: str, error: BaseException) -> SkerryError:
        where = self._settings.endpoint
        if _about_certificates(error):
            return UnauthorizedError(
                f"cannot agree with the Docker Engine at {where} on certificates: {error}",
                suggestion="check that tls_ca signed the Engine's certificate and that the Engine trusts tls_cert",
            )
        return UnavailableError(
            f"cannot reach the Docker Engine at {where} ({call}): {error or error.__class__.__name__}",
            suggestion="check that the Engine runs and that the endpoint is right",
        )


class _Translated:
    """Turns httpx's errors into ours."""

    def __init__(self, engine: Engine, call: str) -> None:
        self._engine, self._call = engine, call

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import httpx  # noqa: PLC0415

        if isinstance(error, httpx.TransportError | ssl.SSLError):  # an alert of TLS 1.3 comes late and untranslated
            raise self._engine._unreachable(self._call, error) from error  # noqa: SLF001 - one class in two parts


def _about_certificates(error: BaseException | None) -> bool:
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, ssl.SSLError) or "certificate" in str(error).lower() or "alert" in str(error).lower():
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def _decoded(content: bytes) -> Any:
    """The JSON of an answer; its text where it is none, or several."""
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content.decode(errors="replace")


def _query(query: Mapping[str, Any] | None) -> dict[str, Any]:
    """Query parameters: `_` stands for `-`, objects are JSON, a tuple is a parameter several times."""
    return {key.replace("_", "-"): _parameter(value) for key, value in (query or {}).items()}


def _parameter(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return list(value)
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _version(found: Mapping[str, Any]) -> str:
    """The version to speak: ours where the Engine has it, else its nearest."""
    lowest, highest = (_numbers(str(found.get(key) or "1.41")) for key in ("MinAPIVersion", "ApiVersion"))
    if highest < (1, 40):
        raise UnsupportedError(
            f"cannot use this Docker Engine: its API is {found.get('ApiVersion')}, older than 1.40",
            suggestion="update the Engine to 19.03 or newer",
        )
    chosen = min(max(_KNOWN_VERSION, lowest), highest)
    return ".".join(map(str, chosen))


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor or 0)


def refused(status: int, content: bytes, call: str) -> SkerryError:
    """The error that stands for an answer of the Engine."""
    text = content.decode(errors="replace").strip()
    try:
        text = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        text = text or f"status {status}"
    if status == 404:
        return NotFoundError(f"cannot do {call}: {text}")
    if status == 409:
        return ConflictError(f"cannot do {call}: {text}")
    return DriverError(f"cannot do {call}: {text}", transient=status == 503, call=call, answer=f"{status} {text}")
