"""Mails to an account's owner about the account. They hold nothing that a person typed, for anybody may have."""

from pathlib import Path

import msgspec

from connectors.mail import mail_templates
from gateway.books.letters import LetterKind
from gateway.identity.confirmation_messages import ConfirmationMail

_templates = mail_templates(Path(__file__).parent / "templates")


class LetterTexts(msgspec.Struct, frozen=True):
    """A letter's texts. `label`: of its link; `validity`: how long that is good; `stranger`: for others."""

    title: str
    explanation: str
    label: str
    validity: str
    stranger: str


ENGLISH: dict[LetterKind, LetterTexts] = {
    "password_reset": LetterTexts(
        title="Set a new password",
        explanation="Somebody asked for a new password for the account with this address at Sluice.",
        label="Set a new password",
        validity="The link works once, within an hour, and only the newest one does. Then all sessions end.",
        stranger="If it was not you, do nothing: your password stays as it is. Never pass the link on to anybody.",
    ),
    "invitation": LetterTexts(
        title="Your account at Sluice",
        explanation="Somebody made an account with this address for you. Set a password, and you can log in.",
        label="Set a password",
        validity="The link works once, within three days, and only the newest one does.",
        stranger="If you did not expect it, do nothing: without the link nobody logs in. Never pass it on.",
    ),
    "password_changed": LetterTexts(
        title="Your password was changed",
        explanation="The account with this address at Sluice has a new password; its other sessions have ended.",
        label="Ask for a new password",
        validity="If it was you, there is nothing to do.",
        stranger="If it was not you, ask for a new password at once, which logs everybody out, and tell us.",
    ),
    "email_taken": LetterTexts(
        title="You have an account already",
        explanation="Somebody wanted to register an account with this address at Sluice, which there is already.",
        label="Ask for a new password",
        validity="If it was you, log in; if you forgot your password, ask for a new one.",
        stranger="If it was not you, do nothing: nothing has changed. We write of this once a day at most.",
    ),
    "second_factor_set": LetterTexts(
        title="Your second factor is on",
        explanation="The account with this address at Sluice asks for a code at each login from now on.",
        label="Ask for a new password",
        validity="If it was you, there is nothing to do. Keep the recovery codes where your phone is not.",
        stranger="If it was not you, ask for a new password at once, which logs everybody out, and tell us.",
    ),
    "second_factor_removed": LetterTexts(
        title="Your second factor is off",
        explanation="The account with this address at Sluice asks for nothing but the password at a login now.",
        label="Ask for a new password",
        validity="If it was you, there is nothing to do.",
        stranger="If it was not you, ask for a new password at once, which logs everybody out, and tell us.",
    ),
    "recovery_code_used": LetterTexts(
        title="A recovery code was used",
        explanation="A recovery code took the place of a code for the account with this address at Sluice.",
        label="Ask for a new password",
        validity="If it was you, there is nothing to do. Each recovery code works once.",
        stranger="If it was not you, ask for a new password at once, which logs everybody out, and tell us.",
    ),
    "wrong_codes": LetterTexts(
        title="Somebody may have your password",
        explanation="Ten wrong codes were given for the account with this address at Sluice, with its password.",
        label="Ask for a new password",
        validity="No codes are taken for a while, but on a device where you have logged in, and recovery codes.",
        stranger="If it was not you, ask for a new password now: whoever tries the codes has the one of today.",
    ),
    "email_change_asked": LetterTexts(
        title="Your account is to have another address",
        explanation="Somebody who is logged in gave the account with this address at Sluice another one.",
        label="Ask for a new password",
        validity="If it was you, confirm the new address by the mail that went there. Until then this one counts.",
        stranger="If it was not you, ask for a new password at once: that logs everybody out; nothing changes.",
    ),
}
GERMAN: dict[LetterKind, LetterTexts] = {
    "password_reset": LetterTexts(
        title="Ein neues Passwort setzen",
        explanation="Jemand hat ein neues Passwort für das Konto mit dieser Adresse bei Sluice angefordert.",
        label="Neues Passwort setzen",
        validity="Der Link gilt einmal und eine Stunde lang, und nur der neueste gilt. Dann enden alle Sitzungen.",
        stranger="Waren Sie es nicht, so tun Sie nichts: Ihr Passwort bleibt. Geben Sie niemandem den Link.",
    ),
    "invitation": LetterTexts(
        title="Ihr Konto bei Sluice",
        explanation="Jemand hat mit dieser Adresse ein Konto für Sie angelegt. Setzen Sie ein Passwort dafür.",
        label="Passwort setzen",
        validity="Der Link gilt einmal und drei Tage lang, und nur der neueste gilt.",
        stranger="Wissen Sie von nichts, so müssen Sie nichts tun: Ohne den Link meldet sich niemand an.",
    ),
    "password_changed": LetterTexts(
        title="Ihr Passwort wurde geändert",
        explanation="Das Konto mit dieser Adresse bei Sluice hat ein neues Passwort; andere Sitzungen enden.",
        label="Neues Passwort anfordern",
        validity="Waren Sie es, so ist nichts zu tun.",
        stranger="Waren Sie es nicht, so fordern Sie sofort ein neues an und sagen Sie es uns.",
    ),
    "email_taken": LetterTexts(
        title="Sie haben schon ein Konto",
        explanation="Jemand wollte mit dieser Adresse ein Konto bei Sluice anlegen. Es gibt schon eines.",
        label="Neues Passwort anfordern",
        validity="Waren Sie es, so melden Sie sich an; ein vergessenes Passwort setzen Sie neu.",
        stranger="Waren Sie es nicht, so müssen Sie nichts tun. Wir schreiben davon höchstens einmal am Tag.",
    ),
    "second_factor_set": LetterTexts(
        title="Ihr zweiter Faktor ist eingerichtet",
        explanation="Das Konto mit dieser Adresse bei Sluice verlangt von nun an bei jeder Anmeldung einen Code.",
        label="Neues Passwort anfordern",
        validity="Waren Sie es, so ist nichts zu tun. Verwahren Sie die Ersatzcodes nicht bei Ihrem Telefon.",
        stranger="Waren Sie es nicht, so fordern Sie sofort ein neues Passwort an und sagen Sie es uns.",
    ),
    "second_factor_removed": LetterTexts(
        title="Ihr zweiter Faktor ist entfernt",
        explanation="Das Konto mit dieser Adresse bei Sluice verlangt bei der Anmeldung nur noch das Passwort.",
        label="Neues Passwort anfordern",
        validity="Waren Sie es, so ist nichts zu tun.",
        stranger="Waren Sie es nicht, so fordern Sie sofort ein neues Passwort an und sagen Sie es uns.",
    ),
    "recovery_code_used": LetterTexts(
        title="Ein Ersatzcode wurde benutzt",
        explanation="Für das Konto mit dieser Adresse bei Sluice galt ein Ersatzcode anstelle eines Codes.",
        label="Neues Passwort anfordern",
        validity="Waren Sie es, so ist nichts zu tun. Jeder Ersatzcode gilt einmal.",
        stranger="Waren Sie es nicht, so fordern Sie sofort ein neues Passwort an und sagen Sie es uns.",
    ),
    "wrong_codes": LetterTexts(
        title="Jemand hat vielleicht Ihr Passwort",
        explanation="Für das Konto mit dieser Adresse bei Sluice kamen zehn falsche Codes, mit dem Passwort.",
        label="Neues Passwort anfordern",
        validity="Eine Weile gelten Codes nur auf Geräten, auf denen Sie angemeldet waren, und Ersatzcodes.",
        stranger="Waren Sie es nicht, so fordern Sie jetzt ein neues an: Wer Codes probiert, hat das alte.",
    ),
    "email_change_asked": LetterTexts(
        title="Ihr Konto soll eine andere Adresse bekommen",
        explanation="Jemand, der angemeldet ist, hat dem Konto mit dieser Adresse bei Sluice eine andere gegeben.",
        label="Neues Passwort anfordern",
        validity="Waren Sie es, so bestätigen Sie die neue mit der Mail dorthin. Bis dahin gilt diese.",
        stranger="Waren Sie es nicht, so fordern Sie sofort ein neues Passwort an: Dann bleibt alles, wie es ist.",
    ),
}
LETTER_TEXTS: dict[str, dict[LetterKind, LetterTexts]] = {"en": ENGLISH, "de": GERMAN}


def letter_mail(kind: LetterKind, link: str, locale: str) -> ConfirmationMail:
    """The mail of a kind with a link, in the language of a locale such as `de-AT`; else in English."""
    language = locale.partition("-")[0].lower()
    known = language if language in LETTER_TEXTS else "en"
    texts = LETTER_TEXTS[known][kind]
    fields = msgspec.structs.asdict(texts) | {"link": link, "language": known}
    return ConfirmationMail(
        texts.title,
        _templates.get_template("letter.txt").render(fields),
        _templates.get_template("letter.html").render(fields),
    )
