"""Click's ControlSocket protocol, version 1.3: what a client writes becomes calls of handlers. Pure: bytes in, bytes out.

What no element has of its own is answered from the graph: `class`, `name`, `config`, `ports` and `handlers` of each element,
and the handlers of the whole: `list`, `config`, `version`, `classes`, `requirements`. A configuration is not written here but
by its owner, who checks it first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from skerry import __version__
from skerry.errors import InvalidError, NotFoundError, SkerryError
from skerry.lvnf.backend import Handler, HandlerKind
from skerry.lvnf.graph import Graph
from skerry.lvnf.unparsing import ports_text

BANNER = b"Click::ControlSocket/1.3\r\n"
LINE_MAX = 1 << 16
DATA_MAX = 1 << 20
ANSWERS_MAX = 4 << 20
"""Bytes of answers that may wait for the client when its next question is taken."""
_TEXT = "latin-1"  # every byte is a character, so that what is written comes back as it was
_HELP = (
    "Commands supported:",
    "CHECKREAD handler            check whether read handler exists",
    "CHECKWRITE handler           check whether write handler exists",
    "HELP                         show this",
    "QUIT                         close connection",
    "READ handler [arg...]        call read handler, return result",
    "READDATA handler len         call read handler, arg len bytes",
    "READUNTIL handler terminator call read handler, arg until terminator",
    "WRITE handler [arg...]       call write handler",
    "WRITEDATA handler len        call write handler, arg len bytes",
    "WRITEUNTIL handler terminator call write handler, arg until terminator",
)


class Handled(Protocol):
    """What has handlers: a running function, seen from outside or inside."""

    @property
    def graph(self) -> Graph: ...

    def handlers(self) -> Sequence[Handler]: ...

    def read(self, element: str, handler: str) -> str: ...

    def write(self, element: str, handler: str, value: str) -> None: ...


class SayError(Exception):
    """An answer that is an error: its code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Session:
    """One client's connection. `output` begins with the banner; `closed` says that no more is read."""

    def __init__(self, target: Handled) -> None:
        self._target = target
        self._input = bytearray()
        self._output = bytearray(BANNER)
        self._pending: _Pending | None = None
        self.closed = False

    def feed(self, data: bytes) -> bytes:
        """What the client sent, and what to answer (with the banner the first time)."""
        self._input += data
        while not self.closed and self._step():
            continue
        answer, self._output = bytes(self._output), bytearray()
        return answer

    def _step(self) -> bool:
        """Use up one line or one block of data; False when there is not enough yet."""
        if self._input and len(self._output) > ANSWERS_MAX:
            self._say(500, "Too many questions at once")
            self.closed = True
            return False
        if self._pending is not None:
            return self._gather(self._pending)
        line = self._line()
        if line is None:
            return False
        self._answer(lambda: self._command(line))
        return True

    def _line(self) -> str | None:
        end = self._input.find(b"\n")
        if max(end, len(self._input) if end < 0 else 0) > LINE_MAX:
            self._say(500, "Line too long")
            self.closed = True
            return None
        if end < 0:
            return None
        line = bytes(self._input[:end])
        del self._input[: end + 1]
        return line.rstrip(b"\r").decode(_TEXT)

    def _gather(self, pending: _Pending) -> bool:
        """Data after a command: so many bytes, or lines until one that equals the terminator."""
        if pending.length >= 0:
            if len(self._input) < pending.length:
                return False
            data = bytes(self._input[: pending.length])
            del self._input[: pending.length]
            self._complete(pending, data)
            return True
        line = self._line()
        if line is None:
            return False
        if line.rstrip() == pending.terminator:
            self._complete(pending, bytes(pending.gathered))
            return True
        pending.gathered += line.encode(_TEXT) + b"\n"
        if len(pending.gathered) > DATA_MAX:
            self._say(500, "Data too long")
            self.closed = True
        return True

    def _complete(self, pending: _Pending, data: bytes) -> None:
        self._pending = None
        self._answer(lambda: pending.call(pending.handler, data.decode(_TEXT)))

    def _answer(self, work: Callable[[], None]) -> None:
        try:
            work()
        except SayError as refusal:
            self._say(refusal.code, refusal.text)
        except NotFoundError as missing:
            self._say(511, missing.detail)
        except SkerryError as wrong:
            self._say(520, wrong.detail)

    def _say(self, code: int, *lines: str) -> None:
        for line in lines[:-1]:
            self._output += f"{code}-{_plain(line)}\r\n".encode(_TEXT, "replace")
        self._output += f"{code} {_plain(lines[-1])}\r\n".encode(_TEXT, "replace")

    # -- commands -----------------------------------------------------------------------------------------------------

    def _command(self, line: str) -> None:
        verb, _, rest = line.strip().partition(" ")
        commands: Mapping[str, Callable[[str], None]] = {
            "READ": lambda rest: self._read(*_handler_and_rest(rest)),
            "WRITE": lambda rest: self._write(*_handler_and_rest(rest)),
            "READDATA": lambda rest: self._sized(rest, self._read),
            "WRITEDATA": lambda rest: self._sized(rest, self._write),
            "READUNTIL": lambda rest: self._until(rest, self._read),
            "WRITEUNTIL": lambda rest: self._until(rest, self._write),
            "CHECKREAD": lambda rest: self._check(rest, HandlerKind.READ),
            "CHECKWRITE": lambda rest: self._check(rest, HandlerKind.WRITE),
            "LLRPC": self._llrpc,
            "HELP": lambda _: self._say(200, *_HELP),
            "QUIT": self._quit,
            "CLOSE": self._quit,
        }
        command = commands.get(verb.upper())
        if command is not None:
            command(rest.strip())
        elif verb:
            raise SayError(501, f"Command '{verb[:40]}' unimplemented")

    def _read(self, handler: str, argument: str) -> None:
        element, name = self._found(handler, HandlerKind.READ)
        value = None if argument else own_value(self._target, element, name)
        if value is None:
            value = self._target.read(element, f"{name} {argument}".rstrip(" "))
        data = value.encode(_TEXT, "replace")
        self._say(200, f"Read handler '{handler}' OK")
        self._output += f"DATA {len(data)}\r\n".encode() + data

    def _write(self, handler: str, argument: str) -> None:
        element, name = self._found(handler, HandlerKind.WRITE)
        self._target.write(element, name, argument)
        self._say(200, f"Write handler '{handler}' OK")

    def _check(self, rest: str, kind: HandlerKind) -> None:
        handler, _ = _handler_and_rest(rest)
        self._found(handler, kind)
        self._say(200, f"{kind.value.capitalize()} handler '{handler}' OK")

    def _sized(self, rest: str, call: Callable[[str, str], None]) -> None:
        handler, size = _handler_and_rest(rest)
        if not (size.isascii() and size.isdecimal()):
            raise SayError(500, "Syntax error: expected a handler and a length")
        if len(size) > len(str(DATA_MAX)) or int(size) > DATA_MAX:
            self.closed = True  # where the data would end is not followed any more
            raise SayError(500, f"Data too long: the most are {DATA_MAX} bytes")
        self._pending = _Pending(handler, call, length=int(size))

    def _until(self, rest: str, call: Callable[[str, str], None]) -> None:
        handler, terminator = _handler_and_rest(rest)
        self._pending = _Pending(handler, call, terminator=terminator)

    def _llrpc(self, rest: str) -> None:
        raise SayError(530, "Permission denied: no element here has LLRPCs")

    def _quit(self, rest: str) -> None:
        self._say(200, "Goodbye!")
        self.closed = True

    def _found(self, handler: str, kind: HandlerKind) -> tuple[str, str]:
        """The element and name of a handler that can do this."""
        element, dot, name = handler.rpartition(".")
        graph = self._target.graph
        if dot and element not in graph.elements:
            element = _numbered(graph, element)
        there = {one.name: one.kind for one in every_handler(self._target) if one.element == element}
        if name not in there:
            raise SayError(511, f"No handler named '{handler}'")
        if there[name] not in (kind, HandlerKind.BOTH):
            raise SayError(530, f"Handler '{handler}' {'write' if kind is HandlerKind.READ else 'read'}-only")
        return element, name


