"""`docker-compose.yml` runs the processes of `sluice up`, each of them shut in. `make test-compose` runs it."""

import importlib.util
import re
from ipaddress import ip_network

import pytest

from connectors.kafka_login import CA_FILE, password_file
from schemas.topic_rights import PRINCIPALS
from sluice.processes import NAMES
from tests.compose.compose_file import DEMO, FILE, PROCESSES, SERVICES, members, mounting, read_by
from tests.tidy.sources import ROOT, text
from tests.tidy.test_settings import documented

# Read by nothing but the file itself.
OF_COMPOSE = {f"SLUICE_{name}_IMAGE" for name in ("POSTGRES", "PROMETHEUS", "GRAFANA")}
OF_COMPOSE |= {"SLUICE_PUBLISH", "SLUICE_METRICS_PREFIX"}
OBSERVE = {"prometheus", "grafana"}
OURS = sorted(SERVICES.keys() - OBSERVE - {"postgres"})


def test_its_services_are_the_processes_of_the_stack() -> None:
    assert SERVICES.keys() == {*NAMES, *OBSERVE, "postgres", "shoppers"}
    for profile, names in (("demo", DEMO), ("observe", OBSERVE)):
        assert {name for name, service in SERVICES.items() if service.get("profiles") == [profile]} == names


