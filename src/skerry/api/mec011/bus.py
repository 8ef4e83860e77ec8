"""Mp1 on a WebSocket (RFC 6455): requests, notifications and a message bus on one connection; frames are JSON texts.

`{"id": 1, "method": "POST", "path": "/mec_service_mgmt/v1/…", "body": {…}}` is answered `{"id": 1, "status": 201, …}` by
the very resources that serve HTTP. `{"id": 2, "subscribe": "a/+"}`, `{"id": 3, "unsubscribe": "a/+"}` and
`{"id": 4, "publish": "a/b", "body": …}` are the bus; a message comes as `{"topic": "a/b", "body": …, "from": …}`.

`/mp1/v1/notifications/{subscriptionId}` sends the notifications of a subscription without callback. A frame counts as arrived
when the client's next frame, `{"after": NUMBER}`, names it: whatever was not named is sent again after the next connect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from skerry.access.roles import Principal, Right
from skerry.api import problem, rights
from skerry.api.problem import HttpError
from skerry.api.services import Services
from skerry.errors import ForbiddenError, MalformedError, SkerryError, TooLargeError
from skerry.mep.topics import RESERVED, Hearing, Topics, checked

ROOT = "/mp1/v1"
ROOTS = ("/mec_app_support/", "/mec_service_mgmt/", "/mp1/")
WAITING, WAITING_BYTES = 1024, 16 << 20  # frames that a slow client may be behind, and their bytes
FETCH_S = 60.0
MOST_PATTERNS = 256
TOO_SLOW, BAD_FRAME, GONE = 1013, 1007, 1008
ENDED = "the client is gone, or has a newer secret"

ABSENT = msgspec.Raw(b"")
"""No body: a union of `Raw` and None cannot be decoded."""

_encode = msgspec.json.Encoder().encode


class Frame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client sends: a request, or something about topics."""

    id: int = 0
    method: str = ""
    path: str = ""
    headers: Mapping[str, str] = {}
    body: msgspec.Raw = ABSENT
    subscribe: str = ""
    unsubscribe: str = ""
    publish: str = ""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the bus. `sender` is the application that published it."""

    topic: str
    body: msgspec.Raw
    sender: str = msgspec.field(name="from")


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What a client of notifications says: everything up to this number has arrived."""

    after: Annotated[int, Meta(ge=0, le=2**53)]


_frame = msgspec.json.Decoder(Frame).decode
_settled = msgspec.json.Decoder(Settled).decode
NOTHING = msgspec.Raw(b"null")


