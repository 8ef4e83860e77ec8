"""`skerry ns`: life of network services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from skerry.cli import endings, follow, output
from skerry.cli.lazy import Lazy
from skerry.cli.session import Session, body, command, pairs, pick
from skerry.cli.vims import find as find_vim
from skerry.cli.vnf import find as find_vnf
from skerry.cli.vnf import find_package, only
from skerry.client.views import MemberView, NsView
from skerry.errors import ConflictError, InvalidError, NotFoundError


@click.group(cls=Lazy)
def ns() -> None:
    """Deploy, scale, heal, update and terminate network services."""


def find(session: Session, wanted: str) -> NsView:
    """The NS that a name or id means."""
    return pick(session.node.nss(), wanted, "NS")


endings.add(ns, "a network service", find, lambda session, gone: session.node.delete_ns(gone))


def member(view: NsView, wanted: str) -> MemberView:
    """The VNF of an NS that a member key (`server-0`), a VNF name or an id means."""
    for entry in view.members:
        if wanted in (entry.key, entry.vnf.id, entry.vnf.name) or (len(wanted) > 3 and entry.vnf.id.startswith(wanted)):
            return entry
    known = ", ".join(entry.key for entry in view.members) or "none"
    raise NotFoundError(f"cannot find the VNF {wanted} in NS {view.name}", suggestion=f"its VNFs are: {known}")


@ns.command("list")
@command
def list_(session: Session) -> None:
    """List network services."""
    found = session.node.nss()
    if session.as_json:
        session.emit(found)
        return
    now = datetime.now(UTC)
    rows = [
        (output.short(n.id), n.name, n.status, ", ".join(m.key for m in n.members), output.ago(n.created_at, now))
        for n in found
    ]
    output.table(("ID", "NAME", "STATUS", "VNFS", "AGE"), rows)


@ns.command()
@click.argument("ns")
@command
def show(session: Session, ns: str) -> None:
    """Show a network service with its VNFs, nested services, machines and links."""
    view = find(session, ns)
    if session.as_json:
        session.emit(view)
        return
    output.facts(
        (
            ("id", view.id),
            ("name", view.name),
            ("status", view.status),
            ("flavour", view.flavour_id),
            ("scale", ", ".join(f"{aspect}={level}" for aspect, level in view.scale.items())),
            ("links", ", ".join(f"{name} {cidr}".strip() for name, cidr in view.networks.items())),
            ("machines", ", ".join(f"{id} ({told})" for id, told in view.machines.items())),
            ("last operation", view.operation),
        )
    )
    rows = [
        (m.key, m.profile, output.short(m.vnf.id), m.vnf.status, c.name, c.state, c.vim, ", ".join(c.addresses))
        for m in view.members
        for c in m.vnf.vnfcs
    ]
    if rows:
        output.table(("VNF", "PROFILE", "ID", "STATUS", "VNFC", "STATE", "VIM", "ADDRESSES"), rows)
    if view.nested:
        inside = [
            (n.key, n.profile, output.short(n.id), n.name, n.status, "existing" if n.existing else "made")
            for n in view.nested
        ]
        output.table(("NESTED NS", "PROFILE", "ID", "NAME", "STATUS", "ORIGIN"), inside)


@ns.command()
@click.argument("nsd")
@click.option("--name", default="", help="Name of the network service.")
@click.option("--description", default="", help="What it is for.")
@command
def create(session: Session, nsd: str, name: str, description: str) -> None:
    """Create a record of a network service from NSD."""
    chosen = find_package(session, nsd, "ns")
    id = session.node.create_ns(chosen.descriptor, name=name or chosen.name, description=description)
    if session.as_json:
        session.emit({"id": id})
    else:
        click.echo(id)


def shape(function: Any) -> Any:
    """Options that say how a network service shall be instantiated."""
    for option in (
        click.option("--flavour", default="", help="Deployment flavour; default: the NSD's own."),
        click.option("--level", default="", help="Instantiation level; default: the flavour's own."),
        click.option(
            "--param", "params", multiple=True, metavar="KEY=VALUE", help="Input of the NSD; may be repeated."
        ),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="PROFILE.KEY=VALUE",
            help="Configurable property of the VNFs of a profile; may be repeated.",
        ),
        click.option(
            "--place", "places", multiple=True, metavar="PROFILE[/VDU]=VIM", help="Where VNFs go; may be repeated."
        ),
        click.option(
            "--use", "existing", multiple=True, metavar="PROFILE=VNF", help="Use an existing VNF; may be repeated."
        ),
    ):
        function = option(function)
    return function


def request(
    session: Session,
    nsd: str,
    *,
    file: str | None,
    flavour: str,
    level: str,
    params: tuple[str, ...],
    settings: tuple[str, ...],
    places: tuple[str, ...],
    existing: tuple[str, ...],
) -> dict[str, Any]:
    """The InstantiateNsRequest that the options mean."""
    given = {
        "nsFlavourId": flavour,
        "nsInstantiationLevelId": level,
        "additionalParamsForNs": pairs(params, "--param"),
        "additionalParamsForVnf": _settings(settings),
        "locationConstraints": [
            _place(target, find_vim(session, str(vim)).id) for target, vim in pairs(places, "--place").items()
        ],
        "vnfInstanceData": [
            {"vnfProfileId": profile, "vnfInstanceId": find_vnf(session, vnf).id}
            for profile, vnf in (_split(text, "--use PROFILE=VNF") for text in existing)
        ],
    }
    asked = body(file, given)
    if "nsFlavourId" not in asked:
        asked["nsFlavourId"] = find_package(session, nsd, "ns").default_flavour
    return asked


def _split(text: str, form: str) -> tuple[str, str]:
    left, sign, right = text.partition("=")
    if not (left and sign and right):
        raise InvalidError(f"cannot read {text}", suggestion=f"write {form}")
    return left, right


def _settings(given: tuple[str, ...]) -> list[dict[str, Any]]:
    profiles: dict[str, dict[str, Any]] = {}
    for key, value in pairs(given, "--set").items():
        profile, dot, name = key.partition(".")
        if not dot:
            raise InvalidError(f"cannot read --set {key}", suggestion="write --set PROFILE.KEY=VALUE")
        profiles.setdefault(profile, {})[name] = value
    return [{"vnfProfileId": p, "vnfConfigurableProperties": values} for p, values in profiles.items()]


def _place(target: str, vim: str) -> dict[str, Any]:
    profile, _, vdu = target.partition("/")
    entry: dict[str, Any] = {"vnfProfileId": profile, "locationConstraints": {"vimId": vim}}
    return {**entry, "vduId": vdu} if vdu else entry


@ns.command()
@click.argument("ns")
@shape
@follow.lifecycle
@command
def instantiate(session: Session, /, ns: str, file: str | None, how: follow.How, **options: Any) -> None:
    """Instantiate a network service: its links, its VNFs in the order of their dependencies."""
    view = find(session, ns)
    asked = request(session, view.nsd_id, file=file, **options)
    follow.perform(session, "ns.instantiate", view.id, asked, how)


@ns.command()
@click.argument("nsd")
@click.option("--name", default="", help="Name of the network service.")
@click.option("--description", default="", help="What it is for.")
@shape
@follow.lifecycle
@command
def deploy(
    session: Session,
    /,
    nsd: str,
    name: str,
    description: str,
    file: str | None,
    how: follow.How,
    **options: Any,
) -> None:
    """Create and instantiate a network service from NSD in one go."""
    chosen = find_package(session, nsd, "ns")
    asked = request(session, chosen.id, file=file, **options)
    id = session.node.create_ns(chosen.descriptor, name=name or chosen.name, description=description)
    try:
        follow.perform(session, "ns.instantiate", id, asked, how)
    finally:
        if how.dry_run:
            session.node.delete_ns(id)


@ns.command()
@click.argument("ns")
@click.option("--aspect", default="", help="Scaling aspect of the NS; may be left out where it has only one.")
@click.option("--vnf", "vnf", default="", help="Scale this VNF of the NS by its own aspect instead.")
@click.option("--level", default="", help="NS instantiation level to reach instead of steps.")
@click.option("--steps", type=click.IntRange(1), default=1, show_default=True, help="How many steps.")
@click.option("--in", "inward", is_flag=True, help="Scale in; without it, out.")
@follow.lifecycle
@command
def scale(
    session: Session,
    ns: str,
    aspect: str,
    vnf: str,
    level: str,
    steps: int,
    inward: bool,
    file: str | None,
    how: follow.How,
) -> None:
    """Scale a network service, or one of its VNFs, out or --in."""
    view = find(session, ns)
    direction = "SCALE_IN" if inward else "SCALE_OUT"
    given: dict[str, Any]
    if file:
        given = {}
    elif vnf:
        chosen = member(view, vnf).vnf
        by_step = {"aspectId": aspect or only(chosen.scale, "scaling aspect"), "numberOfSteps": steps}
        entry = {"vnfInstanceId": chosen.id, "scaleVnfType": direction, "scaleByStepData": by_step}
        given = {"scaleType": "SCALE_VNF", "scaleVnfData": [entry]}
    elif level:
        given = {"scaleType": "SCALE_NS", "scaleNsData": {"scaleNsToLevelData": {"nsInstantiationLevel": level}}}
    else:
        if not (aspect or view.scale):
            raise ConflictError(
                f"cannot scale NS {view.name}: its NSD has no scaling aspect",
                suggestion="scale one of its VNFs with --vnf, or add one with `skerry ns update --add PROFILE`",
            )
        chosen_aspect = aspect or only(view.scale, "scaling aspect")
        by_steps = {"scalingDirection": direction, "aspectId": chosen_aspect, "numberOfSteps": steps}
        given = {"scaleType": "SCALE_NS", "scaleNsData": {"scaleNsByStepsData": by_steps}}
    follow.perform(session, "ns.scale", view.id, body(file, given), how)


@ns.command()
@click.argument("ns")
@click.option("--vnf", "vnfs", multiple=True, help="Heal only this VNF; may be repeated.")
@click.option("--cause", default="", help="Why, for the record.")
@follow.lifecycle
@command
def heal(session: Session, ns: str, vnfs: tuple[str, ...], cause: str, file: str | None, how: follow.How) -> None:
    """Replace what is broken in a network service."""
    view = find(session, ns)
    given: dict[str, Any] = {"healNsData": {"degreeHealing": "HEAL_RESTORE"}}
    if vnfs:
        given = {
            "healVnfData": [{"vnfInstanceId": member(view, vnf).vnf.id, "cause": cause or "asked"} for vnf in vnfs]
        }
    asked = body(file, {} if file else given)
    follow.perform(session, "ns.heal", view.id, asked, how)


@ns.command()
@click.argument("ns")
@click.option("--add", metavar="PROFILE[=VNF]", help="Add a new VNF of a profile, or an existing VNF.")
@click.option("--remove", metavar="VNF", help="Remove a VNF.")
@click.option("--start", metavar="VNF", help="Start a VNF.")
@click.option("--stop", metavar="VNF", help="Stop a VNF.")
@click.option("--add-sap", metavar="SAPD[=NAME]", help="Add a service access point that the NSD describes.")
@click.option("--remove-sap", metavar="SAP", help="Remove a service access point.")
@click.option("--nest", metavar="[PROFILE=]NS", help="Take an existing NS in as a nested one.")
@click.option("--unnest", metavar="NS", help="Let a nested NS go; one that was made for this NS is terminated.")
@click.option("--flavour", metavar="FLAVOUR", help="Change to another flavour of the NSD.")
@click.option("--nsd", metavar="NSD", help="Become what another version of the NSD says.")
@click.option("--move", metavar="VNF=NS", help="Move a VNF to another NS.")
@follow.lifecycle
@command
def update(session: Session, /, ns: str, file: str | None, how: follow.How, **wanted: str | None) -> None:
    """Change what a network service consists of: one VNF, service access point or nested NS, its flavour or its NSD."""
    view = find(session, ns)
    options = {name.replace("_", "-"): value for name, value in wanted.items()}
    chosen = [(verb, value) for verb, value in options.items() if value]
    if len(chosen) + bool(file) != 1:
        raise click.UsageError(f"give one of {', '.join(f'--{verb}' for verb in UPDATES)} or --file")
    given = UPDATES[chosen[0][0]](session, view, chosen[0][1]) if chosen else {}
    follow.perform(session, "ns.update", view.id, body(file, given), how)


def _add(session: Session, _view: NsView, wanted: str) -> dict[str, Any]:
    profile, existing, vnf = wanted.partition("=")
    if existing:
        entry = {"vnfProfileId": profile, "vnfInstanceId": find_vnf(session, vnf).id}
        return {"updateType": "ADD_VNF", "addVnfInstance": [entry]}
    return {"updateType": "INSTANTIATE_VNF", "instantiateVnfData": [{"vnfProfileId": profile}]}


def _remove(_session: Session, view: NsView, wanted: str) -> dict[str, Any]:
    return {"updateType": "REMOVE_VNF", "removeVnfInstanceId": [member(view, wanted).vnf.id]}


def _operate(state: str) -> Callable[[Session, NsView, str], dict[str, Any]]:
    def request(_session: Session, view: NsView, wanted: str) -> dict[str, Any]:
        data = {"vnfInstanceId": member(view, wanted).vnf.id, "changeStateTo": state}
        return {"updateType": "OPERATE_VNF", "operateVnfData": [data]}

    return request


def _add_sap(_session: Session, _view: NsView, wanted: str) -> dict[str, Any]:
    sapd, _, name = wanted.partition("=")
    return {"updateType": "ADD_SAP", "addSap": [{"sapdId": sapd, "sapName": name or sapd, "description": ""}]}


def _remove_sap(_session: Session, _view: NsView, wanted: str) -> dict[str, Any]:
    return {"updateType": "REMOVE_SAP", "removeSapId": [wanted]}


def _nest(session: Session, _view: NsView, wanted: str) -> dict[str, Any]:
    profile, _, inner = wanted.rpartition("=")
    entry = {"nestedNsInstanceId": find(session, inner).id, **({"nsProfileId": profile} if profile else {})}
    return {"updateType": "ADD_NESTED_NS", "addNestedNsData": [entry]}


def _unnest(_session: Session, view: NsView, wanted: str) -> dict[str, Any]:
    named = [one.id for one in view.nested if wanted in (one.key, one.name) or one.id.startswith(wanted)]
    if len(named) != 1:
        known = ", ".join(one.key for one in view.nested) or "none"
        raise NotFoundError(f"cannot find the nested NS {wanted} in NS {view.name}", suggestion=f"there are: {known}")
    return {"updateType": "REMOVE_NESTED_NS", "removeNestedNsId": named}


def _flavour(_session: Session, _view: NsView, wanted: str) -> dict[str, Any]:
    return {"updateType": "CHANGE_NS_DF", "changeNsFlavourData": {"newNsFlavourId": wanted}}


def _nsd(session: Session, _view: NsView, wanted: str) -> dict[str, Any]:
    data = {"newNsdId": find_package(session, wanted, "ns").descriptor, "sync": True}
    return {"updateType": "ASSOC_NEW_NSD_VERSION", "assocNewNsdVersionData": data}


def _move(session: Session, view: NsView, wanted: str) -> dict[str, Any]:
    vnf, target = _split(wanted, "--move VNF=NS")
    data = {"targetNsInstanceId": find(session, target).id, "vnfInstanceId": [member(view, vnf).vnf.id]}
    return {"updateType": "MOVE_VNF", "moveVnfInstanceData": [data]}


UPDATES: Mapping[str, Callable[[Session, NsView, str], dict[str, Any]]] = {
    "add": _add,
    "remove": _remove,
    "start": _operate("STARTED"),
    "stop": _operate("STOPPED"),
    "add-sap": _add_sap,
    "remove-sap": _remove_sap,
    "nest": _nest,
    "unnest": _unnest,
    "flavour": _flavour,
    "nsd": _nsd,
    "move": _move,
}
"""Option of `update` -> its UpdateNsRequest."""


@ns.command()
@click.argument("ns")
@click.option("--force", is_flag=True, help="Stop its VNFs at once instead of gracefully.")
@follow.lifecycle
@command
def terminate(session: Session, ns: str, force: bool, file: str | None, how: follow.How) -> None:
    """Stop a network service and free its resources; the record stays."""
    given = {"terminationType": "FORCEFUL" if force else ""}
    follow.perform(session, "ns.terminate", find(session, ns).id, body(file, given), how)
