"""Named queries: parameters have names, the database sees numbers, and whoever misnames one is told at once."""

from pathlib import Path

import asyncpg
import bench
import pytest

import trunkline
from trunkline.storage.queries import Queries, bind, numbered, queries


def test_names_become_numbers_in_the_order_in_which_they_first_appear() -> None:
    assert numbered("x", "SELECT :b + :a + :b") == "SELECT $1 + $2 + $1"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'at 12:noon, o''clock:b'",
        "SELECT now()::date, '1'::text",
        'SELECT 1 AS "a:b"',
        "SELECT 1 -- of :account, see $1\n",
        "SELECT 1 /* :a */",
        "SELECT list[1:upto], list[(1):upto], list[:upto], list[lengths[1]:upto] FROM lists",
        "DO $$ BEGIN a := 1; b :=c; PERFORM :d; END $$",
        "DO $body$ SELECT :a $body$",
    ],
)
def test_a_colon_that_begins_no_parameter_stays(text: str) -> None:
    assert numbered("x", text) == text
    assert bind(text) == (text,)


def test_a_parameter_may_stand_first_in_an_array_and_before_a_cast() -> None:
    statement = numbered("x", "SELECT ARRAY[:a, :b::text], f(:a::bigint[])")
    assert statement == "SELECT ARRAY[$1, $2::text], f($1::bigint[])"


def test_a_parameter_by_number_is_refused() -> None:
    with pytest.raises(ValueError, match="mixed has a parameter with a number"):
        Queries("a/queries.sql", "-- name: mixed\nSELECT :a, $1\n")


def test_one_statement_has_the_same_names_wherever_it_stands() -> None:
    numbered("here", "SELECT 'twice', :a")
    with pytest.raises(ValueError, match="there stands elsewhere"):
        numbered("there", "SELECT 'twice', :b")


def test_values_that_are_given_by_name_come_in_order() -> None:
    assert bind(numbered("x", "SELECT :second, :first"), first=1, second=2) == ("SELECT $1, $2", 2, 1)
    assert bind(numbered("x", "SELECT :only_one"), only_one=(1, 2)) == ("SELECT $1", (1, 2))


@pytest.mark.parametrize("values", [{}, {"a": 1}, {"a": 1, "c": 2}, {"a": 1, "b": 2, "c": 3}])
def test_a_name_that_is_missing_or_unknown_is_told_of_at_once(values: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="takes a, b; given were"):
        bind(numbered("x", "SELECT :a - :b"), **values)


SOURCES = Path(str(trunkline.__file__)).parent, Path(bench.__file__).parent


@pytest.mark.asyncio
async def test_every_named_statement_is_one_that_the_database_accepts(url: str) -> None:
    files = [(source, file) for source in SOURCES for file in source.rglob("queries.sql")]
    assert len(files) > 10
    connection = await asyncpg.connect(url)
    for source, file in files:
        statements = queries(".".join([source.name, *file.parent.relative_to(source).parts]))
        assert statements.names()
        for name in statements.names():
            await connection.prepare(getattr(statements, name))
    await connection.close()
