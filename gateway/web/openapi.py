"""The OpenAPI 3.1 document, made of what each route declared (docs/decisions/0007)."""

import inspect
import sys
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import msgspec
from quart import Quart
from werkzeug.routing import Rule

from gateway.csv_lines import CSV
from gateway.problems import CODES, CONTENT_TYPE, PROBLEMS, Code, Problem, ProblemBody
from gateway.refusals import FieldError
from gateway.roles import OWN_SCOPES, SCOPES
from gateway.web.endpoint import Rules

REF = "#/components/schemas/{name}"
PAGE = "text/html"  # of what answers a person: its problems are pages too
# By the name of the schema: what a client might send, and get.
EXAMPLES: dict[str, Any] = msgspec.json.decode((files("gateway.web") / "examples.json").read_bytes())
ABOUT = (
    "Accounts, cards and payments of Sluice. Amounts are integer minor units with an ISO 4217 currency, times are "
    "UTC. Every error is an RFC 9457 problem with a stable `code`. Begin with `POST /v1/login`; its "
    "`access_token` goes along as `Authorization: Bearer …`."
)
FORM = "application/x-www-form-urlencoded"
PAGE_FORM = {
    FORM: {
        "schema": {
            "type": "object",
            "description": "The fields of a form on a page of ours: it is sent by a browser alone.",
            "required": ["form_token"],
            "properties": {"form_token": {"type": "string"}},
            "additionalProperties": {"type": "string"},
        },
        "example": {"form_token": "…"},
    }
}
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes it safe to send the request again: it is done once, and answered the same each time.",
    "example": "order-1",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
NOT_ENDED = "Not ended yet: look at it again with GET."
REPLAYED = {
    "Idempotent-Replayed": {
        "description": "`true`: this is the stored answer to an earlier request with the same Idempotency-Key.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}
RETRIED = {"request_in_progress", "operation_in_progress", "rate_limited", "stopped", "unavailable"}
RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds to wait before sending the same request again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}


def document(app: Quart, server: str) -> dict[str, Any]:
    """The document of all routes of `app`, which clients reach at the URL `server`."""
    routes = list(declared(app))
    shapes = _Shapes([rules for _, _, rules, _ in routes])
    paths: dict[str, dict[str, Any]] = {}
    for rule, method, rules, view in routes:
        path = rule.rule.replace("<", "{").replace(">", "}")
        paths.setdefault(path, {})[method.lower()] = _operation(rule, rules, view, shapes)
    made = {
        "openapi": "3.1.0",
        "info": {"title": "Sluice", "version": "1", "description": ABOUT},
        "servers": [{"url": server}],
        "tags": _tags(routes),
        "paths": paths,
        "components": {"schemas": shapes.components, "securitySchemes": {"bearer": _scheme()}},
    }
    # JSON Schema's patterns are those of ECMA-262, in which `$` is the end of the text and `\Z` nothing.
    shown: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made).replace(rb'\\Z"', b'$"'))
    return shown


def declared(app: Quart) -> Iterator[tuple[Rule, str, Rules, Any]]:
    """Every route of `app`: rule, method, what it declared, view. Raises `AttributeError` for one without."""
    for rule in app.url_map.iter_rules():
        view: Any = app.view_functions[rule.endpoint]
        for method in sorted((rule.methods or set()) - {"HEAD"}):
            yield rule, method, view.rules, view


def codes_of(rules: Rules) -> list[Code]:
    """Every problem a route may answer with: those that follow from its rules, and those it named."""
    found: set[Code] = {"malformed_request", "internal", *rules.codes}
    if rules.limit:
        found |= {"rate_limited"}
    if rules.scope:
        found |= {"unauthenticated", "forbidden", "unavailable"}
        found |= set() if rules.scope in OWN_SCOPES else {"not_confirmed"}
    if rules.body:
        found |= {"invalid_json", "body_too_large", "body_timeout", "invalid_request"}
    if rules.query:
        found |= {"invalid_request"}
    if rules.idempotency != "none":
        found |= {"invalid_request", "idempotency_key_reused", "request_in_progress"}
    if rules.idempotency == "required":
        found |= {"idempotency_key_missing"}
    return [code for code in CODES if code in found]


