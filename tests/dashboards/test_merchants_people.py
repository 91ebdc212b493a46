"""A merchant's people at the pages: what they find, do, and never see. Their questions are answered by `sql`."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import streamlit as st

from dashboards import asking, cached_queries, door, session_checks
from dashboards.payment_csv import COLUMNS, payments_csv
from dashboards.payment_filters import read_filters
from dashboards.session_checks import OwnMerchant, Person
from dashboards.sql_aside import TEXT, questions
from dashboards.sql_asking import NoAnswer
from dashboards.views.sql import OUTCOME
from flows.analytics.settings import SqlSettings
from schemas.times import now
from tests.dashboards.conftest import Shop
from tests.dashboards.driven import links, opened, press, words
from tests.dashboards.gateway_double import AT, GatewayDouble, payment, seller
from tests.dashboards.sellers import serving_sql

OWNER, OPERATOR, VIEWER = seller("owner"), seller("operator"), seller("viewer")
OWN = {"merchant": "acc_shop", "risk": {"outcome": "allow"}}
REFUNDABLE = OWN | {"state": "captured", "status": "succeeded", "amount": 500, "amount_captured": 500}
SECRETS = ("acc_other", "Otto's Other", "card_1", "fp_1", "0.99")  # of another merchant, or of nobody's but staff


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, SqlSettings]]:
    """Seven payments to the sellers' shop, and forty to another one."""
    with serving_sql(tmp_path_factory.mktemp("sellers")) as (shop, settings):
        moment = now() - timedelta(minutes=2)
        given: dict[str, Any] = {"state": "captured", "currency": "EUR", "amount": 1000}
        shop.take_all(shop.payment(moment, **given) for _ in range(7))
        shop.take_all(shop.payment(moment, merchant="acc_other", **given) for _ in range(40))
        yield shop, settings


@pytest.fixture(autouse=True)
def at_the_pages(around: None, asked: tuple[Shop, SqlSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_data.clear()
    monkeypatch.setenv("SLUICE_SQL", asked[1].sql_url())
    monkeypatch.setenv("SLUICE_WAREHOUSE", "http://localhost:1")  # where staff ask: nothing comes from there
    monkeypatch.setattr("dashboards.views.sql.AT_ONCE_WAITED_S", 30)
    for patience in ("PATIENCE_S", "BESIDE_S"):
        monkeypatch.setattr(cached_queries, patience, 60.0)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("", {}),
        ("money", {}),
        ("money", {"view": "refunds"}),
        ("money", {"view": "books"}),
        ("money", {"view": "tasks"}),
        ("payments", {}),
        ("payments", {"payment": "pay_1"}),
        ("", {"at": "2026-11-27T07:00", "merchant": "acc_third"}),
        ("payments", {"at": "2026-11-27T07:00", "merchant": "acc_third", "risk": "block"}),
    ],
)
def test_every_page_is_answered_and_tells_of_nobody_else(
    gateway: GatewayDouble, path: str, query: dict[str, str]
) -> None:
    gateway.show_payment(**REFUNDABLE)
    gateway.say("GET", "/v1/payments", [payment(1, **OWN)])
    page = opened(VIEWER, path, **query)
    said = words(page)
    assert "does not answer" not in said
    assert "could not answer" not in said
    assert not any(secret in said for secret in SECRETS)
    assert {path for _, path, _ in gateway.asked}.isdisjoint({"/v1/stops", "/v1/tasks", "/v1/reviews"})
    assert not any("/operations" in path for _, path, _ in gateway.asked)


def test_the_overview_counts_their_own_payments() -> None:
    said = words(opened(VIEWER))
    assert re.search(r"<dt>Payments</dt>\s*<dd><b[^>]*>7</b>", said)
    assert "payments to Merle" in said
    assert "<th>Risk</th>" not in said
    assert "Held or blocked" not in said
    assert "70.00" in said, "what was taken"


def test_money_is_their_own() -> None:
    said = words(opened(VIEWER, "money"))
    assert re.search(r"EUR.*?7.*?70\.00", said, re.DOTALL)
    assert "470.00" not in said


