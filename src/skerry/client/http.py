"""One HTTP connection to a node: requests out, problem details back as the errors that they are."""

from __future__ import annotations

import hashlib
import os
import ssl
from base64 import b64encode
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from skerry import errors
from skerry.client.profile import Profile

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
TYPE_PREFIX = "urn:skerry:problem:"

BY_STATUS: Mapping[int, type[errors.SkerryError]] = {
    400: errors.MalformedError,
    401: errors.UnauthorizedError,
    403: errors.ForbiddenError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    412: errors.PreconditionError,
    413: errors.TooLargeError,
    422: errors.InvalidError,
    502: errors.DriverError,
    503: errors.UnavailableError,
    504: errors.UnavailableError,
}


ASKED = "see whether it is a Skerry node: `skerry config show` says which one is asked"
LOGIN = (
    "`skerry config login CLIENT_ID` with an OAuth2 client, or `skerry config set token` with the token that is in "
    "access/admin.token of the node's data folder; on the node's machine its own user needs neither"
)
TRUST = "copy tls/ca.pem from the node's data folder to here, then `skerry config set ca FILE`"


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True):
    """Problem details, whoever wrote them."""

    detail: str = ""
    type: str = ""
    title: str = ""
    suggestion: str = ""
    faults: tuple[errors.Fault, ...] = ()


def error_of(status: int, body: bytes) -> errors.SkerryError:
    """The error that an answer tells of: by its type where we know it, else by the status."""
    try:
        problem = msgspec.json.decode(body, type=ProblemBody)
    except msgspec.DecodeError:
        problem = ProblemBody(
            detail=f"cannot use the answer: it has status {status} and says nothing", suggestion=ASKED
        )
    kind = _by_type().get(problem.type.removeprefix(TYPE_PREFIX)) or BY_STATUS.get(status, errors.SkerryError)
    detail = problem.detail or problem.title or f"cannot do that: the node answered {status}"
    if kind is errors.UnauthorizedError:
        return kind(detail, suggestion=LOGIN)
    if issubclass(kind, errors.DriverError):
        return kind(detail, suggestion=problem.suggestion)
    return kind(detail, suggestion=problem.suggestion, faults=problem.faults)


def _by_type() -> dict[str, type[errors.SkerryError]]:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SkerryError)]
    return {_name(kind): kind for kind in kinds}


def _name(kind: type[errors.SkerryError]) -> str:
    stem = kind.__name__.removesuffix("Error")
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in stem).lstrip("-")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _whole(told: str, digest: bytes, path: str) -> None:
    if told and told != f"sha-256=:{b64encode(digest).decode()}:":
        raise errors.UnavailableError(f"cannot use what came of {path}: it is damaged", suggestion="try again")


