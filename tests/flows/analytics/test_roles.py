"""What the restricted readers are told is the same whatever stands in columns and rows that are not theirs.

Every attack is asked twice, with all that is hidden exchanged in between: rows, columns and errors must be equal.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from connectors.warehouse import SQL_READERS, address, load_quack, quoted, tokens
from flows.analytics.answers import MESSAGE_MAX, SUGGESTION, meaning
from flows.analytics.ingest import ingest
from flows.analytics.readers import Readers
from flows.analytics.settings import SqlSettings
from flows.analytics.warehouse import Warehouse
from schemas.accounts import SqlReader
from tests.flows.analytics.attacks import ON_COLUMNS, ON_NAMES, ON_ROWS
from tests.flows.analytics.conftest import Log, lives, own_ports

PERSONS = {
    "sqt_" + "c" * 43: SqlReader("sqt_id_1", "acc_reader", "without_cards"),
    "sqt_" + "o" * 43: SqlReader("sqt_id_2", "acc_owner", "own", "acc_merchant"),
    "sqt_" + "s" * 43: SqlReader("sqt_id_3", "acc_analyst", "all"),
}
WITHOUT_CARDS, OWN, STAFF = PERSONS

VERDICTS = """
INSERT INTO store.verdicts (event, payment, instrument, merchant, outcome, source, score, reasons, features, model)
SELECT 'evt_' || id, id, instrument, merchant, 'allow', 'model', 0.1, [], '{"a": 1}', 'm1' FROM store.payments;
INSERT INTO store.labels (event, payment, instrument, merchant, label, source, amount, features, score, model)
SELECT 'lab_' || id, id, instrument, merchant, 'good', 'chargeback', amount, '{}', 0.1, 'm1' FROM store.payments;
"""
BOOKS = """
INSERT INTO store.operations (id, payment, attempt, merchant, processor, kind, status, amount, currency, detail)
SELECT 'op_' || id, id, 'att_' || id, merchant, 'visa', 'sale', 'succeeded', amount, currency, 'ok'
FROM store.payments;
INSERT INTO store.ledger (operation, number, payment, merchant, account, amount, currency)
SELECT 'op_' || id, n, id, merchant, if(n = 0, 'due:visa', 'due:' || merchant), amount * (1 - 2 * n), currency
FROM store.payments, range(2) t(n);
INSERT INTO store.balances (account, currency, amount, entries)
SELECT account, currency, sum(amount), count(*) FROM store.ledger GROUP BY ALL;
INSERT INTO store.ledger_days (day, account, currency, merchant, amount, entries)
SELECT TIMESTAMP '2026-01-01', account, currency, merchant, sum(amount), count(*) FROM store.ledger GROUP BY ALL;
INSERT INTO store.reviews (id, payment, merchant, decided_by) SELECT 'rev_1', 'pay_1', 'acc_merchant', 'acc_2';
INSERT INTO store.accounts (id, role, trading_name)
VALUES ('acc_merchant', 'merchant', 'Mine'), ('acc_foreign', 'merchant', 'foreign');
"""
FOREIGN = """
UPDATE store.payments SET merchant = 'acc_foreign' WHERE id LIKE 'pay_foreign%';
UPDATE store.refunds SET merchant = 'acc_foreign' WHERE payment LIKE 'pay_foreign%';
"""
# Then all that a merchant's people do not see is another thing: rows, figures and risk.
OF_OTHERS = """
UPDATE store.payments SET id = 'pay_canary' || amount, amount = amount + 77000, currency = 'XXX',
       decline_code = 'canary', created_at = created_at + INTERVAL 40 days WHERE merchant = 'acc_foreign';
DELETE FROM store.payments WHERE merchant = 'acc_foreign' AND amount % 3 = 0;
UPDATE store.refunds SET id = 'ref_canary' || amount, payment = 'pay_canary', amount = 88888, currency = 'XXX'
WHERE merchant = 'acc_foreign';
UPDATE store.operations SET id = 'op_canary' || amount, payment = 'pay_canary', attempt = 'canary' || amount,
       amount = amount + 77000 WHERE merchant = 'acc_foreign';
