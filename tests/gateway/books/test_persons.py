"""What is sealed opens in its own place alone, and accounts are kept and found without their addresses."""

import msgspec
import pytest
from sqlalchemy import Connection, select

from gateway.books import accounts, confirmations, persons, sealing
from gateway.books.accounts import Account, EmailTaken
from gateway.books.answer_texts import has_sealed, opened_answer, sealed_answer
from gateway.books.payments import insert_payment
from gateway.books.persons import ACCOUNT_TEXTS, MARK, RING, Sealed, is_sealed
from gateway.books.tables import ABOVE_ALL_IDS, struct_of
from tests.gateway.payments import situations

ADA = Account(
    id="acc_ada",
    role="customer",
    email="Ada@example.com",
    email_key="ada@example.com",
    name="Ada Canary",
    phone="+4930901820",
    locale="de",
    time_zone="Europe/Berlin",
    created_at=1,
    updated_at=1,
)
PERSONAL = ("Ada@example.com", "ada@example.com", "Ada Canary", "+4930901820", "Europe/Berlin")


def kept(conn: Connection) -> list[Account]:
    """The rows of accounts, as they stand there."""
    return [struct_of(Account, row) for row in conn.execute(select(accounts.accounts).order_by("id"))]


def text_of(conn: Connection, table: str) -> str:
    """Everything that stands in a table."""
    return str([tuple(row) for row in conn.exec_driver_sql(f"SELECT * FROM {table}")])


def test_an_account_is_kept_sealed_and_read_as_it_was(conn: Connection) -> None:
    accounts.add(conn, ADA)
    assert not [each for each in PERSONAL if each in text_of(conn, "accounts")]
    for found in (accounts.by_id(conn, "acc_ada"), accounts.by_email(conn, "ada@example.com")):
        assert found is not None
        hashed = {"email_key": ADA.email_key, "email_domain_hash": ADA.email_domain_hash}
        assert msgspec.structs.replace(found, **hashed) == ADA
    bare = accounts.bare_by_id(conn, "acc_ada")
    assert bare is not None
    assert (bare.email, bare.name, bare.role) == (None, "", "customer")
    accounts.change(conn, msgspec.structs.replace(ADA, name="Ada Second", new_email="new@example.com"))
    assert "Second" not in text_of(conn, "accounts")
    changed = accounts.by_id(conn, "acc_ada")
    assert changed is not None
    assert (changed.name, changed.new_email) == ("Ada Second", "new@example.com")


def test_a_login_needs_no_key_of_a_person(conn: Connection) -> None:
    accounts.add(conn, ADA)
    ring = conn.info[RING]
    conn.info[RING] = LookupsAlone(persons.LOOKUPS)
    conn.info[RING].put([persons.LOOKUPS], {persons.LOOKUPS: ring.find(persons.LOOKUPS, make=True).key}, made=True)
    assert accounts.bare_by_email(conn, "ada@example.com")
    with pytest.raises(persons.PersonKeysNeeded):
        accounts.by_email(conn, "ada@example.com")


class LookupsAlone(persons.KeyRing):
    """A ring as a vault leaves it that is away."""


@pytest.mark.parametrize("column", ["email", "row", "table", "person", "byte"])
def test_a_text_that_was_moved_or_altered_does_not_open(conn: Connection, column: str) -> None:
    text = persons.seal(conn, "acc_ada", "accounts", "name", "acc_ada", "Ada")
    assert text is not None
    place = Sealed(text, "accounts", "name", "acc_ada")
    assert persons.unseal(conn, place) == "Ada"
    moved = {
        "email": place._replace(column="email"),
        "row": place._replace(row_id="acc_bob"),
        "table": place._replace(table="payments"),
        "person": place._replace(text=text.replace("acc_ada", "acc_bob")),
        "byte": place._replace(text=text[:-3] + ("AA=" if text[-3:] != "AA=" else "BA=")),
    }
    assert persons.unseal(conn, moved[column]) is None


def test_two_texts_alike_are_sealed_differently(conn: Connection) -> None:
    one, two = (persons.seal(conn, "acc_ada", "accounts", "name", "acc_ada", "Ada") for _ in range(2))
    assert one != two


def test_what_looks_sealed_when_it_is_given_is_sealed_as_any_text(conn: Connection) -> None:
    """Nobody has another one's text opened by sending it as their own."""
    stolen = persons.seal(conn, "acc_bob", "payments", "description", "pay_bob", "secret of Bob")
    row = insert_payment(conn, situations.payment(id="pay_ada", description=stolen))
    shown = {"object": "payment", "id": "pay_ada", "reference": stolen}
    as_kept = msgspec.json.encode(shown | {"description": row.description})
    assert msgspec.json.decode(opened_answer(conn, as_kept)) == shown | {"description": stolen}
    moved = msgspec.json.encode(shown | {"description": stolen})
    assert msgspec.json.decode(opened_answer(conn, moved)) == shown


