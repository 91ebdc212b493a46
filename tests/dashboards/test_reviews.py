"""The page of reviews, by Streamlit's own test runner, over a double of the gateway."""

import math
from typing import Any

import pytest
import streamlit as st
from msgspec import structs
from streamlit.testing.v1 import AppTest

from dashboards import review_desk, review_queue
from tests.dashboards.driven import opened, press, words
from tests.dashboards.gateway_double import GatewayDouble, called, held, review

pytestmark = pytest.mark.usefixtures("around")
ASSIGNMENT = "/v1/reviews/rev_1/assignment"
TAKEN: Any = ("PUT", ASSIGNMENT, {})  # no body, no query


def labels(page: AppTest) -> set[str]:
    return {button.label for button in page.button}


def case(gateway: GatewayDouble, who: str = "analyst") -> AppTest:
    """A case as somebody opens it from the queue."""
    gateway.open_case()
    return from_queue(opened(who, "reviews"), 1)


def from_queue(page: AppTest, number: int) -> AppTest:
    return page.button(key=f"choose-rev_{number}").click().run()


def test_a_link_to_a_case_takes_it_from_nobody(gateway: GatewayDouble) -> None:
    gateway.open_case()
    page = opened("analyst", "reviews", review="rev_1")
    assert "Free." in words(page)
    assert "Would have passed" in words(page)
    assert "up to 1,239.99 GBP" in words(page)
    assert gateway.acts() == []
    press(page, "Take")
    assert gateway.acts()[0] == TAKEN


def test_a_reason_stays_for_the_same_decision_and_not_for_the_other(gateway: GatewayDouble) -> None:
    for number in (1, 2, 3):
        gateway.open_case(number)
        gateway.say("POST", f"/v1/reviews/rev_{number}/decision", review(number, decision="reject"))
    gateway.say("GET", "/v1/reviews", [review(1), review(2), review(3)])
    page = from_queue(opened("analyst", "reviews"), 1)
    page.session_state[review_desk.DECIDED] = ("", 0.0)
    page.pills(key="often-rev_1").set_value("Stolen card")
    page = press(page, "Reject")
    page.session_state[review_desk.DECIDED] = ("", 0.0)
    page = press(page, "Approve")  # of the second case, with the reason of the first
    assert "Choose again why you approve this one" in words(page)
    assert page.pills(key="often-rev_2").value is None
    page.pills(key="often-rev_2").set_value("Stolen card")
    page = press(page, "Reject")
    decided = [(path, body["reason"]) for method, path, body in gateway.acts() if method == "POST"]
    assert decided == [(f"/v1/reviews/rev_{number}/decision", "Stolen card") for number in (1, 2)]


def test_a_case_is_taken_by_opening_it_and_approved_with_its_reason(gateway: GatewayDouble) -> None:
    gateway.say("POST", "/v1/reviews/rev_1/decision", review(1, decision="approve"))
    page = case(gateway)
    assert "Yours" in words(page)
    page.text_area[0].set_value("known customer")
    page = press(page, "Approve")
    decided = ("POST", "/v1/reviews/rev_1/decision", {"decision": "approve", "reason": "known customer"})
    assert gateway.acts() == [TAKEN, decided]
    assert "Approved: 283.45 GBP" in words(page)


def test_a_case_tells_its_times_with_their_day_by_the_chosen_clock(gateway: GatewayDouble) -> None:
    gateway.open_case()
    told = [
        {
            "type": "payment.created",
            "state": "in_review",
            "status": "pending",
            "recorded_at": "2026-11-26T23:10:00Z",
        }
    ]
    gateway.say("GET", "/v1/payments/pay_1/events", told)
    shown = words(opened("analyst", "reviews", review="rev_1", tz="Asia/Tokyo"))
    assert "27 Nov 16:00:00" in shown, "when it was created"
    assert "27 Nov 08:10:00" in shown, "of its history"
    assert "UTC" not in shown


def test_a_case_is_not_decided_without_a_reason(gateway: GatewayDouble) -> None:
    page = press(case(gateway), "Reject")
    assert "Say why" in words(page)
    assert {method for method, _, _ in gateway.acts()} == {"PUT"}