UPDATE store.operations SET detail = 'canary';
UPDATE store.ledger SET operation = 'op_canary', amount = 77777 WHERE account <> 'due:acc_merchant';
UPDATE store.balances SET amount = 77777, entries = 77 WHERE account <> 'due:acc_merchant';
DELETE FROM store.ledger_days WHERE account <> 'due:acc_merchant';
UPDATE store.reviews SET decided_by = 'acc_canary';
UPDATE store.accounts SET trading_name = 'canary' WHERE id = 'acc_foreign';
UPDATE store.payments SET card = 'card_canary', instrument = 'fp_canary', risk_outcome = 'block', risk_score = 0.9,
       risk_reasons = ['canary'], risk_source = 'canary', risk_model = 'canary', waited_ms = 99;
UPDATE store.verdicts SET outcome = 'block', reasons = ['canary'];
UPDATE store.labels SET label = 'fraud', source = 'canary';
INSERT INTO store.dead_letters (topic, reason) VALUES ('canary', 'canary');
INSERT INTO store.controls (id, kind) VALUES ('canary', 'canary');
"""
OF_CARDS = """
UPDATE store.payments SET card = 'card_canary2' || id, instrument = 'fp_canary' || (hash(id) % 3), bin = '999999',
       last4 = '8888', customer = 'acc_canary' || (hash(id) % 5);
