"""OAuth2 clients: programs and people that may call, each of one tenant with one role. Secrets are kept as hashes.

A secret has 256 random bits, so one round of SHA-256 is as hard to turn back as the secret is to guess.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from skerry.access.files import private_folder, write_private
from skerry.access.roles import NODE_TENANT, Role
from skerry.access.tokens import digest
from skerry.errors import ConflictError, NotFoundError, RejectedError, UnauthorizedError, UnavailableError

PREFIX = "ss_"
"""Marks a client secret, so that scanners for leaked secrets can find one."""


MOST_OF_TENANT = 1000
"""Each has a rate of its own, and every change writes all of them."""


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A client. `generation` grows when the secret is replaced: older tokens and certificates end with it.

    `scopes` empty means all that the role allows; `certificates` are the serial numbers (hex) of those issued to it;
    `rate_per_s` 0 means the node's setting.
    """

    id: str
    name: str
    tenant: str = NODE_TENANT
    role: str = Role.GUEST
    scopes: tuple[str, ...] = ()
    rate_per_s: float = 0.0
    created_at: str = ""
    generation: int = 1
    sha256: str = ""
    certificates: tuple[str, ...] = ()


def _ended(before: Client | None, now: Client | None) -> bool:
    """Whether what was issued to a client is no longer good."""
    return before is not None and (now is None or now.generation != before.generation)


class Clients:
    """The clients of a node, in one private file that is replaced in one step."""

    def __init__(self, folder: Path, random: Callable[[int], bytes]) -> None:
        self._folder = folder
        self._random = random
        self._known: dict[str, Client] | None = None
        self._held: dict[str, list[Callable[[], object]]] = {}

    @property
    def _file(self) -> Path:
        return self._folder / "clients.json"

    @property
    def _all(self) -> dict[str, Client]:
        if self._known is None:
            self._known = {client.id: client for client in self._read()}
        return self._known

    def _read(self) -> list[Client]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=list[Client])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            raise UnavailableError(
                f"cannot read the clients in {self._file}: {error}",
                suggestion="mend the file, or remove it and create the clients again",
            ) from error

    def _keep(self, clients: dict[str, Client]) -> None:
        private_folder(self._folder)
        write_private(self._file, msgspec.json.encode(list(clients.values())))
        before, self._known = self._all, clients
        for id in [id for id in self._held if _ended(before.get(id), clients.get(id))]:
            for end in self._held.pop(id):
                end()

    def hold(self, id: str, end: Callable[[], object]) -> Callable[[], None]:
        """Keep a connection in mind that a client opened: `end` is called when all that was issued to the client ends. The
        answer forgets it again."""
        ends = self._held.setdefault(id, [])
        ends.append(end)

        def forget() -> None:
            if end in ends:
                ends.remove(end)
            if not ends and self._held.get(id) is ends:
                del self._held[id]

        return forget

    def all(self, tenant: str | None = None) -> Sequence[Client]:
        """Every client, or those of a tenant."""
        return [client for client in self._all.values() if tenant is None or client.tenant == tenant]

    def find(self, id: str) -> Client | None:
        """The client, or None."""
        return self._all.get(id)

    def get(self, id: str, tenant: str | None = None) -> Client:
        """The client; `NotFoundError` also for one of another tenant."""
        client = self._all.get(id)
        if client is None or tenant not in (None, client.tenant):
            raise NotFoundError(f"cannot find the client {id}", suggestion="`skerry access client list` shows them")
        return client

    def add(self, client: Client) -> tuple[Client, str]:
        """Record a client; returns it with its secret, which nobody can ask for again."""
        others = self.all(client.tenant)
        if client.tenant != NODE_TENANT and len(others) >= MOST_OF_TENANT:
            raise RejectedError(
                f"cannot create the client {client.name}: the tenant {client.tenant} has {MOST_OF_TENANT}",
                suggestion="delete those that nobody uses",
            )
        if any(other.name == client.name for other in others):
            raise ConflictError(
                f"cannot create the client {client.name}: the tenant {client.tenant} has one of this name",
                suggestion="choose another name, or rotate the secret of the one there is",
            )
        return self._with_secret(client)

    def rotate(self, id: str) -> tuple[Client, str]:
        """Replace the secret; all that was issued to the client before ends."""
        old = self.get(id)
        return self._with_secret(msgspec.structs.replace(old, generation=old.generation + 1, certificates=()))

    def replace(self, client: Client) -> tuple[Client, str]:
        """Record a client whatever there was of its id; returns it with its secret."""
        old = self.find(client.id)
        return self._with_secret(msgspec.structs.replace(client, generation=old.generation + 1 if old else 1))

    def put(self, client: Client, secret: str) -> Client:
        """Record a client whose secret another one chose; the same again changes nothing."""
        old = self.find(client.id)
        same = old is not None and hmac.compare_digest(old.sha256, digest(secret))
        if same and old is not None and (old.tenant, old.scopes) == (client.tenant, client.scopes):
            return old
        generation = old.generation + (not same) if old else 1
        kept = msgspec.structs.replace(client, sha256=digest(secret), generation=generation)
        self._keep({**self._all, client.id: kept})
        return kept

    def _with_secret(self, client: Client) -> tuple[Client, str]:
        secret = PREFIX + self._random(32).hex()
        kept = msgspec.structs.replace(client, sha256=digest(secret))
        self._keep({**self._all, client.id: kept})
        return kept, secret

    def certified(self, id: str, serial: str) -> Client:
        """Record a certificate that was issued to the client."""
        client = self.get(id)
        kept = msgspec.structs.replace(client, certificates=(*client.certificates, serial))
        self._keep({**self._all, id: kept})
        return kept

    def delete(self, id: str) -> None:
        """Forget a client; all that was issued to it ends."""
        self.get(id)
        self._keep({key: client for key, client in self._all.items() if key != id})

    def authenticate(self, id: str, secret: str) -> Client:
        """The client of these credentials. `UnauthorizedError` does not tell whether the id or the secret is wrong."""
        client = self._all.get(id)
        # An unknown id is compared too, so that the time tells nothing about which ids there are.
        right = hmac.compare_digest(client.sha256 if client else digest(""), digest(secret))
        if client is None or not right:
            raise UnauthorizedError(
                "cannot accept these client credentials: the id is unknown or the secret is wrong",
                suggestion="use the id and secret shown when the client was created, or rotate its secret",
            )
        return client
