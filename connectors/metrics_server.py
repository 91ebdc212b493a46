"""The metrics of a process, served to Prometheus by a thread on a port of its own.

The gateway has no such port: it answers `/metrics` beside its API. The vault has none either: what holds card
numbers listens on no network, and the gateway measures its calls.
"""

import socket
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread
from urllib.parse import urlsplit

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from schemas.networks import LOOPBACK, Networks, is_within, seen_address
from schemas.settings import Settings

PATIENCE_S = 5.0  # for a request; who sends none keeps a thread no longer
FORWARDED = ("X-Forwarded-For", "Forwarded")

log = structlog.get_logger()


class MetricsServer(ThreadingTCPServer):
    """Answers `GET /metrics` for this machine and the `allowed` networks, from `registry`."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, host: str, port: int, allowed: Networks, registry: CollectorRegistry = REGISTRY) -> None:
        """Listen. Raises `OSError` where the port is taken."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self.address_family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        self.allowed, self.registry = allowed, registry
        super().__init__((str(address[0]), port), MetricsHandler)

    def verify_request(self, request: object, client_address: tuple[str, int]) -> bool:
        """Hang up on other networks, before a thread is spent on them."""
        return is_within(seen_address(client_address[0]), LOOPBACK + self.allowed)

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that hangs up is no error of this process."""


class MetricsHandler(BaseHTTPRequestHandler):
    """One request."""

    server: MetricsServer
    timeout = PATIENCE_S
    server_version, sys_version = "sluice", ""

    def do_GET(self) -> None:
        """Send the metrics; 403 to whom they are not for, 404 for another path."""
        if not self._is_allowed():
            self.send_error(403, "Metrics are for the operator's networks.")
        elif urlsplit(self.path).path != "/metrics":
            self.send_error(404)
        else:
            self._answer(generate_latest(self.server.registry))

    def _answer(self, text: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _is_allowed(self) -> bool:
        # What a proxy on this machine hands on comes from elsewhere.
        is_forwarded = any(name in self.headers for name in FORWARDED)
        own: Networks = () if is_forwarded else LOOPBACK
        return is_within(seen_address(self.client_address[0]), own + self.server.allowed)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a line for each scrape would tell nobody anything."""


def serve_metrics(settings: Settings, port: str) -> None:
    """Serve what this process measures on one of `PORTS`, until it ends. Raises `BadSetting`.

    Where the port is taken that is logged, and the process goes on: Prometheus says that it cannot be asked.
    """
    allowed = settings.metrics_networks()
    try:
        server = MetricsServer(settings.host, settings.port(port), allowed)
    except OSError as error:
        log.warning("metrics.not_served", port=settings.port(port), reason=str(error))
        return
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
