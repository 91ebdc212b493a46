"""The descriptions: OpenAPI, AsyncAPI, the events' JSON Schemas and Swagger UI, all served from our own host."""

from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import msgspec
from quart import Blueprint, Quart, current_app

from gateway.problems import Problem
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.openapi import document
from schemas.events import EVENT_TYPES

blueprint = Blueprint("docs", __name__)

SCHEMAS = frozenset(f"{type}.json" for type in EVENT_TYPES)
# https://json-schema.org/draft/2020-12/json-schema-core section 14.1.2
SCHEMA_TYPE = "application/schema+json"

ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
START = b"""const dark = matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.classList.toggle("dark-mode", dark);
window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
});
"""
PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
# Swagger UI has inline styles and images; scripts are allowed from our own host only.
POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
CACHEABLE = {"Cache-Control": "public, max-age=86400"}
# What is the same for everybody, without a token: pages of any origin read it, such as AsyncAPI's own editor.
CONTRACT = {**CACHEABLE, "Access-Control-Allow-Origin": "*"}


@blueprint.get("/openapi.json")
@endpoint(scope=None, limit="public", answers={200: dict[str, Any]})
async def read_openapi(call: Call[None, None]) -> Reply:
    """Describe every route, in OpenAPI 3.1."""
    app: Quart = current_app._get_current_object()  # type: ignore[attr-defined]
    return Reply(200, _description(app, call.runtime.settings.public_url))


@blueprint.get("/asyncapi.json")
@endpoint(scope=None, limit="public", answers={200: dict[str, Any]})
async def read_asyncapi(call: Call[None, None]) -> Reply:
    """Describe every topic and event, in AsyncAPI 3.0."""
    return Reply(200, _asyncapi(), CONTRACT)


@blueprint.get("/schemas/<file>")
@endpoint(scope=None, limit="public", answers={200: dict[str, Any]}, codes=("not_found",), media=SCHEMA_TYPE)
async def read_schema(call: Call[None, None], file: str) -> Reply:
    """Send the JSON Schema of an event's data: the `ce_dataschema` of its record is this address."""
    if file not in SCHEMAS:
        raise Problem("not_found")
    return Reply(200, _schema(file), {"Content-Type": SCHEMA_TYPE, **CONTRACT})


@blueprint.get("/docs")
@endpoint(scope=None, limit="public", answers={200: str}, media="text/html")
async def read_docs(call: Call[None, None]) -> Reply:
    """Show the API's description as a page."""
    return Reply(200, PAGE, {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY})


@blueprint.get("/docs/<asset>")
@endpoint(scope=None, limit="public", answers={200: str}, codes=("not_found",), media="*/*")
async def read_asset(call: Call[None, None], asset: str) -> Reply:
    """Send a file of Swagger UI."""
    if asset == "start.js":
        return Reply(200, START, {"Content-Type": "text/javascript"})
    if asset not in ASSETS:
        raise Problem("not_found")
    return Reply(200, _asset(asset), {"Content-Type": ASSETS[asset], **CACHEABLE})


@lru_cache(maxsize=1)
def _description(app: Quart, server: str) -> bytes:
    return msgspec.json.encode(document(app, server))  # 7 ms


@cache
def _asyncapi() -> bytes:
    return (files("schemas") / "asyncapi.json").read_bytes()


@cache
def _schema(file: str) -> bytes:
    return (files("schemas") / "json" / file).read_bytes()


@cache
def _asset(name: str) -> bytes:
    return (files("flask_swagger_ui") / "dist" / name).read_bytes()
