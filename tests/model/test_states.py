"""The tables of states."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.model.states import FINAL, OPERATION_MOVES, OperationState, summary

S = OperationState
RECORD_STATES = ["ERROR", "NULL", "INITIALIZED", "INACTIVE", "SCALING", "ACTIVE", "TERMINATED", "RESUMING"]


def test_every_state_has_its_moves_and_only_final_ones_have_none() -> None:
    assert OPERATION_MOVES.keys() == set(S)
    assert {state for state, moves in OPERATION_MOVES.items() if not moves} == FINAL
    assert all(moves <= set(S) for moves in OPERATION_MOVES.values())


def test_every_state_is_reached_and_every_one_can_end() -> None:
    reached, new = {S.STARTING}, {S.STARTING}
    while new:
        new = {after for state in new for after in OPERATION_MOVES[state]} - reached
        reached |= new
    assert reached == set(S)
    ending = set(FINAL)
    while more := {state for state, moves in OPERATION_MOVES.items() if moves & ending} - ending:
        ending |= more
    assert ending == set(S)


@given(st.lists(st.integers(0, 7), max_size=30))
def test_no_walk_over_the_table_leaves_a_final_state_or_returns_to_starting(choices: list[int]) -> None:
    state = S.STARTING
    for choice in choices:
        moves = sorted(OPERATION_MOVES[state])
        if not moves:
            assert state in FINAL
            return
        state = moves[choice % len(moves)]
        assert state is not S.STARTING


def test_failing_is_always_a_decision() -> None:
    """FAILED and ROLLED_BACK of something under way come only after FAILED_TEMP, but for SOL003's direct failure."""
    into = {target: {state for state, moves in OPERATION_MOVES.items() if target in moves} for target in S}
    assert into[S.ROLLING_BACK] == {S.FAILED_TEMP}
    assert into[S.ROLLED_BACK] == {S.STARTING, S.ROLLING_BACK}


@pytest.mark.feature("A61")
@given(st.lists(st.sampled_from(RECORD_STATES), min_size=1))
def test_a_service_is_as_its_worst_member(states: list[str]) -> None:
    found = summary(states)
    assert found in states
    assert (found == "ERROR") == ("ERROR" in states)
    assert (found == "ACTIVE") == (set(states) == {"ACTIVE"})
    assert summary(list(reversed(states))) == found
    assert summary([]) == "NULL"
