"""Both compose files as one: podman-compose 1.6 does not know `!reset` and `!override` beside `extends`.

After https://docs.docker.com/reference/compose-file/merge/ and /extends/, as far as the files go.
"""

from typing import Any

import msgspec
import yaml

REPLACED = {"command", "entrypoint", "test"}


class Tagged(msgspec.Struct, frozen=True):
    """What is not merged with what it meets, but takes its place; None: takes it away."""

    value: Any


class Loader(yaml.SafeLoader):
    """Knows the two tags of Compose."""


Loader.add_constructor("!reset", lambda _loader, _node: Tagged(None))
Loader.add_constructor("!override", lambda loader, node: Tagged(loader.construct_mapping(node, deep=True)))


def merged(below: dict[str, Any], text: str) -> dict[str, Any]:
    """The file `text` laid over `below`, the file that its services extend."""
    over: dict[str, Any] = yaml.load(text, Loader)
    for name, service in over["services"].items():
        if extended := service.pop("extends", None):
            over["services"][name] = merge(below["services"][extended["service"]], service)
    return merge(below, {key: value for key, value in over.items() if not key.startswith("x-")})


def merge(below: Any, over: Any, key: str = "") -> Any:
    """A value laid over another one: mappings by their keys, lists behind each other, volumes by their targets."""
    if isinstance(below, dict) and isinstance(over, dict):
        met = below | {name: merge(below.get(name), value, name) for name, value in over.items()}
        return {name: value for name, value in met.items() if value is not None}
    if isinstance(over, Tagged):
        return over.value
    if isinstance(below, list) and isinstance(over, list) and key not in REPLACED:
        targets = {target(value) for value in over} if key == "volumes" else set()
        return [value for value in below if target(value) not in targets] + over
    return over


def target(mount: Any) -> str:
    """Where a volume is mounted."""
    return str(mount).split(":")[1] if ":" in str(mount) else ""
