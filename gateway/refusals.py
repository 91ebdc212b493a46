"""Refusals: what the domain says no to, in its own words. `gateway.problems` says how HTTP tells them."""

import msgspec


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One wrong field: `path` as in `$.payment_method.card`; `message` never holds what was sent.

    Of an expression, `code` says what is wrong in it and `position` where, in characters from 0.
    """

    path: str
    message: str
    code: str | None = None
    position: int | None = None


class Refusal(Exception):
    """The request cannot be done. `detail`: plain words for the client, without anything it sent.

    Empty: those of its problem (`gateway.problems`). `retry_after_s`: seconds until the same request may be tried
    again; None where that would not help.
    """

    def __init__(self, detail: str = "", retry_after_s: int | None = None) -> None:
        super().__init__(type(self).__name__)
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.errors: list[FieldError] | None = None


class InvalidFields(Refusal):
    """A field is wrong."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__()
        self.errors = list(errors)


class NoSuchObject(Refusal):
    """There is no such thing here."""


class NotAllowed(Refusal):
    """This account may not do that."""