@pytest.mark.parametrize(("code", "said"), [("wrong_state", "before you"), ("assigned", "has taken this case")])
def test_a_second_decider_is_told_who_was_first(gateway: GatewayDouble, code: str, said: str) -> None:
    page = case(gateway)
    gateway.refuse("POST", "/v1/reviews/rev_1/decision", 409, code)
    decided = review(1, decision="reject", reason="stolen", decided_by="acc_admin")
    gateway.say("GET", "/v1/reviews/rev_1", decided)
    page.text_area[0].set_value("known customer")
    shown = words(press(page, "Approve"))
    assert all(word in shown for word in (said, "Rejected", "acc_admin", "stolen"))


def test_a_silent_processor_is_told_of(gateway: GatewayDouble) -> None:
    page = case(gateway)
    gateway.say("POST", "/v1/reviews/rev_1/decision", review(1, decision="approve"), 202)
    gateway.say("GET", "/v1/payments/pay_1/operations", [called("unknown", "capture")])
    gateway.say("GET", "/v1/reviews/rev_1", review(1, decision="approve"))
    page.text_area[0].set_value("known customer")
    assert "has not answered yet" in words(press(page, "Approve"))


def test_the_second_click_on_one_case_sends_nothing(gateway: GatewayDouble) -> None:
    page = case(gateway)
    gateway.say("POST", "/v1/reviews/rev_1/decision", review(1, decision="approve"), 202)
    gateway.say("GET", "/v1/payments/pay_1/operations", [called("unknown", "capture")])
    page.text_area[0].set_value("known customer")
    page = press(page, "Approve")
    assert "as this case was being shown" not in words(press(page, "Approve"))  # it stands there as at the click
    assert [method for method, _, _ in gateway.acts()].count("POST") == 1


@pytest.mark.parametrize("who", ["analyst", "admin"])
def test_a_colleagues_case_is_read_and_an_admin_may_take_it_over(gateway: GatewayDouble, who: str) -> None:
    gateway.open_case()
    gateway.say("GET", "/v1/reviews/rev_1", held(1, "acc_bob"))
    gateway.say("GET", "/v1/staff", [{"id": "acc_bob", "name": "Bob Baker"}])
    page = opened(who, "reviews", review="rev_1")
    assert "With Bob Baker" in words(page)
    assert "acc_bob" not in words(page)
    assert not {"Approve", "Reject", "Take"} & labels(page)
    assert ("Take over" in labels(page)) == (who == "admin")
    if who == "admin":
        press(page, "Take over")
    assert gateway.acts() == ([TAKEN] if who == "admin" else [])


def test_a_case_that_is_given_back_stays_so_until_it_is_taken(gateway: GatewayDouble) -> None:
    page = press(case(gateway), "Give back")
    assert "Free." in words(page)
    assert gateway.acts() == [TAKEN, ("DELETE", ASSIGNMENT, {})]
    press(page, "Take")
    assert gateway.acts()[2] == TAKEN


def test_what_is_passed_over_is_anybodys_again(gateway: GatewayDouble) -> None:
    for number in (1, 2):
        gateway.open_case(number)
    gateway.say("GET", "/v1/reviews", [review(1), review(2)])
    page = press(from_queue(opened("analyst", "reviews"), 1), "Next")
    assert page.query_params["review"] == ["rev_2"] or page.query_params["review"] == "rev_2"
    paths = [(method, path) for method, path, _ in gateway.acts()]
    second = ("PUT", "/v1/reviews/rev_2/assignment")
    assert paths == [("PUT", ASSIGNMENT), ("DELETE", ASSIGNMENT), second]


