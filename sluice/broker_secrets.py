"""The secrets of the stack's own broker: the admin's password and, where a network is crossed, a certificate."""

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from connectors.kafka_login import CA_FILE, password
from connectors.keyfiles import read_or_make
from schemas.times import now
from sluice.broker import BrokerSecrets
from sluice.settings import StackSettings
from sluice.vault_certificates import general_name, key_pem

PEM_FILE = "kafka.pem"  # its key, and its certificate
VALID_FOR = timedelta(days=3650)


def broker_secrets(settings: StackSettings) -> BrokerSecrets:
    """The secrets of the stack's own broker. Raises `SecretMissing` where one does not exist and is not made."""
    admin_password = password(settings, "admin")
    if settings.kafka_protocol() != "sasl_ssl":
        return BrokerSecrets(admin_password)
    names = dict.fromkeys(["localhost", settings.kafka_advertised])
    pem = read_or_make(settings, PEM_FILE, lambda: _self_signed([*names]))
    read_or_make(settings, CA_FILE, lambda: pem[pem.index(b"-----BEGIN CERTIFICATE") :])
    folder = settings.secrets().absolute()
    return BrokerSecrets(admin_password, folder / PEM_FILE, folder / CA_FILE)


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
