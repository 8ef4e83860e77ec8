"""What a program of the kernel cannot be: said in a sentence for each cause."""

from __future__ import annotations

import pytest

from skerry.lvnf.bytecode import program, slots
from skerry.lvnf.checking import read

pytestmark = pytest.mark.feature("C28")
A = "02:00:00:00:00:0a"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FromDevice(eth0) -> q :: Queue -> ToDevice(eth1);", "q (Queue, line 1) keeps packets for later"),
        ("FromDevice(eth0) -> Queue -> Shaper(10) -> ToDevice(eth1);", "Shaper@3 (Shaper, line 1) keeps packets"),
        (
            "FromDevice(eth0) -> Queue -> RatedUnqueue(9) -> Discard;",
            "RatedUnqueue@3 (RatedUnqueue, line 1) acts by itself",
        ),
        ("FromDevice(eth0) -> Print -> Discard; s :: Script(wait 1);", "s (Script, line 1) acts by itself"),
        ("FromDevice(eth0) -> Print -> Discard;", "Print@2 (Print, line 1) writes a log"),
        ("FromDevice(eth0) -> a :: Null -> b :: Null -> a;", "Packets can come back to a (Null, line 1)"),
        (
            "a, b, c, d :: Tee(2); FromDevice(eth0) -> a -> b -> c -> d -> x :: Discard; "
            + " ".join(f"{name}[1] -> x;" for name in "abcd"),
            "d (Tee, line 1) comes after 3 others of its kind",
        ),
        ("FromDevice(eth0) -> VLANDecap -> Unstrip(4) -> Discard;", "Unstrip would put back other bytes"),
        ("FromDevice(eth0) -> Unstrip(1025) -> Discard;", "It would put up to 1025 bytes in front of a packet"),
    ],
)
def test_a_cause_names_the_element(text: str, said: str) -> None:
    assert any(said in one for one in program.refusals(read(text)))


def test_every_cause_is_told_at_once() -> None:
    graph = read("FromDevice(eth0) -> Print -> Queue -> Shaper(10) -> Unqueue -> Discard;")
    assert [one.split()[1] for one in program.refusals(graph)] == ["(Print,", "(Queue,", "(Shaper,", "(Unqueue,"]


def test_what_is_too_long_or_remembers_too_much() -> None:
    ports = " ".join(f"c[{number}] -> Discard;" for number in range(700))
    many = f"c :: Classifier({', '.join(f'12/{number:04x}' for number in range(700))}); FromDevice(eth0) -> c; {ports}"
    assert program.refusals(read(many)) == [
        "It has more elements that remember something than one map of the kernel has room for."
    ]
    rules = ", ".join(f"allow src port {number} and dst net 10.{number % 250}.0.0/16" for number in range(1000))
    (said,) = program.refusals(read(f"FromDevice(eth0) -> IPFilter({rules}) -> Discard;"))
    assert said.startswith("Its program at eth0 would have ")


def test_what_can_be_expressed_is_not_refused() -> None:
    graph = read(f"FromDevice(eth0) -> Strip(14) -> c :: Counter -> EtherEncap(0x0800, {A}, {A}) -> ToDevice(eth1);")
    assert program.refusals(graph) == []
    assert {"c", "FromDevice@1", "ToDevice@5"} == set(slots.allotted(graph).places)


def test_a_change_keeps_the_places_of_what_stays_until_there_is_no_room() -> None:
    before = read("FromDevice(eth0) -> c :: Counter -> d :: Discard;")
    allotted = slots.allotted(before)
    after = read("FromDevice(eth0) -> n :: Counter -> c :: Counter -> e :: Discard;")
    again = slots.reallotted(after, allotted, {name for name in after.elements if slots.same(after, before, name)})
    assert again.places["c"] == allotted.places["c"]
    assert {again.places["n"], again.places["e"]}.isdisjoint(allotted.places.values())
    large = read("FromDevice(eth0) -> " + " -> ".join(f"c{number} :: Counter" for number in range(70)) + " -> Discard;")
    moved = slots.reallotted(large, allotted, set())
    assert (moved.room, len(set(moved.places.values()))) == (128, 72)
