"""The texts of messages in each language: titles and sentences on payments and refunds, and the labels."""

import msgspec

from schemas.states import PaymentState


class LanguageTexts(msgspec.Struct, frozen=True):
    """The texts of one language. `titles` and `sentences` by state; `{amount}` stands for the amount.

    `captured_in_part` is the sentence where less was taken than was reserved.

    No text mentions fraud. Title, sentence and reference fit one short message (160 characters) for amounts below
    a million.
    """

    language: str  # BCP 47
    titles: dict[PaymentState, str]
    sentences: dict[PaymentState, str]
    captured_in_part: str
    refund_title: str
    refund_sentence: str
    amount: str
    reserved: str
    paid_with: str
    date: str
    reference: str
    refunded_to: str
    refunded_in_all: str
    refund: str
    footer: str
    date_format: str  # of `strftime`; digits only, as month names follow the server's language
    group: str
    decimal: str
    amount_format: str


ENGLISH = LanguageTexts(
    language="en",
    titles={
        "processing": "Your payment of {amount} is being processed",
        "requires_action": "Your payment of {amount} needs your approval",
        "in_review": "Your payment of {amount} is being checked",
        "authorized": "Your payment of {amount} is authorized",
        "partially_captured": "You paid {amount}",
        "captured": "You paid {amount}",
        "voided": "Your payment of {amount} was cancelled",
        "declined": "Your payment of {amount} was declined",
        "failed": "Your payment of {amount} did not go through",
        "unknown": "Your payment of {amount} is being confirmed",
    },
    sentences={
        "processing": "We will tell you as soon as it is done.",
        "requires_action": "Please approve it at the provider you pay with.",
        "in_review": "A person looks at it. We will tell you how it ends.",
        "authorized": "The amount is reserved. The merchant takes it when your order is ready.",
        "partially_captured": "The rest stays reserved until the merchant takes or releases it.",
        "captured": "Thank you. The payment is complete.",
        "voided": "Nothing was taken. An amount that was reserved is released.",
        "declined": "Nothing was taken. Please try another way to pay, or ask your bank.",
        "failed": "Nothing was taken: a technical error. You can safely try again.",
        "unknown": "Your bank has not answered yet. Do not pay again: we will tell you.",
    },
    captured_in_part="Thank you. What was reserved beyond that is released.",
    refund_title="You get {amount} back",
    refund_sentence="The merchant refunded it. Your bank may take some days to show it.",
    amount="Amount",
    reserved="Reserved at first",
    paid_with="Paid with",
    date="Date",
    reference="Reference",
    refunded_to="Refunded to",
    refunded_in_all="Refunded in all",
    refund="Refund",
    footer="You get this because your account asks for it. Your notification settings change that.",
    date_format="%Y-%m-%d %H:%M %Z",
    group=",",
    decimal=".",
    amount_format="{currency}\N{NO-BREAK SPACE}{digits}",
)

GERMAN = LanguageTexts(
    language="de",
    titles={
        "processing": "Ihre Zahlung über {amount} wird bearbeitet",
        "requires_action": "Ihre Zahlung über {amount} wartet auf Ihre Zustimmung",
        "in_review": "Ihre Zahlung über {amount} wird geprüft",
        "authorized": "Ihre Zahlung über {amount} ist genehmigt",
        "partially_captured": "Sie haben {amount} bezahlt",
        "captured": "Sie haben {amount} bezahlt",
        "voided": "Ihre Zahlung über {amount} wurde storniert",
        "declined": "Ihre Zahlung über {amount} wurde abgelehnt",
        "failed": "Ihre Zahlung über {amount} hat nicht geklappt",
        "unknown": "Ihre Zahlung über {amount} ist noch offen",
    },
    sentences={
        "processing": "Wir melden uns, sobald sie abgeschlossen ist.",
        "requires_action": "Bitte stimmen Sie bei Ihrem Zahlungsanbieter zu.",
        "in_review": "Wir sehen sie uns an. Sie müssen nichts tun: Wir melden uns.",
        "authorized": "Der Betrag ist vorgemerkt. Der Händler bucht ihn ab, wenn er liefert.",
        "partially_captured": "Der Rest bleibt vorgemerkt, bis der Händler ihn bucht oder freigibt.",
        "captured": "Vielen Dank. Die Zahlung ist abgeschlossen.",
        "voided": "Nichts wurde abgebucht. Ein vorgemerkter Betrag wird frei.",
        "declined": "Nichts wurde abgebucht. Zahlen Sie anders, oder fragen Sie Ihre Bank.",
        "failed": "Nichts wurde abgebucht: ein technischer Fehler. Bitte noch einmal.",
        "unknown": "Ihre Bank schweigt noch. Bitte nicht erneut zahlen: Wir melden uns.",
    },
    captured_in_part="Vielen Dank. Was darüber hinaus vorgemerkt war, wird frei.",
    refund_title="Sie erhalten {amount} zurück",
    refund_sentence="Der Händler hat erstattet. Bei Ihrer Bank kann es einige Tage dauern.",
    amount="Betrag",
    reserved="Anfangs vorgemerkt",
    paid_with="Bezahlt mit",
    date="Datum",
    reference="Referenz",
    refunded_to="Erstattet auf",
    refunded_in_all="Insgesamt erstattet",
    refund="Erstattung",
    footer="Sie erhalten diese Nachricht, weil Ihr Konto sie wünscht. In den Einstellungen lässt sich das ändern.",
    date_format="%d.%m.%Y %H:%M %Z",
    group=".",
    decimal=",",
    amount_format="{digits}\N{NO-BREAK SPACE}{currency}",
)

TEXTS = {texts.language: texts for texts in (ENGLISH, GERMAN)}


def texts_for(locale: str) -> LanguageTexts:
    """The texts of a locale such as `de-AT`; English where there are none in its language."""
    return TEXTS.get(locale.replace("_", "-").split("-")[0].lower(), ENGLISH)
