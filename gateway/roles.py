"""Who may what, as data: scopes guard routes, roles are sets of scopes."""

from typing import Literal, get_args

from schemas import accounts

Role = accounts.Role
ROLES: tuple[Role, ...] = get_args(Role)
MerchantRole = accounts.MerchantRole
MERCHANT_ROLES: tuple[MerchantRole, ...] = get_args(MerchantRole)
STAFF: frozenset[str] = frozenset({"analyst", "admin"})

SCOPES: dict[str, str] = {
    "account": "Read and change one's own account.",
    "sessions": "End one's own sessions.",
    "credentials": "Change one's password and second factor, export and erase the account.",
    "cards:read": "See one's own cards.",
    "cards:write": "Add and remove cards of one's own.",
    "payments:read": "See payments: own, made to one, or for staff all.",
    "operations:read": "See the calls that were made to processors.",
    "tasks:read": "See what no machine can end.",
    "tasks:write": "Say what became of what no machine can end.",
    "payments:write": "Create payments; capture and void them.",
    "payments:import": "Say when a payment happened (`occurred_at`), for replays of history.",
    "refunds:write": "Give captured money back.",
    "reviews:read": "See payments held for review.",
    "reviews:write": "Decide about payments held for review.",
    "alerts:read": "See what needs a person: alerts of the gateway and of the fraud flow.",
    "stops:read": "See what takes no new payments at the moment.",
    "stops:write": "Stop new payments of a processor, a merchant or all, and let them go on.",
    "rules:read": "See fraud rules, and the features that they may use, and have conditions checked.",
    "rules:write": "Make, change, snooze and remove fraud rules.",
    "lists:read": "See what is blocked or allowed outright.",
    "lists:write": "Block or allow outright what payments name.",
    "labels:write": "Say of a payment that it was fraud, or good.",
    "audit:read": "See who logged in, changed a right, decided or took data out.",
    "dead_letters:read": "See records that nobody could read.",
    "dead_letters:write": "Send records again that nobody could read.",
    "accounts:read": "See everybody's accounts.",
    "accounts:write": "Make accounts for others, and change what they are.",
    "merchants:read": "See one's own merchant; for admins any.",
    "merchants:manage": "Change one's own merchant, and who acts for it; for admins any.",
    "merchants:write": "Create merchants, and suspend them.",
    "clients:manage": "See, make and revoke OAuth clients: one's own merchant's, for admins any.",
    "sql_tokens:manage": "See, make and revoke one's own tokens for SQL; for admins anybody's.",
    "sql_tokens:check": "Ask whose a token for SQL is, and what they see (services only).",
    "contacts:read": "Ask whom to tell about a payment, and how (services only).",
}

OWN_SCOPES = frozenset({"account", "sessions", "credentials"})  # what anybody does with their own account
_PAYER = OWN_SCOPES | {"cards:read", "cards:write", "payments:read", "payments:write"}
_VIEWER = OWN_SCOPES | {"cards:read", "payments:read", "merchants:read", "sql_tokens:manage"}
_OPERATOR = _VIEWER | {"payments:write", "refunds:write"}
_OWNER = _OPERATOR | {"cards:write", "merchants:manage", "clients:manage"}

MERCHANT_SCOPES: dict[MerchantRole, frozenset[str]] = {
    "owner": _OWNER,
    "operator": _OPERATOR,
    "viewer": _VIEWER,
}

# What a client may have at most, beside what whoever makes it has: what is left out is for persons. A merchant's
# acts in its name, `app` (a browser or phone, which keeps no secret) for the customer who logged in, a `service`
# in that of nobody. Which of ours reads contacts is settled at the start (`gateway/seed.py`).
ClientKind = Literal["merchant", "app", "service"]
CLIENT_SCOPES: dict[ClientKind, frozenset[str]] = {
    "merchant": _OPERATOR - OWN_SCOPES - {"sql_tokens:manage"} | {"cards:write", "payments:import"},
    "app": _PAYER - {"sessions", "credentials"},
    "service": frozenset({"merchants:write"}),
}

ROLE_SCOPES: dict[Role, frozenset[str]] = {
    "customer": _PAYER,
    "merchant": _OWNER,
    "analyst": frozenset(
        {
            *OWN_SCOPES,
            "payments:read",
            "operations:read",
            "tasks:read",
            "tasks:write",
            "reviews:read",
            "reviews:write",
            "rules:read",
            "rules:write",
            "labels:write",
            "lists:read",
            "lists:write",
            "alerts:read",
            "stops:read",
            "sql_tokens:manage",
        }
    ),
    # Everything but what only services may: whom to tell is personal data of others.
    "admin": frozenset(SCOPES) - {"contacts:read", "payments:import", "sql_tokens:check"},
}

# Granted to an account alone, it makes a reader of it: somebody who sees all payments by SQL, without cards and
# payers. Whoever has it by their role sees by SQL what that role does.
READER = "sql_tokens:manage"


def scopes_of(role: Role, extra: str, merchant_role: MerchantRole | None) -> frozenset[str]:
    """The scopes of an account: its role's, and those granted to it alone (space-separated).

    `merchant_role`: as what a person acts for a merchant; None: for nobody else.
    """
    of_role = ROLE_SCOPES[role] if merchant_role is None or role != "merchant" else MERCHANT_SCOPES[merchant_role]
    return of_role | frozenset(extra.split())


def is_reader(role: Role, extra: str) -> bool:
    """Whether an account was named a reader by an admin; staff, who see everything, are none."""
    return role not in STAFF and READER in extra.split()


def with_reader(extra: str, named: bool) -> str:
    """The scopes granted to an account alone, with or without the one that makes a reader of it."""
    others = frozenset(extra.split()) - {READER}
    return " ".join(sorted(others | {READER} if named else others))
