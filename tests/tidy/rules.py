"""The rules of the house, each a function from one file (path, text) to its complaints."""

import ast
import posixpath
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions

from tests.tidy.sources import ROOMS, files

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70

# Who may import whom (docs/architecture.md).
MAY_IMPORT = {
    "schemas": set[str](),
    "connectors": {"schemas"},
    "gateway": {"connectors", "schemas"},
    "flows": {"connectors", "schemas"},
    "dashboards": {"connectors", "schemas"},
    "sluice": {"connectors", "schemas", "gateway", "flows", "dashboards"},
    "benchmarks": {"connectors", "schemas", "gateway", "flows", "dashboards", "sluice"},
}
# Inside the gateway too: a module imports its own layer and those above it in this list. The vault is a process of
# its own, of which the gateway knows the client.
GATEWAY_LAYERS = (
    {
        "addresses",
        "csv_lines",
        "decline_times",
        "euro_rates",
        "free_text",
        "keyed_hashes",
        "log_lines",
        "metrics",
        "policy",
        "prints",
        "problems",
        "rate_limits",
        "refusals",
        "return_urls",
        "roles",
        "settings",
    },
    {"books"},
    {"vault", "identity", "events", "backtest"},
    {"runtime"},
    {"payments"},
    {"web"},
    {"pages"},
    {"routes"},
    {"seed"},
    {"app"},
    {"__main__", "migrations"},
)
PAGE = re.compile(r"[\w./-]*\w\.md\b|\bdocs/decisions/\d{4}|\bdesign §")
ADDRESS = re.compile(r"https?://\S+")
EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
BANNED_NAMES = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted\.org|repo1?\.maven|registry\.npmjs|deb\.debian|crates\.io|(extra-)?index-url|find-links",
    re.IGNORECASE,
)
ESCAPED_OR_CLASS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow"}
MARKDOWN = re.compile(r"(README|CHANGELOG|CONTRIBUTING)\.md|docs/.+\.md")


def imports_run_one_way(path: str, text: str) -> list[str]:
    """A room imports only the rooms below it."""
    room = path.split("/")[0]
    allowed = MAY_IMPORT[room] | {room}
    imported = {name.split(".")[0] for name in _imports(text)}
    return [f"{room} imports {other}" for other in sorted(imported & set(ROOMS) - allowed)]


def the_gateway_imports_down_its_layers(path: str, text: str) -> list[str]:
    """No import runs back up inside the gateway."""
    if not path.startswith("gateway/") or path == "gateway/__init__.py":
        return []
    own = _layer(path.removesuffix(".py").split("/")[1])
    imported = {name.split(".")[1] for name in _imports(text) if name.startswith("gateway.")}
    if path.startswith("gateway/vault/"):
        return [f"the vault imports gateway.{name}" for name in sorted(imported - {"vault"})]
    return [f"imports gateway.{name} from above" for name in sorted(imported) if _layer(name) > own]


def _layer(module: str) -> int:
    (found,) = [number for number, layer in enumerate(GATEWAY_LAYERS) if module in layer]
    return found


def bytewax_stays_at_the_edge(path: str, text: str) -> list[str]:
    """Only `flow.py` files and `connectors/streams.py` know the engine."""
    if path.endswith("/flow.py") or path == "connectors/streams.py":
        return []
    return ["imports bytewax"] if any(name.split(".")[0] == "bytewax" for name in _imports(text)) else []


def files_are_short(_path: str, text: str) -> list[str]:
    """At most `FILE_LINES_MAX` lines."""
    lines = text.count("\n")
    return [f"{lines} lines"] if lines > FILE_LINES_MAX else []


def functions_are_short(_path: str, text: str) -> list[str]:
    """At most `FUNCTION_LINES_MAX` lines, decorators and docstring included."""
    lengths = [(node.name, (node.end_lineno or 0) - _first_line(node) + 1) for node in _functions(text)]
    return [f"{name} has {lines} lines" for name, lines in lengths if lines > FUNCTION_LINES_MAX]


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def settings_read_the_environment(path: str, text: str) -> list[str]:
    """Nobody else does: a process knows what its settings declare."""
    if path.endswith("/settings.py"):
        return []
    read = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute) and _is_environment(node)
    ]
    return [f"line {node.lineno} reads the environment" for node in read]


