"""Click's arguments -> the typed configurations of `configs`, for each class. Pure.

Arguments come by place or by keyword, with Click's names; what is wrong is told for all arguments at once.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from skerry.lvnf import configs, values
from skerry.lvnf.arguments import Argument, split, unquoted, words
from skerry.lvnf.configs import Config
from skerry.lvnf.expressions import expression

MAX_ARGUMENTS = 1024


class Wrong(msgspec.Struct, frozen=True):
    """What is wrong with an argument: where it begins in the configuration, and why."""

    message: str
    offset: int = 0


class Kind(enum.Enum):
    """How an argument is given."""

    NEEDED = "by place or keyword, must be there"
    PLACED = "by place or keyword"
    KEYWORD = "by keyword only"
    IGNORED = "by keyword, has no effect here"


class Param(msgspec.Struct, frozen=True):
    """One argument of a class: Click's keyword, how to read it, the field that takes the value."""

    keyword: str
    read: Callable[[str], Any]
    field: str = ""
    kind: Kind = Kind.PLACED


class Read(msgspec.Struct, frozen=True):
    """A typed configuration, or None and what is wrong."""

    config: Config | None
    wrong: tuple[Wrong, ...] = ()


def read(class_name: str, text: str, outputs: int = 1) -> Read:
    """The configuration of a class of the catalogue; `outputs` is how many are connected."""
    given = split(text)
    if len(given) > MAX_ARGUMENTS:
        return Read(None, (Wrong(f"there are more than {MAX_ARGUMENTS} arguments"),))
    found = _Reading(class_name, given)
    if class_name == "Tee" and not found.placed:
        found.fields.setdefault("N", max(outputs, 1))
    return found.result()


def signature(class_name: str) -> str:
    """The arguments of a class for people: `STRING DEVNAME`, optional ones in brackets."""
    told = [param for param in _PARAMS.get(class_name, ()) if param.kind is not Kind.IGNORED]
    texts = [*_REPEATED.get(class_name, ())]
    for param in told:
        text = f"keyword {param.keyword}" if param.kind is Kind.KEYWORD else param.keyword
        texts.append(text if param.kind is Kind.NEEDED else f"[{text}]")
    return ", ".join(texts)


class _Reading:
    def __init__(self, class_name: str, given: Sequence[Argument]) -> None:
        self.name = class_name
        self.wrong: list[Wrong] = []
        self.params = _PARAMS.get(class_name, ())
        self.placed: list[Argument] = []
        self.fields: dict[str, Any] = {}
        self._sort(given)

    def result(self) -> Read:
        """The configuration, or all that is wrong."""
        special = _SPECIAL.get(self.name)
        if special is not None:
            special(self)
        else:
            self.places()
        if self.wrong:
            return Read(None, tuple(self.wrong))
        return Read(getattr(configs, self.name)(**self.fields))

    def each(self, reader: Callable[[str], Any], what: str) -> tuple[Any, ...]:
        """Every argument by place through one reader; at least one must be there."""
        if not self.placed:
            self.wrong.append(Wrong(f"{self.name} needs {what}"))
        found = [self.value(reader, argument) for argument in self.placed]
        return tuple(found)

    def value(self, reader: Callable[[str], Any], argument: Argument) -> Any:
        """An argument through a reader; None and a complaint where it is wrong."""
        try:
            return reader(argument.text)
        except ValueError as error:
            self.wrong.append(Wrong(str(error), argument.offset))
            return None

    def _sort(self, given: Sequence[Argument]) -> None:
        """By place or by keyword."""
        by_keyword = {param.keyword: param for param in self.params}
        for argument in given:
            head, _, rest = argument.text.partition(" ")
            param = by_keyword.get(head)
            if param is None or (not rest and param.kind in (Kind.NEEDED, Kind.PLACED)):
                self.placed.append(argument)
            elif param.kind is not Kind.IGNORED:
                self._set(param, Argument(rest.strip(), argument.offset))

    def _set(self, param: Param, argument: Argument) -> None:
        if param.keyword in self.fields:
            self.wrong.append(Wrong(f"{param.keyword} is given twice", argument.offset))
        found = self.value(param.read, argument)
        self.fields[param.keyword] = found

    def places(self) -> None:
        """Arguments by place to their parameters, then keywords to the names of fields."""
        order = [param for param in self.params if param.kind in (Kind.NEEDED, Kind.PLACED)]
        for param, argument in zip(order, self.placed, strict=False):
            self._set(param, argument)
        self._too_many(len(order))
        missing = [p.keyword for p in order if p.kind is Kind.NEEDED and p.keyword not in self.fields]
        if missing:
            self.wrong.append(
                Wrong(f"{self.name} needs {', '.join(missing)}; write {self.name}({signature(self.name)})")
            )
        self.rename()

    def _too_many(self, most: int) -> None:
        if len(self.placed) <= most:
            return
        head = self.placed[most].text.partition(" ")[0][:40]
        what = f'"{head}" is no keyword of {self.name}' if head.isupper() else f"{self.name} has too many arguments"
        fix = f"{self.name}({signature(self.name)})" if signature(self.name) else f"{self.name} without arguments"
        self.wrong.append(Wrong(f"{what}; write {fix}", self.placed[most].offset))

    def rename(self) -> None:
        """From Click's keywords to the names of fields."""
        names = {param.keyword: param.field for param in self.params}
        self.fields = {names.get(key, key): value for key, value in self.fields.items()}


