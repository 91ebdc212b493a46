"""What lasts as long as its process is started by `connectors/lasting.py` alone, and each is killed in a test.

The list is made from the sources: a new place that starts a task or thread fails here until it is decided.
"""

import ast
from collections.abc import Iterator

from tests.tidy import sources
from tests.victims import LASTING

ROOMS = ("connectors/", "flows/", "gateway/", "sluice/")
MECHANISM = "connectors/lasting.py"
NAMED_BY_CALLERS = (MECHANISM, "gateway/events/topic_inbox.py")
WATCHED = {"LastingTask", "LastingThread", "LastingThreads", "TopicInbox"}
STARTERS = {
    "ProcessPoolExecutor",
    "TaskGroup",
    "Thread",
    "ThreadPoolExecutor",
    "Timer",
    "create_task",
    "ensure_future",
    "run_coroutine_threadsafe",
    "run_in_executor",
    "start_new_thread",
    "to_thread",
}

# What ends by itself, by file and function: one call or request, awaited by whoever needs it.
ENDS_BY_ITSELF = {
    ("connectors/durable_files.py", "synced"): "an fsync, awaited in place",
    ("connectors/durable_files.py", "_sync"): "as above",
    (
        "connectors/metrics_server.py",
        "serve_metrics",
    ): "a server that its process can do without",
    ("connectors/loop_thread.py", "run"): "work, awaited in place",
    ("connectors/sql_tokens.py", "_check"): "a question, awaited by those who ask the same",
    ("connectors/sandbox/sandbox.py", "order"): "a fault of the sandbox",
    ("flows/analytics/rebuild.py", "_write_all"): "batches of a command, each awaited",
    ("flows/notifications/lane.py", "run"): "lines of the lane, which ends with any of them",
    ("flows/notifications/lane.py", "_start_due"): "as above",
    ("flows/notifications/lane.py", "_start"): "messages of one customer",
    ("flows/notifications/teller.py", "_run"): "the lanes of the teller, which ends with any of them",
    ("flows/notifications/recipients.py", "ask"): "a question, awaited by those who ask the same",
    ("gateway/books/postgres.py", "_shielded"): "a transaction, awaited in place",
    ("gateway/books/sqlite.py", "_commit_group"): "a COMMIT, awaited in place",
    ("gateway/books/sqlite.py", "browse"): "a list, awaited in place",
    ("gateway/books/sqlite.py", "close"): "the end of the books",
    ("gateway/backtest/desk.py", "_ask"): "a question to the warehouse, which ends by itself",
    ("gateway/backtest/desk.py", "_alone"): "as above",
    ("gateway/routes/backtests.py", "run_backtest"): "a check of an expression, awaited in place",
    ("gateway/routes/rules.py", "create_rule"): "a check of an expression, awaited in place",
    ("gateway/routes/rules.py", "replace_rule"): "as above",
    ("gateway/routes/rules.py", "check_expression"): "as above",
    ("gateway/payments/recovery_pools.py", "recover"): "the pools of recovery, which ends with any of them",
    ("gateway/payments/recovery_pools.py", "begin"): "one thing to recover",
    ("gateway/books/write_probe.py", "answers"): "a write, awaited by those who ask for readiness",
    ("gateway/events/controls_inbox.py", "_wait_for"): "transactions, awaited in place",
    ("gateway/events/dead_letters.py", "_asked"): "a question to Kafka, awaited in place",
    ("gateway/events/outbox_relay.py", "close"): "the end of the relay",
    ("gateway/events/topic_inbox.py", "close"): "the end of an inbox",
    ("gateway/events/verdict_inbox.py", "_ask"): "a read of the books, awaited in place",
    ("gateway/identity/confirmation_sender.py", "run"): "the channels of the sender, which ends with either",
    ("gateway/identity/confirmation_sender.py", "_run"): "one message",
    ("gateway/identity/passwords.py", "run"): "a password, awaited in place",
    ("gateway/runtime.py", "go_on"): "what a request began",
    ("gateway/runtime.py", "opened"): "migrations, awaited in place",
    ("gateway/vault/__main__.py", "_until"): "the end of standing by, awaited in place",
    ("gateway/vault/audit.py", "_in_thread"): "a group of entries, awaited in place",
    ("gateway/vault/client.py", "_found"): "a search for the vault that serves, awaited in place",
    ("gateway/vault/client.py", "check"): "a ping, awaited by those who ask for it",
    ("gateway/vault/office.py", "_change"): "a file, awaited in place",
    ("gateway/vault/replica.py", "_leave"): "a change at the witness",
    ("gateway/vault/replica.py", "follow"): "a copy, which ends by itself",
    ("gateway/vault/server.py", "_begin"): "an entry, or the end of a connection",
    ("gateway/vault/server.py", "_serve"): "a request",
    ("gateway/vault/standby.py", "_in_thread"): "what came, awaited in place",
    ("gateway/vault/standby.py", "_stand_by"): "the end of standing by, awaited in place",
    ("gateway/vault/standby.py", "_take"): "a file, awaited in place",
    ("gateway/vault/witness.py", "_run"): "a statement, awaited in place",
    ("gateway/vault/writer.py", "between"): "a transaction, awaited in place",
    ("sluice/child_process.py", "_run_once"): "preparations, awaited in place",
    ("sluice/console/session.py", "_await"): "a statement, awaited in place, or by nobody",
    ("sluice/probes.py", "probe"): "a probe, awaited in place",
    ("sluice/supervisor.py", "_stop"): "the end of the stack",
}
# Commands that end by themselves, and fail with their first task.
COMMANDS = ("sluice/freshness.py", "sluice/jars.py", "sluice/replay.py", "sluice/shoppers/")


