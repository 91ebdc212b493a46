"""The secrets of the stack's own broker: the admin's password and, where a network is crossed, a certificate."""

from datetime import timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from connectors.kafka_login import CA_FILE, new_password, password
from connectors.keyfiles import read_or_make
from schemas.times import now
from sluice.broker import as_cluster_id
from sluice.broker_properties import BrokerSecrets
from sluice.settings import StackSettings
from sluice.vault_certificates import general_name, key_pem

PEM_FILE = "kafka.pem"  # its key, and its certificate
CLUSTER_FILE = "kafka.cluster"
VALID_FOR = timedelta(days=3650)


def broker_secrets(settings: StackSettings) -> BrokerSecrets:
    """The secrets of the stack's own broker. Raises `SecretMissing` where one does not exist and is not made."""
    admin_password, cluster_id = password(settings, "admin"), _cluster_id(settings)
    if settings.kafka_protocol() != "sasl_ssl":
        return BrokerSecrets(admin_password, cluster_id=cluster_id)
    names = dict.fromkeys(["localhost", settings.kafka_advertised, *settings.kafka_hosts()])
    pem = read_or_make(settings, PEM_FILE, lambda: _self_signed([*names]))
    read_or_make(settings, CA_FILE, lambda: pem[pem.index(b"-----BEGIN CERTIFICATE") :])
    folder = settings.secrets().absolute()
    return BrokerSecrets(admin_password, folder / PEM_FILE, folder / CA_FILE, cluster_id)


def _cluster_id(settings: StackSettings) -> str:
    """Of a cluster: no secret, but a file that all its nodes have, as they have the others."""
    if not settings.kafka_nodes:
        return ""
    return as_cluster_id(sha256(read_or_make(settings, CLUSTER_FILE, new_password)).digest()[:16])


def _self_signed(names: list[str]) -> bytes:
    """A key, and a certificate that it signed itself: who trusts that trusts this broker and no other."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kafka")])  # Java takes no issuer without a name
    alternatives = x509.SubjectAlternativeName([general_name(each) for each in names])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + VALID_FOR)
        .add_extension(alternatives, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return key_pem(key) + certificate.public_bytes(Encoding.PEM)
