"""From two resource graphs to a plan: a pure function.

What is wanted and not recorded is created; what is recorded and not wanted is deleted; a changed field is an update in
place where the resource allows it, else a replacement, which takes along everything that is built on it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from skerry.errors import InvalidError
from skerry.model.operations import Change, Step
from skerry.model.resources import Graph, Recorded, Resource, ResourceState, Wanted

CREATE, UPDATE, REPLACE, DELETE, REUSE = "create", "update", "replace", "delete", "reuse"


def effects(wanted: Graph, recorded: Recorded, force: Collection[str] = ()) -> dict[str, str]:
    """What has to happen to each key. `force` names resources to replace although nothing changed (healing)."""
    found: dict[str, str] = {}
    for key, want in wanted.items():
        found[key] = REPLACE if key in force and key in recorded else _effect(want, recorded.get(key))
    for key in recorded.keys() - wanted.keys():
        found[key] = DELETE
    spreading = True
    while spreading:
        spreading = False
        for key, want in wanted.items():
            if found[key] in (REUSE, UPDATE) and any(found.get(need) == REPLACE for need in want.needs):
                found[key] = REPLACE
                spreading = True
    return found


def _effect(want: Wanted, have: Resource | None) -> str:
    if have is None:
        return CREATE
    if have.state is not ResourceState.PRESENT or have.kind != want.kind:
        return REPLACE
    changed = {name for name in want.spec.keys() | have.spec.keys() if want.spec.get(name) != have.spec.get(name)}
    changed -= set(want.quiet)
    if not changed:
        return REUSE
    return UPDATE if changed <= set(want.in_place) else REPLACE


def order(wanted: Graph) -> list[str]:
    """The keys so that each comes after what it needs. `InvalidError` prints the cycle if there is one."""
    done: dict[str, None] = {}
    path: list[str] = []

    def visit(key: str) -> None:
        if key in done or key not in wanted:
            return
        if key in path:
            cycle = " -> ".join([*path[path.index(key) :], key])
            raise InvalidError(f"cannot order the resources: {cycle} is a cycle", suggestion="remove one dependency")
        path.append(key)
        for need in (*wanted[key].needs, *wanted[key].after):
            visit(need)
        path.pop()
        done[key] = None

    for key in wanted:
        visit(key)
    return list(done)


def diff(wanted: Graph, recorded: Recorded, force: Collection[str] = ()) -> tuple[list[Step], list[Change]]:
    """The steps that turn `recorded` into `wanted`, and what they mean for people.

    Independent steps have no order between them, so that they run in parallel. Every step can be undone: the undo of a
    deletion makes the resource again as it was recorded.
    """
    wanted = {key: msgspec.structs.replace(want, spec=_plain(want.spec)) for key, want in wanted.items()}
    what = effects(wanted, recorded, force)
    forward = order(wanted)
    steps: list[Step] = []
    for key, have in recorded.items():
        if what[key] in (DELETE, REPLACE):
            steps.append(_removal(have, recorded, what))
    for key in forward:
        if what[key] in (CREATE, REPLACE):
            steps.append(_creation(wanted[key], what, recorded.get(key)))
        elif what[key] == UPDATE:
            steps.append(_update(wanted[key], recorded[key], what))
    changes = [_change(key, what[key], wanted, recorded) for key in (*forward, *(recorded.keys() - wanted.keys()))]
    return steps, changes


def _plain(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec as it comes back from the store, so that equal specs compare equal."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(spec))
    return plain


def _removal(have: Resource, recorded: Recorded, what: Mapping[str, str]) -> Step:
    users = [
        f"delete:{key}"
        for key, other in recorded.items()
        if what[key] in (DELETE, REPLACE) and have.key in (*other.needs, *other.after)
    ]
    return Step(
        key=f"delete:{have.key}",
        action=f"{have.kind}.delete",
        note=f"delete {have.note or have.key}",
        resource=have.key,
        args={"spec": have.spec, "outputs": have.outputs},
        needs=tuple(sorted(users)),
        undo=f"{have.kind}.create",
        undo_args={
            "spec": have.spec,
            "needs": have.needs,
            "after": have.after,
            "kind": have.kind,
            "previous": have.outputs,
        },
    )


def _before(want: Wanted, what: Mapping[str, str]) -> list[str]:
    """The steps that must be done before this resource is made or changed."""
    names = {CREATE: "create", REPLACE: "create", UPDATE: "update"}
    return [f"{names[what[need]]}:{need}" for need in (*want.needs, *want.after) if what.get(need) in names]


def _creation(want: Wanted, what: Mapping[str, str], have: Resource | None) -> Step:
    """`previous` lets a replacement keep what others know of it, such as its addresses."""
    needs = _before(want, what)
    if what[want.key] == REPLACE:
        needs.append(f"delete:{want.key}")
    previous = have.outputs if have else {}
    return Step(
        key=f"create:{want.key}",
        action=f"{want.kind}.create",
        note=f"create {want.note or want.key}",
        resource=want.key,
        args={"spec": want.spec, "needs": want.needs, "after": want.after, "kind": want.kind, "previous": previous},
        needs=tuple(needs),
        undo=f"{want.kind}.delete",
        undo_args={"spec": want.spec},
        timeout_s=want.timeout_s,
    )


def _update(want: Wanted, have: Resource, what: Mapping[str, str]) -> Step:
    return Step(
        key=f"update:{want.key}",
        action=f"{want.kind}.update",
        note=f"update {want.note or want.key}",
        resource=want.key,
        args={"spec": want.spec, "previous": have.spec},
        needs=tuple(_before(want, what)),
        undo=f"{want.kind}.update",
        undo_args={"spec": have.spec, "previous": want.spec},
        timeout_s=want.timeout_s,
    )


def _change(key: str, effect: str, wanted: Graph, recorded: Recorded) -> Change:
    note = wanted[key].note if key in wanted else recorded[key].note
    detail = note
    if effect == UPDATE:
        old, new = recorded[key].spec, wanted[key].spec
        detail = "changes " + ", ".join(sorted(n for n in old.keys() | new.keys() if old.get(n) != new.get(n)))
    return Change(resource=key, effect=effect, detail=detail, disrupts=effect in (REPLACE, DELETE, UPDATE))