class Session:
    """One connection."""

    def __init__(self, socket: WebSocket, topics: Topics[Hearing]) -> None:
        self.socket = socket
        self.principal: Principal = socket.scope["skerry.principal"]
        self._topics = topics
        self._patterns: set[str] = set()
        self._going: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        self._slow = asyncio.Event()
        self._ended = asyncio.Event()
        self._behind = 0

    async def run(self) -> None:
        """Serve until one of both ends it."""
        await self.socket.accept()
        works = (self._read, self._write, self._slow.wait, self._ended.wait)
        tasks = [asyncio.create_task(work()) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for pattern in self._patterns:
                self._topics.remove(self.principal.tenant, pattern, self)
        if self._slow.is_set():
            await self.socket.close(TOO_SLOW, "the client reads too slowly")
        elif self._ended.is_set():
            await self.socket.close(GONE, ENDED)
        for task in done:
            if not task.cancelled() and (error := task.exception()) and not isinstance(error, WebSocketDisconnect):
                raise error

    def end(self) -> None:
        """What the client was let in with is no longer good."""
        self._ended.set()

    def hear(self, frame: bytes) -> bool:
        """Send a frame when its turn comes; one who is too far behind is cut off instead of being waited for."""
        if self._going.full() or self._behind > WAITING_BYTES:
            self._slow.set()
            return False
        self._going.put_nowait(frame)
        self._behind += len(frame)
        return True

    async def _write(self) -> None:
        while True:
            frame = await self._going.get()
            await self.socket.send_text(frame.decode())
            self._behind -= len(frame)

    async def _read(self) -> None:
        while True:
            raw = (await _text(self.socket)).encode()
            try:
                frame = _frame(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.hear(_told(0, MalformedError("cannot read the frame", suggestion="send a JSON object with id")))
                continue
            try:
                reply = await self._answer(frame)
            except SkerryError as error:
                reply = _told(frame.id, error)
            self.hear(reply)

    async def _answer(self, frame: Frame) -> bytes:
        if frame.method:
            return await self._request(frame)
        tenant = self.principal.tenant
        if frame.subscribe:
            pattern = checked(frame.subscribe, pattern=True)
            if len(self._patterns) >= MOST_PATTERNS:
                raise TooLargeError(f"cannot listen to more than {MOST_PATTERNS} patterns on a connection")
            self._patterns.add(pattern)
            self._topics.add(tenant, pattern, self)
        elif frame.unsubscribe:
            self._patterns.discard(frame.unsubscribe)
            self._topics.remove(tenant, frame.unsubscribe, self)
        elif frame.publish:
            topic = checked(frame.publish, pattern=False)
            _permit(self.principal, Right.CHANGE)
            if topic.startswith(RESERVED):
                raise ForbiddenError(f"cannot publish to {topic}: it is the platform's", suggestion="use another topic")
            heard = _encode(Heard(topic=topic, body=frame.body or NOTHING, sender=self.principal.client))
            reached = sum(one.hear(heard) for one in self._topics.listeners(tenant, topic))
            return _reply(frame.id, 202, _encode({"receivers": reached}))
        else:
            raise MalformedError(
                "cannot do what the frame asks", suggestion="say method, subscribe, unsubscribe or publish"
            )
        return _reply(frame.id, 204)

    async def _request(self, frame: Frame) -> bytes:
        """Answered by the node's own application, gate included, as if it had come over HTTP with the same token."""
        try:
            target = urlsplit(frame.path)
        except ValueError as why:
            raise MalformedError(f"cannot read the path: {why}", suggestion="write it as /mp1/v1/…") from why
        if not target.path.startswith(ROOTS) or frame.method not in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            raise ForbiddenError("cannot ask for this here", suggestion=f"ask for what is below {' '.join(ROOTS)}")
        own = self.socket.scope
        named = {name.lower(): value for name, value in frame.headers.items()}
        kept = [pair for pair in own["headers"] if pair[0] in (b"authorization", b"host")]
        allowed = ("if-match", "accept", "content-type")
        told = [(name.encode(), named[name].encode("latin-1", "replace")) for name in allowed if name in named]
        body = bytes(frame.body)
        if body and "content-type" not in named:
            told.append((b"content-type", b"application/json"))
        scope = {
            "type": "http",
            "asgi": own["asgi"],
            "http_version": "1.1",
            "method": frame.method,
            "scheme": "https" if own["scheme"] == "wss" else "http",
            "path": target.path,
            "raw_path": target.path.encode(),
            "query_string": target.query.encode(),
            "root_path": "",
            "headers": [*kept, *told],
            "client": own.get("client"),
            "server": own.get("server"),
            "skerry.peer": own.get("skerry.peer"),
        }
        # A request goes on to its end where the connection breaks meanwhile, as over HTTP.
        return await asyncio.shield(asyncio.ensure_future(_inside(own["app"], scope, body, frame.id)))


async def _inside(app: Any, scope: dict[str, Any], body: bytes, id: int) -> bytes:
    """One request to the application, and its answer as a frame."""
    parts: list[bytes] = []
    head: dict[str, Any] = {}
    came = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if came.is_set():
            await asyncio.Event().wait()
        came.set()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            head.update(message)
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    shown = {name.decode("latin-1"): value.decode("latin-1") for name, value in head["headers"]}
    headers = {name: shown[name] for name in ("location", "etag", "link") if name in shown}
    whole = b"".join(parts)
    return _reply(id, head["status"], whole, headers)


def _told(id: int, error: SkerryError) -> bytes:
    told = problem.of(error)
    return _reply(id, told.status, _encode(told))


def _reply(id: int, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """What a client gets back for a frame."""
    told: dict[str, Any] = {"id": id, "status": status}
    if headers:
        told["headers"] = headers
    if body:
        told["body"] = msgspec.Raw(body)
    return _encode(told)


async def _text(socket: WebSocket) -> str:
    """The next text; "" for a frame of bytes, which is none."""
    try:
        return await socket.receive_text()
    except KeyError:
        return ""


def _permit(principal: Principal, right: Right) -> None:
    """The gate knows who connects; whether role and scopes are enough is decided here, as by route over HTTP."""
    try:
        rights.check(principal, ROOT, "/bus", right)
    except HttpError as error:
        raise ForbiddenError(error.detail, suggestion=error.suggestion) from error


async def _deliver(socket: WebSocket, services: Services) -> None:
    """Send what waits for a subscription, as often as it takes."""
    principal: Principal = socket.scope["skerry.principal"]
    id = str(socket.path_params["subscriptionId"])
    try:
        _permit(principal, Right.READ)
        app = services.mep.owner(id, tenant=principal.tenant, client=principal.client)
    except SkerryError as error:
        await socket.close(GONE, error.detail[:100])
        return
    await socket.accept()
    settled = 0
    news = asyncio.create_task(_text(socket))
    try:
        while True:
            fetch = asyncio.create_task(services.mep.fetch(app, id, after=settled, wait_s=FETCH_S))
            await asyncio.wait({fetch, news}, return_when=asyncio.FIRST_COMPLETED)
            if news.done():
                fetch.cancel()
                settled = _settled(news.result()).after
                news = asyncio.create_task(_text(socket))
                continue
            for number, body in fetch.result():
                await socket.send_text(_encode({"number": number, "notification": msgspec.Raw(body)}).decode())
            if fetch.result():
                # The next ones follow when these have arrived.
                settled = _settled(await news).after
                news = asyncio.create_task(_text(socket))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        await socket.close(BAD_FRAME, "say {after: NUMBER}")
    except WebSocketDisconnect:
        return
    except SkerryError as error:
        await socket.close(GONE, error.detail[:100])
    finally:
        news.cancel()


def routes(services: Services) -> list[BaseRoute]:
    """The WebSockets of a node."""

    async def bus(socket: WebSocket) -> None:
        try:
            _permit(socket.scope["skerry.principal"], Right.READ)
        except SkerryError as error:
            await socket.close(GONE, error.detail[:100])
            return
        session = Session(socket, services.mep.topics)
        forget = services.clients.hold(session.principal.client, session.end)
        try:
            await session.run()
        finally:
            forget()

    async def notifications(socket: WebSocket) -> None:
        principal: Principal = socket.scope["skerry.principal"]
        delivering = asyncio.ensure_future(_deliver(socket, services))
        forget = services.clients.hold(principal.client, delivering.cancel)
        try:
            await asyncio.wait({delivering})
        finally:
            delivering.cancel()
            forget()
        if delivering.cancelled():
            await socket.close(GONE, ENDED)
        else:
            delivering.result()

    return [
        WebSocketRoute("/mp1/v1/bus", bus),
        WebSocketRoute("/mp1/v1/notifications/{subscriptionId}", notifications),
    ]
