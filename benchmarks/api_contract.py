"""`python -m benchmarks.api_contract`: schemathesis over every route of a stack, as each role; prints JSON.

All of its checks in all of its phases: examples, coverage, fuzzing, and what answers lead to. Ends with 1 where it
finds what `ACCEPTED` does not name.
"""

import asyncio
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import msgspec
import schemathesis
import structlog
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from benchmarks import stack
from benchmarks.described import SPENT_BY, Tokens, new_customer
from gateway.routes.payments import NOT_FOR_CUSTOMERS
from gateway.seed import SEEDS, SERVICES

WHO = (*(seed.email.partition("@")[0] for seed in SEEDS), *SERVICES, "")  # the last one has no token
CUT_AT = 700
PHASES = ("examples", "coverage", "fuzzing", "stateful")


class Accepted(msgspec.Struct, frozen=True):
    """Findings of one check that are no fault, and why.

    `code`: of the problem that was answered; `paths`: the fields that may be wrong. `operations`: empty means all.
    """

    check: str
    reason: str
    operations: frozenset[str] = frozenset()
    code: str = ""
    paths: frozenset[str] = frozenset()

    def covers(self, check: str, operation: str, problem: dict[str, Any]) -> bool:
        """Whether this is one of them."""
        wrong = {re.sub(r"\[[0-9]+\]", "[]", error["path"]) for error in problem.get("errors") or ()}
        return (
            self.check == check
            and (not self.operations or operation in self.operations)
            and (not self.code or problem.get("code") == self.code)
            and (not self.paths or (bool(wrong) and wrong <= self.paths))
        )


