"""The pages behind the login, by Streamlit's own test runner, over a double of the gateway."""

import re
from typing import Any

import pytest
import streamlit as st

from dashboards import chooser, gateway_calls
from dashboards.gateway_calls import Api
from dashboards.navigation import ENTRIES
from dashboards.session_checks import STAFF
from dashboards.tiles import needs
from tests.dashboards import gateway_double
from tests.dashboards.driven import APP, links, opened, press, words
from tests.dashboards.gateway_double import GatewayDouble, account, seller

pytestmark = pytest.mark.usefixtures("around")


ALL = {"Overview", "Payments", "Money", "SQL", "Your sessions"}
OF_STAFF = ALL | {"Reviews", "Fraud", "Rules", "Lists", "Features", "Processors", "Notifications", "Pipeline"}
# Pages are given by an account's role, which is the same of all who act for a merchant.
LISTED = {seller("viewer"): ALL, "customer": set(), "analyst": OF_STAFF}
LISTED["admin"] = OF_STAFF | {"People", "Merchants", "Clients", "Audit"}


@pytest.mark.parametrize(("token", "listed"), LISTED.items())
def test_nobody_sees_a_page_they_may_not(gateway: GatewayDouble, token: str, listed: set[str]) -> None:
    role = gateway.accounts[token]["role"]
    for entry in ENTRIES:
        gateway.asked.clear()
        page = opened(token, entry.path)
        said = words(page)
        here = {button.label for button in page.button if button.key == "here"}
        assert {*links(page), *here} >= listed if listed else not links(page)
        assert ("Not your page" in said) == (bool(listed) and role not in entry.roles)
        assert ("No dashboards for you yet" in said) == (not listed)
        if role not in entry.roles:
            banner = {"/v1/stops"} if role in STAFF else set()
            assert {path for _, path, _ in gateway.asked} <= {"/v1/me"} | banner
        else:
            assert entry.group == "linked" or entry.title in listed


def test_a_long_list_is_asked_for_by_pages_as_large_as_the_gateway_has_them() -> None:
    asked: list[int] = []

    class LongList:
        def get(self, _path: str, _kind: object, *, limit: int, cursor: str) -> chooser.Found[str]:
            asked.append(limit)
            return chooser.Found([cursor] * limit, f"after {cursor}")

    api: Any = LongList()
    found, has_more = chooser.first(api, "/v1/things", str, 225)
    assert (asked, len(found), has_more) == ([100, 100, 25], 225, True)
    assert found[-1] == "after after "


def test_the_page_one_is_on_begins_anew_by_the_bar(gateway: GatewayDouble) -> None:
    page = press(opened("admin", "clients", client="cli_1", tz="UTC"), "Clients")
    assert page.query_params == {}, "its address says what it shows"


def test_the_page_one_is_on_is_marked_in_the_bar(gateway: GatewayDouble) -> None:
    marked = re.findall(r'aria-current="page"[^>]*>([^<]*)<', words(opened("admin", "reviews")))
    assert marked == ["Reviews, this page"]


