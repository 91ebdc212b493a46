"""A number of its own for each look, planted where the look must find it: finding nothing proves nothing yet."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import duckdb
from confluent_kafka import Producer

from benchmarks.canary import looks
from benchmarks.canary.canaries import KINDS, Suspect, card_data, disguises, number, text_forms, texts
from connectors.kafka import create_topics
from connectors.kafka_login import Bootstrap, connection
from schemas.topics import Topic

Plant = Callable[[Path], bool]

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PAGE = 4_096  # of SQLite
HOLDER = (
    "import sys, tempfile, time\n"
    "kept = bytearray(sys.stdin.buffer.readline().strip())\n"
    "file = tempfile.TemporaryFile()\n"
    "file.write(kept)\n"
    "file.flush()\n"
    "print(flush=True)\n"
    "time.sleep(600)\n"
)


def planted_number() -> str:
    """A card number that stands nowhere yet."""
    return number(*KINDS[0], Random(os.urandom(8)))


def missed_disguises() -> list[str]:
    """The disguises of a number, a code, or a text that no suspect recognizes: none."""
    card, mail = planted_number(), "Eve.Planted@example.net"
    suspects = [(card_data([card], ["862"]), disguises(card)), (texts([mail]), text_forms(mail))]
    missed = [
        name for suspect, forms in suspects for name, form in forms.items() if not suspect(b"{" + form + b"}")
    ]
    codes = (
        b'{"cvc":"862"}',
        b"cvc=862",
        b"security_code: 862",
        b"cvv='862'",
        b"CVC 862.",
        b'{\\"cvc\\": \\"862\\"}',
    )
    return missed + [code.decode() for code in codes if not card_data([], ["862"])(code)]


def in_files(folder: Path) -> bool:
    """Whether a number in a file is found."""
    card = planted_number()
    (folder / "planted.log").write_text(f'{{"paid": "{card}"}}')
    return _finds(card, looks.files(folder))


def in_sqlite(folder: Path) -> bool:
    """Whether a number is found that its file has on two pages, so that the file's bytes do not show it."""
    card = planted_number()
    with closing(sqlite3.connect(folder / "planted.sqlite3")) as conn:
        conn.execute(f"PRAGMA page_size = {PAGE}")
        conn.execute("CREATE TABLE planted (id INTEGER PRIMARY KEY, note TEXT)")
        for before in range(PAGE, 2 * PAGE, len(card) - 1):  # of as long values, in one of which a page ends in it
            note = "-" * before + card + "-" * (3 * PAGE - before)
            conn.execute("INSERT INTO planted (note) VALUES (?)", (note,))
        conn.commit()
    return _finds(card, looks.sqlite_files(folder))


def in_duckdb(folder: Path) -> bool:
    """Whether a number in a warehouse is found that stands in one row of many, behind the first piece of them."""
    card = planted_number()
    with duckdb.connect(str(folder / "planted.duckdb")) as conn:
        conn.execute("CREATE TABLE planted (merchant VARCHAR)")
        conn.execute(f"INSERT INTO planted SELECT if(n = 6000, 'shop {card}', 'shop') FROM range(7000) r(n)")
        return _finds(card, looks.warehouse(looks.asked_of(conn)))


def in_kafka(bootstrap: Bootstrap, directory: Path) -> dict[str, bool]:
    """Whether a number in a record is found, by a consumer and in the broker's files, in each codec."""
    found = {}
    for codec in CODECS:
        card, topic = planted_number(), f"planted-{codec}"
        create_topics(bootstrap, [Topic(topic, "none", "Of one look.", (), {}, 1)])
        kafka = Producer(connection(bootstrap) | {"compression.codec": codec, "linger.ms": 50})
        for _ in range(20):  # librdkafka sends as it is what does not become smaller
            kafka.produce(topic, f'{{"card": "{card}"}}')
        kafka.flush(10)
        found[f"a record, {codec}"] = _finds(card, looks.records(bootstrap, [topic]))
        found[f"a segment, {codec}"] = _finds(card, looks.kafka_segments(directory))
    return found


def in_a_process(look: Callable[[int], Iterator[looks.Piece]]) -> bool:
    """Whether a number is found that a process has in memory, and in a file without a name."""
    card = planted_number()
    with _holding(card) as pid:
        return _finds(card, look(pid))


@contextmanager
def _holding(card: str) -> Iterator[int]:
    """The pid of a process that holds a number."""
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdin
            assert process.stdout
            process.stdin.write(f"{card}\n".encode())
            process.stdin.flush()
            process.stdout.readline()
            yield process.pid
        finally:
            process.kill()


def every_plant(bootstrap: Bootstrap, kafka_directory: Path) -> dict[str, bool]:
    """Whether each look finds what was planted for it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {
            "each disguise": not missed_disguises(),
            "a file": in_files(folder),
            "a row of SQLite": in_sqlite(folder),
            "a row of DuckDB": in_duckdb(folder),
            "memory": in_a_process(looks.memory),
            "an open file without a name": in_a_process(lambda pid: looks.open_files(pid, folder)),
            "a page": _finds(card := planted_number(), looks.named_texts({"page": f"<p>{card}</p>"})),
        } | in_kafka(bootstrap, kafka_directory)


def _finds(card: str, pieces: Iterator[looks.Piece]) -> bool:
    suspect: Suspect = card_data([card], [])
    return any(suspect(content) for _, content in pieces)
