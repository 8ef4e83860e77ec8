"""Keys of tenants, which instances accept. Private keys are shown once and kept nowhere."""

from __future__ import annotations

from collections.abc import Callable

from skerry.access import ssh
from skerry.errors import ConflictError
from skerry.model.images import KeyPair
from skerry.model.time import Clock, Ids, stamp
from skerry.store import aggregates
from skerry.store.database import Database, Transaction
from skerry.store.documents import Revs


class Keys:
    """`random` gives secret bytes."""

    def __init__(self, database: Database, clock: Clock, ids: Ids, random: Callable[[int], bytes]) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._random = random

    def all(self, *, tenant: str) -> list[KeyPair]:
        """The tenant's keys, oldest first."""
        return aggregates.key_pairs.select(self._database, tenant=tenant)

    def get(self, id: str, *, tenant: str) -> KeyPair:
        """One; `NotFoundError`."""
        return aggregates.key_pairs.get(self._database, id, tenant=tenant)

    async def add(self, name: str, public_key: str, *, tenant: str) -> KeyPair:
        """Import a public key. `InvalidError` says what is wrong with it."""
        return await self._keep(name, ssh.read(public_key), tenant)

    async def generate(self, name: str, *, tenant: str) -> tuple[KeyPair, str]:
        """Make a key pair; the second value is the private key, which nobody can ask for again."""
        private, public = ssh.generate(self._random(32), name)
        return await self._keep(name, public, tenant), private

    async def delete(self, id: str, *, match: Revs = None, tenant: str) -> None:
        """Forget a key. Instances that have it keep it. `PreconditionError` where it is in none of the revisions `match`."""

        def work(tx: Transaction) -> None:
            aggregates.key_pairs.matching(tx, id, tenant, match)
            aggregates.key_pairs.delete(tx, id)

        await self._database.write(work)

    async def _keep(self, name: str, key: ssh.PublicKey, tenant: str) -> KeyPair:
        def work(tx: Transaction) -> KeyPair:
            if aggregates.key_pairs.select(tx, tenant=tenant, name=name):
                raise ConflictError(f"cannot create the key {name}: it exists", suggestion="choose another name")
            return aggregates.key_pairs.insert(
                tx,
                KeyPair(
                    id=self._ids.new(),
                    tenant=tenant,
                    created_at=stamp(self._clock.now()),
                    name=name,
                    public_key=key.line,
                    key_type=key.type,
                    fingerprint=key.fingerprint,
                ),
            )

        return await self._database.write(work)
