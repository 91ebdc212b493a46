"""Every page in every state that it has: empty, wrong, full. Who draws a new one adds it here."""

from typing import Any

import msgspec

from gateway.pages.error_pages import WORDS, ErrorWords
from gateway.pages.login import LATE, WRONG, WRONG_CODE
from gateway.pages.reset import ASK_ANEW, DEAD, SENT
from gateway.pages.second_factor import ALT, qr_code
from gateway.pages.second_factor import WRONG_CODE as MISFIT
from gateway.problems import PROBLEMS

SECRET = "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP"
URI = f"otpauth://totp/Sluice:analyst%40example.com?secret={SECRET.replace(' ', '')}&issuer=Sluice"
CODES = [f"k3x{n}-9d2f-7hqm-p4{n}w" for n in range(10)]
LONG_ADDRESS = "the.person.with.the.longest.address.of.all@accounting.department.example.com"
WEAK = "One of the passwords that guessers try first, or little more than that."


def _error(code: Any, words: ErrorWords | None = None, problem: str = "") -> dict[str, Any]:
    said = msgspec.structs.asdict(words or WORDS[code])
    return said | {"problem": problem or PROBLEMS[code].about, "request_id": "req_01m8dxchhrc98mvtk54wzzq2f6"}


def _login(**fields: Any) -> dict[str, Any]:
    return {"action": "/login", "register": "/register", "email": ""} | fields


def _code(**fields: Any) -> dict[str, Any]:
    links = {"action": "/login/otp", "other": "/login/otp?recovery", "restart": "/login"}
    return {"by_recovery": False} | links | fields


def _setup(**fields: Any) -> dict[str, Any]:
    links = {"action": "/second-factor/confirm", "again": "/second-factor"}
    return {"secret": "", "recovery_codes": [], "qr": "", "uri": ""} | links | fields


def _password(**fields: Any) -> dict[str, Any]:
    return {"action": "/reset", "token": "t", "invited": False} | fields


def _register(**fields: Any) -> dict[str, Any]:
    return {"action": "/register", "login": "/login", "name": "", "email": ""} | fields


def _notice(title: str, *paragraphs: str, link: str = "/login", link_text: str = "Continue") -> dict[str, Any]:
    return {"title": title, "paragraphs": paragraphs, "link": link, "link_text": link_text}


ASKS = ["Read your payments and their events", "Make payments with your cards", "See your name and e-mail address"]
CONSENT = {
    "client": "Bright Bookshop",
    "account": "ada@example.com",
    "asks": ASKS,
    "leads_to": "shop.example.com",
    "hidden": {},
    "action": "/oauth/consent",
}
FULL = CONSENT | {"client": "The Very Long Trading Name of a Merchant & Sons, Limited", "account": LONG_ADDRESS}
# The name of a state → template and fields.
STATES: dict[str, tuple[str, dict[str, Any]]] = {
    "login": ("login.html", _login()),
    "login-wrong": ("login.html", _login(email=LONG_ADDRESS, problem=WRONG)),
    "login-empty": (
        "login.html",
        _login(errors={"email": "Enter your e-mail address.", "password": "Enter your password."}),
    ),
    "login-late": ("login.html", _login(problem=LATE)),
    "code": ("otp.html", _code()),
    "code-wrong": (
        "otp.html",
        _code(errors={"otp": WRONG_CODE}),
    ),
    "recovery": ("otp.html", _code(by_recovery=True)),
    "factor-must": ("factor_intro.html", {"must": True, "action": "/second-factor"}),
    "factor-may": ("factor_intro.html", {"must": False, "action": "/second-factor"}),
    "factor-setup": (
        "factor_setup.html",
        _setup(
            wide=True,
            secret=SECRET,
            recovery_codes=CODES,
            qr=qr_code(URI, ALT),
            uri=URI,
        ),
    ),
    "factor-wrong": ("factor_setup.html", _setup(errors={"otp": MISFIT})),
    "factor-done": (
        "notice.html",
        _notice("Your second factor is on", "From now on you log in with a code, too."),
    ),
    "consent": ("consent.html", CONSENT),
    "consent-full": ("consent.html", FULL | {"asks": ASKS * 3}),
    "forgotten": ("reset_request.html", {"email": ""}),
    "forgotten-empty": ("reset_request.html", {"email": "", "errors": {"email": "Enter your e-mail address."}}),
    "forgotten-sent": ("notice.html", _notice("Look into your mailbox", *SENT)),
    "reset": ("new_password.html", _password()),
    "reset-weak": ("new_password.html", _password(errors={"password": WEAK})),
    "reset-dead": ("error.html", _error("not_found", ASK_ANEW, DEAD)),
    "invitation": ("new_password.html", _password(invited=True, action="/invitation")),
    "register": ("register.html", _register()),
    "register-wrong": (
        "register.html",
        _register(
            name="Ada",
            email="ada@",
            errors={"email": "Enter an address like name@example.com.", "password": WEAK},
        ),
    ),
    "confirm": ("confirm_email.html", {"token": "t", "may_ask": False}),
    "confirm-by-hand": ("confirm_email.html", {"token": "", "may_ask": True}),
    "logout": ("logout.html", {"account": LONG_ADDRESS, "hidden": {}}),
    "logged-out": ("notice.html", _notice("You are logged out", "You are logged out here, and out of every app.")),
    "signed-in": (
        "signed_in.html",
        {
            "account": "ada@example.com",
            "since": "27 November 2026, 07:05 UTC",
            "second_factor": True,
            "is_confirmed": True,
        },
    ),
    "leaving": (
        "notice.html",
        _notice("One moment", "You are taken back to where you came from.") | {"goes_to": "#"},
    ),
    **{f"error-{code}": ("error.html", _error(code)) for code in ("not_found", "forbidden", "unavailable")},
}
