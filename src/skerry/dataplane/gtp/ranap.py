"""S1AP (TS 36.413) and NGAP (TS 38.413): bearers and PDU sessions between RAN and core, decoded by `pycrate`.

`pycrate` is an optional dependency (`skerry[snooping]`) that takes seconds to load: it is imported at the first message.
Bytes that are none of these protocols say nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import cache
from ipaddress import ip_address
from typing import Any

from skerry.dataplane.gtp.facts import End, Fact
from skerry.errors import UnsupportedError

_UE_IDS = {"s1ap": "MME-UE-S1AP-ID", "ngap": "AMF-UE-NGAP-ID"}
_BEARER_IDS = ("e-RAB-ID", "pDUSessionID")
# Messages that the RAN begins and in which it tells its own end.
_RAN_BEGINS = ("PathSwitchRequest", "E-RABModificationIndication", "PDUSessionResourceModifyIndication")
_RELEASED = ("UEContextReleaseComplete",)
_ENDED = ("E-RABReleaseCommand", "PDUSessionResourceReleaseCommand", "PDUSessionResourceReleaseResponse")


def s1ap(data: bytes) -> list[Fact]:
    """What an S1AP message says. `UnsupportedError` without pycrate."""
    return _facts("s1ap", data)


def ngap(data: bytes) -> list[Fact]:
    """What an NGAP message says. `UnsupportedError` without pycrate."""
    return _facts("ngap", data)


@cache
def _description(protocol: str) -> Any:
    try:
        module = importlib.import_module(f"pycrate_asn1dir.{protocol.upper()}")
    except ImportError as missing:
        raise UnsupportedError(
            f"cannot read {protocol.upper()}: pycrate is not installed", suggestion="pip install 'skerry[snooping]'"
        ) from missing
    return getattr(getattr(module, f"{protocol.upper()}_PDU_Descriptions"), f"{protocol.upper()}_PDU")


def _decoded(protocol: str, data: bytes) -> tuple[str, str, Mapping[str, Any]] | None:
    description = _description(protocol)
    unreadable: type[Exception] = importlib.import_module("pycrate_core.utils").PycrateErr
    try:
        description.from_aper(data)
        kind, body = description.get_val()
        name, value = body["value"]
        elements = value.get("protocolIEs", [])
        return kind, name, {one["value"][0]: one["value"][1] for one in elements}
    except (unreadable, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError):
        # The decoder has no one error for bytes that it cannot read.
        return None


def _facts(protocol: str, data: bytes) -> list[Fact]:
    _description(protocol)
    decoded = _decoded(protocol, data)
    if decoded is None:
        return []
    kind, name, elements = decoded
    ue = elements.get(_UE_IDS[protocol], elements.get("SourceMME-UE-S1AP-ID", elements.get("SourceAMF-UE-NGAP-ID")))
    if ue is None:
        return []
    group = f"{protocol}:{ue}"
    if name in _RELEASED:
        return [Fact(group_gone=group)]
    if name in _ENDED:
        return [Fact(keys=(f"{group}:{bearer}",), gone=True) for bearer in _bearers(elements)]
    ran = (kind == "successfulOutcome") != name.startswith(_RAN_BEGINS)
    return [
        Fact(
            keys=(f"{group}:{bearer}",),
            group=group,
            qfi=qfi,
            ran=end if ran else None,
            core=None if ran else end,
        )
        for bearer, end, qfi in _ends(elements, None, None)
    ]


def _bearers(value: object) -> Iterator[int]:
    if isinstance(value, dict):
        for name, inside in value.items():
            if name in _BEARER_IDS:
                yield inside
            else:
                yield from _bearers(inside)
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from _bearers(inside)


def _ends(value: object, bearer: int | None, qfi: int | None) -> Iterator[tuple[int, End, int | None]]:
    """Every tunnel end below a value, with the bearer and the first QoS flow that it belongs to."""
    if isinstance(value, dict):
        bearer = next((value[name] for name in _BEARER_IDS if name in value), bearer)
        qfi = next(_flows(value), qfi)
        if "gTP-TEID" in value and "transportLayerAddress" in value and bearer is not None:
            address = _address(*value["transportLayerAddress"])
            if address:
                yield bearer, End(address, int.from_bytes(value["gTP-TEID"], "big")), qfi
            return
        for inside in value.values():
            yield from _ends(inside, bearer, qfi)
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from _ends(inside, bearer, qfi)


def _flows(value: object) -> Iterator[int]:
    if isinstance(value, dict):
        if "qosFlowIdentifier" in value:
            yield value["qosFlowIdentifier"]
        for inside in value.values():
            yield from _flows(inside)
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from _flows(inside)


def _address(number: int, bits: int) -> str:
    """A transport layer address: 32 bits, 128, or both."""
    if bits == 160:
        number, bits = number >> 128, 32
    return str(ip_address(number.to_bytes(bits // 8, "big"))) if bits in (32, 128) else ""
