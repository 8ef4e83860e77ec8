"""YAML to plain values that keep their places, with bounded memory.

Files are parsed event by event (libyaml where PyYAML has it), so that depth, number of nodes and what aliases stand for
are counted before anything is built. Differences from PyYAML's safe loader, all of them wanted:

* duplicate keys, tags of other languages and several documents in a file are faults with line and column;
* keys are strings as written; scalars are resolved as YAML 1.2's core schema does (`yes` and `2018-11-05` are strings);
* a number that cannot be printed back as written (`1.10`, `0755`) stays a string, since most of them are versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from skerry.errors import Fault
from skerry.packages.limits import Limits

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_TAGS = {None, "!"} | {
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp")
}
_LONGEST_NUMBER = 64


class Map(dict[str, Any]):
    """A mapping that knows where it and each of its keys stand."""

    __slots__ = ("column", "line", "marks")

    def __init__(self, line: int, column: int) -> None:
        super().__init__()
        self.line = line
        self.column = column
        self.marks: dict[str, tuple[int, int]] = {}


class Seq(list[Any]):
    """A sequence that knows where it and each of its items stand."""

    __slots__ = ("column", "line", "marks")

    def __init__(self, line: int, column: int) -> None:
        super().__init__()
        self.line = line
        self.column = column
        self.marks: list[tuple[int, int]] = []


def locate(document: Any, path: tuple[str | int, ...]) -> tuple[int, int]:
    """Line and column (from 1) of the deepest part of `path` that exists in the document; (0, 0) without document."""
    place = (document.line, document.column) if isinstance(document, Map | Seq) else (0, 0)
    for part in path:
        if isinstance(document, Map) and str(part) in document:
            place = document.marks.get(str(part), place)
            document = document[str(part)]
        elif isinstance(document, Seq) and isinstance(part, int) and 0 <= part < len(document):
            place = document.marks[part]
            document = document[part]
        else:
            break
    return place


def plain(value: Any) -> Any:
    """The value as ordinary dicts and lists, without places."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


class Budget:
    """Counts the nodes of all files of one package."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.nodes = 0


class _StopError(Exception):
    """The file cannot be read any further; the fault is recorded."""


class _Frame:
    """An open mapping or sequence."""

    __slots__ = ("anchor", "height", "key", "merges", "started", "value")

    def __init__(self, value: Map | Seq, anchor: str | None, started: int) -> None:
        self.value = value
        self.anchor = anchor
        self.started = started
        self.height = 1
        self.key: str | None = None
        self.merges: list[Any] = []


class _Anchored:
    __slots__ = ("height", "value", "weight")

    def __init__(self, value: Any, weight: int, height: int) -> None:
        self.value = value
        self.weight = weight
        self.height = height


def parse(data: bytes, file: str, budget: Budget, *, several: bool = False) -> tuple[Any, list[Fault]]:
    """The document in `data` and its faults. The document is None if it cannot be read to its end.

    `file` is the name to put into faults; `budget` is shared by all files of a package. With `several` the answer is a `Seq`
    of the documents that are not empty.
    """
    reader = _Reader(file, budget, Seq(1, 1) if several else None)
    if len(data) > budget.limits.max_yaml_bytes:
        reader.fault(
            "file-too-large",
            f"cannot read more than {budget.limits.max_yaml_bytes} bytes of definitions",
            (0, 0),
            "split the file",
        )
        return None, reader.faults
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        reader.fault(
            "not-utf8", f"cannot read byte {data[error.start]:#04x} as UTF-8", (line, 1), "save the file as UTF-8"
        )
        return None, reader.faults
    try:
        return reader.read(text), reader.faults
    except _StopError:
        return None, reader.faults
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        reader.fault(
            "yaml-syntax", f"cannot parse this YAML: {error.problem or error.context}", place, _syntax_fix(text, place)
        )
    except (yaml.YAMLError, ValueError) as error:
        reader.fault(
            "yaml-syntax", f"cannot parse this YAML: {str(error).splitlines()[0]}", (0, 0), "correct the syntax"
        )
    return None, reader.faults


def _syntax_fix(text: str, place: tuple[int, int]) -> str:
    lines = text.split("\n")
    if 0 < place[0] <= len(lines) and "\t" in lines[place[0] - 1]:
        return "indent with spaces: YAML allows no tabs there"
    return "correct the syntax at this place"


def _events(text: str) -> Iterator[Any]:
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


def resolve_scalar(text: str) -> Any:
    """The value of an unquoted scalar in YAML 1.2's core schema; numbers that would not print back stay strings."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    number: int | float
    if _INTEGER.fullmatch(text):
        number = int(text)
    elif _FLOAT.fullmatch(text):
        number = float(text)
    else:
        return text
    return number if str(number) == text.removeprefix("+") else text


