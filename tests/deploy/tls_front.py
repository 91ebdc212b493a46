"""HAProxy with `deploy/sql-tls.cfg` before a port of this machine, certificates, and another host to ask from."""

import ipaddress
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from schemas.times import now
from sluice.broker import is_listening
from sluice.child_process import LAUNCH
from tests.conftest import unused_ports
from tests.patience import until
from tests.tidy.sources import ROOT

CONFIGURATION = ROOT / "deploy" / "sql-tls.cfg"


class OtherHost(msgspec.Struct, frozen=True):
    """`address`: of this machine, as the other host sees it. `prefix` runs a command there."""

    address: str
    prefix: list[str]


class Front(msgspec.Struct, frozen=True):
    """Where the front listens, and the file of whoever signed its certificate."""

    at: str
    authority: Path

    @property
    def port(self) -> int:
        return int(self.at.rpartition(":")[2])


@contextmanager
def other_host() -> Iterator[OtherHost]:
    """A network namespace with a cable to this one; without the rights for one, an address of this host."""
    if os.geteuid() or shutil.which("ip") is None or not _may_make_networks():
        yield OtherHost("127.0.0.2", [])
        return
    name = f"sluice-{secrets.token_hex(3)}"
    near, far = f"{name}a", f"{name}b"
    net = f"10.203.{secrets.randbelow(256)}"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", near[-14:], "type", "veth", "peer", "name", far[-14:], "netns", name)
        _ip("address", "add", f"{net}.1/30", "dev", near[-14:])
        _ip("link", "set", near[-14:], "up")
        _ip("-n", name, "address", "add", f"{net}.2/30", "dev", far[-14:])
        _ip("-n", name, "link", "set", far[-14:], "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield OtherHost(f"{net}.1", ["ip", "netns", "exec", name])
    finally:
        _ip("netns", "delete", name)


def _may_make_networks() -> bool:
    """Root of a container may not."""
    return subprocess.run(["unshare", "--net", "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def haproxy() -> str:
    """The program."""
    found = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, "the tests of TLS need the Debian package haproxy: make haproxy"
    return found


@contextmanager
def front(directory: Path, upstream: int, address: str, *changes: tuple[str, str]) -> Iterator[Front]:
    """HAProxy at `address`, before `upstream` (a port); `changes` are replaced in its configuration."""
    text = CONFIGURATION.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (directory / "sql-tls.cfg").write_text(text)
    at = f"{address}:{unused_ports(1)[0]}"
    own = {
        "SLUICE_SQL_TLS_LISTEN": at,
        "SLUICE_SQL_TLS_UPSTREAM": f"127.0.0.1:{upstream}",
        "SLUICE_SQL_TLS_PEM": str(certificate(directory, "ours", address)),
    }
    launch = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid())]  # it ends with the tests
    command = [*launch, haproxy(), "-db", "-f", str(directory / "sql-tls.cfg")]
    with (directory / "front.log").open("w") as log:
        process = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
    try:
        until(lambda: is_listening(at))
        yield Front(at, directory / "ours.ca.pem")
    finally:
        process.terminate()
        process.wait()


def certificate(directory: Path, authority: str, address: str) -> Path:
    """A certificate for an address with its key, signed by an authority made for it: `NAME.pem`, `NAME.ca.pem`."""
    above, below = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = _named(authority)
    ca = _signed(_builder(name, above, x509.BasicConstraints(ca=True, path_length=0)), name, above)
    (directory / f"{authority}.ca.pem").write_bytes(ca)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    leaf = _signed(_builder(_named("sql"), below, names), name, above)
    key = below.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = directory / f"{authority}.pem"
    path.write_bytes(leaf + key)
    return path


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(subject_name=subject, public_key=key.public_key())
    builder = builder.not_valid_before(now() - timedelta(hours=1)).not_valid_after(now() + timedelta(days=1))
    return builder.serial_number(x509.random_serial_number()).add_extension(extension, critical=True)


def _signed(builder: x509.CertificateBuilder, by: x509.Name, key: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.issuer_name(by).sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
