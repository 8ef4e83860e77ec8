"""Packages and nodes for tests: SOL001 CSARs from a few lines of YAML, and a node on the simulated driver in virtual time.

A VNF is written as

    id: web
    vdus:
      front: {nics: {pub: ext, lan: lan}, env: {A: b}, cmd: [run], files: {/etc/x: text}, initial: 1, needs: [back]}
    links: {lan: 10.9.0.0/24}         # or {cidr: …, dns: [192.0.2.53], bitrate: 1000000}
    aspects: {more: {max: 3, deltas: {front: [1, 2]}}}
    levels: {one: {more: 0}, two: {more: 1}}
    scripts: {instantiate_end: {run: 'echo x', args: [], inputs: {}, vdus: []}}
    provides, requires, properties, inputs

and an NS as

    id: shop
    vnfs: {web: {vnfd: web, links: {pub: net}, values: {…}, after: [db], give: {db: [port]}, max: 2, level: one}}
    links: {net: 10.8.0.0/24}
    aspects: {size: {web: [1, 2]}}
    levels: {start: {web: 1}}
    cyclic: false
"""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from skerry.api.body import params as accepted
from skerry.api.sol005.types import UpdateNsRequest
from skerry.engine.clock import Virtual, run_virtual
from skerry.model.ns import NsdInfo, NsInstance
from skerry.model.operations import Operation
from skerry.model.states import OperationState
from skerry.model.vnf import VnfInstance, VnfPkgInfo
from skerry.packages import build
from skerry.settings import Settings, Vim
from skerry.vim.driver import Compute, ExecResult
from skerry.vim.simulated.world import CommandRun, World, world
from skerry.wiring import Node

T = TypeVar("T")

EXAMPLES = Path(__file__).parents[2] / "examples"
TYPES = "https://forge.etsi.org/rep/nfv/SOL001/raw/v4.4.1/etsi_nfv_sol001_{}_types.yaml"
_CACHE = Path(tempfile.mkdtemp(prefix="skerry-tests-"))
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
_NUMBERS = iter(range(1, 1 << 60))


def loaded(text: str | Mapping[str, Any]) -> dict[str, Any]:
    """The short form, read."""
    return dict(text) if isinstance(text, Mapping) else yaml.safe_load(text)


def vnf_folder(text: str | Mapping[str, Any]) -> dict[str, str]:
    """The files of a VNF package."""
    short = loaded(text)
    node_type = f"test.{short['id'].title().replace('-', '')}"
    files = {f"Scripts/{event}.sh": _script(one) for event, one in short.get("scripts", {}).items()}
    nodes: dict[str, Any] = {"vnf": _vnf_node(node_type, short)}
    requirements: dict[str, list[str]] = {}
    for name, vdu in short["vdus"].items():
        nodes |= _vdu_nodes(name, vdu)
        for order, (cp, link) in enumerate(vdu.get("nics", {}).items()):
            nodes[cp] = _cp(name, order, link, vdu.get("ips", {}).get(cp))
            if link == "ext":
                requirements[f"virtual_link_{cp}"] = [cp, "virtual_link"]
    nodes |= {name: _link("VnfVirtualLink", cidr) for name, cidr in short.get("links", {}).items()}
    template = {
        "tosca_definitions_version": "tosca_simple_yaml_1_3",
        "imports": [TYPES.format("vnfd")],
        "node_types": {node_type: _vnf_type(short, requirements), "test.Unit": _UNIT},
        "topology_template": {
            "inputs": short.get("inputs", {}),
            "substitution_mappings": {
                "node_type": node_type,
                "properties": {"flavour_id": "default"},
                "requirements": requirements,
            },
            "node_templates": nodes,
            "policies": _policies(short),
        },
    }
    return {f"Definitions/{short['id']}.yaml": json.dumps(template, indent=1), **files}


_UNIT = {
    "derived_from": "tosca.nodes.nfv.Vdu.OsContainerDeployableUnit",
    "properties": {"boot_data": {"type": "tosca.datatypes.nfv.BootData", "required": False}},
}


def _script(one: Mapping[str, Any]) -> str:
    return f"#!/bin/sh\n{one.get('run', 'true')}\n"


