"""What a descriptor says of a function besides its configuration, and the values that the configuration asks for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any

import msgspec

from skerry.errors import Fault, InvalidError
from skerry.lvnf.graph import Graph

OPTIONS = "lvnf"
"""The vimType under which a descriptor says it, in `vim_specific_properties`."""
SUFFIX = ".click"
"""How the file of a Click configuration ends."""
_ASKED = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_EXAMPLES = ("02:00:00:00:00:02", "192.0.2.2")
_PLAIN = re.compile(r"[\w.:/@%+\- ]*")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`backend` runs it in any case ("" = chosen for each configuration); `nb_ports` is how many ports it has (0 = as many as
    interfaces); `handlers` are names for handlers: name → "element.handler"; `state_handlers` those of them that are read
    before a move and written after it; `control` is an address of loopback, "127.0.0.1:7777", where the node serves its
    ControlSocket."""

    backend: str = ""
    nb_ports: int = 0
    handlers: Mapping[str, str] = {}
    state_handlers: tuple[str, ...] = ()
    control: str = ""


def options_of(options: Mapping[str, Any]) -> Options:
    """What the descriptor's options say. `InvalidError` for what cannot be understood."""
    try:
        found = msgspec.convert(options.get(OPTIONS, {}), Options)
    except msgspec.ValidationError as wrong:
        fault = Fault(message=str(wrong), code="lvnf-options", path=f"vim_specific_properties/{OPTIONS}")
        raise InvalidError(f"cannot use the options of the function: {wrong}", faults=[fault]) from wrong
    faults = [
        Fault(message=f"{name} is no name in handlers", code="lvnf-state-handler", fix="name it in handlers, too")
        for name in found.state_handlers
        if name not in found.handlers
    ]
    if found.control and not _is_loopback(found.control):
        fix = "write 127.0.0.1 and a port of 1024 to 65535, as 127.0.0.1:7777"
        faults.append(Fault(message=f"{found.control[:80]} is no address of loopback", code="lvnf-control", fix=fix))
    if faults:
        raise InvalidError(f"cannot use the options of the function: {faults[0].message}", faults=faults)
    return found


def _is_loopback(address: str) -> bool:
    """Whether it is an address of loopback with a port that is nobody's by right. A name could lead anywhere."""
    host, _, port = address.rpartition(":")
    try:
        return (
            IPv4Address(host).is_loopback and re.fullmatch("[0-9]{4,5}", port) is not None and 1024 <= int(port) < 65536
        )
    except ValueError:
        return False


def asked_for(text: str) -> tuple[str, ...]:
    """The values that a configuration asks for from outside, as `$NAME`."""
    return tuple(dict.fromkeys(one or other for one, other in _ASKED.findall(text)))


def completed(text: str, values: Mapping[str, str]) -> str:
    """The configuration with the values that it asks for, each at its line. `InvalidError` for a value that is more than a
    word or two: it could be a configuration of its own."""
    wanted = {name: values[name] for name in asked_for(text) if name in values}
    faults = [
        Fault(message=f"{name} is {value[:40]!r}, no plain word", code="lvnf-value")
        for name, value in wanted.items()
        if not _PLAIN.fullmatch(value) or not value.strip()
    ]
    if faults:
        raise InvalidError(f"cannot put values into the configuration: {faults[0].message}", faults=faults)
    defined = ", ".join(f"${name} {value}" for name, value in wanted.items())
    return f"define({defined}); {text}" if defined else text


def graph_of(text: str, values: Mapping[str, str]) -> Graph:
    """The checked graph of a configuration with its values. `InvalidError` holds every fault."""
    from skerry.lvnf.checking import read  # noqa: PLC0415 - nodes without functions do not need it

    whole = completed(text, values)
    return msgspec.structs.replace(read(text, values), text=whole)


def example_values(text: str, known: Mapping[str, Any], interfaces: int) -> dict[str, str]:
    """Values to check a configuration with before all are known: those of `known` that are plain, of the others what their
    names let expect."""
    values = {name: _example(name) for name in known}
    values |= {name: value for name, value in known.items() if isinstance(value, str) and _PLAIN.fullmatch(value)}
    for index in range(interfaces):
        values |= interface_values(index, "192.0.2.1", "02:00:00:00:00:01", "192.0.2.254", "192.0.2.0/24")
    return {name: values[name] for name in asked_for(text) if name in values}


def _example(name: str) -> str:
    """Something that can stand for a value: a hardware address for what is named so, else an address."""
    return _EXAMPLES[0] if "MAC" in name.upper() else _EXAMPLES[1]


def settled(text: str, values: Mapping[str, str]) -> bool:
    """Whether all values that a configuration asks for are known."""
    return all(name in values for name in asked_for(text))


def interface_values(index: int, ip: str, mac: str, gateway: str, cidr: str) -> dict[str, str]:
    """What a configuration can ask of an interface: ETH0_IP, ETH0_MAC, ETH0_GATEWAY, ETH0_NET …"""
    name = f"ETH{index}"
    return {f"{name}_IP": ip, f"{name}_MAC": mac, f"{name}_GATEWAY": gateway, f"{name}_NET": cidr}


def faults_of(graph: Graph, options: Options, interfaces: int) -> list[Fault]:
    """How a checked configuration does not fit what is said of it: ports and handlers."""
    ports = options.nb_ports or interfaces
    there = {f"eth{index}" for index in range(ports)}
    faults: list[Fault] = []
    if options.nb_ports and options.nb_ports != interfaces:
        faults.append(
            Fault(
                message=f"nb_ports is {options.nb_ports}, but there are {interfaces} connection points",
                code="lvnf-ports",
                fix="give the VDU as many connection points as the function has ports",
            )
        )
    faults += [
        Fault(
            message=f"the configuration uses the port {device}, the function has {', '.join(sorted(there)) or 'none'}",
            code="lvnf-device",
            fix="name the ports eth0, eth1 … in the order of the connection points",
        )
        for device in graph.devices
        if device not in there
    ]
    faults += [
        Fault(message=f"the handler {name} is {place}: there is no such element", code="lvnf-handler")
        for name, place in options.handlers.items()
        if "." in place and place.rpartition(".")[0] not in graph.elements
    ]
    return faults


def check(text: str, options: Options, known: Mapping[str, Any], interfaces: int) -> Sequence[Fault]:
    """Everything that is wrong with a configuration as a descriptor has it, before it runs anywhere. What an example cannot
    stand for is found when the value is known."""
    from skerry.lvnf import checking  # noqa: PLC0415 - as above

    graph, faults = checking.check(text, example_values(text, known, interfaces))
    if graph is not None:
        return faults_of(graph, options, interfaces)
    return [fault for fault in faults if not any(example in fault.message for example in _EXAMPLES)]