class _Pending:
    """A command whose data is still to come."""

    def __init__(
        self, handler: str, call: Callable[[str, str], None], *, length: int = -1, terminator: str = ""
    ) -> None:
        self.handler, self.call = handler, call
        self.length, self.terminator = length, terminator
        self.gathered = bytearray()


def _handler_and_rest(rest: str) -> tuple[str, str]:
    handler, _, argument = rest.partition(" ")
    if not handler:
        raise SayError(500, "Syntax error: expected a handler")
    return handler, argument.strip()


def _numbered(graph: Graph, name: str) -> str:
    """Elements can be named by their number from 1."""
    if name.isascii() and name.isdecimal() and len(name) < 7 and 0 < int(name) <= len(graph.elements):
        return list(graph.elements)[int(name) - 1]
    raise SayError(510, f"No element named '{name}'")


def _plain(text: str) -> str:
    """A text that stays on its line."""
    return " ".join(text.split())


# -- handlers that everything has ---------------------------------------------------------------------------------------

_OF_ALL = ("class", "config", "handlers", "name", "ports")
_OF_THE_WHOLE = ("classes", "config", "handlers", "list", "requirements", "version")


def every_handler(target: Handled) -> list[Handler]:
    """The handlers of a function, with those that every element has and those of the whole (element "")."""
    found = list(target.handlers())
    there = {(one.element, one.name) for one in found}
    common = [("", name) for name in _OF_THE_WHOLE]
    common += [(element, name) for element in target.graph.elements for name in _OF_ALL]
    found += [Handler(element=e, name=n, kind=HandlerKind.READ) for e, n in common if (e, n) not in there]
    return found


