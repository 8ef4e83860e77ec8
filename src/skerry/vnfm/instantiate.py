"""Instantiate a VNF (SOL003 5.4.4): choose flavour and level, attach it to its external links, bring everything up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.errors import Fault, InvalidError
from skerry.model.descriptors import DeploymentFlavour
from skerry.model.states import InstantiationState
from skerry.model.vnf import ExtLink, VnfInstance
from skerry.store import aggregates
from skerry.vnfm.extending import ExtendingOperation
from skerry.vnfm.goal import Goal, check_level, counts_for, flavour_of, populate, require_inputs, scale_at_level, scaled


class Instantiate(ExtendingOperation):
    """Parameters: InstantiateVnfRequest (SOL003 5.5.2.4). Own keys in `additionalParams`: `inputs` of the descriptor,
    `placement` (VDU or VNFC → VIM connection id), `dependencies` (what other VNFs hand over), `sshKeys` (names of keys that
    open every VNFC)."""

    name: ClassVar[str] = "vnf.instantiate"
    event: ClassVar[str] = "instantiate"
    needs: ClassVar[InstantiationState] = InstantiationState.NOT_INSTANTIATED

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        additional = dict(params.get("additionalParams", {}))
        additional.pop("rollbackOnFailure", None)
        placement = dict(additional.pop("placement", {}))
        dependencies = dict(additional.pop("dependencies", {}))
        names = additional.pop("sshKeys", [])
        inputs = {**additional.pop("inputs", {}), **additional}
        vnfd = self.desk.descriptor(instance.vnf_pkg_id, inputs)
        flavour = flavour_of(vnfd, params.get("flavourId", ""))
        require_inputs(flavour.inputs, inputs)
        level = check_level(flavour, params.get("instantiationLevelId", ""))
        status = scale_at_level(flavour, level)
        properties = {**vnfd.configurable_properties, **instance.vnf_configurable_properties}
        properties.update(params.get("vnfConfigurableProperties", {}))
        for connection in params.get("vimConnectionInfo", {}).values():
            placement.setdefault("*", connection.get("vimId", ""))
        vnfcs = populate({}, counts_for(flavour, status, level))
        require_images(flavour, vnfcs)
        goal = Goal(
            flavour_id=flavour.id,
            level_id=level,
            scale_status=status,
            vnfcs=vnfcs,
            placement=placement,
            ext_links=ext_links(flavour, params),
            managed_links=managed_links(flavour, params),
            properties=properties,
            inputs=inputs,
            dependencies=dependencies,
            ssh_keys=self._keys(names, instance.tenant),
        )
        target = params.get("targetScaleLevelInfo", ())
        return scaled(goal, flavour, {e["aspectId"]: e["scaleLevel"] for e in target}) if target else goal

    def _keys(self, names: Any, tenant: str) -> tuple[str, ...]:
        """The public keys of these names. `InvalidError` lists those that the tenant has not."""
        known = {key.name: key.public_key for key in aggregates.key_pairs.select(self.desk.database, tenant=tenant)}
        wished = names if isinstance(names, list) else [names]
        missing = [str(name) for name in wished if not isinstance(name, str) or name not in known]
        if missing:
            there = ", ".join(sorted(known)) or "none"
            faults = [
                Fault(message=f"no key {name}; there are: {there}", path="/additionalParams/sshKeys", code="key")
                for name in missing
            ]
            raise InvalidError(
                f"cannot hand over the keys {', '.join(missing)[:200]}",
                faults=faults,
                suggestion="import or generate them first: `skerry key add`",
            )
        return tuple(known[name] for name in wished)

    def completed(self, instance: VnfInstance, goal: Goal) -> VnfInstance:
        done = super().completed(instance, goal)
        flavour = self.desk.flavour(done)
        return msgspec.structs.replace(
            done,
            instantiation_state=InstantiationState.INSTANTIATED,
            max_scale_levels={aspect.id: aspect.max_scale_level for aspect in flavour.scaling_aspects.values()},
        )


def require_images(flavour: DeploymentFlavour, vnfcs: Mapping[str, tuple[str, ...]]) -> None:
    """`InvalidError` names every VDU that shall run and has no software image at all."""
    bare = [vdu for vdu, names in vnfcs.items() if names and flavour.vdus[vdu].image is None]
    if bare:
        faults = [Fault(message=f"VDU {vdu} has no software image", path=vdu, code="no-image") for vdu in bare]
        raise InvalidError(
            f"cannot run the VDUs {', '.join(bare)}: the package gives them no software image",
            faults=faults,
            suggestion="add an artifact of type tosca.artifacts.nfv.SwImage to each of these nodes",
        )


def ext_links(flavour: DeploymentFlavour, params: Mapping[str, Any]) -> dict[str, ExtLink]:
    """External connection point → network, from extVirtualLinks (SOL003 4.4.1.11). All unknown points are named at once.

    Own keys, which the NFVO gives: `dns` (addresses of servers) and `maxBitrate` (bit/s) of the link, `steered` where a
    forwarding path alone brings frames.
    """
    external = set(flavour.ext_cps)
    links: dict[str, ExtLink] = {}
    faults = []
    for number, data in enumerate(params.get("extVirtualLinks", ())):
        for cp in data.get("extCps", ()):
            if cp["cpdId"] not in external:
                message = (
                    f"no external connection point '{cp['cpdId']}'; there are: {', '.join(sorted(external)) or 'none'}"
                )
                faults.append(Fault(message=message, path=f"/extVirtualLinks/{number}/extCps", code="ext-cp"))
            fixed, mac = _addresses(cp)
            if len(fixed) > 1:
                message = f"an interface has one address, and {', '.join(fixed)} are named for '{cp['cpdId']}'"
                faults.append(Fault(message=message, path=f"/extVirtualLinks/{number}/extCps", code="address"))
            links[cp["cpdId"]] = ExtLink(
                network=data.get("resourceId", ""),
                vim=data.get("vimConnectionId", ""),
                link_id=data["id"],
                ip=fixed[0] if fixed else "",
                mac=mac,
                dns=tuple(data.get("dns", ())),
                max_bitrate_bps=data.get("maxBitrate", 0),
                steered=data.get("steered", False) is True,
            )
    if faults:
        raise InvalidError("cannot attach: " + "; ".join(fault.message for fault in faults), faults=faults)
    return links


def managed_links(flavour: DeploymentFlavour, params: Mapping[str, Any]) -> dict[str, ExtLink]:
    """Internal virtual link → the network of somebody else that it shall be, from extManagedVirtualLinks (SOL003 4.4.1.12)."""
    links: dict[str, ExtLink] = {}
    faults: list[Fault] = []
    for number, data in enumerate(params.get("extManagedVirtualLinks", ())):
        link = data["vnfVirtualLinkDescId"]
        if link not in flavour.virtual_links:
            known = ", ".join(sorted(flavour.virtual_links)) or "none"
            path = f"/extManagedVirtualLinks/{number}/vnfVirtualLinkDescId"
            faults.append(Fault(message=f"no virtual link '{link}'; there are: {known}", path=path, code="link"))
        vim = data.get("vimConnectionId", "")
        links[link] = ExtLink(network=data["resourceId"], vim=vim, link_id=data["id"])
    if faults:
        raise InvalidError("cannot attach: " + "; ".join(fault.message for fault in faults), faults=faults)
    return links


def _addresses(cp: Mapping[str, Any]) -> tuple[list[str], str]:
    """The fixed addresses and the first MAC in the CP's protocol data (CpProtocolData, SOL003 4.4.1.10b)."""
    configs = cp.get("cpConfig", {})
    several = configs.values() if isinstance(configs, Mapping) else configs
    layers = [data.get("ipOverEthernet", {}) for config in several for data in config.get("cpProtocolData", ())]
    fixed = [ip for layer in layers for entry in layer.get("ipAddresses", ()) for ip in entry.get("fixedAddresses", ())]
    return list(dict.fromkeys(fixed)), next((layer["macAddress"] for layer in layers if layer.get("macAddress")), "")
