"""Who may what, as data: scopes guard routes, roles are sets of scopes."""

from functools import cache
from typing import Literal, get_args

Role = Literal["customer", "merchant", "analyst", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
STAFF: frozenset[str] = frozenset({"analyst", "admin"})

SCOPES: dict[str, str] = {
    "account": "Read and change one's own account.",
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
    "labels:write": "Say of a payment that it was fraud, or good.",
    "audit:read": "See who logged in, changed a right, decided or took data out.",
    "merchants:write": "Create merchant accounts.",
    "accounts:read": "See everybody's accounts.",
    "accounts:write": "Make accounts for others, and change what they are.",
    "contacts:read": "Ask whom to tell about a payment, and how (services only).",
}

_PAYER = frozenset({"account", "cards:read", "cards:write", "payments:read", "payments:write"})

ROLE_SCOPES: dict[Role, frozenset[str]] = {
    "customer": _PAYER,
    "merchant": _PAYER | {"refunds:write"},
    "analyst": frozenset(
        {
            "account",
            "payments:read",
            "operations:read",
            "tasks:read",
            "tasks:write",
            "reviews:read",
            "reviews:write",
            "labels:write",
        }
    ),
    # Everything but what only services may: whom to tell is personal data of others.
    "admin": frozenset(SCOPES) - {"contacts:read", "payments:import"},
}


@cache
def scopes_of(role: Role, extra: str) -> frozenset[str]:
    """The scopes of an account: its role's, and those granted to it alone (space-separated)."""
    return ROLE_SCOPES[role] | frozenset(extra.split())
