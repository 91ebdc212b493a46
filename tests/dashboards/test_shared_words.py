"""What pages offer to choose from is what the gateway knows: they may not import it, and say it again."""

from typing import get_args

from dashboards.session_checks import STAFF
from dashboards.views.audit import KINDS
from dashboards.views.clients import CLIENT_SCOPES, OVERLAPS
from dashboards.views.merchants import MERCHANT_ROLES
from gateway import roles
from gateway.identity.clients import OVERLAP_MAX_S
from schemas.accounts import ActKind


def test_the_audit_is_filtered_by_every_kind_of_act() -> None:
    assert get_args(ActKind) == KINDS


def test_a_client_is_offered_all_that_any_may_have() -> None:
    assert set(CLIENT_SCOPES) == frozenset().union(*roles.CLIENT_SCOPES.values())


def test_a_secret_overlaps_no_longer_than_the_gateway_lets_it() -> None:
    assert max(OVERLAPS.values()) == OVERLAP_MAX_S


def test_staff_and_the_roles_of_a_merchants_people_are_those_of_the_gateway() -> None:
    assert (STAFF, MERCHANT_ROLES) == (roles.STAFF, roles.MERCHANT_ROLES)
