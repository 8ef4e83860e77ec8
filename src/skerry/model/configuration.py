"""Configuration of running VNFs as recorded (SOL002 clause 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from skerry.model.vnf import Record

SECRETS = frozenset({"sol002_password"})
"""Properties of a VNF that are never shown."""


def shown(told: Any) -> Any:
    """Attributes of a VNF as they may be shown: without what is secret, however deep it is."""
    if isinstance(told, Mapping):
        return {name: shown(value) for name, value in told.items() if name not in SECRETS}
    return [shown(value) for value in told] if isinstance(told, list | tuple) else told


class Change(NamedTuple):
    """A change of a configuration: merge patches (RFC 7396) of the data of the VNF and of VNFCs, and VNFCs whose data goes."""

    data: Mapping[str, Any]
    vnfcs: Mapping[str, Mapping[str, Any]]
    forget: tuple[str, ...] = ()


class VnfConfiguration(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody configured in a VNF; the identifier is the VNF's. `data` is for the whole VNF, `vnfcs` for each VNFC;
    `version` grows with each change of these; `delivered` marks what each VNFC has got."""

    data: Mapping[str, Any] = {}
    vnfcs: Mapping[str, Mapping[str, Any]] = {}
    version: int = 0
    delivered: Mapping[str, str] = {}