UPDATE store.refunds SET customer = 'acc_canary';
UPDATE store.verdicts SET instrument = 'fp_canary', features = '{"canary": 2}';
UPDATE store.labels SET instrument = 'fp_canary', features = '{"canary": 2}';
UPDATE store.operations SET detail = 'canary2', requested_by = 'acc_canary', processor_reference = 'canary';
UPDATE store.reviews SET decided_by = 'acc_canary2';
UPDATE store.accounts SET role = 'canary', disabled = true WHERE trading_name IS NULL;
INSERT INTO store.notifications (event, payment, address) VALUES ('canary', 'pay_1', 'c…@canary');
DELETE FROM store.controls;
"""

Told = dict[tuple[str, str], str]


class Persons:
    """Stands for the gateway: knows these tokens."""

    def check(self, token: str) -> SqlReader | None:
        return PERSONS.get(token)


class Served:
    """A served copy with payments of two merchants, and what it tells to whom."""

    def __init__(self, data: Path) -> None:
        self.settings = SqlSettings(
            data=data,
            port_offset=own_ports(),
            statement_s=10_000,
            sql_process_mb=1_000_000,
            sql_per_minute=100_000,
        )
        self.copy = Warehouse(self.settings.file(), lambda letters: None)
        log = Log()
        self.copy.write([ingest(log.record(each)) for each in [*lives(20), *lives(30, "foreign")]])
        self.change(FOREIGN + VERDICTS + BOOKS)
        readers = Readers(tokens(self.settings, SQL_READERS), Persons())
        self.copy.serve_guarded(f"quack:localhost:{self.settings.port('sql')}", readers, self.settings)
        self._con = duckdb.connect(config={"threads": 1})
        load_quack(self._con)

    def change(self, statements: str) -> None:
        """Change what stands in the tables."""
        self.copy._con.cursor().execute(statements)

    def ask(self, token: str, sql: str) -> str:
        """The columns and rows of an answer, or the error."""
        way = (
            f"{quoted(address(self.settings, 'sql'))}, {quoted(sql)}, token = {quoted(token)}, disable_ssl = true"
        )
        try:
            found = self._con.execute(f"FROM quack_query({way})")
        except duckdb.Error as error:
            return str(error).partition("\n\nLINE 1: FROM quack_query")[0]
        return str([[column[0] for column in found.description], found.fetchall()])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    one = Served(tmp_path_factory.mktemp("roles"))
    yield one
    one.copy.close()


@pytest.fixture(scope="module")
def told(served: Served) -> tuple[Told, Told]:
    """What every attack is told, before and after all that is hidden from who asks became another thing."""
    own = [(OWN, sql) for sql in [*ON_ROWS, *ON_NAMES]]
    cards = [(WITHOUT_CARDS, sql) for sql in [*ON_COLUMNS, *ON_NAMES]]
    before = {each: served.ask(*each) for each in own}
    served.change(OF_OTHERS)
    after = {each: served.ask(*each) for each in own}
    before |= {each: served.ask(*each) for each in cards}
    served.change(OF_CARDS)
    return before, after | {each: served.ask(*each) for each in cards}


SEEN = [
    (OWN, "SELECT count(*) FROM payments", "20"),
    (OWN, "SELECT sum(count)::BIGINT FROM payments_by_minute", "20"),
    (OWN, "SELECT sum(count)::BIGINT FROM payments_by_day", "20"),
    (OWN, "SELECT count(*) FROM operations", "20"),
    (OWN, "SELECT count(DISTINCT account) FROM ledger", "1"),
    (OWN, "SELECT count(*) FROM (SHOW TABLES)", "11"),
    (OWN, "SELECT count(DISTINCT last4) FROM payments", "1"),
    (WITHOUT_CARDS, "SELECT count(*) FROM payments WHERE risk_outcome IS NOT NULL", "50"),
    (WITHOUT_CARDS, "SELECT count(*) FROM payments_by_minute WHERE false", "0"),
    (WITHOUT_CARDS, "FROM (SELECT 1 AS x) WHERE x = (SELECT count(*) FROM payments p WHERE p.id = 'pay_1')", "1"),
    (STAFF, "SELECT count(DISTINCT card) FROM sql.store.payments", "1"),
]


@pytest.mark.parametrize(("token", "sql", "value"), SEEN)
def test_what_they_may_see_they_do(served: Served, token: str, sql: str, value: str) -> None:
    """Asked before anything is hidden: the fixture of the attacks is made after it."""
    assert served.ask(token, sql).endswith(f"[({value},)]]")


@pytest.mark.parametrize("sql", ON_ROWS)
def test_a_merchant_learns_nothing_of_others(told: tuple[Told, Told], sql: str) -> None:
    check(told, OWN, sql)


@pytest.mark.parametrize("sql", ON_COLUMNS)
def test_a_reader_learns_nothing_of_cards(told: tuple[Told, Told], sql: str) -> None:
    check(told, WITHOUT_CARDS, sql)


@pytest.mark.parametrize("sql", ON_NAMES, ids=lambda sql: sql[:60])
@pytest.mark.parametrize("token", [WITHOUT_CARDS, OWN], ids=["without_cards", "own"])
def test_no_name_leads_out_of_what_a_reader_sees(told: tuple[Told, Told], token: str, sql: str) -> None:
    check(told, token, sql)
    assert "refused: " in told[0][token, sql]


def test_an_error_as_long_as_memory_is_cut_and_looked_at_once() -> None:
    """As of `SELECT error(repeat(' ', 1000000))`: it held all threads of the process for minutes."""
    before = time.process_time()
    shown = meaning(duckdb.Error("x" + " " * 10**6), PERSONS[OWN])
    SUGGESTION.sub("", "x" + " " * 10**6)
    assert time.process_time() - before < 1
    assert len(shown) == MESSAGE_MAX
    assert meaning(duckdb.Error('no view p\nDid you mean "payments"?'), PERSONS[OWN]) == "no view p"


@pytest.mark.parametrize("words", ["a\n\nLINE b", "\n\nLINE ", "\n\nLINE " + "9" * 5000 + ":"])
def test_an_error_in_a_readers_own_words_is_told_as_it_is(words: str) -> None:
    """As of `SELECT error(…)`: where it could not be read, its statement was in no log."""
    assert meaning(duckdb.Error(words), PERSONS[OWN]) == words[:MESSAGE_MAX]
    assert meaning(duckdb.Error("no\n\nLINE 3: FROM x"), PERSONS[OWN]) == "no\n\nLINE 2: FROM x"


def check(told: tuple[Told, Told], token: str, sql: str) -> None:
    """It is told the same in both, and nothing of what lies behind the views."""
    before, after = told[0][token, sql], told[1][token, sql]
    assert before == after
    behind = ["Did you mean", "answers.main"] + (["canary", "foreign"] if token == OWN else [])
    assert not any(word in before.replace(sql, "") for word in behind), before
