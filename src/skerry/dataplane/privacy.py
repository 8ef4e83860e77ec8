"""What a tenant may read of others: that there is something of theirs, not its name nor what it does. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from skerry.dataplane.intents import Chain, Intents, Port
from skerry.dataplane.proof import Problem
from skerry.dataplane.trace import Sent, Step, Trace
from skerry.errors import Fault, SkerryError

E = TypeVar("E", bound=SkerryError)
OTHERS = "what is another tenant's"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?")
_WITNESSED = frozenset(problem.value for problem in Problem)


class Veil:
    """Hides from a tenant what belongs to others. What all tenants share is nobody's secret, nor what the tenant `said`."""

    def __init__(
        self, tenant: str, ports: Iterable[Port], intents: Iterable[Intents], said: Iterable[Intents] = ()
    ) -> None:
        self._tenant = tenant
        self._own, self._foreign = set[str](), set[str]()
        for port in ports:
            self._of(port.tenant).add(port.id)
        for intent in intents:
            self._of(intent.tenant).update(_names(intent))
        for intent in said:
            self._own.update(found[0] for found in _NAME.finditer(msgspec.json.encode(intent).decode()))
        self._foreign -= self._own

    def _of(self, tenant: str) -> set[str]:
        return self._own if tenant in ("", self._tenant) else self._foreign

    def name(self, name: str) -> str:
        """A name, unless it is another tenant's."""
        return OTHERS if name in self._foreign else name

    def text(self, text: str) -> str:
        """A text in which nothing of others is named."""
        return _NAME.sub(lambda found: self.name(found[0]), text)

    def error(self, error: E) -> E:
        """An error that says nothing of others."""
        faults = [self._fault(fault) for fault in error.faults]
        return type(error)(self.text(error.detail), faults=faults, suggestion=self.text(error.suggestion))

    def _fault(self, fault: Fault) -> Fault:
        """A witness is a frame that the tenant's own rules are about; that of others alone is theirs."""
        owners = fault.path.split(", ")
        secret = fault.code in _WITNESSED and all(name in self._foreign for name in owners)
        path = ", ".join(dict.fromkeys(self.name(name) for name in owners))
        return replace(fault, message=self.text(fault.message), path=path, fix="" if secret else self.text(fault.fix))

    def trace(self, trace: Trace) -> Trace:
        """A way that tells of others' functions and ports only that there are some. Frames that come to them, or that their
        rules have passed on, are not shown; rules are whole and still to be shown as such."""
        steps = tuple(self._step(step) for step in trace.steps)
        shown = {sent.frame for step in steps for sent in step.sent if sent.to == "out"}
        return Trace(
            steps=steps,
            functions=tuple(self.name(function) for function in trace.functions),
            outputs=tuple(self._sent(sent, hidden=sent.frame not in shown) for sent in trace.outputs),
            looped=trace.looped,
        )

    def _step(self, step: Step) -> Step:
        hidden = any(rule.tenant not in ("", self._tenant) for rule in step.rules)
        return replace(
            step,
            port=self.name(step.port),
            sent=tuple(self._sent(sent, hidden=hidden) for sent in step.sent),
            notes=tuple(self.text(note) for note in step.notes),
        )

    def _sent(self, sent: Sent, *, hidden: bool) -> Sent:
        others = sent.port in self._foreign or sent.function in self._foreign
        return replace(
            sent,
            port="" if sent.port in self._foreign else sent.port,
            function=self.name(sent.function),
            frame=b"" if others or hidden else sent.frame,
        )


def _names(intent: Intents) -> Iterator[str]:
    yield intent.id
    if intent.owner:
        yield intent.owner
    if isinstance(intent, Chain):
        yield from (function.id for hop in intent.hops for function in hop.functions)