def _vnf_type(short: Mapping[str, Any], requirements: Mapping[str, Any]) -> dict[str, Any]:
    texts = {
        "descriptor_id": short["id"],
        "provider": "Test",
        "product_name": short.get("product", short["id"]),
        "software_version": "1",
        "descriptor_version": "1.0",
        "flavour_id": "default",
        "flavour_description": "",
    }
    return {
        "derived_from": "tosca.nodes.nfv.VNF",
        "metadata": {key: short[key] for key in ("provides", "requires") if key in short},
        "properties": {
            **{name: {"type": "string", "default": value} for name, value in texts.items()},
            "vnfm_info": {"type": "list", "entry_schema": {"type": "string"}, "default": ["skerry"]},
            "configurable_properties": {"type": "map", "required": False},
        },
        "requirements": [{name: {"capability": "tosca.capabilities.nfv.VirtualLinkable"}} for name in requirements],
        "interfaces": {"Vnflcm": {"type": "tosca.interfaces.nfv.Vnflcm"}},
    }


def _vnf_node(node_type: str, short: Mapping[str, Any]) -> dict[str, Any]:
    operations = {
        event: {
            "implementation": f"../Scripts/{event}.sh",
            "inputs": {
                **one.get("inputs", {}),
                **({"arguments": one["args"]} if "args" in one else {}),
                **({"vdus": one["vdus"]} if "vdus" in one else {}),
            },
        }
        for event, one in short.get("scripts", {}).items()
    }
    properties = {"configurable_properties": short["properties"]} if "properties" in short else {}
    return {"type": node_type, "properties": properties, "interfaces": {"Vnflcm": {"operations": operations}}}


def _vdu_nodes(name: str, vdu: Mapping[str, Any]) -> dict[str, Any]:
    boot: dict[str, Any] = {}
    if "env" in vdu:
        boot["kvp_data"] = {"data": vdu["env"]}
    if "files" in vdu:
        (path, content) = next(iter(vdu["files"].items()))
        boot["content_or_file_data"] = {"content": content, "destination_path": path}
    boot["vim_specific_properties"] = {
        "vim_type": "container",
        "properties": {"CMD": vdu.get("cmd", ["run"]), **vdu.get("options", {})},
    }
    unit = {
        "type": "test.Unit",
        "properties": {
            "name": name,
            "description": name,
            "vdu_profile": {"min_number_of_instances": vdu.get("min", 1), "max_number_of_instances": 100},
            "boot_data": boot,
        },
        "requirements": [{"container": f"{name}_box"}, *({"dependency": other} for other in vdu.get("needs", ()))],
    }
    box = {
        "type": "tosca.nodes.nfv.Vdu.OsContainer",
        "properties": {
            "name": name,
            "description": name,
            "cpu_resource_limit": int(vdu.get("vcpus", 0.5) * 1000),
            "memory_resource_limit": vdu.get("memory", "64 MB"),
        },
        "artifacts": {
            "sw_image": {
                "type": "tosca.artifacts.nfv.SwImage",
                "file": vdu.get("image", "host:sh"),
                "properties": {"name": "sh", "version": "1", "container_format": "bare", "size": "1 MB"},
            }
        },
    }
    if vdu.get("image", "host:sh") is None:
        del box["artifacts"]
    return {name: unit, f"{name}_box": box}


def _cp(vdu: str, order: int, link: str, ip: str | None) -> dict[str, Any]:
    properties: dict[str, Any] = {"order": order, "layer_protocols": ["ipv4"]}
    if ip:
        address = {"ip_address_assignment": False, "floating_ip_activated": False, "fixed_ip_address": [ip]}
        data = {"address_type": "ip_address", "l3_address_data": address}
        properties["protocol"] = [{"associated_layer_protocol": "ipv4", "address_data": [data]}]
    requirements = [{"virtual_binding": vdu}, *([{"virtual_link": link}] if link != "ext" else [])]
    return {"type": "tosca.nodes.nfv.VduCp", "properties": properties, "requirements": requirements}


def _link(kind: str, short: str | Mapping[str, Any]) -> dict[str, Any]:
    told: Mapping[str, Any] = {"cidr": short} if isinstance(short, str) else short
    cidr = told.get("cidr", "")
    l3 = {"ip_version": "ipv4", "cidr": cidr, "dhcp_enabled": False, "dns_servers": told.get("dns", [])}
    root = {"root": told.get("bitrate", 0)}
    profile: dict[str, Any] = {"max_bitrate_requirements": root, "min_bitrate_requirements": {"root": 0}}
    if cidr:
        profile["virtual_link_protocol_data"] = [{"associated_layer_protocol": "ipv4", "l3_protocol_data": l3}]
    return {
        "type": f"tosca.nodes.nfv.{kind}",
        "properties": {"connectivity_type": {"layer_protocols": ["ipv4"]}, "vl_profile": profile},
    }


