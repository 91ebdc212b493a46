"""The dashboards as a process of their own, and a browser that is logged in there without a login."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import BrowserContext
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from schemas.settings import PORTS
from tests.patience import until

ROOT = Path(__file__).parents[2]
COOKIE_SECRET = "of these tests alone"


class Dashboard(NamedTuple):
    """Where it is, and its process."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def serving(data: Path, port: int, gateway_url: str, **settings: str) -> Iterator[Dashboard]:
    """The dashboards of a data directory, started as `sluice up` starts them."""
    url = f"http://localhost:{port}"
    (data / "secrets").mkdir(parents=True, exist_ok=True)
    (data / "secrets" / "dashboard.cookie").write_text(COOKIE_SECRET)
    given = {
        "SLUICE_DATA": str(data),
        "SLUICE_PORT_OFFSET": str(port - PORTS["dashboard"]),
        "SLUICE_GATEWAY": gateway_url,
        **settings,
    }
    with (data / "streamlit.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dashboards"], env=os.environ | given, stdout=log, stderr=log, cwd=ROOT
        )
        try:
            until(lambda: is_healthy(f"{url}/_stcore/health"))
            yield Dashboard(url, process)
        finally:
            process.kill()
            process.wait()


def is_healthy(url: str) -> bool:
    """Whether there is an answer."""
    try:
        urllib.request.urlopen(url).close()
    except (urllib.error.URLError, ConnectionError):
        return False
    return True


def enter(context: BrowserContext, url: str, token: str) -> None:
    """Give a browser the cookies that Streamlit sets after a login that gave it this access token."""
    values = {
        "_streamlit_user": {"is_logged_in": True, "origin": url, "provider": "default"},
        "_streamlit_user_tokens": {"access_token": token},
    }
    context.add_cookies(
        [
            {
                "name": name,
                "value": create_signed_value(COOKIE_SECRET, name, json.dumps(value)).decode(),
                "url": url,
            }
            for name, value in values.items()
        ]
    )