@pytest.mark.parametrize("name", OURS)
def test_a_service_becomes_its_process_and_is_asked_whether_it_is_ready(name: str) -> None:
    service, process = SERVICES[name], PROCESSES[name]
    assert service["command"] == ["run", name]
    assert service["healthcheck"]["test"] == ["CMD", "sluice", "ready", name]
    modules = [module for flag, module in zip(process.command, process.command[1:], strict=False) if flag == "-m"]
    assert name == "kafka" or all(importlib.util.find_spec(module) for module in modules)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_shut_in(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit", "restart", "init"} <= service.keys()
    assert service["healthcheck"]["test"][0] == "CMD"
    assert not {"privileged", "network_mode", "pid", "cap_add", "env_file"} & service.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_a_tag_that_means_something(name: str) -> None:
    image = re.sub(r"\$\{\w+:-(.*)\}", r"\1", SERVICES[name]["image"])
    repository, _, tag = image.partition(":")
    assert tag not in ("", "latest")
    assert not re.match(r"[^/]*[.:]", repository), "an image is named without its registry"


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_given_only_what_it_reads(name: str) -> None:
    given = {variable.removesuffix("_FILE") for variable in SERVICES[name]["environment"]}
    assert given <= read_by(name)


def test_no_secret_is_in_an_environment() -> None:
    named = {variable for service in SERVICES.values() for variable in service.get("environment", ())}
    assert [variable for variable in named if re.search("(PASSWORD|SECRET|TOKEN)$", variable)] == []


def test_every_secret_is_a_file_that_somebody_reads() -> None:
    for name, secret in FILE["secrets"].items():
        assert secret == {"file": f"secrets/{name}"}
        assert members("secrets", name)
    files = {value for service in SERVICES.values() for value in map(str, service.get("environment", {}).values())}
    named = {file.removeprefix("/run/secrets/") for file in files if file.startswith("/run/secrets/")}
    assert named <= FILE["secrets"].keys()


def test_the_vault_is_reached_by_the_gateway_alone_and_by_its_socket_alone() -> None:
    assert members("networks", "vault") == {"vault"}
    assert SERVICES["vault"]["networks"] == ["vault"]
    assert FILE["networks"]["vault"] == {"internal": True}
    assert mounting("vault-socket") == {"vault", "gateway"}
    assert mounting("vault-keys") == mounting("vault") == {"vault"}
    assert members("secrets", "vault.client") == {"vault", "gateway"}
    uids = {name: service["user"].partition(":") for name, service in SERVICES.items()}
    assert [name for name, (uid, _, _) in uids.items() if uid == uids["vault"][0]] == ["vault"]
    assert uids["vault"][2] == uids["gateway"][2], "the socket is opened to its group"
    for one, other in (("vault", "gateway"), ("gateway", "vault")):
        assert SERVICES[one]["environment"]["SLUICE_VAULT_USERS"] == uids[other][0]


def test_the_books_are_reached_by_the_gateway_alone() -> None:
    assert SERVICES["postgres"]["networks"] == ["books"]
    assert members("networks", "books") == {"postgres", "gateway"}
    assert members("secrets", "database.password") == {"postgres", "gateway"}


def test_only_who_reads_or_writes_topics_reaches_kafka() -> None:
    assert members("networks", "events") == {"kafka", "gateway", "fraud", "notifications", "analytics", "sql"}


def test_a_service_has_its_own_password_at_kafka_and_comes_by_tls() -> None:
    for principal in PRINCIPALS:
        assert members("secrets", password_file(principal)) == {"kafka", principal} & SERVICES.keys()
    coming = members("networks", "events") - {"kafka"}
    assert {SERVICES[name]["environment"]["SLUICE_KAFKA_SECURITY"] for name in coming} == {"sasl_ssl"}
    assert members("secrets", CA_FILE) == {"kafka", *coming}


def test_who_asks_sql_does_not_reach_the_writer_of_the_warehouse() -> None:
    assert members("networks", "warehouse") == {"analytics", "dashboard"}
    assert members("networks", "sql") == {"sql"}
    assert members("networks", "tokens") == {"sql", "gateway"}
    assert members("secrets", "warehouse.backtest.token") == {"sql", "gateway"}
    assert members("networks", "questions") == {"sql", "dashboard"}
    assert all(FILE["networks"][name]["internal"] for name in SERVICES["sql"]["networks"])
    shared = set(SERVICES["sql"]["secrets"]) & set(SERVICES["analytics"]["secrets"])
    assert shared == {CA_FILE}, "a certificate, which is no secret"


def test_metrics_are_read_on_a_network_with_each_service_alone() -> None:
    for name in ("gateway", "fraud", "notifications", "analytics", "sql", "dashboard"):
        assert members("networks", f"metrics-{name}") == {name, "prometheus"}
        network = FILE["networks"][f"metrics-{name}"]
        assert network["internal"]
        allowed, subnet = (
            ip_network(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", given))
            for given in (
                SERVICES[name]["environment"]["SLUICE_METRICS_FROM"],
                network["ipam"]["config"][0]["subnet"],
            )
        )
        assert subnet.subnet_of(allowed)
    assert members("networks", "graphs") == OBSERVE


def test_state_has_a_volume_of_its_own() -> None:
    for volume in FILE["volumes"].keys() - {"vault-socket"}:
        assert len(mounting(volume)) == 1, volume


def test_nobody_waits_for_what_the_demo_alone_has() -> None:
    waited_for = {name: set(service.get("depends_on", ())) for name, service in SERVICES.items()}
    assert all(names <= SERVICES.keys() for names in waited_for.values())
    assert not any(names & DEMO for name, names in waited_for.items() if name not in DEMO)


def test_what_may_differ_is_documented() -> None:
    used = set(re.findall(r"\$\{(SLUICE_\w+)", text("docker-compose.yml")))
    assert used - OF_COMPOSE <= documented().keys()
    assert {name for name in OF_COMPOSE if name in text("docs/operators.md")} == OF_COMPOSE


def test_the_image_has_no_root_no_address_and_none_of_our_secrets() -> None:
    dockerfile = text("Dockerfile")
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", dockerfile, re.MULTILINE)
    assert {service["build"]["target"] for service in map(SERVICES.get, OURS) if service} == {"sluice", "kafka"}
    assert ("sluice", "kafka") in stages
    assert re.findall("^USER (.*)$", dockerfile, re.MULTILINE) == [SERVICES["gateway"]["user"]]
    assert re.findall("^ARG BASE=(.*)$", dockerfile, re.MULTILINE) == ["python:3.11-slim-bookworm"]
    assert "://" not in dockerfile
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*", "what is not listed stays out"
    assert "secrets" not in text(".dockerignore").partition("\n")[2]
