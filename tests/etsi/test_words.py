"""Every word that occurrences and notifications of NS operations use is one of the official file's."""

from __future__ import annotations

import json
from typing import Any, get_args, get_type_hints

import pytest

from skerry.model.ns_changes import VERBS, GraphChange
from skerry.model.saps import SapChange
from skerry.model.states import OperationState, lcm_operation_type
from skerry.nfvo.lifecycle import KINDS as NS_KINDS
from skerry.notifications.affected import LINK_EFFECTS, NS_EFFECTS
from skerry.vnfm.lifecycle import KINDS as VNF_KINDS
from tests.etsi.judge import HOME, SOL005

FOLDERS = ("NSLifecycleManagement", "NSLifecycleManagementNotification")


def words_of(kind: type[Any]) -> set[str]:
    """The values of `change_type`."""
    return set(get_args(get_type_hints(kind)["change_type"]))


WORDS: dict[str, set[str]] = {
    "AffectedVnf": {*VERBS.values(), *NS_EFFECTS.values(), "ADD", "REMOVE"},
    "AffectedVirtualLink": {*LINK_EFFECTS.values(), "MODIFY"},
    "AffectedVnffg": words_of(GraphChange),
    "AffectedSap": words_of(SapChange),
}
"""Type -> the change types that we write."""

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason="the official files are not here")


def schemas(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HOME / SOL005 / folder / f"{folder}.json").read_text())["components"]["schemas"]
    return found


@pytest.mark.feature("B33")
@pytest.mark.parametrize("folder", FOLDERS)
def test_words_of_changes(folder: str) -> None:
    known = schemas(folder)
    for name, words in WORDS.items():
        attributes = known[name]["properties"]
        assert words <= set(attributes["changeType"]["enum"]), name
        assert {"COMPLETED", "ROLLED_BACK", "FAILED"} <= set(attributes["changeResult"]["enum"]), name
    states = {state.value for state in OperationState} - {OperationState.STARTING.value}
    assert states == set(known["NsLcmOperationStateType"]["enum"])
    assert {lcm_operation_type(kind.name) for kind in NS_KINDS} == set(known["NsLcmOpType"]["enum"])


@pytest.mark.feature("B33")
def test_words_of_operations_on_members() -> None:
    known = schemas(FOLDERS[1])["LcmOpNameForChangeNotificationType"]["enum"]
    assert {f"VNF_{lcm_operation_type(kind.name)}" for kind in VNF_KINDS} <= set(known)
