"""The node's side of its agents: which there are, how they are, and their functions.

An agent is known by its first connection on, and stays so until it is forgotten. One that misses its heartbeats is down: its
functions may well go on, but nobody can tell; they are shown as they were. What an agent has it tells itself after every
connect, so nothing of that is kept here but the names of the agents, in one file.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from skerry.errors import (
    ConflictError,
    DriverError,
    Fault,
    ForbiddenError,
    InvalidError,
    MalformedError,
    NotFoundError,
    SkerryError,
    UnavailableError,
)
from skerry.lvnf.agent import messages
from skerry.lvnf.agent.messages import Answer, Caps, Cpu, FunctionSpec, Hello, Question, Stats, Status
from skerry.model.time import Clock, stamp

UP, DOWN, FORGOTTEN = "UP", "DOWN", "FORGOTTEN"
_PATIENCE_S = 30.0
_GRACE_S = messages.BEAT_S * (messages.MISSED + 1)
"""How long an agent that was known before the node's start may take to come back."""
MOST = 1024
"""Agents of one node."""
LARGEST = 16 << 20
"""Bytes that what one agent tells of its functions may have."""

Send = Callable[[bytes], Awaitable[None]]
Hang = Callable[[], None]
Tell = Callable[[str, str, Mapping[str, Any]], None]
"""Told of what happens: the agent, its state or the function's, and what else there is to say (`detail` in words)."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as it is kept: its name and when it was first seen."""

    agent: str
    since: str


