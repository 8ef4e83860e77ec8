"""Micro network functions on the networks of one edge host: Click configurations as instances.

What runs goes on without this process: a function is found again by its name. The states that people see are those of
`FunctionState`, with the time that each took; to the life cycle a function is a compute resource like any other.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec

from skerry.errors import ConflictError, InvalidError, NotFoundError, SkerryError
from skerry.lvnf import described
from skerry.lvnf.backend import Place, Running
from skerry.lvnf.backends.choice import Backends
from skerry.lvnf.control import split_handler
from skerry.lvnf.fronts import Fronts
from skerry.lvnf.graph import Graph
from skerry.model.time import stamp
from skerry.vim import ipam
from skerry.vim.driver import (
    Capacity,
    Compute,
    ComputeSpec,
    ComputeState,
    FunctionState,
    Handover,
    Image,
    ImageSpec,
    Nic,
)
from skerry.vim.local import admission, records, supervise, workshop
from skerry.vim.local.edge import Edge, Member
from skerry.vim.local.scripts import Script, Scripts

T = TypeVar("T")
P = ParamSpec("P")
L = TypeVar("L", bound="Lives")

_log = logging.getLogger(__name__)

RUN = "run"
_KILLED = 137
_RESTART_S, _RESTART_MOST_S = 0.5, 10.0
_SERVE_THEMSELVES = ("process", "click")
_COMPUTE_STATES: Mapping[FunctionState, ComputeState] = {
    FunctionState.SPAWNING: ComputeState.CREATED,
    FunctionState.MIGRATING_START: ComputeState.CREATED,
    FunctionState.RUNNING: ComputeState.RUNNING,
    FunctionState.STOPPING: ComputeState.STOPPING,
    FunctionState.MIGRATING_STOP: ComputeState.STOPPING,
    FunctionState.STOPPED: ComputeState.EXITED,
}


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """What a function is, written when it is created."""

    id: str
    spec: ComputeSpec
    nics: tuple[Nic, ...]
    options: described.Options
    values: dict[str, str]


class Life(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a function is. `configuration` is one that a swap has put in place of its image's; `handed` the state with which it
    left."""

    state: FunctionState = FunctionState.STOPPED
    born: bool = False  # it has been started once
    failed: bool = False
    since: str = ""
    env: dict[str, str] = {}
    configuration: str = ""
    backend: str = ""
    why: tuple[str, ...] = ()
    times_ms: dict[str, float] = {}
    started_at: str = ""
    handed: Handover | None = None


class Living:
    """One function in memory."""

    def __init__(self, birth: Birth, life: Life) -> None:
        self.birth, self.life = birth, life
        self.running: Running | None = None
        self.lock = asyncio.Lock()
        self.entered = 0.0
        self.readers: set[asyncio.Event] = set()


