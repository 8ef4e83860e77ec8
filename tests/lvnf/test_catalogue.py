"""What the catalogue says of a class is what its elements do."""

from __future__ import annotations

import pytest

from skerry.lvnf.catalogue import KINDS, nearest
from skerry.lvnf.elements import CLASSES
from skerry.lvnf.elements.behaviour import Context
from skerry.lvnf.graph import Element
from tests.lvnf.test_reading import READS

pytestmark = pytest.mark.feature("C28")
EXAMPLES = {name: config for name, _, config in READS}


def context() -> Context:
    return Context(
        now=lambda: 0.0,
        random=lambda: 0.5,
        log=lambda _: None,
        send=lambda _, __: None,
        call_read=lambda _, __: "",
        call_write=lambda _, __, ___: None,
        exists=lambda _: True,
        stop=lambda: None,
    )


def test_every_class_has_elements() -> None:
    assert set(CLASSES) == set(KINDS)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_handlers_are_those_of_the_catalogue(name: str) -> None:
    config = EXAMPLES[name]
    found = CLASSES[name](Element(name="x", class_name=name, config=config, inputs=3, outputs=3), context())
    reads, writes = found.reads(), found.writes()
    # What Script calculates is of its language, not handlers of the element.
    calls = {} if name == "Script" else found.calls()
    real = {one: f"{'r' * (one in {*reads, *calls})}{'w' * (one in writes)}" for one in (*reads, *calls, *writes)}
    told = dict(one.split() for one in KINDS[name].handlers)
    assert set(real) - {"run"} == set(told) - {"run"}
    assert all(set(kind) <= set(real[one]) for one, kind in told.items() if one != "run")


@pytest.mark.parametrize("name", sorted(KINDS))
def test_ports_and_processing_can_be_read(name: str) -> None:
    kind = KINDS[name]
    for fewest, most in (kind.input_range(), kind.output_range()):
        assert 0 <= fewest <= (fewest if most is None else most)
    codes = {kind.input_code(port) for port in range(3)} | {kind.output_code(port) for port in range(3)}
    assert codes <= {"h", "l", "a"}
    assert kind.doc.endswith(".")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("counter", "Counter"),
        ("Qeueu", "Queue"),
        ("SimpleQueue", "Queue"),
        ("IPClasifier", "IPClassifier"),
        ("xyzzy", ""),
    ],
)
def test_the_nearest_class_is_named(wrong: str, meant: str) -> None:
    assert nearest(wrong) == meant
