"""What is asked of micro network functions: how they are, their handlers, another configuration, to move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec

from skerry.errors import SkerryError
from skerry.lvnf.backend import Handler, Running
from skerry.lvnf.backends.files import LOG
from skerry.lvnf.control import every_handler, read_any, split_handler
from skerry.vim.driver import ComputeStats, Function, FunctionState, Handover, LogLine, Nic
from skerry.vim.local import admission, execution, logfile
from skerry.vim.local.lives import RUN, Lives, Living, whole


class Functions(Lives):
    """The functions of one edge host."""

    async def show(self, name: str) -> Function:
        """As `Functions.get_function`."""
        one = self._one(name)
        await self._settled(one)
        birth, life = one.birth, one.life
        return Function(
            name=birth.spec.name,
            owner=birth.spec.owner,
            state=life.state,
            since=life.since,
            backend=life.backend,
            why=life.why,
            times_ms=life.times_ms,
            configuration=life.configuration or (await self._edge.work(self._scripts.get, birth.spec.image)).text,
            handlers=birth.options.handlers,
            state_handlers=birth.options.state_handlers,
        )

    async def shown(self) -> list[Function]:
        """All of them."""
        return [await self.show(name) for name in sorted(self._known)]

    async def handlers(self, name: str) -> Sequence[Handler]:
        """As `Functions.list_handlers`."""
        _, running = self._live(name, "read handlers of")
        return await self._edge.work(every_handler, running)

    async def read(self, name: str, handler: str) -> str:
        """As `Functions.read_handler`."""
        one, running = self._live(name, "read a handler of")
        element, what = split_handler(one.birth.options.handlers.get(handler, handler))
        return await self._edge.work(read_any, running, element, what)

    async def write(self, name: str, handler: str, value: str) -> None:
        """As `Functions.write_handler`."""
        one, running = self._live(name, "write a handler of")
        element, what = split_handler(one.birth.options.handlers.get(handler, handler))
        await self._edge.work(running.write, element, what, value)

    @whole
    async def swap(self, name: str, configuration: str) -> Function:
        """As `Functions.swap_function`. A configuration that another back end must run is refused: it would have to stop."""
        one = self._one(name)
        async with one.lock:
            _, running = self._live(name, "exchange the configuration of")
            graph = await self._edge.work(self._graph, one, configuration)
            await self._edge.work(self._backends.choose, graph, one.life.backend)
            await self._edge.work(running.replace, graph)
            one.life = msgspec.structs.replace(one.life, configuration=configuration)
            await self._edge.work(self._save, one)
        self._edge.news.tell("compute", name, "changed")
        return await self.show(name)

    @whole
    async def hand_over(self, name: str) -> Handover:
        """As `Functions.hand_over`: no frame passes any more when the state is read."""
        one = self._one(name)
        async with one.lock:
            if one.life.handed is not None and one.life.state is FunctionState.STOPPED:
                return one.life.handed
            _, running = self._live(name, "move")
            self._enter(one, FunctionState.MIGRATING_STOP)
            try:
                brought = await self._edge.work(self._leave, one, running)
            except (SkerryError, OSError) as wrong:
                await self._edge.work(self._carry, one, True)
                self._enter(one, FunctionState.RUNNING)
                raise admission.as_skerry_error(f"cannot read the state of {name}", wrong) from wrong
            one.life = msgspec.structs.replace(one.life, handed=brought)
            await self._edge.work(self._save, one)
            await self._end(one)
            return brought

    def _leave(self, one: Living, running: Running) -> Handover:
        self._carry(one, False)
        options = one.birth.options
        state = {name: read_any(running, *split_handler(options.handlers[name])) for name in options.state_handlers}
        return Handover(state=state, configuration=one.life.configuration)

    @whole
    async def take_over(self, name: str, brought: Handover) -> Function:
        """As `Functions.take_over`. One that runs already has it."""
        one = self._one(name)
        async with one.lock:
            await self._settled(one)
            self._refuse_failed(one, "start")
            if one.life.state is FunctionState.STOPPED:
                await self._begin(one, FunctionState.MIGRATING_START, brought)
        return await self.show(name)

    async def logs(self, name: str, *, follow: bool, tail: int | None) -> AsyncIterator[LogLine]:
        """What its elements printed."""
        one = self._one(name)
        path = self._folder / one.birth.id / RUN / LOG
        if not follow:
            lines, _, _ = await self._edge.work(logfile.last, path, tail)
            for line in lines:
                yield line
            return
        wake = asyncio.Event()
        one.readers.add(wake)
        try:
            async for line in logfile.follow(path, tail, lambda: self._known.get(name) is not one, wake):
                yield line
        finally:
            one.readers.discard(wake)

    async def stats(self, name: str) -> ComputeStats:
        """As `Stats.stats`."""
        one, running = self._live(name, "measure")
        return await self._edge.work(self._stats, one, running)

    def _stats(self, one: Living, running: Running) -> ComputeStats:
        used = running.usage()
        table = self._edge.network.counters(one.birth.id)
        return execution.counted(table, used.cpu_seconds, used.memory_bytes, used.pids)

    def nics(self, name: str) -> tuple[str, tuple[Nic, ...]]:
        """Its id and interfaces."""
        one = self._one(name)
        return one.birth.id, one.birth.nics
