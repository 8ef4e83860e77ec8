"""Clients, access tokens and signing keys: issued, verified, ended; what is kept is private and no secret is clear."""

from __future__ import annotations

import itertools
import os
import stat
from base64 import urlsafe_b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import msgspec
import pytest

from skerry.access.authority import Authority, Peer, Policy
from skerry.access.certificates import ensure_certificates
from skerry.access.clients import MOST_OF_TENANT, Client, Clients
from skerry.access.files import private_folder, write_private
from skerry.access.keys import StoredKey, current
from skerry.access.roles import Principal, Right, role_allows, scopes_allow, scopes_of
from skerry.access.tokens import Tokens
from skerry.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    RejectedError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedError,
)

START = datetime(2030, 1, 1, tzinfo=UTC)
APIS = ("vnflcm:v2", "nsd:v2")


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - START).total_seconds()


def counted() -> Callable[[int], bytes]:
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def authority(tmp_path: Path, clock: Hands) -> Authority:
    return opened(tmp_path, clock, counted())


def opened(folder: Path, clock: Hands, random: Callable[[int], bytes]) -> Authority:
    policy = Policy(issuer="urn:skerry:node:n", token_life_s=60, key_days=1, rate_per_s=1, burst=2)
    return Authority(folder / "access", Tokens([]), policy, apis=APIS, clock=clock, random=random)


def make(authority: Authority, name: str = "ci", **more: str) -> tuple[Client, str]:
    return authority.create(name, **{"tenant": "t1", "role": "operator", **more})


def bearer(authority: Authority, client: Client, scope: str = "") -> str:
    return f"Bearer {authority.issue(client, scope).token}"


@pytest.mark.feature("A21", "A14")
def test_a_token_says_who_until_it_expires(authority: Authority, clock: Hands) -> None:
    client, secret = make(authority)
    assert authority.clients.authenticate(client.id, secret) == client
    header = bearer(authority, client)
    assert authority.principal(header, None) == Principal(
        name="ci",
        tenant="t1",
        role="operator",
        scopes=frozenset({"vnflcm:v2:all", "nsd:v2:all"}),
        client=client.id,
    )
    clock.at += timedelta(seconds=59)
    authority.principal(header, None)
    clock.at += timedelta(seconds=1)
    with pytest.raises(UnauthorizedError, match="expired"):
        authority.principal(header, None)


@pytest.mark.feature("A14", "A44")
def test_what_ends_a_token_before_its_time(authority: Authority, clock: Hands, tmp_path: Path) -> None:
    client, _ = make(authority)
    first, second = (authority.issue(client, "").token for _ in range(2))
    other, _ = make(authority, "other")
    assert not authority.revoke(first, other)
    assert authority.revoke(first, client)
    assert authority.revoke(first, client)
    with pytest.raises(UnauthorizedError, match="revoked"):
        authority.principal(f"Bearer {first}", None)
    again = opened(tmp_path, clock, counted())  # after a restart too
    with pytest.raises(UnauthorizedError, match="revoked"):
        again.principal(f"Bearer {first}", None)
    again.principal(f"Bearer {second}", None)
    changed, secret = again.clients.rotate(client.id)
    with pytest.raises(UnauthorizedError, match="newer secret"):
        again.principal(f"Bearer {second}", None)
    again.clients.authenticate(client.id, secret)
    third = bearer(again, changed)
    again.clients.delete(client.id)
    with pytest.raises(UnauthorizedError, match="gone"):
        again.principal(third, None)


def test_a_tenant_has_so_many_clients_and_no_more(tmp_path: Path) -> None:
    full = [Client(id=str(number), name=str(number), tenant="red") for number in range(MOST_OF_TENANT)]
    write_private(private_folder(tmp_path / "access") / "clients.json", msgspec.json.encode(full))
    clients = Clients(tmp_path / "access", os.urandom)
    with pytest.raises(RejectedError, match="the tenant red has"):
        clients.add(Client(id="x", name="x", tenant="red"))
    clients.add(Client(id="y", name="y", tenant="blue"))
    clients.add(Client(id="z", name="z"))


