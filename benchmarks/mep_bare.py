"""The least that a durable service registry can be: Starlette, uvicorn, SQLite with a sync for every commit; no validation, no
access, no events, no notifications."""

from __future__ import annotations

import socket
import sqlite3
import uuid
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def serve(path: str, ready: Any) -> None:
    """Serve on any free port, which goes into the pipe `ready`."""
    listener = socket.socket()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    ready.send(listener.getsockname()[1])
    config = uvicorn.Config(
        application(path), http="httptools", ws="none", loop="asyncio", lifespan="off", log_config=None
    )
    config.access_log = False
    uvicorn.Server(config).run(sockets=[listener])


def application(path: str) -> Starlette:
    """POST stores a JSON document, GET answers those that are shown."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE services (id TEXT PRIMARY KEY, shown INTEGER, doc BLOB)")
    database.execute("CREATE INDEX shown ON services (shown) WHERE shown = 1")

    def adding(shown: int) -> Any:
        async def post(request: Request) -> Response:
            document = msgspec.json.decode(await request.body())
            id = document["serInstanceId"] = str(uuid.uuid4())
            encoded = msgspec.json.encode(document)
            database.execute("INSERT INTO services VALUES (?, ?, ?)", (id, shown, encoded))
            return Response(encoded, 201, media_type="application/json")

        return post

    async def get(_: Request) -> Response:
        rows = database.execute("SELECT doc FROM services WHERE shown = 1").fetchall()
        found = [msgspec.json.decode(row[0]) for row in rows]
        return Response(msgspec.json.encode(found), media_type="application/json")

    return Starlette(
        routes=[
            Route("/services", adding(0), methods=["POST"]),
            Route("/shown", adding(1), methods=["POST"]),
            Route("/services", get),
        ]
    )
