"""What a merchant's people are answered by the warehouse: by their own rights, as the process `sql` has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from flows.analytics.answers import Answers
from flows.analytics.names import VisibleNames
from flows.analytics.policy import RoleViews
from flows.analytics.readers import Readers
from flows.analytics.settings import AnalyticsSettings, SqlSettings
from flows.analytics.statements import Statements
from schemas.accounts import SqlReader
from schemas.settings import PORTS
from tests.conftest import unused_ports
from tests.dashboards.conftest import Shop
from tests.dashboards.gateway_double import seller

SHOP = "acc_shop"  # the merchant of the double's sellers
TOKENS = {seller(role): f"acc_{role}" for role in ("owner", "operator", "viewer")}


class SellersTokens:
    """Says whose a token is, as the gateway would."""

    def check(self, token: str) -> SqlReader | None:
        """What a seller sees; None for nobody."""
        return SqlReader("ses_1", TOKENS[token], "own", SHOP) if token in TOKENS else None


def asked_by(shop: Shop, merchant_id: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a statement as one of that merchant's people gets them, from the warehouse of `shop`."""
    policy, answers = _guarded(shop)
    reader, statements = SqlReader("ses_1", "acc_1", "own", merchant_id), Statements()
    tree = statements.check(statement).encode()
    views = VisibleNames(statements).check(tree, policy.seen(reader))
    with answers.cursor_for(reader, views) as cursor:
        return cursor.execute(statement).fetchall()


@lru_cache(maxsize=1)
def _guarded(shop: Shop) -> tuple[RoleViews, Answers]:
    con = shop.warehouse._con.cursor()
    [(catalog,)] = con.execute("SELECT current_catalog()").fetchall()
    policy = RoleViews(catalog)
    return policy, Answers(con, policy, 2**30)


@contextmanager
def serving_sql(data: Path) -> Iterator[tuple[Shop, SqlSettings]]:
    """A warehouse that is asked as the process `sql` is, by sellers and by who has the token `analyst`."""
    [port] = unused_ports(1)
    offset = port - PORTS["sql"]
    shop = Shop(AnalyticsSettings(data=data, port_offset=offset))
    settings = SqlSettings(
        data=data, port_offset=offset, statement_s=10_000, sql_process_mb=1_000_000, sql_per_minute=100_000
    )
    readers = Readers({"ana": "analyst"}, SellersTokens())
    shop.warehouse.serve_guarded(f"quack:localhost:{port}", readers, settings)
    try:
        yield shop, settings
    finally:
        shop.close()
