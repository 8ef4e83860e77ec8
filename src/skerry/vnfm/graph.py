"""From a goal to the resource graph that a VNF shall have: a pure function.

Three kinds of resources: `network` (an internal virtual link on one VIM), `compute` (a VNFC with its addresses, not
running) and `power` (a VNFC that runs, with its environment). Stopping a VNF removes its power resources, starting it
adds them: operate is one more difference of graphs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface
from types import MappingProxyType
from typing import Any

import msgspec

from skerry.model.descriptors import ConnectionPoint, DeploymentFlavour, SoftwareImage, Vdu, VirtualLink
from skerry.model.resources import Wanted
from skerry.model.vnf import ExtLink, VnfInstance
from skerry.vnfm.forms import in_form, is_function
from skerry.vnfm.goal import Goal, applied
from skerry.vnfm.naming import link_key, resource_name
from skerry.vnfm.values import Attributes

HOME = "/root"
AUTHORIZED_KEYS = f"{HOME}/.ssh/authorized_keys"
POWER_IN_PLACE = ("env", "given", "files", "command")
COMPUTE_IN_PLACE = ("vcpus", "memory_bytes")
_WIDEST = 16
QUIET = ("package", "flavour", "reserved")
"""Where the descriptor was: the resource is the same in whatever package describes it; and addresses that others have."""


def wanted(
    instance: VnfInstance,
    flavour: DeploymentFlavour,
    goal: Goal,
    reserved: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> dict[str, Wanted]:
    """Every resource of the VNF at this goal, by key. `reserved` is network -> addresses on it that no VNFC gets.

    Values that follow from the request alone are put in place here, so that a change of them shows as a difference;
    what is known at run time only (addresses) stays an expression.
    """
    graph: dict[str, Wanted] = {}
    after = applied(instance, goal)
    known = Attributes(msgspec.structs.replace(after, resources={}, vnfcs={}), flavour)
    idle = {*goal.stopped, *(name for names in goal.standbys.values() for name in names)}
    for vdu_id, vnfcs in within(flavour, goal).everybody.items():
        for vnfc in vnfcs:
            vdu = in_form(flavour.vdus[vdu_id], function=vnfc in goal.functions)
            nics, networks = _nics(instance.id, flavour, goal, vdu, vnfc)
            graph.update(networks)
            compute = _compute(after, vdu, vnfc, goal, nics, _name_servers(flavour, vdu, goal), tuple(networks))
            if kept := {nic["network"]: reserved[nic["network"]] for nic in nics if nic["network"] in reserved}:
                compute = msgspec.structs.replace(compute, spec={**compute.spec, "reserved": kept})
            graph[compute.key] = compute
            if vnfc not in idle:
                power = _power(compute, vdu, vnfc, goal, known)
                graph[power.key] = power
    return graph


def within(flavour: DeploymentFlavour, goal: Goal) -> Goal:
    """The goal without VNFCs of VDUs that its flavour does not have: a change of flavour that was given up half-way leaves
    some, and whatever comes next removes them."""
    vnfcs, standbys = (
        {vdu: names for vdu, names in groups.items() if vdu in flavour.vdus} for groups in (goal.vnfcs, goal.standbys)
    )
    return msgspec.structs.replace(goal, vnfcs=vnfcs, standbys=standbys)


def _nics(
    instance_id: str, flavour: DeploymentFlavour, goal: Goal, vdu: Vdu, vnfc: str
) -> tuple[list[dict[str, Any]], dict[str, Wanted]]:
    """The interfaces of a VNFC in the descriptor's order, and the networks of its own VNF that they need."""
    nics: list[dict[str, Any]] = []
    networks: dict[str, Wanted] = {}
    for cp in sorted_cps(flavour, vdu):
        external = goal.ext_links.get(cp.external)
        if external is not None:
            link: VirtualLink | None = None
            nic = {"network": external.network, "ip": external.ip, "mac": external.mac}
        else:
            link_id = cp.virtual_link if cp.virtual_link in flavour.virtual_links else cp.external or cp.id
            link = flavour.virtual_links.get(link_id, VirtualLink(id=link_id))
            if (managed := goal.managed_links.get(link_id)) is not None:
                nic = {"network": managed.network, "ip": "", "mac": ""}
            else:
                network = _network(instance_id, link, goal.placement[vnfc], _fixed(flavour, link.id))
                networks[network.key] = network
                nic = {"network": network.spec["name"], "ip": "", "mac": ""}
        limit = _limit(cp, external or link)
        alone = len(goal.everybody[vdu.id]) == 1  # a fixed address fits one instance only
        nics.append(
            {
                "network": nic["network"],
                "ip": nic["ip"] or (cp.fixed_ip if alone else ""),
                "mac": nic["mac"] or (cp.mac if alone else ""),
                "egress_bps": limit,
                "ingress_bps": limit,
                **({"steered": True} if external is not None and external.steered else {}),
            }
        )
    return nics, networks


def _limit(cp: ConnectionPoint, link: ExtLink | VirtualLink | None) -> int:
    """Bit/s of an interface: the lower of what its connection point and its link allow, 0 for no limit."""
    return min((bps for bps in (cp.bitrate_bps, link.max_bitrate_bps if link else 0) if bps), default=0)


def _name_servers(flavour: DeploymentFlavour, vdu: Vdu, goal: Goal) -> list[str]:
    """The VDU's own DNS servers, else those of its links in the order of its interfaces."""
    if vdu.dns:
        return list(vdu.dns)
    found: list[str] = []
    for cp in sorted_cps(flavour, vdu):
        link = goal.ext_links.get(cp.external) or flavour.virtual_links.get(cp.virtual_link)
        found += link.dns if link else ()
    return list(dict.fromkeys(found))


