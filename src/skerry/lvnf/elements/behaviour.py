"""What an element of a running function is: how it takes packets, what its handlers are, what it takes over from another.

Packets move by bound methods: an element calls `out[i](packet)`, which is the next one's method itself. Elements with one
input and one output that work the same for push and pull are an `Action`; runs of them become one loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar, cast

from skerry.errors import InvalidError
from skerry.lvnf.configs import Config
from skerry.lvnf.elements.packet import Packet
from skerry.lvnf.graph import Element

Push = Callable[[Packet], None]
Pull = Callable[[], Packet | None]
Due = Callable[[], float | None]
Read = Callable[[], str]
Write = Callable[[str], None]
C = TypeVar("C", bound=Config)


def drop(packet: Packet) -> None:
    """Where packets go that leave by a port that nothing is connected to."""


def never() -> None:
    """A source that has nothing, now and always."""


class Context:
    """What the router gives to its elements: time in seconds, random numbers from 0 to 1, the log, the way out, and handlers of
    other elements."""

    __slots__ = (
        "call_read",
        "call_write",
        "exists",
        "log",
        "now",
        "random",
        "script_depth",
        "script_steps",
        "send",
        "stop",
    )

    def __init__(
        self,
        *,
        now: Callable[[], float],
        random: Callable[[], float],
        log: Callable[[str], None],
        send: Callable[[str, bytes], None],
        call_read: Callable[[str, str], str],
        call_write: Callable[[str, str, str], None],
        exists: Callable[[str], bool],
        stop: Callable[[], None],
    ) -> None:
        self.now = now
        self.random = random
        self.log = log
        self.send = send
        self.call_read = call_read
        self.call_write = call_write
        self.exists = exists
        self.stop = stop
        self.script_depth = 0
        self.script_steps = 0


class Behaviour(Generic[C]):
    """An element at work."""

    def __init__(self, element: Element, context: Context) -> None:
        self.element = element
        self.context = context
        self.config = cast("C", element.config)
        self.out: Sequence[Push] = ()
        self.source: Pull = never
        self.source_due: Due = never
        self.prepare()

    def prepare(self) -> None:
        """Make the state of a fresh element."""

    def wire(self, out: Sequence[Push], source: Pull, due: Due) -> None:
        """Learn where packets go and, at a pull input, where they come from and when there are some."""
        self.out = out
        self.source = source
        self.source_due = due

    def begin(self) -> None:
        """The function starts afresh: everything is wired."""

    def push(self, packet: Packet) -> None:
        """Take a packet at input 0."""

    def entry(self, input: int) -> Push:
        """What takes packets at this input."""
        return self.push

    def pull(self) -> Packet | None:
        """Give a packet, where the output is pull."""
        return None

    def due(self) -> float | None:
        """When `pull` may give one; None while only a push could change that."""
        return None

    def reads(self) -> Mapping[str, Read]:
        """Handlers to read."""
        return {}

    def calls(self) -> Mapping[str, Callable[[str], str]]:
        """Handlers to read with an argument."""
        return {}

    def writes(self) -> Mapping[str, Write]:
        """Handlers to write."""
        return {}

    def adopt(self, old: Behaviour[C]) -> None:
        """Take over the state of the element of the same class that this one replaces."""


class Task(Behaviour[C]):
    """An element that acts by itself, when it is due."""

    def task_due(self) -> float | None:
        """When `run` has something to do; None while only a packet could change that."""
        return None

    def run(self) -> None:
        """Do what is due, a bounded amount."""


class Action(Behaviour[C]):
    """One input, one output, push or pull. What it does not pass leaves by output 1, always push."""

    def action(self, packet: Packet) -> Packet | None:
        """The packet that goes on; None where it does not."""
        return packet

    def reject(self, packet: Packet) -> Packet | None:
        """Let it leave by output 1, or drop it: nothing goes on."""
        out = self.out
        if len(out) > 1:
            out[1](packet)
        return None


def button(action: Callable[[], None]) -> Write:
    """A write handler whose value counts for nothing."""

    def write(_value: str) -> None:
        action()

    return write


def integer(value: str, what: str, lowest: int, highest: int) -> int:
    """The integer that was written to a handler, decimal or 0x. Errors: `InvalidError`."""
    text = value.strip()
    try:
        number = int(text, 16 if text.lower().startswith("0x") else 10)
    except ValueError:
        number = lowest - 1
    if not lowest <= number <= highest:
        raise InvalidError(
            f"cannot take {text[:40]!r} as {what}", suggestion=f"write an integer from {lowest} to {highest}"
        )
    return number


def real(value: str, what: str, lowest: float, highest: float) -> float:
    """The number that was written to a handler. Errors: `InvalidError`."""
    try:
        number = float(value)
    except ValueError:
        number = lowest - 1
    if not lowest <= number <= highest:
        raise InvalidError(
            f"cannot take {value.strip()[:40]!r} as {what}", suggestion=f"write a number from {lowest:g} to {highest:g}"
        )
    return number


def boolean(value: str) -> bool:
    """The truth value that was written to a handler, in Click's words. Errors: `InvalidError`."""
    word = value.strip().lower()
    if word in {"1", "true", "yes", "t", "y"}:
        return True
    if word in {"0", "false", "no", "f", "n"}:
        return False
    raise InvalidError(f"cannot take {word[:40]!r} as a truth value", suggestion="write true or false")


def spelled(value: bool) -> str:
    """A truth value as Click prints it."""
    return "true" if value else "false"
