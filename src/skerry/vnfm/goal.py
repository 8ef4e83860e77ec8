"""What a VNF shall become: pure functions from a record, its flavour and a request to the next goal."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from skerry.errors import ConflictError, Fault, InvalidError
from skerry.model.descriptors import DeploymentFlavour, InputParameter, ScalingAspect, Vnfd
from skerry.model.resources import ResourceState
from skerry.model.vnf import ExtLink, VnfInstance, joined


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a VNF's record that an operation decides. The resource graph follows from it (`graph.wanted`)."""

    flavour_id: str
    vnf_pkg_id: str = ""  # "" = as it is
    level_id: str = ""
    scale_status: Mapping[str, int] = {}
    vnfcs: Mapping[str, tuple[str, ...]] = {}
    stopped: tuple[str, ...] = ()  # VNFCs that shall not run
    placement: Mapping[str, str] = {}
    ext_links: Mapping[str, ExtLink] = {}
    managed_links: Mapping[str, ExtLink] = {}
    properties: Mapping[str, Any] = {}
    inputs: Mapping[str, Any] = {}
    dependencies: Mapping[str, Mapping[str, Any]] = {}
    images: Mapping[str, str] = {}  # VNFC → image of a snapshot, in place of its own
    functions: tuple[str, ...] = ()  # VNFCs that shall be micro network functions where they could be containers
    standbys: Mapping[str, tuple[str, ...]] = {}  # VNFCs beside `vnfcs` that stand still
    unborn: tuple[str, ...] = ()  # VNFCs whose instantiate scripts wait for their first start
    ssh_keys: tuple[str, ...] = ()  # public keys that open every VNFC

    @property
    def attached(self) -> tuple[ExtLink, ...]:
        """Every network of somebody else that it uses."""
        return (*self.ext_links.values(), *self.managed_links.values())

    @property
    def everybody(self) -> dict[str, tuple[str, ...]]:
        """VDU → all its VNFCs, standbys last."""
        return joined(self.vnfcs, self.standbys)


def current(instance: VnfInstance) -> Goal:
    """The goal that the record stands for now."""
    names = {name for group in instance.vnfcs.values() for name in group}
    running = {key.removeprefix("power:") for key in instance.resources if key.startswith("power:")}
    return Goal(
        flavour_id=instance.flavour_id,
        vnf_pkg_id=instance.vnf_pkg_id,
        level_id=instance.instantiation_level_id,
        scale_status=instance.scale_status,
        vnfcs=instance.vnfcs,
        stopped=tuple(sorted(names - running)),
        placement=instance.placement,
        ext_links=instance.ext_links,
        managed_links=instance.managed_links,
        properties=instance.vnf_configurable_properties,
        inputs=instance.inputs,
        dependencies=instance.dependencies,
        images=instance.images,
        functions=instance.functions,
        standbys=instance.standbys,
        unborn=instance.unborn,
        ssh_keys=instance.ssh_keys,
    )


def applied(instance: VnfInstance, goal: Goal) -> VnfInstance:
    """The record with the goal's part of it replaced. A VNFC that has gone gives up its snapshot too."""
    staying = {name for group in goal.everybody.values() for name in group}
    return msgspec.structs.replace(
        instance,
        flavour_id=goal.flavour_id,
        vnf_pkg_id=goal.vnf_pkg_id or instance.vnf_pkg_id,
        instantiation_level_id=goal.level_id,
        scale_status=goal.scale_status,
        vnfcs=goal.vnfcs,
        standbys=goal.standbys,
        placement=goal.placement,
        ext_links=goal.ext_links,
        managed_links=goal.managed_links,
        vnf_configurable_properties=goal.properties,
        inputs=goal.inputs,
        dependencies=goal.dependencies,
        images={vnfc: image for vnfc, image in goal.images.items() if vnfc in staying},
        functions=tuple(vnfc for vnfc in goal.functions if vnfc in staying),
        unborn=tuple(vnfc for vnfc in goal.unborn if vnfc in staying),
        ssh_keys=goal.ssh_keys,
    )


