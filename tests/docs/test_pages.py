"""Each page of `docs/` names every route, metric, state, topic and command it must."""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from quart import Quart

import connectors.flow_metrics
import dashboards.metrics
import flows.metrics
import gateway.metrics
import sluice.stack_metrics
from gateway.problems import PROBLEMS
from gateway.routes import BLUEPRINTS
from schemas.events import EVENT_TYPES
from schemas.fraud import OUTCOMES
from schemas.states import DECLINE_CODES, STATUS
from schemas.topics import TOPICS
from sluice.cli import COMMANDS
from tests.tidy.sources import ROOT, files, text

DOCS = ROOT / "docs"
FOR_CONTRIBUTORS = ("docs/architecture.md", "CONTRIBUTING.md")
NAMED_FILE = re.compile(r"[a-z_.][\w.-]*(/[\w.-]+)+\.(py|md|sql|json|toml|html)")
NAMED_THING = re.compile(r"\w+")


def routes() -> list[str]:
    app = Quart("routes", static_folder=None)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return [rule.rule.replace("<", "{").replace(">", "}") for rule in app.url_map.iter_rules()]


MEASURING = (gateway.metrics, connectors.flow_metrics, flows.metrics, dashboards.metrics, sluice.stack_metrics)


def registered() -> CollectorRegistry:
    """Every metric of every process, on one registry."""
    registry = CollectorRegistry()
    for module in MEASURING:
        for name, made in vars(module).items():
            if name.endswith("Metrics") and made.__module__ == module.__name__:
                made(registry, ROOT) if made is sluice.stack_metrics.StackMetrics else made(registry)
    return registry


def metrics() -> list[str]:
    """The names of our own metrics, without those of Python and of the process."""
    kinds = [metric for metric in registered().collect() if metric.name.startswith("sluice_")]
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


def test_the_first_page_names_the_topics() -> None:
    named = set(re.findall(r"`(\w+(?:\.\w+)*\.v1)`", text("README.md")))
    assert named == {topic.name for topic in TOPICS} - {"dead_letter.v1"}  # which every service may write


def test_the_consumers_page_names_topics_and_events() -> None:
    assert missing("consumers.md", [topic.name for topic in TOPICS]) == []
    assert missing("consumers.md", EVENT_TYPES) == []


def test_the_operators_page_names_commands_and_metrics() -> None:
    assert missing("operators.md", metrics()) == []
    assert missing("operators.md", COMMANDS) == []


@cache
def words_of_the_sources() -> frozenset[str]:
    """Every word of the code, and the name of every file and folder."""
    sources = [path for path in files() if not path.endswith((".md", ".lock"))]
    names = re.findall(r"\w+", " ".join(files()))
    return frozenset(names).union(*(re.findall(r"\w+", text(path)) for path in sources))


def unknown(page: str) -> list[str]:
    """The files and names that a page has as code and the repository has not; capitals stand for what is new."""
    spans = text(page).split("`")[1::2]
    paths = [span for span in spans if NAMED_FILE.fullmatch(span) and not re.search("[A-Z]{4}", span)]
    things = [span for span in spans if NAMED_THING.fullmatch(span)]
    lost = [path for path in paths if not ((ROOT / path).exists() or (ROOT / "gateway" / path).exists())]
    return lost + [thing for thing in things if thing not in words_of_the_sources()]


@pytest.mark.parametrize("page", FOR_CONTRIBUTORS)
def test_a_page_for_contributors_names_only_what_there_is(page: str) -> None:
    assert unknown(page) == []


@cache
def anchors(page: Path) -> frozenset[str]:
    """What links to the headings of a page end in, as GitHub makes it of their words."""
    lines = re.sub("```.*?```", "", page.read_text(), flags=re.DOTALL).splitlines()
    headings = (line.lstrip("#").strip().lower() for line in lines if line.startswith("#"))
    return frozenset(re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in headings)


@pytest.mark.parametrize("page", [path for path in files() if path.endswith(".md")])
def test_links_lead_somewhere(page: str) -> None:
    here, links = ROOT / page, re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text(page))
    assert [link for link, _ in links if not (here.parent / link).exists()] == []
    sections = [(here.parent / link if link else here, section) for link, section in links if section]
    assert [section for target, section in sections if section not in anchors(target)] == []


def test_what_is_missing_is_found() -> None:
    assert missing("api.md", ["/v1/nothing"]) == ["/v1/nothing"]
