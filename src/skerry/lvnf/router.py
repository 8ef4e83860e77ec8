"""A function at work: a checked graph whose elements hand packets on. Single-threaded; time and chance come from outside.

Whoever runs it gives it frames (`receive`), calls `tick` after each batch of them and whenever `wake` says, and sends what
comes out. A packet never makes it raise: what an element cannot use, it drops or lets leave by its last output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from skerry.errors import InvalidError, NotFoundError
from skerry.lvnf.backend import Handler, HandlerKind
from skerry.lvnf.elements import CLASSES
from skerry.lvnf.elements.behaviour import Action, Behaviour, Context, Due, Pull, Push, Task, drop, never
from skerry.lvnf.elements.packet import Packet
from skerry.lvnf.elements.plain import FromDevice
from skerry.lvnf.graph import Connection, Graph, Processing
from skerry.lvnf.unparsing import flat_text, ports_text

VERSION = "2.1"
"""The Click whose behaviour this is."""

_TURNS = 4
_LOOP = "cannot hand a packet on for ever: the configuration has a loop; it was dropped"
T = TypeVar("T")


class Router:
    """A graph at work."""

    def __init__(
        self,
        graph: Graph,
        now: Callable[[], float],
        random: Callable[[], float],
        log: Callable[[str], None],
        send: Callable[[str, bytes], None],
        *,
        old: Router | None = None,
    ) -> None:
        """Build it; with `old`, elements of the same name and class go on with its state."""
        self.graph = graph
        self.stopped = False
        self._now = now
        self._log = log
        context = Context(
            now=now,
            random=random,
            log=log,
            send=send,
            call_read=self.read,
            call_write=self.write,
            exists=lambda name: name in self._behaviours,
            stop=self._stop,
        )
        self._behaviours: dict[str, Behaviour[Any]] = {
            name: CLASSES[element.class_name](element, context) for name, element in graph.elements.items()
        }
        self._leaving = {(one.source, one.output): one for one in graph.connections}
        self._entering = {(one.target, one.input): one for one in graph.connections}
        self._wire()
        self._tasks = [one for one in self._behaviours.values() if isinstance(one, Task)]
        self._receivers = self._make_receivers()
        adopted = self.adopt(old) if old is not None else frozenset[str]()
        for name, behaviour in self._behaviours.items():
            if name not in adopted:
                behaviour.begin()

    # --- packets

    def receive(self, device: str, frame: bytes) -> None:
        """A frame came in by this device."""
        self.receiver(device)(frame)

    def receiver(self, device: str) -> Callable[[bytes], None]:
        """What takes the frames of a device: `receive` without its look-up."""
        return self._receivers.get(device, _ignore)

    def tick(self) -> None:
        """Do what is due: timers, and what pulls packets. A bounded amount; `wake` tells of the rest."""
        now = self._now()
        for _ in range(_TURNS):
            idle = True
            for task in self._tasks:
                due = task.task_due()
                if due is not None and due <= now:
                    idle = False
                    self._safely(task.run)
            if idle:
                return

    def wake(self) -> float | None:
        """When `tick` next has something to do; None: only after a frame or a write."""
        dues = [due for task in self._tasks if (due := task.task_due()) is not None]
        return min(dues, default=None)

    def _safely(self, action: Callable[[], None]) -> None:
        try:
            action()
        except RecursionError:
            self._log(_LOOP)

    def _make_receivers(self) -> Mapping[str, Callable[[bytes], None]]:
        ends = (one for one in self._behaviours.values() if isinstance(one, FromDevice))
        return {end.config.device: self._receiver(end) for end in ends}

    def _receiver(self, end: FromDevice) -> Callable[[bytes], None]:
        receive, log = end.receive, self._log

        def take(frame: bytes) -> None:
            try:
                receive(frame)
            except RecursionError:
                log(_LOOP)

        return take

    # --- wiring

    def _wire(self) -> None:
        for name, behaviour in self._behaviours.items():
            outputs = [self._pusher(self._leaving.get((name, port))) for port in range(behaviour.element.outputs)]
            pulled = self._entering.get((name, 0))
            if pulled is not None and pulled.processing is Processing.PULL:
                behaviour.wire(outputs or [drop], *self._puller(pulled))
            else:
                behaviour.wire(outputs or [drop], never, never)

    def _pusher(self, connection: Connection | None) -> Push:
        """What takes a packet at the end of a connection. A run of actions becomes one loop."""
        actions: list[Callable[[Packet], Packet | None]] = []
        seen: set[str] = set()
        while connection is not None and connection.processing is Processing.PUSH:
            target = self._behaviours[connection.target]
            if not isinstance(target, Action):
                return _chained(actions, target.entry(connection.input))
            if connection.target in seen:
                return _chained(actions, self._late(connection))
            seen.add(connection.target)
            actions.append(target.action)
            connection = self._leaving.get((connection.target, 0))
        return _chained(actions, drop)

    def _late(self, connection: Connection) -> Push:
        """For a loop of actions: found when a packet gets there."""

        def find(packet: Packet) -> None:
            self._pusher(connection)(packet)

        return find

    def _puller(self, connection: Connection) -> tuple[Pull, Due]:
        """What gives a packet at the start of a pull connection, and when."""
        actions: list[Callable[[Packet], Packet | None]] = []
        seen: set[str] = set()
        found: Connection | None = connection
        while found is not None and found.source not in seen:
            seen.add(found.source)
            source = self._behaviours[found.source]
            if not isinstance(source, Action):
                return _drawn(list(reversed(actions)), source.pull), source.due
            actions.append(source.action)
            found = self._entering.get((found.source, 0))
        return never, never

    # --- handlers

    def handlers(self) -> Sequence[Handler]:
        """All handlers, those of the whole function under the element "" first."""
        found = [Handler(element="", name=name, kind=HandlerKind.READ) for name in self._whole()]
        found.append(Handler(element="", name="stop", kind=HandlerKind.WRITE))
        for name in self._behaviours:
            found += self._handlers_of(name)
        return found

    def _handlers_of(self, name: str) -> list[Handler]:
        behaviour = self._behaviours[name]
        reads = [*self._generic(name), *behaviour.reads(), *behaviour.calls()]
        writes = behaviour.writes()
        names = dict.fromkeys([*reads, *writes])
        return [Handler(element=name, name=one, kind=_kind(one in reads, one in writes)) for one in names]

    def read(self, element: str, handler: str) -> str:
        """A handler's value as Click prints it; what follows a space in `handler` is its argument. Errors: `NotFoundError`,
        `InvalidError`."""
        name, _, argument = handler.partition(" ")
        if element == "":
            read = self._whole().get(name)
        else:
            behaviour = self._behaviour(element)
            call = behaviour.calls().get(name)
            if call is not None:
                return self._called(lambda: call(argument.strip()))
            read = behaviour.reads().get(name) or self._generic(element).get(name)
        if read is None:
            raise self._missing(element, name)
        return self._called(read)

    def write(self, element: str, handler: str, value: str) -> None:
        """Write a handler. Errors: `NotFoundError`, `InvalidError`."""
        if element == "" and handler == "stop":
            self._stop()
            return
        write = self._behaviour(element).writes().get(handler)
        if write is None:
            raise self._missing(element, handler)
        self._called(lambda: write(value))

    def _called(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except RecursionError:
            raise InvalidError(
                "cannot call handlers that call each other for ever", suggestion="let scripts not call themselves"
            ) from None

    def _behaviour(self, element: str) -> Behaviour[Any]:
        behaviour = self._behaviours.get(element)
        if behaviour is None:
            raise NotFoundError(
                f"cannot find the element {element[:80]!r}", suggestion="read the handler list for the names there are"
            )
        return behaviour

    def _missing(self, element: str, handler: str) -> NotFoundError:
        known = ", ".join(sorted({one.name for one in self.handlers() if one.element == element}))
        return NotFoundError(
            f"cannot find the handler {handler[:80]!r} of {element or 'the function'}",
            suggestion=f"it has: {known}",
        )

    def _stop(self) -> None:
        self.stopped = True

    def _generic(self, name: str) -> Mapping[str, Callable[[], str]]:
        """Handlers that every element has."""
        element = self.graph.elements[name]
        return {
            "name": lambda: name,
            "class": lambda: element.class_name,
            "config": lambda: element.text,
            "ports": lambda: ports_text(self.graph, name),
            "handlers": lambda: "".join(
                f"{one.name}\t{_LETTERS[one.kind]}{'+' if one.name in self._behaviours[name].calls() else ''}\n"
                for one in self._handlers_of(name)
            ),
        }

    def _whole(self) -> Mapping[str, Callable[[], str]]:
        """Handlers of the function."""
        elements = self.graph.elements
        return {
            "version": lambda: VERSION,
            "list": lambda: f"{len(elements)}\n" + "".join(f"{name}\n" for name in elements),
            "classes": lambda: "".join(f"{name}\n" for name in CLASSES),
            "config": lambda: self.graph.text or flat_text(self.graph),
            "flatconfig": lambda: flat_text(self.graph),
            "requirements": lambda: "",
            "driver": lambda: "userlevel",
            "handlers": lambda: "".join(
                f"{one.name}\t{_LETTERS[one.kind]}\n" for one in self.handlers() if one.element == ""
            ),
        }

    # --- hot swap

    def adopt(self, old: Router) -> frozenset[str]:
        """Take over the state of the elements with the same name and class; their names. The old one is not used again."""
        taken: set[str] = set()
        for name, behaviour in self._behaviours.items():
            before = old._behaviours.get(name)
            if before is not None and type(before) is type(behaviour):
                behaviour.adopt(before)
                taken.add(name)
        return frozenset(taken)


_LETTERS = {HandlerKind.READ: "r", HandlerKind.WRITE: "w", HandlerKind.BOTH: "rw"}


def _kind(reads: bool, writes: bool) -> HandlerKind:
    if reads and writes:
        return HandlerKind.BOTH
    return HandlerKind.READ if reads else HandlerKind.WRITE


def _ignore(frame: bytes) -> None:
    """Where frames of a device go that no element asks for."""


def _chained(actions: Sequence[Callable[[Packet], Packet | None]], last: Push) -> Push:
    """One function that takes a packet through actions and hands on what is left."""
    if not actions:
        return last
    if len(actions) == 1:
        only = actions[0]

        def single(packet: Packet) -> None:
            passed = only(packet)
            if passed is not None:
                last(passed)

        return single

    def chain(packet: Packet) -> None:
        for action in actions:
            passed = action(packet)
            if passed is None:
                return
            packet = passed
        last(packet)

    return chain


def _drawn(actions: Sequence[Callable[[Packet], Packet | None]], source: Pull) -> Pull:
    """One function that draws packets through actions until one passes or there is none."""
    if not actions:
        return source

    def draw() -> Packet | None:
        while True:
            packet = source()
            if packet is None:
                return None
            for action in actions:
                packet = action(packet)
                if packet is None:
                    break
            else:
                return packet

    return draw
