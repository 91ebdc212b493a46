"""Addresses, names, languages, time zones and origins, as people write them."""

from collections.abc import Callable

import pytest

from gateway.identity import contacts
from gateway.refusals import InvalidFields
from gateway.return_urls import checked_url, may_return, origin

# Read as no part of the number, or as more digits of it: `doppelt` is 3677358 on a telephone's keys.
EXTENSIONS = (
    " ext. 7",
    ";ext=7",
    " x7",
    "#7",
    ",7",
    "~7",
    " anexo 7",
    " доб 7",
    ";isub=12345",
    " p 7",
    " doppelt",
)


@pytest.mark.parametrize(
    ("check", "given", "normal"),
    [
        (contacts.email, "A.Person@EXAMPLE.com", "A.Person@example.com"),
        (contacts.email, "someone@shop.test", "someone@shop.test"),
        (contacts.email, "jürgen@bücher.example", "jürgen@bücher.example"),
        (contacts.phone, "+1 (500) 555-0006", "+15005550006"),
        (contacts.phone, "+49 30 901820", "+4930901820"),
        (contacts.phone, "+49 (0)151 / 1234-5678", "+4915112345678"),
        (contacts.phone, "+39\u00a006\u2011123.456.78", "+390612345678"),
        (contacts.phone, " +٤٩٣٠١٢٣٤٥٦\n", "+4930123456"),
        (contacts.locale, "pt-BR", "pt-BR"),
        (contacts.locale, "zh-Hant-TW", "zh-Hant-TW"),
        (contacts.locale, "en-us", "en-US"),
        (contacts.locale, "EN", "en"),
        (contacts.locale, "ZH-hANT-tw", "zh-Hant-TW"),
        (contacts.locale, "es-419", "es-419"),
        (contacts.locale, "de-ch-1996", "de-CH-1996"),
        (contacts.locale, "sl-ROZAJ", "sl-rozaj"),
        (contacts.locale, "EN-US-U-CA-GREGORY-NU-LATN", "en-US-u-ca-gregory-nu-latn"),
        (contacts.locale, "AZ-ARAB-X-AZE-DERB", "az-Arab-x-aze-derb"),
        (contacts.time_zone, "America/Argentina/Ushuaia", "America/Argentina/Ushuaia"),
        (contacts.name, "  Ada Lovelace ", "Ada Lovelace"),
        (contacts.name, "نیم\u200cفاصله 👩\u200d💻", "نیم\u200cفاصله 👩\u200d💻"),
    ],
)
def test_what_is_right_is_kept_in_its_normal_form(check: Callable[[str], str], given: str, normal: str) -> None:
    assert check(given) == normal


@pytest.mark.parametrize(
    ("check", "given"),
    [
        (contacts.email, "a@b"),
        (contacts.email, "a b@example.com"),
        (contacts.email, "a@example.com\r\nBcc: b@example.com"),
        (contacts.email, "@example.com"),
        (contacts.phone, "030 901820"),
        (contacts.phone, "+"),
        (contacts.phone, "4111111111111111"),
        *[(contacts.phone, f"+49 30 123456{extension}") for extension in EXTENSIONS],
        (contacts.phone, "+1 800 FLOWERS"),
        (contacts.phone, "call +49 30 123456 now"),
        (contacts.phone, "tel:30123456;phone-context=+49"),
        (contacts.locale, "en_US"),
        (contacts.locale, "english"),
        (contacts.locale, "en-"),
        (contacts.locale, "en-US\n"),
        (contacts.locale, "de-u"),
        (contacts.locale, "\u017fl"),
        (contacts.locale, "en" + "-abcde" * 6),
        (contacts.time_zone, "America"),
        (contacts.time_zone, "../../etc/passwd"),
        (contacts.time_zone, "\0"),
        (contacts.name, "\t"),
        (contacts.name, "x" * 201),
        (contacts.name, "A Person\r\nadmin"),
        (contacts.name, "A\0Person"),
        (contacts.name, "A \u202enosreP"),
    ],
)
def test_what_is_wrong_is_refused_without_a_quote(check: Callable[[str], str], given: str) -> None:
    with pytest.raises(InvalidFields) as refused:
        check(given)
    (error,) = refused.value.errors or ()
    assert given not in error.message


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://shop.example/thanks?x=1", "https://shop.example"),
        ("https://SHOP.example:443/", "https://shop.example"),
        ("http://localhost:3000/back", "http://localhost:3000"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://user:pass@shop.example/", None),
        ("https://shop.example\\@evil.example/", None),
        ("javascript:alert(1)", None),
        ("//shop.example", None),
        ("https://shop.example:99999/", None),
        ("https://shop.example/\r\nSet-Cookie: x", None),
        ("https://shöp.example/", None),
        ("https://shop.example/" + "x" * 3_000, None),
    ],
)
def test_an_origin_is_read_as_browsers_do_or_not_at_all(url: str, found: str | None) -> None:
    assert origin(url) == found


def test_payers_go_back_to_registered_origins_and_locally_to_loopback() -> None:
    registered = ["https://shop.example"]
    assert may_return("https://shop.example/thanks", registered, [], "production")
    assert not may_return("https://evil.example/", registered, [], "production")
    assert not may_return("https://shop.example.evil.example/", registered, [], "local")
    assert may_return("http://localhost:3000/", [], [], "local")
    assert not may_return("http://localhost:3000/", [], [], "production")
    assert may_return("http://shop.localhost:3000/", [], [], "local")
    assert not may_return("http://localhost.evil.example/", [], [], "local")
    assert not may_return("nonsense", [], [], "local")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://*.shop.example/",
            "https://shop.example/*",
            "https://shop.example/#a",
            "https://shop.example/a b",
        ),
        *(
            "http://shop.example/",
            "https://me@shop.example/",
            "shop.example/",
            "com.shop:/back",
            "HTTPS://shop.example/",
        ),
    ],
)
def test_an_address_to_send_browsers_to_is_one_whole_safe_one(url: str) -> None:
    for profile in ("local", "production"):
        with pytest.raises(InvalidFields):
            checked_url(url, "$", profile)  # type: ignore[arg-type]
    assert checked_url("https://shop.example/back?a=1", "$", "production") == "https://shop.example/back?a=1"


def test_one_mailbox_has_one_key_however_it_is_spelled() -> None:
    spellings = ("Jürgen@bücher.example", "jürgen@BÜCHER.example", "ju\u0308rgen@xn--bcher-kva.example")
    assert {contacts.email_key(spelling) for spelling in spellings} == {"jürgen@bücher.example"}
    assert contacts.email_key("a@straße.de") != contacts.email_key("a@strasse.de")
    assert contacts.email_key("not an address") == "not an address"