class Http:
    """Sends requests to one node. `httpx` is imported when the first one goes out."""

    def __init__(self, profile: Profile, *, timeout_s: float = 120.0) -> None:
        self.profile = profile
        self._timeout_s = timeout_s
        self._client: httpx.Client | None = None

    @property
    def client(self) -> httpx.Client:
        """The connection pool."""
        if self._client is None:
            import httpx  # noqa: PLC0415  # half of the start of a command, not needed for most of `--help`

            headers = {"Authorization": f"Bearer {self.profile.token}"} if self.profile.token else {}
            self._client = httpx.Client(
                base_url=self.profile.endpoint,
                headers=headers,
                verify=self._trust(),
                timeout=httpx.Timeout(self._timeout_s, connect=10.0),
                trust_env=False,
            )
        return self._client

    def _trust(self) -> ssl.SSLContext | bool:
        if not self.profile.endpoint.startswith("https"):
            return False
        try:
            context = ssl.create_default_context(cafile=self.profile.ca or None)
            if self.profile.certificate:
                context.load_cert_chain(self.profile.certificate, self.profile.certificate_key or None)
        except OSError as error:
            raise errors.InvalidError(
                f"cannot read the CA file {self.profile.ca} or the certificate: {error.strerror or error}",
                suggestion=TRUST,
            ) from error
        return context

    def close(self) -> None:
        """Let the connections go."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One request; the answer if it is a success, else the error it tells of."""
        with self._reaching():
            response = self.client.request(method, path, **arguments)
        if response.status_code >= 400:
            raise error_of(response.status_code, response.content)
        return response

    def get(self, path: str, kind: type[T], /, **query: Any) -> T:
        """Read a resource as `kind`."""
        asked = {key: value for key, value in query.items() if value not in (None, "")}
        return self._read(self.send("GET", path, params=asked), kind)

    def every(self, path: str, kind: type[T], /, **query: Any) -> list[T]:
        """Read a whole list, page by page."""
        asked = {key: value for key, value in query.items() if value not in (None, "")}
        response = self.send("GET", path, params=asked)
        many: Any = list[kind]  # type: ignore[valid-type]
        found: list[T] = self._read(response, many)
        while following := response.links.get("next"):
            response = self.send("GET", following["url"])
            found += self._read(response, many)
        return found

    def _read(self, response: httpx.Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.DecodeError as error:
            raise errors.UnavailableError(
                f"cannot understand what {self.profile.endpoint} answers: {error}", suggestion=ASKED
            ) from error

    def post(self, path: str, body: Any) -> httpx.Response:
        """Create or start something."""
        return self.send("POST", path, content=msgspec.json.encode(body), headers={"Content-Type": "application/json"})

    def patch(self, path: str, body: Any) -> httpx.Response:
        """Change attributes."""
        headers = {"Content-Type": "application/merge-patch+json"}
        return self.send("PATCH", path, content=msgspec.json.encode(body), headers=headers)

    @contextmanager
    def stream(self, path: str, **query: Any) -> Generator[Iterator[str]]:
        """The lines of an answer that goes on; ends when the node or the caller has enough."""
        import httpx  # noqa: PLC0415

        asked = {key: value for key, value in query.items() if value not in (None, "")}
        endless = httpx.Timeout(10.0, read=None)
        with self._reaching(), self.client.stream("GET", path, params=asked, timeout=endless) as response:
            if response.status_code >= 400:
                raise error_of(response.status_code, response.read())
            yield response.iter_lines()

    def fetch(self, path: str, target: Path) -> int:
        """A large answer into a new file of the user's own, compared with its digest (RFC 9530); returns its size."""
        import httpx  # noqa: PLC0415

        partial = target.with_name(target.name + ".part")
        seen = hashlib.sha256()
        patient = httpx.Timeout(self._timeout_s, read=None)
        try:
            with self._reaching(), self.client.stream("GET", path, timeout=patient) as response:
                if response.status_code >= 400:
                    raise error_of(response.status_code, response.read())
                with open(partial, "wb", opener=_private) as file:
                    for piece in response.iter_bytes():
                        seen.update(piece)
                        file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
            _whole(response.headers.get("repr-digest", ""), seen.digest(), path)
            partial.rename(target)
        except OSError as error:
            raise errors.InvalidError(
                f"cannot write {target}: {error.strerror or error}", suggestion="name a file in a folder with room"
            ) from error
        finally:
            partial.unlink(missing_ok=True)
        return target.stat().st_size

    @contextmanager
    def _reaching(self) -> Generator[None]:
        """Failures of the network and of TLS, told with what to do."""
        import httpx  # noqa: PLC0415

        where = self.profile.endpoint
        try:
            yield
        except httpx.TimeoutException as error:
            raise errors.UnavailableError(
                f"cannot get an answer from {where} in time",
                suggestion="see whether the node is overloaded, then try again",
            ) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise errors.InvalidError(
                f"cannot use the endpoint {where}: {error}", suggestion="write it as https://HOST:PORT"
            ) from error
        except httpx.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise errors.UnavailableError(f"cannot trust {where}: {error}", suggestion=TRUST) from error
            mute = isinstance(error, httpx.RemoteProtocolError) and where.startswith("http:")
            raise errors.UnavailableError(
                f"cannot reach the node at {where}: {error}",
                suggestion="write the endpoint with https://, if the node has TLS"
                if mute
                else "start it with `skerry up`, or name another with `skerry config set endpoint URL`",
            ) from error
