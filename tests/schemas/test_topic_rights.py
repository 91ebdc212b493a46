"""Who may write and read which topic: complete, and one writer each."""

from schemas.topic_rights import PRINCIPALS, RIGHTS, owner
from schemas.topics import RISK, TOPICS


def test_every_topic_stands_in_the_table_once() -> None:
    assert [rights.topic for rights in RIGHTS] == [topic.name for topic in TOPICS]


def test_a_topic_has_one_writer_or_a_reason() -> None:
    assert all(rights.writers for rights in RIGHTS)
    assert [rights.topic for rights in RIGHTS if (len(rights.writers) > 1) != bool(rights.reason)] == []


def test_who_operates_writes_nothing() -> None:
    writers = {principal for rights in RIGHTS for principal in rights.writers}
    assert writers == set(PRINCIPALS) - {"sql", "operator", "admin"}
    assert owner(RISK.name) == "fraud"