REFUSED_THOUGH_VALID = "positive_data_acceptance"
ACCEPTED = (
    Accepted(
        REFUSED_THOUGH_VALID,
        "a cursor is opaque: one that was not given out is refused",
        code="invalid_request",
        paths=frozenset({"$.cursor"}),
    ),
    Accepted(
        REFUSED_THOUGH_VALID,
        "no schema knows the time zones, languages, phones, currencies, origins, or a card's check digit",
        code="invalid_request",
        paths=frozenset(
            {
                *("$.time_zone", "$.locale", "$.phone", "$.email", "$.name", "$.currency", "$.number"),
                *("$.origins[]", "$.return_urls[]", "$.return_origins[]", "$.redirect_uris[]", "$.scopes[]"),
                *("$.post_logout_redirect_uris[]", "$.expires_at", "$.exp_year"),
            }
        ),
    ),
    Accepted(
        REFUSED_THOUGH_VALID,
        "no schema knows which passwords guessers try first, or somebody's old one",
        operations=frozenset({"POST /v1/accounts", "POST /v1/me/password"}),
        code="invalid_request",
        paths=frozenset({"$.password", "$.old", "$.new"}),
    ),
    Accepted(
        REFUSED_THOUGH_VALID,
        "a payment names a card and a merchant that must be there",
        operations=frozenset({"POST /v1/payments"}),
        code="invalid_request",
    ),
    Accepted(
        REFUSED_THOUGH_VALID,
        "who suspends a merchant says why; an app says where it is; a field has one name at a time",
        operations=frozenset({"PATCH /v1/merchants/{merchant}", "POST /v1/clients", "POST /v1/merchants"}),
        paths=frozenset({"$.suspended", "$.reason", "$.redirect_uris", "$.return_origins"}),
    ),
    Accepted(
        REFUSED_THOUGH_VALID,
        "a stop names one of three things",
        operations=frozenset({"POST /v1/stops"}),
        code="invalid_request",
        paths=frozenset({"$"}),
    ),
    Accepted(
        REFUSED_THOUGH_VALID,
        "a file begins with the names of its columns; a decision about labels names a source or a merchant",
        operations=frozenset({"POST /v1/labels", "POST /v1/labels/decisions", "POST /v1/lists"}),
        code="invalid_request",
        paths=frozenset({"$"}),
    ),
    Accepted(
        REFUSED_THOUGH_VALID,
        "no schema knows what is a value of each kind of list, nor the language of conditions",
        operations=frozenset(
            {
                *("POST /v1/lists", "POST /v1/rules", "POST /v1/rules/check", "POST /v1/rules/backtest"),
                *("PUT /v1/rules/{rule}", "PUT /v1/rules/{rule}/snoozes"),
            }
        ),
        code="invalid_request",
        paths=frozenset({"$.value", "$.expires_at", "$.expression", "$.until"}),
    ),
    Accepted(
        REFUSED_THOUGH_VALID,
        "to a customer some filters are refused: they tell what is not theirs",
        operations=frozenset({"GET /v1/payments"}),
        paths=frozenset(f"$.{name}" for name in NOT_FOR_CUSTOMERS),
    ),
    Accepted(
        REFUSED_THOUGH_VALID,
        "JSON Schema takes 1.0 for an integer; whoever writes money or a month so means something else",
        paths=frozenset({"$.amount", "$.exp_month", "$.exp_year"}),
    ),
    Accepted(
        REFUSED_THOUGH_VALID,
        "a key that was used for another request",
        code="idempotency_key_reused",
    ),
    Accepted(
        REFUSED_THOUGH_VALID,
        "a client that nobody knows: RFC 6749 has it answered by 400",
        operations=frozenset({"POST /oauth/token"}),
    ),
    Accepted(
        REFUSED_THOUGH_VALID,
        "a token or a code that was sent to nobody",
        code="confirmation_invalid",
    ),
    Accepted(
        REFUSED_THOUGH_VALID,
        "a link that was mailed to nobody",
        operations=frozenset({"GET /reset", "GET /invitation"}),
    ),
    Accepted(
        "ensure_resource_availability",
        "the stored answer to an earlier request with the same key names a card that was destroyed since",
        operations=frozenset({"GET /v1/cards/{card}", "DELETE /v1/cards/{card}"}),
        code="not_found",
    ),
    Accepted(
        "not_a_server_error",
        "that it is not ready is what readiness is asked for",
        operations=frozenset({"GET /readyz"}),
        code="unavailable",
    ),
    Accepted(
        "not_a_server_error",
        "Kafka keeps letters and alerts, and the process sql what backtests ask; both may be away",
        operations=frozenset(
            {
                *("GET /v1/dead-letters", "POST /v1/dead-letters/{letter}/replay", "GET /v1/alerts"),
                "POST /v1/rules/backtest",
            }
        ),
        code="unavailable",
    ),
    Accepted(
        "not_a_server_error",
        "this run has stopped sales",
        operations=frozenset({"POST /v1/payments"}),
        code="stopped",
    ),
    Accepted(
        "negative_data_rejection",
        "an empty key is none: where one is required, it is missing",
        operations=frozenset({"POST /v1/cards", "POST /v1/merchants"}),
    ),
)


class ContractFinding(msgspec.Struct, frozen=True, order=True):
    """A check of schemathesis that did not hold: what it said, and the request as a command."""

    operation: str
    check: str
    said: str
    curl: str


class ContractFigures(msgspec.Struct, frozen=True):
    """`requests` by who asked; `answers` by status; `accepted`: findings with a reason, by check."""

    seed: int
    requests: dict[str, int]
    answers: dict[int, int]
    checks: dict[str, int]
    accepted: dict[str, int]
    errors: list[str]
    findings: list[ContractFinding]


