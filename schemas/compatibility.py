"""What a change of the contract breaks: two AsyncAPI documents, an earlier one and a later one, compared.

Two readers have to go on unchanged. A consumer of before reads the records of today, so nothing is taken away,
retyped or given a value it never heard of. Types of today read the records of before, which stay on the topics for
ever, so nothing is demanded that these lack. A field that is added, optional and with a default, breaks neither.
https://docs.confluent.io/platform/current/schema-registry/fundamentals/schema-evolution.html calls it `FULL`.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any

Document = dict[str, Any]

# What says something about a value and restricts it in nothing: rewritten words break nobody.
ANNOTATIONS = {"$comment", "default", "deprecated", "description", "examples", "title"}

MOVED_KEYS = "records of one key come to lie in two partitions, and lose their order"
GONE = "whoever reads it finds nothing any more (a rename takes it away, too)"
OLD_RECORDS = "records of before stay on the topic, and are no longer read"
NULLED = "may be null now; a consumer that uses it as it comes fails"
NEVER_NULL = f"was null at times and may not be any more; {OLD_RECORDS}"
UNHEARD = "a consumer that decides by it has no branch for that: a new event type or topic, announced, brings it"


def breaks(old: Document, new: Document, ended: Collection[str] = ()) -> list[str]:
    """What in `new` breaks who was written for `old`, or cannot read its records: one line each, what and why.

    Topics that have `ended` as announced are missed by nobody.
    """
    kept = [name for name in old["channels"] if name not in ended]
    found = [line for name in kept for line in _topic_breaks(name, old, new)]
    for name, message in old["components"]["messages"].items():
        if name in new["components"]["messages"]:
            found += _message_breaks(message, new["components"]["messages"][name], old, new)
    return list(dict.fromkeys(found))


def additions(old: Document, new: Document) -> list[str]:
    """What `new` has and `old` has not: topics, event types, and fields as `Type.field`."""
    topics = new["channels"].keys() - old["channels"].keys()
    types = new["components"]["messages"].keys() - old["components"]["messages"].keys()
    fields = _fields(new) - _fields(old)
    return [*sorted(topics), *sorted(types), *sorted(fields)]


def _fields(document: Document) -> set[str]:
    structs = document["components"]["schemas"].items()
    return {f"{struct}.{name}" for struct, schema in structs for name in schema.get("properties", {})}


def _topic_breaks(name: str, old: Document, new: Document) -> Iterator[str]:
    before, now = old["channels"][name], new["channels"].get(name)
    if now is None:
        yield f"{name}: the topic is gone; {GONE}"
        return
    for type in before["messages"].keys() - now["messages"].keys():
        yield f"{type}: the event type is gone from {name}; {GONE}"
    was, is_now = before["bindings"]["kafka"], now["bindings"]["kafka"]
    if was["partitions"] != is_now["partitions"]:
        yield f"{name}: {was['partitions']} partitions became {is_now['partitions']}; {MOVED_KEYS}"
    was, is_now = was["topicConfiguration"], is_now["topicConfiguration"]
    for setting in sorted(was.keys() | is_now.keys()):
        if was.get(setting) != is_now.get(setting):
            change = f"{setting} was {was.get(setting)}, is {is_now.get(setting)}"
            yield f"{name}: {change}; whoever starts late finds other records than was promised"


def _message_breaks(before: Document, now: Document, old: Document, new: Document) -> Iterator[str]:
    was, is_now = (message["bindings"]["kafka"]["key"]["description"] for message in (before, now))
    if was != is_now:
        yield f"{before['name']}: the key was “{was}”, is “{is_now}”; {MOVED_KEYS}"
    if before["contentType"] != now["contentType"]:
        yield f"{before['name']}: was {before['contentType']}, is {now['contentType']}; nobody can decode it"
    yield from _shape_breaks("header", before["headers"], now["headers"], old, new)
    yield from _shape_breaks(before["name"], before["payload"], now["payload"], old, new)


def _shape_breaks(where: str, was: Document, is_now: Document, old: Document, new: Document) -> Iterator[str]:
    """What became of a value: `where` names it, by the struct that it is a field of."""
    where, was = _resolved(where, was, old)
    _, is_now = _resolved(where, is_now, new)
    (was, was_null), (is_now, is_null) = _without_null(was), _without_null(is_now)
    if was_null != is_null:
        yield f"{where}: {NULLED if is_null else NEVER_NULL}"
    if "$ref" in was or "$ref" in is_now:
        yield from _shape_breaks(where, was, is_now, old, new)
    elif "properties" in was and "properties" in is_now:
        yield from _struct_breaks(where, was, is_now, old, new)
    elif "enum" in was and "enum" in is_now:
        yield from _choice_breaks(where, was["enum"], is_now["enum"])
    elif inner := next((word for word in ("items", "additionalProperties") if word in was and word in is_now), ""):
        yield from _shape_breaks(f"{where}[]", was[inner], is_now[inner], old, new)
    elif _restrictions(was) != _restrictions(is_now):
        yield f"{where}: was {_told(was)}, is {_told(is_now)}; one side cannot read what the other writes"


def _struct_breaks(where: str, was: Document, is_now: Document, old: Document, new: Document) -> Iterator[str]:
    needed, needs = set(was.get("required", ())), set(is_now.get("required", ()))
    for name, before in was["properties"].items():
        field = f"{where}.{name}"
        now = is_now["properties"].get(name)
        if now is None:
            yield f"{field}: is gone; {GONE}"
            continue
        if name in needed - needs:
            yield f"{field}: was always there and may be left out now; a consumer that counts on it fails"
        if name in needs - needed:
            yield f"{field}: could be left out and is required now; {OLD_RECORDS}"
        if name not in needed | needs and before.get("default") != now.get("default"):
            meanings = f"left out meant {before.get('default')}, means {now.get('default')}"
            yield f"{field}: {meanings}; the same record says something else"
        yield from _shape_breaks(field, before, now, old, new)
    for name in is_now["properties"].keys() - was["properties"].keys():
        yield from _addition_breaks(f"{where}.{name}", is_now["properties"][name], name in needs)


def _addition_breaks(field: str, schema: Document, is_required: bool) -> Iterator[str]:
    if is_required:
        yield f"{field}: is new and required; {OLD_RECORDS}"
    elif "default" not in schema and not field.startswith("header."):
        yield f"{field}: is new and has no default; nobody can tell what its absence in older records means"


def _choice_breaks(where: str, was: list[str], is_now: list[str]) -> Iterator[str]:
    for value in sorted(set(is_now) - set(was)):
        yield f"{where}: has a new value, {value}; {UNHEARD}"
    for value in sorted(set(was) - set(is_now)):
        yield f"{where}: lost its value {value}; {OLD_RECORDS}"


def _resolved(where: str, schema: Document, document: Document) -> tuple[str, Document]:
    """A schema that refers to a struct is that struct, and is named by it."""
    if "$ref" not in schema:
        return where, schema
    name = schema["$ref"].rpartition("/")[2]
    return name, document["components"]["schemas"][name]


def _without_null(schema: Document) -> tuple[Document, bool]:
    """The schema for what is not null, and whether null is allowed beside it."""
    if None in schema.get("enum", ()):
        return schema | {"enum": [value for value in schema["enum"] if value is not None]}, True
    parts = [part for part in schema.get("anyOf", ()) if part != {"type": "null"}]
    if len(parts) == 1:
        return parts[0], True
    return schema, False


def _told(schema: Document) -> str:
    if "properties" in schema:
        return "an object of its own"
    return json.dumps(_restrictions(schema))


def _restrictions(schema: Document) -> Document:
    return {word: schema[word] for word in schema if word not in ANNOTATIONS}
