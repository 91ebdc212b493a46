"""`python -m dashboards`: writes down how people log in, and becomes Streamlit with metrics beside it."""

import json
import os
import sys
from pathlib import Path
from secrets import token_hex, token_urlsafe

import dashboards.metrics  # noqa: F401 - told from the start on, also before somebody looks at a page
from connectors import logs
from connectors.durable_files import write_durably
from connectors.keyfiles import SecretMissing, read_or_make
from connectors.metrics_server import serve_metrics
from connectors.private_files import keep_private
from connectors.secret_files import secret_file
from dashboards.settings import DashboardSettings, is_local
from schemas.settings import BadSetting, load

HOSTS = ("localhost", "*.localhost", "127.0.0.1", "::1")
CLIENT_ID = "dashboard"  # as the gateway registers it
# What pages do in the name of a person, who is given those of them that their role has.
SCOPES = (
    *("openid", "email", "profile", "account", "sessions"),
    *("payments:read", "payments:write", "refunds:write", "operations:read", "reviews:read", "reviews:write"),
    *("accounts:read", "accounts:write", "merchants:read", "merchants:manage", "merchants:write"),
    *("clients:manage", "audit:read", "tasks:read", "tasks:write", "stops:read", "stops:write"),
    *("rules:read", "rules:write", "lists:read", "lists:write", "labels:write"),
    *("sql_tokens:manage", "dead_letters:read", "dead_letters:write"),
)


def login(settings: DashboardSettings) -> str:
    """The `[auth]` section of Streamlit's secrets, in TOML, whose texts are written as JSON's are.

    All five keys are asked for; discovery tells the rest. The access token is shown to pages, which act by it.
    Raises `SecretMissing`.
    """
    auth = {
        "redirect_uri": f"{settings.dashboard_url}/oauth2callback",
        "cookie_secret": _secret(settings, "dashboard.cookie"),
        "client_id": CLIENT_ID,
        "client_secret": _secret(settings, "dashboard.secret"),
        "server_metadata_url": f"{settings.public_url}/.well-known/openid-configuration",
        "expose_tokens": ["access"],
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in auth.items()]
    return "\n".join(["[auth]", *lines, "[auth.client_kwargs]", f"scope = {json.dumps(' '.join(SCOPES))}", ""])


def _secret(settings: DashboardSettings, name: str) -> str:
    return read_or_make(settings, name, lambda: token_urlsafe(32).encode()).decode().strip()


def options(settings: DashboardSettings, secrets: Path) -> dict[str, list[str]]:
    """The options of `streamlit run`. `secrets`: the file that `login` was written to."""
    given = [host.strip() for host in settings.dashboard_hosts.split(",")]
    return {
        "server.port": [str(settings.port("dashboard"))],
        "server.address": [settings.host],
        "server.headless": ["true"],
        "server.enableCORS": ["true"],  # refuses websockets of other origins, whatever the user has set
        "server.enableXsrfProtection": ["true"],
        "server.fileWatcherType": ["none"],
        # Streamlit takes a websocket of its own origin, whatever name that has: one that was pointed here, too.
        "server.allowedHosts": [*HOSTS, settings.host, *filter(None, given)],
        "browser.gatherUsageStats": ["false"],
        "client.toolbarMode": ["viewer"],
        "logger.level": ["warning"],
        "secrets.files": [str(secrets)],
    }


def main() -> None:
    """Become Streamlit; exit 1 with one line where a setting or a secret forbids it."""
    try:
        settings = load(DashboardSettings)
        keep_private(settings.data)
        secrets = settings.data / "run" / "dashboard.toml"
        secrets.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(secrets, login(settings).encode())
        secret_file(settings, "warehouse.dashboard.token", lambda: token_hex(16).encode())  # pages ask by it
    except (BadSetting, SecretMissing, OSError) as error:
        sys.exit(f"dashboard: {error}")
    if is_local(settings.public_url):
        os.putenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # `gateway.localhost` is no loopback to it
    flags = [f"--{name}={value}" for name, values in options(settings, secrets).items() for value in values]
    app = str(Path(__file__).with_name("app.py"))
    os.execv(sys.executable, [sys.executable, "-m", "dashboards", "run", app, *flags])  # noqa: S606 - our own


def become_streamlit() -> None:
    """Serve the metrics of this process, and be the command `streamlit` with this one's arguments."""
    logs.configure("dashboard")
    serve_metrics(load(DashboardSettings), "dashboard_metrics")
    from streamlit.web.cli import main as streamlit  # half a second, and nothing before it needs it

    streamlit(prog_name="streamlit")


if __name__ == "__main__":
    become_streamlit() if sys.argv[1:] else main()
