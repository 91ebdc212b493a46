"""Every error as a problem: the domain's refusals are mapped here, once, and nowhere else."""

from time import monotonic

import structlog
from quart import Quart, Response
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException

from connectors.dead_letters import KafkaAway
from gateway.backtest.desk import WarehouseSilent
from gateway.books.accounts import AccountGone, EmailTaken
from gateway.books.engine import Outdated
from gateway.books.idempotency import KeyReused, RequestRunning
from gateway.books.operations import OperationOpen
from gateway.identity.clients import ClientHasEnded, NoOwnSecret
from gateway.identity.confirmations import (
    CannotConfirm,
    ConfirmationInvalid,
    ConfirmationsSpent,
    ConfirmedElsewhere,
)
from gateway.identity.erasure import MayNotVanish
from gateway.identity.links import LinkInvalid
from gateway.identity.logins import InvalidCredentials
from gateway.identity.merchant_people import LastOwner
from gateway.identity.password_changes import TooOften
from gateway.identity.passwords import PasswordsBusy
from gateway.identity.rights import RightsStay
from gateway.identity.saved import TooManySaved
from gateway.identity.second_factors import OtpRequired, SecondFactorIsSet
from gateway.identity.sql_tokens import TooManyTokens
from gateway.identity.tokens import NotAuthenticated
from gateway.payments.captures import AmountTooLarge, WrongState
from gateway.payments.fraud_rules import IdTaken, StaleVersion, TooManyRules
from gateway.payments.held import Assigned
from gateway.payments.labels import LabelQuotaSpent
from gateway.payments.list_import import KafkaBehind
from gateway.payments.routing import SalesStopped
from gateway.payments.tokenizing import TooManyLookalikes
from gateway.problems import Code, Problem
from gateway.refusals import InvalidFields, NoSuchObject, NotAllowed, Refusal
from gateway.runtime import current_runtime
from gateway.vault.client import VaultAway
from gateway.web.call import refuse

CODE_OF: dict[type[Refusal], Code] = {
    AccountGone: "unauthenticated",
    AmountTooLarge: "amount_too_large",
    Assigned: "assigned",
    CannotConfirm: "wrong_state",
    ClientHasEnded: "wrong_state",
    ConfirmationInvalid: "confirmation_invalid",
    ConfirmationsSpent: "rate_limited",
    ConfirmedElsewhere: "confirmation_invalid",
    EmailTaken: "email_taken",
    IdTaken: "id_taken",
    InvalidCredentials: "invalid_credentials",
    InvalidFields: "invalid_request",
    KeyReused: "idempotency_key_reused",
    KafkaBehind: "unavailable",
    LabelQuotaSpent: "rate_limited",
    LinkInvalid: "confirmation_invalid",
    LastOwner: "wrong_state",
    MayNotVanish: "wrong_state",
    NoOwnSecret: "wrong_state",
    NoSuchObject: "not_found",
    NotAllowed: "forbidden",
    NotAuthenticated: "unauthenticated",
    OperationOpen: "operation_in_progress",
    OtpRequired: "otp_required",
    PasswordsBusy: "unavailable",
    RequestRunning: "request_in_progress",
    RightsStay: "wrong_state",
    SalesStopped: "stopped",
    SecondFactorIsSet: "wrong_state",
    StaleVersion: "stale_version",
    TooManyLookalikes: "rate_limited",
    TooManyRules: "wrong_state",
    TooManySaved: "wrong_state",
    TooManyTokens: "wrong_state",
    TooOften: "rate_limited",
    WarehouseSilent: "unavailable",
    WrongState: "wrong_state",
}
CODE_OF_STATUS: dict[int, Code] = {
    400: "invalid_json",
    404: "not_found",
    405: "method_not_allowed",
    408: "body_timeout",
    413: "body_too_large",
}

log = structlog.get_logger()


def register_errors(app: Quart) -> None:
    """Answer every error of `app` with a problem."""
    app.register_error_handler(Problem, _problem)
    app.register_error_handler(Refusal, _refusal)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(VaultAway, _unavailable)
    app.register_error_handler(KafkaAway, _unavailable)  # of what is read from Kafka itself
    app.register_error_handler(OperationalError, _unavailable)  # the books are away, or their disk is full
    app.register_error_handler(Outdated, _unavailable)  # as often as it was tried: others were first each time
    app.register_error_handler(Exception, _bug)


def problem_of(refusal: Refusal) -> Problem:
    """The problem that tells of a refusal."""
    code = CODE_OF[type(refusal)]
    return Problem(code, refusal.detail, errors=refusal.errors, retry_after_s=refusal.retry_after_s)


async def _problem(problem: Problem) -> Response:
    return refuse(problem)


async def _refusal(refusal: Refusal) -> Response:
    return refuse(problem_of(refusal))


async def _http_error(error: HTTPException) -> Response:
    allowed = {name: value for name, value in error.get_headers() if name == "Allow"}
    return refuse(Problem(CODE_OF_STATUS.get(error.code or 500, "internal"), headers=allowed))


async def _unavailable(error: Exception) -> Response:
    kind = type(error).__name__
    spent = current_runtime().rate_limits.spend("unavailable", kind, monotonic())
    if not spent.retry_after_s:  # not a line for each request that is refused
        log.warning("dependency.unavailable", kind=kind)
    return refuse(Problem("unavailable"))


async def _bug(error: Exception) -> Response:
    log.error("request.crashed", exc_info=error)
    return refuse(Problem("internal"))
