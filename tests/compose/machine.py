"""What the compose file needs of a Debian machine without an image registry: podman, and images made here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.tidy.sources import ROOT

HERE = Path(__file__).parent
PACKAGES = (
    *("podman", "runc", "netavark", "aardvark-dns", "iptables", "nftables"),
    *("fuse-overlayfs", "uidmap", "catatonit", "debootstrap"),
)
RELEASE = "bookworm"  # its Python is 3.11
IN_THE_BASE = "ca-certificates,netbase,python3,python3-venv"
BASE = f"localhost/sluice-base:{RELEASE}"
POSTGRES = "localhost/sluice-postgres:test"
PROXY = "localhost/sluice-haproxy:test"
OURS = ("localhost/sluice:local", "localhost/sluice-kafka:local")
# What takes the place of images that cannot be fetched, by its Dockerfile.
OTHERS = {POSTGRES: "Dockerfile.postgres", PROXY: "Dockerfile.haproxy"}
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
COMPOSE = Path(sys.executable).with_name("podman-compose")

# A file of our own: the machine's podman may be set up for something else. crun refuses hybrid cgroups; without
# systemd there is neither its cgroup manager nor its journal.
CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=20000:20000"]
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
"""


def install_packages() -> None:
    """Install what is missing of `PACKAGES`. Raises `CalledProcessError`."""
    listed = run("dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *PACKAGES, check=False)
    missing = [package for package in PACKAGES if f"{package} installed" not in listed.splitlines()]
    if missing:
        run("apt-get", "update")
        run("apt-get", "install", "--yes", "--no-install-recommends", *missing)


def configure(directory: Path) -> None:
    """Make podman, as this process and its children call it, read a configuration in `directory`."""
    path = directory / "containers.conf"
    path.write_text(CONFIGURATION)
    os.environ["CONTAINERS_CONF"] = str(path)


def make_base() -> None:
    """Make the image `BASE`, Debian with Python that trusts whom this machine trusts. Podman's store keeps it."""
    if subprocess.run(["podman", "image", "exists", BASE], check=False).returncode == 0:
        return
    with TemporaryDirectory(dir="/var/tmp") as directory:
        root, archive = Path(directory) / "root", Path(directory) / "root.tar"
        run("debootstrap", "--variant=minbase", f"--include={IN_THE_BASE}", RELEASE, str(root))
        shutil.copyfile(f"/{AUTHORITIES}", root / AUTHORITIES)
        run("tar", "-C", str(root), "-cf", str(archive), ".")
        run("podman", "import", str(archive), BASE)


def build_images() -> None:
    """Build ours as the compose file says, and what takes the place of others'."""
    build_on = ("--build-arg", f"BASE={BASE}")
    for service in ("kafka", "gateway"):  # in one call both would install everything at the same time
        run(str(COMPOSE), "--file", str(ROOT / "docker-compose.yml"), "build", *build_on, service)
    for image, file in OTHERS.items():
        run("podman", "build", *build_on, "--tag", image, "--file", str(HERE / file), str(HERE))


def run(*words: str, check: bool = True, given: str = "") -> str:
    """The standard output of a command. Raises `CalledProcessError`, with the end of its errors as a note."""
    ran = subprocess.run(words, capture_output=True, text=True, input=given, check=False)
    if check and ran.returncode != 0:
        error = subprocess.CalledProcessError(ran.returncode, words)
        error.add_note((ran.stderr + ran.stdout)[-4000:])
        raise error
    return ran.stdout


def sizes_mb() -> dict[str, int]:
    """How large each image is, with what they share."""
    found = {
        image: int(run("podman", "image", "inspect", "--format", "{{.Size}}", image))
        for image in (BASE, *OURS, *OTHERS)
    }
    return {image.removeprefix("localhost/"): round(size / 1e6) for image, size in found.items()}