def _classifier(reading: _Reading) -> None:
    reading.fields = {"patterns": reading.each(values.clauses, "a pattern such as 12/0800, or -")}


def _ip_classifier(reading: _Reading) -> None:
    reading.fields = {"expressions": reading.each(expression, "an expression such as tcp, or -")}


def _ip_filter(reading: _Reading) -> None:
    reading.fields = {"rules": reading.each(_filter_rule, "a rule such as allow tcp")}


def _filter_rule(text: str) -> configs.IPFilterRule:
    action, *rest = text.split(None, 1) or [""]
    known: dict[str, int | None] = {"allow": 0, "accept": 0, "deny": None, "drop": None}
    if action.lower() not in known and not action.isdigit():
        raise ValueError(f'"{action[:40]}" is no action; write allow, deny or the number of an output')
    output = known[action.lower()] if action.lower() in known else values.integer(0, 255)(action)
    return configs.IPFilterRule(output=output, expression=expression(rest[0] if rest else ""))


def _arp_responder(reading: _Reading) -> None:
    found = reading.each(_arp_entries, "an entry such as 10.0.0.1 02:00:00:00:00:01")
    reading.fields = {"entries": tuple(entry for entries in found for entry in entries or ())}


def _arp_entries(text: str) -> list[configs.ARPEntry]:
    *networks, mac = words(text) or [""]
    if not networks:
        raise ValueError(f'"{text[:40]}" is no entry; write addresses and then an Ethernet address')
    hardware = values.ethernet(mac)
    made: list[configs.ARPEntry] = []
    for one in networks:
        network, width = values.prefix(one)
        made.append(configs.ARPEntry(network=network, prefix=width, mac=hardware))
    return made


def _ip_rewriter(reading: _Reading) -> None:
    rules = reading.each(_rewriting, "a rule for each input, such as pattern 10.0.0.1 1024-65535 - - 0 1")
    reading.rename()
    reading.fields["rules"] = rules