@click.command()
@click.option("--examples", default=20, help="Of each operation, in the fuzzing phase, for each role.")
@click.option("--seed", type=int, default=None, help="Of everything random; a new one unless given.")
@click.option("--only", multiple=True, help="Roles; all of them unless given.")
def main(examples: int, seed: int | None, only: tuple[str, ...]) -> None:
    """Hold the API to its own description; takes some minutes."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    with stack.running(settings={"SLUICE_PROXIES": "127.0.0.1,::1"}) as measured:
        measured.await_ready()
        secrets = {name: (measured.settings.secrets() / f"{name}.secret").read_text().strip() for name in SERVICES}
        url, password = measured.settings.url("gateway"), measured.replay.seed_password
        figures = hold(url, Tokens(url, password, secrets), only or WHO, examples, seed)
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    sys.exit(bool(figures.findings or figures.errors))


def hold(
    url: str,
    tokens: Tokens,
    whos: tuple[str, ...],
    examples: int,
    seed: int,
    phases: tuple[str, ...] = PHASES,
) -> ContractFigures:
    """Ask the gateway at `url` as each of these, and judge its answers by its own description."""
    held = _Held(seed)
    kept = {who: asyncio.run(tokens.of(who)) for who in whos if who}  # now: wrong passwords will lock accounts
    for who in whos:
        token = kept.get(who)
        with _each_from_elsewhere(url, random.Random(seed), token):
            held.follow(who, url, _config(seed, token, examples, phases))
    return held.figures()


class _Held:
    """What is found on the way."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._requests = Counter[str]()
        self._answers = Counter[int]()
        self._checks = Counter[str]()
        self._accepted = Counter[str]()
        self._errors = set[str]()
        self._findings: dict[tuple[str, str, str], ContractFinding] = {}

    def follow(self, who: str, url: str, config: SchemathesisConfig) -> None:
        """Run the phases as one of the accounts."""
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
        for event in from_schema(schema).execute():
            match event:
                case events.ScenarioFinished():
                    self._note(who, event.recorder)
                case events.NonFatalError():
                    self._errors.add(f"{event.label}: {event.info.title}: {event.value}"[:500])
                case events.FatalError():
                    raise event.exception

    def _note(self, who: str, recorder: Any) -> None:
        self._requests[who or "nobody"] += len(recorder.interactions)
        for interaction in recorder.interactions.values():
            if interaction.response:
                self._answers[interaction.response.status_code] += 1
        for case_id, checks in recorder.checks.items():
            for check in checks:
                self._checks[check.name] += 1
                if check.failure_info:
                    interaction = recorder.interactions.get(case_id)
                    self._judge(recorder.cases[case_id].value, check, interaction and interaction.response)

    def _judge(self, case: Any, check: Any, response: Any) -> None:
        operation = case.operation.label
        problem = _problem(response)
        for one in ACCEPTED:
            if one.covers(check.name, operation, problem):
                self._accepted[one.reason] += 1
                return
        failure, curl = check.failure_info.failure, str(check.failure_info.code_sample)[:CUT_AT]
        said = f"{failure.title}: {failure.message} {problem}"[:CUT_AT]
        found = ContractFinding(operation, check.name, said, curl)
        self._findings.setdefault((operation, check.name, failure.title), found)

    def figures(self) -> ContractFigures:
        """All of it."""
        return ContractFigures(
            seed=self._seed,
            requests=dict(self._requests),
            answers=dict(sorted(self._answers.items())),
            checks=dict(self._checks),
            accepted=dict(self._accepted),
            errors=sorted(self._errors),
            findings=sorted(self._findings.values()),
        )


def _problem(response: Any) -> dict[str, Any]:
    """What an answer says is wrong; empty where it is no problem."""
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any]) if response else {}
    except msgspec.DecodeError:
        return {}


def _config(seed: int, token: str | None, examples: int, phases: tuple[str, ...]) -> SchemathesisConfig:
    auth = {"auth": {"openapi": {"bearer": {"bearer": token}}}} if token else {}
    # A NUL is refused in any text (no pattern says it), and would hide what else is sent with it.
    return SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "continue-on-failure": True,
            "cache": {"enabled": False},
            "generation": {"max-examples": examples, "database": "none", "allow-x00": False},
            "phases": {name: {"enabled": name in phases} for name in PHASES},
        }
        | auth
    )


@contextmanager
def _each_from_elsewhere(url: str, chance: random.Random, token: str | None) -> Iterator[None]:
    """Each request comes from an address of its own: what is limited by address must not hide the rest.

    What ends a session or an account has a new one.
    """

    def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
        case.headers["X-Forwarded-For"] = ".".join(str(chance.randrange(1, 255)) for _ in range(4))
        if case.operation.label in SPENT_BY and case.headers.get("Authorization") == f"Bearer {token}":
            case.headers["Authorization"] = f"Bearer {asyncio.run(new_customer(url))[1]}"

    schemathesis.hook(before_call)
    try:
        yield
    finally:
        schemathesis.hooks.unregister(before_call)


if __name__ == "__main__":
    main()