def test_a_refusal_is_one_persons_and_hides_the_count_of_tasks_from_nobody(
    gateway: GatewayDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    st.cache_data.clear()
    gateway.refuse("GET", "/v1/tasks", 429, "rate_limited")
    monkeypatch.setattr(gateway_calls, "RETRY_FOR_S", 0)
    assert needs._tasks(Api("analyst")) is None
    gateway.say("GET", "/v1/tasks", [{"id": "tsk_1"}])
    told = needs._tasks(Api("analyst"))
    assert told is not None
    assert told.count == 1


def test_a_page_that_is_not_theirs_asks_the_gateway_nothing(gateway: GatewayDouble) -> None:
    for entry in ENTRIES:
        if entry.roles == {"admin"}:
            opened("analyst", entry.path)
    assert {path for _, path, _ in gateway.asked} == {"/v1/me", "/v1/stops"}  # the banner of every page


def test_a_customer_is_told_kindly_and_can_leave(gateway: GatewayDouble) -> None:
    page = opened("customer", "reviews")
    assert "customer@example.com" in words(page)
    press(page, "Log out")
    assert page.user == {"is_logged_in": False}


def test_a_stranger_has_one_button_and_sees_nothing_else(gateway: GatewayDouble) -> None:
    page = opened("", "people")
    assert [button.label for button in page.button] == ["Log in"]
    assert links(page) == []
    assert gateway.asked == []


def test_a_session_that_ended_is_renewed_once_and_then_asked_for(
    gateway: GatewayDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(st, "login", lambda: sent.append("to log in"))
    assert "One moment" in words(opened("revoked", "people"))
    page = opened("revoked", "people")
    assert "Your session has ended" in words(page)
    assert sent == ["to log in"]
    press(page, "Log in")
    assert len(sent) == 2


def test_who_logged_in_goes_on_where_they_were(gateway: GatewayDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "login", lambda: None)
    gateway.open_case()
    opened("revoked", "reviews", review="rev_1")
    page = opened("analyst")
    assert page.query_params["review"] == "rev_1"
    assert "283.45 GBP" in words(page)
    assert "rev_1" not in words(opened("analyst")), "only once"


def test_without_the_gateway_nothing_is_shown(gateway: GatewayDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_GATEWAY", "http://localhost:1")
    monkeypatch.setattr(gateway_calls, "RETRY_FOR_S", 0)
    page = opened("admin", "people")
    assert "The gateway does not answer" in words(page)
    assert links(page) == []
    assert "does not answer" in words(press(opened(""), "Log in"))


def test_an_administrator_changes_a_role(gateway: GatewayDouble) -> None:
    gateway.say("GET", "/v1/accounts", [account("customer")])
    gateway.say("PATCH", "/v1/accounts/acc_customer", account("analyst"))
    page = opened("admin", "people", account="acc_customer")
    (role,) = [box for box in page.selectbox if box.label == "New role"]
    role.set_value("analyst")
    said = words(press(page, "Change role"))
    assert gateway.acts() == [("PATCH", "/v1/accounts/acc_customer", {"role": "analyst"})]
    assert "Casey Customer is an analyst" in said


@pytest.mark.parametrize(
    ("is_one", "label", "said"),
    [(False, "Name a reader now", "is a reader"), (True, "No reader any more", "no reader")],
)
def test_an_administrator_names_a_reader(gateway: GatewayDouble, is_one: bool, label: str, said: str) -> None:
    gateway.say("GET", "/v1/accounts", [account("customer", reader=is_one)])
    gateway.say("PATCH", "/v1/accounts/acc_customer", account("customer"))
    page = opened("admin", "people", account="acc_customer")
    assert ("without cards and payers" in words(page)) or not is_one
    assert f"is {'no' if is_one else 'a'} reader." in words(press(page, label))
    assert gateway.acts() == [("PATCH", "/v1/accounts/acc_customer", {"reader": not is_one})]


def test_staff_are_not_named_readers(gateway: GatewayDouble) -> None:
    gateway.say("GET", "/v1/accounts", [account("analyst")])
    page = opened("admin", "people", account="acc_analyst")
    assert "everything" in words(page)
    assert not [button.label for button in page.button if "reader" in button.label]


def test_nobody_changes_themselves(gateway: GatewayDouble) -> None:
    gateway.say("GET", "/v1/accounts", [account("admin")])
    page = opened("admin", "people", account="acc_admin")
    assert "This is you" in words(page)
    assert "Change role" not in [button.label for button in page.button]


def test_a_merchant_is_suspended_with_a_reason_alone(gateway: GatewayDouble) -> None:
    gateway.say("GET", "/v1/accounts", [account("merchant")])
    gateway.say("GET", "/v1/merchants/acc_merchant", {"id": "acc_merchant", "name": "Merle's Shop"})
    gateway.say("GET", "/v1/merchants/acc_merchant/people", [])
    gateway.say("PATCH", "/v1/merchants/acc_merchant", {})
    page = press(opened("admin", "merchants", merchant="acc_merchant"), "Suspend now")
    assert "Say why" in words(page)
    assert gateway.acts() == []
    (reason,) = [field for field in page.text_input if field.label == "Reason"]
    reason.set_value("chargebacks")
    press(page, "Suspend now")
    assert gateway.acts()[0][2] == {"suspended": True, "reason": "chargebacks"}


def test_a_merchants_people_are_not_listed_as_merchants(gateway: GatewayDouble) -> None:
    person = account("merchant", id="acc_opal", name="Opal", merchant="acc_merchant")
    gateway.say("GET", "/v1/accounts", [person, account("merchant", name="Merle's Shop")])
    listed = [button.label for button in opened("admin", "merchants").button]
    assert any("Merle's Shop" in label for label in listed)
    assert not any("Opal" in label for label in listed)


def test_a_secret_is_shown_once(gateway: GatewayDouble) -> None:
    gateway.say("GET", "/v1/clients", [])
    gateway.say("POST", "/v1/clients", {"id": "cli_1", "secret": "s3cr3t"}, 201)
    page = opened("admin", "clients")
    page.text_input(key="client-name-0").set_value("Till")
    page = press(page, "Create")
    assert [code.value for code in page.code] == ["cli_1", "s3cr3t"]
    assert [field.value for field in page.text_input if field.label == "Name"] == [""]  # not made twice by a press
    assert not page.run().code


def test_what_the_gateway_refuses_is_said_in_words(gateway: GatewayDouble) -> None:
    wrong = [{"path": "$.email", "message": "It is no address."}]
    gateway.refuse("POST", "/v1/accounts", 422, "invalid_request", detail="A field is wrong.", errors=wrong)
    gateway.say("GET", "/v1/accounts", [])
    page = opened("admin", "people")
    assert "email: It is no address." in words(press(page, "Create and invite"))


def test_a_call_that_is_refused_to_somebody_known_is_said_once(gateway: GatewayDouble) -> None:
    gateway.refuse("GET", "/v1/audit", 401, "unauthenticated")
    assert "Your session has ended" in words(opened("admin", "audit"))
    assert [path for _, path, _ in gateway.asked].count("/v1/audit") == 1


def test_what_strangers_wrote_is_shown_and_not_obeyed(gateway: GatewayDouble) -> None:
    name = "<script>alert(1)</script> **[x](http://evil.example)**"
    gateway.say("GET", "/v1/accounts", [account("customer", name=name)])
    page = opened("admin", "people", account="acc_customer")
    assert "<script" not in words(page)
    (line,) = [button.label for button in page.button if "evil" in button.label]
    assert "\\[x\\]\\(" in line


def test_the_audit_is_filtered_by_the_gateway(gateway: GatewayDouble) -> None:
    entry = {"id": 7, "kind": "role_changed", "at": gateway_double.AT, "actor": "acc_admin", "subject": "acc_x"}
    gateway.say("GET", "/v1/audit", [entry | {"detail": {"role": "analyst"}}])
    page = opened("admin", "audit")
    page.selectbox(key="kind").set_value("role_changed")
    page.text_input(key="actor").set_value("acc_admin")
    said = words(page.run())
    assert gateway.asked[-1] == (
        "GET",
        "/v1/audit",
        {"limit": "25", "kind": "role_changed", "actor": "acc_admin"},
    )
    assert all(word in said for word in ("role changed", "acc_x", "role: analyst"))


def test_own_sessions_are_ended(gateway: GatewayDouble) -> None:
    gateway.say("GET", "/v1/me/sessions", [{"id": "ses_1", "kind": "browser", "device": "Firefox on Linux"}])
    gateway.say("DELETE", "/v1/me/sessions/ses_1", None, 204)
    press(opened("analyst", "sessions"), "End now")
    assert gateway.acts() == [("DELETE", "/v1/me/sessions/ses_1", {})]


def test_no_folder_is_served_past_the_login() -> None:
    assert not (APP.parent / "pages").exists(), "Streamlit runs its scripts by themselves"
