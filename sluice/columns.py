"""The columns of a file of transactions: what their types may be, and how a row becomes one in DuckDB's SQL.

Whoever wrote the file chose the widths of its integers, texts for ids, times with a zone or without; and where one
value of a column is missing, some writers make floats of its integers. What a row lacks is counted, never guessed.
"""

import duckdb

NEEDED = ("tx_id", "ts", "card_id", "merchant_id", "amount")
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
WHOLE = frozenset({*INTEGERS, *(f"U{name}" for name in INTEGERS)})
FLOATS = frozenset({"FLOAT", "DOUBLE"})
TEXTS = frozenset({"VARCHAR", "UUID"})
ZONED = "TIMESTAMP WITH TIME ZONE"
TIMES = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE", ZONED})
CARD_ID_MAX = 10**9  # the digits of a card's number that its id fills
KEY = "[!-~]{1,200}"  # what an Idempotency-Key holds beside the run's id

# The places of ids that are no numbers are counted over all rows, so that they do not depend on those left out.
ROWS = """
    WITH typed AS MATERIALIZED (
        SELECT {tx_id} AS tx_id, {micros} AS micros, {card} AS card, {merchant} AS merchant, {amount} AS amount,
               {is_fraud} AS is_fraud
        FROM file
    )
    SELECT *, CASE
        WHEN tx_id IS NULL THEN 'no tx_id'
        WHEN NOT regexp_full_match(tx_id::VARCHAR, '{key}') THEN 'a tx_id that no key holds'
        WHEN micros IS NULL OR micros < 0 THEN 'no ts since 1970'
        WHEN micros > {until} THEN 'a ts to come'
        WHEN card IS NULL THEN 'no card_id'
        WHEN merchant IS NULL THEN 'no merchant_id'
        WHEN amount IS NULL THEN 'no amount'
        WHEN amount < 0 OR amount > {most} THEN 'an amount out of range'
        WHEN row_number() OVER first > 1 THEN 'a tx_id that came before'
    END AS why FROM typed WINDOW first AS (PARTITION BY tx_id ORDER BY micros, card, merchant, amount)
"""


class WrongColumns(ValueError):
    """A column is missing, or has a type that it cannot be read from."""


class DatasetColumns:
    """Checks the columns of the view `file`, and makes the query of its rows.

    `most`: the largest amount in currency units; `until`: the last time, in microseconds since 1970. Raises
    `WrongColumns`.
    """

    def __init__(self, db: duckdb.DuckDBPyConnection, most: float, until: int) -> None:
        self._db, self._most, self._until = db, most, until
        file = db.view("file")
        self._types = {name.lower(): str(kind) for name, kind in zip(file.columns, file.types, strict=True)}
        if missing := [name for name in NEEDED if name not in self._types]:
            raise WrongColumns(f"it has no column {', '.join(missing)}")

    def query(self) -> str:
        """The query: `tx_id, micros, card, merchant, amount, is_fraud, why`.

        `micros` since 1970; `why` the row is no transaction, null where it is one.
        """
        card, merchant = self._place("card_id", CARD_ID_MAX), self._place("merchant_id")
        return ROWS.format(
            tx_id=self._id("tx_id"),
            micros=self._micros(),
            card=card,
            merchant=merchant,
            amount=self._amount(),
            is_fraud=self._fraud(),
            key=KEY,
            until=self._until,
            most=repr(self._most),
        )

    def _id(self, name: str) -> str:
        """A whole number or a text; NULL where it is neither."""
        kind = self._types[name]
        if kind in WHOLE:
            return name
        if kind in TEXTS:
            return f"nullif({name}::VARCHAR, '')"
        if kind in FLOATS:
            return f"CASE WHEN isfinite({name}) AND {name} = trunc({name}) THEN TRY_CAST({name} AS HUGEINT) END"
        if kind.startswith("DECIMAL"):
            return f"CASE WHEN {name} = trunc({name}) THEN {name}::HUGEINT END"
        raise WrongColumns(f"its column {name} is {kind}, neither a whole number nor a text")

    def _place(self, name: str, below: int | None = None) -> str:
        """The id itself where it is a whole number (from 0 and `below` that), else its place among the file's."""
        found = self._id(name)
        if self._types[name] not in TEXTS:
            bounds = f"SELECT min({found}), max({found}) FROM file"  # noqa: S608 - a name of ours
            least, largest = self._db.sql(bounds).fetchall()[0]
            if below is None or least is None or 0 <= least <= largest < below:
                return found
        return f"CASE WHEN ({found}) IS NOT NULL THEN dense_rank() OVER (ORDER BY {found} NULLS LAST) - 1 END"

    def _micros(self) -> str:
        kind = self._types["ts"]
        if kind not in TIMES:
            raise WrongColumns(f"its column ts is {kind}, no time")
        moment = "ts" if kind == ZONED else "TRY_CAST(ts AS TIMESTAMP)"
        return f"CASE WHEN isfinite({moment}) THEN epoch_us({moment}) END"

    def _amount(self) -> str:
        kind = self._types["amount"]
        if kind not in WHOLE | FLOATS and not kind.startswith("DECIMAL"):
            raise WrongColumns(f"its column amount is {kind}, no number")
        return "CASE WHEN isfinite(amount::DOUBLE) THEN amount END"

    def _fraud(self) -> str:
        kind = self._types.get("is_fraud")
        if kind is None:
            return "NULL::BOOLEAN"
        if kind in FLOATS:
            return "CASE WHEN isfinite(is_fraud) THEN is_fraud <> 0 END"
        return "TRY_CAST(is_fraud AS BOOLEAN)"
