"""Internal virtual links that are networks of somebody else (SOL003 4.4.1.12)."""

from __future__ import annotations

from typing import Any

import pytest

from skerry.errors import InvalidError
from skerry.vim.driver import NetworkSpec
from tests.vnfm.builder import Lab, csar, lab, vnf_folder

PAIR = """
id: pair
aspects: {more: {max: 3, deltas: {box: [1]}}}
links: {inner: 10.90.0.0/24, other: 10.91.0.0/24}
vdus: {box: {nics: {eth: inner, back: other}}}
"""


def lent(network: str, link: str = "inner") -> list[dict[str, Any]]:
    return [{"id": "mine", "vnfVirtualLinkDescId": link, "resourceId": network, "vimConnectionId": "sim"}]


@pytest.mark.feature("A37")
def test_a_network_of_somebody_else_is_the_virtual_link() -> None:
    async def body(it: Lab) -> None:
        driver = await it.node.vims.driver("sim")
        await driver.create_network(NetworkSpec(name="theirs", owner="somebody", cidr="10.99.0.0/24"))
        vnf = await it.vnf(PAIR, extManagedVirtualLinks=lent("theirs"))

        def on() -> list[tuple[str, ...]]:
            return sorted(tuple(nic.network for nic in machine.nics) for machine in it.machines().values())

        own = next(name for name in it.world.has.networks if name != "theirs")
        assert "other" in own
        assert on() == [("theirs", own)]
        await it.done("vnf.scale", vnf.id, {"type": "SCALE_OUT", "aspectId": "more"})
        await it.done("vnf.heal", vnf.id, {"vnfcInstanceId": ["box-0"]})
        assert on() == [("theirs", own)] * 2
        await it.done("vnf.terminate", vnf.id, {"terminationType": "GRACEFUL"})
        assert [one.owner for one in await driver.list_networks()] == ["somebody"]
        await it.done("vnf.instantiate", vnf.id, {})
        assert "theirs" not in {name for names in on() for name in names}

    lab(body)


@pytest.mark.feature("A37")
def test_virtual_links_that_there_are_not_and_networks_of_other_tenants_are_refused() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(PAIR, instantiate=False)
        with pytest.raises(InvalidError, match="no virtual link 'outer'; there are: inner, other") as refusal:
            await it.start("vnf.instantiate", vnf.id, {"extManagedVirtualLinks": lent("theirs", "outer")})
        assert [fault.path for fault in refusal.value.faults] == ["/extManagedVirtualLinks/0/vnfVirtualLinkDescId"]
        info = await it.node.catalogue.create_vnf_package({}, tenant="neighbours")
        await it.node.catalogue.upload_vnf_package(info.id, csar(vnf_folder(PAIR)), tenant="neighbours")
        theirs = await it.node.vnfm.create("pair", tenant="neighbours")
        begun = await it.node.vnfm.start("vnf.instantiate", theirs.id, {}, tenant="neighbours")
        await it.node.engine.wait(begun.id, 1000)
        network = next(iter(it.world.has.networks))
        with pytest.raises(InvalidError, match="there is no network"):
            await it.start("vnf.instantiate", vnf.id, {"extManagedVirtualLinks": lent(network)})

    lab(body)