def _policies(short: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def add(name: str, kind: str, properties: Mapping[str, Any], targets: list[str] | None = None) -> None:
        policy: dict[str, Any] = {"type": f"tosca.policies.nfv.{kind}", "properties": properties}
        found.append({name: policy | ({"targets": targets} if targets else {})})

    aspects = short.get("aspects", {})
    if aspects:
        length = {id: max(len(d) for d in one["deltas"].values()) for id, one in aspects.items()}
        told = {
            id: {"name": id, "description": id, "max_scale_level": one["max"]}
            | {"step_deltas": [f"d{number}" for number in range(length[id])]}
            for id, one in aspects.items()
        }
        add("aspects", "ScalingAspects", {"aspects": told})
        for id, one in aspects.items():
            for vdu, numbers in one["deltas"].items():
                deltas = {f"d{n}": {"number_of_instances": number} for n, number in enumerate(numbers)}
                add(f"{id}_{vdu}", "VduScalingAspectDeltas", {"aspect": id, "deltas": deltas}, [vdu])
    for name, vdu in short["vdus"].items():
        add(
            f"{name}_first",
            "VduInitialDelta",
            {"initial_delta": {"number_of_instances": vdu.get("initial", 1)}},
            [name],
        )
    if levels := short.get("levels"):
        told = {
            id: {"description": id, "scale_info": {aspect: {"scale_level": n} for aspect, n in info.items()}}
            for id, info in levels.items()
        }
        add("levels", "InstantiationLevels", {"levels": told, "default_level": next(iter(levels))})
    return found


def ns_folder(text: str | Mapping[str, Any]) -> dict[str, str]:
    """The files of an NS package."""
    short = loaded(text)
    types: dict[str, Any] = {
        "test.Ns": {
            "derived_from": "tosca.nodes.nfv.NS",
            "metadata": {"cyclic_dependencies": True} if short.get("cyclic") else {},
        }
    }
    identity = {"descriptor_id": short["id"], "designer": "Test", "version": "1.0", "name": short["id"]}
    nodes: dict[str, Any] = {
        "ns": {
            "type": "test.Ns",
            "properties": {**identity, "invariant_id": short["id"], "flavour_id": "default"},
        }
    }
    for name, vnf in short["vnfs"].items():
        types[f"test.{name}"] = {
            "derived_from": "tosca.nodes.nfv.VNF",
            "properties": {"configurable_properties": {"type": "map", "required": False}},
            "requirements": [
                {f"virtual_link_{cp}": {"capability": "tosca.capabilities.nfv.VirtualLinkable"}}
                for cp in vnf.get("links", {})
            ],
        }
        nodes[name] = _vnf_profile(name, vnf)
    nodes |= {name: _link("NsVirtualLink", cidr) for name, cidr in short.get("links", {}).items()}
    policies = []
    for id, counts in short.get("aspects", {}).items():
        length = max(len(numbers) for numbers in counts.values())
        named = {str(n): {"description": str(n)} for n in range(length)}
        policies.append(
            {
                id: {
                    "type": "tosca.policies.nfv.NsScalingAspects",
                    "properties": {"aspects": {id: {"name": id, "description": id, "ns_scale_levels": named}}},
                }
            }
        )
        policies += [
            {
                f"{id}_{vnf}": {
                    "type": "tosca.policies.nfv.VnfToLevelMapping",
                    "properties": {"aspect": id, "number_of_instances": {str(n): c for n, c in enumerate(numbers)}},
                    "targets": [vnf],
                }
            }
            for vnf, numbers in counts.items()
        ]
    if levels := short.get("levels"):
        told = {id: {"description": id} for id in levels}
        properties = {"ns_levels": told, "default_level": next(iter(levels))}
        policies.append({"levels": {"type": "tosca.policies.nfv.NsInstantiationLevels", "properties": properties}})
        policies += [
            {
                f"level_{vnf}": {
                    "type": "tosca.policies.nfv.VnfToInstantiationLevelMapping",
                    "properties": {"number_of_instances": {id: c[vnf] for id, c in levels.items() if vnf in c}},
                    "targets": [vnf],
                }
            }
            for vnf in {vnf for counts in levels.values() for vnf in counts}
        ]
    template = {
        "tosca_definitions_version": "tosca_simple_yaml_1_3",
        "imports": [TYPES.format("nsd")],
        "node_types": types,
        "topology_template": {"inputs": short.get("inputs", {}), "node_templates": nodes, "policies": policies},
    }
    return {f"Definitions/{short['id']}.yaml": json.dumps(template, indent=1)}


def _vnf_profile(name: str, vnf: Mapping[str, Any]) -> dict[str, Any]:
    profile = {"min_number_of_instances": vnf.get("count", 1), "max_number_of_instances": vnf.get("max", 9)}
    if "level" in vnf:
        profile["instantiation_level"] = vnf["level"]
    requirements: list[dict[str, Any]] = [{f"virtual_link_{cp}": net} for cp, net in vnf.get("links", {}).items()]
    requirements += [{"dependency": other} for other in vnf.get("after", ())]
    for other, names in vnf.get("give", {}).items():
        relationship = {"type": "tosca.relationships.DependsOn", "properties": {"parameters": names}}
        requirements.append({"dependency": {"node": other, "relationship": relationship}})
    properties = {
        "descriptor_id": vnf["vnfd"],
        "descriptor_version": "1.0",
        "provider": "Test",
        "product_name": vnf["vnfd"],
        "software_version": "1",
        "flavour_id": "default",
        "flavour_description": "",
        "vnfm_info": ["skerry"],
        "vnf_profile": profile,
    }
    if "values" in vnf:
        properties["configurable_properties"] = vnf["values"]
    return {"type": f"test.{name}", "properties": properties, "requirements": requirements}


def csar(files: Mapping[str, str]) -> Path:
    """The CSAR of these files, built once."""
    mark = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:24]
    target = _CACHE / f"{mark}.csar"
    if not target.exists():
        folder = _CACHE / mark
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        build(folder, target)
        shutil.rmtree(folder)
    return target


