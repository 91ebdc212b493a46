"""The switch that stops sales, and the banner of every page, by role, over a double of the gateway."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboards.driven import opened, press, words
from tests.dashboards.gateway_double import AT, GatewayDouble

pytestmark = pytest.mark.usefixtures("around")

MERCHANT = "acc_01m84rpn0xna843ahfzqkn5ps8"


def stop(**target: Any) -> dict[str, Any]:
    """A stop that stands."""
    return {"id": "stp_1", "reason": "declines all", "stopped_by": "acc_other", "stopped_at": AT, **target}


def labels(page: AppTest) -> list[str]:
    return [button.label for button in page.button]


@pytest.mark.parametrize(
    ("name", "target", "body"),
    [
        ("Visa", "visa", {"processor": "visa"}),
        ("PayPal", "paypal", {"processor": "paypal"}),
        ("all sales", "all", {"all": True}),
        ("one merchant", "merchant", {"merchant": MERCHANT}),
    ],
)
def test_an_administrator_stops_with_a_reason_and_after_a_second_look(
    gateway: GatewayDouble, name: str, target: str, body: dict[str, Any]
) -> None:
    def stopped(_asked: Any) -> tuple[int, Any]:
        gateway.say("GET", "/v1/stops", [stop(**body)])
        return 201, stop(**body)

    gateway.say("GET", "/v1/stops", [])
    gateway.does["POST", "/v1/stops"] = stopped
    page = opened("admin", "processors", merchant=MERCHANT)
    assert f"Stop {name}?" in words(page)
    page = press(page, f"Stop {name} now")
    assert "Say " in words(page)
    assert gateway.acts() == []
    page.text_input(key=f"why-{target}-0").set_value("declines all")
    page = press(page, f"Stop {name} now")
    assert gateway.acts() == [("POST", "/v1/stops", body | {"reason": "declines all"})]
    assert "no new payments from now on" in words(page)


def test_who_comes_second_is_told_what_stands(gateway: GatewayDouble) -> None:
    gateway.say("GET", "/v1/stops", [])
    gateway.say("POST", "/v1/stops", stop(processor="visa"))
    page = opened("admin", "processors")
    page.text_input(key="why-visa-0").set_value("me too")
    assert "was stopped already: declines all" in words(press(page, "Stop Visa now"))


def test_what_is_stopped_says_by_whom_and_why_and_is_resumed(gateway: GatewayDouble) -> None:
    gateway.say("GET", "/v1/stops", [stop(processor="visa")])
    gateway.say("GET", "/v1/staff", [{"id": "acc_other", "name": "Opal Other"}])
    gateway.say("DELETE", "/v1/stops/stp_1", None, 204)
    page = opened("admin", "processors", tz="Asia/Tokyo")
    assert "stopped since 27 Nov 16:00 by Opal Other: declines all" in words(page)
    page = press(page, "Resume now")
    assert [act[:2] for act in gateway.acts()] == [("DELETE", "/v1/stops/stp_1")]
    assert "Visa: new payments are taken again" in words(page)


def test_an_analyst_sees_what_is_stopped_and_changes_nothing(gateway: GatewayDouble) -> None:
    gateway.say("GET", "/v1/stops", [stop(all=True)])
    page = opened("analyst", "processors")
    assert "declines all" in words(page)
    assert not [label for label in labels(page) if "Stop" in label or "Resume" in label]


def test_every_page_of_staff_says_what_is_stopped(gateway: GatewayDouble) -> None:
    gateway.say("GET", "/v1/stops", [stop(id=f"stp_{n}", merchant=f"acc_{n}") for n in range(5)])
    for role, path in (("analyst", "reviews"), ("admin", "people"), ("admin", "")):
        assert "Stopped: Merchant acc_0, Merchant acc_1, Merchant acc_2 and 2 more" in words(opened(role, path))
    assert "Stopped" not in words(opened("customer", "reviews"))


def test_where_it_cannot_be_asked_the_page_says_so_and_the_banner_nothing(gateway: GatewayDouble) -> None:
    gateway.refuse("GET", "/v1/stops", 503, "unavailable")
    said = words(opened("admin", "processors"))
    assert "cannot do that at the moment" in said
    assert "Stopped:" not in said