class _Reader:
    """Builds one document from events, or a `stream` of them."""

    def __init__(self, file: str, budget: Budget, stream: Seq | None = None) -> None:
        self.stream = stream
        self.file = file
        self.budget = budget
        self.faults: list[Fault] = []
        self.frames: list[_Frame] = []
        self.anchors: dict[str, _Anchored | None] = {}
        self.root: Any = None
        self.documents = 0

    def fault(self, code: str, message: str, place: tuple[int, int], fix: str) -> None:
        if len(self.faults) < self.budget.limits.max_faults:
            self.faults.append(
                Fault(message=message, code=code, file=self.file, line=place[0], column=place[1], fix=fix)
            )

    def stop(self, code: str, message: str, place: tuple[int, int], fix: str) -> _StopError:
        self.fault(code, message, place, fix)
        return _StopError()

    def read(self, text: str) -> Any:
        for event in _events(text):
            place = (event.start_mark.line + 1, event.start_mark.column + 1)
            if isinstance(event, yaml.ScalarEvent):
                self._count(1, place)
                value = self._scalar(event, place)
                self._remember(event.anchor, value, 1, 0)
                self._put(value, place, 0)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._open(event, place)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._close(place)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event, place)
            elif isinstance(event, yaml.DocumentStartEvent):
                self._document(place)
            elif isinstance(event, yaml.DocumentEndEvent):
                self._document_end(place)
        return self.root if self.stream is None else self.stream

    def _document_end(self, place: tuple[int, int]) -> None:
        if self.stream is None or self.root is None:
            return
        nested = isinstance(self.root, Map | Seq)
        self.stream.append(self.root)
        self.stream.marks.append((self.root.line, self.root.column) if nested else place)
        self.root = None
        self.anchors.clear()  # an anchor holds for its document only

    def _document(self, place: tuple[int, int]) -> None:
        self.documents += 1
        if self.documents > 1 and self.stream is None:
            raise self.stop(
                "several-documents",
                "cannot read a second YAML document in the file",
                place,
                "keep one document per file",
            )

    def _count(self, nodes: int, place: tuple[int, int]) -> None:
        self.budget.nodes += nodes
        limit = self.budget.limits.max_yaml_nodes
        if self.budget.nodes > limit:
            raise self.stop(
                "too-many-nodes",
                f"cannot read more than {limit} values of definitions",
                place,
                "make the definitions smaller; aliases count as what they stand for",
            )

    def _scalar(self, event: Any, place: tuple[int, int]) -> Any:
        self._check_tag(event.tag, place)
        if event.implicit[0]:
            return resolve_scalar(event.value)
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            return resolve_scalar(event.value)
        return event.value

    def _check_tag(self, tag: str | None, place: tuple[int, int]) -> None:
        if tag not in _TAGS:
            self.fault(
                "yaml-tag", f"cannot accept the tag {str(tag)[:80]}", place, "remove the tag: only plain YAML is read"
            )

    def _open(self, event: Any, place: tuple[int, int]) -> None:
        self._count(1, place)
        self._check_tag(event.tag, place)
        if len(self.frames) >= self.budget.limits.max_yaml_depth:
            raise self._too_deep(place)
        value = Map(*place) if isinstance(event, yaml.MappingStartEvent) else Seq(*place)
        if event.anchor:
            self.anchors[event.anchor] = None
        self.frames.append(_Frame(value, event.anchor, self.budget.nodes - 1))

    def _too_deep(self, place: tuple[int, int]) -> _StopError:
        limit = self.budget.limits.max_yaml_depth
        return self.stop("too-deep", f"cannot read values nested deeper than {limit}", place, "flatten the definitions")

    def _close(self, place: tuple[int, int]) -> None:
        frame = self.frames.pop()
        if isinstance(frame.value, Map):
            for merged in frame.merges:
                for key, item in merged.items():
                    frame.value.setdefault(key, item)
        self._remember(frame.anchor, frame.value, self.budget.nodes - frame.started, frame.height)
        self._put(frame.value, (frame.value.line, frame.value.column), frame.height)

    def _alias(self, event: Any, place: tuple[int, int]) -> None:
        target = self.anchors.get(event.anchor, ...)
        if target is ...:
            raise self.stop(
                "unknown-alias", f"cannot find the anchor &{event.anchor}", place, "define the anchor before its use"
            )
        if target is None:
            raise self.stop(
                "recursive-alias", f"cannot follow *{event.anchor} inside itself", place, "remove the alias"
            )
        assert isinstance(target, _Anchored)  # noqa: S101 - narrows the type for the checkers
        self._count(target.weight, place)
        if len(self.frames) + target.height > self.budget.limits.max_yaml_depth:
            raise self._too_deep(place)
        self._put(target.value, place, target.height)

    def _remember(self, anchor: str | None, value: Any, weight: int, height: int) -> None:
        if anchor:
            self.anchors[anchor] = _Anchored(value, weight, height)

    def _put(self, value: Any, place: tuple[int, int], height: int) -> None:
        if not self.frames:
            self.root = value
            return
        frame = self.frames[-1]
        frame.height = max(frame.height, height + 1)
        if isinstance(frame.value, Seq):
            frame.value.append(value)
            frame.value.marks.append(place)
        elif frame.key is None:
            frame.key = self._key(value, frame.value, place)
        else:
            self._store(frame, frame.key, value, place)
            frame.key = None

    def _key(self, value: Any, mapping: Map, place: tuple[int, int]) -> str:
        if isinstance(value, dict | list):
            raise self.stop("key-not-scalar", "cannot use a map or list as a key", place, "use a string")
        key = (
            value
            if isinstance(value, str)
            else "null"
            if value is None
            else str(value).lower()
            if value in (True, False) and isinstance(value, bool)
            else str(value)
        )
        if key in mapping.marks:
            self.fault(
                "duplicate-key",
                f"cannot take the key {key[:80]!r} twice (first in line {mapping.marks[key][0]})",
                place,
                "remove or rename one of them",
            )
            return f"\0{len(mapping.marks)}"
        mapping.marks[key] = place
        return key

    def _store(self, frame: _Frame, key: str, value: Any, place: tuple[int, int]) -> None:
        if key.startswith("\0"):
            return
        if key == "<<":
            frame.merges.extend(self._merges(value, place))
            return
        assert isinstance(frame.value, Map)  # noqa: S101 - narrows the type for the checkers
        frame.value[key] = value

    def _merges(self, value: Any, place: tuple[int, int]) -> list[Any]:
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            self.fault("bad-merge", "cannot merge something that is not a map", place, "merge maps only")
            return []
        return list(sources)
