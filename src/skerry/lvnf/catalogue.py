"""The element classes that Skerry knows: ports, how packets move through them, handlers. Pure.

`ports` is "inputs/outputs", each a number, "a-b", or "a-" for no upper bound. `processing` has a letter for each input and
output, the last one for all further ones: h push, l pull, a agnostic (as what is connected to it).
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

import msgspec

from skerry.lvnf import configs
from skerry.lvnf.configs import Config


class ElementKind(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a class. `handlers` are "name r", "name w" or "name rw"; `apart`: its agnostic ports are each by
    themselves."""

    name: str
    config: type[Config]
    ports: str
    processing: str
    handlers: tuple[str, ...] = ()
    apart: bool = False

    @property
    def doc(self) -> str:
        """What it does, in a sentence."""
        return " ".join((self.config.__doc__ or "").split()).partition(". ")[0].rstrip(".") + "."

    def input_range(self) -> tuple[int, int | None]:
        """The fewest and the most inputs; None: no bound."""
        return _range(self.ports.partition("/")[0])

    def output_range(self) -> tuple[int, int | None]:
        """The fewest and the most outputs; None: no bound."""
        return _range(self.ports.partition("/")[2])

    def input_code(self, port: int) -> str:
        """How packets enter by a port: "h", "l" or "a"."""
        return _code(self.processing.partition("/")[0], port)

    def output_code(self, port: int) -> str:
        """How packets leave by a port: "h", "l" or "a"."""
        return _code(self.processing.partition("/")[2], port)


def _range(text: str) -> tuple[int, int | None]:
    fewest, dash, most = text.partition("-")
    return int(fewest), int(most) if most else None if dash else int(fewest)


def _code(codes: str, port: int) -> str:
    return codes[min(port, len(codes) - 1)] if codes else "a"


_COUNTED = ("count r", "reset_counts w")
_TABLES = ("table r", "tcp_table r", "udp_table r")
_WRITABLE = ("count rw", "byte_count rw")
_SETTABLE = ("count rw", "byte_count rw", "rate r", "byte_rate r", "reset w")
_COUNTS = ("count r", "byte_count r", "rate r", "byte_rate r", "reset w")

KINDS: Mapping[str, ElementKind] = {
    kind.name: kind
    for kind in (
        ElementKind(name=config.__name__, config=config, ports=ports, processing=processing, handlers=handlers)
        for config, ports, processing, handlers in (
            (configs.FromDevice, "0/1", "/h", _COUNTED),
            (configs.ToDevice, "1/0", "a/", _COUNTED),
            (configs.Discard, "1/0", "a/", _COUNTED),
            (configs.Null, "1/1", "a/a", ()),
            (configs.Classifier, "1/1-", "h/h", ()),
            (configs.IPClassifier, "1/1-", "h/h", ()),
            (configs.IPFilter, "1/0-", "h/h", ()),
            (configs.Strip, "1/1", "a/a", ()),
            (configs.Unstrip, "1/1", "a/a", ()),
            (configs.EtherEncap, "1/1", "a/a", ("src r", "dst r", "ethertype r")),
            (configs.VLANEncap, "1/1", "a/a", ("vlan_id r", "vlan_pcp r")),
            (configs.VLANDecap, "1/1", "a/a", ()),
            (configs.EtherMirror, "1/1", "a/a", ()),
            (configs.EtherRewrite, "1/1", "a/a", ("src r", "dst r")),
            (configs.ARPResponder, "1/1-2", "a/ah", ("table r",)),
            (configs.ICMPPingResponder, "1/1-2", "a/ah", ()),
            (configs.CheckIPHeader, "1/1-2", "a/ah", ("drops r", *_COUNTED)),
            (configs.IPRewriter, "1-/1-", "h/h", ("nmappings r", "mapping_failures r", *_TABLES, "clear w")),
            (configs.Counter, "1/1", "a/a", (*_WRITABLE, *_COUNTS[2:], "bit_rate r", "reset_counts w")),
            (configs.AverageCounter, "1/1", "a/a", _COUNTS),
            (configs.Tee, "1/1-", "h/h", ()),
            (configs.Switch, "1/1-", "h/h", ("switch rw",)),
            (configs.RoundRobinSwitch, "1/1-", "h/h", ()),
            (configs.Paint, "1/1", "a/a", ("color rw",)),
            (configs.CheckPaint, "1/1-2", "a/ah", ("color rw",)),
            (
                configs.RandomSample,
                "1/1-2",
                "a/ah",
                ("sampling_prob rw", "drop_prob rw", "active rw", "drops r", *_COUNTED),
            ),
            (configs.Meter, "1/2-", "h/h", ("rate r", "meters r")),
            (
                configs.Queue,
                "1/1",
                "h/l",
                ("length r", "highwater_length r", "capacity rw", "drops r", "reset w", "reset_counts w"),
            ),
            (configs.Unqueue, "1/1", "l/h", ("active rw", "reset w", *_COUNTED)),
            (configs.RatedUnqueue, "1/1", "l/h", ("rate rw",)),
            (configs.Shaper, "1/1", "l/l", ("rate rw",)),
            (configs.BandwidthShaper, "1/1", "l/l", ("rate rw",)),
            (configs.IPEncap, "1/1", "a/a", ("src r", "dst r")),
            (configs.UDPIPEncap, "1/1", "a/a", ("src r", "sport r", "dst r", "dport r")),
            (configs.GTPEncap, "1/1", "a/a", ("teid rw",)),
            (configs.GTPDecap, "1/1-2", "a/ah", ("teid r", *_COUNTED)),
            (
                configs.GTPGateway,
                "3/3",
                "h/h",
                ("sessions rw", "diverted r", "returned r", "inserted r", "dropped r", "reset_counts w"),
            ),
            (configs.NSHEncap, "1/1", "a/a", ("path r", "index r")),
            (configs.NSHDecap, "1/1-2", "a/ah", ("path r", "index r", *_COUNTED)),
            (configs.Print, "1/1", "a/a", ("active rw",)),
            (configs.Script, "0/0", "/", ("step w", "goto w", "run rw", "vars r")),
        )
    )
} | {"Idle": ElementKind(name="Idle", config=configs.Idle, ports="0-/0-", processing="a/a", apart=True)}

# Classes that Click has under other names, with what they are here.
SYNONYMS: Mapping[str, str] = {
    "SimpleQueue": "Queue",
    "FrontDropQueue": "Queue",
    "ThreadSafeQueue": "Queue",
    "IPPrint": "Print",
    "Pad": "Null",
    "MarkIPHeader": "CheckIPHeader",
    "BandwidthRatedUnqueue": "RatedUnqueue",
    "InfiniteSource": "FromDevice",
    "KernelTap": "FromDevice",
    "SetVLANAnno": "VLANEncap",
    "IPMirror": "EtherMirror",
    "PullSwitch": "Switch",
    "StaticSwitch": "Switch",
    "HashSwitch": "RoundRobinSwitch",
    "PaintSwitch": "CheckPaint",
    "PaintTee": "CheckPaint",
    "RatedSplitter": "Meter",
    "BandwidthMeter": "Meter",
}


def nearest(name: str) -> str:
    """The known class that a wrong name most likely means; empty if none is near."""
    by_case = {known.lower(): known for known in KINDS}
    if name in SYNONYMS:
        return SYNONYMS[name]
    found = get_close_matches(name.lower()[:64], by_case, 1, 0.6)
    return by_case[found[0]] if found else ""