def whole(
    method: Callable[Concatenate[L, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[L, P], Coroutine[Any, Any, T]]:
    """A method that, once begun, is done to its end although its caller is cancelled: nobody would find half of a start."""

    @functools.wraps(method)
    async def run(self: L, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.shield(self.do(method(self, *args, **kwargs)))

    return run


def _values(one: Living) -> dict[str, str]:
    """What its configuration can ask for."""
    return {**one.life.env, **one.birth.values}


class Lives:
    """The life cycle of the functions of one edge host."""

    def __init__(self, edge: Edge, backends: Backends | None = None) -> None:
        self._edge = edge
        self._folder = edge.data / "functions"
        self._scripts = Scripts(edge.data / "scripts")
        self._backends = backends or Backends()
        self._known: dict[str, Living] = {}
        self._fronts = Fronts()
        self._tasks: set[asyncio.Task[None]] = set()
        self._doing: set[asyncio.Task[Any]] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def members(self) -> list[Member]:
        """Every function."""
        return [(one.birth.spec, one.birth.nics) for one in self._known.values()]

    # -- beginning and end of this process ----------------------------------------------------------------------------

    async def open(self) -> None:
        """Adopt what runs, and learn what has ended meanwhile. Interrupts nothing."""
        for birth, life in await self._edge.work(self._load):
            self._known[birth.spec.name] = Living(birth, life)
        for one in list(self._known.values()):
            await self._adopt(one)

    def _load(self) -> list[tuple[Birth, Life]]:
        self._folder.mkdir(parents=True, exist_ok=True)
        found: list[tuple[Birth, Life]] = []
        self._scripts.open()
        for folder in records.sweep(self._folder):
            birth = records.read(folder / "birth.json", Birth)
            if birth:
                found.append((birth, records.read(folder / "life.json", Life) or Life()))
            else:
                records.discard(folder)
        return found

    async def _adopt(self, one: Living) -> None:
        life = one.life
        if life.state is FunctionState.STOPPED:
            return
        one.running = await self._edge.work(self._found, one)
        if life.state in (FunctionState.SPAWNING, FunctionState.MIGRATING_START):
            await self._end(one)  # whoever wanted it to start asks again
        elif life.state is FunctionState.STOPPING or life.handed is not None:
            await self._end(one)  # also where it has ended already: it was asked to, and did not die
        elif one.running is None:
            await self._died(one)
        else:
            await self._edge.work(self._carry, one, True)
            self._enter(one, FunctionState.RUNNING)
            await self._attended(one)

    def _found(self, one: Living) -> Running | None:
        for name in (one.life.backend,) if one.life.backend else self._backends.names():
            running = self._backends.get(name).adopt(self._place(one))
            if running is not None:
                return running
        return None

    async def close(self) -> None:
        """Stop watching. What runs keeps running, what was begun is done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._doing, return_exceptions=True)
        self._fronts.close()
        for one in self._known.values():
            if one.running:
                one.running.detach()
        await asyncio.to_thread(self._backends.close)
        self._known.clear()

    # -- images -------------------------------------------------------------------------------------------------------

    async def ensure_image(self, spec: ImageSpec) -> Image:
        """Have a configuration."""
        return (await self._edge.work(self._scripts.ensure, spec)).public()

    async def images(self) -> list[Image]:
        """All of them."""
        return [script.public() for script in await self._edge.work(self._scripts.all)]

    async def image(self, name: str) -> Script | None:
        """One by name."""
        return await self._edge.work(self._scripts.find, name)

    async def delete_image(self, name: str) -> None:
        """`ConflictError` while a function uses it."""
        users = sorted(one.birth.spec.name for one in self._known.values() if one.birth.spec.image == name)
        if users:
            raise ConflictError(
                f"cannot delete the image {name}: {', '.join(users[:5])} use it", suggestion="delete them first"
            )
        await self._edge.work(self._scripts.delete, name)

    # -- life ---------------------------------------------------------------------------------------------------------

    @whole
    async def create(self, spec: ComputeSpec) -> Compute:
        """As `Driver.create_compute`."""
        known = self._known.get(spec.name)
        if known is None:
            await self._edge.work(self._scripts.get, spec.image)
            options = described.options_of(spec.options)
            total = await self._edge.capacity()
            known = self._known.get(spec.name) or self._allocate(spec, options, total)
        async with known.lock:
            if not records.same(known.birth.spec, spec):
                raise ConflictError(
                    f"cannot create {spec.name}: it exists with another specification",
                    suggestion="delete it first or choose another name",
                )
            if not known.life.since:
                await self._born(known)
        return self.public(known)

    async def _born(self, one: Living) -> None:
        """Record it and make its ports; a configuration whose values are all known is checked first."""
        name = one.birth.spec.name
        try:
            text = (await self._edge.work(self._scripts.get, one.birth.spec.image)).text
            if described.settled(text, _values(one)):
                await self._edge.work(self._graph, one, text)
            one.life = msgspec.structs.replace(one.life, since=stamp(self._edge.context.clock.now()))
            await self._edge.work(self._make, one)
        except (SkerryError, OSError) as wrong:
            await self._remove(one)
            raise admission.as_skerry_error(f"cannot create {name}", wrong) from wrong
        self._edge.news.tell("compute", name, "created")

    def _allocate(self, spec: ComputeSpec, options: described.Options, total: Capacity) -> Living:
        """Reserve capacity and addresses. No await in here."""
        nics = self._edge.admitted(spec, total)
        values: dict[str, str] = {"HOSTNAME": spec.hostname or spec.name}
        for index, plug in enumerate(self._edge.plugged(spec, nics)):
            network = plug.network
            values |= described.interface_values(index, plug.nic.ip, plug.nic.mac, network.gateway, network.cidr)
        id = f"sk{ipam.digest(self._edge.network.tag, spec.name)}"
        birth = Birth(id=id, spec=spec, nics=nics, options=options, values=values)
        made = self._known[spec.name] = Living(birth, Life(env=dict(spec.env)))
        return made

    def _make(self, one: Living) -> None:
        folder = self._folder / one.birth.id
        (folder / RUN).mkdir(parents=True, exist_ok=True)
        records.write(folder / "birth.json", one.birth)
        self._wire(one)
        self._save(one)

    def _wire(self, one: Living) -> None:
        self._edge.network.wire(one.birth.id, self._edge.plugged(one.birth.spec, one.birth.nics), bare=True)

    def _save(self, one: Living) -> None:
        try:
            records.write(self._folder / one.birth.id / "life.json", one.life)
        except FileNotFoundError:
            return  # it is being removed

    async def set_environment(self, name: str, env: Mapping[str, str]) -> Compute:
        """As `Driver.set_environment`: values for the configuration. A function has neither files nor a command."""
        one = self._one(name)
        async with one.lock:
            await self._settled(one)
            self._refuse_failed(one, "change")
            changed = workshop.changed(records.State(env=one.life.env), env, (), (), {})
            one.life = msgspec.structs.replace(one.life, env=changed.env)
            await self._edge.work(self._save, one)
        self._edge.news.tell("compute", name, "changed")
        return self.public(one)

    @whole
    async def start(self, name: str) -> Compute:
        """As `Driver.start_compute`."""
        one = self._one(name)
        async with one.lock:
            await self._settled(one)
            self._refuse_failed(one, "start")
            if one.life.state is FunctionState.STOPPED:
                await self._begin(one, FunctionState.SPAWNING, one.life.handed)
        return self.public(one)

    async def _begin(self, one: Living, state: FunctionState, brought: Handover | None = None) -> None:
        """Run it; with what it `brought` from elsewhere before the first frame can come."""
        name = one.birth.spec.name
        script = await self._edge.work(self._scripts.get, one.birth.spec.image)
        if brought:
            one.life = msgspec.structs.replace(one.life, configuration=brought.configuration)
        graph = await self._edge.work(self._graph, one, one.life.configuration or script.text)
        backend, why = await self._edge.work(self._backends.choose, graph, one.birth.options.backend)
        one.life = msgspec.structs.replace(one.life, backend=backend.name, why=why)
        self._enter(one, state)
        try:
            one.running = await self._edge.work(self._run, one, graph, brought)
            await self._attend(one)
        except (SkerryError, OSError) as wrong:
            if one.running:
                await self._edge.work(one.running.stop)
                one.running = None
            self._enter(one, FunctionState.STOPPED)
            raise admission.as_skerry_error(f"cannot start {name}", wrong) from wrong
        now = stamp(self._edge.context.clock.now())
        one.life = msgspec.structs.replace(one.life, born=True, started_at=now, handed=None)
        self._enter(one, FunctionState.RUNNING)
        for reader in one.readers:
            reader.set()
        self._edge.news.tell("compute", name, "started")

    def _run(self, one: Living, graph: Graph, brought: Handover | None) -> Running:
        if not self._edge.network.wired(one.birth.id):
            self._wire(one)
        self._carry(one, brought is None)
        running = self._backends.get(one.life.backend).start(graph, self._place(one))
        if brought is not None:
            for name, value in brought.state.items():
                running.write(*split_handler(one.birth.options.handlers.get(name, name)), value)
            self._carry(one, True)
        return running

    def _carry(self, one: Living, on: bool) -> None:
        """Let frames in and out, or none."""
        self._edge.network.carry(one.birth.id, [nic.device for nic in one.birth.nics], on)

    def _place(self, one: Living) -> Place:
        return Place(
            name=one.birth.id,
            folder=self._folder / one.birth.id / RUN,
            namespace=self._edge.network.instance_path(one.birth.id),
            devices={nic.device: nic.device for nic in one.birth.nics},
            memory_bytes=one.birth.spec.memory_bytes,
        )

    def _graph(self, one: Living, text: str) -> Graph:
        """The checked configuration with the function's values. `InvalidError` names every fault."""
        return self._fit(one, described.graph_of(text, _values(one)))

    @staticmethod
    def _fit(one: Living, graph: Graph) -> Graph:
        faults = described.faults_of(graph, one.birth.options, len(one.birth.nics))
        if faults:
            raise InvalidError(f"cannot run {one.birth.spec.name}: {faults[0].message}", faults=faults)
        return graph

    async def _attend(self, one: Living) -> None:
        """Learn of its end, and serve its ControlSocket."""
        running = one.running
        if running is None:
            return
        pid = getattr(running, "pid", 0)
        if pid:
            process = supervise.identify(pid)
            if process is not None:
                self._edge.exits.watch(one.birth.id, process, lambda: self._spawn(self._look(one)))
        own = one.life.backend in _SERVE_THEMSELVES
        folder = None if own else self._folder / one.birth.id / RUN
        await self._fronts.serve(one.birth.id, running, folder=folder, address=one.birth.options.control)

    async def _attended(self, one: Living) -> None:
        """Attend one that ran before this process. An address that another has taken meanwhile stops nothing."""
        try:
            await self._attend(one)
        except (SkerryError, OSError) as wrong:
            _log.warning("no ControlSocket for %s: %s", one.birth.spec.name, wrong)

    def do(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do something to its end, whether or not somebody waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._doing.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._doing.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody else needs to be told

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self, one: Living) -> None:
        async with one.lock:
            await self._settled(one)

    async def _settled(self, one: Living) -> None:
        """Bring the state up to date where it has ended by itself."""
        running = one.running
        if one.life.state is FunctionState.RUNNING and running and not await self._edge.work(running.alive):
            await self._died(one)

    async def _died(self, one: Living) -> None:
        stopped = one.running is not None and getattr(one.running, "said_stop", lambda: False)()
        self._let_go(one)
        name, again = one.birth.spec.name, one.birth.spec.restart
        one.life = msgspec.structs.replace(one.life, failed=not stopped and not again)
        self._enter(one, FunctionState.STOPPED)
        self._edge.news.tell("compute", name, "exited" if stopped else "killed", 0 if stopped else _KILLED)
        if again and not stopped:
            self._spawn(self._again(one))

    async def _again(self, one: Living) -> None:
        delay = _RESTART_S
        while True:
            await asyncio.sleep(delay)
            if self._known.get(one.birth.spec.name) is not one:
                return
            try:
                await self.start(one.birth.spec.name)
            except SkerryError as wrong:
                _log.warning("%s does not start again: %s", one.birth.spec.name, wrong.detail)
                delay = min(delay * 2, _RESTART_MOST_S)
            else:
                return

    def _let_go(self, one: Living) -> None:
        self._edge.exits.forget(one.birth.id)
        self._fronts.withdraw(one.birth.id)
        one.running = None

    @whole
    async def stop(self, name: str) -> Compute:
        """As `Driver.stop_compute`; a function needs no grace."""
        one = self._one(name)
        async with one.lock:
            await self._settled(one)
            self._refuse_failed(one, "stop")
            if one.life.state is not FunctionState.STOPPED:
                self._enter(one, FunctionState.STOPPING)
                await self._end(one)
        return self.public(one)

    async def _end(self, one: Living) -> None:
        running = one.running or (await self._edge.work(self._found, one) if one.life.backend else None)
        self._let_go(one)
        if running:
            await self._edge.work(running.stop)
        self._enter(one, FunctionState.STOPPED)
        self._edge.news.tell("compute", one.birth.spec.name, "exited", 0)

    @whole
    async def delete(self, name: str) -> None:
        """As `Driver.delete_compute`."""
        one = self._known.get(name)
        if one is None:
            return
        async with one.lock:
            if self._known.get(name) is not one:
                return
            await self._remove(one)
        self._edge.news.tell("compute", name, "deleted")

    async def _remove(self, one: Living) -> None:
        running = one.running or (await self._edge.work(self._found, one) if one.life.backend else None)
        self._let_go(one)
        if running:
            await self._edge.work(running.stop)
        await self._edge.work(self._edge.network.unwire, one.birth.id, len(one.birth.nics))
        await self._edge.work(records.discard, self._folder / one.birth.id)
        self._known.pop(one.birth.spec.name, None)
        for reader in one.readers:
            reader.set()

    def _enter(self, one: Living, state: FunctionState) -> None:
        """Change the state and remember how long the last one took."""
        clock, life = self._edge.context.clock, one.life
        now = clock.monotonic()
        times = dict(life.times_ms)
        if life.state is not state and one.entered:
            times[life.state.value] = round((now - one.entered) * 1000, 3)
        one.entered = now
        one.life = msgspec.structs.replace(life, state=state, since=stamp(clock.now()), times_ms=times)
        self._save(one)

    @staticmethod
    def _refuse_failed(one: Living, what: str) -> None:
        if one.life.failed:
            raise ConflictError(
                f"cannot {what} {one.birth.spec.name}: it is FAILED",
                suggestion="delete it; what failed can only be deleted",
            )

    def _one(self, name: str) -> Living:
        one = self._known.get(name)
        if one is None:
            raise NotFoundError(f"cannot find the function {name}", suggestion="list the functions of this VIM")
        return one

    def _live(self, name: str, what: str) -> tuple[Living, Running]:
        one = self._one(name)
        if one.running is None or one.life.state is not FunctionState.RUNNING:
            raise ConflictError(
                f"cannot {what} {name}: it is not running ({one.life.state})", suggestion="start it first"
            )
        return one, one.running

    async def get(self, name: str) -> Compute:
        """As `Driver.get_compute`."""
        one = self._one(name)
        await self._settled(one)
        return self.public(one)

    async def all(self) -> list[Compute]:
        """As `Driver.list_compute`."""
        for one in list(self._known.values()):
            await self._settled(one)
        return [self.public(one) for _, one in sorted(self._known.items())]

    def public(self, one: Living) -> Compute:
        """As the contract shows a compute resource."""
        birth, life = one.birth, one.life
        state = _COMPUTE_STATES[life.state]
        if life.state is FunctionState.STOPPED:
            state = ComputeState.EXITED if life.born else ComputeState.CREATED
        return Compute(
            id=birth.id,
            name=birth.spec.name,
            owner=birth.spec.owner,
            state=ComputeState.FAILED if life.failed else state,
            image=birth.spec.image,
            nics=birth.nics,
            host=self._edge.host,
            exit_code=_KILLED if life.failed else 0 if state is ComputeState.EXITED else None,
            pid=getattr(one.running, "pid", None) if one.running else None,
            started_at=life.started_at,
            labels=birth.spec.labels,
            env=life.env,
        )
