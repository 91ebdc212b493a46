"""Settings from the environment: typed, complete, and wrong ones named."""

from pathlib import Path

import pytest

from schemas.settings import PORTS, BadSetting, Settings, load


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "PORT_OFFSET", "KAFKA", "PROFILE"):
        monkeypatch.setenv(f"SLUICE_{name}", "")
    settings = load(Settings)
    assert settings == Settings(data=Path("data"), port_offset=0, kafka="", profile="local")
    assert settings.url("gateway") == "http://localhost:8080"
    assert settings.bootstrap() == "localhost:9092"


def test_all_ports_move_together_and_never_onto_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_PORT_OFFSET", "100")
    moved = load(Settings)
    assert [moved.port(name) - port for name, port in PORTS.items()] == [100] * len(PORTS)
    assert len(set(PORTS.values())) == len(PORTS)


def test_another_cluster_takes_the_place_of_the_local_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_KAFKA", "one:9092,two:9092")
    assert load(Settings).bootstrap() == "one:9092,two:9092"


@pytest.mark.parametrize(("name", "value"), [("SLUICE_PORT_OFFSET", "many"), ("SLUICE_PROFILE", "staging")])
def test_a_wrong_value_is_an_error_that_names_the_variables(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting, match=name):
        load(Settings)