class AgentView(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as it is now. `state` is UP until it misses its heartbeats, then DOWN; `connected` whether it is at this moment;
    `seen_at` its last heartbeat (RFC 3339, "" = none since the node's start)."""

    agent: str
    state: str
    connected: bool
    since: str
    seen_at: str = ""
    every_s: float = 0.0
    cpu: Cpu | None = None
    caps: Caps | None = None
    functions: int = 0


class _Agent:
    def __init__(self, known: Known, state: str, deadline: float) -> None:
        self.known = known
        self.state = state
        self.met = False  # since the node's start
        self.deadline = deadline
        self.seen_at = ""
        self.every_s = 0.0
        self.cpu: Cpu | None = None
        self.caps: Caps | None = None
        self.functions: dict[str, Status] = {}
        self.sizes: dict[str, int] = {}  # of what it told of each, in bytes
        self.session: Session | None = None


class Session:
    """One connection of an agent. `hear` is given each text that comes; whoever carries it calls `ended` at its end."""

    def __init__(self, agents: Agents, agent: str, send: Send, hang: Hang) -> None:
        self._agents = agents
        self._agent = agent  # "": whoever it says that it is
        self._send = send
        self.hang = hang
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self.one: _Agent | None = None

    async def hear(self, text: bytes) -> None:
        """One message. `MalformedError` for none of the protocol, `ForbiddenError` for the name of another agent: the
        connection ends with it."""
        if len(text) > messages.LARGEST:
            raise MalformedError(f"cannot take a message of over {messages.LARGEST} bytes")
        try:
            message = messages.decode_from_agent(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise MalformedError(f"cannot read the agent's message: {error}") from error
        if isinstance(message, Hello):
            await self._hello(message)
        elif self.one is None:
            raise MalformedError("cannot take this before a hello")
        elif isinstance(message, Caps):
            self.one.caps = message
        elif isinstance(message, Status):
            self._agents.learned(self.one, message)
        else:
            asked = self._asked.pop(message.id, None)
            if asked is not None and not asked.done():
                asked.set_result(message)

    async def _hello(self, hello: Hello) -> None:
        if hello.version != messages.VERSION:
            raise MalformedError(f"cannot speak version {hello.version} of the protocol")
        if hello.agent != (self._agent or hello.agent) or (self.one and self.one.known.agent != hello.agent):
            raise ForbiddenError(f"cannot take the agent {hello.agent}: the connection is that of {self._agent}")
        fresh = self.one is None
        self.one = self._agents.beat(self, hello)
        if fresh:
            await self._send(messages.encode(messages.Welcome(node=self._agents.node)))

    async def ask(self, make: Callable[[int], Question]) -> Answer:
        """Ask the agent and wait for the answer. `UnavailableError` when it does not come."""
        number = next(self._numbers)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._send(messages.encode(make(number)))
                return await future
        except (TimeoutError, OSError, RuntimeError) as error:
            raise UnavailableError(
                f"cannot reach the agent {self._agent}: it does not answer", suggestion="try again"
            ) from error
        finally:
            self._asked.pop(number, None)

    def ended(self) -> None:
        """The connection is gone: nobody waits any longer."""
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(
                    UnavailableError("cannot reach the agent: the connection broke", suggestion="try again")
                )
        if self.one is not None and self.one.session is self:
            self.one.session = None


class Agents:
    """All agents of a node. `tell` is told of agents that come and go and of the states of their functions."""

    def __init__(self, node: str, file: Path, clock: Clock, tell: Tell) -> None:
        self.node = node
        self._file = file
        self._clock = clock
        self._tell = tell
        self._all: dict[str, _Agent] = {}
        self._watching: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Remember the agents; each has some seconds to come back."""
        deadline = self._clock.monotonic() + _GRACE_S
        for known in self._read():
            self._all[known.agent] = _Agent(known, UP, deadline)
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """Let go of all connections."""
        if self._watching:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        for one in self._all.values():
            if one.session:
                one.session.hang()

    def _read(self) -> list[Known]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=list[Known])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            raise UnavailableError(
                f"cannot read the known agents in {self._file}: {error}",
                suggestion="remove the file; agents make themselves known again when they connect",
            ) from error

    def _write(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_bytes(msgspec.json.encode([one.known for one in self._all.values()]))
        new.rename(self._file)

    async def _watch(self) -> None:
        """Find out who misses its heartbeats."""
        while True:
            now = self._clock.monotonic()
            for one in self._all.values():
                if one.deadline <= now and one.state == UP:
                    self._lost(one)
            waiting = [one.deadline - now for one in self._all.values() if one.state == UP]
            self._news.clear()
            try:
                async with asyncio.timeout(max(min(waiting), 0.01) if waiting else None):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _lost(self, one: _Agent) -> None:
        one.state = DOWN
        if one.session is not None:
            one.session.hang()
        detail = f"nothing was heard of it for {messages.MISSED} heartbeats and more"
        self._tell(one.known.agent, DOWN, {"detail": detail, "seenAt": one.seen_at, "functions": sorted(one.functions)})

    # -- what agents say ----------------------------------------------------------------------------------------------

    def connect(self, agent: str, send: Send, hang: Hang) -> Session:
        """A connection of the agent that is known by this name ("": by any that it says)."""
        return Session(self, agent, send, hang)

    def beat(self, session: Session, hello: Hello) -> _Agent:
        """A heartbeat."""
        now = stamp(self._clock.now())
        one = self._all.get(hello.agent)
        if one is None:
            if len(self._all) >= MOST:
                raise ConflictError(f"cannot take more than {MOST} agents", suggestion="forget some")
            one = self._all[hello.agent] = _Agent(Known(agent=hello.agent, since=now), DOWN, 0.0)
            self._write()
        if one.session is not session:
            if one.session is not None:
                one.session.hang()
            one.session = session
            one.functions, one.sizes, one.caps = {}, {}, None
        one.every_s = hello.every_ms / 1000
        one.deadline = self._clock.monotonic() + one.every_s * (messages.MISSED + 1)
        one.seen_at, one.cpu = now, hello.cpu
        if one.state != UP or not one.met:
            one.state, one.met = UP, True
            self._tell(hello.agent, UP, {"detail": "it is connected"})
            self._news.set()
        return one

    def learned(self, one: _Agent, status: Status) -> None:
        """An agent tells how a function is. `ConflictError` for more than one agent can have."""
        before = one.functions.get(status.lvnf)
        if status.gone:
            one.functions.pop(status.lvnf, None)
            one.sizes.pop(status.lvnf, None)
        else:
            self._keep(one, status)
        if (before is not None) if status.gone else (before is None or before.state is not status.state):
            data = {"detail": status.trouble, "lvnf": status.lvnf, "times_ms": status.times_ms}
            self._tell(one.known.agent, "deleted" if status.gone else status.state.value, data)

    @staticmethod
    def _keep(one: _Agent, status: Status) -> None:
        name, size = status.lvnf, len(messages.encode(status))
        if name not in one.functions and len(one.functions) >= messages.FUNCTIONS:
            raise ConflictError(
                f"cannot take more than {messages.FUNCTIONS} functions of the agent {one.known.agent}",
                suggestion="delete some, or run another agent",
            )
        if sum(one.sizes.values()) - one.sizes.get(name, 0) + size > LARGEST:
            raise ConflictError(
                f"cannot keep more than {LARGEST} bytes about the functions of the agent {one.known.agent}",
                suggestion="delete some, or run another agent",
            )
        one.functions[name], one.sizes[name] = status, size

    # -- what people ask ----------------------------------------------------------------------------------------------

    def agents(self) -> Sequence[AgentView]:
        """All, by name."""
        return [self._view(self._all[name]) for name in sorted(self._all)]

    def agent(self, agent: str) -> AgentView:
        """One."""
        return self._view(self._one(agent))

    def forget(self, agent: str) -> None:
        """Forget one that is down. `ConflictError` for one that is not."""
        one = self._one(agent)
        if one.session is not None:
            raise ConflictError(f"cannot forget the agent {agent}: it is connected", suggestion="stop it first")
        del self._all[agent]
        self._write()
        self._tell(agent, FORGOTTEN, {"detail": "nobody waits for it any more"})

    def functions(self, agent: str) -> Sequence[Status]:
        """The functions of an agent, by name."""
        one = self._one(agent)
        return [one.functions[name] for name in sorted(one.functions)]

    def function(self, agent: str, name: str) -> Status:
        """One function as the agent told it."""
        found = self._one(agent).functions.get(name)
        if found is None:
            raise NotFoundError(
                f"cannot find the function {name} of the agent {agent}", suggestion="list its functions"
            )
        return found

    async def add(self, agent: str, spec: FunctionSpec) -> Status:
        """Run a function there, or give one that runs another configuration."""
        one, answer = await self._ask(agent, lambda number: messages.AddLvnf(id=number, lvnf=spec))
        return self._settled(one, answer)

    async def remove(self, agent: str, name: str) -> Status:
        """Stop and delete a function there."""
        one, answer = await self._ask(agent, lambda number: messages.DelLvnf(id=number, lvnf=name))
        return self._settled(one, answer)

    async def refresh(self, agent: str, name: str) -> Status:
        """How a function is now."""
        one, answer = await self._ask(agent, lambda number: messages.AskStatus(id=number, lvnf=name))
        return self._settled(one, answer)

    async def stats(self, agent: str, name: str) -> Stats:
        """What a function uses."""
        _, answer = await self._ask(agent, lambda number: messages.AskStats(id=number, lvnf=name))
        if answer.stats is None:
            raise DriverError(f"cannot understand the agent {agent}: it answers without stats")
        return answer.stats

    async def get(self, agent: str, name: str, handler: str) -> str:
        """A handler's value."""
        _, answer = await self._ask(agent, lambda number: messages.GetHandler(id=number, lvnf=name, handler=handler))
        return answer.value or ""

    async def set(self, agent: str, name: str, handler: str, value: str) -> None:
        """Write a handler."""
        await self._ask(agent, lambda number: messages.SetHandler(id=number, lvnf=name, handler=handler, value=value))

    async def _ask(self, agent: str, make: Callable[[int], Question]) -> tuple[_Agent, Answer]:
        one = self._one(agent)
        if one.session is None:
            raise UnavailableError(
                f"cannot reach the agent {agent}: it is not connected", suggestion="wait until it is, then try again"
            )
        answer = await one.session.ask(make)
        if answer.trouble is not None:
            raise _error(answer.trouble)
        return one, answer

    def _settled(self, one: _Agent, answer: Answer) -> Status:
        if answer.status is None:
            raise DriverError(f"cannot understand the agent {one.known.agent}: it answers without a status")
        self.learned(one, answer.status)
        return answer.status

    def _one(self, agent: str) -> _Agent:
        one = self._all.get(agent)
        if one is None:
            raise NotFoundError(f"cannot find the agent {agent}", suggestion="list the agents to see which there are")
        return one

    @staticmethod
    def _view(one: _Agent) -> AgentView:
        return AgentView(
            agent=one.known.agent,
            state=one.state,
            connected=one.session is not None,
            since=one.known.since,
            seen_at=one.seen_at,
            every_s=one.every_s,
            cpu=one.cpu,
            caps=one.caps,
            functions=len(one.functions),
        )


def _error(trouble: messages.Trouble) -> SkerryError:
    """What the agent refused, as the same error here."""
    if trouble.kind == "invalid":
        faults = [Fault(message=text) for text in trouble.faults]
        return InvalidError(trouble.detail, suggestion=trouble.suggestion, faults=faults)
    if trouble.kind == "not-found":
        return NotFoundError(trouble.detail, suggestion=trouble.suggestion)
    if trouble.kind == "conflict":
        return ConflictError(trouble.detail, suggestion=trouble.suggestion)
    return DriverError(trouble.detail, suggestion=trouble.suggestion)
