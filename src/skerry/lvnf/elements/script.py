"""Script: instructions that call handlers, wait and jump. What it can do in one go is bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from skerry.errors import InvalidError, SkerryError
from skerry.lvnf import configs
from skerry.lvnf.elements.behaviour import Behaviour, Read, Task, Write, boolean, integer
from skerry.lvnf.elements.words import ARITHMETIC, expanded, first_word, seconds, unquoted

_JUMPS = 1000
"""Jumps in one go, as in Click."""

_STEPS = 20_000
"""Instructions in one go, those of scripts that it calls among them."""

_PATIENCE = 1_000_000
_SHORTEST_WAIT = 0.001
_SYNONYMS = {"wait_for": "wait_time", "pause": "wait_step", "wait_stop": "wait_step", "exit": "end"}


class EndlessError(Exception):
    """A script, or those that it called, did too much without waiting."""


class Script(Task[configs.Script]):
    """Runs by itself, or when it is called."""

    def prepare(self) -> None:
        self.steps = [_plain(step) for step in self.config.steps]
        self.labels = {step.arguments: at for at, step in enumerate(self.steps) if step.verb == "label"}
        self.variables: dict[str, str] = {}
        self.position = len(self.steps)
        self.timer: float | None = None
        self.waits = 0
        self.arguments = ""
        self.status = 0
        self._running = False
        self._jumps = 0
        self._verbs: Mapping[str, Callable[[str], bool]] = {
            "label": _nothing,
            "init": _nothing,
            "initq": _nothing,
            "set": self._set,
            "setq": lambda arguments: self._set(arguments, quoted=True),
            "print": self._print,
            "printn": self._print,
            "printq": self._show,
            "printnq": self._show,
            "read": self._read,
            "readq": lambda arguments: self._read(unquoted(arguments)),
            "write": self._write,
            "writeq": lambda arguments: self._write(unquoted(arguments)),
            "wait_time": self._wait,
            "wait_step": self._pause,
            "goto": self._goto,
            "loop": lambda _: self._jump("begin"),
            "end": lambda _: self._end(),
            "stop": self._stop,
            "return": self._return,
            "returnq": lambda arguments: self._return(arguments, quoted=True),
            "error": self._error,
            "errorq": lambda arguments: self._error(unquoted(arguments)),
        }

    def begin(self) -> None:
        for step in self.steps:
            if step.verb == "init":
                self._guarded(step.arguments, self._set)
            elif step.verb == "initq":
                self._guarded(step.arguments, self._verbs["setq"])
        if self.config.kind.lower() == "active" and self.steps:
            self.position = -1
            self.timer = self.context.now()

    def adopt(self, old: Behaviour[configs.Script]) -> None:
        if isinstance(old, Script) and old.config == self.config:
            self.variables = dict(old.variables)
            self.position, self.timer, self.waits = old.position, old.timer, old.waits
            self.arguments, self.status = old.arguments, old.status

    def task_due(self) -> float | None:
        return self.timer

    def run(self) -> None:
        if self.timer is not None and self.timer <= self.context.now():
            self._advance()

    def _advance(self) -> None:
        """Go on behind the instruction that waits."""
        self.timer = None
        self.waits = 0
        self.position += 1
        self._go()

    def _go(self) -> None:
        """Run from `position` until it waits or ends. Errors: `InvalidError` when it runs already."""
        if self._running:
            raise InvalidError(
                f"cannot run the script {self.element.name}: it is running",
                suggestion="do not let a script call itself",
            )
        context = self.context
        self._running = True
        self._jumps = 0
        if context.script_depth == 0:
            context.script_steps = 0
        context.script_depth += 1
        try:
            while 0 <= self.position < len(self.steps):
                self._count()
                step = self.steps[self.position]
                self.position += 1
                if not self._guarded(step.arguments, self._verbs.get(step.verb, self._unknown)):
                    break
        except EndlessError:
            self._log("it runs without end; giving up")
            self._end()
        finally:
            self._running = False
            context.script_depth -= 1

    def _count(self) -> None:
        self.context.script_steps += 1
        if self.context.script_steps > _STEPS or self._jumps >= _JUMPS:
            raise EndlessError

    def _guarded(self, arguments: str, action: Callable[[str], bool]) -> bool:
        try:
            return action(arguments)
        except SkerryError as error:
            self._log(error.detail)
            return True

    def _log(self, text: str) -> None:
        self.context.log(f"While executing '{self.element.name} :: Script': {text}")

    def _unknown(self, arguments: str) -> bool:
        raise InvalidError("cannot do an unknown instruction", suggestion="see the documentation of Script")

    # --- instructions: whether to go on

    def _set(self, arguments: str, *, quoted: bool = False) -> bool:
        name, text = first_word(arguments)
        value = self._expand(text)
        self.variables[name] = unquoted(value) if quoted else value
        return True

    def _print(self, arguments: str) -> bool:
        if arguments.startswith(">"):
            raise InvalidError("cannot print to a file", suggestion="print to the log, without >")
        if arguments[:1].isalpha() or arguments[:1] in {"@", "_"}:
            self.context.log(self._call_read(self._expand(arguments)).rstrip("\n"))
        else:
            self._show(arguments)
        return True

    def _show(self, arguments: str) -> bool:
        self.context.log(unquoted(self._expand(arguments)))
        return True

    def _read(self, arguments: str) -> bool:
        call = self._expand(arguments)
        self.context.log(f"{first_word(call)[0]}:\n{self._call_read(call)}\n")
        return True

    def _write(self, arguments: str) -> bool:
        self.status = -1
        handler, value = first_word(self._expand(arguments))
        element, name = self._find(handler)
        self.context.call_write(element, name, value)
        self.status = 0
        return True

    def _wait(self, arguments: str) -> bool:
        self.position -= 1
        try:
            time = seconds(self._expand(arguments))
        except InvalidError:
            self.position += 1
            raise
        self.timer = self.context.now() + max(time, _SHORTEST_WAIT)
        return False

    def _pause(self, arguments: str) -> bool:
        self.waits = integer(self._expand(arguments) or "1", "a number of steps", 0, _PATIENCE)
        if self.waits:
            self.position -= 1
        return not self.waits

    def _goto(self, arguments: str) -> bool:
        label, condition = first_word(arguments)
        text = self._expand(condition)
        return self._jump(label) if not text or boolean(text) else True

    def _jump(self, label: str) -> bool:
        self._jumps += 1
        if label in self.labels:
            self.position = self.labels[label]
            return True
        if label == "begin":
            self.position = 0
            return True
        if label in {"end", "exit", "error"}:
            return self._end()
        raise InvalidError(f"cannot go to the label {label[:40]!r}", suggestion="define it with label")

    def _end(self) -> bool:
        self.position = len(self.steps)
        self.timer = None
        self.waits = 0
        return False

    def _stop(self, arguments: str) -> bool:
        self.context.stop()
        return self._end()

    def _return(self, arguments: str, *, quoted: bool = False) -> bool:
        self._set(f"_ {arguments}", quoted=quoted)
        return self._end()

    def _error(self, arguments: str) -> bool:
        if arguments:
            self._log(self._expand(arguments))
        return self._end()

    # --- texts

    def _expand(self, text: str) -> str:
        return expanded(text, self._variable, self._call_read)

    def _variable(self, name: str) -> str | None:
        if name in self.variables:
            return self.variables[name]
        if name == "?":
            return str(self.status)
        if name == "args":
            return self.arguments
        if name == "#":
            return str(len(self.arguments.split()))
        if name.isdecimal() and name != "0":
            return dict(enumerate(self.arguments.split(), 1)).get(int(name[:6]), "")
        return None

    def _call_read(self, call: str) -> str:
        self._count()
        handler, arguments = first_word(call)
        element, name = self._find(handler)
        return self.context.call_read(element, f"{name} {arguments}" if arguments else name)

    def _find(self, handler: str) -> tuple[str, str]:
        """The element and the handler that a name means from here: one's own first, then those around."""
        element, _, name = handler.rpartition(".")
        if not element:
            return (self.element.name if name in self.calls() or name in self.writes() or name == "vars" else ""), name
        scope = self.element.name
        while "/" in scope:
            scope = scope.rpartition("/")[0]
            if self.context.exists(f"{scope}/{element}"):
                return f"{scope}/{element}", name
        return element, name

    # --- handlers

    def _step(self, value: str) -> None:
        for _ in range(integer(value or "1", "a number of steps", 0, _JUMPS)):
            if self.waits > 1:
                self.waits -= 1
            elif self.waits or self.timer is not None:
                self._advance()

    def _move(self, value: str) -> None:
        self.timer = None
        self.waits = 0
        self._jump(value.strip())
        self._go()

    def _run(self, arguments: str) -> str:
        if self._running:
            self._go()
        self.arguments = arguments
        self.variables.pop("_", None)
        self.timer = None
        self.waits = 0
        self.position = 0
        self._go()
        return self.variables.get("_", "")

    def _run_written(self, value: str) -> None:
        self._run(value)

    def reads(self) -> Mapping[str, Read]:
        return {"vars": lambda: "".join(f"{name} {value}\n" for name, value in self.variables.items())}

    def calls(self) -> Mapping[str, Callable[[str], str]]:
        return {"run": self._run, **ARITHMETIC}

    def writes(self) -> Mapping[str, Write]:
        return {"step": self._step, "goto": self._move, "run": self._run_written}


def _nothing(_arguments: str) -> bool:
    return True


def _plain(step: configs.ScriptStep) -> configs.ScriptStep:
    """The instruction under its only name: waits by whether they name a time, synonyms replaced."""
    verb = step.verb
    if verb == "wait":
        verb = "wait_time" if step.arguments.strip() else "wait_step"
    return msgspec.structs.replace(step, verb=_SYNONYMS.get(verb, verb), arguments=step.arguments.strip())