def sorted_cps(flavour: DeploymentFlavour, vdu: Vdu) -> list[ConnectionPoint]:
    """The connection points of a VDU in the order in which the instance sees its interfaces."""
    listed = [flavour.cps[name] for name in vdu.cps if name in flavour.cps]
    return sorted(listed, key=lambda cp: cp.order)


def _fixed(flavour: DeploymentFlavour, link_id: str) -> list[str]:
    """The addresses that connection points on a link of the VNF's own have for ever."""
    on = (cp for cp in flavour.cps.values() if link_id in (cp.virtual_link, cp.external, cp.id))
    return [cp.fixed_ip for cp in on if cp.fixed_ip and isinstance(cp.fixed_ip, str)]


def subnet_of(addresses: Sequence[str]) -> str:
    """The smallest subnet, /24 or wider, that holds all these addresses; "" where there is none or it would be huge."""
    try:
        found = [IPv4Interface(f"{address}/24").network for address in addresses]
    except ValueError:
        return ""  # the driver says which of them is no address
    if not found:
        return ""
    wide = found[0]
    while not all(one.subnet_of(wide) for one in found) and wide.prefixlen > _WIDEST:
        wide = wide.supernet()
    return str(wide) if all(one.subnet_of(wide) for one in found) else ""


def _network(instance_id: str, link: VirtualLink, vim: str, fixed: Sequence[str]) -> Wanted:
    key = link_key(link.id, vim)
    spec = {
        "vim": vim,
        "name": resource_name(instance_id, key),
        "owner": instance_id,
        "cidr": link.cidr or subnet_of(fixed),
        "gateway": link.gateway,
        "mtu": link.mtu,
    }
    return Wanted(key=key, kind="network", spec=spec, note=f"virtual link {link.id} on {vim}")


def _compute(
    instance: VnfInstance,
    vdu: Vdu,
    vnfc: str,
    goal: Goal,
    nics: list[dict[str, Any]],
    dns: list[str],
    networks: tuple[str, ...],
) -> Wanted:
    vim = goal.placement[vnfc]
    key = f"compute:{vnfc}"
    spec: dict[str, Any] = {
        "vim": vim,
        "name": resource_name(instance.id, key),
        "owner": instance.id,
        "package": instance.vnf_pkg_id,
        "flavour": instance.flavour_id,
        "vdu": vdu.id,
        "image": _snapshot(goal.images[vnfc]) if vnfc in goal.images else _image(vdu.image, instance.vnf_pkg_id),
        "hostname": vdu.hostname or vnfc,
        "nics": nics,
        "vcpus": vdu.vcpus,
        "memory_bytes": vdu.memory_bytes,
        "storage_bytes": vdu.storage_bytes,
        "pids": vdu.pids,
        "mounts": list(vdu.mounts),
        "ports": list(vdu.ports),
        "dns": dns,
        "capabilities": list(vdu.capabilities),
        "read_only": vdu.read_only,
        "restart": vdu.restart,
        "grace_s": vdu.grace_s,
        "options": vdu.options,
    }
    return Wanted(
        key=key,
        kind="compute",
        spec=spec,
        needs=networks,
        in_place=COMPUTE_IN_PLACE,
        quiet=QUIET,
        note=f"{vnfc} on {vim}",
    )


def _snapshot(name: str) -> dict[str, Any]:
    """An image that the VIM made of an instance: nothing brings it there."""
    return {"name": name, "source": ""}


def _image(image: SoftwareImage | None, package: str) -> dict[str, Any]:
    if image is None:
        return {"name": "", "source": ""}
    return {
        "name": image.name,
        "source": image.source,
        "checksum": image.checksum,
        "checksum_algorithm": image.checksum_algorithm,
        # configurations of two packages often have the same file name
        **({"of": package} if is_function(image) and not image.checksum else {}),
    }


def _opened(keys: Sequence[str]) -> list[dict[str, Any]]:
    """Where servers of SSH look for the keys that open an account."""
    lines = "".join(f"{key}\n" for key in keys)
    return [{"path": AUTHORIZED_KEYS, "content": lines, "source": "", "mode": 0o600}] if keys else []


def _power(compute: Wanted, vdu: Vdu, vnfc: str, goal: Goal, known: Attributes) -> Wanted:
    spec = {
        "vim": compute.spec["vim"],
        "name": compute.spec["name"],
        "package": compute.spec["package"],
        "flavour": compute.spec["flavour"],
        "compute": vnfc,
        "command": [known.settled(part) for part in vdu.command],
        "env": {name: known.settled(value) for name, value in vdu.env.items()},
        "files": [
            {"path": f.path, "content": known.settled(f.content), "source": f.source, "mode": f.mode} for f in vdu.files
        ]
        + _opened(goal.ssh_keys),
        "given": goal.dependencies,
    }
    depends = {other for name in vdu.depends_on for other in goal.vnfcs.get(name, ())}
    starts = tuple(f"power:{other}" for other in sorted(depends - set(goal.stopped) - {vnfc}))
    return Wanted(
        key=f"power:{vnfc}",
        kind="power",
        spec=spec,
        needs=(f"compute:{vnfc}",),
        after=starts,
        in_place=POWER_IN_PLACE,
        quiet=QUIET,
        note=f"running {vnfc}",
    )