def _rewriting(text: str) -> configs.IPRewriterInput:
    verb, *rest = words(text) or [""]
    output = values.integer(0, 255)
    if verb in ("drop", "discard") and not rest:
        return configs.IPRewriterInput(kind="drop")
    if verb in ("pass", "passthrough", "nochange") and len(rest) <= 1:
        return configs.IPRewriterInput(kind="pass", forward=output(rest[0]) if rest else 0)
    if verb == "keep" and len(rest) == 2:
        return configs.IPRewriterInput(kind="keep", forward=output(rest[0]), reverse=output(rest[1]))
    if verb == "pattern" and len(rest) == 6:
        return _pattern(rest)
    raise ValueError(
        f'"{text[:60]}" is no rule; write drop, pass OUTPUT, keep FORWARD REVERSE or'
        " pattern SADDR SPORT DADDR DPORT FORWARD REVERSE"
    )


def _pattern(rest: Sequence[str]) -> configs.IPRewriterInput:
    source, sport, target, dport, forward, reverse = rest
    output = values.integer(0, 255)
    first, dash, last = ("-", "", "") if sport == "-" else sport.rstrip("#?").partition("-")
    ports = (values.port(first), values.port(last) if dash else None) if first != "-" else (None, None)
    if ports[0] is not None and ports[1] is not None and ports[1] < ports[0]:
        raise ValueError(f'the ports "{sport}" end before they begin; write them as 1024-65535')
    return configs.IPRewriterInput(
        kind="pattern",
        source=None if source == "-" else values.ip(source),
        source_port=ports[0],
        source_port_last=ports[1],
        destination=None if target == "-" else values.ip(target),
        destination_port=None if dport == "-" else values.port(dport),
        forward=output(forward),
        reverse=output(reverse),
    )


def _meter(reading: _Reading) -> None:
    rates = reading.each(values.whole_rate, "a rate in packets a second")
    if None not in rates and list(rates) != sorted(set(rates)):
        reading.wrong.append(Wrong("the rates of Meter must grow; write the smallest first"))
    reading.fields = {"rates": rates}


def _tci(reading: _Reading) -> None:
    """VLANEncap's first argument is the whole tag."""
    reading.places()
    tag = reading.fields.pop("tci", None)
    if tag is not None:
        reading.fields.setdefault("vlan_id", tag & 0xFFF)
        reading.fields.setdefault("pcp", tag >> 13)
    elif "vlan_id" not in reading.fields and not reading.wrong:
        reading.wrong.append(Wrong("VLANEncap needs a tag; write VLANEncap(100) or VLANEncap(VLAN_ID 100)"))


def _random_sample(reading: _Reading) -> None:
    reading.places()
    drop = reading.fields.pop("drop", None)
    if drop is not None:
        reading.fields.setdefault("probability", 1 - drop)
    elif "probability" not in reading.fields and not reading.wrong:
        reading.wrong.append(
            Wrong("RandomSample needs a probability; write RandomSample(0.1) or RandomSample(DROP 0.1)")
        )


def _ip_encap(reading: _Reading) -> None:
    """TOS and ECN bits are not set; a type of service is taken for its upper six bits."""
    reading.places()
    tos = reading.fields.pop("tos", None)
    if tos is not None:
        reading.fields.setdefault("dscp", tos >> 2)


_VERBS = (
    "set",
    "init",
    "export",
    "read",
    "readq",
    "write",
    "writeq",
    "print",
    "printn",
    "printq",
    "printnq",
    "wait",
    "wait_time",
    "wait_step",
    "wait_stop",
    "goto",
    "label",
    "loop",
    "end",
    "exit",
    "stop",
    "return",
    "pause",
    "save",
)


def _script(reading: _Reading) -> None:
    steps: list[configs.ScriptStep] = []
    for argument in reading.placed:
        verb, *rest = argument.text.split(None, 1) or [""]
        if verb in _VERBS:
            steps.append(configs.ScriptStep(verb=verb, arguments=rest[0] if rest else ""))
        else:
            told = f'"{verb[:40]}" is no instruction; write one of {", ".join(_VERBS[:14])}'
            reading.wrong.append(Wrong(told, argument.offset))
    reading.rename()
    reading.fields["steps"] = tuple(steps)


