"""What comes in pieces is stored once, moves only from where it is, and leaves nothing behind."""

import asyncio
from contextlib import closing
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import func, select

from postroad import refusals, uploads
from postroad.database import content as contents
from postroad.database.content import CHUNK
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.database.rows import insert
from postroad.database.schema import content_chunk, loose_content, queue_entry, upload
from postroad.retention import Pruner
from postroad.uploads import ACTIVE, BATCH, CANCELLED, DAY, FINAL, MovedError, Owner, Uploads, key_of
from tests import content_kit

NOW = 1_790_000_000_000
ME, BOB = 1, 2
HEAD = b"To: bob@example.org\r\n\r\n"
BODY = bytes(range(32, 127)) * 40_000
MESSAGE = HEAD + BODY
FACTS = content_kit.FACTS._replace(size=1, header_size=1, longest_line=998)


@pytest.fixture
def database(tmp_path, database_url):
    """A database of its own."""
    with closing(Database(tmp_path, floor=0, url=database_url)) as opened:
        yield opened


@pytest.fixture
def house(database):
    """The uploads of that database, of messages of up to 8 MB."""
    return Uploads(database, Identifiers(), 8_000_000)


async def pieces(octets, size=100_000):
    for at in range(0, len(octets), size):
        yield octets[at : at + size]


def begun(house, account_id=ME, **more):
    return asyncio.run(house.begin(Owner(account_id), **{"now": NOW} | more))


def received(house, one, octets, size=100_000):
    return asyncio.run(house.receive(one, pieces(octets, size)))


def found(house, upload_id, now=NOW):
    return asyncio.run(house.find(upload_id, now))


def do(house, act, *arguments, **more):
    return house.database.submit(partial(act, *arguments, **more)).result()


def stored(house, one):
    """The octets of the body so far."""
    rows = select(content_chunk.c.octets).where(content_chunk.c.content_id == one.content_id)
    found_ = house.database.look(
        lambda connection: connection.execute(rows.order_by(content_chunk.c.ordinal)).all()
    )
    assert all(len(row.octets) <= CHUNK for row in found_)
    return b"".join(row.octets for row in found_)


def count(house, table):
    return house.database.look(
        lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()
    )


def tidied(house, now):
    """Prune, and how many uploads that forgot."""
    before = count(house, upload)
    asyncio.run(Pruner(house.database, 0, 0, lambda: now, rest=0).prune())
    return before - count(house, upload)


def test_an_upload_is_what_came(house):
    """Found anew after each request, it goes on where it was, and what is stored is the body with CRLF."""
    upload_id, one = begun(house, total=len(MESSAGE), thread_id=7)
    assert found(house, upload_id) == one
    for start, end in ((0, 10), (10, 2_000_000), (2_000_000, len(MESSAGE))):
        one = received(house, found(house, upload_id), MESSAGE[start:end].replace(b"\r\n", b"\n"))
        assert found(house, upload_id) == one
    assert (one.complete, one.thread_id, one.state) == (False, 7, ACTIVE)  # two octets short: there were LFs
    assert (one.intake.head, stored(house, one)) == (HEAD, BODY)


def test_only_its_hash_is_stored(house):
    """Nobody who reads the database can go on with an upload."""
    upload_id, one = begun(house)
    assert len(upload_id) >= 22  # 128 bits in base64
    rows = house.database.look(lambda connection: connection.execute(select(upload)).all())
    assert upload_id.encode() not in repr(rows).encode()
    assert one.key == key_of(upload_id)


def test_who_comes_second_finds_it_moved(house):
    """Two requests that go on from the same place: one is stored, the other stores nothing."""
    _, one = begun(house)
    after = received(house, one, MESSAGE[:1000])
    with pytest.raises(MovedError):
        received(house, one, b"other octets")
    assert stored(house, one) == MESSAGE[len(HEAD) : 1000]
    assert received(house, after, MESSAGE[1000:]).received == len(MESSAGE)


def test_many_at_once_store_one(house):
    """Ten that go on from the same place at the same time are one that goes on."""
    upload_id, one = begun(house)

    async def race():
        return await asyncio.gather(
            *(house.receive(one, pieces(MESSAGE)) for _ in range(10)), return_exceptions=True
        )

    outcomes = asyncio.run(race())
    assert sum(not isinstance(one, MovedError) for one in outcomes) == 1
    assert (found(house, upload_id).received, stored(house, one)) == (len(MESSAGE), BODY)


def finished(house, one, first=HEAD):
    final = replace(one, gmail_id=5, thread_id=6, labels=("UNREAD", "SENT"))
    do(house, lambda connection: uploads.finish(connection, one, final, first))


def test_final_is_final(house):
    """It becomes one message, which it names ever after; nothing goes on, ends or cancels it again."""
    upload_id, one = begun(house)
    one = received(house, one, MESSAGE)
    finished(house, one)
    final = found(house, upload_id)
    assert (final.state, final.gmail_id, final.thread_id, final.labels) == (FINAL, 5, 6, ("UNREAD", "SENT"))
    for again in (finished, partial(received, octets=b"x")):
        with pytest.raises(MovedError):
            again(house, one)
    asyncio.run(house.cancel(one))
    assert found(house, upload_id) == final
    assert (stored(house, one), count(house, loose_content)) == (MESSAGE, 0)


