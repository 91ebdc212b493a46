"""Each page of `docs/` names every route, metric, state, topic and command it must."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from quart import Quart

from gateway.metrics import OutboxMetrics, ProcessorMetrics, RequestMetrics
from gateway.problems import PROBLEMS
from gateway.routes import BLUEPRINTS
from schemas.events import EVENT_TYPES
from schemas.fraud import OUTCOMES
from schemas.states import DECLINE_CODES, STATUS
from schemas.topics import TOPICS
from sluice.cli import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"


def routes() -> list[str]:
    app = Quart("routes", static_folder=None)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return [rule.rule.replace("<", "{").replace(">", "}") for rule in app.url_map.iter_rules()]


def metrics() -> list[str]:
    registry = CollectorRegistry()
    RequestMetrics(registry), ProcessorMetrics(registry), OutboxMetrics(registry)
    kinds = [metric for metric in registry.collect() if metric.name.startswith("sluice_")]
    return [f"{kind.name}_total" if kind.type == "counter" else kind.name for kind in kinds]


def missing(page: str, words: Iterable[str]) -> list[str]:
    """The words that the page does not have as code, alone or after a method or a command."""
    code = {word for span in (DOCS / page).read_text().split("`")[1::2] for word in span.split()}
    return [word for word in words if word not in code]


@pytest.mark.parametrize("words", [PROBLEMS, DECLINE_CODES, routes(), STATUS])
def test_the_clients_page_names_codes_routes_and_states(words: Iterable[str]) -> None:
    assert missing("api.md", words) == []


def test_the_administrators_page_names_outcomes() -> None:
    assert missing("administrators.md", OUTCOMES) == []


def test_the_consumers_page_names_topics_and_events() -> None:
    assert missing("consumers.md", [topic.name for topic in TOPICS]) == []
    assert missing("consumers.md", EVENT_TYPES) == []


def test_the_operators_page_names_commands_and_metrics() -> None:
    assert missing("operators.md", metrics()) == []
    assert missing("operators.md", COMMANDS) == []


def test_what_is_missing_is_found() -> None:
    assert missing("api.md", ["/v1/nothing"]) == ["/v1/nothing"]
