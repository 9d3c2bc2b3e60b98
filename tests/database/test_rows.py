"""Rows to insert, by statement: put together, and found again as they were made."""

from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from postroad import refusals
from postroad.database import facts
from postroad.database.content import CHUNKS
from postroad.database.engine import Database
from postroad.database.rows import (
    BOUND_ALONE,
    ROWS_PER_INSERT,
    brings,
    insert,
    insert_unless_there,
    into,
    together,
)
from postroad.database.schema import content_chunk, fact, queue_entry, recipient
from postroad.oauth import sign_ins
from postroad.queue import gates
from tests.database.test_commit import FACT

ENTRIES = st.lists(
    st.fixed_dictionaries(
        {
            "account_id": st.integers(1, 2**62),
            "content_id": st.integers(1, 2**62),
            "accepted_at": st.integers(0, 2**62),
        },
        optional={"reverse_path": st.none() | st.sampled_from(["a@b.test", "'; --", 'ü"?%s'])},
    ),
    max_size=3 * ROWS_PER_INSERT,
)


@pytest.fixture
def database(tmp_path, database_url):
    """A database of its own."""
    with closing(Database(tmp_path, floor=0, url=database_url)) as opened:
        yield opened


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=ENTRIES)
def test_what_is_inserted_is_found(database, entries):
    """Whichever columns a row leaves out, and in whatever company: those are null, the others what was given."""
    found = [{"queue_id": number, **entry} for number, entry in enumerate(entries)]
    rows = together({into(queue_entry, *one): [(*one.values(),)]} for one in found)

    def replace(connection):
        connection.execute(delete(queue_entry))
        insert(connection, rows)
        return connection.execute(select(queue_entry).order_by(queue_entry.c.queue_id)).all()

    stored = database.submit(replace).result()
    assert [row._mapping for row in stored] == [{"reverse_path": None, **one} for one in found]


def test_large_octets_are_bound_alone(database):
    """A view of memory among them, and rows that share a statement before and behind: all are stored, in order."""
    sizes = [1, 2, BOUND_ALONE + 1, 3, *[4] * ROWS_PER_INSERT]
    rows = [(1, 1, number, memoryview(bytes([number]) * size)) for number, size in enumerate(sizes)]
    database.submit(lambda connection: insert(connection, {CHUNKS: rows})).result()
    found = database.look(
        lambda connection: (
            connection.execute(select(content_chunk.c.octets).order_by(content_chunk.c.ordinal)).scalars().all()
        )
    )
    assert found == [bytes([number]) * size for number, size in enumerate(sizes)]


def test_who_is_there_stays(database):
    """The first row of a key is kept, and it is told which one was."""

    def insert_both(connection):
        rows = ({"name": "one", "value": value} for value in "ab")
        return [insert_unless_there(connection, fact, row) for row in rows]

    assert database.submit(insert_both).result() == [True, False]
    assert database.look(lambda connection: facts.read(connection, "one")) == "a"


WRITES = {
    "a row": lambda connection, text: insert(connection, {FACT: [("one", text)]}),
    "a fact": lambda connection, text: facts.write(connection, "one", text),
    "the first value of a fact": lambda connection, text: facts.keep(connection, "one", text),
    "a gate": lambda connection, text: gates.locked(connection, [text]),
    "a failed sign-in": lambda connection, text: sign_ins.begin_try(connection, {text: 1}, 1),
}


@pytest.mark.parametrize("database_url", [""], ids=["SQLite"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_full_disk_is_told_as_what_it_is(database, write):
    """By whatever is written, also where another node might be first: not as a lack of savepoints."""

    def fill(connection):
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 4}").scalar_one()

    database.submit(fill).result()
    with pytest.raises(refusals.StorageUnhealthy) as caught:
        database.submit(lambda connection: write(connection, "x" * 1_000_000)).result()
    assert "full" in caught.value.why
    assert database.health.trusted
    database.submit(lambda connection: write(connection, "x")).result()


def test_a_column_that_there_is_not_is_an_error():
    """It is not left out in silence."""
    with pytest.raises(KeyError, match="nmae"):
        into(fact, "nmae", "value")


def test_rows_of_many_are_put_together_in_order():
    """Of each statement, and what is put together leaves its parts as they were."""
    some = [{FACT: [(name, ".")]} for name in "abc"]
    assert together(some) == {FACT: [("a", "."), ("b", "."), ("c", ".")]}
    assert some[0] == {FACT: [("a", ".")]}


def test_tables_are_told_apart():
    """By the whole of their names: that of one is the beginning of another's."""
    rows = {into(queue_entry, "queue_id"): [(1,)], CHUNKS: [(1, 1, 1, b"")]}
    assert brings(rows, queue_entry)
    assert brings(rows, content_chunk)
    assert not brings(rows, recipient)
    assert not brings(rows, content_chunk.metadata.tables["content"])
