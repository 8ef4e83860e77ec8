"""The NFVO's answers to grant requests."""

from __future__ import annotations

import pytest

from skerry.errors import RejectedError
from skerry.vnfm.grants import GrantRequest, ResourceRequest
from tests.vnfm.builder import Lab, lab


def request(*add: ResourceRequest, **fields: object) -> GrantRequest:
    return GrantRequest(vnf_instance_id="v", vnfd_id="d", operation="vnf.scale", tenant="", add=add, **fields)


@pytest.mark.feature("A7", "A67")
def test_a_grant_names_a_place_for_each_and_prefers_where_the_vnf_is() -> None:
    async def body(it: Lab) -> None:
        one = ResourceRequest(vnfc="x-1", vdu="x", vcpus=1)
        granter = it.node.granter
        assert (await granter.grant(request(one))).placement == {"x-1": "east"}
        assert (await granter.grant(request(one, present={"x-0": "west"}))).placement == {"x-1": "west"}
        assert (await granter.grant(request(one, prefer=("west",)))).placement == {"x-1": "west"}
        pinned = ResourceRequest(vnfc="x-2", vdu="x", vim="west")
        assert (await granter.grant(request(one, pinned))).placement == {"x-1": "east", "x-2": "west"}
        first, second = await granter.grant(request(one)), await granter.grant(request(one))
        assert first.id != second.id

    lab(body, {"east": {}, "west": {}})


def test_a_vim_that_does_not_answer_is_passed_over_and_named() -> None:
    async def body(it: Lab) -> None:
        one = ResourceRequest(vnfc="x-1", vdu="x", vcpus=1)
        it.worlds["east"].reachable = False
        assert (await it.node.granter.grant(request(one))).placement == {"x-1": "west"}
        it.worlds["west"].reachable = False
        with pytest.raises(RejectedError, match=r"east: cannot .* does not answer"):
            await it.node.granter.grant(request(one))

    lab(body, {"east": {}, "west": {}})
