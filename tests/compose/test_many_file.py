"""`docker-compose.many.yml` makes several of some services, alike but for names. `make test-compose` runs it."""

import re
from typing import Any

import pytest
import yaml

from connectors.kafka_login import CA_FILE
from schemas.settings import PORTS
from tests.compose.compose_file import FILE, MANY, PROCESSES, SERVICES, read_by
from tests.tidy.sources import text

NEW = ("kafka-2", "kafka-3", "fraud-2", "gateway-2", "proxy")
SEVERAL: dict[str, dict[str, Any]] = MANY["services"]
NODES = ("kafka", "kafka-2", "kafka-3")
GATEWAYS = {"gateway": "front-1", "gateway-2": "front-2"}


def on(network: str) -> set[str]:
    return {name for name, service in SEVERAL.items() if network in service.get("networks", ())}


def differing(one: str, other: str) -> set[str]:
    """Where two services differ: `environment.NAME`, or the name of a part."""
    left, right = (dict(SEVERAL[name]) for name in (one, other))
    given = {**left.pop("environment")}, {**right.pop("environment")}
    named = {f"environment.{name}" for name in given[0] | given[1] if given[0].get(name) != given[1].get(name)}
    return named | {part for part in left | right if left.get(part) != right.get(part)}


def test_it_adds_to_the_services_of_one_and_takes_none_away() -> None:
    assert SEVERAL.keys() == {*SERVICES, *NEW}


def test_those_of_a_kind_differ_by_their_names_alone() -> None:
    assert differing("kafka-2", "kafka-3") == {"environment.SLUICE_KAFKA_ADVERTISED", "volumes"}
    assert differing("kafka", "kafka-2") == {"environment.SLUICE_KAFKA_ADVERTISED", "volumes"}
    assert differing("gateway", "gateway-2") == {"environment.SLUICE_WORKER", "networks"}
    assert differing("fraud", "fraud-2") == {"command", "healthcheck", "networks"}
    assert on("metrics-gateway") == {*GATEWAYS, "prometheus"}
    assert on("metrics-fraud") == {"fraud", "fraud-2", "prometheus"}


@pytest.mark.parametrize("name", sorted(SEVERAL.keys() - {"prometheus", "grafana", "postgres", "proxy"}))
def test_a_service_is_given_only_what_it_reads(name: str) -> None:
    process = SEVERAL[name]["command"][1]
    assert process in PROCESSES
    assert SEVERAL[name]["healthcheck"]["test"][1:] == ["sluice", "ready", process]
    given = {variable.removesuffix("_FILE") for variable in SEVERAL[name]["environment"]}
    assert given <= read_by(process)


def test_the_proxy_is_shut_in_as_the_others_are() -> None:
    proxy, other = SEVERAL["proxy"], SEVERAL["gateway"]
    for part in ("read_only", "tmpfs", "init", "cap_drop", "security_opt", "restart"):
        assert proxy[part] == other[part]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", proxy["user"])
    assert {"mem_limit", "cpus", "pids_limit"} <= proxy.keys()


def test_kafka_has_three_nodes_that_each_client_knows() -> None:
    nodes = {SEVERAL[name]["environment"]["SLUICE_KAFKA_NODES"] for name in NODES}
    assert nodes == {",".join(NODES)}
    assert tuple(SEVERAL[name]["environment"]["SLUICE_KAFKA_ADVERTISED"] for name in NODES) == NODES
    clients = on("events") - {*NODES}
    assert clients == {*GATEWAYS, "fraud", "fraud-2", "notifications", "analytics", "sql"}
    servers = ",".join(f"{name}:{PORTS['kafka_services']}" for name in NODES)
    assert {SEVERAL[name]["environment"]["SLUICE_KAFKA"] for name in clients} == {servers}
    assert all(CA_FILE in SEVERAL[name]["secrets"] for name in clients)


def test_the_fraud_workers_meet_where_nobody_else_is() -> None:
    assert on("workers") == {"fraud", "fraud-2"}
    places = [
        f"{SEVERAL[name]['networks']['workers']['aliases'][0]}:{PORTS[process]}"
        for name, process in (("fraud", "fraud"), ("fraud-2", "fraud_2"))
    ]
    assert SEVERAL["fraud"]["environment"]["SLUICE_FRAUD_ADDRESSES"] == ",".join(places)
    assert SEVERAL["fraud"]["volumes"] == SEVERAL["fraud-2"]["volumes"] == ["fraud:/data"]


def test_clients_reach_the_gateways_by_the_proxy_alone() -> None:
    assert on("front") == {*GATEWAYS, "proxy"}
    assert "api" not in SEVERAL["gateway"]["networks"]
    assert not any("ports" in SEVERAL[name] for name in GATEWAYS)
    [front] = MANY["networks"]["front"]["ipam"]["config"]
    assert {SEVERAL[name]["environment"]["SLUICE_PROXIES"] for name in GATEWAYS} == {front["subnet"]}
    servers = re.findall(r"^ +server (\S+) (\S+)", text("deploy/gateways.cfg"), re.MULTILINE)
    assert dict(servers) == {name: f"{alias}:{PORTS['gateway']}" for name, alias in GATEWAYS.items()}
    for name, alias in GATEWAYS.items():
        assert SEVERAL[name]["networks"]["front"] == {"aliases": [alias]}


def test_who_asks_the_gateway_asks_the_proxy() -> None:
    for name in ("notifications", "sql", "dashboard"):
        assert SEVERAL[name]["environment"]["SLUICE_GATEWAY"] == "http://proxy:8080"
        assert set(SEVERAL[name]["networks"]) & set(SEVERAL["proxy"]["networks"])


def test_prometheus_asks_each_of_them() -> None:
    config = SEVERAL["prometheus"]["command"][0].removeprefix("--config.file=/etc/prometheus/")
    jobs, alone = (
        {job["job_name"]: job["static_configs"][0]["targets"] for job in yaml.safe_load(file)["scrape_configs"]}
        for file in (text(f"deploy/prometheus/{config}"), text("deploy/prometheus/compose.yml"))
    )
    assert jobs["gateway"] == [f"{name}:{PORTS['gateway']}" for name in GATEWAYS]
    assert jobs["fraud"] == [f"fraud:{PORTS['fraud_metrics']}", f"fraud-2:{PORTS['fraud_2_metrics']}"]
    assert {job: jobs[job] for job in jobs.keys() - {"gateway", "fraud"}} == {
        job: alone[job] for job in alone.keys() - {"gateway", "fraud"}
    }


def test_its_secrets_are_files_of_nodes_and_proxy() -> None:
    more = MANY["secrets"].keys() - FILE["secrets"].keys()
    assert more == {"kafka.cluster", "proxy.pem"}
    assert {name for name, service in SEVERAL.items() if more & set(service.get("secrets", ()))} == {
        *NODES,
        "proxy",
    }