def test_what_an_address_narrows_by_beyond_them_is_passed_over(gateway: GatewayDouble) -> None:
    gateway.say("GET", "/v1/payments", [payment(1, **OWN)])
    page = opened(VIEWER, "payments", merchant="acc_other", risk="block", state="captured")
    [query] = [query for _, path, query in gateway.asked if path == "/v1/payments"]
    assert query["state"] == "captured"
    assert {"merchant", "risk", "email"}.isdisjoint(query)
    assert not [button.label for button in page.button if button.label.startswith(("Merchant", "Risk"))]
    asked = {"q": "casey@example.com", "merchant": "acc_other"}
    assert read_filters(asked, is_staff=False).asked() == {"reference": "casey@example.com"}
    meant = {"q": "acc_other", "as": "merchant"}
    assert read_filters(meant, is_staff=False).asked() == {"reference": "acc_other"}


def test_one_payment_is_shown_as_a_merchant_sees_it(gateway: GatewayDouble) -> None:
    gateway.show_payment(**REFUNDABLE)
    page = opened(VIEWER, "payments", payment="pay_1")
    said = words(page)
    assert "Merle" in said
    assert "What happened" in said
    assert "Calls to processors" in said
    for staffs in (
        "Fraud check",
        "Features",
        "Messages",
        "Origin",
        'href="customer',
        'href="card',
        'href="merchant',
    ):
        assert staffs not in said


def test_another_merchants_payment_is_not_found(gateway: GatewayDouble) -> None:
    assert "pay_of_other" not in words(opened(OPERATOR, "payments", payment="pay_of_other"))
    assert gateway.acts() == []


@pytest.mark.parametrize(
    ("token", "merchant", "may"),
    [
        (OWNER, "acc_shop", True),
        (OPERATOR, "acc_shop", True),
        (VIEWER, "acc_shop", False),
        (OPERATOR, "acc_other", False),  # which the shop paid itself
        ("analyst", "acc_shop", False),
        ("admin", "acc_shop", True),
    ],
)
def test_money_is_moved_by_role(gateway: GatewayDouble, token: str, merchant: str, may: bool) -> None:
    held = {"amount_captured": 300, "amount_capturable": 200}
    gateway.show_payment(state="partially_captured", status="succeeded", amount=500, merchant=merchant, **held)
    labels = [button.label for button in opened(token, "payments", payment="pay_1").button]
    assert labels.count("Look at it once more") == (2 if may else 0), "to capture, and to refund"
    assert labels.count("Void…") == may


def refunded(gateway: GatewayDouble, status: str, **changes: Any) -> Any:
    """A seller's refund of all, which the gateway answers with this status."""
    gateway.show_payment(**REFUNDABLE)
    made = {"id": "ref_1", "amount": 500, "currency": "GBP", "status": status, "created_at": AT, **changes}

    def give_back(_body: Any) -> tuple[int, Any]:
        gateway.say("GET", "/v1/refunds", [made])
        return 201 if status == "succeeded" else 202, made

    gateway.does["POST", "/v1/payments/pay_1/refunds"] = give_back
    page = press(opened(OPERATOR, "payments", payment="pay_1"), "Look at it once more")
    assert gateway.acts() == [], "a second look comes first"
    return press(page, "Refund 5.00 GBP")


def test_a_seller_refunds_after_a_second_look_and_reads_how_it_ended(gateway: GatewayDouble) -> None:
    assert "Done: 5.00 GBP" in words(refunded(gateway, "succeeded"))
    assert [path for _, path, _ in gateway.acts()] == ["/v1/payments/pay_1/refunds"]


@pytest.mark.parametrize(
    ("status", "code", "said"), [("succeeded", None, "Done: 5.00 GBP"), ("failed", "call_issuer", "call issuer")]
)
def test_a_pending_refund_is_followed_to_its_end_without_the_calls(
    gateway: GatewayDouble, status: str, code: str | None, said: str
) -> None:
    page = refunded(gateway, "pending")
    assert "Pending:" in words(page)
    ended = {"id": "ref_1", "amount": 500, "currency": "GBP", "status": status, "created_at": AT}
    gateway.say("GET", "/v1/refunds", [ended | {"decline_code": code}])
    assert said in words(page.run())


