"""Delivery over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from base64 import b64decode
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skerry.access.certificates import Certificates, ensure_certificates
from skerry.engine.clock import SystemClock
from skerry.errors import InvalidError
from skerry.model.notifications import Authentication, Basic, ClientCredentials, Subscription
from skerry.notifications.http import Files, HttpSender
from skerry.notifications.targets import Policy
from skerry.notifications.wire import KEPT, MOST_BYTES
from tests.notifications.receiver import Got, Receiver, Reply, receiving

BODY = b'{"id":"1"}'


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def sender() -> AsyncGenerator[HttpSender]:
    made = HttpSender(Policy(loopback=True), SystemClock())
    yield made
    await made.close()


def at(uri: str, **how: object) -> Subscription:
    authentication = Authentication(**how)  # type: ignore[arg-type]
    return Subscription(id="s", api="vnflcm", version="2.3.0", callback_uri=uri, authentication=authentication)


@pytest.mark.feature("A66")
async def test_a_notification_is_a_post_with_a_version(sender: HttpSender, receiver: Receiver) -> None:
    assert (await sender.test(at(receiver.uri("/n?x=1")))).ok
    assert (await sender.send(at(receiver.uri("/n?x=1")), BODY)).ok
    asked, told = receiver.got
    assert (asked.method, asked.path, asked.headers["version"]) == ("GET", "/n?x=1", "2.3.0")
    assert (told.method, told.path, told.body) == ("POST", "/n?x=1", BODY)
    assert told.headers["content-type"] == "application/json"
    assert told.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert "authorization" not in told.headers
    assert len(receiver.peers) == 1  # the connection is kept


@pytest.mark.parametrize("status", [200, 301, 401, 404, 500])
async def test_the_endpoint_test_takes_nothing_but_204(sender: HttpSender, receiver: Receiver, status: int) -> None:
    receiver.answer = lambda _: Reply(status)
    outcome = await sender.test(at(receiver.uri()))
    assert not outcome.ok
    assert str(status) in outcome.detail


@pytest.mark.parametrize(
    ("status", "ok", "refused"),
    [
        (204, True, False),
        (200, True, False),
        (400, False, True),
        (422, False, True),
        (404, False, False),
        (500, False, False),
    ],
)
async def test_answers_to_a_notification(
    sender: HttpSender, receiver: Receiver, status: int, ok: bool, refused: bool
) -> None:
    receiver.answer = lambda _: Reply(status)
    outcome = await sender.send(at(receiver.uri()), BODY)
    assert (outcome.ok, outcome.refused) == (ok, refused)


async def test_a_redirect_is_not_followed(sender: HttpSender, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(307, headers=(("location", receiver.uri("/elsewhere")),))
    outcome = await sender.send(at(receiver.uri()), BODY)
    assert not outcome.ok
    assert [got.path for got in receiver.got] == ["/n"]


async def test_a_subscriber_asks_to_wait(sender: HttpSender, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(503, headers=(("retry-after", "7"),))
    assert (await sender.send(at(receiver.uri()), BODY)).retry_after_s == 7
    receiver.answer = lambda _: Reply(503, headers=(("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"),))
    assert (await sender.send(at(receiver.uri()), BODY)).retry_after_s == 0
    for nonsense in ("9" * 5000, "-1", "1e3"):
        reply = Reply(503, headers=(("retry-after", nonsense),))
        receiver.answer = lambda _: reply  # noqa: B023 - called before the next one is made
        assert (await sender.send(at(receiver.uri()), BODY)).retry_after_s == 0


async def test_a_flood_in_answer_is_cut_off(sender: HttpSender, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(200, b"x" * (MOST_BYTES * 8))
    assert (await sender.send(at(receiver.uri()), BODY)).ok
    receiver.answer = lambda _: Reply()
    assert (await sender.send(at(receiver.uri()), BODY)).ok


async def test_nobody_is_there(sender: HttpSender) -> None:
    async with receiving() as gone:
        uri = gone.uri()
    outcome = await sender.send(at(uri), BODY)
    assert not outcome.ok
    assert "cannot reach 127.0.0.1" in outcome.detail


async def test_one_that_never_answers() -> None:
    hanging = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hanging.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    impatient = HttpSender(Policy(loopback=True), SystemClock(), timeout_s=0.2)
    outcome = await impatient.send(at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/n"), BODY)
    assert "no answer within 0.2 s" in outcome.detail
    await impatient.close()
    hanging.set()
    server.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 204",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
        b"HTTP/1.1 503 Later\r\nRetry-After: \xb2\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_one_that_answers_nonsense(sender: HttpSender, answer: bytes) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(broken, "127.0.0.1", 0)
    outcome = await sender.send(at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/n"), BODY)
    assert not outcome.ok
    assert not outcome.refused
    server.close()


async def test_one_whose_announcements_never_end(sender: HttpSender) -> None:
    async def announcing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"HTTP/1.1 102 Wait\r\n\r\n" * 1000)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(announcing, "127.0.0.1", 0)
    outcome = await sender.send(at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/n"), BODY)
    assert outcome.detail == "cannot reach 127.0.0.1: its answer does not end"
    server.close()


async def test_a_kept_connection_that_was_closed_meanwhile(sender: HttpSender, receiver: Receiver) -> None:
    """The other side lets go of idle connections: the next notification takes a new one."""
    assert (await sender.send(at(receiver.uri()), BODY)).ok
    await receiver.close()
    assert (await sender.send(at(receiver.uri()), BODY)).ok
    assert len(receiver.got) == len(receiver.peers) == 2


async def test_few_connections_are_kept(sender: HttpSender) -> None:
    async with AsyncExitStack() as stack:
        many = [await stack.enter_async_context(receiving()) for _ in range(KEPT + 10)]
        for _ in range(2):
            for receiver in many:
                assert (await sender.send(at(receiver.uri()), BODY)).ok
        assert all(len(receiver.got) == 2 for receiver in many)
        async with asyncio.timeout(10):
            while sum(receiver.connections for receiver in many) > KEPT:
                await asyncio.sleep(0)


async def test_basic_authentication(sender: HttpSender, receiver: Receiver) -> None:
    who = Basic(user_name="oss", password="s3cret")
    receiver.answer = lambda got: Reply(204 if "authorization" in got.headers else 401)
    assert (await sender.send(at(receiver.uri(), basic=who), BODY)).ok
    assert b64decode(receiver.got[0].headers["authorization"].removeprefix("Basic ")) == b"oss:s3cret"
    receiver.answer = lambda _: Reply(403)
    outcome = await sender.send(at(receiver.uri(), basic=who), BODY)
    assert "s3cret" not in outcome.detail + repr(who)


class Issuer:
    """Answers as a token endpoint and, with the newest token, as a subscriber."""

    def __init__(self) -> None:
        self.issued = 0
        self.valid = ""

    def __call__(self, got: Got) -> Reply:
        if got.path == "/token":
            self.issued += 1
            self.valid = f"token-{self.issued}"
            return Reply(200, b'{"access_token":"%s","expires_in":3600}' % self.valid.encode())
        return Reply(204 if got.headers.get("authorization") == f"Bearer {self.valid}" else 401)


def credentials(receiver: Receiver, path: str = "/token") -> ClientCredentials:
    return ClientCredentials(client_id="a b", client_password="p:w", token_endpoint=receiver.uri(path))


@pytest.mark.feature("A66")
async def test_oauth2_client_credentials(sender: HttpSender, receiver: Receiver) -> None:
    receiver.answer = issuer = Issuer()
    subscription = at(receiver.uri(), oauth2=credentials(receiver))
    assert (await sender.test(subscription)).ok
    for _ in range(3):
        assert (await sender.send(subscription, BODY)).ok
    assert issuer.issued == 1  # kept while it is valid
    asked = receiver.got[0]
    assert asked.body == b"grant_type=client_credentials"
    assert b64decode(asked.headers["authorization"].removeprefix("Basic ")) == b"a+b:p%3Aw"
    issuer.valid = "revoked"
    assert (await sender.send(subscription, BODY)).ok  # one new token, at once
    assert issuer.issued == 2


DEEP = Reply(200, b'{"access_token":' + b"[" * 50_000)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(401),
        Reply(200, b"nonsense"),
        Reply(200, b"{}"),
        Reply(200, b'{"access_token":"a\\r\\nb: c"}'),
        Reply(307),
        DEEP,
    ],
)
async def test_a_token_endpoint_that_gives_none(sender: HttpSender, receiver: Receiver, reply: Reply) -> None:
    receiver.answer = lambda _: reply
    outcome = await sender.send(at(receiver.uri(), oauth2=credentials(receiver)), BODY)
    assert not outcome.ok
    assert "token" in outcome.detail
    assert "p:w" not in outcome.detail
    assert {got.path for got in receiver.got} == {"/token"}


async def test_the_policy_holds_for_token_endpoints_too(receiver: Receiver) -> None:
    strict = HttpSender(Policy(), SystemClock())
    outcome = await strict.send(at("http://8.8.8.8/n", oauth2=credentials(receiver)), BODY)
    assert "this machine itself" in outcome.detail
    assert receiver.got == []
    with pytest.raises(InvalidError, match="this machine itself"):
        await strict.test(at(receiver.uri()))
    await strict.close()


async def test_a_name_that_changes_its_address_is_judged_again(receiver: Receiver) -> None:
    """DNS rebinding: what is connected to is what was judged."""
    answers: list[Sequence[str]] = [["10.0.0.1"], ["127.0.0.1"]]

    async def resolve(host: str, port: int) -> Sequence[str]:
        assert host == "rebinding.example"
        return answers.pop()

    sender = HttpSender(Policy(allowed=("127.0.0.0/8",)), SystemClock(), resolve=resolve)
    uri = receiver.uri().replace("127.0.0.1", "rebinding.example")
    receiver.answer = lambda _: Reply(headers=(("connection", "close"),))
    assert (await sender.send(at(uri), BODY)).ok
    assert receiver.got[0].headers["host"].startswith("rebinding.example:")
    refused = await sender.send(at(uri), BODY)
    assert "private" in refused.detail
    assert len(receiver.got) == 1
    await sender.close()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return ensure_certificates(tmp_path / "tls", ["localhost", "127.0.0.1"], datetime.now(UTC))


def server_context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates.ca)
    context.load_cert_chain(certificates.certificate, certificates.key)
    return context


@pytest.mark.feature("A66")
async def test_tls_with_a_client_certificate(certificates: Certificates) -> None:
    context = server_context(certificates)
    context.verify_mode = ssl.CERT_REQUIRED
    files = Files(authorities=(certificates.ca,), certificate=certificates.certificate, key=certificates.key)
    sender = HttpSender(Policy(loopback=True), SystemClock(), files)
    async with receiving(context) as receiver:
        assert (await sender.send(at(receiver.uri(scheme="https"), certificate=True), BODY)).ok
        assert receiver.peers[-1]["subject"][0][0][1] == "Skerry node"
        without = await sender.send(at(receiver.uri(scheme="https")), BODY)
        assert not without.ok
        await sender.close()


async def test_a_certificate_of_an_unknown_authority_is_not_trusted(certificates: Certificates) -> None:
    sender = HttpSender(Policy(loopback=True), SystemClock())
    async with receiving(server_context(certificates)) as receiver:
        outcome = await sender.send(at(receiver.uri(scheme="https")), BODY)
        assert not outcome.ok
        assert "CERTIFICATE_VERIFY_FAILED" in outcome.detail
        assert receiver.got == []
        await sender.close()


async def test_a_node_without_a_certificate_says_so(sender: HttpSender) -> None:
    with pytest.raises(InvalidError, match="this node has none"):
        await sender.test(at("https://127.0.0.1:1/n", certificate=True))
