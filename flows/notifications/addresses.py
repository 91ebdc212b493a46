"""Addresses as they may be shown: enough to recognise one's own, too little to write to."""

from schemas.notifications import Channel, Recipient


def address_of(recipient: Recipient, channel: Channel) -> str | None:
    """Where a channel reaches the recipient; None where it does not."""
    return {"email": recipient.email, "sms": recipient.phone, "webhook": None}[channel]


def mask(address: str) -> str:
    """`c…@example.com`, `+1…06`; empty for none."""
    name, at, domain = address.rpartition("@")
    if at:
        return f"{name[:1]}…@{domain}"
    return f"{address[:2]}…{address[-2:]}" if address else ""
