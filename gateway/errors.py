"""Every way a request can be refused, as RFC 9457 problems with a stable `code`.

Problem
├── InvalidJson            400 invalid_json
├── IdempotencyKeyMissing  400 idempotency_key_missing
├── Unauthenticated        401 unauthenticated
├── InvalidCredentials     401 invalid_credentials
├── Forbidden              403 forbidden
├── NotFound               404 not_found
├── MethodNotAllowed       405 method_not_allowed
├── BodyTimeout            408 body_timeout
├── RequestInProgress      409 request_in_progress
├── WrongState             409 wrong_state
├── OperationInProgress    409 operation_in_progress
├── EmailTaken             409 email_taken
├── BodyTooLarge           413 body_too_large
├── InvalidRequest         422 invalid_request
├── IdempotencyKeyReused   422 idempotency_key_reused
├── RateLimited            429 rate_limited
├── Internal               500 internal
└── Unavailable            503 unavailable
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import ClassVar

import msgspec

CONTENT_TYPE = "application/problem+json"


class FieldError(msgspec.Struct, frozen=True):
    """One wrong field: `path` as in `$.payment_method.card`; `message` never holds what was sent."""

    path: str
    message: str


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem on the wire (RFC 9457). `type` is `about:blank`: `code` tells problems apart."""

    title: str
    status: int
    code: str
    detail: str
    type: str = msgspec.field(default_factory=lambda: "about:blank")  # a factory, so that it is never omitted
    errors: list[FieldError] | None = None


class Problem(Exception):
    """A refusal. `detail` is for the client: plain words, without anything it sent."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    about: ClassVar[str] = "Something went wrong on our side."

    def __init__(self, detail: str = "", retry_after: int | None = None) -> None:
        super().__init__(self.code)
        self.detail = detail or self.about
        self.errors: list[FieldError] | None = None
        self.headers: dict[str, str] = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if self.status == HTTPStatus.UNAUTHORIZED:
            self.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110 §15.5.2: every 401 says how to do better

    def body(self) -> bytes:
        """The problem document."""
        title = HTTPStatus(self.status).phrase
        return msgspec.json.encode(ProblemBody(title, self.status, self.code, self.detail, errors=self.errors))


class InvalidJson(Problem):
    status = 400
    code = "invalid_json"
    about = "The body is not JSON we can read."


class IdempotencyKeyMissing(Problem):
    status = 400
    code = "idempotency_key_missing"
    about = "This route needs an Idempotency-Key header."


class Unauthenticated(Problem):
    status = 401
    code = "unauthenticated"
    about = "A valid access token is needed."


class InvalidCredentials(Problem):
    status = 401
    code = "invalid_credentials"
    about = "The e-mail address or the password is wrong."


class Forbidden(Problem):
    status = 403
    code = "forbidden"
    about = "This account may not do that."


class NotFound(Problem):
    status = 404
    code = "not_found"
    about = "There is no such thing here."


class MethodNotAllowed(Problem):
    status = 405
    code = "method_not_allowed"
    about = "This resource does not know that method."


class BodyTimeout(Problem):
    status = 408
    code = "body_timeout"
    about = "The body did not arrive in time."


class RequestInProgress(Problem):
    status = 409
    code = "request_in_progress"
    about = "The first request with this Idempotency-Key is still running."


class WrongState(Problem):
    status = 409
    code = "wrong_state"
    about = "Its state does not allow that."


class OperationInProgress(Problem):
    status = 409
    code = "operation_in_progress"
    about = "Another operation on it is still open."


class EmailTaken(Problem):
    status = 409
    code = "email_taken"
    about = "An account with this e-mail address exists."


class BodyTooLarge(Problem):
    status = 413
    code = "body_too_large"
    about = "A body may have 64 KiB."


class InvalidRequest(Problem):
    """`InvalidRequest(FieldError("$.amount", "…"), …)`: what is wrong, path by path."""

    status = 422
    code = "invalid_request"
    about = "A field is wrong."

    def __init__(self, *errors: FieldError) -> None:
        super().__init__()
        self.errors = list(errors)


class IdempotencyKeyReused(Problem):
    status = 422
    code = "idempotency_key_reused"
    about = "This Idempotency-Key was used for another request."


class RateLimited(Problem):
    status = 429
    code = "rate_limited"
    about = "Too many requests."


class Internal(Problem):
    status = 500
    code = "internal"
    about = "Something went wrong on our side."


class Unavailable(Problem):
    status = 503
    code = "unavailable"
    about = "Something we depend on is away. Try again."

    def __init__(self, detail: str = "", retry_after: int = 1) -> None:
        super().__init__(detail, retry_after)


# In the order of the tree: what OpenAPI lists and a test compares with it.
PROBLEMS: dict[str, type[Problem]] = {}


def _leaves(kind: type[Problem]) -> Iterator[type[Problem]]:
    for child in kind.__subclasses__():
        yield child
        yield from _leaves(child)


PROBLEMS.update({kind.code: kind for kind in _leaves(Problem)})
