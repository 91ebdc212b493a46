"""The editor of a fraud rule: what is typed is checked as one types, and stays when a colleague was faster."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import streamlit as st

from connectors.gateway import GatewayRefused
from dashboards import acting, chooser, door, formats, rule_backtest
from dashboards.acting import REASON_MAX, NotDone
from dashboards.fraud_rules import HOLDS, MODES, ShownFinding, ShownRule
from dashboards.page import html
from schemas.expressions import LENGTH_MAX
from schemas.features import Feature
from schemas.fraud import Outcome

OUTCOMES: dict[Outcome, str] = {"flag": "flag: goes through, marked", "review": "review: held", "block": "block"}
FIELDS = ("expression", "outcome", "hold", "reason", "mode")
OFFERED = 8  # names at once
WORD = re.compile(r"[a-z_][a-z0-9_]*\Z", re.IGNORECASE)
SIGN = re.compile(r"\w+|\S")
PLACEHOLDER = "count_1h > 5 and amount_eur >= 200"


class Findings(msgspec.Struct, frozen=True):
    """What the check says of an expression."""

    findings: list[ShownFinding]


class Field:
    """The keys of the fields of one rule's editor; others once what was typed is saved or given up."""

    def __init__(self, rule_id: str) -> None:
        self._rule_id = rule_id
        self._count = f"rule-edits-{rule_id}"

    def __call__(self, name: str) -> str:
        """The key of the field `name`."""
        return f"rule-{name}-{self._rule_id}-{st.session_state.get(self._count, 0)}"

    def renew(self) -> None:
        """Have the fields hold what the rule is now."""
        st.session_state[self._count] = st.session_state.get(self._count, 0) + 1


def edit(rule: ShownRule, names: Sequence[Feature]) -> None:
    """Show the editor of a rule, with what a colleague made of it meanwhile."""
    field = Field(rule.id)
    _begin(field, rule)
    if st.session_state[field("version")] != rule.version:
        _tell_of_change(field, rule)
    is_right = _fields(field, names)
    if st.button("Save", type="primary", key=field("save"), disabled=not is_right):
        _save(field, rule.id)
    _try(field, rule.id, is_right)


def create(names: Sequence[Feature]) -> None:
    """Show the editor of a rule that there is not yet."""
    field = Field("")
    st.session_state.setdefault(field("mode"), "shadow")  # what is new is tried before it decides
    st.text_input("Id (nothing: one is made)", key=field("id"), max_chars=64, placeholder="stands in the reasons")
    is_right = _fields(field, names)
    if st.button("Make the rule", type="primary", key=field("save"), disabled=not is_right):
        _make(field)
    _try(field, "", is_right)


def end_of_snooze(rule: ShownRule, version: int) -> None:
    """Note that who edits this rule made the next `version` of it themselves."""
    field = Field(rule.id)
    if st.session_state.get(field("version")) == rule.version:
        st.session_state[field("version")] = version


def _begin(field: Field, rule: ShownRule) -> None:
    if field("expression") in st.session_state:
        return
    for name in (*FIELDS, "version"):
        st.session_state[field(name)] = getattr(rule, name)


def _fields(field: Field, names: Sequence[Feature]) -> bool:
    """Show what is asked of a rule; whether its expression may be saved."""
    key = field("expression")
    text = st.text_input("Where this holds", key=key, max_chars=LENGTH_MAX, placeholder=PLACEHOLDER, live=True)
    _offer_names(key, text or "", names)
    is_right = _checked((text or "").strip())
    with st.container(horizontal=True, gap="small"):
        outcome = st.selectbox("Outcome", list(OUTCOMES), key=field("outcome"), format_func=OUTCOMES.__getitem__)
        if outcome == "review":
            st.selectbox("Held", list(HOLDS), key=field("hold"), format_func=HOLDS.__getitem__)
        st.selectbox("Mode", list(MODES), key=field("mode"), format_func=MODES.__getitem__)
    st.text_input("Why", key=field("reason"), max_chars=REASON_MAX)
    return is_right


