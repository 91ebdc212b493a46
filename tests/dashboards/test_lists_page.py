"""The page Lists: entries, filters, one more, a file of many, and removing one."""

from typing import Any

import pytest

from dashboards.gateway_calls import Api
from dashboards.views.lists import KINDS
from schemas.lists import LIST_KINDS
from tests.dashboards.driven import opened, press, words
from tests.dashboards.gateway_double import AT, GatewayDouble

FILE = b"list,kind,value,reason\nblock,country,KP,sanctions\nblock,country,ZZ,none\n"


def entry(number: int = 1, **changes: Any) -> dict[str, Any]:
    made = {"id": f"lst_{number}", "list": "block", "kind": "country", "value": "KP", "reason": "sanctions"}
    return made | {"owner": "acc_other", "hits": 12, "expires_at": None, "updated_at": AT} | changes


@pytest.fixture
def lists(gateway: GatewayDouble, around: None) -> GatewayDouble:
    """A gateway with one entry."""
    gateway.say("GET", "/v1/lists", [entry()])
    return gateway


def test_entries_say_why_until_when_and_how_often(lists: GatewayDouble) -> None:
    lists.say("GET", "/v1/lists", [entry(), entry(2, hits=1, expires_at=AT)])
    page = opened("analyst", "lists", tz="UTC", entry="lst_2")
    first, second = (button.label for button in page.button if button.key in ("choose-lst_1", "choose-lst_2"))
    assert "block country KP" in first
    assert "12 payments · for ever · sanctions" in first
    assert "1 payment · until 27 Nov 07\\:00" in second
    assert "expired" in second
    assert "acc_other" in words(page)


def test_entries_are_filtered_by_the_gateway(lists: GatewayDouble) -> None:
    page = opened("analyst", "lists")
    page.selectbox(key="on-list").set_value("block")
    page.selectbox(key="of-kind").set_value("bin")
    page.run().text_input(key="with-value").set_value("411111").run()
    assert lists.asked[-1][2] == {"limit": "25", "list": "block", "kind": "bin", "value": "411111"}


def test_an_entry_is_put_on_a_list(lists: GatewayDouble) -> None:
    lists.say("POST", "/v1/lists", entry(), 201)
    page = opened("analyst", "lists")
    page.selectbox(key="new-kind-0").set_value("country")
    page.selectbox(key="new-expiry-0").set_value("for ever")
    page.text_input(key="new-value-0").set_value("KP")
    page.text_input(key="new-reason-0").set_value("sanctions")
    page = press(page, "Put it on the list")
    [(_, _, body)] = lists.acts()
    assert body == {"list": "block", "kind": "country", "value": "KP", "reason": "sanctions"}
    assert "country KP is on the block list" in words(page)


def test_what_the_gateway_refuses_stays_typed(lists: GatewayDouble) -> None:
    wrong = [{"path": "$.value", "message": "Not a value of this kind."}]
    lists.refuse("POST", "/v1/lists", 422, "invalid_request", detail="A field is wrong.", errors=wrong)
    page = opened("analyst", "lists")
    page.text_input(key="new-value-0").set_value("nowhere")
    page = press(page, "Put it on the list")
    assert "value: Not a value of this kind." in words(page)
    assert page.text_input(key="new-value-0").value == "nowhere"


def test_a_file_is_put_in_and_its_refused_lines_are_shown(lists: GatewayDouble) -> None:
    answer = {"taken": 1, "refused": [{"line": 3, "code": "value_invalid"}], "refused_count": 1}
    lists.say("POST", "/v1/lists", answer)
    page = opened("analyst", "lists")
    page.file_uploader[0].set_value(("lists.csv", FILE, "text/csv"))
    page = press(page.run(), "Put these on the lists")
    assert lists.acts() == [("POST", "/v1/lists", FILE.decode())]
    said = words(page)
    assert "Lines of the file that stand: 1. Refused: 1." in said
    assert "value invalid" in said


def test_entries_are_taken_as_a_file(lists: GatewayDouble) -> None:
    lists.say("GET", "/v1/lists", "the file")
    assert Api("analyst").get_csv("/v1/lists", list="block", kind="") == b'"the file"'
    assert lists.asked[-1] == ("GET", "/v1/lists", {"list": "block"})


def test_an_entry_is_removed_after_a_second_look(lists: GatewayDouble) -> None:
    lists.say("DELETE", "/v1/lists/lst_1", None, 204)
    page = press(opened("analyst", "lists", entry="lst_1"), "Remove now")
    assert [act[:2] for act in lists.acts()] == [("DELETE", "/v1/lists/lst_1")]
    assert "KP is on the block list no more" in words(page)
    assert "entry" not in page.query_params


def test_every_kind_is_offered() -> None:
    assert tuple(KINDS) == LIST_KINDS