def unwatched(path: str, text: str) -> list[str]:
    """The functions that start something which nobody watches, and that are not known to end by themselves."""
    if not path.startswith(ROOMS) or path.startswith((MECHANISM, *COMMANDS)):
        return []
    starting = {function for function, name in _names(ast.parse(text), "") if name in STARTERS}
    return sorted(function for function in starting if (path, function) not in ENDS_BY_ITSELF)


def watched(text: str) -> set[str]:
    """The names of the lasting tasks and threads that a file starts."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    lasting = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in WATCHED]
    return {str(ast.literal_eval(call.args[1])) for call in lasting}


def _names(node: ast.AST, function: str) -> Iterator[tuple[str, str]]:
    """Each name that is used, with the function that uses it; called or not, for it may be handed on."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Attribute | ast.Name):
            yield function, child.attr if isinstance(child, ast.Attribute) else child.id
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from _names(child, child.name if is_function else function)


def test_nothing_that_lasts_is_started_without_being_watched() -> None:
    for planted in ("asyncio.create_task(poll())", "Thread(target=poll).start()", "start = asyncio.to_thread"):
        assert unwatched("gateway/a.py", f"def begin():\n    {planted}\n") == ["begin"]
    found = [f"{path}: {name}" for path in sources.room_files() for name in unwatched(path, sources.text(path))]
    assert not found, "a LastingTask or LastingThread, or a line in ENDS_BY_ITSELF"


def test_what_is_said_to_end_by_itself_is_there() -> None:
    started = {
        (path, function)
        for path in sources.room_files()
        for function, name in _names(ast.parse(sources.text(path)), "")
        if name in STARTERS
    }
    assert ENDS_BY_ITSELF.keys() <= started


def test_each_of_what_lasts_is_killed_in_a_test() -> None:
    assert watched('LastingThread(self._poll, "relay", stop)') == {"relay"}
    files = [path for path in sources.room_files() if path.startswith(ROOMS) and path not in NAMED_BY_CALLERS]
    names = {name for path in files for name in watched(sources.text(path))}
    assert names == LASTING, "give it a name in tests/victims.py, by which a test kills it"
