"""Scripts are cut, and values put in, where DuckDB itself says a token begins: no value is more than a text."""

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice.console.tokens import BadParameter, ScriptStatement, filled, is_whole, statements_of

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def test_a_script_is_cut_at_the_semicolons_of_its_statements() -> None:
    script = "-- one;\nSELECT ';' AS a,\n 1; /* ; */\n;\nSELECT $$;$$, 'ü;' -- two;\n;SELECT \";\"\n"
    assert statements_of(script) == [
        ScriptStatement("SELECT ';' AS a,\n 1", 2),
        ScriptStatement("SELECT $$;$$, 'ü;' -- two;", 5),
        ScriptStatement('SELECT ";"', 6),
    ]
    assert statements_of("-- nothing\n;;") == []
    assert statements_of("") == []


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("SELECT 1;", True),
        ("SELECT 1; -- so", True),
        ("SELECT 1", False),
        ("SELECT ';'", False),
        ("SELECT 'a;", False),
        ("SELECT 1 -- ;", False),
        ("SELECT $$ ;", False),
        ("", False),
        ("SELECT '\udcff", True),
    ],
)
def test_a_statement_is_whole_at_a_semicolon_of_its_own(text: str, whole: bool) -> None:
    assert is_whole(text) == whole


def test_a_parameter_is_a_name_outside_of_texts_and_comments() -> None:
    statement = "SELECT $a, '$a', \"$a\", $$ $a $$, $q$ $a $q$, e'\\' $a', x$a /* $a */, $größe::INT -- $a"
    assert filled(statement, {"a": "it's", "größe": "7"}) == (
        "SELECT 'it''s', '$a', \"$a\", $$ $a $$, $q$ $a $q$, e'\\' $a', x$a /* $a */, '7'::INT -- $a"
    )


def test_duckdb_reads_a_value_as_what_is_wanted() -> None:
    con = duckdb.connect()
    statement = (
        "SELECT a FROM range(10) t(a) WHERE a > $least AND DATE '2026-01-01' + a::INT < $until LIMIT $count"
    )
    ask = filled(statement, {"least": "3", "until": "2026-01-09", "count": "2"})
    assert con.execute(ask).fetchall() == [(4,), (5,)]


@given(value=ANY_TEXT)
@example(value="'; DROP TABLE payments; --")
@example(value="\\'; SELECT 1; --")
@example(value="' || (SELECT 1) || '")
@example(value="$a")
def test_whatever_a_value_is_it_stays_one_text(value: str) -> None:
    ask = filled("SELECT $a AS a, $b, '$a' -- $a", {"a": value, "b": "b"})
    assert duckdb.connect().execute(ask).fetchall() == [(value, "b", "$a")]


@pytest.mark.parametrize("statement", ["SELECT $a'x'", "SELECT 'x'$a", "SELECT $a\n'x'"])
def test_a_value_that_would_run_into_a_text_is_refused(statement: str) -> None:
    with pytest.raises(BadParameter, match="stands where"):
        filled(statement, {"a": "\\' v"})


@pytest.mark.parametrize(
    ("given", "why"), [({}, "no value for"), ({"a": "\0'"}, "stands where"), ({"a": "\udcff"}, "UTF-8")]
)
def test_a_value_that_is_missing_or_no_text_is_refused(given: dict[str, str], why: str) -> None:
    with pytest.raises(BadParameter, match=why) as refused:
        filled("SELECT $a", given)
    assert "\n" not in str(refused.value)
