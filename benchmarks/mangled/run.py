"""Thousands of mangled requests, each on a connection and from an address of its own; a seed makes them again."""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec

from benchmarks.described import (
    SPENT_BY,
    DescribedOperation,
    Tokens,
    ask,
    asks_as,
    new_customer,
    operations,
)
from benchmarks.mangled.bodies import OF_BODIES
from benchmarks.mangled.heads import OF_HEADS
from benchmarks.mangled.raw import RawRequest, valid
from benchmarks.mangled.talk import NotHttp, Prober, complaints, talk

AT_ONCE = 24
PROBERS = 8
MUTATIONS_MAX = 3


class MangledFinding(msgspec.Struct, frozen=True):
    """A request that was answered wrongly: `number` makes it again. `sent` and `got` are the bytes, cut."""

    number: int
    operation: str
    mutations: list[str]
    wrong: list[str]
    sent: str
    got: str


class MangledFigures(msgspec.Struct, frozen=True):
    """`answers`: by status. `ends`: how connections ended on which the good request got no answer.

    `closed_unanswered`: mutations after which nothing was answered at all.
    """

    seed: int
    requests: int
    operations: int
    answers: dict[str, int]
    ends: dict[str, int]
    closed_unanswered: dict[str, int]
    findings: list[MangledFinding]


class Gatecrasher:
    """Whoever sends the requests: `secrets` are those of the services, by name."""

    def __init__(self, url: str, password: str, secrets: dict[str, str], seed: int) -> None:
        self._url = url
        self._seed = seed
        self._tokens = Tokens(url, password, secrets)
        self._operations: list[DescribedOperation] = []
        self._probers: list[Prober] = []
        self._answers = Counter[str]()
        self._ends = Counter[str]()
        self._unanswered = Counter[str]()
        self._findings: list[MangledFinding] = []

    async def prepare(self) -> None:
        """Read the document, log in, and open the accounts that ask who they are."""
        self._operations = operations(await ask(f"{self._url}/openapi.json"))
        for scope in {operation.scope for operation in self._operations if operation.scope}:
            await self._tokens.of(asks_as(scope))  # now: wrong passwords will lock accounts
        for _ in range(PROBERS):
            self._probers.append(Prober(*await new_customer(self._url)))

    async def crash(self, numbers: range) -> MangledFigures:
        """Send the requests of these numbers."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with slots:
                await self._send(number)

        await asyncio.gather(*[one(number) for number in numbers])
        return MangledFigures(
            seed=self._seed,
            requests=len(numbers),
            operations=len(self._operations),
            answers=dict(sorted(self._answers.items())),
            ends=dict(self._ends),
            closed_unanswered=dict(self._unanswered),
            findings=sorted(self._findings, key=lambda finding: finding.number),
        )

    async def request(self, number: int) -> tuple[str, RawRequest]:
        """The request of a number, with the name of its operation."""
        random = Random(f"{self._seed}/{number}")
        operation = random.choice(self._operations)
        token = await self._token(operation)
        request = valid(operation, token, number, random)
        for _ in range(random.randint(1, MUTATIONS_MAX)):
            mutation: Callable[[Random, RawRequest], None] = random.choice((*OF_HEADS, *OF_BODIES))
            request.mutations.append(mutation.__name__)
            mutation(random, request)
        return operation.name(), request

    async def _send(self, number: int) -> None:
        name, request = await self.request(number)
        source = f"127.{1 + number // 60_000}.{number // 250 % 240}.{1 + number % 250}"
        where = self._url.rpartition(":")[2]
        try:
            found = await talk("127.0.0.1", int(where), source, request, self._probers[number % PROBERS])
        except NotHttp as error:
            self._note(number, name, request, [f"no HTTP: {error}"], b"")
            return
        self._answers.update(str(answer.status) for answer in found.answers)
        if not found.own:
            self._ends[found.ended] += 1
        if not found.answers:
            self._unanswered[" + ".join(sorted(request.mutations))] += 1
        if wrong := complaints(request, found):
            self._note(number, name, request, wrong, b"".join(answer.whole for answer in found.answers))

    def _note(self, number: int, name: str, request: RawRequest, wrong: list[str], got: bytes) -> None:
        sent = request.encoded()
        cut = repr(sent[:1_500]) + (f" … {len(sent)} bytes" if len(sent) > 1_500 else "")
        self._findings.append(MangledFinding(number, name, request.mutations, wrong, cut, repr(got[:1_000])))

    async def _token(self, operation: DescribedOperation) -> str | None:
        if operation.name() in SPENT_BY:
            return (await new_customer(self._url))[1]
        return await self._tokens.of(asks_as(operation.scope)) if operation.scope else None
