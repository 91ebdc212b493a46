"""The OpenAPI 3.1 document, made of what each route declared (docs/decisions/0007)."""

import inspect
from collections.abc import Iterator
from typing import Any

import msgspec
from quart import Quart
from werkzeug.routing import Rule

from gateway.endpoint import Rules
from gateway.errors import CONTENT_TYPE, PROBLEMS, ProblemBody
from gateway.identity.roles import SCOPES

REF = "#/components/schemas/{name}"
ABOUT = (
    "Accounts, cards and payments of Sluice. Amounts are integer minor units with an ISO 4217 currency, times are "
    "UTC. Every error is an RFC 9457 problem with a stable `code`."
)
FORM = {
    "application/x-www-form-urlencoded": {
        "schema": {
            "type": "object",
            "required": ["grant_type"],
            "properties": {
                name: {"type": "string"} for name in ("grant_type", "client_id", "client_secret", "scope")
            },
        }
    }
}
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes it safe to send the request again: it is done once, and answered the same each time.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def document(app: Quart, server: str) -> dict[str, Any]:
    """The document of all routes of `app`, which clients reach at the URL `server`."""
    routes = list(declared(app))
    shapes = _Shapes([rules for _, _, rules, _ in routes])
    paths: dict[str, dict[str, Any]] = {}
    for rule, method, rules, view in routes:
        path = rule.rule.replace("<", "{").replace(">", "}")
        paths.setdefault(path, {})[method.lower()] = _operation(rule, rules, view, shapes)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sluice", "version": "1", "description": ABOUT},
        "servers": [{"url": server}],
        "paths": paths,
        "components": {"schemas": shapes.components, "securitySchemes": {"bearer": _scheme()}},
    }


def declared(app: Quart) -> Iterator[tuple[Rule, str, Rules, Any]]:
    """Every route of `app`: rule, method, what it declared, view. Raises `AttributeError` for one without."""
    for rule in app.url_map.iter_rules():
        view: Any = app.view_functions[rule.endpoint]
        for method in sorted((rule.methods or set()) - {"HEAD"}):
            yield rule, method, view.rules, view


def codes_of(rules: Rules) -> list[str]:
    """Every problem a route may answer with: those that follow from its rules, and those it named."""
    found = {"internal", *rules.codes}
    if rules.limit:
        found |= {"rate_limited"}
    if rules.scope:
        found |= {"unauthenticated", "forbidden", "unavailable"}
    if rules.body:
        found |= {"invalid_json", "body_too_large", "body_timeout", "invalid_request"}
    if rules.query:
        found |= {"invalid_request"}
    if rules.idempotency != "none":
        found |= {"invalid_request", "idempotency_key_reused", "request_in_progress"}
    if rules.idempotency == "required":
        found |= {"idempotency_key_missing"}
    return [code for code in PROBLEMS if code in found]


class _Shapes:
    """The schemas of all types that routes take and answer, named once for the whole document."""

    def __init__(self, rules: list[Rules]) -> None:
        wanted: list[Any] = [ProblemBody]
        for each in rules:
            wanted += [kind for kind in (each.body, each.query, *each.answers.values()) if kind is not None]
        kinds = list(dict.fromkeys(wanted))
        made, self.components = msgspec.json.schema_components(kinds, ref_template=REF)
        self._by_kind = dict(zip(kinds, made, strict=True))

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type: most are a reference."""
        found: dict[str, Any] = self._by_kind[kind]
        return found

    def resolved(self, kind: Any) -> dict[str, Any]:
        """The schema of a struct, where a reference will not do."""
        name = self.of(kind)["$ref"].removeprefix(REF.format(name=""))
        found: dict[str, Any] = self.components[name]
        return found


def _operation(rule: Rule, rules: Rules, view: Any, shapes: _Shapes) -> dict[str, Any]:
    summary, _, description = (inspect.getdoc(view) or "").partition("\n\n")
    made = {
        "operationId": rule.endpoint.replace(".", "_"),
        "tags": [rule.endpoint.split(".")[0]],
        "summary": summary,
        "description": description.replace("\n", " "),
        "security": [{"bearer": [rules.scope]}] if rules.scope else [],
        "parameters": _parameters(rule, rules, shapes),
        "responses": _answers(rules, shapes) | _problems(rules, shapes),
    }
    if rules.body:
        content = {"application/json": {"schema": shapes.of(rules.body)}}
        made["requestBody"] = {"required": not rules.body_optional, "content": content}
    elif rules.form:
        made["requestBody"] = {"required": True, "content": FORM}
    return made


def _parameters(rule: Rule, rules: Rules, shapes: _Shapes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in sorted(rule.arguments)
    ]
    if rules.query:
        schema = shapes.resolved(rules.query)
        required = schema.get("required", ())
        found += [
            {"name": name, "in": "query", "required": name in required, "schema": property}
            for name, property in schema["properties"].items()
        ]
    if rules.idempotency != "none":
        found.append(KEY | {"required": rules.idempotency == "required"})
    return found


def _answers(rules: Rules, shapes: _Shapes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, kind in rules.answers.items():
        about = inspect.getdoc(kind) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else ""
        found[str(status)] = {"description": (about or "").partition("\n\n")[0].replace("\n", " ")}
        if kind is not None:
            media = "text/plain" if kind is str else "application/json"
            found[str(status)]["content"] = {media: {"schema": shapes.of(kind)}}
    return found


def _problems(rules: Rules, shapes: _Shapes) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in codes_of(rules):
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    return {str(status): _problem(codes, shapes) for status, codes in sorted(by_status.items())}


def _problem(codes: list[str], shapes: _Shapes) -> dict[str, Any]:
    narrowed = {"allOf": [shapes.of(ProblemBody), {"properties": {"code": {"enum": codes}}}]}
    described = " ".join(f"`{code}`: {PROBLEMS[code].about}" for code in codes)
    return {"description": described, "content": {CONTENT_TYPE: {"schema": narrowed}}}


def _scheme() -> dict[str, str]:
    scopes = "\n".join(f"- `{scope}`: {about}" for scope, about in SCOPES.items())
    return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": f"Scopes:\n{scopes}"}
