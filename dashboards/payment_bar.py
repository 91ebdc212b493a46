"""Where a person says which payments they look for; it stands in the address, and is said in words."""

import streamlit as st

from dashboards import formats
from dashboards.asking import ask
from dashboards.page import html
from dashboards.page_entry import put_address
from dashboards.payment_columns import FIRST, ListColumn, chosen_columns, named
from dashboards.payment_filters import STATUS_WORDS, STATUSES, Filters
from dashboards.payment_search import WORDS, without_number
from dashboards.session_checks import Person
from dashboards.wording import processor_name, state_words
from schemas.fraud import OUTCOMES
from schemas.payments import PROCESSORS
from schemas.states import STATES

PLACEHOLDER = "pay_…, reference, last four digits, customer, e-mail, 42.00 EUR"
OWN_PLACEHOLDER = PLACEHOLDER.replace(" e-mail,", "")
NO_NUMBER = "A card's number stands nowhere here: its last four digits are looked for."
NO_CURRENCY = "The amount of the filter needs a currency, as in 42.00 EUR."
TYPED, SOUGHT = "payments-typed", "payments-sought"
MERCHANTS = "SELECT id, trading_name FROM merchants ORDER BY trading_name LIMIT 500"
MERCHANTS_S = 60.0
LABELS = {
    "status": "Status",
    "state": "State",
    "processor": "Processor",
    "currency": "Currency",
    "merchant": "Merchant",
    "risk": "Risk",
    "amount": "Amount",
}


def put(**changes: str) -> None:
    """Change the address; what is empty leaves it. It names the first page again, unless a `cursor` is said."""
    put_address(**{"cursor": ""} | changes)


def search(person: Person) -> None:
    """The one field: what is typed goes into the address, but for a card's number."""
    sought = st.query_params.get("q", "")
    if st.session_state.get(SOUGHT) != sought:  # a link or the back button changed it
        st.session_state[TYPED] = st.session_state[SOUGHT] = sought
    st.text_input(
        "Find a payment",
        key=TYPED,
        placeholder=PLACEHOLDER if person.is_staff else OWN_PLACEHOLDER,
        label_visibility="collapsed",
        icon=":material/search:",
        on_change=_seek,
    )


def _seek() -> None:
    typed = st.session_state[TYPED].strip()
    kept = without_number(typed)
    st.session_state["number-typed"] = kept != typed
    st.session_state[TYPED] = st.session_state[SOUGHT] = kept
    put(q=kept, **{"as": ""})


def say_what(filters: Filters, *, all_time: bool) -> None:
    """What the search was taken for, and what else it may be meant as."""
    if st.session_state.pop("number-typed", False):
        html("trouble.html", words=NO_NUMBER)
    if filters.amount and filters.money.taken != "amount":
        html("trouble.html", words=NO_CURRENCY)
    if not filters.text:
        return
    search, is_bare = filters.search, filters.search.taken == "bare_amount"
    with st.container(key="taken-for", horizontal=True, vertical_alignment="center", gap="small"):
        html("taken_for.html", words=WORDS[search.taken], value=search.value, is_bare=is_bare, all_time=all_time)
        for other in search.others:
            label = f"Take it for {WORDS[other]}"
            st.button(label, key=f"as-{other}", type="tertiary", on_click=put, kwargs={"as": other})


def narrow(person: Person, filters: Filters) -> None:
    """The filters: chosen, shown, and taken away."""
    _choose_status(filters)
    with st.popover("Filters", type="tertiary", icon=":material/filter_list:"):
        _choose(person, filters)
    for name, value in filters.names().items():
        if name != "status":
            label = f"{LABELS[name]}: {formats.literal(word(name, value))} ✕"
            st.button(label, key=f"without-{name}", on_click=put, kwargs={name: ""})


def _choose_status(filters: Filters) -> None:
    chosen = st.segmented_control(
        "Status",
        ["", *STATUSES],
        default=filters.status,
        format_func=lambda status: STATUS_WORDS[status] if status else "All",
        label_visibility="collapsed",
        key=f"status-{filters.status}",
    )
    if chosen is not None and chosen != filters.status:
        put(status=chosen)
        st.rerun()


def _choose(person: Person, filters: Filters) -> None:
    as_shown = str(filters.names())  # fields begin anew where the address changed
    with st.form(f"filters-{as_shown}", border=False):
        asked = {
            "state": _pick("state", STATES, filters.state),
            "processor": _pick("processor", PROCESSORS, filters.processor),
            "currency": st.text_input("Currency", filters.currency, max_chars=3, placeholder="EUR")
            .strip()
            .upper(),
            "amount": st.text_input("Amount", filters.amount, max_chars=24, placeholder="42.00 EUR").strip(),
        }
        if person.is_staff:
            asked |= {"risk": _pick("risk", OUTCOMES, filters.risk), "merchant": _pick_merchant(filters.merchant)}
        if st.form_submit_button("Show these", type="primary"):
            put(**asked)
            st.rerun()


def _pick(name: str, values: tuple[str, ...], value: str) -> str:
    options = ["", *values]
    chosen = st.selectbox(
        LABELS[name], options, options.index(value), format_func=lambda one: word(name, one) if one else "Any"
    )
    return chosen or ""


def _pick_merchant(merchant_id: str) -> str:
    known = _merchants()
    options = ["", *known, *([merchant_id] if merchant_id and merchant_id not in known else [])]
    chosen = st.selectbox(
        "Merchant",
        options,
        options.index(merchant_id),
        format_func=lambda one: known.get(one, one) or "Any",
        accept_new_options=True,
        placeholder="Name or acc_…",
    )
    return (chosen or "").strip()


@st.cache_data(ttl=MERCHANTS_S, show_spinner=False)
def _merchants() -> dict[str, str]:
    """The names of merchants by their ids, as far as the warehouse tells."""
    answer = ask(MERCHANTS)
    return {str(row[0]): formats.plain(row[1], 40) for row in answer.table.rows} if answer.table else {}


def word(name: str, value: str) -> str:
    """A filter's value in words."""
    match name:
        case "state":
            return state_words(value)
        case "processor":
            return processor_name(value)
        case "merchant":
            return _merchants().get(value, value)
        case "risk":
            return value.capitalize()
        case _:
            return value


def choose_columns(known: tuple[ListColumn, ...]) -> None:
    """Which columns the list has; what everybody starts with leaves the address as it is."""
    now = [column.name for column in chosen_columns(st.query_params.get("cols", ""), known)]
    titles = {column.name: column.title for column in known}
    chosen = st.pills(
        "Columns",
        [name for name in titles if name != "time"],
        selection_mode="multi",
        default=[name for name in now if name != "time"],
        format_func=titles.__getitem__,
        key=f"columns-{'-'.join(now)}",
    )
    if {*chosen, "time"} != {*now}:
        put(cols=named(chosen, known), cursor=st.query_params.get("cursor", ""))
        st.rerun()
    if now != [column.name for column in known if column.name in FIRST]:
        st.button("As at first", key="first-columns", type="tertiary", on_click=put, kwargs={"cols": ""})