def _script_type(text: str) -> str:
    kind = unquoted(text).lower()
    if kind not in ("active", "passive"):
        raise ValueError(f'"{text[:40]}" is no type; write ACTIVE or PASSIVE')
    return kind


def _needed(keyword: str, reader: Callable[[str], Any], field: str) -> Param:
    return Param(keyword, reader, field, Kind.NEEDED)


def _keyword(keyword: str, reader: Callable[[str], Any], field: str) -> Param:
    return Param(keyword, reader, field, Kind.KEYWORD)


def _ignored(*keywords: str) -> tuple[Param, ...]:
    return tuple(Param(keyword, values.string, "", Kind.IGNORED) for keyword in keywords)


_byte = values.integer(0, 255)
_length = values.integer(0, 65535)

_PARAMS: Mapping[str, tuple[Param, ...]] = {
    "FromDevice": (
        _needed("DEVNAME", values.device, "device"),
        *_ignored("SNIFFER", "PROMISC", "SNAPLEN", "METHOD", "CAPTURE", "BURST", "HEADROOM", "TIMESTAMP", "ACTIVE"),
    ),
    "ToDevice": (
        _needed("DEVNAME", values.device, "device"),
        *_ignored("BURST", "METHOD", "QUIET", "QUEUE", "DEBUG", "NO_PAD"),
    ),
    "Discard": _ignored("ACTIVE", "BURST"),
    "Strip": (_needed("LENGTH", _length, "length"),),
    "Unstrip": (_needed("LENGTH", _length, "length"),),
    "EtherEncap": (
        _needed("ETHERTYPE", values.ethertype, "ethertype"),
        _needed("SRC", values.ethernet, "src"),
        _needed("DST", values.ethernet, "dst"),
    ),
    "VLANEncap": (
        Param("VLAN_TCI", _length, "tci"),
        Param("VLAN_PCP", values.integer(0, 7), "pcp"),
        _keyword("VLAN_ID", values.integer(0, 4095), "vlan_id"),
        _keyword("ETHERTYPE", values.ethertype, "ethertype"),
        *_ignored("NATIVE_VLAN"),
    ),
    "VLANDecap": _ignored("ANNO"),
    "EtherRewrite": (_needed("SRC", values.ethernet, "src"), _needed("DST", values.ethernet, "dst")),
    "CheckIPHeader": (
        Param("OFFSET", _length, "offset"),
        _keyword("BADSRC", values.addresses, "bad_sources"),
        _keyword("CHECKSUM", values.boolean, "checksum"),
        *_ignored("VERBOSE", "DETAILS", "INTERFACES", "GOODDST"),
    ),
    "IPRewriter": (
        _keyword("TCP_TIMEOUT", values.time, "tcp_timeout"),
        _keyword("UDP_TIMEOUT", values.time, "udp_timeout"),
        *_ignored("GUARANTEE", "TCP_GUARANTEE", "UDP_GUARANTEE", "TCP_DONE_TIMEOUT", "REAP_INTERVAL", "REAP_TIME"),
        *_ignored("MAPPING_CAPACITY", "CAPACITY", "DST_ANNO", "UDP_STREAMING_TIMEOUT", "TCP_NODATA_TIMEOUT"),
    ),
    "Counter": _ignored("COUNT_CALL", "BYTE_COUNT_CALL", "NO_RATE"),
    "AverageCounter": (Param("IGNORE", values.time, "ignore"),),
    "Tee": (Param("N", values.integer(1, 1024), "outputs"),),
    "Switch": (Param("OUTPUT", values.integer(-1, 1023), "output"),),
    "Paint": (_needed("COLOR", _byte, "color"), Param("ANNO", values.string, "", Kind.IGNORED)),
    "CheckPaint": (_needed("COLOR", _byte, "color"), Param("ANNO", values.string, "", Kind.IGNORED)),
    "RandomSample": (
        Param("SAMPLE", values.probability, "probability"),
        _keyword("DROP", values.probability, "drop"),
        *_ignored("ACTIVE"),
    ),
    "Queue": (Param("CAPACITY", values.integer(1, 1_000_000), "capacity"),),
    "Unqueue": (Param("ACTIVE", values.boolean, "active"), *_ignored("LIMIT", "BURST", "QUIET")),
    "RatedUnqueue": (_needed("RATE", values.rate, "rate"), *_ignored("LIMIT", "BURST_DURATION", "BURST_SIZE")),
    "Shaper": (_needed("RATE", values.rate, "rate"), *_ignored("BURST_DURATION", "BURST_SIZE")),
    "BandwidthShaper": (_needed("RATE", values.bandwidth, "rate"), *_ignored("BURST_DURATION", "BURST_BYTES")),
    "IPEncap": (
        _needed("PROTO", values.protocol, "protocol"),
        _needed("SRC", values.ip, "src"),
        _needed("DST", values.ip, "dst"),
        _keyword("TTL", _byte, "ttl"),
        _keyword("DSCP", values.dscp, "dscp"),
        _keyword("TOS", _byte, "tos"),
    ),
    "UDPIPEncap": (
        _needed("SRC", values.ip, "src"),
        _needed("SPORT", values.port, "source_port"),
        _needed("DST", values.ip, "dst"),
        _needed("DPORT", values.port, "destination_port"),
        Param("CHECKSUM", values.boolean, "checksum"),
    ),
    "GTPEncap": (
        _needed("TEID", values.integer(0, 0xFFFFFFFF), "teid"),
        _keyword("QFI", values.integer(0, 63), "qfi"),
        _keyword("PDU_TYPE", values.integer(0, 1), "pdu_type"),
    ),
    "GTPDecap": (Param("TEID", values.integer(0, 0xFFFFFFFF), "teid"),),
    "GTPGateway": (
        _needed("DIVERT", expression, "expression"),
        _needed("ADDRESS", values.ip, "address"),
        _needed("MAC", values.ethernet, "mac"),
        _needed("VIA", values.ip, "via"),
        _keyword("MSS", values.integer(536, 65495), "mss"),
    ),
    "NSHEncap": (
        _needed("PATH", values.integer(0, 0xFFFFFF), "path"),
        Param("INDEX", _byte, "index"),
        _keyword("TTL", values.integer(0, 63), "ttl"),
        _keyword("NEXT", _byte, "next_protocol"),
        _keyword("METADATA", values.metadata, "metadata"),
    ),
    "NSHDecap": (Param("PATH", values.integer(0, 0xFFFFFF), "path"),),
    "Print": (
        Param("LABEL", values.string, "label"),
        Param("MAXLENGTH", values.integer(-1, 65535), "max_length"),
        _keyword("ACTIVE", values.boolean, "active"),
        *_ignored("CONTENTS", "TIMESTAMP", "PRINTANNO", "HEADROOM", "BCONTENTS", "CPU"),
    ),
    "Script": (_keyword("TYPE", _script_type, "kind"),),
}

_REPEATED: Mapping[str, tuple[str, ...]] = {
    "Classifier": ("PATTERN, ...",),
    "IPClassifier": ("EXPRESSION, ...",),
    "IPFilter": ("ACTION EXPRESSION, ...",),
    "ARPResponder": ("ADDRESS... MAC, ...",),
    "IPRewriter": ("INPUTSPEC, ...",),
    "Meter": ("RATE, ...",),
    "Script": ("INSTRUCTION, ...",),
}

_SPECIAL: Mapping[str, Callable[[_Reading], None]] = {
    "Classifier": _classifier,
    "IPClassifier": _ip_classifier,
    "IPFilter": _ip_filter,
    "ARPResponder": _arp_responder,
    "IPRewriter": _ip_rewriter,
    "Meter": _meter,
    "VLANEncap": _tci,
    "RandomSample": _random_sample,
    "IPEncap": _ip_encap,
    "Script": _script,
}
