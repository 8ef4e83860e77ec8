"""Answers the functions of a descriptor from what is recorded: addresses, host names, properties, inputs, and what other
VNFs handed over. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skerry.model.descriptors import DeploymentFlavour, Vnfd
from skerry.model.vnf import VnfInstance
from skerry.packages.functions import evaluate, has_function, references, resolve
from skerry.vnfm.managed import addresses

UNKNOWN: Any = object()
ADDRESS_NAMES = ("ip_address", "address", "ip", "fixed_ip_address")


class Attributes:
    """The lookup of one VNF instance, seen from one of its VNFCs ("" = from none)."""

    def __init__(self, instance: VnfInstance, flavour: DeploymentFlavour, vnfc: str = "") -> None:
        self.instance = instance
        self.flavour = flavour
        self.vnfc = vnfc

    def __call__(self, function: str, path: tuple[Any, ...]) -> Any:
        """Answer one reference (fits `packages.functions.Lookup`)."""
        found = getattr(self, function)(path) if function != "get_artifact" else UNKNOWN
        if found is UNKNOWN:
            raise LookupError(function)
        return found

    def get_input(self, path: Sequence[Any]) -> Any:
        """An input's value from the request, else its default."""
        name = str(path[0])
        declared = self.flavour.inputs.get(name)
        return self.instance.inputs.get(
            name, declared.default if declared and declared.default is not None else UNKNOWN
        )

    def get_property(self, path: Sequence[Any]) -> Any:
        """A property of the VNF: a configurable property, extension, metadata value or input of that name."""
        names = [
            str(part)
            for part in path[1:]
            if part not in ("configurable_properties", "additional_configurable_properties")
        ]
        places = (
            self.instance.vnf_configurable_properties,
            self.instance.extensions,
            self.instance.metadata,
            self.instance.inputs,
        )
        for place in places:
            found: Any = place
            for name in names:
                found = found.get(name, UNKNOWN) if isinstance(found, Mapping) else UNKNOWN
            if found is not UNKNOWN and names:
                return found
        return UNKNOWN

    def get_attribute(self, path: Sequence[Any]) -> Any:
        """`[CP or VDU or SELF, ip_address | mac_address | hostname | ip_addresses]`, or of another VNF what it provides."""
        node, *rest = [str(part) for part in path]
        what = rest[-1] if rest else "ip_address"
        given = self.instance.dependencies.get(node)
        if given is not None:
            return given.get(what, given.get("_".join(rest), UNKNOWN))
        addresses = self.addresses(node, rest)
        if what == "hostname":
            names = self._vnfcs(node)
            return names[0] if names else UNKNOWN
        if what == "ip_addresses":
            return [nic["ip"] for nic in addresses] or UNKNOWN
        if what in ("mac_address", "mac"):
            return addresses[0]["mac"] if addresses else UNKNOWN
        if what in ADDRESS_NAMES or not rest:
            return addresses[0]["ip"] if addresses else UNKNOWN
        return UNKNOWN

    def addresses(self, node: str, rest: Sequence[str] = ()) -> list[Mapping[str, Any]]:
        """The interfaces (ip, mac, device, network) that a CP, VDU or SELF has, over all instances in order."""
        wanted_cp = {node, *rest}
        found: list[Mapping[str, Any]] = []
        for vnfc, index, cp in self.interfaces():
            vdu = vnfc.rsplit("-", 1)[0]
            if (
                cp in wanted_cp
                or self.flavour.cps[cp].external in wanted_cp
                or (self._means(node, vnfc, vdu) and index == 0)
            ):
                resource = self.instance.resources.get(f"compute:{vnfc}")
                nics = resource.outputs.get("nics", ()) if resource else ()
                if index < len(nics):
                    found.append(nics[index])
        return found or self._elsewhere(wanted_cp)

    def _elsewhere(self, wanted: set[str]) -> list[Mapping[str, Any]]:
        """The same of a VNF that another VNF manager has, which shows external connection points alone."""
        known = addresses(self.instance)
        meant = {
            cp.id: {cp.id, cp.external, *(vdu.id for vdu in self.flavour.vdus.values() if cp.id in vdu.cps)}
            for cp in self.flavour.ext_cps.values()
        }
        return [
            {"ip": ip, "mac": ""}
            for name, ip in known.items()
            for cp, names in meant.items()
            if name in (cp, self.flavour.cps[cp].external) and ("SELF" in wanted or names & wanted)
        ]

    def interfaces(self) -> list[tuple[str, int, str]]:
        """(VNFC, interface number, connection point) of everything recorded but standbys; seen from one, with its own."""
        rows: list[tuple[str, int, str]] = []
        for vdu_id, everybody in self.instance.everybody.items():
            vdu = self.flavour.vdus.get(vdu_id)
            if vdu is None:
                continue
            cps = sorted(
                (name for name in vdu.cps if name in self.flavour.cps), key=lambda n: self.flavour.cps[n].order
            )
            standbys = self.instance.standbys.get(vdu_id, ())
            names = [name for name in everybody if name not in standbys or name == self.vnfc]
            rows.extend((vnfc, index, cp) for vnfc in names for index, cp in enumerate(cps))
        return rows

    def _means(self, node: str, vnfc: str, vdu: str) -> bool:
        return node in (vdu, vnfc) or (node == "SELF" and self.vnfc in ("", vnfc))

    def _vnfcs(self, node: str) -> list[str]:
        rows = [(vdu, name) for vdu, names in self.instance.vnfcs.items() for name in names]
        return [name for vdu, name in rows if self._means(node, name, vdu)]

    def resolve(self, value: Any) -> Any:
        """The value with every function answered. `InvalidError` names each that cannot be."""
        return resolve(value, self)

    def settled(self, value: Any) -> Any:
        """The value with those of its functions answered that can be by now."""
        return evaluate(value, self)


