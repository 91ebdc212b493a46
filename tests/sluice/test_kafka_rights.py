"""Who may do what at the stack's own Kafka: each principal tries everything that is another's."""

from collections.abc import Iterator
from itertools import count

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AclOperation, AdminClient
from confluent_kafka.cimpl import NewTopic

from connectors.kafka import KafkaRefused, admin_client, check_login, check_rights, consumer, log_in, producer
from connectors.kafka_login import Bootstrap, KafkaLogin, connection, login, owner_login
from schemas.topic_rights import ANONYMOUS, PRINCIPALS, RIGHTS, Principal
from schemas.topics import CONTROLS, LABELS, PAYMENTS, RISK
from sluice import kafka_acls
from sluice.cli import main
from sluice.kafka_acls import AclChange, difference, wanted
from sluice.settings import StackSettings
from tests.conftest import ANYTHING

REFUSED = {KafkaError.TOPIC_AUTHORIZATION_FAILED}
WRITERS = {rights.topic: rights.writers for rights in RIGHTS}
READERS = {rights.topic: rights.readers for rights in RIGHTS}
SERVICES = [principal for principal in PRINCIPALS if principal != "admin"]
TEAMS = count()


@pytest.fixture
def guarded(kafka_settings: StackSettings) -> Iterator[StackSettings]:
    """The broker of the tests, with no right beside those of a real one."""
    admin = admin_client(login(kafka_settings, "admin"))
    kafka_acls.remove_all(admin, ANYTHING)
    yield kafka_settings
    kafka_acls.add_all(admin, ANYTHING)


def refused_writes(bootstrap: Bootstrap) -> set[str]:
    """The topics of ours that do not take a record; the others have one more, which nobody can read."""
    # Without idempotence: such a producer of somebody who may write nothing gives up before it asks for a topic.
    client = Producer(
        connection(bootstrap) | {"message.timeout.ms": 20_000, "topic.metadata.refresh.interval.ms": -1}
    )
    refused: set[str] = set()
    for topic in WRITERS:
        client.produce(topic, b"an attempt", b"key", on_delivery=lambda e, m: _note(refused, e, str(m.topic())))
    assert client.flush(30) == 0
    return refused


def _note(refused: set[str], error: KafkaError | None, topic: str) -> None:
    if error is not None:
        assert error.code() in REFUSED, error
        refused.add(topic)


def refused_reads(bootstrap: Bootstrap) -> set[str]:
    """The topics of ours of which nothing may be read."""
    client, found = consumer(bootstrap), set[str]()
    for topic, metadata in ((name, client.list_topics(name, timeout=10).topics[name]) for name in READERS):
        if metadata.error is not None:
            assert metadata.error.code() in REFUSED
            found.add(topic)
    client.close()
    return found


@pytest.mark.parametrize("principal", SERVICES)
def test_a_service_writes_its_own_topics_and_no_other(guarded: StackSettings, principal: Principal) -> None:
    foreign = {topic for topic, writers in WRITERS.items() if principal not in writers}
    assert refused_writes(login(guarded, principal)) == foreign


@pytest.mark.parametrize("principal", SERVICES)
def test_a_service_reads_what_it_is_for(guarded: StackSettings, principal: Principal) -> None:
    neither = {t for t, readers in READERS.items() if principal not in (*readers, *WRITERS[t])}
    assert refused_reads(login(guarded, principal)) == neither


def test_whoever_has_no_password_writes_nothing(guarded: StackSettings) -> None:
    assert refused_writes(guarded.bootstrap()) == WRITERS.keys()
    with pytest.raises(KafkaException, match="Cluster authorization failed"):
        idempotent(guarded.bootstrap(), RISK.name)
    client = AdminClient(connection(guarded.bootstrap()))
    with pytest.raises(KafkaException, match="AUTHORIZATION_FAILED"):
        client.create_topics([NewTopic("theirs", 1, 1)])["theirs"].result()
    with pytest.raises(KafkaException, match="AUTHORIZATION_FAILED"):
        client.delete_topics([RISK.name])[RISK.name].result()


def idempotent(bootstrap: Bootstrap, topic: str) -> None:
    client = producer(bootstrap)
    client.produce(topic, b"an attempt")
    client.flush(30)


def test_whoever_has_no_password_reads_every_topic_with_any_group(guarded: StackSettings) -> None:
    assert refused_reads(guarded.bootstrap()) == set()
    client = Consumer(connection(guarded.bootstrap()) | {"group.id": "my-team", "auto.offset.reset": "earliest"})
    idempotent(login(guarded, "fraud"), RISK.name)
    client.subscribe([RISK.name])
    message = client.poll(60)
    assert message is not None
    assert message.error() is None
    assert client.commit(message, asynchronous=False)
    client.close()


def test_no_service_makes_topics_or_rights(guarded: StackSettings) -> None:
    for principal in SERVICES:
        client = admin_client(login(guarded, principal))
        with pytest.raises(KafkaException, match="AUTHORIZATION_FAILED"):
            client.create_topics([NewTopic("theirs", 1, 1)])["theirs"].result()
        with pytest.raises(KafkaException, match="AUTHORIZATION_FAILED"):
            kafka_acls.add_all(client, ANYTHING)


