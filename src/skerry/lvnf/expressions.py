"""IP expressions as of IPClassifier and IPFilter -> the typed tests of `configs`. Pure.

`ValueError` says what is wrong with an expression and what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Network

import msgspec

from skerry.lvnf.configs import IPAll, IPAny, IPExpression, IPNot, IPTest

MAX_TOKENS = 4096
MAX_DEPTH = 32
MAX_CHOICES = 4  # each doubles its condition

PROTOCOLS: Mapping[str, int] = {
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "tcp": 6,
    "udp": 17,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "sctp": 132,
}
PORTS: Mapping[str, int] = {
    "echo": 7,
    "discard": 9,
    "daytime": 13,
    "chargen": 19,
    "ftp-data": 20,
    "ftp": 21,
    "ssh": 22,
    "telnet": 23,
    "smtp": 25,
    "domain": 53,
    "dns": 53,
    "bootps": 67,
    "bootpc": 68,
    "tftp": 69,
    "finger": 79,
    "www": 80,
    "http": 80,
    "pop3": 110,
    "sunrpc": 111,
    "auth": 113,
    "nntp": 119,
    "ntp": 123,
    "netbios-ns": 137,
    "netbios-dgm": 138,
    "netbios-ssn": 139,
    "snmp": 161,
    "snmp-trap": 162,
    "irc": 194,
    "imap3": 220,
    "https": 443,
    "rip": 520,
    "route": 520,
    "imaps": 993,
    "pop3s": 995,
    "gtp-c": 2123,
    "gtp-u": 2152,
}
OPTIONS: Mapping[str, int] = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ece": 64, "cwr": 128}
ICMP_TYPES: Mapping[str, int] = {
    "echo-reply": 0,
    "unreachable": 3,
    "sourcequench": 4,
    "redirect": 5,
    "echo": 8,
    "routeradvert": 9,
    "routersolicit": 10,
    "timeexceeded": 11,
    "parameterproblem": 12,
    "timestamp": 13,
    "timestamp-reply": 14,
    "inforeq": 15,
    "inforeq-reply": 16,
    "maskreq": 17,
    "maskreq-reply": 18,
}
# Fields of the IPv4 header that are compared as numbers: the largest value of each.
NUMBERS: Mapping[str, int] = {"vers": 15, "hl": 15, "id": 0xFFFF, "tos": 255, "dscp": 63, "ttl": 255, "len": 0xFFFF}
ALWAYS: IPExpression = IPAll(parts=())
NEVER: IPExpression = IPAny(parts=())

_TOKEN = re.compile(r"&&|\|\||[=!<>]=|[()!<>=&|?:\[\]]|[A-Za-z0-9_./-]+|\s+|(?P<bad>.)", re.DOTALL)
_BYTES = ("ip", "transp", "tcp", "udp", "icmp")
_TYPES = ("host", "net", "port", "proto", "opt", "win", "type", "ect", "ce", "frag", "unfrag", *NUMBERS)
_SYNONYMS = {"&&": "and", "||": "or", "!": "not", "=": "=="}
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+(/[\d.]+)?")


class Primitive(msgspec.Struct, frozen=True):
    """What a primitive says before its value: taken over by a bare value that follows ("port 80 or 81")."""

    side: str = ""
    protocol: str = ""
    type: str = ""


def expression(text: str) -> IPExpression:
    """One expression; "-", "all", "any" and "true" are always true, "none" and "false" never."""
    reader = _Reader(_tokens(text))
    if len(reader.tokens) == 1 and reader.tokens[0] in ("-", "all", "any"):
        return ALWAYS
    if not reader.tokens:
        raise ValueError('the expression is empty; write "-" for every packet')
    found = reader.ternary()
    if reader.next:
        raise ValueError(f'"{reader.next}" cannot stand behind a whole expression; write "and" or "or" before it')
    return found


def address(text: str) -> bytes:
    """An IPv4 address in network order."""
    try:
        return IPv4Address(text).packed
    except ValueError:
        raise ValueError(f'"{text}" is no IPv4 address; write one such as 10.0.0.1') from None


def number(text: str) -> int:
    """An integer in decimal, octal (0...), hexadecimal (0x...) or binary (0b...)."""
    bare = text.removeprefix("-").removeprefix("+").replace("_", "x")
    if not bare.isascii() or len(bare) > 40 or not bare:
        raise ValueError(f'"{text[:40]}" is no number')
    try:
        octal = bare[0] == "0" and bare.isdigit() and len(bare) > 1
        value = int(bare, 8) if octal else int(bare, 0)
    except ValueError:
        raise ValueError(f'"{text}" is no number; write one such as 80 or 0x50') from None
    return -value if text.startswith("-") else value


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    for one in _TOKEN.finditer(text):
        if one["bad"]:
            raise ValueError(f"the character {one['bad']!r} has no meaning in an IP expression")
        token = one.group().lower()
        if not token.isspace():
            found.append(_SYNONYMS.get(token, token))
    if len(found) > MAX_TOKENS:
        raise ValueError(f"the expression has more than {MAX_TOKENS} words; write several patterns")
    return found


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0
        self._depth = 0
        self._choices = 0
        self._last = Primitive()

    @property
    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self) -> str:
        token = self.next
        self.at += 1
        return token

    def _accept(self, *wanted: str) -> bool:
        """Go on behind these words if they come next."""
        if tuple(self.tokens[self.at : self.at + len(wanted)]) != wanted:
            return False
        self.at += len(wanted)
        return True

    def ternary(self) -> IPExpression:
        """`a ? b : c`, which is `(a and b) or (not a and c)`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"parentheses are nested more than {MAX_DEPTH} deep; write several patterns")
        condition = self._any()
        if self._accept("?"):
            self._choices += 1
            if self._choices > MAX_CHOICES:
                raise ValueError(f'there are more than {MAX_CHOICES} "?"; write several patterns')
            yes = self.ternary()
            if not self._accept(":"):
                raise ValueError('"?" has no ":"; write a ? b : c')
            no = self.ternary()
            both: tuple[IPExpression, ...] = (
                IPAll(parts=(condition, yes)),
                IPAll(parts=(IPNot(part=condition), no)),
            )
            condition = IPAny(parts=both)
        self._depth -= 1
        return condition

    def _any(self) -> IPExpression:
        parts = [self._all()]
        while self._accept("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else IPAny(parts=tuple(parts))

    def _all(self) -> IPExpression:
        """Parts joined by "and", or standing side by side."""
        parts = [self._factor()]
        while self._accept("and") or self.next not in ("", "or", ")", "?", ":"):
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else IPAll(parts=tuple(parts))

    def _factor(self) -> IPExpression:
        negated = False
        while self._accept("not"):
            negated = not negated
        if self._accept("("):
            found = self.ternary()
            if not self._accept(")"):
                raise ValueError('a parenthesis is not closed; write ")"')
        else:
            found = self._primitive()
        return IPNot(part=found) if negated else found

    def _primitive(self) -> IPExpression:
        if self._accept("true") or self._accept("all") or self._accept("any"):
            return ALWAYS
        if self._accept("false") or self._accept("none"):
            return NEVER
        if self.next in _BYTES and self.tokens[self.at + 1 : self.at + 2] == ["["]:
            return self._bytes()
        before = self.at
        kind = self._qualifiers()
        if kind.type in ("frag", "unfrag", "ect", "ce"):
            return _flag(kind.type)
        if kind.type == "" and kind.protocol and kind.protocol != "ip" and not kind.side and not self._value_follows():
            self._last = Primitive(type="proto")
            return IPTest(field="proto", value=PROTOCOLS[kind.protocol])
        return self._compared(kind, bare=self.at == before)

    def _qualifiers(self) -> Primitive:
        """`src`, `tcp`, `port` and so on, in any order."""
        side = protocol = type = ""
        while True:
            if not side and self.next in ("src", "dst"):
                side = self._side()
            elif not protocol and (self.next in PROTOCOLS or self.next == "ip") and not type:
                protocol = self._take()
            elif not type and self.next in _TYPES:
                type = self._take()
            else:
                return Primitive(side, protocol, type)

    def _side(self) -> str:
        first = self._take()
        other = "dst" if first == "src" else "src"
        for word in ("or", "and"):
            if self._accept(word, other):
                return word
        return first

    def _value_follows(self) -> bool:
        return self.next not in ("", "and", "or", "not", ")", "(", "?", ":") and (
            self.next[0].isdigit() or self.next in ("==", "!=", "<", ">", "<=", ">=", "&")
        )

    def _compared(self, kind: Primitive, *, bare: bool) -> IPExpression:
        mask = number(self._take()) if self._accept("&") else None
        comparison = self._take() if self.next in ("==", "!=", "<", ">", "<=", ">=") else "=="
        value = self._take()
        if value in ("", "and", "or", ")", "?", ":", "("):
            wanted = f' behind "{kind.type or kind.protocol or kind.side}"' if not bare else ""
            raise ValueError(f'a value is missing{wanted}; write one such as "dst port 80"')
        kind = _completed(kind, value, self._last, bare=bare)
        self._last = kind
        return self._test(kind, comparison, value, mask)

    def _test(self, kind: Primitive, comparison: str, value: str, mask: int | None) -> IPExpression:
        type = kind.type
        if type in ("host", "net"):
            return self._hosts(kind, comparison, value, mask)
        if type == "port":
            return _ports(kind, comparison, _port(value), mask)
        if type == "proto":
            return _numbers("proto", comparison, _named(value, PROTOCOLS, "protocol", 255), mask, 255)
        if type == "opt":
            if comparison not in ("==", "!=") or mask is not None:
                raise ValueError('"tcp opt" takes an option only; write "tcp opt syn"')
            flags = _named(value, OPTIONS, "TCP option", 255)
            test = IPTest(field="tcp opt", value=flags, mask=flags)
            return test if comparison == "==" else IPAll(parts=(_TCP, IPNot(part=test)))
        if type == "type":
            return _numbers("icmp type", comparison, _named(value, ICMP_TYPES, "ICMP type", 255), mask, 255)
        if type == "win":
            return _bytes_test("transp", 14, 2, comparison, number(value), mask, _TCP)
        if type == "hl":
            return _numbers("hl", comparison, 4 * _within(value, 15), None if mask is None else 4 * mask, 60)
        return _numbers(type, comparison, _within(value, NUMBERS[type]), mask, NUMBERS[type])

    def _hosts(self, kind: Primitive, comparison: str, value: str, mask: int | None) -> IPExpression:
        if comparison not in ("==", "!="):
            raise ValueError(f'addresses are not compared with "{comparison}"; write == or !=')
        bits, width = _network(value, kind.type)
        if kind.type == "net" and self._accept("mask"):
            width = int.from_bytes(address(self._take()))
        width = width if mask is None else mask & 0xFFFFFFFF

        def test(side: str) -> IPExpression:
            full = 0 if width == 0xFFFFFFFF else width
            return IPTest(field=f"{side} host", value=bits & width, mask=full) if width else ALWAYS

        found = _sides(kind.side, test)
        return found if comparison == "==" else IPNot(part=found)

    def _bytes(self) -> IPExpression:
        """`ip[POS:LEN] & MASK == VALUE`, in the IP or the transport header."""
        layer = self._take()
        self._take()
        offset, length = _within(self._take(), 255), 1
        if self._accept(":"):
            length = _within(self._take(), 4)
        if not self._accept("]") or not length:
            raise ValueError(
                f'it is not clear which bytes; write "{layer}[POSITION:LENGTH] VALUE", a length from 1 to 4'
            )
        mask = number(self._take()) if self._accept("&") else None
        comparison = self._take() if self.next in ("==", "!=", "<", ">", "<=", ">=") else "=="
        value = _within(self._take(), (1 << 8 * length) - 1)
        guard = IPTest(field="proto", value=PROTOCOLS[layer]) if layer in PROTOCOLS else None
        return _bytes_test("ip" if layer == "ip" else "transp", offset, length, comparison, value, mask, guard)


_TCP = IPTest(field="proto", value=6)


def _completed(kind: Primitive, value: str, last: Primitive, *, bare: bool) -> Primitive:
    """The type that a value shows where none is written; a bare number takes the one before it."""
    if kind.type:
        return kind
    if _ADDRESS.fullmatch(value):
        side = last.side if bare and last.type in ("host", "net") else kind.side
        return Primitive(side, kind.protocol, "net" if "/" in value else "host")
    if kind.protocol == "ip" and not kind.side:
        return Primitive(type="proto")
    if bare and last.type and (value[0].isdigit() or value in _known(last.type)):
        return last
    for type, known in (("port", PORTS), ("proto", PROTOCOLS), ("opt", OPTIONS)):
        if value in known:
            return Primitive(kind.side, kind.protocol, type)
    if value[0].isdigit() and (kind.side or kind.protocol) and last.type:
        return Primitive(kind.side or last.side, kind.protocol or last.protocol, last.type)
    raise ValueError(
        f'it is not clear what "{value}" is; write for instance "host 10.0.0.1", "port 80" or "ip proto 17"'
    )


def _known(type: str) -> Mapping[str, int]:
    return {"port": PORTS, "proto": PROTOCOLS, "opt": OPTIONS, "type": ICMP_TYPES}.get(type, {})


def _flag(type: str) -> IPExpression:
    if type == "frag":
        return IPTest(field="ip frag", value=1)
    if type == "unfrag":
        return IPNot(part=IPTest(field="ip frag", value=1))
    if type == "ce":
        return IPTest(field="tos", value=3, mask=3)
    return IPTest(field="tos", value=0, mask=3, comparison="!=")


def _named(value: str, known: Mapping[str, int], what: str, largest: int) -> int:
    if value in known:
        return known[value]
    if not value[0].isdigit():
        raise ValueError(f'"{value}" is no {what}; write one of {", ".join(known)} or a number')
    return _within(value, largest)


def _port(value: str) -> int:
    return _named(value, PORTS, "port", 0xFFFF)


def _within(value: str, largest: int) -> int:
    found = number(value)
    if not 0 <= found <= largest:
        raise ValueError(f"{value} is out of range; write a number from 0 to {largest}")
    return found


def _network(value: str, type: str) -> tuple[int, int]:
    """Address and mask as numbers."""
    if type == "host" or "/" not in value:
        return int.from_bytes(address(value)), 0xFFFFFFFF
    try:
        network = IPv4Network(value, strict=False)
    except ValueError:
        raise ValueError(f'"{value}" is no network; write one such as 10.0.0.0/8') from None
    return int(network.network_address), int(network.netmask)


def _sides(side: str, test: Callable[[str], IPExpression], *, together: bool = False) -> IPExpression:
    if side in ("src", "dst"):
        return test(side)
    parts = (test("src"), test("dst"))
    return IPAll(parts=parts) if side == "and" or together else IPAny(parts=parts)


def _ports(kind: Primitive, comparison: str, value: int, mask: int | None) -> IPExpression:
    """Ports of TCP or UDP, or of the one that is named. "port != 80" means that neither is 80."""

    def test(side: str) -> IPExpression:
        return _numbers(f"{side} port", comparison, value, mask, 0xFFFF)

    found = _sides(kind.side, test, together=comparison == "!=" and kind.side != "or")
    if kind.protocol in PROTOCOLS:
        if kind.protocol not in ("tcp", "udp", "sctp"):
            raise ValueError(f'"{kind.protocol}" has no ports; write "tcp port" or "udp port"')
        return IPAll(parts=(IPTest(field="proto", value=PROTOCOLS[kind.protocol]), found))
    return found


def _numbers(field: str, comparison: str, value: int, mask: int | None, largest: int) -> IPExpression:
    if mask is None:
        return IPTest(field=field, value=value, comparison=comparison)
    if comparison not in ("==", "!="):
        raise ValueError(f'a mask cannot be used with "{comparison}"; write == or !=')
    kept = mask & largest
    if not kept or value & ~kept:
        equal = not value & ~kept
        return ALWAYS if equal == (comparison == "==") else NEVER
    return IPTest(field=field, value=value, mask=kept, comparison=comparison)


def _bytes_test(
    layer: str, offset: int, length: int, comparison: str, value: int, mask: int | None, guard: IPExpression | None
) -> IPExpression:
    """A comparison of several bytes as tests of single ones, the first byte being the most significant."""
    if mask is not None and comparison not in ("==", "!="):
        raise ValueError(f'a mask cannot be used with "{comparison}"; write == or !=')
    full = (1 << 8 * length) - 1
    if not 0 <= value <= full:
        raise ValueError(f"{value} is out of range; write a number from 0 to {full}")
    masks = (full if mask is None else mask & full).to_bytes(length)
    values = value.to_bytes(length)
    strict = comparison[0] if comparison[0] in "<>" else ""
    steps = [(layer, offset + i, values[i], masks[i]) for i in range(length)]
    if strict:
        found = _ordered(steps, strict, "=" in comparison)
    else:
        equal: IPExpression = IPAll(parts=tuple(_byte(*step) for step in steps))
        there = IPTest(field=f"{layer} bytes", value=0, comparison=">=", offset=offset + length - 1)
        found = equal if comparison == "==" else IPAll(parts=(there, IPNot(part=equal)))
    return found if guard is None else IPAll(parts=(guard, found))


def _byte(layer: str, offset: int, value: int, mask: int, comparison: str = "==") -> IPExpression:
    if comparison == "==" and value & ~mask:
        return NEVER
    kept = 0 if mask == 0xFF else mask
    if not mask:
        return IPTest(field=f"{layer} bytes", value=0, comparison=">=", offset=offset)
    return IPTest(field=f"{layer} bytes", value=value, mask=kept, comparison=comparison, offset=offset)


def _ordered(steps: list[tuple[str, int, int, int]], strict: str, equal: bool) -> IPExpression:
    """Less (or greater) at the first byte, or equal there and so at those behind it."""
    head, *rest = steps
    layer, offset, value, mask = head
    if not rest:
        return _byte(layer, offset, value, mask, strict + ("=" if equal else ""))
    deeper = IPAll(parts=(_byte(layer, offset, value, mask), _ordered(rest, strict, equal)))
    return IPAny(parts=(_byte(layer, offset, value, mask, strict), deeper))
