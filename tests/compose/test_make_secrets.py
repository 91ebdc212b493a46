"""`deploy/make-secrets` makes every secret that the compose file mounts, and each is of use to its process."""

import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from connectors.kafka_login import CA_FILE
from connectors.processors.settings import PAYPAL_SECRET, VISA_SECRET, ProcessorSettings
from connectors.settings import MAIL_PASSWORD_FILE
from connectors.sms import TOKEN_FILE
from connectors.sql_tokens import SECRET_FILE as SQL_SECRET
from connectors.warehouse import SQL_READERS, WRITERS_READERS, token
from flows.notifications.recipients import SECRET_FILE
from gateway.identity.signing_keys import SigningKeys
from gateway.identity.tokens import AccessTokens
from gateway.prints import open_prints
from gateway.web.idempotent import fingerprint
from schemas.settings import Settings, load
from schemas.topic_rights import PRINCIPALS
from sluice.broker_secrets import broker_secrets
from sluice.kafka_users import passwords
from sluice.settings import StackSettings
from tests.compose.compose_file import MANY, SERVICES
from tests.tidy.sources import ROOT


def make(directory: Path) -> dict[str, bytes]:
    subprocess.run([ROOT / "deploy" / "make-secrets", directory], check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("made") / "secrets"
    assert make(made).keys() == MANY["secrets"].keys()
    return made


def test_only_their_owner_reaches_them_and_a_container_can_read_them(directory: Path) -> None:
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o644}


def test_what_exists_is_kept(directory: Path) -> None:
    (directory / "visa.secret").write_bytes(b"mine")
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert make(directory) == before
    (directory / "visa.secret").write_bytes(b"")


def test_each_is_new(directory: Path, tmp_path: Path) -> None:
    others = make(tmp_path / "others")
    same = {path.name for path in directory.iterdir() if path.read_bytes() == others[path.name]}
    assert same == {"visa.secret", "mastercard.password", "paypal.secret", "mail.password"}, "those are empty"


def test_the_gateways_keys_are_keys(directory: Path) -> None:
    settings = Settings(secrets_directory=directory, profile="production")
    tokens = AccessTokens(SigningKeys(settings), "https://sluice.example")
    assert tokens.verify(tokens.sign("acc_1", "customer", frozenset())).sub == "acc_1"
    assert fingerprint((directory / "gateway.key").read_bytes(), b"a request")
    assert open_prints(settings).instrument("fp_of_the_vault")


def test_every_reader_of_the_warehouse_has_a_token(directory: Path) -> None:
    settings = Settings(secrets_directory=directory, profile="production")
    readers = (*SQL_READERS, *WRITERS_READERS)
    assert len({token(settings, reader) for reader in readers}) == len(readers)
    for service, those, more in (("sql", SQL_READERS, {SQL_SECRET}), ("analytics", WRITERS_READERS, set[str]())):
        tokens = {f"warehouse.{reader}.token" for reader in those}
        assert set(SERVICES[service]["secrets"]) == tokens | more | {CA_FILE, f"kafka.{service}.password"}


def test_who_shares_a_secret_has_the_same(directory: Path) -> None:
    assert {TOKEN_FILE} == set(SERVICES["catcher"]["secrets"])
    of_kafka = {CA_FILE, "kafka.notifications.password"}
    assert {TOKEN_FILE, SECRET_FILE, MAIL_PASSWORD_FILE} | of_kafka == set(SERVICES["notifications"]["secrets"])
    assert {TOKEN_FILE, SECRET_FILE, MAIL_PASSWORD_FILE, SQL_SECRET} <= set(SERVICES["gateway"]["secrets"])


def test_kafka_has_a_certificate_for_its_names_and_every_services_password(directory: Path) -> None:
    kafka = StackSettings(
        secrets_directory=directory, host="0.0.0.0", kafka_advertised="kafka", profile="production"
    )
    given = broker_secrets(kafka)
    assert given.pem == directory / "kafka.pem"
    context = ssl.create_default_context(cafile=str(directory / CA_FILE))
    assert len(context.get_ca_certs()) == 1
    [ours] = x509.load_pem_x509_certificates((directory / CA_FILE).read_bytes())
    names = ours.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"kafka", "kafka-2", "kafka-3", "localhost"} == set(names.get_values_for_type(x509.DNSName))
    assert len(set(passwords(kafka).values())) == len(PRINCIPALS)


def test_an_empty_processors_secret_is_the_sandboxs(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("visa_secret", "mastercard_password", "paypal_secret"):
        monkeypatch.setenv(f"SLUICE_{name.upper()}_FILE", str(directory / name.replace("_", ".")))
    assert load(ProcessorSettings).visa_secret == VISA_SECRET
    (directory / "paypal.secret").write_text("of our own\n")
    assert load(ProcessorSettings).paypal_secret == "of our own" != PAYPAL_SECRET
