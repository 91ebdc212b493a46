"""Names of colleagues: all staff share them, and nobody spoils them for the others."""

from collections.abc import Iterator

import pytest

from connectors.gateway import GatewayRefused
from dashboards import chooser, door, staff
from dashboards.staff import Colleague


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(staff, "get_script_run_ctx", lambda **_: object())
    monkeypatch.setattr(door, "api", lambda: None)
    staff._names.clear()
    yield
    staff._names.clear()


def test_one_whose_session_has_ended_leaves_others_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise GatewayRefused(401, "invalid_token", "")

    monkeypatch.setattr(chooser, "first", refuse)
    assert staff.named("acc_bob") == "acc_bob"
    monkeypatch.setattr(chooser, "first", lambda *_: ([Colleague("acc_bob", "Bob Baker")], False))
    assert (staff.named("acc_bob"), staff.named("acc_bob", "acc_bob")) == ("Bob Baker", "you")
