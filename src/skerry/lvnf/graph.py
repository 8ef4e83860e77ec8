"""A Click configuration after reading, flattening and checking: plain elements and the connections between their ports.

What is here has passed every check: names are unique, each element's configuration is typed (`configs`), each port that must
be connected is, and each connection is either push or pull at both ends. Back ends need not check again.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from skerry.lvnf.configs import Config


class Processing(enum.StrEnum):
    """How packets move over a connection: the upstream end hands them on, or the downstream end asks for them."""

    PUSH = "push"
    PULL = "pull"


class Element(msgspec.Struct, frozen=True, kw_only=True):
    """One element. `name` is the flattened one ("compound/counter", "Counter@3"); `class_name` the Click class; `text` its
    configuration as written, for handlers and messages; `line` where it is declared (from 1); `inputs` and `outputs` how many
    ports it has here."""

    name: str
    class_name: str
    config: Config
    text: str = ""
    line: int = 0
    inputs: int = 0
    outputs: int = 0


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """From an output port of one element to an input port of another."""

    source: str
    output: int
    target: str
    input: int
    processing: Processing


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration. `elements` keep the order of declaration; `text` is the source it was made from.

    `devices` names the ports of the function in the order of their first use: what FromDevice and ToDevice ask for.
    """

    elements: Mapping[str, Element]
    connections: tuple[Connection, ...]
    devices: tuple[str, ...] = ()
    text: str = ""

    def next(self, name: str, output: int) -> Connection | None:
        """The one connection that leaves this port; None where it is left open."""
        return next((one for one in self.connections if one.source == name and one.output == output), None)

    def before(self, name: str, input: int) -> tuple[Connection, ...]:
        """The connections that enter this port: one at a pull port, any number at a push port."""
        return tuple(one for one in self.connections if one.target == name and one.input == input)