def nodes_read(values: Iterable[Any]) -> set[str]:
    """The nodes whose attributes these expressions ask for."""
    asked = [path for value in values for function, path in references(value) if function == "get_attribute"]
    return {str(path[0]) for path in asked if path}


def provided(instance: VnfInstance, vnfd: Vnfd, flavour: DeploymentFlavour) -> dict[str, Any]:
    """What this VNF offers to others: what its descriptor provides, and for each CP its first address, plus `hostname`."""
    lookup = Attributes(instance, flavour)
    values: dict[str, Any] = {}
    for vnfc, index, cp in lookup.interfaces():
        resource = instance.resources.get(f"compute:{vnfc}")
        nics = resource.outputs.get("nics", ()) if resource else ()
        if index < len(nics):
            for name in (cp, flavour.cps[cp].external):
                if name:
                    values.setdefault(name, nics[index]["ip"])
            values.setdefault("ip_address", nics[index]["ip"])
    for shown, ip in addresses(instance).items():
        values |= {
            name: ip
            for cp in flavour.ext_cps.values()
            for name in (cp.id, cp.external)
            if shown in (cp.id, cp.external)
        }
        values.setdefault("ip_address", ip)
    values.pop("", None)
    first = next((name for names in instance.vnfcs.values() for name in names), "")
    values["hostname"] = first
    if instance.manager:  # what it does not show is not known here
        told = {name: lookup.settled(expression) for name, expression in vnfd.provides.items()}
        return values | {name: value for name, value in told.items() if not has_function(value)}
    for name, expression in vnfd.provides.items():
        values[name] = lookup.resolve(expression)
    return values


def variable(name: str) -> str:
    """A name as an environment variable may have it: '-' and '.' become '_'."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def text(value: Any) -> str:
    """A value as a program reads it: lists with commas, maps as JSON, booleans in lower case, nothing for null."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Sequence):
        return ",".join(text(item) for item in value)
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else str(value)


def environment(lookup: Attributes, declared: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a VNFC: its own addresses by network and connection point, the host name, what other VNFs gave as
    `<SOURCE>_<NAME>`, and what the descriptor declares, which wins."""
    env: dict[str, str] = {"hostname": lookup.vnfc}
    for vnfc, index, cp in lookup.interfaces():
        resource = lookup.instance.resources.get(f"compute:{vnfc}")
        nics = resource.outputs.get("nics", ()) if resource else ()
        if vnfc == lookup.vnfc and index < len(nics):
            point = lookup.flavour.cps[cp]
            for name in (cp, point.external, point.virtual_link):
                if name:
                    env[variable(name)] = nics[index]["ip"]
    env |= handed_over(lookup.instance.dependencies)
    for name, value in declared.items():
        env[name] = text(lookup.resolve(value))
    return env


_OWN = ("placement", "rollbackOnFailure", "sshKeys", "inputs", "dependencies", "vnfcInstanceId", "replace")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def told_by(params: Mapping[str, Any]) -> dict[str, str]:
    """What the request of an operation tells the scripts: the cause of a healing, and its additional parameters, those that
    can be names of variables. They win over what the descriptor declares."""
    given = params.get("additionalParams", {})
    told = {name: text(value) for name, value in given.items() if name not in _OWN and _NAME.fullmatch(name)}
    return {**told, **({"cause": str(params["cause"])} if params.get("cause") else {})}


def handed_over(dependencies: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What other VNFs gave, as environment variables `<SOURCE>_<NAME>`."""
    return {
        variable(f"{source}_{name}").upper(): text(value)
        for source, values in dependencies.items()
        for name, value in values.items()
    }


def parameter_files(dependencies: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """What other VNFs handed over, as files for programs and scripts: JSON (which is YAML too) and shell."""
    if not dependencies:
        return {}
    document = json.dumps(dependencies, indent=2, sort_keys=True).encode() + b"\n"
    lines = [f"{name}={shlex.quote(value)}" for name, value in sorted(handed_over(dependencies).items())]
    folder = "/etc/skerry/parameters"
    return {
        f"{folder}.json": document,
        f"{folder}.yaml": document,
        f"{folder}.sh": ("\n".join(lines) + "\n").encode(),
    }