def flavour_of(vnfd: Vnfd, flavour_id: str) -> DeploymentFlavour:
    """The flavour, or the descriptor's default one for "". `InvalidError` lists those that exist."""
    chosen = flavour_id or vnfd.default_flavour or (next(iter(vnfd.flavours)) if len(vnfd.flavours) == 1 else "")
    if chosen in vnfd.flavours:
        return vnfd.flavours[chosen]
    known = ", ".join(sorted(vnfd.flavours)) or "none"
    raise InvalidError(
        f"cannot use deployment flavour '{flavour_id}' of VNFD {vnfd.id}",
        faults=[
            Fault(message=f"the flavours are: {known}", path="/flavourId", code="flavour", fix="choose one of them")
        ],
    )


def require_inputs(declared: Mapping[str, InputParameter], given: Mapping[str, Any]) -> None:
    """`InvalidError` names every input that has no default and that the request does not give."""
    missing = [one for one in declared.values() if one.required and one.default is None and one.name not in given]
    if missing:
        faults = [
            Fault(
                message=f"input {one.name} is missing", path="/additionalParams", code="input", fix=f"give a {one.type}"
            )
            for one in missing
        ]
        raise InvalidError(f"cannot do without the inputs {', '.join(one.name for one in missing)}", faults=faults)


def at_scale(aspect: ScalingAspect, vdu: str, level: int) -> int:
    """How many instances of `vdu` the aspect asks for at a scale level: the initial ones and each step's."""
    steps = aspect.deltas.get(vdu, ())
    added = sum(steps[min(step, len(steps) - 1)] for step in range(level)) if steps else 0
    return aspect.initial.get(vdu, 0) + added


def counts_for(flavour: DeploymentFlavour, scale_status: Mapping[str, int], level_id: str) -> dict[str, int]:
    """VDU → number of instances at these scale levels; VDUs outside all aspects follow the instantiation level."""
    level = flavour.instantiation_levels.get(level_id)
    counts: dict[str, int] = {}
    for name, vdu in flavour.vdus.items():
        scaled = [
            at_scale(aspect, name, scale_status.get(aspect.id, 0))
            for aspect in flavour.scaling_aspects.values()
            if name in aspect.initial or name in aspect.deltas
        ]
        fixed = level.vdu_levels.get(name) if level else None
        counts[name] = sum(scaled) if scaled else vdu.min_instances if fixed is None else fixed
    return counts


def scale_at_level(flavour: DeploymentFlavour, level_id: str) -> dict[str, int]:
    """The scale levels of an instantiation level; aspects that it does not name are at 0."""
    level = flavour.instantiation_levels.get(level_id)
    if level is None:
        return dict.fromkeys(flavour.scaling_aspects, 0)
    if level.scale_info:
        return {aspect: level.scale_info.get(aspect, 0) for aspect in flavour.scaling_aspects}
    return {aspect.id: _level_that_gives(aspect, level.vdu_levels) for aspect in flavour.scaling_aspects.values()}


def _level_that_gives(aspect: ScalingAspect, vdu_levels: Mapping[str, int]) -> int:
    """The lowest scale level at which the aspect's VDUs have these counts, 0 if there is none."""
    named = {vdu: count for vdu, count in vdu_levels.items() if vdu in aspect.initial or vdu in aspect.deltas}
    for level in range(aspect.max_scale_level + 1):
        if named and all(at_scale(aspect, vdu, level) == count for vdu, count in named.items()):
            return level
    return 0


def check_level(flavour: DeploymentFlavour, level_id: str) -> str:
    """The level to instantiate at: the given, the default or the only one. `InvalidError` lists those that exist."""
    levels = flavour.instantiation_levels
    if not level_id:
        return flavour.default_instantiation_level_id or (next(iter(levels)) if len(levels) == 1 else "")
    if level_id not in levels:
        known = ", ".join(sorted(levels)) or "none"
        fault = Fault(message=f"the levels are: {known}", path="/instantiationLevelId", code="level")
        raise InvalidError(f"cannot use instantiation level '{level_id}'", faults=[fault])
    return level_id