def example(name: str) -> Path:
    """The CSAR of one of the SIP example packages."""
    target = _CACHE / f"sip-{name}.csar"
    return target if target.exists() else build(EXAMPLES / "sip" / name, target)


class Once:
    """A script runner inside simulated instances that keeps the promise of the real one: once per key, the same answer
    again. `runs` lists (instance, script text, arguments, environment) of what really ran; `fails` maps a word of the
    script's text to how often it still fails."""

    def __init__(self) -> None:
        self.runs: list[CommandRun] = []
        self.fails: dict[str, int] = {}
        self._done: dict[tuple[str, str], ExecResult] = {}

    def __call__(self, run: CommandRun) -> ExecResult:
        key = (run.instance, run.argv[4])
        if key not in self._done:
            self.runs.append(run)
            text = run.stdin.decode()
            for word, times in self.fails.items():
                if word in text and times:
                    self.fails[word] = times - 1
                    return ExecResult(exit_code=3, stderr=b"it broke")
            self._done[key] = ExecResult(exit_code=0, stdout=f"ran in {run.instance}".encode())
        return self._done[key]

    def remember(self, other: Once, count: int) -> None:
        """Begin with the first runs of another: what instances did outlives the process that asked for it."""
        self.runs = other.runs[:count]
        keys = {(run.instance, run.argv[4]) for run in self.runs}
        self._done = {key: answer for key, answer in other._done.items() if key in keys}
        self.fails = dict(other.fails)

    def ran(self) -> list[tuple[str, str]]:
        """(VNFC, last line of the script) in the order in which they ran."""
        return [(short(run.instance), run.stdin.decode().strip().splitlines()[-1]) for run in self.runs]


def short(name: str) -> str:
    """The VNFC or link of a driver's name."""
    return name.split("-", 2)[2]


