"""The event types as documents for other teams: JSON Schema per type, one AsyncAPI 3.0 document for all topics.

`python -m schemas.export` writes them beside this file; they are committed, and a test holds them current.
"""

import inspect
from pathlib import Path
from typing import Any

import msgspec

from schemas.events import CONTENT_TYPE, EVENT_TYPES, SPEC_VERSION
from schemas.samples import SAMPLES
from schemas.topics import TOPICS, Topic

FOLDER = Path(__file__).parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERSION = "1.2.0"

Document = dict[str, Any]

HEADERS: Document = {
    "type": "object",
    "description": "CloudEvents 1.0, Kafka binary mode.",
    "properties": {
        "content-type": {"const": CONTENT_TYPE},
        "ce_specversion": {"const": SPEC_VERSION},
        "ce_id": {"type": "string", "description": "The same on every repeat of the event."},
        "ce_source": {"type": "string"},
        "ce_type": {"type": "string"},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_subject": {"type": "string", "description": "What the event is about, such as a payment's id."},
        "ce_dataschema": {
            "type": "string",
            "format": "uri-reference",
            "description": "The JSON Schema of the data, at this address of the gateway.",
        },
        "traceparent": {"type": "string", "description": "W3C Trace Context, where the cause had one."},
    },
    "required": ["content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"],
}


def json_schemas() -> dict[str, Document]:
    """The JSON Schema (2020-12) of the data of each event type."""
    return {type: _json_schema(type, kind) for type, kind in EVENT_TYPES.items()}


def asyncapi() -> Document:
    """The AsyncAPI 3.0 document: topics as channels, event types as messages, with an example of each."""
    _, components = msgspec.json.schema_components(
        EVENT_TYPES.values(), ref_template="#/components/schemas/{name}"
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sluice events",
            "version": VERSION,
            "description": "Every movement of a payment. Inside `.v1` fields are only added, never removed or "
            "retyped: ignore what you do not know. Events come at least once: drop a `sequence` you have seen.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {"local": {"host": "localhost:9092", "protocol": "kafka"}},
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {f"send {topic.name}": _operation(topic) for topic in TOPICS},
        "components": {
            "schemas": {name: _tidy(schema) for name, schema in components.items()},
            "messages": {type: _message(type, topic) for topic in TOPICS for type in topic.events},
        },
    }


def documents() -> dict[Path, bytes]:
    """Every generated file with its content."""
    made = {FOLDER / "json" / f"{type}.json": schema for type, schema in json_schemas().items()}
    made[FOLDER / "asyncapi.json"] = asyncapi()
    return {path: msgspec.json.format(msgspec.json.encode(made[path]), indent=2) + b"\n" for path in made}


def _json_schema(type: str, kind: type) -> Document:
    (schema,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    head = {"$schema": DIALECT, "$id": f"/schemas/{type}.json", "title": type}
    return head | schema | {"$defs": {name: _tidy(part) for name, part in components.items()}}


def _channel(topic: Topic) -> Document:
    policy = {"cleanup.policy": [topic.config["cleanup.policy"]]}
    numbers = {
        name: int(topic.config[name]) for name in ("retention.ms", "retention.bytes") if name in topic.config
    }
    return {
        "address": topic.name,
        "description": topic.about,
        "messages": {type: {"$ref": f"#/components/messages/{type}"} for type in topic.events},
        "bindings": {
            "kafka": {"topic": topic.name, "partitions": topic.partitions, "topicConfiguration": policy | numbers}
        },
    }


def _operation(topic: Topic) -> Document:
    return {"action": "send", "channel": {"$ref": f"#/channels/{topic.name}"}, "summary": topic.about}


def _message(type: str, topic: Topic) -> Document:
    return {
        "name": type,
        "contentType": CONTENT_TYPE,
        "headers": HEADERS | {"properties": HEADERS["properties"] | {"ce_type": {"const": type}}},
        "payload": {"$ref": f"#/components/schemas/{EVENT_TYPES[type].__name__}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}}},
        "examples": [{"payload": msgspec.to_builtins(SAMPLES[type])}],
    }


def _tidy(schema: Document) -> Document:
    """A struct's schema with its docstring unindented and its times marked as such, which msgspec leaves out."""
    properties = {name: _dated(name, part) for name, part in schema.get("properties", {}).items()}
    described = {"description": inspect.cleandoc(schema["description"])} if "description" in schema else {}
    return schema | described | {"properties": properties}


def _dated(name: str, schema: Document) -> Document:
    if not name.endswith("_at"):
        return schema
    if "anyOf" in schema:
        return schema | {"anyOf": [_dated(name, part) for part in schema["anyOf"]]}
    return schema | {"format": "date-time"} if schema.get("type") == "string" else schema


if __name__ == "__main__":
    for path, content in documents().items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
