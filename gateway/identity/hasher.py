"""A process that hashes passwords, `python -m gateway.identity.hasher NICER`, and who asks it.

In a thread at a low priority a hash would now and then be put aside with the interpreter's lock in its hands, and
every payment would wait for it (docs/decisions/0038). It ends with its input, however whoever asks it ended.
"""

import os
import signal
import subprocess
import sys
import threading

import msgspec
from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.vault.isolation import keep_memory_private

TRIES = 2  # a process that was killed is started again


class HashJob(msgspec.Struct, frozen=True):
    """A password to hash with `memory_kib` of memory, or to verify against the hash `stored`."""

    password: str
    memory_kib: int
    stored: str = ""

    def __repr__(self) -> str:
        return "HashJob(…)"

    __str__ = __repr__


class HashAnswer(msgspec.Struct, frozen=True):
    """The hash that was made, or whether the password was `right`."""

    hash: str = ""
    right: bool = False


class HasherAway(Exception):
    """The process could not be started, or died over and over."""


_answers = msgspec.json.Decoder(HashAnswer)
_jobs = msgspec.json.Decoder(HashJob)


class HasherProcess:
    """The process, started once it is needed, at a priority lower by `nicer`."""

    def __init__(self, nicer: int) -> None:
        self._nicer = nicer
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._turn = threading.Lock()

    def ask(self, job: HashJob) -> HashAnswer:
        """Have it do a job, and wait. Raises `HasherAway`."""
        with self._turn:
            for _ in range(TRIES):
                try:
                    return self._ask(job)
                except (OSError, msgspec.DecodeError):
                    self._forget()
        raise HasherAway

    def close(self) -> None:
        """End it, and start no other."""
        self._closed = True
        if process := self._process:
            process.kill()  # whoever waits for its answer gets none
        with self._turn:
            self._forget()

    def _ask(self, job: HashJob) -> HashAnswer:
        if self._closed:
            raise HasherAway
        if self._process is None:
            command = [sys.executable, "-m", "gateway.identity.hasher", str(self._nicer)]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe)  # noqa: S603 - our own command
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(msgspec.json.encode(job) + b"\n")
        self._process.stdin.flush()
        return _answers.decode(self._process.stdout.readline())

    def _forget(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None


def done(job: HashJob) -> HashAnswer:
    """The answer to a job: Argon2id in one pass and one lane, or as the stored hash says."""
    hasher = PasswordHasher(time_cost=1, memory_cost=job.memory_kib, parallelism=1, type=Type.ID)
    if not job.stored:
        return HashAnswer(hash=hasher.hash(job.password))
    try:
        return HashAnswer(right=hasher.verify(job.stored, job.password))
    except (VerificationError, InvalidHashError):
        return HashAnswer()


def main() -> None:
    """Answer jobs, a line of JSON each, until there is no more input."""
    keep_memory_private()  # passwords pass through it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(int(sys.argv[1]))
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(msgspec.json.encode(done(_jobs.decode(line))) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
