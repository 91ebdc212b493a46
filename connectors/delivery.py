"""The errors of a channel (mail, SMS) that did not accept a message. Neither ever carries an address."""

CONNECTIONS = 128  # at a time to one server: nearly all of them may hang, and cost it and us little


class NotDelivered(Exception):
    """The message was not delivered; `reason` is a short code such as `smtp_550`."""

    def __init__(self, reason: str) -> None:
        """`reason` is logged and published, so it is a code, never a server's text, which may quote addresses."""
        super().__init__(reason)
        self.reason = reason


class DeliveryRefused(NotDelivered):
    """Final: the same message would be refused again."""


class TryLater(NotDelivered):
    """This message did not go out, another one may. After a time-out it may have been accepted."""


class ServerAway(TryLater):
    """No message goes out: the server cannot be reached, or takes none of ours whoever it is for."""
