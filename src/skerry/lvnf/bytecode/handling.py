"""Handlers of elements that are programs: what they show of the words that programs keep, what writing them changes. Pure.

A `State` gives and takes the words; times are nanoseconds of the monotonic clock, as programs see it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from skerry.lvnf import configs
from skerry.lvnf.backend import Handler, HandlerKind
from skerry.lvnf.bytecode import rewriting, slots
from skerry.lvnf.bytecode.counting import BYTE_SCALE, EPOCH_NS, EPOCHS, PACKET_SCALE, limits
from skerry.lvnf.elements.behaviour import boolean, integer, real, spelled
from skerry.lvnf.elements.counting import MOST
from skerry.lvnf.elements.headers import address_text, mac_text
from skerry.lvnf.elements.rates import Average, fixed_point
from skerry.lvnf.graph import Element

_TEIDS = 0xFFFFFFFF
_HALVES = 1 << 32
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


class State(Protocol):
    """The words of elements."""

    def counts(self, name: str, word: int) -> list[int]:
        """A word of `counts`, of each processor."""
        ...

    def control(self, name: str, word: int) -> int:
        """A word of `control`."""
        ...

    def set(self, name: str, word: int, value: int) -> None:
        """Another value for a word of `control`."""
        ...

    def now(self) -> int:
        """The time."""
        ...

    def flows(self, name: str) -> dict[bytes, bytes]:
        """What an IPRewriter knows: keys and values."""
        ...

    def forget(self, name: str) -> None:
        """Let it know nothing any more."""
        ...


Read = Callable[[State, Element], str]
Write = Callable[[State, Element, str], None]


def total(state: State, name: str, word: int) -> int:
    """What was counted since the last reset."""
    return sum(state.counts(name, word)) - _signed(state.control(name, slots.BASE + word))


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def initial(element: Element) -> Mapping[int, int]:
    """What the words of `control` are at first, where that is not 0."""
    config = element.config
    if isinstance(config, configs.Switch):
        return {slots.SETTING: config.output % (1 << 64)}
    if isinstance(config, configs.Paint | configs.CheckPaint):
        return {slots.SETTING: config.color}
    if isinstance(config, configs.GTPEncap):
        return {slots.SETTING: config.teid}
    if isinstance(config, configs.RandomSample):
        return {**_probability(config.probability), slots.ACTIVE: 1}
    return {}


def _probability(value: float) -> dict[int, int]:
    exact = int.from_bytes(struct.pack("<d", value), "little")
    return {slots.SETTING: round(value * _HALVES), slots.PROBABILITY: exact}


def stays(element: Element, before: Element) -> bool:
    """Whether an element's words are as good after a change. What handlers set outlives only what leaves the configuration as
    it is."""
    return element.config == before.config or not initial(element)


# -- reading --------------------------------------------------------------------------------------------------------------


def _counted(word: int) -> Read:
    return lambda state, element: str(total(state, element.name, word))


def _word(word: int) -> Read:
    return lambda state, element: str(_signed(state.control(element.name, word)))


def _average(state: State, name: str, word: int, scale: int) -> Average:
    """The sum of the averages of all processors, now."""
    now = state.now() / 1e9
    whole = Average(now, scale)
    parts = (state.counts(name, one) for one in (slots.EPOCH, word, word + 1))
    for epoch, scaled, counted in zip(*parts, strict=True):
        one = Average(now, scale)
        one.epoch, one.scaled, one.total = epoch, _signed(scaled), counted
        one.update(max(now, epoch / EPOCHS), 0)
        whole.scaled += one.scaled
    return whole


def _rate(word: int, scale: int, factor: int = 1) -> Read:
    return lambda state, element: _average(state, element.name, word, scale).rate(factor)


def _mean(word: int) -> Read:
    def read(state: State, element: Element) -> str:
        name = element.name
        first, last = state.control(name, slots.FIRST_SEEN), max(state.counts(name, slots.LAST_SEEN))
        ignore = cast("configs.AverageCounter", element.config).ignore
        elapsed = (last - first) / 1e9 - ignore if first and last > first else 0.0
        return f"{total(state, name, word) * EPOCHS / max(int(elapsed * EPOCHS), 1):.12g}"

    return read


def _meter_rate(state: State, element: Element) -> str:
    now = state.now() / 1e9
    one = Average(now, PACKET_SCALE)
    one.epoch = state.control(element.name, slots.METER_EPOCH)
    one.scaled = _signed(state.control(element.name, slots.METER_RATE))
    one.total = state.control(element.name, slots.METER_RATE + 1)
    one.update(max(now, one.epoch * EPOCH_NS / 1e9), 0)
    return one.rate()


def _meters(_: State, element: Element) -> str:
    config = cast("configs.Meter", element.config)
    return "".join(f"{fixed_point(limit * EPOCHS, PACKET_SCALE)}\n" for limit in limits(config))


def _sampled(state: State, element: Element) -> float:
    bits = state.control(element.name, slots.PROBABILITY)
    return float(struct.unpack("<d", bits.to_bytes(8, "little"))[0])


def _arp_table(_: State, element: Element) -> str:
    entries = cast("configs.ARPResponder", element.config).entries
    return "".join(f"{address_text(one.network)}/{one.prefix} {mac_text(one.mac)}\n" for one in entries)


def _known(state: State, element: Element) -> list[tuple[bytes, bytes]]:
    """The flows whose time is not over, each in the direction that made it, in the order in which they were made."""
    config, found, now = cast("configs.IPRewriter", element.config), state.flows(element.name), state.now()
    known: list[tuple[int, bytes, bytes]] = []
    for key, value in found.items():
        flags = _U32.unpack_from(value, rewriting.FLAGS)[0]
        other = found.get(value[rewriting.OTHER : rewriting.OTHER + rewriting.KEY], value)
        seen = max(_U64.unpack_from(one, rewriting.SEEN)[0] for one in (value, other))
        done = flags & _U32.unpack_from(other, rewriting.FLAGS)[0] & rewriting.FINISHED
        if flags & rewriting.FORWARD and now - seen <= rewriting.lifetime(config, key[0], finished=bool(done)):
            known.append((_U32.unpack_from(value, rewriting.PLACE)[0], key, value))
    return [(key, value) for _, key, value in sorted(known)]


def _table(*protocols: int) -> Read:
    def read(state: State, element: Element) -> str:
        known = _known(state, element)
        return "".join(_flow(*one) for protocol in protocols for one in known if one[0][0] == protocol)

    return read


def _flow(key: bytes, value: bytes) -> str:
    output = _U32.unpack_from(value, rewriting.OUTPUT)[0]
    return f"{_ends(key[4:16])} => {_ends(value[:12])} [{output}]\n"


def _ends(data: bytes) -> str:
    ports = struct.unpack(">HH", data[8:12])
    return f"({address_text(data[:4])}, {ports[0]}, {address_text(data[4:8])}, {ports[1]})"


def _fixed(attribute: str, text: Callable[[object], str] = str) -> Read:
    return lambda _, element: text(getattr(element.config, attribute))


def _mac(attribute: str) -> Read:
    return _fixed(attribute, lambda value: mac_text(cast("bytes", value)))


def _ip(attribute: str) -> Read:
    return _fixed(attribute, lambda value: address_text(cast("bytes", value)))


_COUNT = _counted(slots.PACKETS)
READS: Mapping[str, Mapping[str, Read]] = {
    "FromDevice": {"count": _COUNT},
    "ToDevice": {"count": _COUNT},
    "Discard": {"count": _COUNT},
    "CheckIPHeader": {"count": _COUNT, "drops": _counted(slots.DROPS)},
    "Counter": {
        "count": _COUNT,
        "byte_count": _counted(slots.BYTES),
        "rate": _rate(slots.PACKET_RATE, PACKET_SCALE),
        "byte_rate": _rate(slots.BYTE_RATE, BYTE_SCALE),
        "bit_rate": _rate(slots.BYTE_RATE, BYTE_SCALE, 8),
    },
    "AverageCounter": {
        "count": _COUNT,
        "byte_count": _counted(slots.BYTES),
        "rate": _mean(slots.PACKETS),
        "byte_rate": _mean(slots.BYTES),
    },
    "Meter": {"rate": _meter_rate, "meters": _meters},
    "IPRewriter": {
        "nmappings": lambda state, element: str(len(_known(state, element))),
        "mapping_failures": _COUNT,
        "table": _table(6, 17),
        "tcp_table": _table(6),
        "udp_table": _table(17),
    },
    "Switch": {"switch": _word(slots.SETTING)},
    "Paint": {"color": _word(slots.SETTING)},
    "CheckPaint": {"color": _word(slots.SETTING)},
    "RandomSample": {
        "sampling_prob": lambda state, element: f"{_sampled(state, element):.9g}",
        "drop_prob": lambda state, element: f"{round(1 - _sampled(state, element), 9):.9g}",
        "drops": _counted(slots.DROPS),
        "count": _COUNT,
        "active": lambda state, element: spelled(bool(state.control(element.name, slots.ACTIVE))),
    },
    "GTPEncap": {"teid": _word(slots.SETTING)},
    "GTPDecap": {"count": _COUNT, "teid": _word(slots.LAST)},
    "NSHEncap": {"path": _fixed("path"), "index": _fixed("index")},
    "NSHDecap": {"count": _COUNT, "path": _word(slots.LAST), "index": _word(slots.LAST_INDEX)},
    "EtherEncap": {
        "src": _mac("src"),
        "dst": _mac("dst"),
        "ethertype": _fixed("ethertype", lambda value: f"{cast('int', value):04x}"),
    },
    "EtherRewrite": {"src": _mac("src"), "dst": _mac("dst")},
    "VLANEncap": {"vlan_id": _fixed("vlan_id"), "vlan_pcp": _fixed("pcp")},
    "ARPResponder": {"table": _arp_table},
    "IPEncap": {"src": _ip("src"), "dst": _ip("dst")},
    "UDPIPEncap": {
        "src": _ip("src"),
        "sport": _fixed("source_port"),
        "dst": _ip("dst"),
        "dport": _fixed("destination_port"),
    },
}
"""Handlers to read, of each class."""


# -- writing --------------------------------------------------------------------------------------------------------------


def _reset(*words: int) -> Write:
    """What was counted until now no longer counts."""

    def write(state: State, element: Element, _: str) -> None:
        for word in words:
            counted = sum(state.counts(element.name, word))
            state.set(element.name, slots.BASE + word, counted % (1 << 64))

    return write


def _count_from(word: int, what: str) -> Write:
    """Counting goes on from another number."""

    def write(state: State, element: Element, value: str) -> None:
        wanted = integer(value, what, 0, MOST)
        state.set(element.name, slots.BASE + word, (sum(state.counts(element.name, word)) - wanted) % (1 << 64))

    return write


def _reset_average(state: State, element: Element, _: str) -> None:
    _reset(slots.PACKETS, slots.BYTES)(state, element, "")
    state.set(element.name, slots.FIRST_SEEN, 0)


def _number(what: str, lowest: int, highest: int) -> Write:
    def write(state: State, element: Element, value: str) -> None:
        state.set(element.name, slots.SETTING, integer(value, what, lowest, highest))

    return write


def _turn(state: State, element: Element, value: str) -> None:
    output = integer(value, "an output", -1, element.outputs - 1)
    state.set(element.name, slots.SETTING, output % (1 << 64))


def _sample(state: State, element: Element, probability: float) -> None:
    for word, value in _probability(probability).items():
        state.set(element.name, word, value)


def _sampling(state: State, element: Element, value: str) -> None:
    _sample(state, element, real(value, "a probability", 0, 1))


def _dropping(state: State, element: Element, value: str) -> None:
    _sample(state, element, 1 - real(value, "a probability", 0, 1))


def _activate(state: State, element: Element, value: str) -> None:
    state.set(element.name, slots.ACTIVE, int(boolean(value)))


_RESET_ONE = _reset(slots.PACKETS)
_RESET_BOTH = _reset(slots.PACKETS, slots.BYTES)
_COLOR = _number("a colour", 0, 255)
WRITES: Mapping[str, Mapping[str, Write]] = {
    "FromDevice": {"reset_counts": _RESET_ONE},
    "ToDevice": {"reset_counts": _RESET_ONE},
    "Discard": {"reset_counts": _RESET_ONE},
    "CheckIPHeader": {"reset_counts": _RESET_BOTH},
    "Counter": {
        "reset": _RESET_BOTH,
        "reset_counts": _RESET_BOTH,
        "count": _count_from(slots.PACKETS, "a count"),
        "byte_count": _count_from(slots.BYTES, "a count of bytes"),
    },
    "AverageCounter": {"reset": _reset_average},
    "IPRewriter": {"clear": lambda state, element, _: state.forget(element.name)},
    "Switch": {"switch": _turn},
    "Paint": {"color": _COLOR},
    "CheckPaint": {"color": _COLOR},
    "RandomSample": {
        "sampling_prob": _sampling,
        "drop_prob": _dropping,
        "active": _activate,
        "reset_counts": _RESET_BOTH,
    },
    "GTPEncap": {"teid": _number("a tunnel endpoint identifier", 0, _TEIDS)},
    "GTPDecap": {"reset_counts": _RESET_ONE},
    "NSHDecap": {"reset_counts": _RESET_ONE},
}
"""Handlers to write, of each class."""


def handlers(element: Element) -> list[Handler]:
    """The handlers of an element's class, in the order in which they are shown."""
    reads, writes = READS.get(element.class_name, {}), WRITES.get(element.class_name, {})
    names = dict.fromkeys([*reads, *writes])
    return [Handler(element=element.name, name=one, kind=kind(one in reads, one in writes)) for one in names]


def kind(readable: bool, writable: bool) -> HandlerKind:
    """What can be done with a handler."""
    if readable and writable:
        return HandlerKind.BOTH
    return HandlerKind.READ if readable else HandlerKind.WRITE
