"""The app: its runtime, its routes, its headers, and every error as a problem."""

from contextlib import AsyncExitStack
from functools import partial

from quart import Quart, Response

from connectors.lasting import LastingTask
from connectors.processors.settings import ProcessorSettings
from connectors.settings import ChannelSettings
from gateway.books.clock import keep_clock
from gateway.books.controls import add_rules
from gateway.books.listings import remove_expired
from gateway.books.pruning import prune_daily
from gateway.identity.erasure import erase_account
from gateway.identity.oauth_metadata import check as check_metadata
from gateway.identity.person_chores import keep_persons
from gateway.identity.unconfirmed import prune_unconfirmed
from gateway.pages.error_pages import as_page
from gateway.payments.label_chores import release_labels
from gateway.payments.recovery_pools import recover
from gateway.routes import BLUEPRINTS
from gateway.runtime import EXTENSION, Runtime, opened
from gateway.seed import register_services, seed_accounts
from gateway.settings import GatewaySettings
from gateway.web.access_log import measure
from gateway.web.cors import allow_origins
from gateway.web.errors import register_errors
from gateway.web.raw_http import HEADERS, GatewayApp, check_hosts
from schemas.controls import DEFAULTS
from schemas.times import now_micros

BODY_MAX = 64 * 1024
BODY_TIMEOUT_S = 5


def create_app(
    settings: GatewaySettings,
    processors: ProcessorSettings | None = None,
    channels: ChannelSettings | None = None,
) -> Quart:
    """The gateway. Its runtime is opened before it serves and closed after.

    `processors`: where they are and who we are to them; the sandbox of this stack where it is not said.
    `channels`: where mail and SMS go; the catcher of this stack.
    """
    sandbox = ProcessorSettings(data=settings.data, port_offset=settings.port_offset)
    catcher = ChannelSettings(data=settings.data, port_offset=settings.port_offset)
    check_metadata()
    app = GatewayApp("gateway", static_folder=None)
    app.url_map.merge_slashes = False  # `//` is no path of ours: a redirect would repeat the client's Host header
    app.config.update(MAX_CONTENT_LENGTH=BODY_MAX, BODY_TIMEOUT=BODY_TIMEOUT_S, PROVIDE_AUTOMATIC_OPTIONS=False)
    stack = AsyncExitStack()

    @app.before_serving
    async def start() -> None:
        made = await stack.enter_async_context(opened(settings, processors or sandbox, channels or catcher))
        await made.books.write(add_rules, DEFAULTS, now_micros())
        await register_services(made)
        if settings.seed:
            await seed_accounts(made)
        app.extensions[EXTENSION] = made
        for task in _lasting_tasks(made):
            stack.push_async_callback(task.stop)

    @app.after_serving
    async def stop() -> None:
        await stack.aclose()

    measure(app)
    check_hosts(app)
    allow_origins(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    app.after_request(_protect)
    app.after_request(as_page)  # the first to see an answer: the last one is
    register_errors(app)
    return app


def _lasting_tasks(made: Runtime) -> list[LastingTask]:
    """What goes on beside the requests, begun; the last one is stopped first."""
    erase = partial(erase_account, made.books, made.vault, made.key_ring, actor_id="")
    others = {
        "accounts": partial(prune_unconfirmed, made.books, erase),
        "list_entries": partial(remove_expired, made.books),
    }
    return [
        LastingTask(keep_clock(made.books), "clock of the books"),
        LastingTask(recover(made), "recovery"),
        LastingTask(made.confirmation_sender.run(), "confirmations"),
        LastingTask(made.audit_heads.run(), "audit heads"),
        LastingTask(prune_daily(made.books, others), "pruning"),
        LastingTask(release_labels(made.books, made.policy), "labels"),
        LastingTask(keep_persons(made.books, made.vault, made.key_ring), "persons"),
    ]


async def _protect(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