def test_a_wrong_password_is_one_line_and_the_end(guarded: StackSettings) -> None:
    right = login(guarded, "fraud")
    assert isinstance(right, KafkaLogin)
    with pytest.raises(KafkaRefused, match=r"does not let sluice-fraud in: .*invalid credentials"):
        check_login(KafkaLogin(right.servers, right.user, "wrong", tls=False))
    check_login(right)
    assert right.password not in repr(right)


def test_a_rotated_password_is_told_to_kafka_and_the_one_before_is_refused(guarded: StackSettings) -> None:
    before = login(guarded, "notifications")
    ran = CliRunner().invoke(main, ["keys", "rotate", "kafka.notifications.password"], env=environment(guarded))
    assert ran.exit_code == 0, ran.output
    check_login(login(guarded, "notifications"))
    with pytest.raises(KafkaRefused, match="invalid credentials"):
        check_login(before)


def test_a_process_that_is_refused_ends(kafka_settings: StackSettings, tmp_path: str) -> None:
    servers = f"localhost:{kafka_settings.port('kafka_services')}"
    stranger = StackSettings(data=tmp_path, kafka=servers, kafka_security="sasl_plaintext")  # type: ignore[arg-type]
    with pytest.raises(SystemExit, match="1"):
        log_in(stranger, "fraud")


def test_a_missing_right_is_named(guarded: StackSettings) -> None:
    for principal in SERVICES:
        check_rights(login(guarded, principal), principal)
    with pytest.raises(KafkaRefused, match=r"does not let sluice-notifications .*WRITE risk\.v1, READ labels\.v1"):
        check_rights(login(guarded, "notifications"), "fraud")


def test_dead_letters_are_sent_again_by_the_topics_owner(guarded: StackSettings, tmp_path: str) -> None:
    for rights in RIGHTS:
        assert owner_login(guarded, rights.topic) == login(guarded, rights.writers[0])
    elsewhere = StackSettings(data=tmp_path, secrets_directory=None)  # type: ignore[arg-type]
    assert owner_login(elsewhere, RISK.name) is None


def sluice(settings: StackSettings, *words: str) -> Result:
    return CliRunner().invoke(main, ["kafka", *words], env=environment(settings))


def environment(settings: StackSettings) -> dict[str, str]:
    return {"SLUICE_DATA": str(settings.data), "SLUICE_PORT_OFFSET": str(settings.port_offset)}


def test_apply_makes_what_is_missing_takes_what_is_too_much_and_then_nothing(guarded: StackSettings) -> None:
    admin = admin_client(login(guarded, "admin"))
    assert (sluice(guarded, "apply", "--check").output, sluice(guarded, "apply").exit_code) == (
        "nothing to change\n",
        0,
    )
    [of_fraud] = [b for b in wanted(True) if b.name == RISK.name and b.operation == AclOperation.WRITE]
    kafka_acls.remove_all(admin, [of_fraud])
    hole = kafka_acls._allow(of_fraud.restype, CONTROLS.name, "User:somebody", AclOperation.ALL)
    kafka_acls.add_all(admin, [hole])
    checked = sluice(guarded, "apply", "--check")
    assert checked.exit_code == 1
    assert checked.output.splitlines() == [
        "+ User:sluice-fraud may write topic risk.v1",
        "- User:somebody may all topic controls.v1",
    ]
    assert sluice(guarded, "apply").output == checked.output
    assert sluice(guarded, "apply", "--check").exit_code == 0


def test_a_team_is_let_in_to_read_and_out_again(guarded: StackSettings) -> None:
    name, servers = f"team-{next(TEAMS)}", f"localhost:{guarded.port('kafka_services')}"
    team = KafkaLogin(servers, name, sluice(guarded, "grant", name).output.strip(), tls=False)
    check_login(team)
    assert (refused_reads(team), refused_writes(team)) == (set(), WRITERS.keys())
    assert sluice(guarded, "revoke", name).exit_code == 0
    with pytest.raises(KafkaRefused):
        check_login(team)
    assert sluice(guarded, "grant", "sluice-gateway").exit_code == 1


def test_what_others_may_do_by_a_pattern_is_said_and_what_they_read_is_theirs() -> None:
    [some] = [b for b in wanted(False) if b.name == RISK.name and b.operation == AclOperation.WRITE]
    everywhere = kafka_acls._allow(some.restype, "*", "User:other", AclOperation.WRITE)
    reads = kafka_acls._allow(some.restype, LABELS.name, "User:other", AclOperation.READ)
    nobody = kafka_acls._allow(some.restype, PAYMENTS.name, ANONYMOUS, AclOperation.READ)
    found = {*wanted(False), everywhere, reads, nobody}
    assert difference(found, anonymous=False) == AclChange((), (), (everywhere,))
    assert nobody in difference(found, anonymous=True).remove
