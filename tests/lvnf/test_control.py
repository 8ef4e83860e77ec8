"""Click's ControlSocket protocol: what tools write, and what they are answered."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import InvalidError, NotFoundError
from skerry.lvnf.backend import Handler, HandlerKind
from skerry.lvnf.checking import read
from skerry.lvnf.control import ANSWERS_MAX, DATA_MAX, LINE_MAX, Session, every_handler, read_any, split_handler
from skerry.lvnf.graph import Graph

pytestmark = pytest.mark.feature("C38")


class Scale:
    """A function with a handler that can be read and written, one only to read, one only to write."""

    def __init__(self) -> None:
        self.graph: Graph = read(
            "FromDevice(eth0) -> s :: Switch(0); s [0] -> c :: Counter -> Discard; s [1] -> Discard;"
        )
        self.value = "0"

    def handlers(self) -> Sequence[Handler]:
        return (
            Handler(element="s", name="switch", kind=HandlerKind.BOTH),
            Handler(element="c", name="count", kind=HandlerKind.READ),
            Handler(element="c", name="reset", kind=HandlerKind.WRITE),
        )

    def read(self, element: str, handler: str) -> str:
        return f"{self.value}\xff" if handler == "switch" else handler

    def write(self, element: str, handler: str, value: str) -> None:
        if value == "bad":
            raise InvalidError("cannot take\r\n200 that")
        if value == "gone":
            raise NotFoundError("cannot find it")
        self.value = value


def said(text: bytes) -> bytes:
    session = Session(Scale())
    answer = session.feed(text)
    banner, answer = answer[:26], answer[26:]
    assert banner == b"Click::ControlSocket/1.3\r\n"
    return answer


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"READ s.switch", b"200 Read handler 's.switch' OK\r\nDATA 2\r\n0\xff"),
        (b"read c.count now", b"200 Read handler 'c.count' OK\r\nDATA 9\r\ncount now"),
        (b"READDATA c.count 3\r\nabc", b"200 Read handler 'c.count' OK\r\nDATA 9\r\ncount abc"),
        (b"READUNTIL c.count END\r\na\nEND", b"200 Read handler 'c.count' OK\r\nDATA 8\r\ncount a\n"),
        (b"WRITE s.switch 1", b"200 Write handler 's.switch' OK\r\n"),
        (b"WRITEDATA s.switch 3\r\nbad", b"520 cannot take 200 that\r\n"),
        (b"WRITE s.switch gone", b"511 cannot find it\r\n"),
        (b"WRITE c.count 1", b"530 Handler 'c.count' read-only\r\n"),
        (b"READ c.reset", b"530 Handler 'c.reset' write-only\r\n"),
        (b"CHECKREAD c.count", b"200 Read handler 'c.count' OK\r\n"),
        (b"CHECKREAD 3.count", b"200 Read handler '3.count' OK\r\n"),
        (b"CHECKWRITE c.count", b"530 Handler 'c.count' read-only\r\n"),
        (b"READ nosuch.count", b"510 No element named 'nosuch'\r\n"),
        (b"READ 9.count", b"510 No element named '9'\r\n"),
        (b"READ c.nosuch", b"511 No handler named 'c.nosuch'\r\n"),
        (b"READ nosuch", b"511 No handler named 'nosuch'\r\n"),
        (b"READ", b"500 Syntax error: expected a handler\r\n"),
        (b"WRITEDATA s.switch x", b"500 Syntax error: expected a handler and a length\r\n"),
        (b"LLRPC c#1", b"530 Permission denied: no element here has LLRPCs\r\n"),
        (b"JUMP", b"501 Command 'JUMP' unimplemented\r\n"),
        (b"READ c.class", b"200 Read handler 'c.class' OK\r\nDATA 8\r\nCounter\n"),
        (b"READ classes", b"200 Read handler 'classes' OK\r\nDATA 34\r\nCounter\nDiscard\nFromDevice\nSwitch\n"),
        (b"", b""),
    ],
)
def test_commands(line: bytes, answer: bytes) -> None:
    assert said(line + b"\r\n") == answer


def test_what_was_written_is_read_byte_for_byte() -> None:
    data = bytes(range(256))
    session = Session(Scale())
    session.feed(b"WRITEDATA s.switch 256\n" + data)
    assert session.feed(b"READ s.switch\n").endswith(b"DATA 257\r\n" + data + b"\xff")
    session.feed(b"WRITEUNTIL s.switch .\r\none\r\ntwo\r\n.\r\n")
    assert session.feed(b"READ s.switch\n").endswith(b"one\ntwo\n\xff")


def test_every_element_has_its_own_handlers_and_the_common_ones() -> None:
    scale = Scale()
    assert read_any(scale, "", "list").splitlines()[0] == "5"
    assert read_any(scale, "", "config") == scale.graph.text
    assert read_any(scale, "s", "name") == "s\n"
    assert read_any(scale, "s", "config") == "0"
    assert "switch\trw\n" in read_any(scale, "s", "handlers")
    assert read_any(scale, "s", "ports").startswith("1 input\npush\t-\tFromDevice@1 [0]\n2 outputs\n")
    assert read_any(scale, "c", "count") == "count"
    assert Handler(element="", name="version", kind=HandlerKind.READ) in every_handler(scale)
    with pytest.raises(NotFoundError):
        read_any(scale, "nosuch", "name")
    assert split_handler("a/b.count") == ("a/b", "count")
    assert split_handler("list") == ("", "list")
    with pytest.raises(InvalidError):
        split_handler("c.")


@pytest.mark.parametrize(
    "flood",
    [
        b"x" * (LINE_MAX + 1),
        b"x" * (LINE_MAX + 1) + b"\nREAD list\n",
        b"WRITEDATA s.switch %d\n" % (DATA_MAX + 1),
        b"WRITEDATA s.switch 9999999999999999999999\n",
        b"WRITEUNTIL s.switch .\n" + (b"y" * 60_000 + b"\n") * 20,
    ],
)
def test_too_much_is_refused_and_the_end(flood: bytes) -> None:
    session = Session(Scale())
    assert b"\n500 " in session.feed(flood)
    assert session.closed
    assert session.feed(b"READ list\n") == b""


def test_questions_with_endless_answers_are_not_all_answered() -> None:
    scale = Scale()
    scale.value = "x" * 1_000_000
    answer = Session(scale).feed(b"READ s.switch\n" * 4000)
    assert answer.endswith(b"\xff500 Too many questions at once\r\n")
    assert ANSWERS_MAX < len(answer) < ANSWERS_MAX + 2_000_000


def test_one_long_answer_is_no_fault() -> None:
    scale = Scale()
    scale.value = "x" * (ANSWERS_MAX + 1)
    session = Session(scale)
    for _ in range(2):
        assert session.feed(b"READ s.switch\n").endswith(b"x\xff")
    assert not session.closed


_WORDS = st.sampled_from(
    [
        b"READ ",
        b"WRITE ",
        b"READDATA ",
        b"WRITEDATA ",
        b"WRITEUNTIL ",
        b"CHECKREAD ",
        b"QUIT",
        b"s.switch ",
        b"c.count ",
        b"list ",
    ]
)
_PIECES = st.lists(
    st.one_of(_WORDS, st.sampled_from([b"\r\n", b"\n", b"3", b"0", b"."]), st.binary(max_size=20)), max_size=40
)


@given(_PIECES, st.integers(1, 9))
def test_whatever_comes_is_answered_in_whole_lines_however_it_is_cut(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    whole, cut = Session(Scale()), Session(Scale())
    answer = whole.feed(data)
    parts = b"".join(cut.feed(data[at : at + size]) for at in range(0, len(data), size)) or cut.feed(b"")
    assert parts == answer
    assert whole.closed == cut.closed
    rest = answer
    while rest:
        line, found, rest = rest.partition(b"\r\n")
        assert found
        assert (
            line == b"Click::ControlSocket/1.3"
            or (line[:3].isdigit() and line[3:4] in (b" ", b"-"))
            or line[:5] == b"DATA "
        )
        if line[:5] == b"DATA ":
            rest = rest[int(line[5:]) :]
