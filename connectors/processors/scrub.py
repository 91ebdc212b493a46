"""Takes out of a processor's words what no log, event or database may hold."""

import re

from schemas.cards import mask_numbers

DETAIL_MAX = 300  # characters

# Field names of the three wires whose values never leave: PCI DSS 3.3 (CVC), 3.4 (number, expiry), credentials,
# and the payer's own data in PayPal's answers.
HIDDEN_FIELDS = (
    "securityCode|security_code|number|expiry|expirationMonth|expirationYear|access_token|password|client_secret"
    "|email_address|national_number|given_name|surname|full_name"
)
IN_JSON = re.compile(rf'(\\?"(?:{HIDDEN_FIELDS})\\?"\s*:\s*)(\{{[^}}]*\}}|\\?"[^"]*"|[^,}}\s]+)', re.IGNORECASE)
IN_HEADERS = re.compile(r"((?:authorization|signature)\s*[:=]\s*)[^\r\n]+", re.IGNORECASE)
EMAIL = re.compile(r"[^\s\"'<>@]+@[^\s\"'<>@]+\.\w+")


def scrub(text: str) -> str:
    """`text` without card numbers, CVC, expiry, credentials and e-mail addresses, cut to `DETAIL_MAX`."""
    text = IN_HEADERS.sub(r"\1***", text)
    text = IN_JSON.sub(r'\1"***"', text)
    return EMAIL.sub("***", mask_numbers(text))[:DETAIL_MAX]
