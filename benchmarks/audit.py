"""`python -m benchmarks.audit`: the vault's audit. How fast entries are written and verified, and what is found.

Prints JSON: entries verified per second; milliseconds of an opened card, one after another and 64 at a time; and
of `--changes` random edits, deletions, swaps, doubled lines and cut tails how many were found.
"""

import asyncio
import random
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, assert_never, get_args

import click
import msgspec

from gateway.vault.audit import Audit
from gateway.vault.audit_chain import CheckedChain, Head, KeptHead, files
from gateway.vault.audit_trail import FILE_MAX, AuditTrail
from gateway.vault.isolation import Peer
from gateway.vault.opens import Opening
from schemas.ids import new_id
from schemas.times import now

KEPT = timedelta(days=400)
PEER = Peer(1, 2)
HANDS = 64
How = Literal["edit", "delete", "swap", "double", "cut lines", "cut bytes", "no file"]


@click.command()
@click.option("--entries", default=200_000, show_default=True, help="How many are verified.")
@click.option("--changes", default=10_000, show_default=True)
@click.option("--opens", default=2_000, show_default=True, help="How many cards are opened, each way.")
@click.option("--seed", default=1, show_default=True)
def main(entries: int, changes: int, opens: int, seed: int) -> None:
    """Measure, and print JSON."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        figures |= verify_speed(Path(name) / "long", entries)
        figures |= asyncio.run(open_times(Path(name) / "opens", opens))
        figures |= found_changes(Path(name) / "short", changes, random.Random(seed))
    click.echo(msgspec.json.format(msgspec.json.encode(figures)))


def verify_speed(directory: Path, entries: int) -> dict[str, Any]:
    """Entries per second of a whole chain with all its heads."""
    kept = written(directory, entries)
    began = time.perf_counter()
    assert not checked(directory, kept).faults
    return {"entries": entries, "verified_per_s": round(entries / (time.perf_counter() - began))}


async def open_times(directory: Path, opens: int) -> dict[str, Any]:
    """Milliseconds that an entry on disk adds to an opened card."""
    audit = Audit(AuditTrail(directory, KEPT, 10**9))

    async def open_some(count: int) -> None:
        for _ in range(count):
            await audit.open_card(Opening(new_id("op"), "card_a", "acc_a", b""), PEER)

    began = time.perf_counter()
    await open_some(opens // 10)
    alone = time.perf_counter() - began
    began = time.perf_counter()
    await asyncio.gather(*(open_some(opens // HANDS) for _ in range(HANDS)))
    together = time.perf_counter() - began
    await audit.close()
    return {
        "open_alone_ms": round(alone / (opens // 10) * 1000, 3),
        "open_64_at_once_ms_each": round(together / (opens // HANDS * HANDS) * 1000, 3),
    }


def found_changes(directory: Path, changes: int, chance: random.Random) -> dict[str, Any]:
    """How many of so many random changes of a chain show."""
    kept = written(directory, 60, file_max=6_000)
    before = {path: path.read_bytes() for path in files(directory)}
    missed = []
    for _ in range(changes):
        how = change(directory, chance)
        if not checked(directory, kept).faults:
            missed.append(how)
        for path, content in before.items():
            path.write_bytes(content)
    return {"changes": changes, "found": changes - len(missed), "missed": missed[:10]}


def written(directory: Path, entries: int, file_max: int = FILE_MAX) -> list[KeptHead]:
    """A chain that ends with an opened card, and the head that each opened card's operation keeps."""
    trail, kept = AuditTrail(directory, KEPT, 10**9, file_max), []
    for begun in range(0, entries, 256):
        trail.begin()
        for i in range(begun, min(begun + 256, entries)):
            operation_id = new_id("op")
            head: Head = trail.open_card(Opening(operation_id, f"card_{i}", "acc_a", b""), pid=1, uid=2)
            kept.append(KeptHead(operation_id, head))
        trail.commit()
    trail.close()
    return kept


def checked(directory: Path, kept: list[KeptHead], kept_for: timedelta = KEPT) -> CheckedChain:
    """A chain, compared with what operations keep of it."""
    chain = CheckedChain()
    for path in files(directory):
        list(chain.read(path, kept_for, now()))
    chain.compare(kept)
    return chain


def change(directory: Path, chance: random.Random) -> str:
    """Edit, delete, swap or double lines of a file, cut its tail, or remove it; what was done."""
    path = chance.choice(files(directory))
    content = path.read_bytes()
    how: How = chance.choice(get_args(How))
    if how == "no file":
        path.unlink()
    else:
        path.write_bytes(changed(content, how, chance))
    return f"{how} of {path.name}"


def changed(content: bytes, how: How, chance: random.Random) -> bytes:
    """The content of a file, changed in a random place."""
    lines, place = content.splitlines(keepends=True), chance.randrange(len(content))
    i, j = sorted(chance.sample(range(len(lines)), 2))
    match how:
        case "edit":
            edited = bytes([content[place] ^ 1 << chance.randrange(7)])
            return content[:place] + edited + content[place + 1 :]
        case "delete":
            return b"".join(lines[:i] + lines[i + 1 :])
        case "swap":
            lines[i], lines[j] = lines[j], lines[i]
            return b"".join(lines)
        case "double":
            return b"".join([*lines[:i], lines[i], *lines[i:]])
        case "cut lines":
            return b"".join(lines[:j])
        case "cut bytes":
            return content[:place]
        case "no file":
            return b""
        case _:
            assert_never(how)


if __name__ == "__main__":
    main()