class Lab:
    """A node on simulated infrastructure. `worlds` are by VIM id."""

    def __init__(self, virtual: Virtual, folder: Path, vims: Mapping[str, Mapping[str, Any]], **settings: Any) -> None:
        self.virtual = virtual
        self.folder = folder
        number = next(_NUMBERS)
        self.vims = tuple(
            Vim(id=id, type="simulated", settings={"world": f"lab-{number}-{id}", **own}) for id, own in vims.items()
        )
        self.worlds: dict[str, World] = {vim.id: world(vim.settings["world"]) for vim in self.vims}
        self.scripts = Once()
        for one in self.worlds.values():
            one.answer("/bin/sh -c * skerry *", self.scripts)
        self._settings = settings
        self.node = self.make()

    def make(self) -> Node:
        """A node on the same file and the same infrastructure."""
        settings = Settings(data_dir=self.folder, vims=self.vims, **self._settings)
        return Node(settings, clock=self.virtual.clock, ids=self.virtual.ids, inline=True)

    async def restart(self) -> None:
        """The process goes and another comes, on the same file and infrastructure."""
        await self.node.stop()
        self.node = self.make()
        await self.node.start()

    @property
    def world(self) -> World:
        return next(iter(self.worlds.values()))

    # -- packages -----------------------------------------------------------------------------------------------------

    async def onboard(self, file: Path) -> VnfPkgInfo:
        info = await self.node.catalogue.create_vnf_package({})
        return await self.node.catalogue.upload_vnf_package(info.id, file)

    async def onboard_ns(self, file: Path) -> NsdInfo:
        info = await self.node.catalogue.create_nsd({})
        return await self.node.catalogue.upload_nsd(info.id, file)

    async def vnf(self, text: str | Mapping[str, Any], **params: Any) -> VnfInstance:
        """A VNF of this package, instantiated (unless `params` is `instantiate=False`)."""
        short_form = loaded(text)
        found = [i for i in self.node.catalogue.vnf_packages() if i.vnfd_id == short_form["id"]]
        if not found:
            await self.onboard(csar(vnf_folder(text)))
        made = await self.node.vnfm.create(short_form["id"], name=params.pop("name", short_form["id"]))
        if params.pop("instantiate", True):
            await self.done("vnf.instantiate", made.id, params)
        return self.node.vnfm.instance(made.id)

    async def ns(self, text: str | Mapping[str, Any], *vnfs: str | Mapping[str, Any], **params: Any) -> NsInstance:
        """An NS of this package, instantiated (unless `instantiate=False`)."""
        known = {info.vnfd_id for info in self.node.catalogue.vnf_packages()}
        for vnf in vnfs:
            if loaded(vnf)["id"] not in known:
                await self.onboard(csar(vnf_folder(vnf)))
        id = loaded(text)["id"]
        if id not in {info.nsd_id for info in self.node.catalogue.nsds()}:
            await self.onboard_ns(csar(ns_folder(text)))
        made = await self.node.nfvo.create(id, name=params.pop("name", id))
        if params.pop("instantiate", True):
            await self.done("ns.instantiate", made.id, params)
        return self.node.nfvo.instance(made.id)

    # -- operations ---------------------------------------------------------------------------------------------------

    async def start(self, kind: str, id: str, params: Mapping[str, Any] | None = None) -> Operation:
        if kind.startswith("app."):
            return await self.node.meo.start(kind, id, params or {})
        side = self.node.nfvo if kind.startswith("ns.") else self.node.vnfm
        return await side.start(kind, id, params or {})

    async def run(self, kind: str, id: str, params: Mapping[str, Any] | None = None) -> Operation:
        """Start it and wait until it is final or FAILED_TEMP."""
        operation = await self.start(kind, id, params)
        return await self.node.engine.wait(operation.id, 100_000)

    async def done(self, kind: str, id: str, params: Mapping[str, Any] | None = None) -> Operation:
        """Run it; it must complete."""
        operation = await self.run(kind, id, params)
        assert operation.state is OperationState.COMPLETED, f"{kind} {operation.state}: {operation.error}"
        return operation

    async def update(self, ns: NsInstance, kind: str, **data: Any) -> Operation:
        """An NS update once it is over; the request is one that the API takes."""
        request = {"updateType": kind, **data}
        accepted(request, UpdateNsRequest)
        return await self.run("ns.update", ns.id, request)

    async def updated(self, ns: NsInstance, kind: str, **data: Any) -> OperationState:
        """Its state."""
        return (await self.update(ns, kind, **data)).state

    # -- looking ------------------------------------------------------------------------------------------------------

    def machines(self, vim: str = "") -> dict[str, Compute]:
        """VNFC → what the infrastructure has, over all VIMs."""
        worlds = [self.worlds[vim]] if vim else self.worlds.values()
        return {name: m.compute for one in worlds for name, m in one.has.machines.items()}

    def env(self, name: str) -> Mapping[str, str]:
        """The environment of an instance, by the driver's name."""
        return self.machines()[name].env

    def file(self, name: str, path: str) -> str:
        """A file that was written into an instance."""
        found = [one.has.machines[name] for one in self.worlds.values() if name in one.has.machines]
        return next(f.content for f in found[0].spec.files if f.path == path).decode()

    def nothing_left(self) -> bool:
        return not any(one.has.machines or one.has.networks for one in self.worlds.values())


def lab(
    body: Callable[[Lab], Awaitable[T]],
    vims: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    seed: int = 0,
    **settings: Any,
) -> T:
    """Run `body` with a started node, in virtual time. Nothing of it remains."""
    folder = Path(tempfile.mkdtemp(prefix="lab-", dir=_CACHE))

    async def inside(virtual: Virtual) -> T:
        one = Lab(virtual, folder, vims or {"sim": {"latency": {"*": 0.1}}}, **settings)
        await one.node.start()
        try:
            return await body(one)
        finally:
            await one.node.stop()

    try:
        return run_virtual(inside, seed=seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
