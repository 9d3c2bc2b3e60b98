"""An SQLite file that another process has: both sides in one process here, each with its own `Database`."""

import asyncio
import os
import pickle
import subprocess
import sys
from contextlib import asynccontextmanager, closing
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from postroad import metrics, refusals
from postroad.database import content as contents
from postroad.database import facts
from postroad.database.beside import ORPHANED, Handing
from postroad.database.channel import Channels, pair
from postroad.database.commit import Raised
from postroad.database.content import CHUNK, is_large
from postroad.database.engine import Database
from postroad.database.health import Health
from postroad.database.keeper import Count, Counted, Insert, Keeper, Latched, Ready, read
from postroad.database.rows import insert
from postroad.database.schema import content_chunk, fact
from tests.content_kit import FACTS
from tests.database.test_commit import failed_disk, held_up, names, raising, rows, writing
from tests.database.test_keeper import FACT, serving

SECONDS = 10  # to wait for what must come


class Both(NamedTuple):
    """The database as its keeper has it, and as the one beside has it."""

    kept: Database
    keeper: Keeper
    beside: Database
    handing: Handing
    channels: Channels


@pytest.fixture(autouse=True)
def _stay(monkeypatch):
    """This process goes on when a channel closes: it is not in front of anything."""
    monkeypatch.setattr(os, "_exit", lambda _: None)


async def close(handing):
    """Close its channel, and wait until it has heard of that."""
    handing._transport.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@asynccontextmanager
async def both(folder):
    """Both sides; at the end the one beside goes first, as it does when the server stops."""
    ours, theirs = pair()
    async with asyncio.timeout(SECONDS):
        with closing(Database(folder, floor=0)) as kept:
            [keeper] = kept.keep([ours], lambda: None)
            beside = Database(folder, floor=0, keeper=theirs)
            handing = await beside.join(theirs)
            try:
                yield Both(kept, keeper, beside, handing, theirs)
            finally:
                beside.close()
                await close(handing)
                theirs.close()
                for thread in serving():
                    thread.join(SECONDS)
                ours.close()


def run(folder, scenario):
    """Run `scenario(both)` on a loop; its result."""

    async def running():
        async with both(folder) as found:
            return await scenario(found)

    return asyncio.run(running())


async def heard(database):
    """Everything handed over before this has arrived at the keeper, and what it told before has arrived here."""
    await asyncio.sleep(0)
    await database.handing.counted()


def test_rows_handed_over_are_synced_and_answered(tmp_path):
    """When `insert` returns, the row is in the file for both to read; no transaction was run from beside."""

    async def scenario(found):
        await found.beside.insert(rows("row"))
        return names(found.beside), names(found.kept), found.kept.commits, found.beside.commits

    assert run(tmp_path, scenario) == ({"row"}, {"row"}, 1, 0)


def test_rows_of_many_share_a_transaction_with_those_of_the_keeper(tmp_path):
    """100 tasks beside and 100 rows and a unit at the keeper, all while it is busy: one sync for all."""

    async def scenario(found):
        with held_up(found.kept):
            before = found.kept.commits
            tasks = [asyncio.create_task(found.beside.insert(rows(f"b{number}"))) for number in range(100)]
            tasks += [asyncio.create_task(found.kept.insert(rows(f"k{number}"))) for number in range(100)]
            tasks += [asyncio.create_task(found.kept.commit(writing("unit")))]
            await heard(found)
        await asyncio.gather(*tasks)
        assert len(names(found.kept)) == 201
        return found.kept.commits - before

    assert run(tmp_path, scenario) == 2


def test_rows_asked_for_in_one_turn_arrive_in_one_message():
    """However many hand rows over in a turn of the loop, the keeper is woken once, and may answer at once."""

    async def running():
        ours, theirs = pair()
        with closing(ours), closing(theirs):
            handing = Handing(Health(None, 0))
            await handing.begin(theirs.rows)
            tasks = [asyncio.create_task(handing.insert(rows(str(number)))) for number in range(50)]
            message = await asyncio.to_thread(read, ours.rows)
            ours.rows.send([(asked.number, None) for asked in message])
            await asyncio.gather(*tasks)
            await close(handing)
            return [asked.rows[FACT][0][0] for asked in message]

    assert asyncio.run(running()) == [str(number) for number in range(50)]


