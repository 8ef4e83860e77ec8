"""Chains -> rules: entering, returning from functions, branching, leaving; NSH between devices and to functions that know it.

A frame is plain on the device where it is steered and stays so towards a function of the same device that knows no NSH (the
device is the function's proxy). Over links, and to functions that know NSH, it is in NSH: the service path identifier is the
chain's (its top bit set in the reverse direction), the service index 255 less the number of hops done. `nsh_c1` is the chain's
context, `nsh_c4` tells which function of a group was chosen, so that another device need not choose again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from skerry.dataplane import matching, sheets
from skerry.dataplane.flows import (
    Actions,
    Bucket,
    DecNshTtl,
    Field,
    Group,
    GtpDecap,
    GtpEncap,
    Match,
    Output,
    PopNsh,
    Select,
    SetField,
    Way,
    mac,
    match,
)
from skerry.dataplane.intents import Chain, Classifier, Encapsulation, Function, Hop, Port, Side, Steer, Steering
from skerry.dataplane.sheets import ARRIVE, CLASSIFY, FORWARD, Candidate, gateway_mac, goto

if TYPE_CHECKING:
    from skerry.dataplane.compile import Compiler

REVERSE = 0x800000
START = 255
CHAIN_SPI = (1, 0x3FFFFF)
RETURNS, BRANCHES = 1000, 20_000
POP: tuple[Actions, ...] = (PopNsh(),)
AGE: tuple[Actions, ...] = (DecNshTtl(),)


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """A function of a hop in one direction: where frames go in and come back, as (device, port number)."""

    function: str
    entry: tuple[str, int]
    leave: tuple[str, int]
    aware: bool


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """A chain as it was laid out, for proof. `stops` are the functions of each hop; `back` those of the reverse direction."""

    chain: str
    spi: int
    branches: frozenset[str] = frozenset()
    stops: tuple[tuple[Stop, ...], ...]
    back: tuple[tuple[Stop, ...], ...] = ()


class Lead(msgspec.Struct, frozen=True):
    """A steering that leads into a chain, and what its frames look like there."""

    steering: Steering
    inside: Classifier
    decapsulated: bool


class Place(msgspec.Struct, frozen=True):
    """A point of a chain: before hop `hop` of one direction."""

    chain: Chain
    back: bool
    hop: int


class Chains:
    """The chains of a compilation."""

    def __init__(self, compiler: Compiler, chains: Sequence[Chain]) -> None:
        self._compiler = compiler
        self._chains = {chain.id: chain for chain in chains}
        free = (chain.id for chain in chains if not chain.spi)
        self._spi = sheets.allot(free, *CHAIN_SPI, {chain.id: chain.spi for chain in chains if chain.spi})
        self._leads = self._find_leads()
        self._returns: dict[tuple[str, int], list[tuple[Place, Port, Function]]] = {}

    def explicit(self) -> Iterator[tuple[Chain, int]]:
        """Chains and their service path identifiers."""
        return ((chain, self._spi[chain.id]) for chain in self._chains.values())

    def layouts(self) -> Mapping[str, Layout]:
        """Every chain as it is laid out."""
        return {chain.id: self._layout(chain) for chain in self._chains.values()}

    def entries(self) -> Mapping[str, frozenset[str]]:
        """The chains that each steering leads into, through branches too."""
        found: dict[str, set[str]] = {}
        for chain, leads in self._leads.items():
            for lead in leads:
                found.setdefault(lead.steering.id, set()).add(chain)
        return {steering: frozenset(chains) for steering, chains in found.items()}

    def _layout(self, chain: Chain) -> Layout:
        forth = tuple(self._stops(hop, back=False) for hop in chain.hops)
        back = tuple(self._stops(hop, back=True) for hop in reversed(chain.hops)) if chain.symmetric else ()
        branches = frozenset(branch.chain for hop in chain.hops for branch in hop.branches)
        return Layout(chain=chain.id, spi=self._spi[chain.id], branches=branches, stops=forth, back=back)

    def _stops(self, hop: Hop, *, back: bool) -> tuple[Stop, ...]:
        ports = ((one, self._entry(one, back), self._leave(one, back)) for one in hop.functions)
        return tuple(
            Stop(
                function=one.id,
                entry=(entry.device, entry.number),
                leave=(leave.device, leave.number),
                aware=one.encapsulation is Encapsulation.NSH,
            )
            for one, entry, leave in ports
        )

    def _find_leads(self) -> dict[str, list[Lead]]:
        leads: dict[str, list[Lead]] = {id: [] for id in self._chains}
        for steering in self._compiler.steerings:
            for action in steering.actions:
                if isinstance(action, Steer):
                    inside = matching.decapsulated(steering.classifier) if action.decapsulated else steering.classifier
                    leads[action.chain].append(Lead(steering, inside, action.decapsulated))
        for _ in self._chains:
            self._inherit(leads)
        return leads

    def _inherit(self, leads: dict[str, list[Lead]]) -> None:
        """Chains that are entered by branches are led into by what leads into the others."""
        for chain in self._chains.values():
            for branch in (branch for hop in chain.hops for branch in hop.branches):
                for lead in leads[chain.id]:
                    inside = branch.classifier or lead.inside
                    new = Lead(lead.steering, inside, lead.decapsulated)
                    if new not in leads[branch.chain]:
                        leads[branch.chain].append(new)

    # -- moving on --------------------------------------------------------------------------------------------------------

    def decap(self, chain_id: str) -> tuple[Actions, ...]:
        """Out of GTP-U on the way into a chain: addressed to its first function, else to who is behind its exit."""
        chain = self._chains[chain_id]
        port = self._entry(chain.hops[0].functions[0], False) if chain.hops else self._exit(chain, False)
        if port is None:
            raise ValueError(f"the chain {chain_id} has neither a function nor an exit to decapsulate for")
        return (
            GtpDecap(eth_src=gateway_mac(port), eth_dst=mac(port.mac) if port.mac else sheets.derived_mac(port.id)),
        )

    def enter(self, chain_id: str, device: str) -> tuple[Actions, ...]:
        """What leads a plain frame on a device into a chain."""
        return self._onward(Place(self._chains[chain_id], False, 0), device, inside=False)

    def _hops(self, place: Place) -> Sequence[Hop]:
        return tuple(reversed(place.chain.hops)) if place.back else place.chain.hops

    def _path(self, place: Place) -> int:
        return self._spi[place.chain.id] | (REVERSE if place.back else 0)

    def _entry(self, function: Function, back: bool) -> Port:
        return self._compiler.ports[function.way_out if back else function.ingress]

    def _leave(self, function: Function, back: bool) -> Port:
        return self._compiler.ports[function.ingress if back else function.way_out]

    def _onward(self, place: Place, device: str, *, inside: bool) -> tuple[Actions, ...]:
        """To the next hop, or out. `inside`: the frame is in NSH and its index is that of the hop."""
        hops = self._hops(place)
        if place.hop >= len(hops):
            return self._out(place, device, inside=inside)
        hop = hops[place.hop]
        found: list[Actions] = []
        for port in hop.copies:
            found += self._compiler.copy_to(device, port, place.chain.id, inside=inside)
        if len(hop.functions) == 1:
            return (*found, *self._reach(place, hop.functions[0], 0, device, inside=inside))
        return (*found, Select(group=self._group(place, hop, device, inside=inside)))

    def _group(self, place: Place, hop: Hop, device: str, *, inside: bool) -> int:
        groups = self._compiler.sheets[device].groups
        name = f"{place.chain.id}/{place.back}/{place.hop}/{inside}"
        number = 1 + sheets.digest(name) % (1 << 30)
        buckets = tuple(
            Bucket(actions=self._reach(place, one, index, device, inside=inside), weight=one.weight)
            for index, one in enumerate(hop.functions, 1)
        )
        while number in groups and (groups[number].buckets, groups[number].owner) != (buckets, place.chain.id):
            number += 1
        groups[number] = Group(id=number, buckets=buckets, owner=place.chain.id)
        return number

    def _reach(self, place: Place, function: Function, index: int, device: str, *, inside: bool) -> tuple[Actions, ...]:
        port = self._entry(function, place.back)
        aware = function.encapsulation is Encapsulation.NSH
        here = (*(() if inside == aware else POP if inside else ()), Output(port=port.number))
        if port.device == device:
            return here if inside or not aware else (self._nsh(place, 0, device), *here)
        last = (*(AGE if aware else POP), Output(port=port.number))
        one = self._on_path(place, index)
        edge = self._compiler.lay_path(one, device, port.device, last, place.chain.id)
        if edge is None:
            return self._compiler.cut_off(place.chain.id, device, port.id)
        marked = (SetField(field=Field.NSH_C4, value=index),) if index else ()
        before = marked if inside else (self._nsh(place, index, device),)
        return (*before, Output(port=edge.port.number))

    def _on_path(self, place: Place, index: int) -> Match:
        choice = {"nsh_c4": index} if index else {}
        return match(nsh_spi=self._path(place), nsh_si=START - place.hop, **choice)

    def _nsh(self, place: Place, index: int, device: str) -> Actions:
        context = (place.chain.context, 0, 0, index)
        return self._compiler.nsh(device, None, self._path(place), START - place.hop, context)

    # -- leaving ----------------------------------------------------------------------------------------------------------

    def _out(self, place: Place, device: str, *, inside: bool) -> tuple[Actions, ...]:
        port = self._exit(place.chain, place.back)
        before = POP if inside else ()
        if port is None:
            return (*before, *goto(FORWARD))
        way = self._exit_way(place)
        encap: tuple[Actions, ...] = (GtpEncap(way=way),) if way else ()
        if port.device == device:
            return (*before, *encap, Output(port=port.number))
        last = (*POP, *encap, Output(port=port.number))
        edge = self._compiler.lay_path(self._on_path(place, 0), device, port.device, last, place.chain.id)
        if edge is None:
            return self._compiler.cut_off(place.chain.id, device, port.id)
        return (*(() if inside else (self._nsh(place, 0, device),)), Output(port=edge.port.number))

    def _exit(self, chain: Chain, back: bool) -> Port | None:
        """Where frames leave: as the chain says, else where a wire leads from where they came."""
        origins = {id for lead in self._leads[chain.id] for id in lead.steering.classifier.ports}
        if back:
            return self._compiler.ports[min(origins)] if len(origins) == 1 else None
        if chain.exit:
            return self._compiler.ports[chain.exit]
        partners = {self._compiler.wired(id) for id in origins}
        (partner,) = partners if len(partners) == 1 else (None,)
        return self._compiler.ports[partner] if partner else None

    def _exit_way(self, place: Place) -> Way | None:
        """The tunnel that frames leave in: what came out of one goes back into the one of its UE."""
        if not place.back:
            return Way(place.chain.exit_way.lower()) if place.chain.exit_way else None
        port = self._exit(place.chain, True)
        if port is None or not any(lead.decapsulated for lead in self._leads[place.chain.id]):
            return None
        return Way.UP if port.side is Side.CORE else Way.DOWN

    # -- coming back ------------------------------------------------------------------------------------------------------

    def lay_out(self) -> None:
        """The rules that take frames from function to function."""
        for chain in self._chains.values():
            for back in (False, True) if chain.symmetric else (False,):
                for hop in range(len(chain.hops)):
                    self._after(Place(chain, back, hop))
            if chain.symmetric and self._leads[chain.id]:
                self._symmetric(chain)
        for uses in self._returns.values():
            self._return(uses)

    def _after(self, place: Place) -> None:
        hop = self._hops(place)[place.hop]
        following = Place(place.chain, place.back, place.hop + 1)
        for function in hop.functions:
            port = self._leave(function, place.back)
            if function.encapsulation is Encapsulation.NSH:
                self._aware(following, port, hop, place.back)
            else:
                self._returns.setdefault((port.device, port.number), []).append((following, port, function))
                if not place.back:
                    self._proxied_branches(place.chain, port, hop)

    def _aware(self, following: Place, port: Port, hop: Hop, back: bool) -> None:
        sheet = self._compiler.sheets[port.device]
        chain = following.chain
        path = {"nsh_spi": self._path(following), "nsh_si": START - following.hop}
        known = {"in_port": port.number, "vlan_vid": 0, **path}
        onward = self._onward(following, port.device, inside=True)
        sheet.add(ARRIVE, 500, match(**known), onward, chain.id, chain.tenant)
        for place, branch in enumerate(() if back else hop.branches):
            start = Place(self._chains[branch.chain], False, 0)
            other = (
                SetField(field=Field.NSH_SPI, value=self._path(start)),
                SetField(field=Field.NSH_SI, value=START),
                *self._onward(start, port.device, inside=True),
            )
            one = match(**known, nsh_c1=branch.context or 0)
            sheet.add(ARRIVE, 600 - place, one, other, chain.id, chain.tenant)

    def _proxied_branches(self, chain: Chain, port: Port, hop: Hop) -> None:
        for place, branch in enumerate(hop.branches):
            onward = self.enter(branch.chain, port.device)
            for lead in self._leads[chain.id]:
                for one in self._seen_at(port, branch.classifier or Classifier(), lead, back=False):
                    base = BRANCHES + (64 - min(place, 63)) * 32
                    self._offer(port.device, base, 32, chain, one, onward)

    def _seen_at(self, port: Port, classifier: Classifier, lead: Lead, *, back: bool) -> list[Match]:
        origins = [self._compiler.ports[id] for id in lead.steering.classifier.ports]
        up = not any(port.side in (Side.CORE, Side.UPLINK) for port in origins)
        seen = matching.reverse(classifier) if back else classifier
        return matching.matches(seen, port.number, ue_is_source=up != back)

    def _offer(
        self, device: str, base: int, width: int, chain: Chain, one: Match, actions: tuple[Actions, ...]
    ) -> None:
        candidate = Candidate(ARRIVE, base, width, chain.id, one, actions, chain.id, chain.tenant)
        self._compiler.sheets[device].offer(candidate)

    def _return(self, uses: list[tuple[Place, Port, Function]]) -> None:
        """What comes back from a function: all of the families that were led to it, if it serves one chain in one direction;
        else what the classifiers of each chain say."""
        if len(uses) == 1:
            ((place, port, _),) = uses
            self._only_return(place, port)
            return
        for place, port, _ in uses:
            onward = self._onward(place, port.device, inside=False)
            for lead in self._leads[place.chain.id]:
                for one in self._seen_at(port, lead.inside, lead, back=place.back):
                    self._offer(port.device, RETURNS + lead.steering.priority * 16, 16, place.chain, one, onward)

    def _only_return(self, place: Place, port: Port) -> None:
        onward = self._onward(place, port.device, inside=False)
        sheet = self._compiler.sheets[port.device]
        told = [matching.families(lead.inside) for lead in self._leads[place.chain.id]]
        kinds = None if None in told else frozenset(kind for kinds in told for kind in kinds or ())
        if kinds is None:
            sheet.add(ARRIVE, 200, match(in_port=port.number), onward, place.chain.id, place.chain.tenant)
        for kind in sorted(kinds or ()):
            one = match(in_port=port.number, eth_type=kind)
            sheet.add(ARRIVE, 200, one, onward, place.chain.id, place.chain.tenant)

    # -- the other direction ----------------------------------------------------------------------------------------------

    def _symmetric(self, chain: Chain) -> None:
        port = self._exit(chain, False)
        if port is None or self._exit(chain, True) is None:
            self._compiler.fault(
                chain.id,
                "a symmetric chain needs an exit, and steerings that name one port",
                "name the exit of the chain, and one port in the classifiers that lead to it",
            )
            return
        start = self._onward(Place(chain, True, 0), port.device, inside=False)
        for lead in self._leads[chain.id]:
            tunnelled = chain.exit_way is not None and lead.steering.classifier.gtp is not None
            before = self._back_decap(chain) if tunnelled else ()
            classifier = lead.steering.classifier if tunnelled else lead.inside
            for one in self._seen_at(port, classifier, lead, back=True):
                rank = lead.steering.priority * 2 + 1
                self._compiler.offer(port.device, CLASSIFY, rank, lead.steering, one, (*before, *start))

    def _back_decap(self, chain: Chain) -> tuple[Actions, ...]:
        port = self._entry(chain.hops[-1].functions[0], True) if chain.hops else self._exit(chain, True)
        assert port is not None  # noqa: S101 - the caller looked
        return (
            GtpDecap(eth_src=gateway_mac(port), eth_dst=mac(port.mac) if port.mac else sheets.derived_mac(port.id)),
        )