def test_an_answer_that_shows_an_account_is_kept_sealed_and_opens_to_the_same_bytes(conn: Connection) -> None:
    body = msgspec.json.encode({"id": "acc_ada", "object": "account", "name": "Ada", "email": None, "score": 0.1})
    kept_body = sealed_answer(conn, body)
    assert has_sealed(kept_body)
    assert b"Ada" not in kept_body
    assert opened_answer(conn, kept_body) == body
    for other in (b"", b"[]", b'{"object":"payment"}'):
        assert sealed_answer(conn, other) == other


def test_an_address_that_is_not_sealed_yet_is_found_and_taken(conn: Connection) -> None:
    in_clear(conn, ADA)
    found = accounts.by_email(conn, "ada@example.com")
    assert found == ADA
    twin = msgspec.structs.replace(ADA, id="acc_twin")
    with pytest.raises(EmailTaken):
        accounts.add(conn, twin)
    other = msgspec.structs.replace(ADA, id="acc_other", email="o@example.com", email_key="o@example.com")
    accounts.add(conn, msgspec.structs.replace(other, new_email="Ada@example.com"))
    assert accounts.confirm_email(
        conn, "acc_other", "Ada@example.com", "ada@example.com", 5
    )  # Ada never confirmed
    assert accounts.by_email(conn, "ada@example.com").id == "acc_other"  # type: ignore[union-attr]


def test_old_rows_are_sealed_in_batches_from_where_it_came_to(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "AT_ONCE", 2)
    many = [f"acc_{n}" for n in range(5)]
    for name in many:
        in_clear(conn, msgspec.structs.replace(ADA, id=name, email_key=f"{name}@example.com"))
    assert sealing.seal_some(conn, "accounts")
    states = [is_sealed(row.name) for row in kept(conn)]
    assert states == [True, True, False, False, False]
    while sealing.seal_some(conn, "accounts"):
        pass
    assert not [each for each in PERSONAL if each in text_of(conn, "accounts")]
    assert text_of(conn, "sealings") == str([("accounts", ABOVE_ALL_IDS)])
    for name in many:
        found = accounts.by_email(conn, f"{name}@example.com")
        assert found is not None
        assert (found.id, found.name, found.locale) == (name, ADA.name, "de")


@pytest.mark.parametrize("name", ["payments", "refunds"])
def test_old_texts_of_payments_are_sealed_too(conn: Connection, name: str) -> None:
    columns = sealing.TABLES[name].columns
    row = situations.payment("captured") if name == "payments" else situations.refund()
    table = sealing.payments if name == "payments" else sealing.refunds
    texts = dict.fromkeys(columns.gone, "Canary")
    conn.execute(table.insert().values(**msgspec.structs.asdict(row) | texts))
    while sealing.seal_some(conn, name):
        pass
    assert "Canary" not in text_of(conn, name)
    assert text_of(conn, name).count(f"{MARK}{row.customer_id}:") == len(columns.gone)


def test_what_was_confirmed_before_the_rest_was_sealed_is_not_sealed_twice(conn: Connection) -> None:
    in_clear(conn, ADA)
    assert accounts.confirm_email(conn, "acc_ada", "Ada@example.com", "ada@example.com", 5)
    while sealing.seal_some(conn, "accounts"):
        pass
    found = accounts.by_id(conn, "acc_ada")
    assert found is not None
    assert (found.email, found.name) == (ADA.email, ADA.name)


def test_an_erased_row_is_left_as_it_is(conn: Connection) -> None:
    accounts.add(conn, ADA)
    accounts.erase(conn, "acc_ada", 7)
    sealing.seal_some(conn, "accounts")
    (row,) = kept(conn)
    assert {name: getattr(row, name) for name in ACCOUNT_TEXTS.gone} == ACCOUNT_TEXTS.gone
    assert row.email_key is None


def test_the_address_of_a_confirmation_is_kept_sealed(conn: Connection) -> None:
    row = confirmations.ConfirmationRow(
        account_id="acc_ada",
        channel="email",
        id="cnf_1",
        address="ada@example.com",
        seed=b"",
        secret_hash=b"hash",
        expires_at=10,
        due_at=1,
    )
    confirmations.put(conn, row)
    assert "ada@" not in text_of(conn, "confirmations")
    assert confirmations.due(conn, "email", 5, 9, tried=False) == [row]
    assert confirmations.take(conn, b"hash", 5) == row


def in_clear(conn: Connection, account: Account) -> None:
    """Write an account as an earlier Sluice did."""
    conn.execute(accounts.accounts.insert().values(**msgspec.structs.asdict(account)))