def one_module_reads_the_wall_clock(path: str, text: str) -> list[str]:
    """`schemas/times.py`: whoever wants a time says which one, that of the wall or the steady one."""
    if path == "schemas/times.py" or path.startswith("benchmarks/"):
        return []
    used = {ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    return [f"reads {name}" for name in sorted(WALL_CLOCKS & (used | set(_imports(text))))]


def patterns_end_where_the_text_does(_path: str, text: str) -> list[str]:
    """None has a `$`, before which a line break may stand: `\\Z`, or a `fullmatch`."""
    patterns = [pattern for node in ast.walk(ast.parse(text)) for pattern in _patterns(node)]
    return [f"pattern {pattern!r}" for pattern in patterns if "$" in ESCAPED_OR_CLASS.sub("", pattern)]


def _patterns(node: ast.AST) -> Iterator[str]:
    """The literal pattern of a call of `re`, or of any with `pattern=`; the fixed parts of an f-string."""
    if not isinstance(node, ast.Call):
        return
    given = [word.value for word in node.keywords if word.arg == "pattern"]
    if ast.unparse(node.func).startswith("re."):
        given += node.args[:1]
    for value in given:
        parts = value.values if isinstance(value, ast.JoinedStr) else [value]
        for part in parts:
            if isinstance(part, ast.Constant):
                yield part.value.decode() if isinstance(part.value, bytes) else str(part.value)


def modules_have_names_of_their_own(path: str, _text: str) -> list[str]:
    """None is named like one of the standard library or of a dependency: a script beside it would import it."""
    words = [part.removesuffix(".py") for part in path.split("/")]
    taken = (set(sys.stdlib_module_names) | _dependencies()) - {"__init__", "__main__"}
    return [f"{word} is taken" for word in words if word in taken]


def names_say_what_a_thing_is(path: str, text: str) -> list[str]:
    """No drawer for odds and ends, neither as a file nor as a class."""
    words = {part.removesuffix(".py") for part in path.split("/")}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            words |= {word.lower() for word in re.findall("[A-Z][a-z]+", node.name)}
    return [f"named {word}" for word in sorted(words & BANNED_NAMES)]


def modules_say_what_they_are(_path: str, text: str) -> list[str]:
    """Each begins with a docstring."""
    return [] if not text or ast.get_docstring(ast.parse(text)) else ["no docstring"]


def public_functions_say_what_they_do(path: str, text: str) -> list[str]:
    """Each function that other modules may call has a docstring; migrations are called by Alembic alone."""
    if "/migrations/" in path:
        return []
    return [f"{node.name} has no docstring" for node in _public(ast.parse(text)) if not ast.get_docstring(node)]


def nothing_names_a_registry(path: str, text: str) -> list[str]:
    """Where packages come from is the machine's own matter."""
    if path.startswith("tests/tidy/"):
        return []
    return [f"names {match.group()}" for match in REGISTRIES.finditer(text)]


def markdown_has_its_place(path: str, _text: str) -> list[str]:
    """README, CHANGELOG and `docs/`: no status reports in the source tree."""
    return [] if not path.endswith(".md") or MARKDOWN.fullmatch(path) else ["stray Markdown"]


def pages_exist(path: str, text: str) -> list[str]:
    """Every page that a file names is in the repository, from its own folder, from the root or from `docs/`."""
    if path.startswith(("tests/tidy/", "requirements.lock")):
        return []
    folder = path.rpartition("/")[0]
    return [
        f"names {page}" for page in sorted(set(PAGE.findall(ADDRESS.sub("", text)))) if not _is_there(page, folder)
    ]


def _is_there(page: str, folder: str) -> bool:
    if page.startswith("design"):
        return False
    wanted = {posixpath.normpath(f"{base}/{page}").lstrip("/") for base in (folder, "", "docs")}
    numbered = tuple(f"{name}-" for name in wanted)  # a decision, named by its number alone
    return any(file in wanted or file.startswith(numbered) for file in files())


def log_events_are_noun_and_verb(_path: str, text: str) -> list[str]:
    """`noun.verb` in snake case, with fields: a sentence can be neither searched for nor counted."""
    return [f"logs {event!r}" for event in log_events(text) if not EVENT.fullmatch(event)]


def log_events(text: str) -> list[str]:
    """The events that a source logs; what an f-string fills in stands as `x`."""
    return [event for node in ast.walk(ast.parse(text)) for event in _events(node)]


def _events(node: ast.AST) -> Iterator[str]:
    """The event of a log call, or the one that a `LogLine` declares; what an f-string fills in counts as `x`."""
    value = node.args[0] if isinstance(node, ast.Call) and _is_log_call(node) else None
    if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "event":
        value = node.value
    if isinstance(value, ast.Constant) and value.value:
        yield str(value.value)
    elif isinstance(value, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in value.values)


def _is_log_call(node: ast.Call) -> bool:
    function = node.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr in LEVELS
        and bool(node.args)
        and ast.unparse(function.value) in {"log", "structlog.get_logger()"}
    )


def _imports(text: str) -> Iterator[str]:
    """Every module that may be meant: `from gateway import runtime` names `gateway` and `gateway.runtime`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _functions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _is_environment(node: ast.Attribute) -> bool:
    return (
        node.attr in {"environ", "environb", "getenv"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    )


def _public(scope: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in scope.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node


@cache
def _dependencies() -> set[str]:
    return set(packages_distributions()) - set(ROOMS)
