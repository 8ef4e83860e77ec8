"""VNF configuration (SOL002 clause 9), which this node offers for the VNFs that it manages.

The standard's URI names no VNF, since there each VNF has an apiRoot of its own. Here that is `/vnf/VNF_INSTANCE_ID`; without
it, the parameter `vnfInstanceId` says which, and where there is only one VNF nobody needs to.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api import body
from skerry.api.route import Api, Call, Endpoint, Query
from skerry.api.sol003 import translate
from skerry.api.sol003.types import CpProtocolInfo
from skerry.api.sol003.vnf_instances import flavour_of
from skerry.api.wire import KeyValuePairs, Wire
from skerry.errors import Fault, InvalidError, MalformedError, NotFoundError
from skerry.model.configuration import Change, shown
from skerry.model.configuration import VnfConfiguration as Record
from skerry.model.states import InstantiationState
from skerry.model.vnf import VnfInstance


class Address(Wire, frozen=True, kw_only=True):
    """The address of a connection point."""

    mac_address: str | None = None
    ip_address: str | None = None


class CpAddress(Wire, frozen=True, kw_only=True):
    """CpAddress (9.5.3.4)."""

    address: Address | None = None
    use_dynamic_address: bool | None = None
    port: int | None = None


class CpConfiguration(Wire, frozen=True, kw_only=True):
    """CpConfiguration (9.5.3.3)."""

    cp_id: str
    cpd_id: str
    addresses: list[CpAddress]


class VnfConfigurationData(Wire, frozen=True, kw_only=True):
    """VnfConfigurationData (9.5.3.1)."""

    ext_cp_config: list[CpConfiguration] | None = None
    vnf_specific_data: KeyValuePairs | None = None


class VnfcConfigurationData(Wire, frozen=True, kw_only=True):
    """VnfcConfigurationData (9.5.3.2)."""

    vnfc_instance_id: str
    int_cp_config: list[CpConfiguration] | None = None
    vnfc_specific_data: KeyValuePairs | None = None


class VnfConfiguration(Wire, frozen=True, kw_only=True):
    """VnfConfiguration (9.5.2.3)."""

    vnf_configuration_data: VnfConfigurationData
    vnfc_configuration_data: list[VnfcConfigurationData] | None = None


class VnfConfigModifications(Wire, frozen=True, kw_only=True):
    """VnfConfigModifications (9.5.2.2)."""

    vnf_configuration_data: VnfConfigurationData | None = None
    vnfc_configuration_data: list[VnfcConfigurationData] | None = None
    vnfc_configuration_data_delete_ids: list[str] | None = None


def _vnf(call: Call) -> VnfInstance:
    """The VNF that is meant."""
    id = call.request.path_params.get("vnfInstanceId") or call.query("vnfInstanceId")
    if id:
        return call.services.vnfm.instance(str(id), tenant=call.tenant)
    there = [
        vnf
        for vnf in call.services.vnfm.instances(tenant=call.tenant)
        if vnf.instantiation_state is InstantiationState.INSTANTIATED
    ]
    if not there:
        raise NotFoundError("cannot find a VNF to configure", suggestion="instantiate one")
    if len(there) > 1:
        raise MalformedError(
            f"cannot tell which of {len(there)} VNFs is meant",
            suggestion="use /vnf/VNF_INSTANCE_ID as the apiRoot, or give vnfInstanceId",
        )
    return there[0]


def _addresses(protocols: list[CpProtocolInfo] | None) -> list[CpAddress]:
    found: list[CpAddress] = []
    for protocol in protocols or ():
        if over := protocol.ip_over_ethernet:
            ips: list[str | None] = [ip for entry in over.ip_addresses or () for ip in entry.addresses or ()]
            mac = over.mac_address or None
            found += [CpAddress(address=Address(mac_address=mac, ip_address=ip)) for ip in ips or [None]]
    return found


def render(call: Call, vnf: VnfInstance, record: Record) -> VnfConfiguration:
    """What is configured, on the wire: with the addresses that the connection points have."""
    info = translate.instantiated(vnf, flavour_of(call, vnf), 1)
    external = [
        CpConfiguration(cp_id=cp.id, cpd_id=cp.cpd_id, addresses=_addresses(cp.cp_protocol_info))
        for cp in info.ext_cp_info or ()
    ]
    known = shown(vnf.vnf_configurable_properties)
    vnfcs = [
        VnfcConfigurationData(
            vnfc_instance_id=one.id,
            int_cp_config=[
                CpConfiguration(cp_id=cp.id, cpd_id=cp.cpd_id, addresses=_addresses(cp.cp_protocol_info))
                for cp in one.vnfc_cp_info or ()
                if cp.vnf_ext_cp_id is None
            ]
            or None,
            vnfc_specific_data=record.vnfcs.get(one.id) or None,
        )
        for one in info.vnfc_resource_info or ()
    ]
    data = VnfConfigurationData(ext_cp_config=external or None, vnf_specific_data={**known, **record.data} or None)
    return VnfConfiguration(vnf_configuration_data=data, vnfc_configuration_data=vnfcs or None)


async def show(call: Call) -> Response:
    """The configuration of a VNF: as it says itself, or as it was delivered."""
    vnf = _vnf(call)
    own = await call.services.configurations.own(vnf)
    if own is not None:
        return call.show(own)
    record = call.services.configurations.get(vnf)
    return call.show(render(call, vnf, record), rev=record.version)


def _change(asked: VnfConfigModifications, raw: Any) -> Change:
    """The merge patches; `raw` still has the nulls that remove something. Addresses cannot be configured."""
    given = asked.vnfc_configuration_data or []
    faults: list[Fault] = []
    if asked.vnf_configuration_data and asked.vnf_configuration_data.ext_cp_config:
        faults.append(_fixed("/vnfConfigurationData/extCpConfig"))
    faults += [_fixed(f"/vnfcConfigurationData/{n}/intCpConfig") for n, one in enumerate(given) if one.int_cp_config]
    if faults:
        raise InvalidError(
            "cannot configure addresses: connection points keep those that they were made with",
            faults=faults,
            suggestion="use a life-cycle operation of the VNF",
        )
    if not (asked.vnf_configuration_data or given or asked.vnfc_configuration_data_delete_ids):
        raise InvalidError("cannot configure nothing", suggestion="send vnfConfigurationData or vnfcConfigurationData")
    return Change(
        (raw.get("vnfConfigurationData") or {}).get("vnfSpecificData") or {},
        {one["vnfcInstanceId"]: one.get("vnfcSpecificData") or {} for one in raw.get("vnfcConfigurationData") or ()},
        tuple(asked.vnfc_configuration_data_delete_ids or ()),
    )


def _fixed(path: str) -> Fault:
    return Fault(message="addresses are given when the VNF is made", path=path, fix="leave it out")


async def modify(call: Call) -> Response:
    """Configure a VNF that runs."""
    raw = await call.json()
    vnf, change = _vnf(call), _change(body.convert(raw, VnfConfigModifications), raw)
    configurations = call.services.configurations
    answer = await configurations.own(vnf, raw)
    if answer is not None:
        return call.show(answer)
    changed = await configurations.change(vnf, change, match=call.match)
    told = {name: value for name, value in raw.items() if name in _NAMES and value is not None}
    return call.show(told, rev=changed.version)


_NAMES = frozenset(field.encode_name for field in msgspec.structs.fields(VnfConfigModifications))
WHICH = (Query("vnfInstanceId", "Which VNF, where the apiRoot does not say it."),)
API = Api(
    "vnfconfig",
    "SOL002 VNF configuration",
    {1: "1.3.0"},
    (
        Endpoint("GET", "/configuration", show, "Read a VNF's configuration", answer=VnfConfiguration, query=WHICH),
        Endpoint(
            "PATCH",
            "/configuration",
            modify,
            "Configure a VNF",
            VnfConfigModifications,
            VnfConfigModifications,
            query=WHICH,
        ),
    ),
    within="/vnf/{vnfInstanceId}",
)
