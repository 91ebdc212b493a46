"""What the messages say that ask to confirm an address."""

import pytest

from flows.notifications.texts import TEXTS
from gateway.identity.confirmation_messages import CONFIRMATION_TEXTS, confirmation_mail, confirmation_sms
from tests.flows.notifications.test_message import GSM

TOKEN = "k7Xq" * 10 + "abc"
LINK = "https://pay.example.com/confirm-email?token=t"


def test_every_language_of_other_messages_is_spoken() -> None:
    assert CONFIRMATION_TEXTS.keys() == TEXTS.keys()


@pytest.mark.parametrize(("locale", "title"), [("de-AT", "Bestätigen"), ("en", "Confirm"), ("fr", "Confirm")])
def test_a_mail_has_its_token_in_both_forms_and_says_what_to_do(locale: str, title: str) -> None:
    mail = confirmation_mail(TOKEN, LINK, locale)
    texts = CONFIRMATION_TEXTS[locale[:2] if locale != "fr" else "en"]
    assert mail.subject.startswith(title)
    for form in (mail.text, mail.html):
        assert TOKEN in form
        assert LINK in form
        assert texts.explanation in form
        assert texts.stranger in form
    assert f'lang="{texts.language}"' in mail.html
    assert (mail.text + mail.html).count("://") == 2


@pytest.mark.parametrize("locale", CONFIRMATION_TEXTS)
def test_a_short_message_is_one_and_begins_with_its_code(locale: str) -> None:
    text = confirmation_sms("042137", locale)
    assert text.startswith("Sluice: 042137 ")
    assert len(text) <= 160
    assert set(text) <= set(GSM)
