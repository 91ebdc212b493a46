"""`python -m benchmarks.openid_client`: an app on npm's openid-client logs somebody in; prints JSON.

It is a native app (RFC 8252), which knows nothing of us but the address of our description. A merchant registers
it; here somebody's browser goes where it says, logs in on our pages, and allows what it asks for. It needs npm.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import click
import requests

from benchmarks import stack

PACKAGE = "openid-client@6.9.0"
SCOPE = "openid email payments:read offline_access"
HERE = "http://127.0.0.1"
STEPS_MAX = 12
ANSWER_WITHIN_S = 10


class PlainForm(HTMLParser):
    """The first form of a page, or the address that the page leads on to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action, self.fields, self.leads_to = "", dict[str, str](), ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where it goes and what stands in it."""
        given = {name: value or "" for name, value in attrs}
        match tag:
            case "form":
                self.action = self.action or given["action"]
            case "input" if "name" in given:
                self.fields.setdefault(given["name"], given.get("value", ""))
            case "meta" if given.get("http-equiv") == "refresh":
                self.leads_to = given["content"].partition("url=")[2]


@click.command()
def main() -> None:
    """Register the app, log in to it, and print what it was told."""
    with stack.running() as running, tempfile.TemporaryDirectory(prefix="sluice-openid-") as name:
        running.await_ready("gateway")
        url, password = running.replay.gateway_url(), running.replay.seed_password
        client_id = _register(url, password)
        told = _log_in(_install(Path(name)), url, client_id, password)
    print(json.dumps(told, indent=2))
    good = told.get("after") == "invalid_grant" and told["claims"]["email"] == "customer@example.com"
    sys.exit(not good)


def _register(url: str, password: str) -> str:
    given = {"email": "merchant@example.com", "password": password}
    token = requests.post(f"{url}/v1/login", json=given, timeout=ANSWER_WITHIN_S).json()["access_token"]
    app = {"name": "openid-client", "type": "public", "scopes": ["payments:read"], "redirect_uris": [f"{HERE}/cb"]}
    headers = {"Authorization": f"Bearer {token}"}
    made = requests.post(f"{url}/v1/clients", json=app, headers=headers, timeout=ANSWER_WITHIN_S)
    made.raise_for_status()
    return str(made.json()["id"])


def _install(folder: Path) -> Path:
    """The app in a folder with its package, which comes from the registry that the machine is set up for."""
    subprocess.run(["npm", "install", "--silent", "--prefix", str(folder), PACKAGE], check=True)
    return Path(shutil.copy(Path(__file__).with_name("client.mjs"), folder))


def _log_in(program: Path, url: str, client_id: str, password: str) -> Any:
    command = ["node", str(program), url, client_id, SCOPE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout is not None
        _browse(app.stdout.readline().strip(), {"email": "customer@example.com", "password": password})
        return json.loads(app.stdout.read())


def _browse(address: str, typed: dict[str, str]) -> None:
    """Go to an address, and on from there by what the pages ask, until the app is reached."""
    browser = requests.Session()
    answer = browser.get(address, timeout=ANSWER_WITHIN_S)
    for _ in range(STEPS_MAX):
        if answer.url.startswith(HERE):
            return
        form = PlainForm(answer.text)
        if form.leads_to:
            answer = browser.get(urljoin(answer.url, form.leads_to), timeout=ANSWER_WITHIN_S)
            continue
        fields = form.fields | {name: typed[name] for name in form.fields.keys() & typed} | {"decision": "allow"}
        answer = browser.post(urljoin(answer.url, form.action), fields, timeout=ANSWER_WITHIN_S)
    raise click.ClickException(f"the pages lead nowhere: {answer.url}")


if __name__ == "__main__":
    main()