def test_who_gave_up_is_passed_over(tmp_path):
    """Rows that were handed over are stored, though nobody waits any more; the others are answered."""

    async def scenario(found):
        with held_up(found.kept):
            tasks = [asyncio.create_task(found.beside.insert(rows(name))) for name in ("a", "b")]
            await heard(found)
            tasks[0].cancel()
        await tasks[1]
        return tasks[0].cancelled(), names(found.beside)

    assert run(tmp_path, scenario) == (True, {"a", "b"})


def test_a_violated_key_fails_alone(tmp_path):
    """It comes back as SQLAlchemy's IntegrityError; whoever shared the message is stored."""

    async def scenario(found):
        await found.kept.commit(writing("taken"))
        tasks = [found.beside.insert(rows(name)) for name in ("a", "taken", "b")]
        return await asyncio.gather(*tasks, return_exceptions=True), names(found.beside)

    (first, second, third), stored = run(tmp_path, scenario)
    assert (first, type(second), third) == (None, IntegrityError, None)
    assert "fact.name" in str(second.orig)
    assert stored == {"taken", "a", "b"}


def test_a_unit_runs_here_and_is_one_transaction_there(tmp_path):
    """A closure, with a result that no pickle takes; the rows given with it are in the same transaction."""
    token = object()

    async def scenario(found):
        before = found.kept.commits

        def unit(connection):
            assert facts.read(connection, "row") == "."
            facts.write(connection, "unit", ".")
            assert names(found.kept) == set()
            return lambda: token

        told = await found.beside.commit(unit, rows("row"))
        return told(), found.kept.commits - before, names(found.kept)

    assert run(tmp_path, scenario) == (token, 1, {"row", "unit"})


def test_a_unit_that_raises_leaves_nothing(tmp_path):
    """Nor do the rows given with it stay; its caller has the very exception, its neighbours go on."""
    error = KeyError("mine")

    async def scenario(found):
        units = [writing("before"), raising(error, "bad"), writing("after")]
        told = await asyncio.gather(
            *(found.beside.commit(unit, rows(f"row-{at}")) for at, unit in enumerate(units)),
            return_exceptions=True,
        )
        return told, names(found.kept), found.kept.health.trusted

    assert run(tmp_path, scenario) == ([None, error, None], {"before", "row-0", "after", "row-2"}, True)


def savepoint(connection):
    """One that is taken back and one that stays, in a transaction that stays."""
    facts.write(connection, "before", ".")
    inner = connection.begin_nested()
    facts.write(connection, "undone", ".")
    inner.rollback()
    with connection.begin_nested():
        facts.write(connection, "nested", ".")
    return facts.keep(connection, "nested", "?"), facts.keep(connection, "kept", "!")


def fetching(connection):
    """What a cursor gives, row by row, a few, and the rest."""
    found = connection.exec_driver_sql("SELECT name, octet_length(value) FROM fact ORDER BY name")
    return [*found.keys()], found.fetchone(), found.fetchmany(2), found.fetchmany(1), found.all()


def returning(connection):
    """What an UPDATE says of its rows, and how many they are."""
    found = connection.execute(fact.update().values(value="new").returning(fact.c.name, fact.c.value))
    return found.rowcount, sorted(found.all())


def returning_inserted(connection):
    """The same of an INSERT of several rows."""
    some = [{"name": name, "value": "."} for name in "xyz"]
    return sorted(connection.execute(fact.insert().returning(fact.c.name), some).scalars())


def many(connection):
    """One statement, many times; memory is viewed and not copied first."""
    insert = "INSERT INTO fact (name, value) VALUES (?, ?)"
    found = connection.exec_driver_sql(insert, [("m", memoryview(b"one")), ("n", memoryview(b"two"))])
    return found.rowcount, connection.exec_driver_sql("SELECT name, value FROM fact").all()


def viewed(connection):
    """A value that is a view of memory."""
    connection.exec_driver_sql("INSERT INTO fact (name, value) VALUES (?, ?)", ("v", memoryview(b"octets")))
    return connection.exec_driver_sql("SELECT value FROM fact WHERE name = 'v'").scalar_one()