def test_cancelled_is_cancelled(house):
    """Nothing goes on, and what was stored goes."""
    upload_id, one = begun(house)
    one = received(house, one, MESSAGE)
    asyncio.run(house.cancel(one))
    assert found(house, upload_id).state == CANCELLED
    for again in (finished, partial(received, octets=b"x")):
        with pytest.raises(MovedError):
            again(house, one)
    assert tidied(house, NOW) == 0
    assert (count(house, content_chunk), found(house, upload_id).state) == (0, CANCELLED)


def test_what_is_over_its_time_goes(house):
    """An upload is known until it expires; then it and its octets go, unless they are a message's."""
    ids = [begun(house, lasts=lasts) for lasts in (DAY, 2 * DAY, DAY)]
    kept = received(house, ids[1][1], MESSAGE)
    gone = received(house, ids[0][1], MESSAGE)
    assert tidied(house, NOW + DAY - 1) == 0
    assert found(house, ids[0][0], NOW + DAY - 1).received == len(MESSAGE)
    for upload_id in (ids[0][0], "unknown", "x" * 10_000, ""):
        with pytest.raises(refusals.NotFound):
            found(house, upload_id, NOW + DAY)
    assert tidied(house, NOW + DAY) == 2
    assert (stored(house, gone), stored(house, kept)) == (b"", BODY)
    with pytest.raises(MovedError):
        received(house, gone, b"x")


def test_a_message_outlives_its_upload(house):
    """What a content row and a copy refer to stays when the upload is forgotten."""
    _, one = begun(house)
    one = received(house, one, MESSAGE)
    finished(house, one)
    rows = contents.rows(one.content_id, ME, [], FACTS)
    do(house, insert, rows=rows)
    entry = {"queue_id": 9, "account_id": ME, "content_id": one.content_id, "reverse_path": None, "accepted_at": 1}
    do(house, lambda connection: connection.execute(queue_entry.insert(), [entry]))
    assert tidied(house, NOW + DAY) == 1
    assert (stored(house, one), count(house, upload)) == (MESSAGE, 0)


def test_a_number_taken_elsewhere_is_given_up(house):
    """When a content of another node has the number, the upload takes the next."""
    taken = house.identifiers.next(NOW + 1)
    do(house, insert, rows=contents.rows(taken + 1, BOB, [b"theirs"], FACTS))
    _, one = begun(house)
    assert one.content_id > taken + 1
    assert do(house, lambda connection: contents.whole(connection, taken + 1)) == b"theirs"


def test_too_large_is_refused_when_it_is_known(house):
    """By what was announced, or by what came; what had been stored by then is whole batches."""
    small = replace(house, max_size=2 * BATCH)
    with pytest.raises(refusals.BodyTooLarge):
        begun(small, total=2 * BATCH + 1)
    upload_id, one = begun(small, total=2 * BATCH)
    with pytest.raises(refusals.BodyTooLarge):
        received(small, one, MESSAGE)
    assert found(small, upload_id).received == 300_000


def test_an_account_has_so_many_open(house, monkeypatch):
    """Beyond the limit it is told to wait; another account, and one that ended, do not count."""
    monkeypatch.setattr(uploads, "OPEN_PER_ACCOUNT", 3)
    ids = [begun(house) for _ in range(3)]
    begun(house, BOB)
    with pytest.raises(refusals.TooManyUploads):
        begun(house)
    asyncio.run(house.cancel(ids[0][1]))
    begun(house)


def test_batches_are_of_a_batch():
    """Pieces of any size become batches, none with more than one piece too much, and a last one."""

    async def sizes(octets, size):
        return [len(batch) async for batch in uploads.batches(pieces(octets, size))]

    assert asyncio.run(sizes(bytes(3 * BATCH), 65_536)) == [BATCH, BATCH, BATCH]
    assert asyncio.run(sizes(bytes(500_001), 200_000)) == [400_000, 100_001]
    assert asyncio.run(sizes(b"x" * 10, 1)) == [10]
    assert asyncio.run(sizes(b"", 1)) == []


@pytest.mark.parametrize(
    ("began", "asks", "its"),
    [
        (Owner(ME, "a"), Owner(ME, "a"), True),
        (Owner(ME, "a"), Owner(ME, "b"), False),
        (Owner(ME, "a"), Owner(ME), True),
        (Owner(ME), Owner(ME, "a"), True),
        (Owner(ME), Owner(ME), True),
        (Owner(ME, "a"), Owner(BOB, "a"), False),
        (Owner(ME), Owner(BOB), False),
    ],
)
def test_an_upload_belongs_to_an_account_and_a_program(house, began, asks, its):
    """To the program as far as both are known; so it is after it was read from its row."""
    upload_id, one = asyncio.run(house.begin(began, now=NOW))
    assert found(house, upload_id) == one
    assert one.belongs_to(asks) == its