def populate(
    have: Mapping[str, tuple[str, ...]],
    counts: Mapping[str, int],
    remove_first: Sequence[str] = (),
    besides: Mapping[str, tuple[str, ...]] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Name the VNFCs: who is there stays, new ones take the lowest numbers that neither they nor those `besides` have, the
    named or the newest go first."""
    result: dict[str, tuple[str, ...]] = {}
    for vdu, count in counts.items():
        names = list(have.get(vdu, ()))
        for victim in [name for name in dict.fromkeys(remove_first) if name in names]:
            if len(names) > count:
                names.remove(victim)
        while len(names) > count:
            names.remove(max(names, key=_number))
        taken = {*names, *(besides or {}).get(vdu, ())}
        free = (name for number in itertools.count() if (name := f"{vdu}-{number}") not in taken)
        names += itertools.islice(free, count - len(names))
        result[vdu] = tuple(sorted(names, key=_number))
    return result


def _number(vnfc: str) -> int:
    return int(vnfc.rsplit("-", 1)[1])


def scaled(goal: Goal, flavour: DeploymentFlavour, wished: Mapping[str, int], remove_first: Sequence[str] = ()) -> Goal:
    """The goal at other scale levels. `InvalidError` names every aspect that is unknown or out of bounds."""
    faults = []
    for aspect_id, level in wished.items():
        aspect = flavour.scaling_aspects.get(aspect_id)
        if aspect is None:
            known = ", ".join(sorted(flavour.scaling_aspects)) or "none"
            faults.append(Fault(message=f"no scaling aspect '{aspect_id}'; there are: {known}", code="aspect"))
        elif not 0 <= level <= aspect.max_scale_level:
            bounds = f"0 to {aspect.max_scale_level}, asked is {level}"
            faults.append(Fault(message=f"scale level of '{aspect_id}' goes from {bounds}", code="scale-level"))
    if faults:
        raise InvalidError("cannot scale: " + "; ".join(f.message for f in faults), faults=faults)
    status = {**goal.scale_status, **wished}
    vnfcs = populate(goal.vnfcs, counts_for(flavour, status, goal.level_id), remove_first, goal.standbys)
    return msgspec.structs.replace(goal, scale_status=status, vnfcs=vnfcs)


def require_vnfcs(instance: VnfInstance, wished: Sequence[str]) -> tuple[str, ...]:
    """The VNFCs of this VNF that are meant: all for an empty list. Accepts "server-0" and its resource id."""
    known = {name for group in instance.everybody.values() for name in group}
    by_id = {
        resource.outputs.get("id"): key.removeprefix("compute:")
        for key, resource in instance.resources.items()
        if key.startswith("compute:")
    }
    found = [name if name in known else by_id.get(name, "") for name in wished]
    if "" in found:
        unknown = [name for name, hit in zip(wished, found, strict=True) if not hit]
        raise ConflictError(
            f"cannot find VNFC {', '.join(unknown)} in VNF {instance.id}",
            suggestion=f"its VNFCs are: {', '.join(sorted(known)) or 'none'}",
        )
    return tuple(found) or tuple(sorted(known))


def manned(goal: Goal, flavour: DeploymentFlavour) -> Goal:
    """The goal with the standbys that its VDUs ask for; VDUs without VNFCs have none."""
    counts = {vdu: flavour.vdus[vdu].standby if names else 0 for vdu, names in goal.vnfcs.items()}
    named = populate(goal.standbys, counts, besides=goal.vnfcs)
    return msgspec.structs.replace(goal, standbys={vdu: names for vdu, names in named.items() if names})


def stand_ins(instance: VnfInstance, broken: Collection[str]) -> dict[str, str]:
    """Of the VNFCs that shall run and are broken, those for which a sound standby is there, with it."""
    running = {key.removeprefix("power:") for key in instance.resources if key.startswith("power:")}
    found: dict[str, str] = {}
    for vdu, names in instance.standbys.items():
        victims = [name for name in instance.vnfcs.get(vdu, ()) if name in broken and name in running]
        sound = [name for name in names if name not in broken and _present(instance, name)]
        found |= zip(victims, sound, strict=False)
    return found


def _present(instance: VnfInstance, vnfc: str) -> bool:
    resource = instance.resources.get(f"compute:{vnfc}")
    return resource is not None and resource.state is ResourceState.PRESENT


def switched(goal: Goal, pairs: Mapping[str, str]) -> Goal:
    """The goal in which standbys and those that they stand in for have changed their roles."""
    roles = {**pairs, **{standby: victim for victim, standby in pairs.items()}}

    def swapped(groups: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {vdu: tuple(roles.get(name, name) for name in names) for vdu, names in groups.items()}

    return msgspec.structs.replace(goal, vnfcs=swapped(goal.vnfcs), standbys=swapped(goal.standbys))
