"""Topics of the message bus: who listens to what. Pure but for memory; nothing of it outlives the process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from skerry.errors import MalformedError

RESERVED = "platform/"
"""Topics below this are the platform's own to publish."""


class Hearing(Protocol):
    """Somebody on the bus."""

    def hear(self, frame: bytes) -> bool:
        """Take a frame; False where that is too much."""
        ...


Listener = TypeVar("Listener")

LONGEST = 256
ONE, REST = "+", "#"


def matches(pattern: str, topic: str) -> bool:
    """Whether a pattern means a topic: `+` is any one level, `#` at the end is any number of them, none included."""
    levels = topic.split("/")
    for at, wanted in enumerate(pattern.split("/")):
        if wanted == REST:
            return True
        if at >= len(levels) or wanted not in (ONE, levels[at]):
            return False
    return len(levels) == len(pattern.split("/"))


def checked(text: str, *, pattern: bool) -> str:
    """A topic, or a pattern of topics. `MalformedError` says what is wrong with it."""
    levels = text.split("/")
    wild = [level for level in levels if ONE in level or REST in level]
    trouble = ""
    if not text or len(text) > LONGEST or not text.isprintable():
        trouble = f"it is empty, longer than {LONGEST} characters or not printable"
    elif wild and not pattern:
        trouble = "a message goes to one topic, without wildcards"
    elif any(level not in (ONE, REST) for level in wild) or REST in levels[:-1]:
        trouble = "+ and # stand for whole levels, # for the last ones"
    if trouble:
        raise MalformedError(f"cannot use the topic {text[:40]!r}: {trouble}", suggestion="write levels like a/b/c")
    return text


class Topics(Generic[Listener]):
    """Patterns by tenant. Applications of different tenants hear nothing of each other."""

    def __init__(self) -> None:
        self._patterns: dict[str, dict[str, dict[Listener, None]]] = {}

    def add(self, tenant: str, pattern: str, listener: Listener) -> None:
        """Somebody listens."""
        self._patterns.setdefault(tenant, {}).setdefault(pattern, {})[listener] = None

    def remove(self, tenant: str, pattern: str, listener: Listener) -> None:
        """Somebody listens no more."""
        patterns = self._patterns.get(tenant, {})
        listeners = patterns.get(pattern, {})
        listeners.pop(listener, None)
        if not listeners:
            patterns.pop(pattern, None)
        if not patterns:
            self._patterns.pop(tenant, None)

    def listeners(self, tenant: str, topic: str) -> Iterator[Listener]:
        """Each once, whatever number of its patterns mean the topic."""
        patterns = self._patterns.get(tenant, {})
        heard = (one for pattern, there in patterns.items() if matches(pattern, topic) for one in there)
        return iter(list(dict.fromkeys(heard)))
