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


def test_our_processes_come_to_kafka_with_a_password_and_over_a_network_with_tls() -> None:
    assert Settings().kafka_protocol() == "sasl_plaintext"
    assert Settings(host="0.0.0.0").kafka_protocol() == "sasl_ssl"
    assert Settings(kafka="elsewhere:9092").kafka_protocol() == "plaintext"
    assert Settings(kafka="elsewhere:9092", profile="production").kafka_protocol() == "sasl_ssl"
    for wrong in (
        Settings(kafka_security="plaintext"),
        Settings(kafka="elsewhere:9092", kafka_security="plaintext", profile="production"),
    ):
        with pytest.raises(BadSetting, match="SLUICE_KAFKA_SECURITY"):
            wrong.kafka_protocol()


def test_another_machines_warehouse_is_asked_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(Settings).warehouse_url() == "http://localhost:9495"
    assert load(Settings).sql_url() == "http://localhost:9494"
    monkeypatch.setenv("SLUICE_WAREHOUSE", "https://warehouse.example:443")
    monkeypatch.setenv("SLUICE_SQL", "http://sql.example:9494")
    assert load(Settings).warehouse_url() == "https://warehouse.example:443"
    assert load(Settings).sql_url() == "http://sql.example:9494"


def test_secrets_lie_in_the_data_directory_or_where_they_are_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(Settings).secrets() == Path("data/secrets")
    monkeypatch.setenv("SLUICE_SECRETS", "/run/secrets")
    assert load(Settings).secrets() == Path("/run/secrets")


def test_a_file_may_hold_a_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "kafka"
    file.write_text("one:9092\n")
    monkeypatch.setenv("SLUICE_KAFKA_FILE", str(file))
    assert load(Settings).kafka == "one:9092"
    file.write_text("\n")
    assert load(Settings).kafka == ""
    file.unlink()
    with pytest.raises(BadSetting, match=r"SLUICE_KAFKA_FILE: .*No such file"):
        load(Settings)


@pytest.mark.parametrize(("name", "value"), [("SLUICE_PORT_OFFSET", "many"), ("SLUICE_PROFILE", "staging")])
def test_a_wrong_value_is_an_error_that_names_the_variables(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting, match=name):
        load(Settings)