UNITS = {
    "savepoint": savepoint,
    "fetching": fetching,
    "returning": returning,
    "returning inserted": returning_inserted,
    "many": many,
    "viewed": viewed,
    "many dicts": lambda connection: (
        connection.execute(fact.insert(), [{"name": name, "value": "."} for name in "pqr"]).rowcount
    ),
    "lastrowid": lambda connection: (
        connection.exec_driver_sql("INSERT INTO fact (name, value) VALUES ('l', '.')").lastrowid
    ),
    "update": lambda connection: connection.execute(fact.update().values(value="u")).rowcount,
    "delete": lambda connection: connection.execute(fact.delete().where(fact.c.name > "1")).rowcount,
    "no row": lambda connection: connection.execute(select(fact.c.value).where(fact.c.name == "?")).first(),
    "values": lambda connection: connection.exec_driver_sql("SELECT NULL, 1.5, -7, 'ü', x'00ff'").one(),
    "parameters": lambda connection: connection.exec_driver_sql("SELECT ?, ?", (None, "'")).one(),
    "too few": lambda connection: connection.exec_driver_sql("SELECT ?, ?", ("one",)),
    "no such table": lambda connection: connection.exec_driver_sql("SELECT * FROM nowhere"),
    "no SQL": lambda connection: connection.exec_driver_sql("SELEKT"),
    "a taken key": lambda connection: connection.execute(fact.insert().values(name="0", value=".")),
    "a taken key among many": lambda connection: connection.execute(
        fact.insert(), [{"name": name, "value": "."} for name in "a0"]
    ),
    "a missing value": lambda connection: connection.exec_driver_sql("INSERT INTO fact (name) VALUES ('a')"),
    "no value": lambda connection: connection.exec_driver_sql("SELECT ?", (object,)),
}


async def told_of(database, unit):
    """What comes of a unit: its result, or the driver's error with its class, words and code; and what it left."""
    try:
        result = await database.commit(unit)
    except DBAPIError as error:
        driver = error.orig
        result = type(error), type(driver), str(driver), getattr(driver, "sqlite_errorcode", 0)
    return result, database.look(lambda connection: sorted(connection.execute(select(fact)).all(), key=str))


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_a_unit_beside_does_what_it_does_at_the_keeper(tmp_path, unit):
    """Same result, same error of the driver's own class and code, same rows left: as over the file itself."""
    few = rows(*"01234")

    async def here():
        with closing(Database(tmp_path / "here", floor=0)) as database:
            await database.insert(few)
            return await told_of(database, unit)

    async def scenario(found):
        await found.beside.insert(few)
        return await told_of(found.beside, unit)

    for name in ("here", "beside"):
        (tmp_path / name).mkdir()
    assert run(tmp_path / "beside", scenario) == asyncio.run(here())


def test_a_large_content_goes_by_statements(tmp_path):
    """Of several chunks: one transaction, run from beside, so that no message holds more than a chunk of it."""
    octets = os.urandom(3 * CHUNK + 7)
    large = contents.rows(1, 1, [memoryview(octets)], FACTS)
    assert is_large(large)

    async def scenario(found):
        before = found.kept.commits, found.beside.commits
        await found.beside.insert(large)
        assert (found.kept.commits - before[0], found.beside.commits - before[1]) == (1, 1)
        return found.kept.look(lambda connection: contents.whole(connection, 1)), found.kept.look(
            lambda connection: connection.execute(select(func.count()).select_from(content_chunk)).scalar_one()
        )

    assert run(tmp_path, scenario) == (octets, 4)


@given(pieces=st.lists(st.sampled_from([0, 1, 700, CHUNK - 1, CHUNK, CHUNK + 1]).map(bytes), max_size=3))
def test_the_rows_of_a_content_that_is_not_large_can_travel(pieces):
    """They hold octets and no view of memory, whatever pieces it was made of."""
    some = contents.rows(1, 1, map(memoryview, pieces), FACTS)
    assert is_large(some) == (sum(map(len, pieces)) > CHUNK)
    assert is_large(some) or all(type(octets) is bytes for *_, octets in some[contents.CHUNKS])


def test_what_is_latched_by_the_keeper_is_refused_beside(tmp_path):
    """Rows and units are refused, with the cause in the keeper's words."""

    async def scenario(found):
        with pytest.raises(refusals.StorageUnhealthy):
            await found.kept.commit(raising(failed_disk(10)))
        await heard(found)
        assert not found.beside.health.trusted
        tasks = found.beside.insert(rows("row")), found.beside.commit(writing("unit"))
        return await asyncio.gather(*tasks, return_exceptions=True)

    told = run(tmp_path, scenario)
    assert [type(error) for error in told] == [refusals.StorageUnhealthy] * 2
    assert all("disk I/O error" in error.why for error in told)