def test_a_double_click_decides_one_case(gateway: GatewayDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        gateway.open_case(number)
        gateway.say("POST", f"/v1/reviews/rev_{number}/decision", review(number, decision="reject"))
    gateway.say("GET", "/v1/reviews", [review(1), review(2)])
    page = from_queue(opened("analyst", "reviews"), 1)
    page.text_area[0].set_value("one thief")
    page = press(page, "Reject")
    page.text_area[0].set_value("one thief")
    monkeypatch.setattr(review_desk, "LOOK_FIRST_S", 60.0)
    page = press(page, "Reject")
    assert "as this case was being shown" in words(page)
    monkeypatch.setattr(review_desk, "LOOK_FIRST_S", 0.0)
    press(page, "Reject")
    decided = [path for method, path, _ in gateway.acts() if method == "POST"]
    assert decided == ["/v1/reviews/rev_1/decision", "/v1/reviews/rev_2/decision"]


def picked(gateway: GatewayDouble, ended: list[Any]) -> AppTest:
    gateway.say("GET", "/v1/reviews", [review(1), review(2), held(3, "acc_bob")])
    gateway.say("POST", "/v1/reviews/decisions", {"data": ended})
    page = press(opened("analyst", "reviews"), "Pick all 2")
    (field,) = [field for field in page.text_input if field.label == "One reason for all"]
    field.set_value("one thief")
    return page


def test_many_are_rejected_with_one_reason_and_each_has_its_end(gateway: GatewayDouble) -> None:
    ended = [{"id": "rev_1", "status": 200}, {"id": "rev_2", "status": 409, "code": "assigned"}]
    page = press(picked(gateway, ended), "Reject 2")
    body = {"ids": ["rev_1", "rev_2"], "decision": "reject", "reason": "one thief"}
    assert gateway.acts() == [("POST", "/v1/reviews/decisions", body)]
    shown = words(page)
    assert all(word in shown for word in ("Rejected 1 of 2", "A colleague has taken it", "rev_2"))
    assert "What became of them" not in words(press(page, "Put away"))


def test_the_second_click_on_many_is_answered_as_the_first(gateway: GatewayDouble) -> None:
    page = picked(gateway, [{"id": "rev_1", "status": 200}, {"id": "rev_2", "status": 200}])
    page = press(page, "Reject 2")
    # As where the first run was cut off by the second click, before it knew that it was answered.
    sent = page.session_state[review_queue.SENT]
    page.session_state[review_queue.SENT] = structs.replace(sent, answered_at=math.inf)
    page.session_state[review_queue.PICKED] = review_queue.Picks(9, frozenset({"rev_1", "rev_2"}))
    (field,) = [field for field in page.run().text_input if field.label == "One reason for all"]
    field.set_value("one thief")
    press(page, "Reject 2")
    assert [method for method, _, _ in gateway.acts()] == ["POST", "POST"]
    assert len({*gateway.keys}) == 1


def test_picks_outlast_a_run_that_is_cut_off_before_it_drew_them(
    gateway: GatewayDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.open_queue(2)
    page = opened("analyst", "reviews")
    heard = page._tree  # all that a browser knows by the next run
    for box in heard.checkbox:
        box.set_value(False)  # which it sends
    with monkeypatch.context() as slow:
        slow.setattr(review_queue, "_lines", lambda *_: st.stop())
        page = press(page, "Pick all 2")
    (pressed,) = [button for button in heard.button if button.label == "Pick all 2"]
    pressed.set_value(False)
    page._tree = heard
    assert "Reject 2" in labels(page.run())


def test_picks_and_the_reason_outlast_a_moment_without_the_gateway(gateway: GatewayDouble) -> None:
    page = picked(gateway, [])
    page = page.checkbox[1].uncheck().run()
    gateway.refuse("GET", "/v1/reviews", 503, "unavailable")
    page = page.run()
    assert not page.checkbox
    gateway.open_queue(2)
    page = page.run()
    assert [box.value for box in page.checkbox] == [True, False]
    assert "one thief" in [field.value for field in page.text_input]
    page = press(page, "Reject 1")
    assert gateway.acts()[-1][2] == {"ids": ["rev_1"], "decision": "reject", "reason": "one thief"}


def test_the_address_says_what_the_queue_shows(gateway: GatewayDouble) -> None:
    gateway.say("GET", "/v1/reviews", [])
    page = opened("analyst", "reviews", shown="mine", order="newest", kind="late", reason="card_testing")
    asked = [query for method, path, query in gateway.asked if path == "/v1/reviews"]
    wanted = {"mine": "true", "order": "newest", "kind": "late", "reason": "card_testing", "limit": "25"}
    assert asked[0] == wanted
    assert "No payment is like that." in words(page)
    opened("analyst", "reviews", shown="nonsense", order="", kind="x")
    assert gateway.asked[-1][2] == {"open": "true", "order": "expected_loss", "limit": "25"}
