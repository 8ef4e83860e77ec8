"""What a message of a control plane says about a bearer. The common language of the parsers."""

from __future__ import annotations

import msgspec


class End(msgspec.Struct, frozen=True):
    """Where one side of a tunnel wants to be sent to: an address (text) and a TEID."""

    address: str
    teid: int


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something about one bearer. `keys` are its names in the protocol: facts with a name in common are about the same one.

    `core` is the end towards the core (uplink goes there), `ran` the end towards the RAN. `opens` begins a new bearer,
    whatever had the name before; `gone` ends it; `group_gone` ends every bearer of that group.
    """

    keys: tuple[str, ...] = ()
    ue: str = ""
    core: End | None = None
    ran: End | None = None
    qfi: int | None = None
    group: str = ""
    opens: bool = False
    gone: bool = False
    group_gone: str = ""


class Packet(msgspec.Struct, frozen=True):
    """A message as it was on the wire, with the addresses of its IP packet."""

    source: str
    target: str
    data: bytes


def pair(packet: Packet) -> str:
    """The two ends of a conversation, the same for both directions."""
    return "-".join(sorted((packet.source, packet.target)))
