"""Carries notifications to message brokers (AMQP 0-9-1): the callback of a subscription is an exchange or a queue there.

`amqp://HOST[:PORT]/VHOST?exchange=NAME&routing_key=KEY`, or `amqps://`. Without an exchange the key names a queue; without a
key it is `API.NOTIFICATION`, such as `nslcm.NsLcmOperationOccurrenceNotification`. Delivered means: the broker has
confirmed that a queue has the message. Addresses are judged as those of other subscribers are.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from weakref import WeakValueDictionary

import msgspec

from skerry.errors import Fault, InvalidError, UnavailableError
from skerry.model.notifications import Authentication, Subscription
from skerry.notifications import amqp_frames as frames
from skerry.notifications.sending import Outcome

TIMEOUT_S = 10.0
KEPT = 16  # connections without work that stay open


class Broker(NamedTuple):
    """Where to connect, and as whom."""

    host: str
    port: int
    tls: bool
    virtual_host: str
    who: Authentication


class Target(NamedTuple):
    """A broker, and where in it messages go."""

    broker: Broker
    exchange: str
    routing_key: str


class _Head(msgspec.Struct):
    """What every notification has."""

    id: str = ""
    notificationType: str = ""  # noqa: N815 - its name on the wire


class _RefusedError(Exception):
    """The broker said no."""


def target_of(subscription: Subscription) -> Target:
    """Read a callback. `InvalidError` for one that names no place or wants a token."""
    parts = urlsplit(subscription.callback_uri)
    query = parse_qs(parts.query)
    exchange, key = (query.get(name, [""])[0] for name in ("exchange", "routing_key"))
    trouble = ""
    if not exchange and not key:
        trouble = "it names neither exchange nor routing_key"
    elif len(exchange.encode()) > 255 or len(key.encode()) > 255 or len(parts.path) > 255:
        trouble = "a name in it is longer than 255 bytes"
    elif subscription.authentication.oauth2:
        trouble = "brokers take a user name and password, or a certificate"
    if trouble:
        fix = "write amqp://host[:port]/vhost?exchange=NAME&routing_key=KEY"
        fault = Fault(message=trouble, code="callback", path="/callbackUri", fix=fix)
        raise InvalidError(f"cannot notify this broker: {trouble}", faults=[fault])
    tls = parts.scheme.lower() == "amqps"
    host = unquote(parts.path.removeprefix("/")) or "/"
    port = parts.port or (5671 if tls else 5672)
    return Target(Broker(parts.hostname or "", port, tls, host, subscription.authentication), exchange, key)


class AmqpSender:
    """Fits `notifications.sending.Sender`. `choose` judges an address, `context` makes the TLS of a connection."""

    def __init__(
        self,
        choose: Callable[[str, int], Awaitable[str]],
        context: Callable[[bool], ssl.SSLContext],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._choose = choose
        self._context = context
        self._timeout_s = timeout_s
        self._kept: dict[Broker, _Channel] = {}
        self._turns: WeakValueDictionary[Broker, asyncio.Lock] = WeakValueDictionary()  # of brokers that are being told

    async def test(self, subscription: Subscription) -> Outcome:
        """Whether the exchange or queue is there."""
        target = target_of(subscription)
        if target.exchange:
            asked, answer = frames.exchange_exists(target.exchange), frames.EXCHANGE_OK
        else:
            asked, answer = frames.queue_exists(target.routing_key), frames.QUEUE_OK

        async def ask(channel: _Channel) -> None:
            await channel.ask(asked, answer)

        return await self._outcome(target.broker, ask)

    async def send(self, subscription: Subscription, body: bytes) -> Outcome:
        """Publish one notification, and wait until the broker has it in a queue."""
        target = target_of(subscription)
        head = msgspec.json.decode(body, type=_Head)
        key = target.routing_key or f"{subscription.api}.{head.notificationType}"

        async def publish(channel: _Channel) -> None:
            await channel.publish(target.exchange, key, body, head)

        return await self._outcome(target.broker, publish)

    async def close(self) -> None:
        """Let go of every connection."""
        for channel in self._kept.values():
            channel.close()
        self._kept.clear()

    async def _outcome(self, broker: Broker, work: Callable[[_Channel], Awaitable[None]]) -> Outcome:
        """Do it on the broker's connection; one that is not what it was is opened again, once."""
        turn = self._turns.setdefault(broker, asyncio.Lock())
        try:
            async with turn, asyncio.timeout(self._timeout_s):
                await self._do(broker, work)
        except TimeoutError:
            return Outcome(ok=False, detail=f"the broker {broker.host} does not answer within {self._timeout_s:g} s")
        except _RefusedError as error:
            return Outcome(ok=False, detail=f"the broker {broker.host} refuses: {error}")
        except (OSError, EOFError, struct.error, IndexError) as error:
            return Outcome(ok=False, detail=f"cannot reach the broker {broker.host}: {_reason(error)}")
        except UnavailableError as error:
            return Outcome(ok=False, detail=error.detail)
        return Outcome(ok=True)

    async def _do(self, broker: Broker, work: Callable[[_Channel], Awaitable[None]]) -> None:
        known = self._kept.pop(broker, None)
        if known is not None:
            try:
                await work(known)
            except (OSError, EOFError):
                known.close()
            except BaseException:
                known.close()
                raise
            else:
                self._keep(broker, known)
                return
        fresh = await self._connect(broker)
        try:
            await work(fresh)
        except BaseException:
            fresh.close()
            raise
        self._keep(broker, fresh)

    def _keep(self, broker: Broker, channel: _Channel) -> None:
        while len(self._kept) >= KEPT:
            oldest = next(iter(self._kept))
            self._kept.pop(oldest).close()
        self._kept[broker] = channel

    async def _connect(self, broker: Broker) -> _Channel:
        address = await self._choose(broker.host, broker.port)
        tls = self._context(broker.who.certificate) if broker.tls else None
        name = broker.host if broker.tls else None
        reader, writer = await asyncio.open_connection(address, broker.port, ssl=tls, server_hostname=name)
        channel = _Channel(reader, writer)
        try:
            await channel.open(broker)
        except BaseException:
            channel.close()
            raise
        return channel


