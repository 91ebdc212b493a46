"""The app: its parts, its routes, its headers, and every error as a problem."""

import asyncio
from contextlib import AsyncExitStack
from time import monotonic

import structlog
from quart import Quart, Response
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException

from connectors.processors.settings import ProcessorSettings
from gateway.access import measure
from gateway.books.sessions import forget_expired
from gateway.endpoint import refuse
from gateway.errors import (
    BodyTimeout,
    BodyTooLarge,
    Internal,
    InvalidJson,
    MethodNotAllowed,
    NotFound,
    Problem,
    Unavailable,
)
from gateway.parts import EXTENSION, opened, parts
from gateway.payments.recovery import recover
from gateway.routes import BLUEPRINTS
from gateway.seed import register_services, seed_accounts
from gateway.settings import GatewaySettings
from gateway.vault.client import VaultAway
from schemas.times import now_micros

BODY_MAX = 64 * 1024
BODY_TIMEOUT_S = 5

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
BY_STATUS: dict[int, type[Problem]] = {
    404: NotFound,
    405: MethodNotAllowed,
    408: BodyTimeout,
    413: BodyTooLarge,
}

log = structlog.get_logger()


def create_app(settings: GatewaySettings, processors: ProcessorSettings | None = None) -> Quart:
    """The gateway. Its parts are opened before it serves and closed after.

    `processors`: where they are and who we are to them; the sandbox of this stack where it is not said.
    """
    sandbox = ProcessorSettings(data=settings.data, port_offset=settings.port_offset)
    app = Quart("gateway", static_folder=None)
    app.url_map.merge_slashes = False  # `//` is no path of ours: a redirect would repeat the client's Host header
    app.config.update(MAX_CONTENT_LENGTH=BODY_MAX, BODY_TIMEOUT=BODY_TIMEOUT_S, PROVIDE_AUTOMATIC_OPTIONS=False)
    stack = AsyncExitStack()

    @app.before_serving
    async def start() -> None:
        made = await stack.enter_async_context(opened(settings, processors or sandbox))
        await made.books.write(forget_expired, now_micros())
        await register_services(made)
        if settings.seed:
            await seed_accounts(made)
        app.extensions[EXTENSION] = made
        recovery = asyncio.create_task(recover(made), name="recovery")
        stack.callback(recovery.cancel)

    @app.after_serving
    async def stop() -> None:
        await stack.aclose()

    measure(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    app.after_request(_protect)
    app.register_error_handler(Problem, _problem)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(VaultAway, _away)
    app.register_error_handler(OperationalError, _away)  # the books' disk is full or gone
    app.register_error_handler(Exception, _bug)
    return app


async def _protect(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _problem(problem: Problem) -> Response:
    return refuse(problem)


async def _http_error(error: HTTPException) -> Response:
    problem = BY_STATUS.get(error.code or 500, InvalidJson if error.code == 400 else Internal)()
    problem.headers |= {name: value for name, value in error.get_headers() if name == "Allow"}
    return refuse(problem)


async def _away(error: Exception) -> Response:
    kind = type(error).__name__
    if not parts().limits.spend("away", kind, monotonic()).retry_after:  # not a line for each request it refuses
        log.warning("away", kind=kind)
    return refuse(Unavailable())


async def _bug(error: Exception) -> Response:
    log.error("bug", exc_info=error)
    return refuse(Internal())
