"""What descriptors say of virtual links reaches every interface on them, whoever declares the link."""

from __future__ import annotations

import pytest

from tests.vnfm.builder import Lab, lab, short
from tests.vnfm.packages import PLAIN

BOX = """
id: box
vdus: {one: {nics: {out: ext, in: lan}}, two: {nics: {aside: lan}, cmd: [run]}}
links: {lan: {cidr: 10.9.0.0/24, dns: [192.0.2.2], bitrate: 3000000}}
"""
SERVICE = """
id: service
vnfs: {box: {vnfd: box, links: {out: net}}}
links: {net: {cidr: 10.70.0.0/24, dns: [192.0.2.1, 192.0.2.2], bitrate: 2000000}}
"""


@pytest.mark.feature("A49", "A51")
def test_dns_and_bandwidth_of_links_of_a_service_and_of_a_vnf() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SERVICE, BOX)
        asked = {short(m.spec.name): m.asked for world in it.worlds.values() for m in world.has.machines.values()}
        assert asked["one-0"].dns == ("192.0.2.1", "192.0.2.2")
        assert asked["two-0"].dns == ("192.0.2.2",)
        limits = [(nic.egress_bps, nic.ingress_bps) for nic in asked["one-0"].nics]
        assert limits == [(2_000_000, 2_000_000), (3_000_000, 3_000_000)]
        (member,) = ns.members.values()
        await it.done("vnf.heal", member.vnf_instance_id, {"vnfcInstanceId": ["one-0"]})
        (again,) = (
            m.asked
            for world in it.worlds.values()
            for m in world.has.machines.values()
            if short(m.spec.name) == "one-0"
        )
        assert (again.dns, again.nics[0].egress_bps) == (asked["one-0"].dns, 2_000_000), "a replacement is the same"

    lab(body)


@pytest.mark.feature("A51")
def test_links_that_say_nothing_leave_interfaces_free() -> None:
    async def body(it: Lab) -> None:
        await it.vnf(PLAIN)
        (machine,) = (m.asked for world in it.worlds.values() for m in world.has.machines.values())
        assert machine.dns == ()
        assert {nic.egress_bps for nic in machine.nics} == {0}

    lab(body)