class _Channel:
    """A connection with its one channel, on which every message is confirmed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._largest = frames.FRAME_MAX

    async def open(self, broker: Broker) -> None:
        """Say who we are, and open the channel."""
        await self.ask(frames.HEADER, frames.START)
        if broker.who.certificate:
            answer = frames.start_ok("EXTERNAL", b"")
        else:
            basic = broker.who.basic
            user, password = (basic.user_name, basic.password) if basic else ("guest", "guest")
            answer = frames.start_ok("PLAIN", f"\0{user}\0{password}".encode())
        agreed, self._largest = frames.tune_ok(await self.ask(answer, frames.TUNE))
        await self.ask(agreed + frames.connection_open(broker.virtual_host), frames.OPEN_OK)
        await self.ask(frames.method(1, frames.CHANNEL_OPEN, frames.short("")), frames.CHANNEL_OPEN_OK)
        await self.ask(frames.method(1, frames.SELECT, b"\x00"), frames.SELECT_OK)

    async def ask(self, asked: bytes, answer: frames.Key) -> frames.Frame:
        """Send, and wait for this answer."""
        self._writer.write(asked)
        return await self._until(answer)

    async def publish(self, exchange: str, key: str, body: bytes, head: _Head) -> None:
        """Publish, and wait for the confirmation; a message that came back is in no queue although it is confirmed."""
        self._writer.write(
            frames.publish(exchange, key, body, head.id[:255], head.notificationType[:255], self._largest)
        )
        returned = ""
        while True:
            got = await self._read()
            if got.key == frames.RETURN:
                returned = frames.reason(got)
            elif got.key == frames.NACK:
                raise _RefusedError("it does not take the message")
            elif got.key == frames.ACK:
                break
        if returned:
            raise _RefusedError(f"no queue takes {key}: {returned}")

    def close(self) -> None:
        """End it, without much ado: nothing that is not confirmed counts."""
        with suppress(OSError, RuntimeError):
            self._writer.write(frames.method(0, frames.CLOSE, b"\x00\xc8\x00\x00\x00\x00\x00"))
            self._writer.close()

    async def _until(self, answer: frames.Key) -> frames.Frame:
        while (got := await self._read()).key != answer:
            pass
        return got

    async def _read(self) -> frames.Frame:
        """The next frame. `_RefusedError` where it ends connection or channel."""
        raw = await self._reader.readexactly(7)
        if raw.startswith(b"AMQP"):
            raise _RefusedError("it speaks another version of AMQP than 0-9-1")
        type, channel, size = struct.unpack(">BHI", raw)
        if size > frames.FRAME_MAX:
            raise _RefusedError("it sends frames that are too large")
        payload = await self._reader.readexactly(size + 1)
        if payload[-1] != frames.END:
            raise _RefusedError("it does not speak AMQP")
        got = frames.Frame(type, channel, payload[:-1])
        if got.key in (frames.CLOSE, frames.CHANNEL_CLOSE):
            raise _RefusedError(frames.reason(got))
        return got


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]
