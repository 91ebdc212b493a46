"""Every way a request can be refused over HTTP: RFC 9457 problems, each with a stable `code`."""

from http import HTTPStatus
from typing import Literal, get_args

import msgspec

from gateway.refusals import FieldError
from schemas.states import DeclineCode

CONTENT_TYPE = "application/problem+json"

Code = Literal[
    "malformed_request",
    "invalid_json",
    "idempotency_key_missing",
    "unauthenticated",
    "invalid_credentials",
    "otp_required",
    "processor_declined",
    "forbidden",
    "not_confirmed",
    "not_found",
    "method_not_allowed",
    "body_timeout",
    "request_in_progress",
    "wrong_state",
    "assigned",
    "operation_in_progress",
    "email_taken",
    "id_taken",
    "stale_version",
    "body_too_large",
    "invalid_request",
    "amount_too_large",
    "confirmation_invalid",
    "idempotency_key_reused",
    "rate_limited",
    "internal",
    "stopped",
    "unavailable",
]
CODES: tuple[Code, ...] = get_args(Code)


class ProblemType(msgspec.Struct, frozen=True):
    """A kind of problem: its HTTP status, and what a client reads where there is nothing more to say."""

    status: int
    about: str


PROBLEMS: dict[Code, ProblemType] = {
    "malformed_request": ProblemType(400, "What arrived is no HTTP request that we can read."),
    "invalid_json": ProblemType(400, "The body is not JSON we can read."),
    "idempotency_key_missing": ProblemType(400, "This route needs an Idempotency-Key header."),
    "unauthenticated": ProblemType(401, "A valid access token is needed."),
    "invalid_credentials": ProblemType(401, "The e-mail address or the password is wrong."),
    "otp_required": ProblemType(401, "A code of your second factor is needed, and this is none that counts."),
    "processor_declined": ProblemType(402, "The processor refused it. The payment stays as it was."),
    "forbidden": ProblemType(403, "This account may not do that."),
    "not_confirmed": ProblemType(403, "An e-mail address is confirmed, and by staff a second factor set, first."),
    "not_found": ProblemType(404, "There is no such thing here."),
    "method_not_allowed": ProblemType(405, "This resource does not know that method."),
    "body_timeout": ProblemType(408, "The body did not arrive in time."),
    "request_in_progress": ProblemType(409, "The first request with this Idempotency-Key is still running."),
    "wrong_state": ProblemType(409, "Its state does not allow that."),
    "assigned": ProblemType(409, "A colleague has taken it, for 15 minutes since they last used it."),
    "operation_in_progress": ProblemType(409, "Another operation on it is still open."),
    "email_taken": ProblemType(409, "An account with this e-mail address exists."),
    "id_taken": ProblemType(409, "There is another one with this id."),
    "stale_version": ProblemType(409, "Somebody changed it since that version: look at it again."),
    "body_too_large": ProblemType(413, "A body may have 64 KiB."),
    "invalid_request": ProblemType(422, "A field is wrong."),
    "amount_too_large": ProblemType(422, "More than there is to capture or to refund."),
    "confirmation_invalid": ProblemType(
        422, "It is wrong, was used, or is not good any more: have a new one sent, and take the newest."
    ),
    "idempotency_key_reused": ProblemType(422, "This Idempotency-Key was used for another request."),
    "rate_limited": ProblemType(429, "Too many requests."),
    "internal": ProblemType(500, "Something went wrong on our side."),
    "stopped": ProblemType(503, "New payments are not taken at the moment."),
    "unavailable": ProblemType(503, "Something we depend on is away. Try again."),
}


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem on the wire (RFC 9457). `type` is `about:blank`: `code` tells problems apart.

    `request_id` is the answer's `Request-Id`: the logs have it too. `decline_code`, the id of the `payment` and,
    where one was asked for, of the `refund` come with `processor_declined`.
    """

    title: str
    status: int
    code: str
    detail: str
    type: str = msgspec.field(default_factory=lambda: "about:blank")  # a factory, so that it is never omitted
    errors: list[FieldError] | None = None
    request_id: str | None = None
    decline_code: DeclineCode | None = None
    payment: str | None = None
    refund: str | None = None


class Problem(Exception):
    """Answers a request with a problem. `detail` is for the client: plain words, without anything it sent.

    `retry_after_s`: seconds until the same request may be tried again.
    """

    def __init__(
        self,
        code: Code,
        detail: str = "",
        *,
        errors: list[FieldError] | None = None,
        retry_after_s: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.status = PROBLEMS[code].status
        self.detail = detail or PROBLEMS[code].about
        self.errors = errors
        self.headers = dict(headers or {})
        if code == "unavailable" and retry_after_s is None:
            retry_after_s = 1
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)
        if self.status == HTTPStatus.UNAUTHORIZED:
            self.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110 §15.5.2: each 401 names the scheme to use

    def body(self, request_id: str | None = None) -> bytes:
        """The problem document."""
        title = HTTPStatus(self.status).phrase
        return msgspec.json.encode(
            ProblemBody(title, self.status, self.code, self.detail, errors=self.errors, request_id=request_id)
        )


def processor_declined(decline_code: DeclineCode, payment_id: str, refund_id: str | None) -> bytes:
    """The document that says that the processor refused a capture, void or refund; it is stored and replayed."""
    problem = Problem("processor_declined")
    title = HTTPStatus(problem.status).phrase
    return msgspec.json.encode(
        ProblemBody(
            title,
            problem.status,
            problem.code,
            problem.detail,
            decline_code=decline_code,
            payment=payment_id,
            refund=refund_id,
        )
    )