@pytest.mark.feature("A21")
def test_forged_tokens(authority: Authority, clock: Hands, tmp_path: Path) -> None:
    client, _ = make(authority)
    good = authority.issue(client, "").token
    head, body, mark = good.split(".")
    claims = msgspec.json.decode(urlsafe_b64decode(body + "=="))
    kid = jwt.get_unverified_header(good)["kid"]
    stranger = opened(tmp_path / "b", clock, counted())
    foreign, _ = make(stranger)
    key = authority.jwks()["keys"][0]
    confused = jwt.encode(claims, key["x"], algorithm="HS256", headers={"kid": kid, "typ": "at+jwt"})
    unsigned = jwt.encode(claims, "", algorithm="none", headers={"kid": kid, "typ": "at+jwt"})
    forged = (f"{head}.{body}.{mark[::-1]}", unsigned, confused, stranger.issue(foreign, "").token, "a.b.c", "..")
    for token in forged:
        with pytest.raises(UnauthorizedError):
            authority.principal(f"Bearer {token}", None)
    authority.principal(f"Bearer {good}", None)


@pytest.mark.feature("A44")
def test_secrets_are_kept_as_hashes_in_private_files(authority: Authority, tmp_path: Path) -> None:
    client, secret = make(authority)
    token = authority.issue(client, "").token
    authority.revoke(token, client)
    files = {file.name: file for file in (tmp_path / "access").iterdir()}
    assert set(files) == {"clients.json", "signing.json", "revoked.json"}
    for file in files.values():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert secret.encode() not in file.read_bytes()
        assert token.encode() not in file.read_bytes()
    for id, wrong in ((client.id, "x"), ("nobody", secret), ("", "")):
        with pytest.raises(UnauthorizedError):
            authority.clients.authenticate(id, wrong)
    for file in files.values():
        file.write_text("spoilt")
    fresh = opened(tmp_path, Hands(), counted())
    with pytest.raises(UnavailableError):
        fresh.clients.all()


def test_names_are_unique_in_a_tenant_and_other_tenants_see_nothing(authority: Authority) -> None:
    client, _ = make(authority)
    make(authority, tenant="t2")
    with pytest.raises(ConflictError):
        make(authority)
    with pytest.raises(NotFoundError):
        authority.clients.get(client.id, "t2")
    assert [one.tenant for one in authority.clients.all("t2")] == ["t2"]
    assert len(authority.clients.all()) == 2


def test_scopes_are_no_more_than_role_and_client_allow(authority: Authority) -> None:
    guest, _ = make(authority, "guest", role="guest")
    assert authority.issue(guest, "").scope == "nsd:v2:readonly vnflcm:v2:readonly"
    assert authority.issue(guest, "nsd:v2:readonly").scope == "nsd:v2:readonly"
    narrow, _ = authority.create("narrow", tenant="t1", role="operator", scopes=("nsd:v2:all",))
    assert authority.issue(narrow, "nsd:v2:readonly").scope == "nsd:v2:readonly"
    for client, scope in ((guest, "nsd:v2:all"), (narrow, "vnflcm:v2:readonly"), (narrow, "nonsense")):
        with pytest.raises(InvalidError, match="cannot grant the scope"):
            authority.issue(client, scope)


@pytest.mark.feature("A92")
def test_rights_of_roles_and_scopes() -> None:
    def may(role: str, right: Right, tenant: str = "t1") -> bool:
        return role_allows(Principal(name="x", role=role, tenant=tenant), right)

    assert [right for right in Right if may("guest", right)] == [Right.READ]
    assert [right for right in Right if may("operator", right)] == [Right.READ, Right.CHANGE]
    assert [right for right in Right if may("admin", right)] == [Right.READ, Right.CHANGE, Right.ADMINISTER]
    assert may("admin", Right.NODE, "default")
    assert not any(may("unheard-of", right, "default") for right in Right)
    assert scopes_of("guest", ["a:v1"]) == ["a:v1:readonly"]
    assert scopes_allow(frozenset({"a:v1:all"}), "a:v1", Right.READ)
    assert not scopes_allow(frozenset({"a:v1:readonly"}), "a:v1", Right.CHANGE)
    assert not scopes_allow(frozenset({"a:v1:all"}), "a:v2", Right.READ)


