"""Proves a compiled network before it is applied: no loop, no black hole, no tenant leak, no shadowed rule, chains in order.

Classes of frames walk through the whole network symbolically. A class is a cube of headers as they were where the frame came
in, less the cubes that other rules take, so the answer is about every possible frame and a violation has a witness. Functions
of a chain are taken to return what they get. Pinned flows are walked as what they are pinned to. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from skerry.dataplane import making
from skerry.dataplane.compile import Network
from skerry.dataplane.flows import Field, Match, Rule
from skerry.dataplane.headers import point
from skerry.dataplane.proof import Problem, Tables, Violation, Witness
from skerry.dataplane.walking import Walker

Entry = tuple[tuple[str, int], Match]
"""Device and number of a port, and which of the frames that come in there."""


def tables_of(network: Network) -> dict[str, Tables]:
    """What a proof looks things up in, by device."""
    return {name: Tables(state) for name, state in network.states.items()}


def verify(network: Network, *, most: int = 20, tables: Mapping[str, Tables] | None = None) -> list[Violation]:
    """The first violations of a network, none if it is right."""
    tables = tables_of(network) if tables is None else tables
    found: list[Violation] = []
    sources: Sequence[Iterator[Violation]] = (_rules(tables), Walker(network, tables).violations())
    for source in sources:
        for violation in source:
            if len(found) == most:
                return found
            if all((one.problem, one.message) != (violation.problem, violation.message) for one in found):
                found.append(violation)
    return found


def right(network: Network, tables: Mapping[str, Tables], entries: Iterable[Entry]) -> bool:
    """Whether these frames go right."""
    walker = Walker(network, tables)
    return not any(next(walker.from_port(*entry), None) for entry in entries)


def seen(tables: Tables, rules: Sequence[Rule]) -> bool:
    """Whether of rules of one owner each is reached by frames, or another that does the same, and none equals another."""
    dead = [rule for rule in rules if not _reached(tables, rule)]
    alive = {(rule.table, rule.actions) for rule in rules if all(rule is not one for one in dead)}
    return not tables.equal and all((rule.table, rule.actions) in alive for rule in dead)


def _reached(tables: Tables, rule: Rule) -> bool:
    above = tables.higher[id(rule)]
    return not above or point(_cube(rule.match), [other.match for other in above]) is not None


def _rules(tables: Mapping[str, Tables]) -> Iterator[Violation]:
    """What is wrong with rules by themselves."""
    for device, table in tables.items():
        for one, other in table.equal:
            values = point({term.field: (term.value, term.mask) for term in (*one.match, *other.match)}, ())
            message = (
                f"rules of {one.owner or 'none'} and {other.owner or 'none'} fit the same frames with equal priority"
            )
            yield _of_rules(Problem.AMBIGUOUS, device, message, values or {}, (one, other))
        yield from _shadowed(device, table)


def _shadowed(device: str, tables: Tables) -> Iterator[Violation]:
    dead: list[tuple[Rule, Rule]] = []
    alive: set[tuple[str, int, tuple[object, ...]]] = set()
    for rule in tables.state.rules:
        above = tables.higher[id(rule)]
        if not _reached(tables, rule):
            dead.append((rule, above[0]))
        else:
            alive.add((rule.owner, rule.table, rule.actions))
    for rule, by in dead:
        if rule.owner and (rule.owner, rule.table, rule.actions) not in alive:
            values = point(_cube(rule.match), ()) or {}
            message = f"no frame ever gets to a rule of {rule.owner}: rules of {by.owner or 'none'} take all of them"
            yield _of_rules(Problem.SHADOWED, device, message, values, (by, rule))


def _cube(match: Match) -> dict[Field, tuple[int, int]]:
    return {field: (value, mask) for field, value, mask in match}


def _of_rules(
    problem: Problem, device: str, message: str, values: Mapping[Field, int], rules: Sequence[Rule]
) -> Violation:
    port = values.get(Field.IN_PORT, 0)
    return Violation(
        problem=problem,
        message=f"{message} (on {device})",
        witness=Witness(device=device, port=port, frame=making.frame(values), pin=values.get(Field.PIN, 0)),
        owners=tuple(sorted({rule.owner for rule in rules if rule.owner})),
        trail=(f"{device}:{port}",),
    )
