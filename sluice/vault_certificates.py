"""Makes certificates of vaults and of who asks them: an authority of the house, and a directory per holder."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from connectors.durable_files import write_durably
from gateway.vault.certificates import CA, OWN, OWN_KEY, SCHEME, Certified
from schemas.times import now

CA_KEY = "ca.key"
CA_DAYS = 3650
EARLIER = timedelta(minutes=5)  # a clock that is behind takes a new certificate as well


class Authority(NamedTuple):
    """Who signs: its certificate and key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def authority_in(directory: Path) -> Authority:
    """The authority in a directory (`ca.pem`, `ca.key`); a new one where there is none. Raises `OSError`."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (directory / CA_KEY).exists():
        key = load_pem_private_key((directory / CA_KEY).read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return Authority(x509.load_pem_x509_certificate((directory / CA).read_bytes()), key)
    made = new_authority()
    write_durably(directory / CA, made.certificate.public_bytes(Encoding.PEM))
    write_durably(directory / CA_KEY, key_pem(made.key))  # last: whoever was killed before it begins anew
    return made


def new_authority(name: str = "Sluice vaults") -> Authority:
    """An authority for ten years, which signs nothing but holders."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # certificates and lists
    builder = _builder(subject, subject, key, timedelta(days=CA_DAYS))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Authority(builder.sign(key, SHA256()), key)


def write_holder(
    authority: Authority, directory: Path, holder: Certified, hosts: Sequence[str], lasts: timedelta
) -> datetime:
    """Write `ca.pem`, `own.pem` and `own.key` of a holder. Until when it counts. Raises `OSError`.

    `hosts`: names and addresses by which a vault is reached. A gateway's certificate cannot stand for a vault.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _signed(authority, key, holder, hosts, lasts)
    write_durably(directory / CA, authority.certificate.public_bytes(Encoding.PEM))
    write_durably(directory / OWN_KEY, key_pem(key))
    write_durably(directory / OWN, certificate.public_bytes(Encoding.PEM))
    return certificate.not_valid_after_utc


def _signed(
    authority: Authority,
    key: ec.EllipticCurvePrivateKey,
    holder: Certified,
    hosts: Sequence[str],
    lasts: timedelta,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(holder))])
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if holder.role == "vault":
        uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
    names = [x509.UniformResourceIdentifier(f"{SCHEME}:{holder}"), *map(general_name, hosts)]
    signer = authority.certificate
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = _builder(subject, signer.subject, key, lasts)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(identifier, critical=False)
    return builder.sign(authority.key, SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lasts: timedelta
) -> x509.CertificateBuilder:
    begins = now() - EARLIER
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(begins, begins + lasts))
        .not_valid_after(begins + EARLIER + lasts)
    )


def general_name(host: str) -> x509.GeneralName:
    """A host in a certificate: by its address, or by its name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as its file holds it, in clear."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