def test_keys_are_replaced_in_time_and_verify_as_long_as_their_tokens_live(authority: Authority, clock: Hands) -> None:
    client, _ = make(authority)
    authority.issue(client, "")
    clock.at += timedelta(days=1)
    old = authority.issue(client, "").token
    clock.at += timedelta(seconds=30)
    new = authority.issue(client, "").token
    assert jwt.get_unverified_header(old)["kid"] != jwt.get_unverified_header(new)["kid"]
    authority.principal(f"Bearer {old}", None)
    assert len(authority.jwks()["keys"]) == 2
    clock.at += timedelta(minutes=3)
    assert len(authority.jwks()["keys"]) == 1


def test_rotation_is_pure() -> None:
    def key(hours: float) -> StoredKey:
        return StoredKey(kid=str(hours), pem="", made_at=START - timedelta(hours=hours))

    def kept(*keys: StoredKey) -> list[str]:
        rules = {"every": timedelta(hours=10), "life": timedelta(hours=1)}
        return [one.kid for one in current(keys, START, make=lambda: key(0), **rules)]

    assert kept() == ["0"]
    assert kept(key(9)) == ["9"]
    assert kept(key(10.5)) == ["0", "10.5"]
    assert kept(key(1), key(11.5)) == ["1"]


def test_the_key_set_verifies_with_an_ordinary_library_and_tells_no_secret(authority: Authority) -> None:
    client, _ = make(authority)
    token = authority.issue(client, "").token
    told = authority.jwks()
    assert all("d" not in key for key in told["keys"])
    key = jwt.PyJWKSet.from_dict(dict(told))[jwt.get_unverified_header(token)["kid"]]
    said = jwt.decode(token, key, algorithms=["ES256"], audience="skerry", options={"verify_iat": False})
    assert (said["sub"], said["tenant"]) == (client.id, "t1")


def test_clients_are_limited_and_the_nodes_own_token_is_not(authority: Authority, clock: Hands) -> None:
    client, _ = make(authority)
    caller = Principal(name="ci", client=client.id)
    assert [authority.wait(caller) for _ in range(3)] == [0, 0, 1.0]
    clock.at += timedelta(seconds=1)
    assert authority.wait(caller) == 0
    assert [authority.wait(Principal(name="admin")) for _ in range(9)] == [0] * 9
    assert [authority.wait_at("192.0.2.1") for _ in range(3)] == [0, 0, 1.0]
    fast, _ = authority.create("fast", tenant="t1", role="guest", rate_per_s=4)
    assert [authority.wait(Principal(name="fast", client=fast.id)) for _ in range(8)] == [0] * 8


def test_certificates_end_with_the_secret(authority: Authority, tmp_path: Path) -> None:
    from cryptography import x509

    client, _ = make(authority)
    with pytest.raises(UnsupportedError, match="without TLS"):
        authority.certify(client.id, tmp_path / "tls")
    ensure_certificates(tmp_path / "tls", ["localhost"], START)
    pem, key = authority.certify(client.id, tmp_path / "tls")
    assert "PRIVATE KEY" in key
    serial = f"{x509.load_pem_x509_certificate(pem.encode()).serial_number:X}"
    peer = Peer(name=client.id, serial=serial)
    assert authority.principal("", peer).client == client.id
    with pytest.raises(UnauthorizedError):
        authority.principal("", Peer(name=client.id, serial="1"))
    authority.clients.rotate(client.id)
    with pytest.raises(UnauthorizedError, match="newer secret"):
        authority.principal("", peer)
