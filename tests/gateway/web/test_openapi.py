"""The published description is complete and says what the routes do."""

import inspect
import re
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from gateway.problems import PROBLEMS
from gateway.rate_limits import LIMITS
from gateway.roles import SCOPES
from gateway.web.openapi import EXAMPLES, codes_of, declared
from schemas.events import EVENT_TYPES, headers_of
from tests.gateway.conftest import Gateway


@pytest.fixture
async def document(gateway: Gateway) -> Any:
    return (await gateway.ask("GET", "/openapi.json")).json


async def test_every_route_declares_a_limit_and_known_words(gateway: Gateway) -> None:
    unlimited = set()
    for rule, _, rules, _ in declared(gateway.app):
        assert rules.scope is None or rules.scope in SCOPES, rule
        assert set(rules.codes) <= PROBLEMS.keys(), rule
        if rules.limit is None:
            unlimited.add(rule.rule)
        else:
            assert rules.limit in LIMITS, rule
    assert unlimited == {"/healthz"}


async def test_every_post_of_a_logged_in_caller_takes_a_key_but_for_ends_and_secrets(gateway: Gateway) -> None:
    without = {
        rule.rule
        for rule, method, rules, _ in declared(gateway.app)
        if method == "POST" and rules.scope and rules.idempotency == "none"
    }
    secrets = {"/v1/me/password", "/v1/me/totp", "/v1/clients", "/v1/clients/<client>/rotate"}
    secrets |= {"/v1/sql-tokens", "/v1/sql-tokens/check"}
    change_nothing, each_line_once = {"/v1/rules/check", "/v1/rules/backtest"}, "/v1/labels"
    assert without == {"/v1/logout", each_line_once} | change_nothing | secrets


async def test_every_route_is_described_with_all_its_answers(gateway: Gateway, document: Any) -> None:
    for rule, method, rules, _ in declared(gateway.app):
        path = rule.rule.replace("<", "{").replace(">", "}")
        operation = document["paths"][path][method.lower()]
        assert operation["summary"], path
        assert operation["security"] == ([{"bearer": [rules.scope]}] if rules.scope else [])
        for status, kind in rules.answers.items():
            types = operation["responses"][str(status)].get("content", {}).keys()
            assert kind is None or (rules.media or ("text/plain" if kind is str else "application/json")) in types
        for code in codes_of(rules):
            assert f"`{code}`" in operation["responses"][str(PROBLEMS[code].status)]["description"], (path, code)
        named = {parameter["name"] for parameter in operation["parameters"]}
        assert set(rule.arguments) <= named
        assert ("Idempotency-Key" in named) == (rules.idempotency != "none")
        assert ("requestBody" in operation) == bool(rules.body or rules.form or rules.takes_csv)


async def test_a_handler_names_the_variables_of_its_path_in_their_order(gateway: Gateway) -> None:
    for rule, _, _, view in declared(gateway.app):
        _, *names = inspect.signature(view).parameters
        variables = re.findall("<(.+?)>", rule.rule)
        assert [name.removesuffix("_id") for name in names] == variables, rule


async def test_operations_have_names_of_their_own(document: Any) -> None:
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


async def test_every_body_has_an_example_that_fits(gateway: Gateway, document: Any) -> None:
    for _, _, rules, _ in declared(gateway.app):
        for kind in (rules.body, rules.form):
            if isinstance(kind, type):
                assert kind.__name__ in EXAMPLES
                msgspec.convert(EXAMPLES[kind.__name__], kind)
    for name, example in EXAMPLES.items():
        if name in gateway.app.view_functions:  # of a file, whose schema is a text
            continue
        schema = document["components"]["schemas"][name] | {"components": document["components"]}
        jsonschema_rs.validate(schema, example)


async def test_each_text_names_its_media_types(document: Any) -> None:
    def types(path: str) -> set[str]:
        return set(document["paths"][path]["get"]["responses"]["200"]["content"])

    assert types("/docs") == {"text/html"}
    assert types("/docs/{asset}") == {"*/*"}
    assert types("/metrics") == {"text/plain"}


