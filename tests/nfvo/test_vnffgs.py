"""Forwarding graphs that are added, changed and removed while the NS runs, over SOL005; a refusal leaves those that were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from skerry.api.sol005.forwarding import shown
from skerry.model.ns import NsInstance
from skerry.model.states import OperationState
from tests.nfvo.test_forwarding import deployed, way
from tests.vnfm.builder import Lab, lab

GROUPS: list[dict[str, Any]] = [
    {"cpPairInfo": [{"vnfExtCpIds": [one]}]} if isinstance(one, str) else {"cpPairInfo": [{"vnfExtCpIds": one}]}
    for one in ("client/eth", ["wall/left", "wall/right"], "server/eth")
]
ALSO_443 = {
    "vnffgInfoId": "graph",
    "nfp": [
        {
            "nfpName": "secure",
            "cpGroup": GROUPS,
            "nfpRule": {"protocol": "TCP", "destinationPortRange": {"lowerPort": 443, "upperPort": 443}},
        }
    ],
}


def nfps(it: Lab, ns: NsInstance) -> Mapping[str, Any]:
    """The paths that the API shows, by id."""
    record = it.node.nfvo.instance(ns.id)
    graphs = shown(it.node.nfvo.desk.flavour(record), record) or []
    return {nfp["id"]: nfp for graph in graphs for nfp in msgspec.to_builtins(graph).get("nfpInfo", ())}


@pytest.mark.feature("A57")
def test_paths_come_change_and_go_under_a_running_service() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        assert "wall-0" not in await way(it, ns, 443)
        assert await it.updated(ns, "UPDATE_VNFFG", updateVnffg=[ALSO_443]) is OperationState.COMPLETED
        assert (await way(it, ns, 443), await way(it, ns, 80)) == (["wall-0", "server-0"], ["wall-0", "server-0"])
        assert nfps(it, ns)["secure"]["nfpRule"]["destinationPortRange"] == {"lowerPort": 443, "upperPort": 443}
        ssh = {"protocol": "TCP", "destinationPortRange": {"lowerPort": 22, "upperPort": 22}}
        change = {"vnffgInfoId": "graph", "nfp": [{"nfpInfoId": "secure", "nfpRule": ssh}]}
        assert await it.updated(ns, "UPDATE_VNFFG", updateVnffg=[change]) is OperationState.COMPLETED
        assert "wall-0" not in await way(it, ns, 443)
        assert await way(it, ns, 22) == ["wall-0", "server-0"]
        await it.restart()
        assert await way(it, ns, 22) == ["wall-0", "server-0"]
        gone = {"vnffgInfoId": "graph", "nfpInfoId": ["secure"]}
        assert await it.updated(ns, "UPDATE_VNFFG", updateVnffg=[gone]) is OperationState.COMPLETED
        assert "wall-0" not in await way(it, ns, 22)
        assert await it.updated(ns, "REMOVE_VNFFG", removeVnffgId=["graph"]) is OperationState.COMPLETED
        assert it.node.dataplane.ports() == []
        assert nfps(it, ns) == {}
        again = [{"vnffgdId": "graph", "vnffgName": "graph", "description": "as it was"}]
        assert await it.updated(ns, "ADD_VNFFG", addVnffg=again) is OperationState.COMPLETED
        assert await way(it, ns, 80) == ["wall-0", "server-0"]
        await it.done("ns.terminate", ns.id)
        assert it.node.dataplane.ports() == []

    lab(body)


@pytest.mark.feature("A57")
def test_a_path_that_cannot_be_laid_leaves_those_that_were_there() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        wrong = [GROUPS[0], {"cpPairInfo": [{"vnfExtCpIds": ["wall/upside-down"]}]}, GROUPS[2]]
        change = {"vnffgInfoId": "graph", "nfp": [{"nfpName": "odd", "cpGroup": wrong, "nfpRule": {"protocol": "UDP"}}]}
        assert await it.updated(ns, "UPDATE_VNFFG", updateVnffg=[change]) is OperationState.ROLLED_BACK
        assert set(nfps(it, ns)) == {"web"}
        assert await way(it, ns, 80) == ["wall-0", "server-0"]

    lab(body)


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "no VNFFG": ("UPDATE_VNFFG", {"updateVnffg": [{"vnffgInfoId": "other"}]}),
    "no path": ("UPDATE_VNFFG", {"updateVnffg": [{"vnffgInfoId": "graph", "nfpInfoId": ["other"]}]}),
    "no name": ("UPDATE_VNFFG", {"updateVnffg": [{"vnffgInfoId": "graph", "nfp": [{"cpGroup": GROUPS}]}]}),
    "short": ("UPDATE_VNFFG", {"updateVnffg": [{"vnffgInfoId": "graph", "nfp": [{"nfpName": "n", "cpGroup": []}]}]}),
    "no VNF": (
        "UPDATE_VNFFG",
        {
            "updateVnffg": [
                {
                    "vnffgInfoId": "graph",
                    "nfp": [{"nfpName": "n", "cpGroup": [{"cpPairInfo": [{"vnfExtCpIds": ["x/eth"]}]}]}],
                }
            ]
        },
    ),
    "no rule": (
        "UPDATE_VNFFG",
        {"updateVnffg": [{"vnffgInfoId": "graph", "nfp": [{"nfpName": "n", "mecTrafficRule": {"action": "FLY"}}]}]},
    ),
    "known": ("ADD_VNFFG", {"addVnffg": [{"vnffgdId": "graph", "vnffgName": "g", "description": ""}]}),
    "unknown": ("ADD_VNFFG", {"addVnffg": [{"vnffgdId": "other", "vnffgName": "g", "description": ""}]}),
    "not there": ("REMOVE_VNFFG", {"removeVnffgId": ["other"]}),
}


@pytest.mark.feature("A57")
def test_what_cannot_be_is_refused_before_anything_happens() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        before = it.node.nfvo.instance(ns.id)
        for name, (kind, data) in REFUSED.items():
            with pytest.raises(Exception, match="cannot") as refusal:
                await it.updated(ns, kind, **data)
            assert type(refusal.value).__name__ in ("InvalidError", "NotFoundError", "ConflictError"), name
        assert it.node.nfvo.instance(ns.id) == before

    lab(body)


@pytest.mark.feature("A57")
def test_only_services_with_paths_are_looked_at_when_a_function_changes() -> None:
    async def body(it: Lab) -> None:
        ns = await deployed(it)
        for number in range(3):
            await it.node.nfvo.create("guarded", name=f"idle-{number}")
        assert it.node.nfvo.keeper.watched() == {ns.id}
        await it.restart()
        assert it.node.nfvo.keeper.watched() == {ns.id}
        await it.done("ns.terminate", ns.id)
        assert it.node.nfvo.keeper.watched() == set()

    lab(body)
