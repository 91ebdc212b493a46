"""What pages name is there: settings, routes, metrics, commands, log events, cards; some of it the other way."""

import re
from itertools import chain
from typing import get_args

import pytest
from quart import Quart

from connectors.sandbox import magic
from gateway.identity.profiles import NotificationKind
from gateway.routes import BLUEPRINTS
from gateway.web.openapi import declared
from schemas.topic_rights import RIGHTS
from sluice.cli import COMMANDS
from sluice.sql import sql
from tests.docs.test_pages import metrics, missing, routes
from tests.tidy.rules import log_events
from tests.tidy.sources import files, room_files, text

# For users; decisions and the changelog also name what is gone.
PAGES = ["README.md", "CONTRIBUTING.md", *(path for path in files() if re.fullmatch(r"docs/\w+\.md", path))]
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
PLACEHOLDERS = {"SLUICE_X", "SLUICE_X_FILE"}


def code(page: str) -> list[str]:
    """What a page has as code: the spans of its sentences, and the lines of its shell examples."""
    whole = text(page)
    lines = chain.from_iterable(block.splitlines() for block in SHELL.findall(whole))
    return [*SHELL.sub("", whole).split("`")[1::2], *lines]


def named(pattern: str) -> set[str]:
    """Every match of the pattern in the code of the pages."""
    return {found for page in PAGES for span in code(page) for found in re.findall(pattern, span)}


def test_each_setting_named_is_one() -> None:
    files = (".env.example", "docker-compose.yml", "docker-compose.many.yml")
    known = {found for file in files for found in re.findall(r"SLUICE_[A-Z_]+[A-Z]", text(file))}
    assert named(r"SLUICE_[A-Z_]+[A-Z]\b(?!…)") - PLACEHOLDERS - known == set()


def test_each_route_named_is_one_or_leads_to_one() -> None:
    there = {re.sub(r"{\w+}", "{}", route) for route in routes()}
    paths = named(
        r"(?<![\w}.…])/(?:v1|oauth|schemas|webhooks|docs|openapi|asyncapi|healthz|readyz|metrics)[\w/{}.-]*"
    )
    asked = {re.sub(r"{\w+}", "{}", path).rstrip("/.-") for path in paths}
    lost = {path for path in asked if not any(route == path or route.startswith(f"{path}/") for route in there)}
    assert lost == set()


def test_the_table_of_rights_at_kafka_is_the_one_that_is_applied() -> None:
    section = text("docs/operators.md").split("## Kafka: who may do what")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_.0-9]+)` \| (.*) \| (.*) \|$", section, re.MULTILINE)
    told = [(topic, tuple(by.partition(": ")[0].split(", ")), tuple(read.split(", "))) for topic, by, read in rows]
    assert told == [(rights.topic, rights.writers, rights.readers) for rights in RIGHTS]


def test_each_filter_of_a_list_is_named_to_clients() -> None:
    app = Quart("routes", static_folder=None)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    asked = {name for _, _, rules, _ in declared(app) if rules.query for name in rules.query.__struct_fields__}
    assert missing("api.md", asked) == []


def test_each_metric_named_is_one() -> None:
    assert named(r"\bsluice_\w+\b(?!…)") - set(metrics()) - {"sluice_device"} == set()  # a cookie


def test_each_command_named_is_one() -> None:
    assert named(r"(?:^|/)sluice ([a-z][a-z-]+)") - COMMANDS.keys() == set()
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    assert named(r"(?:^|[`;] ?)make ([a-z-]+)") - targets == set()
    modules = {path.removesuffix(".py").removesuffix("/__main__").replace("/", ".") for path in files()}
    assert named(r"python -m (benchmarks[.\w]*)") - modules == set()


def test_help_and_page_name_each_view_and_preference() -> None:
    views = re.findall(r"CREATE (?:OR REPLACE )?VIEW (\w+)", text("flows/analytics/views.sql"))
    help_text = " ".join((sql.help or "").split())
    assert [view for view in views if not re.search(rf"\b{view}\b", help_text)] == []
    assert len(views) > 10
    assert missing("api.md", get_args(NotificationKind)) == []


@pytest.fixture(scope="module")
def logged() -> set[str]:
    """The events of the processes; what is known only while it runs (`vault.x`) is not among them."""
    paths = [path for path in room_files() if not path.startswith("benchmarks/")]
    return {event for path in paths for event in log_events(text(path)) if not event.endswith(".x")}


def test_each_log_event_is_explained_to_operators(logged: set[str]) -> None:
    log_section = text("docs/operators.md").split("## Logs")[1].split("\n## ")[0]
    explained = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", log_section))
    assert logged - explained == set()
    sources = "".join(text(path) for path in room_files())
    assert {event for event in explained - {"noun.verb"} if event not in sources} == set()


def test_the_readme_has_every_card_and_amount_that_the_sandbox_does_not_approve() -> None:
    table = text("README.md").split("## Test cards")[1].split("\n## ")[0]
    cards = {number[-4:] for number in (*magic.VISA_CARDS, *magic.VISA_FOLLOW_UPS)}
    amounts = {
        magic.VISA_CVN_AMOUNT,
        magic.VISA_PARTIAL_AMOUNT,
        *magic.PAYPAL_DENIED,
        *magic.PAYPAL_CAPTURE_DECLINED,
    }
    amounts |= {*magic.PAYPAL_PENDING, magic.PAYPAL_REFUND_FAILED}
    amounts |= {*magic.PAYPAL_REFUND_REFUSED, *magic.PAYPAL_VOID_REFUSED}
    expiries = {*magic.MASTERCARD_EXPIRIES, *magic.MASTERCARD_FOLLOW_UPS} - {"01/39"}
    told = {word for word in (*cards, *amounts, *expiries) if word not in table}
    assert told == set()
    numbers = {re.sub(r"\D", "", number)[-4:] for number in re.findall(r"`([\d …]+)`", table)}
    assert numbers - cards == {"1111", "0008"}  # those that are approved
