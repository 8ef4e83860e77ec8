"""The agent as a program: it connects, tells how it is, and does what the node asks; a connection that breaks is made again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import msgspec

from skerry import __version__
from skerry.errors import ConflictError, InvalidError, NotFoundError, SkerryError, UnavailableError
from skerry.lvnf.agent import messages
from skerry.lvnf.agent.channel import Channel, Target
from skerry.lvnf.agent.functions import Functions
from skerry.lvnf.agent.machine import Machine
from skerry.lvnf.agent.messages import Answer, Caps, Hello, PortKind, State, Status, Trouble
from skerry.lvnf.agent.switch import RUN, Switch
from skerry.lvnf.agent.wiring import Wiring
from skerry.lvnf.backends.choice import Backends
from skerry.lvnf.catalogue import KINDS
from skerry.lvnf.fronts import Fronts

log = logging.getLogger("skerry.agent")

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_TOGETHER = 16


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent runs: its name, the node, its folder, its bridge ("" = none) and where that switch's sockets are, seconds
    between heartbeats."""

    agent: str
    target: Target
    folder: Path
    bridge: str = ""
    switch_run: Path = RUN
    every_s: float = messages.BEAT_S


class Agent:
    """One agent. `run` serves until it is cancelled."""

    def __init__(self, options: Options, backends: Backends | None = None) -> None:
        self._options = options
        self._backends = backends or Backends()
        self._switch = Switch(options.bridge, options.switch_run) if options.bridge else None
        self._machine = Machine()
        self._news: asyncio.Queue[bytes] = asyncio.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seq = 0
        self._wait = _FIRST_WAIT_S
        self._tasks: set[asyncio.Task[None]] = set()
        self._fronts = Fronts()
        self._served: set[str] = set()
        self._room = asyncio.Semaphore(_TOGETHER)
        self._functions = Functions(
            options.folder / "functions",
            Wiring(options.agent, self._switch),
            self._backends,
            changed=self._changed,
            monotonic=time.monotonic,
        )

    async def run(self) -> None:
        """Adopt what is there, then stay connected."""
        self._loop = asyncio.get_running_loop()
        if self._switch is not None:
            await asyncio.to_thread(self._switch.ensure)
        await asyncio.to_thread(self._functions.open)
        looking = asyncio.create_task(self._look())
        try:
            while True:
                await self._connected()
                await asyncio.sleep(self._wait * random.uniform(0.5, 1.0))  # noqa: S311  # spreads reconnects, no secret
                self._wait = min(self._wait * 2, _LONGEST_WAIT_S)
        finally:
            for task in (looking, *self._tasks):
                task.cancel()
            self._fronts.close()
            await asyncio.to_thread(self._functions.close)

    async def _connected(self) -> None:
        """One connection from its beginning to its end."""
        try:
            channel = await Channel.connect(self._options.target)
        except UnavailableError as error:
            log.warning("%s", error.detail)
            return
        work = [asyncio.create_task(one(channel)) for one in (self._read, self._beat)]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in work:
                task.cancel()
            for result in await asyncio.gather(*work, return_exceptions=True):
                if isinstance(result, Exception) and not isinstance(result, OSError):
                    log.warning("the connection ends: %s", result)
            await channel.close()
        log.warning("the connection to the node is gone")

    async def _beat(self, channel: Channel) -> None:
        """A hello at once and in each period. In no thread: those may all be busy with functions."""
        every = int(self._options.every_s * 1000)
        while True:
            hello = Hello(agent=self._options.agent, seq=self._seq, every_ms=every, cpu=self._machine.measure())
            self._seq += 1
            await channel.send(messages.encode(hello))
            await asyncio.sleep(self._options.every_s)

    async def _look(self) -> None:
        """See to the functions in each period."""
        while True:
            await asyncio.sleep(self._options.every_s)
            await asyncio.to_thread(self._functions.look)

    async def _read(self, channel: Channel) -> None:
        telling: asyncio.Task[None] | None = None
        try:
            async for text in channel.texts():
                message = messages.decode_from_node(text)
                if isinstance(message, messages.Welcome):
                    log.info("connected to the node %s", message.node)
                    self._wait = _FIRST_WAIT_S
                    await self._introduce(channel)
                    telling = telling or asyncio.create_task(self._tell(channel))
                else:
                    self._spawn(message, channel)
        finally:
            if telling is not None:
                telling.cancel()

    async def _introduce(self, channel: Channel) -> None:
        """What this agent has and, when that is told, what it can; older news are in that."""
        while not self._news.empty():
            self._news.get_nowait()
        for status in self._functions.statuses():
            await channel.send(messages.encode(status))
        kinds = (PortKind.BRIDGE, PortKind.TAP) if self._switch else (PortKind.TAP,)
        await channel.send(
            messages.encode(
                Caps(
                    backends=self._backends.names(),
                    elements=tuple(sorted(KINDS)),
                    ports=kinds,
                    bridge=self._options.bridge,
                    program=__version__,
                )
            )
        )

    async def _tell(self, channel: Channel) -> None:
        while True:
            await channel.send(await self._news.get())

    def _changed(self, status: Status) -> None:
        """A function has a new state; called in any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the agent
                self._loop.call_soon_threadsafe(self._tidings, status)

    def _tidings(self, status: Status) -> None:
        self._news.put_nowait(messages.encode(status))
        if status.state is not State.RUNNING:
            self._served.discard(status.lvnf)
            self._fronts.withdraw(status.lvnf)
        elif status.lvnf not in self._served:
            self._served.add(status.lvnf)
            self._begin(self._front(status.lvnf))

    async def _front(self, name: str) -> None:
        """Serve the ControlSocket of a function that does not do so itself."""
        found = self._functions.front(name)
        if found is not None:
            running, folder, address = found
            try:
                await self._fronts.serve(name, running, folder=folder, address=address)
            except (SkerryError, OSError) as error:
                log.warning("no ControlSocket for %s: %s", name, error)

    def _spawn(self, question: messages.Question, channel: Channel) -> None:
        """Answer beside what comes next."""
        self._begin(self._answer(question, channel))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, question: messages.Question, channel: Channel) -> None:
        answer = Answer(id=question.id, trouble=Trouble(kind="failed", detail="cannot do it: see the agent's log"))
        try:
            async with self._room:
                answer = await asyncio.to_thread(self._do, question)
        finally:
            with contextlib.suppress(OSError):  # the connection broke: the node asks again, or reads the status
                await channel.send(messages.encode(answer))

    def _do(self, question: messages.Question) -> Answer:
        try:
            return _done(self._functions, question)
        except SkerryError as error:
            return Answer(id=question.id, trouble=_trouble(error))
        except OSError as error:
            return Answer(id=question.id, trouble=Trouble(kind="failed", detail=f"cannot do it: {error}"))


def _done(functions: Functions, question: messages.Question) -> Answer:
    id = question.id
    match question:
        case messages.AddLvnf():
            return Answer(id=id, status=functions.add(question.lvnf))
        case messages.DelLvnf():
            return Answer(id=id, status=functions.delete(question.lvnf))
        case messages.AskStatus():
            return Answer(id=id, status=functions.status(question.lvnf))
        case messages.AskStats():
            return Answer(id=id, stats=functions.stats(question.lvnf))
        case messages.GetHandler():
            return Answer(id=id, value=functions.get(question.lvnf, question.handler))
        case messages.SetHandler():
            functions.set(question.lvnf, question.handler, question.value)
            return Answer(id=id)


_KINDS: tuple[tuple[type[SkerryError], str], ...] = (
    (InvalidError, "invalid"),
    (NotFoundError, "not-found"),
    (ConflictError, "conflict"),
)


def _trouble(error: SkerryError) -> Trouble:
    kind = next((name for known, name in _KINDS if isinstance(error, known)), "failed")
    faults = tuple(str(fault) for fault in error.faults)
    return Trouble(kind=kind, detail=error.detail, suggestion=error.suggestion, faults=faults)


async def serve(options: Options, ready: Callable[[], None] = lambda: None) -> None:
    """Run an agent until SIGTERM or SIGINT. Its functions go on."""
    agent = Agent(options)
    task = asyncio.create_task(agent.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    ready()
    with contextlib.suppress(asyncio.CancelledError):
        await task