@pytest.mark.parametrize(
    ("became", "said"),
    [
        ({"state": "captured", "amount_captured": 500, "amount_capturable": 0}, "Done: 5.00 GBP"),
        ({"last_refusal": {"kind": "capture", "decline_code": "expired_card", "at": AT}}, "expired card"),
    ],
)
def test_a_pending_capture_is_followed_by_what_the_payment_becomes(
    gateway: GatewayDouble, became: dict[str, Any], said: str
) -> None:
    held = OWN | {"state": "authorized", "amount": 500, "amount_capturable": 500}
    gateway.show_payment(**held)
    gateway.say("POST", "/v1/payments/pay_1/capture", payment(1, **held), 202)
    page = press(opened(OWNER, "payments", payment="pay_1"), "Look at it once more")
    page = press(page, "Capture 5.00 GBP")
    assert "Pending:" in words(page)
    gateway.show_payment(**held | became)
    assert said in words(page.run())


def test_their_sql_is_narrowed_to_what_they_see() -> None:
    page = opened(VIEWER, "sql")
    page.text_area(key=TEXT).set_value("SELECT count(*) AS n, min(merchant) AS merchant FROM payments")
    said = words(press(page, "Run"))
    assert re.search(r">7<", said)
    assert "acc_shop" in said
    for beyond in ("SELECT risk_score FROM payments", "FROM main.payments", "FROM reviews", "FROM duckdb_views()"):
        page.text_area(key=TEXT).set_value(beyond)
        assert isinstance(press(page, "Run").session_state[OUTCOME], NoAnswer), beyond


def test_their_sql_page_names_the_views_they_see_and_questions_they_can_ask(
    asked: tuple[Shop, SqlSettings],
) -> None:
    page = opened(VIEWER, "sql")
    views = page.selectbox(key="sql-view").options
    assert "payments" in views
    assert "refunds" in views
    assert {"risk", "reviews", "accounts", "pipeline_health"}.isdisjoint(views)
    labels = " ".join(button.label for button in page.button)
    assert "amount\\_captured" in labels
    assert "risk" not in labels
    answers = asking.own_answers()
    person = Person("acc_viewer", "merchant", merchant=OwnMerchant("acc_shop", "Merle's Shop", "viewer"))
    for title, statement in questions(False):
        assert answers.ask(statement, person, VIEWER).trouble is None, title


def test_an_answer_is_one_persons_and_one_merchants() -> None:
    answers, sql = asking.own_answers(), "SELECT count(*)::INT FROM payments"
    at_shop, at_other = (OwnMerchant(id, id, "viewer") for id in ("acc_shop", "acc_other"))
    first = answers.ask(sql, Person("acc_viewer", "merchant", merchant=at_shop), VIEWER)
    assert first.table
    assert first.table.rows == [(7,)]
    # Whoever acts for another one now is answered anew, and by their token: here it is nobody's any more.
    assert (
        answers.ask(sql, Person("acc_viewer", "merchant", merchant=at_other), "eyJnobody." + "x" * 30 + ".y").table
        is None
    )
    again = answers.ask(sql, Person("acc_viewer", "merchant", merchant=at_shop), VIEWER)
    assert again.table is first.table
    assert again.age_s > 0


@pytest.mark.parametrize("who", ["ended", "stranger", "away", Person("acc_1", "customer")])
def test_whoever_lost_a_role_asks_nothing_more_from_an_open_page(
    who: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "visitor", lambda: who)
    answer = asking.ask("SELECT 1")
    assert (answer.table, answer.trouble) == (None, asking.NOT_YOURS)


def test_a_page_of_staff_left_open_is_narrowed_with_the_role(
    gateway: GatewayDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened(OPERATOR)
    assert "Overview" in words(page)
    gateway.accounts[OPERATOR] = gateway.accounts["customer"]
    monkeypatch.setattr(session_checks, "ASK_AGAIN_S", 0)
    assert "No dashboards for you yet" in words(page.run())
    assert links(page.run()) == []


def test_their_saved_views_are_their_own(gateway: GatewayDouble) -> None:
    gateway.say("GET", "/v1/payments", [payment(1, **OWN)])
    gateway.say("GET", "/v1/me/saved", [{"name": "Held", "content": "state=authorized&merchant=acc_other"}])
    page = opened(VIEWER, "payments")
    assert "acc_other" not in words(page)


def test_files_have_what_they_see() -> None:
    viewer = Person("acc_viewer", "merchant", merchant=OwnMerchant("acc_shop", "Merle's Shop", "viewer"))
    assert payments_csv([], viewer).decode().strip().split(",") == [*COLUMNS]
