"""The messages that ask to confirm an address. They hold nothing that a person typed, for anybody may have."""

from pathlib import Path

import msgspec

from connectors.mail import mail_templates

_templates = mail_templates(Path(__file__).parent / "templates")


class ConfirmationTexts(msgspec.Struct, frozen=True):
    """The texts of one language. `short` fits one short message, of 160 characters of 3GPP TS 23.038."""

    language: str  # BCP 47
    title: str
    explanation: str
    button: str
    label: str
    validity: str
    stranger: str
    short: str


class ConfirmationMail(msgspec.Struct, frozen=True):
    """A mail in its two forms."""

    subject: str
    text: str
    html: str


ENGLISH = ConfirmationTexts(
    language="en",
    title="Confirm your e-mail address",
    explanation=(
        "Somebody entered this address for an account at Sluice. If that was you, press the button on this page, "
        "or paste the confirmation into the app that asks for it. Until then nothing else is sent here."
    ),
    button="Open the page",
    label="Confirmation",
    validity="It works once, within an hour, and only the newest one does.",
    stranger=(
        "If it was not you, do nothing: without it the address is not used, and nobody can confirm it for you. "
        "Never give it to anybody who asks you for it."
    ),
    short="Sluice: {code} confirms your phone, within an hour. Tell nobody. You did not ask for it? Do nothing.",
)
GERMAN = ConfirmationTexts(
    language="de",
    title="Bestätigen Sie Ihre E-Mail-Adresse",
    explanation=(
        "Jemand hat diese Adresse für ein Konto bei Sluice angegeben. Waren Sie das, so drücken Sie den Knopf "
        "auf dieser Seite, oder fügen Sie die Bestätigung in die App ein, die danach fragt. Bis dahin schicken "
        "wir nichts anderes hierher."
    ),
    button="Seite öffnen",
    label="Bestätigung",
    validity="Sie gilt einmal und eine Stunde lang, und nur die neueste gilt.",
    stranger=(
        "Waren Sie es nicht, so müssen Sie nichts tun: Ohne sie wird die Adresse nicht benutzt, und niemand kann "
        "sie für Sie bestätigen. Geben Sie sie niemandem, der Sie danach fragt."
    ),
    short="Sluice: {code} bestätigt Ihr Telefon, 1 Stunde lang. Niemandem sagen. Sie waren es nicht? Nichts tun.",
)
CONFIRMATION_TEXTS = {texts.language: texts for texts in (ENGLISH, GERMAN)}


def confirmation_mail(token: str, link: str, locale: str) -> ConfirmationMail:
    """The mail with a token, and the `link` of the page that takes it.

    In the language of a locale such as `de-AT`; in English where there is none.
    """
    texts = _texts(locale)
    fields = msgspec.structs.asdict(texts) | {"token": token, "link": link}
    return ConfirmationMail(
        texts.title,
        _templates.get_template("confirmation.txt").render(fields),
        _templates.get_template("confirmation.html").render(fields),
    )


def confirmation_sms(code: str, locale: str) -> str:
    """The short message with a code."""
    return _texts(locale).short.format(code=code)


def _texts(locale: str) -> ConfirmationTexts:
    return CONFIRMATION_TEXTS.get(locale.partition("-")[0].lower(), ENGLISH)
