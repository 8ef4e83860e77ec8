"""A checked graph as bytes and back, for processes that run it and files that remember it."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import msgspec

from skerry.lvnf.configs import Config
from skerry.lvnf.graph import Connection, Element, Graph

if TYPE_CHECKING:
    AnyConfig = Config
else:
    AnyConfig = reduce(or_, Config.__subclasses__())


class _Element(msgspec.Struct, frozen=True):
    name: str
    class_name: str
    config: AnyConfig
    text: str = ""
    line: int = 0
    inputs: int = 0
    outputs: int = 0


class _Graph(msgspec.Struct, frozen=True):
    elements: dict[str, _Element]
    connections: tuple[Connection, ...]
    devices: tuple[str, ...] = ()
    text: str = ""


def packed(graph: Graph) -> bytes:
    """The graph as JSON."""
    return msgspec.json.encode(graph)


def unpacked(data: bytes) -> Graph:
    """What `packed` made. `msgspec.DecodeError` for anything else."""
    found = msgspec.json.decode(data, type=_Graph)
    elements = {
        name: Element(
            name=one.name,
            class_name=one.class_name,
            config=one.config,
            text=one.text,
            line=one.line,
            inputs=one.inputs,
            outputs=one.outputs,
        )
        for name, one in found.elements.items()
    }
    return Graph(elements=elements, connections=found.connections, devices=found.devices, text=found.text)
