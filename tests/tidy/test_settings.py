"""`.env.example` lists every setting with its default, and nothing else."""

import importlib
import re

import msgspec

from schemas.settings import Settings
from sluice.settings import variables
from tests.tidy.sources import ROOT, room_files

LINE = re.compile(r"^#?(SLUICE_[A-Z0-9_]+)=(.*)$", re.MULTILINE)


def settings_classes() -> list[type[Settings]]:
    """Every settings struct of every `settings.py`."""
    for path in room_files():
        if path.endswith("/settings.py"):
            importlib.import_module(path.removesuffix(".py").replace("/", "."))
    return [kind for kind in _below(Settings) if kind.__module__.endswith(".settings")]


def _below(kind: type[Settings]) -> list[type[Settings]]:
    return [kind, *(deeper for sub in kind.__subclasses__() for deeper in _below(sub))]


def defaults(kind: type[Settings]) -> dict[str, str]:
    """What each variable is when it is not set, as one would write it in the environment."""
    fields = msgspec.structs.fields(kind)
    return {name: _written(field.default) for name, field in zip(variables(kind), fields, strict=True)}


def _written(value: object) -> str:
    if value is None or value is msgspec.NODEFAULT:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def documented() -> dict[str, str]:
    return dict(LINE.findall((ROOT / ".env.example").read_text()))


def test_every_setting_is_in_the_example_with_its_default() -> None:
    wanted = {name: value for kind in settings_classes() for name, value in defaults(kind).items()}
    wrong = {name: value for name, value in wanted.items() if documented().get(name) != value}
    assert not wrong, "\n".join(f"{name}={value}" for name, value in wrong.items())
    assert documented().keys() <= wanted.keys()


def test_a_setting_that_is_missing_is_noticed() -> None:
    class Planted(Settings, frozen=True, kw_only=True):
        planted: int = 7

    assert defaults(Planted)["SLUICE_PLANTED"] == "7"
    assert "SLUICE_PLANTED" not in documented()
