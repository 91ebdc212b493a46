"""The states of a payment: one complete table."""

from schemas.states import STATES, STATUS, TRANSITIONS, can_become

FINAL = {"captured", "voided", "declined", "failed"}


def test_every_state_has_transitions_and_a_status() -> None:
    assert set(TRANSITIONS) == set(STATUS) == set(STATES)
    assert all(after <= set(STATES) for after in TRANSITIONS.values())


def test_every_state_is_reached_and_only_the_final_ones_end() -> None:
    reached, frontier = {"processing"}, {"processing"}
    while frontier:
        frontier = {after for state in frontier for after in TRANSITIONS[state]} - reached
        reached |= frontier
    assert reached == set(STATES)
    assert {state for state in STATES if not TRANSITIONS[state]} == FINAL


def test_only_a_further_part_leaves_a_state_as_it_was() -> None:
    assert [state for state in STATES if can_become(state, state)] == ["partially_captured"]


def test_nothing_becomes_unknown_once_the_processor_spoke() -> None:
    # `in_review` where its reviewer approved before anybody had asked the issuer.
    assert [state for state in STATES if can_become(state, "unknown")] == ["processing", "in_review"]
    assert not can_become("requires_action", "captured")


def test_a_status_is_final_where_the_state_is_or_a_part_was_taken() -> None:
    assert {state for state in STATES if STATUS[state] != "pending"} == FINAL | {"partially_captured"}
