"""An address is one text, whatever way it came, and its network is whose it is."""

from typing import cast

import pytest

from gateway.addresses import canonical, network_of
from gateway.books.payments import PaymentRow
from gateway.payments.create import ByPaypal, NewPayment, Payer, row_of
from gateway.prints import Prints
from schemas.networks import is_within, networks

KEY = bytes(32)
GOOGLE = "8.8.8.8"


EMBEDDED = ("::ffff:8.8.8.8", "::FFFF:808:808", "0:0:0:0:0:ffff:0808:0808", "64:ff9b::808:808", "2002:808:808::1")
NONE = ("", "<local>", "unknown", "8.8.8.8:80", " 8.8.8.8", "8.8.8.8%eth0", "010.8.8.8", "8" * 9_000)


@pytest.mark.parametrize("given", [GOOGLE, *EMBEDDED])
def test_an_ipv4_address_inside_an_ipv6_one_is_the_ipv4_address(given: str) -> None:
    assert (canonical(given), network_of(given)) == (GOOGLE, GOOGLE)
    assert is_within(cast(str, canonical(given)), networks("8.8.8.0/24"))


@pytest.mark.parametrize("given", ["2001:db8::1", "2001:DB8:0::0001", "2001:0db8:0:0:0:0:0:1", "2001:db8::1%eth0"])
def test_an_address_has_one_spelling(given: str) -> None:
    assert canonical(given) == "2001:db8::1"


@pytest.mark.parametrize("given", NONE)
def test_what_is_no_address_is_nobodys_and_has_one_limit(given: str) -> None:
    assert (canonical(given), network_of(given)) == (None, "")
    assert not is_within(canonical(given) or "", networks("0.0.0.0/0, ::/0"))


def test_a_64_is_one_subscriber_and_an_ipv4_address_too() -> None:
    assert {network_of(f"2001:db8:1:2:{host:x}::{host:x}") for host in range(1, 100)} == {"2001:db8:1:2::/64"}
    assert network_of("2001:db8:1:3::1") != network_of("2001:db8:1:2::1")
    assert network_of("192.0.2.1") != network_of("192.0.2.2")


@pytest.mark.parametrize("given", EMBEDDED)
def test_a_payer_by_a_mapped_address_has_the_country_and_the_hash_of_the_ipv4_one(given: str) -> None:
    mapped, plain = _row(given), _row(GOOGLE)
    assert (mapped.country, mapped.ip_hash) == (plain.country, plain.ip_hash) == ("US", plain.ip_hash)
    assert plain.ip_hash is not None


def test_the_fraud_features_count_a_64_as_one_address() -> None:
    assert len({_row(f"2001:4860:4860::{host:x}").ip_hash for host in range(1, 50)}) == 1
    assert _row("2001:4860:4860::8888").country == "US"
    assert _row("2001:4860:4861::1").ip_hash != _row("2001:4860:4860::1").ip_hash


def test_a_payment_has_the_hash_of_its_network_beside_that_of_its_address() -> None:
    one, beside, other = _row("192.0.2.1"), _row("192.0.2.254"), _row("192.0.3.1")
    assert one.ip_network_hash == beside.ip_network_hash != other.ip_network_hash
    assert one.ip_hash != beside.ip_hash
    by_six = [
        _row(f"2001:4860:{net}::{host}").ip_network_hash for net, host in (("1", "1"), ("1", "2"), ("2", "1"))
    ]
    assert by_six[0] == by_six[1] != by_six[2]


def _row(ip: str) -> PaymentRow:
    asked = NewPayment(amount=1, currency="EUR", merchant="acc_m", payment_method=ByPaypal())
    return row_of(asked, Payer("acc_c", ip, "00-0-0-01"), None, KEY, Prints(KEY))
