"""What a channel raises for a message it did not take. Neither error ever carries an address."""


class NotDelivered(Exception):
    """Not delivered, and why, as a short code such as `smtp_550`."""

    def __init__(self, reason: str) -> None:
        """`reason` may be logged and published: a code, never a server's own words (they quote addresses)."""
        super().__init__(reason)
        self.reason = reason


class Refused(NotDelivered):
    """Final: the same message would be refused again."""


class TryLater(NotDelivered):
    """Away, busy or silent. After silence the message may have been taken all the same."""