def test_what_is_latched_beside_is_refused_by_the_keeper(tmp_path):
    """A reader beside that meets a bad disk ends the trust of both; the stop is then no clean one."""

    async def scenario(found):
        with pytest.raises(refusals.StorageUnhealthy):
            await found.beside.read(raising(failed_disk(10)))
        await heard(found)
        assert not found.kept.health.trusted
        tasks = (database.commit(writing("unit")) for database in (found.kept, found.beside))
        told = await asyncio.gather(found.beside.insert(rows("row")), *tasks, return_exceptions=True)
        assert names(found.kept) == set()
        return [type(error) for error in told]

    assert run(tmp_path, scenario) == [refusals.StorageUnhealthy] * 3


def test_a_latch_that_was_there_before_is_met_by_the_first_unit(tmp_path):
    """Whoever comes when the keeper trusts its disk no more is refused, and does not wait for ever."""

    async def running():
        ours, theirs = pair()
        async with asyncio.timeout(SECONDS):
            with closing(Database(tmp_path, floor=0)) as kept:
                kept.health.latch("bad disk")
                kept.keep([ours], lambda: None)
                with (
                    closing(Database(tmp_path, floor=0, keeper=theirs)) as beside,
                    pytest.raises(refusals.StorageUnhealthy, match="unavailable") as refused,
                ):
                    await beside.commit(writing("row"))
                theirs.close()
                for thread in serving():
                    thread.join(SECONDS)
                ours.close()
                return refused.value.why

    assert "bad disk" in asyncio.run(running())


def limit(pages):
    """A unit after which the file may have so many pages; its result is how many it has."""

    def unit(connection):
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        return connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    return unit


def test_a_full_disk_is_refused_and_not_latched(tmp_path):
    """A unit, rows, a large content: what has no room is refused, what has room is stored, later all is."""
    large = {FACT: [("large", "x" * 1_000_000)]}
    whole = contents.rows(1, 1, [bytes(4 * CHUNK)], FACTS)

    async def scenario(found):
        pages = await found.kept.commit(limit(1_000_000))
        await found.kept.commit(limit(pages + 4))
        told = await asyncio.gather(
            found.beside.insert(large),
            found.beside.insert(whole),
            found.beside.commit(lambda connection: insert(connection, large)),
            found.beside.commit(writing("small")),
            found.beside.insert(rows("row")),
            return_exceptions=True,
        )
        assert [type(each) for each in told] == [refusals.StorageUnhealthy] * 3 + [type(None)] * 2
        assert all("free some space" in error.why for error in told[:3])
        await heard(found)
        assert found.kept.health.trusted
        assert found.beside.health.trusted
        await found.kept.commit(limit(1_000_000))
        await found.beside.insert(whole)
        await found.beside.commit(lambda _: None, large)
        return names(found.kept)

    assert run(tmp_path, scenario) == {"small", "row", "large"}


def test_a_keeper_that_closes_refuses_rows(tmp_path):
    """Whoever hands rows over then hears `Draining`, and is not left to wait."""

    async def scenario(found):
        await asyncio.to_thread(found.kept.close)
        with pytest.raises(refusals.Draining):
            await found.beside.insert(rows("row"))

    run(tmp_path, scenario)


def test_what_came_with_the_address_is_heeded():
    """Who read the channel before may have taken in more than it gave: whoever listens next loses none of it."""

    async def running():
        ours, theirs = pair()
        with closing(ours), closing(theirs):
            ours.rows.send("address")
            ours.rows.send(Latched("soon after"))
            assert theirs.rows.receive() == "address"
            health = Health(None, 0)
            handing = Handing(health)
            await handing.begin(theirs.rows)
            counting = asyncio.create_task(handing.counted())
            (asked,) = await asyncio.to_thread(read, ours.rows)
            ours.rows.send([(asked.number, "counted")])
            assert await counting == "counted"
            await close(handing)
            return health.cause

    assert asyncio.run(running()) == "soon after"


def test_what_was_counted_is_told_whenever_it_is_asked_for():
    """Before it has begun to listen, and after: what was counted here, and nothing of elsewhere."""

    async def running():
        ours, theirs = pair()
        with closing(ours), closing(theirs):
            ours.rows.send("address")
            ours.rows.send(Count(7))
            assert theirs.rows.receive() == "address"
            handing = Handing(Health(None, 0))
            await handing.begin(theirs.rows)
            told = await asyncio.to_thread(read, ours.rows)
            ours.rows.send(Count(8))
            told += await asyncio.to_thread(read, ours.rows)
            await close(handing)
            return told

    for number, told in zip((7, 8), asyncio.run(running()), strict=True):
        assert (type(told), told.number) == (Counted, number)
        found = pickle.loads(told.octets)  # noqa: S301 - of our own
        assert "postroad_accepted_messages" in {family.name for family in found}