def own_value(target: Handled, element: str, name: str) -> str | None:
    """The value of a handler that the element itself does not have; None for one of its own."""
    if any(one.element == element and one.name == name for one in target.handlers()):
        return None
    return _of_element(target, element, name) if element else _of_whole(target, name)


def read_any(target: Handled, element: str, name: str) -> str:
    """A handler's value, its own or one that all have."""
    if element and element not in target.graph.elements:
        raise NotFoundError(
            f"cannot read {element}.{name}: there is no element {element}",
            suggestion="the handler `list` names the elements, `skerry lvnf handlers` shows all handlers",
        )
    value = own_value(target, element, name)
    return target.read(element, name) if value is None else value


def _of_whole(target: Handled, name: str) -> str | None:
    graph = target.graph
    values: Mapping[str, Callable[[], str]] = {
        "version": lambda: f"skerry-{__version__}\n",
        "list": lambda: "\n".join((str(len(graph.elements)), *graph.elements)) + "\n",
        "classes": lambda: "".join(f"{one}\n" for one in sorted({e.class_name for e in graph.elements.values()})),
        "config": lambda: graph.text,
        "requirements": lambda: "",
        "handlers": lambda: _listed(target, ""),
    }
    return values[name]() if name in values else None


def _of_element(target: Handled, element: str, name: str) -> str | None:
    graph = target.graph
    one = graph.elements[element]
    values: Mapping[str, Callable[[], str]] = {
        "class": lambda: f"{one.class_name}\n",
        "name": lambda: f"{one.name}\n",
        "config": lambda: one.text,
        "handlers": lambda: _listed(target, element),
        "ports": lambda: ports_text(graph, element),
    }
    return values[name]() if name in values else None


def _listed(target: Handled, element: str) -> str:
    letters = {HandlerKind.READ: "r", HandlerKind.WRITE: "w", HandlerKind.BOTH: "rw"}
    mine = (one for one in every_handler(target) if one.element == element)
    return "".join(f"{one.name}\t{letters[one.kind]}\n" for one in sorted(mine, key=lambda one: one.name))


def split_handler(text: str) -> tuple[str, str]:
    """ "counter.count" as element and handler; a name without a dot is of the whole. `InvalidError` for an empty one."""
    element, _, name = text.rpartition(".")
    if not name:
        raise InvalidError(f"cannot tell which handler {text!r} is", suggestion="write ELEMENT.HANDLER")
    return element, name
