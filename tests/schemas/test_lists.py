"""Lists: what of a payment may stand on one, and which entry decides about it."""

from datetime import timedelta

import msgspec

from schemas.ids import new_id
from schemas.lists import COUNTRIES, LISTING_ID, FraudListing, Listable, deciding_entry, places_of
from schemas.times import EPOCH

ENTRY = FraudListing(new_id("lst"), 1, "block", "country", "DE", "acc_1", None, EPOCH)
ALLOW = msgspec.structs.replace(ENTRY, id="lst_" + "0" * 26, list="allow")
SOON = EPOCH + timedelta(hours=1)


def test_a_block_goes_before_an_allow_whatever_their_order_and_age() -> None:
    assert deciding_entry([ALLOW, ENTRY], EPOCH) == ENTRY
    assert deciding_entry([ENTRY, ALLOW], EPOCH) == ENTRY
    assert deciding_entry([ALLOW], EPOCH) == ALLOW
    assert deciding_entry([], EPOCH) is None


def test_an_entry_decides_until_it_expires() -> None:
    for ends in (SOON, SOON.replace(tzinfo=None)):  # a time without a zone is UTC
        ended = msgspec.structs.replace(ENTRY, expires_at=ends)
        assert deciding_entry([ALLOW, ended], SOON - timedelta(microseconds=1)) == ended
        assert deciding_entry([ALLOW, ended], SOON) == ALLOW


def test_a_payment_is_found_by_all_that_it_names_and_by_nothing_that_it_lacks() -> None:
    whole = Listable("ins_1", "acc_1", "acc_2", "41111122", "DE", "hash_1", "hash_2", "hash_3")
    assert places_of(whole) == [
        ("card", "ins_1"),
        ("bin", "41111122"),
        ("bin", "411111"),
        ("customer", "acc_1"),
        ("merchant", "acc_2"),
        ("ip", "hash_1"),
        ("ip", "hash_2"),
        ("country", "DE"),
        ("device", "hash_3"),
    ]
    assert places_of(Listable("acc_1", "acc_1", "acc_2")) == [
        ("card", "acc_1"),
        ("customer", "acc_1"),
        ("merchant", "acc_2"),
    ]


def test_every_id_that_we_make_is_one_of_a_listing() -> None:
    assert all(LISTING_ID.fullmatch(new_id("lst")) for _ in range(100))


def test_countries_are_those_of_the_standard() -> None:
    assert len(COUNTRIES) == 250
    assert {"DE", "GB", "XK"} <= COUNTRIES
    assert not {"UK", "EU", "XX"} & COUNTRIES