def test_it_hands_over_what_it_knows_of_and_hears_answers_in_any_order():
    """Readiness, a latch, a question, each as what it is; who asked gets its own answer, or what was raised."""

    async def running():
        ours, theirs = pair()
        with closing(ours), closing(theirs):
            health = Health(None, 0)
            handing = Handing(health)
            await handing.begin(theirs.rows)
            asking = [asyncio.create_task(one) for one in (handing.counted(), handing.insert(rows("row")))]
            asyncio.get_running_loop().call_soon(handing.say_ready)
            message = await asyncio.to_thread(read, ours.rows)
            assert message == [Count(1), Insert(2, {FACT: [("row", ".")]}), Ready()]
            ours.rows.send([(2, Raised(refusals.Draining("late"))), (1, ["counted"])])
            told = await asyncio.gather(*asking, return_exceptions=True)
            await asyncio.to_thread(health.latch, "bad disk")
            assert await asyncio.to_thread(read, ours.rows) == [Latched("bad disk")]
            await close(handing)
            return told[0], told[1].why

    assert asyncio.run(running()) == (["counted"], "late")


def test_without_its_keeper_a_process_would_end(monkeypatch):
    """As soon as the channel of rows closes, and not before."""

    async def running():
        ended = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(os, "_exit", ended.set_result)
        ours, theirs = pair()
        with closing(ours), closing(theirs):
            handing = Handing(Health(None, 0))
            await handing.begin(theirs.rows)
            await asyncio.sleep(0)
            assert not ended.done()
            ours.close()
            return await asyncio.wait_for(ended, SECONDS)

    assert asyncio.run(running()) == ORPHANED


ORPHAN = """
import asyncio, os, signal, sys
from postroad.database.beside import Handing
from postroad.database.channel import pair
from postroad.database.health import Health
from postroad.database.keeper import Ready, read

async def wait_for_ever(theirs):
    handing = Handing(Health(None, 0))
    await handing.begin(theirs.rows)
    handing.say_ready()
    await asyncio.Event().wait()

(ours, theirs), (word, told) = pair(), os.pipe()
child = os.fork()
if child == 0:
    ours.close()
    asyncio.run(wait_for_ever(theirs))
keeper = os.fork()
theirs.close()
if keeper == 0:
    assert read(ours.rows) == [Ready()]
    os.write(told, b".")
    signal.pause()
ours.close()
assert os.read(word, 1) == b"."
os.kill(keeper, signal.SIGKILL)
print(os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1]), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_process_whose_keeper_was_killed_ends_itself():
    """By a signal that nobody can heed (SIGKILL, 9), too: nothing stays behind that takes requests for nobody."""
    command = [sys.executable, "-c", ORPHAN]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert told.stdout.split() == ["-9", str(ORPHANED)], told.stderr


def test_a_connection_begins_with_its_first_statement(tmp_path):
    """To end what never began asks the keeper nothing: it would wait there for statements that do not come."""

    async def scenario(found):
        await found.beside.commit(lambda _: None)
        return found.kept.commits

    assert run(tmp_path, scenario) == 0


def test_a_statement_that_cannot_travel_hurts_nobody(tmp_path):
    """It fails here, nothing of its transaction stays, and the next unit is carried out."""

    async def scenario(found):
        def unit(connection):
            facts.write(connection, "undone", ".")
            connection.exec_driver_sql("SELECT ?", (lambda: None,))

        with pytest.raises(Exception, match="pickle"):
            await found.beside.commit(unit)
        await found.beside.commit(writing("next"))
        return names(found.kept)

    assert run(tmp_path, scenario) == {"next"}


def test_a_transaction_is_counted_once(tmp_path):
    """Where it is synced, whoever asked for it: a unit from beside, rows from there, a unit at the keeper."""

    def counted():
        [family] = [one for one in metrics.counted() if one.name == "postroad_commit_units"]
        return {sample.name: sample.value for sample in family.samples}["postroad_commit_units_count"]

    async def scenario(found):
        # Asked within a transaction: all before it are counted by then, and it is not.
        before = await found.kept.commit(lambda _: counted()) + 1
        await found.beside.commit(writing("unit"))
        await found.beside.insert(rows("row"))
        await found.kept.commit(writing("here"))
        return await found.kept.commit(lambda _: counted()) - before

    assert run(tmp_path, scenario) == 3
