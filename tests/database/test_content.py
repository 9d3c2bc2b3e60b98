"""Contents in rows: the same octets back, small rows, little memory."""

import asyncio
import random
import tracemalloc
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.database import content as contents
from postroad.database.content import CHUNK
from postroad.database.engine import Database
from tests.content_kit import FACTS

MEBIBYTE = 1 << 20


@pytest.fixture
def database(tmp_path, database_url):
    """A database of its own."""
    with closing(Database(tmp_path, floor=0, url=database_url)) as opened:
        yield opened


def stored(database, content_id, pieces, **facts):
    asyncio.run(database.insert(contents.rows(content_id, 1, pieces, FACTS._replace(**facts))))


def chunks(pieces, size):
    """The pieces cut into rows of at most `size` octets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents, "CHUNK", size)
        return [octets for *_, octets in contents.rows(1, 1, pieces, FACTS)[contents.CHUNKS]]


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 16))
def test_any_pieces_become_small_rows_of_the_same_octets(pieces, size):
    """However the octets come, the rows are all of them, cut where they fill one; only the last may be short."""
    whole = b"".join(pieces)
    assert [bytes(row) for row in chunks(pieces, size)] == [
        whole[at : at + size] for at in range(0, len(whole), size)
    ]


SIZES = {
    "nothing": [],
    "an empty piece": [0],
    "one octet": [1],
    "a row less one": [CHUNK - 1],
    "a row": [CHUNK],
    "a row and one": [CHUNK + 1],
    "a header section and a body": [700, 5_000],
    "a header section and a long body": [700, 3 * CHUNK],
    "a header section of a row": [CHUNK, 10],
    "many pieces": [1, CHUNK, 2, 2 * CHUNK - 1, 0, 3],
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_what_is_stored_is_read_back(database, sizes):
    """Whole and row by row, a content is what was stored, and ends where it ended."""
    source = random.Random(1)
    pieces = [memoryview(source.randbytes(size)) for size in sizes]
    stored(database, 7, pieces)
    whole = b"".join(pieces)
    assert database.look(lambda connection: contents.whole(connection, 7)) == whole
    count = -(-len(whole) // CHUNK)
    found = [database.look(lambda connection, at=at: contents.chunk(connection, 7, at)) for at in range(count)]
    assert b"".join(found) == whole
    assert all(len(row) <= CHUNK for row in found)
    assert database.look(lambda connection: contents.chunk(connection, 7, count)) is None
    assert database.look(lambda connection: contents.whole(connection, 8)) == b""


@pytest.mark.parametrize("size", [0, 40, CHUNK, CHUNK + 1], ids=["none", "short", "a row", "over a row"])
def test_the_header_section_is_read_without_the_body(database, size):
    """It ends where it ended, also when it fills more than a row."""
    section = random.Random(2).randbytes(size)
    stored(database, 9, [section, b"\r\nbody"], header_size=size)
    assert database.look(lambda connection: contents.header_section(connection, 9)) == section


def test_rows_carry_their_account_and_facts():
    """Every row of a content has its account, and the first table its facts."""
    found = contents.rows(3, 5, [b"octets"], FACTS._replace(size=6))
    named = ", ".join(f'"{name}"' for name in contents.Facts._fields)
    assert found == {
        f'"content" ("content_id", "account_id", {named})': [(3, 5, 6, *FACTS[1:])],
        '"content_chunk" ("content_id", "account_id", "ordinal", "octets")': [(3, 5, 0, b"octets")],
    }


def test_a_large_content_costs_one_row_of_memory(database):
    """Storing and reading 36 MB, row by row, allocates less than 2 MiB beside it."""
    body = memoryview(random.Random(3).randbytes(36_000_000))
    stored(database, 1, [b"warm up"])
    tracemalloc.start()
    try:
        stored(database, 2, [b"Subject: large\r\n", body])
        writing = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        ordinal = size = 0
        while row := database.look(lambda connection: contents.chunk(connection, 2, ordinal)):  # noqa: B023
            size += len(row)
            ordinal += 1
        reading = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == len(body) + 16
    assert max(writing, reading) < 2 * MEBIBYTE
