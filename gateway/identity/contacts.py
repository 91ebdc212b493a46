"""Checks of contact details: e-mail, phone, language, time zone, name. No message quotes what was given."""

import re
from zoneinfo import ZoneInfo

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from gateway.refusals import FieldError, InvalidFields

# A language tag (BCP 47, RFC 5646 §2.1) of a language that has a code of two or three letters.
LOCALE = re.compile(
    r"[a-z]{2,3}(?:-[a-z]{3})?(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?"  # language, script, region
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"  # variants
    r"(?:-[0-9a-wy-z](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?",  # extensions, private use
    re.ASCII | re.IGNORECASE,
)
LOCALE_MAX = 35  # characters; what RFC 5646 §4.4.1 asks for at least
NAME_MAX = 200
# Digits with what people put between them. Everything else would be read as more digits (letters), or left out (an
# extension, as `;ext=7` or `x7`): another phone than the one that was meant.
PHONE = re.compile(r"\s*\+[\d\s().\u2010-\u2015/-]+")
# Line breaks and other control characters, and those that change the direction of the text around them.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def invalid_field(path: str, message: str) -> InvalidFields:
    """The refusal of one field."""
    return InvalidFields(FieldError(path, message))


def email(given: str, path: str = "$.email") -> str:
    """The address in its normal form (RFC 5321 and 6531), without a DNS look-up. Raises `InvalidFields`."""
    normal = _normal_email(given)
    if normal is None:
        raise invalid_field(path, "Not an e-mail address.")
    return normal


def email_key(address: str) -> str:
    """The key under which accounts are found: equal for addresses that differ only in case or Unicode spelling."""
    mailbox, at, domain = (_normal_email(address) or address).rpartition("@")
    return mailbox.casefold() + at + domain.lower()  # `straße.de` is not `strasse.de` (IDNA 2008, RFC 5892)


def phone(given: str, path: str = "$.phone") -> str:
    """The number in E.164, as `+15005550006`. Raises `InvalidFields`, for a number with an extension too."""
    wrong = invalid_field(path, "Not a phone number with its country code, or one with an extension.")
    try:
        number = phonenumbers.parse(given, None)
    except phonenumbers.NumberParseException:
        raise wrong from None
    # Not `is_valid_number`: providers' test numbers (+1 500 555…) are in no numbering plan.
    if not PHONE.fullmatch(given) or not phonenumbers.is_possible_number(number):
        raise wrong
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def locale(given: str, path: str = "$.locale") -> str:
    """A language tag such as `en` or `de-AT` in its normal form (RFC 5646 §2.1.1). Raises `InvalidFields`."""
    if len(given) > LOCALE_MAX or not LOCALE.fullmatch(given):
        raise invalid_field(path, "Not a language tag such as en or de-AT.")
    first, *subtags = given.lower().split("-")
    plain = next((place for place, subtag in enumerate(subtags) if len(subtag) == 1), len(subtags))
    return "-".join([first, *map(_cased, subtags[:plain]), *subtags[plain:]])


def time_zone(given: str, path: str = "$.time_zone") -> str:
    """The name of an IANA time zone. Raises `InvalidFields`."""
    try:
        ZoneInfo(given)
    except (KeyError, ValueError, OSError):
        raise invalid_field(path, "Not the name of an IANA time zone.") from None
    return given


def name(given: str, path: str = "$.name") -> str:
    """A name without surrounding blanks. Raises `InvalidFields`."""
    stripped = given.strip()
    if not 1 <= len(stripped) <= NAME_MAX or CONTROLS.search(stripped):
        raise invalid_field(path, f"1 to {NAME_MAX} characters, no control characters.")
    return stripped


def _cased(subtag: str) -> str:
    match len(subtag):
        case 2:
            return subtag.upper()
        case 4:
            return subtag.title()
        case _:
            return subtag


def _normal_email(given: str) -> str | None:
    try:
        # `test_environment` allows the domain `.test` (RFC 2606), which people try a gateway with first.
        return validate_email(given, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        return None