class _Shapes:
    """The schemas of all types that routes take and answer, named once for the whole document."""

    def __init__(self, rules: list[Rules]) -> None:
        wanted: list[Any] = [ProblemBody]
        for each in rules:
            form = None if isinstance(each.form, bool) else each.form
            wanted += [kind for kind in (each.body, form, *each.answers.values()) if kind is not None]
        kinds = list(dict.fromkeys(wanted))
        made, self.components = msgspec.json.schema_components(kinds, ref_template=REF)
        self._by_kind = dict(zip(kinds, made, strict=True))
        for name, schema in self.components.items():
            if "description" in schema:
                schema["description"] = inspect.cleandoc(schema["description"])
            if name in EXAMPLES:
                schema["examples"] = [EXAMPLES[name]]

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type: most are a reference."""
        found: dict[str, Any] = self._by_kind[kind]
        return found


def _tags(routes: list[tuple[Rule, str, Rules, Any]]) -> list[dict[str, str]]:
    """The blueprints, each with what its file says about itself, or its first route where the file has several."""
    about: dict[str, str] = {}
    for rule, _, _, view in routes:
        module = sys.modules[view.__module__]
        name: str = rule.endpoint.partition(".")[0]
        told = module.__doc__ if module.blueprint.name == name else inspect.getdoc(view)
        about.setdefault(_tag(rule), (told or "").partition("\n\n")[0])
    return [{"name": name, "description": _text(text)} for name, text in about.items()]


def _tag(rule: Rule) -> str:
    blueprint: str = rule.endpoint.partition(".")[0]
    return blueprint.replace("_", " ")


def _text(*paragraphs: str | None) -> str:
    """Markdown of what docstrings say: their lines are broken for the source, not for a reader."""
    cleaned = [inspect.cleandoc(paragraph) for paragraph in paragraphs if paragraph]
    return "\n\n".join(part.replace("\n", " ") for whole in cleaned for part in whole.split("\n\n"))


def _operation(rule: Rule, rules: Rules, view: Any, shapes: _Shapes) -> dict[str, Any]:
    summary, _, description = (inspect.getdoc(view) or "").partition("\n\n")
    made = {
        "operationId": rule.endpoint.replace(".", "_"),
        "tags": [_tag(rule)],
        "summary": summary,
        "description": _text(description, rules.query.__doc__ if rules.query else None),
        "security": [{"bearer": [rules.scope]}] if rules.scope else [],
        "parameters": _parameters(rule, rules),
        "responses": _merged(_answers(rules, shapes), _problems(rules, shapes)),
    }
    if rules.body:
        content: dict[str, Any] = {"application/json": {"schema": shapes.of(rules.body)}}
        if rules.takes_csv:
            content |= _file(rule)
        made["requestBody"] = {"required": not rules.body_optional, "content": content}
    elif rules.takes_csv:
        made["requestBody"] = {"required": True, "content": _file(rule)}
    elif rules.form:
        made["requestBody"] = {"required": True, "content": _form(rules.form, shapes)}
    return made


def _file(rule: Rule) -> dict[str, Any]:
    return {CSV: {"schema": {"type": "string"}, "example": EXAMPLES[rule.endpoint]}}


def _form(kind: bool | type[Any], shapes: _Shapes) -> dict[str, Any]:
    if isinstance(kind, bool):
        return PAGE_FORM
    return {FORM: {"schema": shapes.of(kind), "example": EXAMPLES[kind.__name__]}}


def _parameters(rule: Rule, rules: Rules) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in sorted(rule.arguments)
    ]
    if rules.query:
        schema = msgspec.json.schema(rules.query)["$defs"][rules.query.__name__]
        required = schema.get("required", ())
        found += [
            {"name": name, "in": "query", "required": name in required, "schema": property}
            for name, property in schema["properties"].items()
        ]
    if rules.idempotency != "none":
        found.append(KEY | {"required": rules.idempotency == "required"})
    return found


def _merged(answers: dict[str, Any], problems: dict[str, Any]) -> dict[str, Any]:
    """All of them by status; one status may be an answer of its own and a problem, as 400 of OAuth is."""
    merged = answers | problems
    for status in answers.keys() & problems.keys():
        own, problem = answers[status], problems[status]
        merged[status] = {
            "description": f"{own['description']} {problem['description']}".strip(),
            "headers": own.get("headers", {}) | problem["headers"],
            "content": own.get("content", {}) | problem["content"],
        }
    return merged


def _answers(rules: Rules, shapes: _Shapes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, kind in rules.answers.items():
        struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
        about = _text(NOT_ENDED if status == 202 else None, kind.__doc__ if struct else None)
        answer: dict[str, Any] = {"description": about}
        if rules.idempotency != "none":
            answer["headers"] = REPLAYED
        if kind is not None:
            media = rules.media or ("text/plain" if kind is str else "application/json")
            answer["content"] = {media: {"schema": shapes.of(kind)}}
        found[str(status)] = answer
    return found


def _problems(rules: Rules, shapes: _Shapes) -> dict[str, Any]:
    by_status: dict[int, list[Code]] = {}
    for code in codes_of(rules):
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    return {str(status): _problem(codes, rules, shapes) for status, codes in sorted(by_status.items())}


def _problem(codes: list[Code], rules: Rules, shapes: _Shapes) -> dict[str, Any]:
    narrowed = {"allOf": [shapes.of(ProblemBody), {"properties": {"code": {"enum": codes}}}]}
    examples = {code: {"value": _example(code)} for code in codes}
    told = {CONTENT_TYPE: {"schema": narrowed, "examples": examples}}
    return {
        "description": " ".join(f"`{code}`: {PROBLEMS[code].about}" for code in codes),
        "headers": RETRY_AFTER if RETRIED.intersection(codes) else {},
        "content": {PAGE: {"schema": {"type": "string"}}} if rules.media == PAGE else told,
    }


def _example(code: Code) -> Any:
    wrong = [FieldError("$.amount", "Required, but missing.")] if code == "invalid_request" else None
    return msgspec.json.decode(Problem(code, errors=wrong).body("req_01m8c5dasa4q6j4fss4nx18151"))


def _scheme() -> dict[str, str]:
    scopes = "\n".join(f"- `{scope}`: {about}" for scope, about in SCOPES.items())
    return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": f"Scopes:\n{scopes}"}