def _offer_names(key: str, text: str, names: Sequence[Feature]) -> None:
    """Names that begin as the last word does, then those that hold it: a press puts one in its place."""
    if not (found := WORD.search(text)):
        return
    begun = found[0].lower()
    if any(feature.name == begun for feature in names):
        return
    fitting = [feature for feature in names if begun in feature.name]
    fitting.sort(key=lambda feature: not feature.name.startswith(begun))
    with st.container(horizontal=True, gap="small", key="names-offered"):
        for feature in fitting[:OFFERED]:
            completed = text[: found.start()] + feature.name
            label, help = formats.literal(feature.name), formats.literal(feature.meaning)
            key_of = f"offered-{feature.name}"
            st.button(label, key=key_of, help=help, on_click=_put, args=(key, completed), type="tertiary")


def _put(key: str, text: str) -> None:
    st.session_state[key] = text + " "


def _checked(text: str) -> bool:
    """Say what is wrong or odd in it, and where; whether nothing is wrong."""
    if not text:
        return False
    try:
        found: Findings = acting.ask(
            lambda: door.api().post_once("/v1/rules/check", {"expression": text}, Findings)
        )
    except NotDone:
        return False
    for finding in found.findings:
        _point(text, finding)
    return not any(finding.severity == "error" for finding in found.findings)


def _point(text: str, finding: ShownFinding) -> None:
    begin = min(finding.position, len(text))
    sign = SIGN.match(text, begin)
    html(
        "pointed.html",
        words=finding.message,
        is_wrong=finding.severity == "error",
        before=text[:begin],
        sign=sign[0] if sign else "end",
        after=text[sign.end() :] if sign else text[begin:],
    )


def _try(field: Field, rule_id: str, is_right: bool) -> None:
    """Offer what is typed to be tried on past payments, saved or not."""
    typed = _typed(field)
    rule_backtest.draw(rule_id, typed["expression"], typed["outcome"], is_right)


def _tell_of_change(field: Field, rule: ShownRule) -> None:
    """Say what the rule is now; what was typed stands below until one of both is chosen."""
    html("rule_changed.html", rule=rule, outcome=OUTCOMES.get(rule.outcome, rule.outcome), mode=MODES[rule.mode])
    with st.container(horizontal=True, gap="small"):
        st.button("Keep what I typed", key=field("keep"), on_click=_keep, args=(field, rule.version))
        st.button("Take theirs", key=field("take"), on_click=field.renew)


def _keep(field: Field, version: int) -> None:
    st.session_state[field("version")] = version


def _typed(field: Field) -> dict[str, Any]:
    typed = {name: st.session_state.get(field(name)) for name in FIELDS}
    texts = {name: (typed[name] or "").strip() for name in ("expression", "reason")}
    return typed | texts | {"hold": typed["hold"] or "authorized"}


def _save(field: Field, rule_id: str) -> None:
    body = _typed(field) | {"version": st.session_state[field("version")]}
    try:
        acting.ask(lambda: _put_rule(rule_id, body))
    except NotDone:
        return
    field.renew()
    acting.say(f"{rule_id} is saved, and counts from now on.")
    st.rerun()


def _put_rule(rule_id: str, body: dict[str, Any]) -> None:
    """Save it; where a colleague was faster, the page is drawn anew, and shows what they made of it."""
    try:
        door.api().put(chooser.at("/v1/rules", rule_id), body, ShownRule)
    except GatewayRefused as error:
        if error.code != "stale_version":
            raise
        acting.say("Not saved: a colleague changed this rule meanwhile. What you typed is still here.", good=False)
        st.rerun()


def _make(field: Field) -> None:
    rule_id = (st.session_state.get(field("id")) or "").strip()
    body = _typed(field) | ({"id": rule_id} if rule_id else {})
    try:
        made: ShownRule = acting.ask(lambda: door.api().post("/v1/rules", body, ShownRule))
    except NotDone:
        return
    field.renew()
    st.query_params["rule"] = made.id
    acting.say(f"{made.id} is a rule, and counts from now on.")
    st.rerun()
