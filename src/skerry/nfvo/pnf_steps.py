"""Physical network functions in the resource graph of an NS: where they are cabled to, what waits for them, and the steps that
join them with virtual links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skerry.access.roles import NODE_TENANT
from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.errors import ConflictError, Fault, InvalidError, SkerryError
from skerry.model.descriptors import NsDeploymentFlavour, VirtualLink
from skerry.model.ns import FORWARDING, NsInstance
from skerry.model.operations import Step
from skerry.model.pnfs import KIND, PREFIX, Pnf, PnfPoint, Pnfs, pnfs_of
from skerry.model.resources import Wanted
from skerry.nfvo.desk import NsDesk
from skerry.nfvo.graph import Layout, network_on, steered_points
from skerry.vim.cabling import Cabled, PlugSpec
from skerry.vnfm.naming import resource_name


def port_name(tenant: str, pnf: str, cpd: str) -> str:
    """How infrastructures call the port that a connection point of a tenant's PNF is cabled to; those of the node's own tenant
    have no prefix."""
    return f"{pnf}/{cpd}" if tenant in ("", NODE_TENANT) else f"{tenant}:{pnf}/{cpd}"


async def cabled(desk: NsDesk, instance: NsInstance, asked: Pnfs) -> Pnfs:
    """These PNFs with the infrastructures where they are. Who is joined stays; `InvalidError` names every connection point
    on a virtual link that no infrastructure has a port for."""
    there = pnfs_of(instance.resources)
    if all(id in there for id in asked):
        return asked
    ports, silent = await _ports(desk)
    faults: list[Fault] = []
    placed: dict[str, Pnf] = {}
    for id, pnf in asked.items():
        points: list[PnfPoint] = []
        for point in pnf.points:
            name = port_name(instance.tenant, id, point.cpd)
            if point.link and not point.vim:
                if name not in ports:
                    faults.append(_uncabled(name, silent))
                point = msgspec.structs.replace(point, vim=ports.get(name, ""), port=name)  # noqa: PLW2901 - the same point
            points.append(point)
        placed[id] = msgspec.structs.replace(pnf, points=tuple(points))
    if faults:
        raise InvalidError(f"cannot connect the PNFs: {faults[0].message}", faults=faults)
    return placed


async def _ports(desk: NsDesk) -> tuple[dict[str, str], list[str]]:
    """Physical port → the infrastructure that has it, and the infrastructures that do not answer."""
    found: dict[str, str] = {}
    silent: list[str] = []
    for connection in desk.vims.connections():
        try:
            driver = await desk.vims.driver(connection.id)
        except SkerryError:
            silent.append(connection.id)
            continue
        if isinstance(driver, Cabled):
            for name in driver.physical_ports():
                found.setdefault(name, connection.id)
    return found, silent


def _uncabled(name: str, silent: Sequence[str]) -> Fault:
    rest = f" ({', '.join(silent)} cannot be asked)" if silent else ""
    fix = "name its interface in the settings `ports` of the infrastructure where it is"
    return Fault(message=f"no infrastructure has a port {name}{rest}", path="/addPnfData", code="port", fix=fix)


def with_pnfs(
    graph: Mapping[str, Wanted], instance: NsInstance, flavour: NsDeploymentFlavour, layout: Layout
) -> dict[str, Wanted]:
    """The graph with the PNFs and the networks that they need. Members on their links, and those that take values of them,
    come after them; so do paths. `ConflictError` for one that comes where no member of its link is."""
    found = dict(graph)
    for id, pnf in layout.pnfs.items():
        points: list[PnfPoint] = []
        needs: list[str] = []
        alone = steered_points(flavour, pnf.profile)
        for point in pnf.points:
            joined, network = _joined(instance.id, flavour, layout, point)
            if alone & {"", point.id, point.cpd}:
                joined = msgspec.structs.replace(joined, steered=True)
            points.append(joined)
            if f"{PREFIX}{id}" not in instance.resources:
                _require_near(graph, id, joined)
            if network is not None:
                found[network.key] = network
                needs.append(network.key)
        spec = msgspec.to_builtins(msgspec.structs.replace(pnf, points=tuple(points)))
        found[f"{PREFIX}{id}"] = Wanted(
            key=f"{PREFIX}{id}",
            kind=KIND,
            spec={"points": [], **spec},
            needs=tuple(dict.fromkeys(needs)),
            in_place=("name", "points"),
            note=f"PNF {id}",
        )
    return {key: _behind(want, layout.pnfs) for key, want in found.items()}


def _require_near(graph: Mapping[str, Wanted], id: str, point: PnfPoint) -> None:
    """A link is a network of its own on every VIM."""
    members = [want.spec["links"] for want in graph.values() if want.kind == "member"]
    vims = {entry["vim"] for links in members for entry in links if point.link and entry["link"] == point.link}
    if vims and point.vim not in vims:
        raise ConflictError(
            f"cannot connect the PNF {id}: it is cabled to {point.vim}, the VNFs on {point.link} are on "
            f"{', '.join(sorted(vims))}",
            suggestion="place these VNFs where the PNF is",
        )


def _joined(
    instance_id: str, flavour: NsDeploymentFlavour, layout: Layout, point: PnfPoint
) -> tuple[PnfPoint, Wanted | None]:
    """A connection point with its network, and that network where the NS makes it."""
    if not point.link:
        return point, None
    vim, network = layout.borrowed.get(point.link, ("", ""))
    if vim == point.vim and network:
        return msgspec.structs.replace(point, network=network), None
    made = network_on(instance_id, flavour.virtual_links.get(point.link, VirtualLink(id=point.link)), point.vim)
    return msgspec.structs.replace(point, network=made.spec["name"]), made


def _behind(want: Wanted, pnfs: Pnfs) -> Wanted:
    """What comes after PNFs, with them."""
    if want.key == FORWARDING and pnfs:
        spec = {**want.spec, "pnfs": {id: [point.port for point in pnf.points] for id, pnf in pnfs.items()}}
        after = (*want.after, *(f"{PREFIX}{id}" for id in pnfs))
        return msgspec.structs.replace(want, spec=spec, after=after, in_place=(*want.in_place, "pnfs"))
    if want.kind != "member":
        return want
    links = {entry["link"] for entry in want.spec["links"]}
    sources = {pair["source"] for pair in want.spec["depends"]}
    first = [
        f"{PREFIX}{id}"
        for id, pnf in pnfs.items()
        if pnf.profile in sources or any(point.link in links for point in pnf.points)
    ]
    return msgspec.structs.replace(want, after=(*want.after, *first))


def after_paths(steps: Sequence[Step]) -> list[Step]:
    """A PNF that goes for good goes when the data plane has let go of its ports."""
    paths = tuple(step.key for step in steps if step.resource == FORWARDING)
    made = {step.resource for step in steps if step.action == f"{KIND}.create"}
    return [
        msgspec.structs.replace(step, needs=tuple(dict.fromkeys((*step.needs, *paths))))
        if step.action == f"{KIND}.delete" and step.resource not in made
        else step
        for step in steps
    ]


class PnfSteps:
    """The step handlers."""

    def __init__(self, desk: NsDesk) -> None:
        self.desk = desk

    def register(self, engine: Engine) -> None:
        engine.add_handler(f"{KIND}.create", self.put)
        engine.add_handler(f"{KIND}.update", self.put)
        engine.add_handler(f"{KIND}.delete", self.delete)

    async def put(self, context: StepContext) -> Mapping[str, Any]:
        """Join each connection point with its network, and let go of ports that are meant no more."""
        spec = msgspec.convert(context.args["spec"], Pnf)
        before = _ports_in(context.args.get("previous", {}))
        for vim, port in before - _ports_in(context.args["spec"]):
            await self._unplug(context, vim, port)
        taps: dict[str, Any] = {}
        for point in spec.points:
            if point.port:
                plug = PlugSpec(
                    port=point.port,
                    network=point.network,
                    name=resource_name(context.operation.subject, context.step.resource),
                    owner=context.operation.subject,
                    mac=point.mac,
                    ips=point.ips,
                    steered=point.steered,
                )
                driver = await self._driver(point.vim)
                taps[point.cpd] = msgspec.to_builtins(await driver.plug_port(plug))
        return {"taps": taps}

    async def delete(self, context: StepContext) -> None:
        """The machine is joined with nothing of the NS."""
        for vim, port in _ports_in(context.args["spec"]):
            await self._unplug(context, vim, port)

    async def _unplug(self, context: StepContext, vim: str, port: str) -> None:
        driver = await self._driver(vim)
        await driver.unplug_port(port, context.operation.subject)

    async def _driver(self, vim: str) -> Cabled:
        driver = await self.desk.vims.driver(vim)
        if not isinstance(driver, Cabled):
            raise InvalidError(f"cannot connect a PNF at {vim}: its driver has no physical ports")
        return driver


def _ports_in(spec: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(point["vim"], point["port"]) for point in spec.get("points", ()) if point.get("port")}
