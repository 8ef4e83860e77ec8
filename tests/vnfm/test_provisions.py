"""What an instance needs before it can be made: its image, and a network that has room for its fixed addresses."""

from __future__ import annotations

import pytest

from skerry.errors import InvalidError
from skerry.vnfm.graph import subnet_of
from tests.vnfm.builder import Lab, lab

BARE = "{id: bare, vdus: {one: {image: null, nics: {p: ext}}, two: {image: null}, three: {}}}"
FIXED = """
id: fixed
vdus: {a: {nics: {pa: wire}, ips: {pa: 10.44.1.9}}, b: {nics: {pb: wire}, ips: {pb: 10.44.2.9}}}
links: {wire: ''}
"""


@pytest.mark.feature("A80")
def test_without_an_image_nothing_is_begun_and_every_vdu_is_named() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(BARE, instantiate=False)
        with pytest.raises(InvalidError, match=r"cannot run the VDUs one, two: .* no software image") as caught:
            await it.start("vnf.instantiate", vnf.id)
        assert [fault.path for fault in caught.value.faults] == ["one", "two"]
        assert "SwImage" in caught.value.suggestion
        assert it.node.engine.operations(subject=vnf.id) == []
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("A50")
def test_a_link_without_a_subnet_gets_one_that_holds_the_fixed_addresses() -> None:
    async def body(it: Lab) -> None:
        await it.vnf(FIXED)
        assert sorted(nic.ip for machine in it.machines().values() for nic in machine.nics) == [
            "10.44.1.9",
            "10.44.2.9",
        ]

    lab(body)


@pytest.mark.parametrize(
    ("addresses", "subnet"),
    [
        ((), ""),
        (("10.0.1.9", "10.0.1.200"), "10.0.1.0/24"),
        (("10.0.1.9", "10.0.2.9"), "10.0.0.0/22"),
        (("10.0.1.9", "10.200.2.9"), ""),
        (("10.0.1.9", "nonsense"), ""),
    ],
)
def test_the_smallest_subnet_that_holds_all(addresses: tuple[str, ...], subnet: str) -> None:
    assert subnet_of(addresses) == subnet