async def test_a_form_and_the_names_of_a_map_are_described(document: Any) -> None:
    form = document["paths"]["/oauth/token"]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]
    schema = form["schema"] | {"components": document["components"]}
    jsonschema_rs.validate(schema, form["example"])
    assert not jsonschema_rs.is_valid(schema, {"grant_type": "password"})
    update = document["components"]["schemas"]["NotificationPreferencesUpdate"]["properties"]["preferences"]
    assert jsonschema_rs.is_valid(update, {"transaction_completed": ["email"]})
    assert not jsonschema_rs.is_valid(update, {"birthday": ["email"]})
    assert not jsonschema_rs.is_valid(update, {"transaction_completed": ["email", "email"]})


async def test_every_reference_leads_somewhere(document: Any) -> None:
    schemas = document["components"]["schemas"]
    for reference in _references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas


async def test_an_answer_fits_its_described_schema(gateway: Gateway, document: Any) -> None:
    for path, status, who in (("/v1/me", "200", "customer"), ("/v1/me", "401", None), ("/healthz", "200", None)):
        answer = await gateway.ask("GET", path, who=who)
        content = document["paths"][path]["get"]["responses"][status]["content"]
        (described,) = content.values()
        schema = described["schema"] | {"components": document["components"]}
        assert jsonschema_rs.is_valid(schema, answer.json)
        assert not jsonschema_rs.is_valid(schema, [])


async def test_the_docs_need_nobody_elses_host(gateway: Gateway) -> None:
    page = await gateway.ask("GET", "/docs")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"http" not in page.body.replace(b"http-equiv", b"")
    for name, kind in (("swagger-ui-bundle.js", "text/javascript"), ("swagger-ui.css", "text/css")):
        asset = await gateway.ask("GET", f"/docs/{name}")
        assert asset.headers["Content-Type"] == kind
        assert len(asset.body) > 10_000
    assert (await gateway.ask("GET", "/docs/start.js")).status == 200


@pytest.mark.parametrize("name", ["LICENSE", "..%2f__init__.py", "swagger-ui.js.map"])
async def test_the_docs_send_nothing_else(gateway: Gateway, name: str) -> None:
    assert (await gateway.ask("GET", f"/docs/{name}")).status == 404


async def test_the_events_are_described_too(gateway: Gateway) -> None:
    answer = await gateway.ask("GET", "/asyncapi.json")
    assert answer.json["asyncapi"] == "3.0.0"
    assert [reference for reference in _references(answer.json) if not reference.startswith("#/")] == []
    assert answer.headers["Access-Control-Allow-Origin"] == "*", "a page of any origin may read it"
    assert "max-age" in answer.headers["Cache-Control"]


async def test_each_event_s_schema_is_where_its_record_says(gateway: Gateway) -> None:
    for type, kind in EVENT_TYPES.items():
        headers = dict(headers_of("evt_1", type, "/s", "pay_1", datetime.now(UTC), None))
        address = headers["ce_dataschema"]
        assert isinstance(address, bytes)
        answer = await gateway.ask("GET", address.decode())
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/schema+json")
        assert "max-age" in answer.headers["Cache-Control"]
        assert (answer.json["$id"], answer.json["title"]) == (address.decode(), type)
        assert kind.__name__ in answer.json["$defs"]
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert all(reference.startswith("#/$defs/") for reference in _references(answer.json)), "read offline too"
    for other in ("payment.json", "payment.captured", "..%2fasyncapi.json", "json"):
        assert (await gateway.ask("GET", f"/schemas/{other}")).status == 404
    described = (await gateway.ask("GET", "/openapi.json")).json["paths"]["/schemas/{file}"]["get"]
    assert list(described["responses"]["200"]["content"]) == ["application/schema+json"]


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for child in node.values() for found in _references(child)]
    if isinstance(node, list):
        return [found for child in node for found in _references(child)]
    return []
