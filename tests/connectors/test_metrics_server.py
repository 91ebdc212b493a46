"""A process serves its metrics to this machine and to the operator's networks, and to nobody else."""

import http.client
import socket
from collections.abc import Iterator
from threading import Thread

import pytest
from prometheus_client import CollectorRegistry, Counter
from structlog.testing import capture_logs

from connectors.metrics_server import MetricsServer, serve_metrics
from schemas.networks import networks
from schemas.settings import BadSetting, Settings


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    registry = CollectorRegistry()
    Counter("sluice_planted", "A metric.", registry=registry).inc(3)
    with MetricsServer("127.0.0.1", 0, networks("192.0.2.0/24"), registry) as made:
        Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


def ask(server: MetricsServer, method: str = "GET", path: str = "/metrics", **headers: str) -> tuple[int, str]:
    asking = http.client.HTTPConnection(*server.server_address[:2], timeout=5)
    asking.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = asking.getresponse()
    return answer.status, answer.read().decode()


def test_this_machine_reads_metrics_and_nothing_else_is_there(server: MetricsServer) -> None:
    status, text = ask(server)
    assert (status, "sluice_planted_total 3.0" in text) == (200, True)
    assert ask(server, path="/metrics?name[]=x")[0] == 200
    assert ask(server, path="/")[0] == 404
    assert ask(server, method="POST")[0] == 501


@pytest.mark.parametrize("header", ["X_Forwarded_For", "Forwarded"])
def test_what_a_proxy_of_this_machine_hands_on_is_not_of_it(server: MetricsServer, header: str) -> None:
    assert ask(server, **{header: "198.51.100.1"})[0] == 403
    server.allowed = networks("127.0.0.1")
    assert ask(server, **{header: "198.51.100.1"})[0] == 200


def test_another_network_is_hung_up_on_before_anything_is_read(server: MetricsServer) -> None:
    assert not server.verify_request(None, ("198.51.100.1", 1))
    assert server.verify_request(None, ("192.0.2.7", 1))
    assert server.verify_request(None, ("127.0.0.1", 1))


def test_half_a_request_keeps_nobody_waiting(server: MetricsServer) -> None:
    with socket.create_connection(server.server_address[:2]) as silent:
        silent.sendall(b"GET /met")
        assert ask(server)[0] == 200


def test_a_port_that_is_taken_costs_the_metrics_alone(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "port", lambda self, name: server.server_address[1])
    with capture_logs() as lines:
        serve_metrics(Settings(host="127.0.0.1"), "fraud_metrics")
    assert [(line["event"], line["log_level"]) for line in lines] == [("metrics.not_served", "warning")]
    with pytest.raises(BadSetting, match="SLUICE_METRICS_FROM"):
        serve_metrics(Settings(metrics_from="everybody"), "fraud_metrics")
