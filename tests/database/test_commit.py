"""Group commit: shared syncs, units that fail alone, and what a failing disk does."""

import asyncio
import itertools
import sqlite3
import threading
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, OperationalError

from postroad import refusals
from postroad.database import commit, facts
from postroad.database.commit import THREADS, UNITS_PER_COMMIT, Committer
from postroad.database.engine import Database
from postroad.database.health import Health
from postroad.database.rows import into
from postroad.database.schema import fact
from postroad.database.sqlite import CLOSED_CLEANLY

SECONDS = 10  # to wait for what must come
FRESH = itertools.count()
FACT = into(fact, "name", "value")


@pytest.fixture
def database(tmp_path, database_url):
    """A database of its own."""
    with closing(Database(tmp_path, floor=0, url=database_url)) as opened:
        yield opened


@contextmanager
def held_up(database):
    """The committer waits in a transaction, so that what is submitted meanwhile gathers behind it."""
    inside, go_on = threading.Event(), threading.Event()

    def unit(_):
        inside.set()
        assert go_on.wait(SECONDS)

    holding = database.submit(unit)
    assert inside.wait(SECONDS)
    try:
        yield
    finally:
        go_on.set()
        holding.result(SECONDS)


def rows(*names):
    """Rows of the table `fact`."""
    return {FACT: [(name, ".") for name in names]}


def writing(name, result=None):
    """A unit that writes one row."""

    def unit(connection):
        facts.write(connection, name, ".")
        return result

    return unit


def raising(error, name=None):
    """A unit that raises, after it has written `name`."""

    def unit(connection):
        if name:
            facts.write(connection, name, ".")
        raise error

    return unit


def names(database, prefix=""):
    """What is stored, read over a reader."""
    found = database.look(lambda connection: connection.execute(select(fact.c.name)).scalars().all())
    return {name for name in found if name.startswith(prefix)}


def failed_disk(code):
    """What SQLAlchemy raises when SQLite reports `code`."""
    cause = sqlite3.OperationalError("disk I/O error")
    cause.sqlite_errorcode = code
    return OperationalError("INSERT", {}, cause)


def test_a_thousand_units_of_many_threads_share_a_few_commits(database):
    """1000 units that 32 threads submit during one commit are synced by the next four."""
    futures = []

    def submit(share):
        futures.extend(
            [database.submit(writing(f"{share}-{number}", number)) for number in range(share, 1000, 32)]
        )

    before = database.commits
    with held_up(database):
        threads = [threading.Thread(target=submit, args=[share]) for share in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(future.result(SECONDS) for future in futures) == list(range(1000))
    assert database.commits - before == 1 + -(-1000 // UNITS_PER_COMMIT)
    assert len(names(database)) == 1000


def test_a_thousand_inserts_of_many_tasks_share_a_few_commits(database):
    """1000 tasks that insert during one commit share the next four, and each sees its row stored."""

    async def run():
        before = database.commits
        with held_up(database):
            tasks = [asyncio.create_task(database.insert(rows(f"{number}"))) for number in range(1000)]
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return database.commits - before

    assert asyncio.run(run()) == 1 + -(-1000 // UNITS_PER_COMMIT)
    assert len(names(database)) == 1000


def test_a_failing_unit_takes_no_neighbour_along(database):
    """Its caller gets the very exception it raised; all others are stored."""
    error = KeyError("mine")
    with held_up(database):
        before = database.submit(writing("before", 1))
        bad = database.submit(raising(error, "bad"))
        after = database.submit(writing("after", 2))
    assert (before.result(SECONDS), bad.exception(SECONDS), after.result(SECONDS)) == (1, error, 2)
    assert names(database) == {"before", "after"}


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt(), StopIteration(), MemoryError()], ids=repr)
def test_the_committer_outlives_every_exception(database, error):
    """Whatever a unit raises, its caller is told, and the next unit is committed."""

    async def run():
        async with asyncio.timeout(SECONDS):
            await database.commit(raising(error))

    with pytest.raises(BaseException) as raised:  # noqa: PT011 - whatever it is
        asyncio.run(run())
    assert isinstance(raised.value, RuntimeError if isinstance(error, StopIteration) else type(error))
    assert database.submit(writing("next", "done")).result(SECONDS) == "done"


def test_one_failing_unit_costs_its_neighbours_few_commits(database):
    """Who failed among 256 is found by halves: nine transactions at most, not 255."""
    with held_up(database):
        bad = database.submit(raising(ValueError("mine")))
        good = [database.submit(writing(f"{number}")) for number in range(UNITS_PER_COMMIT - 1)]
        before = database.commits
    assert isinstance(bad.exception(SECONDS), ValueError)
    for future in good:
        future.result(SECONDS)
    assert database.commits - before <= 1 + 9
    assert len(names(database)) == UNITS_PER_COMMIT - 1


def test_a_result_comes_after_its_commit(database):
    """While its transaction is open nobody has a result and no reader sees a row; then both."""
    seen = []
    with held_up(database):
        future = database.submit(writing("row", "result"))
        future.add_done_callback(lambda _: seen.append(names(database)))
        inserting = database.submit(lambda _: future.done())
        assert not future.done()
        assert names(database) == set()
    assert inserting.result(SECONDS) is False, "the unit behind it, in the same transaction, saw it resolved"
    assert future.result(SECONDS) == "result"
    assert seen == [{"row"}]


def test_units_run_in_the_order_they_came(database):
    """What one caller submits first is done first, over the border of a transaction too."""
    ran = []
    with held_up(database):
        futures = [database.submit(lambda _, n=number: ran.append(n)) for number in range(2 * UNITS_PER_COMMIT)]
    for future in futures:
        future.result(SECONDS)
    assert ran == list(range(2 * UNITS_PER_COMMIT))


def test_a_unit_cancelled_in_time_never_runs(database):
    """A caller that gives up before its turn leaves nothing behind."""

    async def run():
        with held_up(database):
            task = asyncio.create_task(database.commit(writing("cancelled")))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await database.insert(rows("kept"))

    asyncio.run(run())
    assert names(database) == {"kept"}


def test_a_unit_cancelled_too_late_is_stored_and_nobody_else_is_hurt(database):
    """Cancelling while the unit runs cannot take it back; the committer goes on."""

    async def run():
        inside, go_on = threading.Event(), threading.Event()

        def unit(connection):
            facts.write(connection, "late", ".")
            inside.set()
            assert go_on.wait(SECONDS)

        task = asyncio.create_task(database.commit(unit))
        assert await asyncio.to_thread(inside.wait, SECONDS)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        await database.insert(rows("next"))

    asyncio.run(run())
    assert names(database) == {"late", "next"}


def test_close_commits_what_waits_and_refuses_what_comes_later(tmp_path):
    """A closed committer leaves nobody without an answer."""
    database = Database(tmp_path, floor=0)
    with held_up(database):
        waiting = [database.submit(writing(f"{number}", number)) for number in range(3)]
        closing_ = threading.Thread(target=database.close)
        closing_.start()
    closing_.join()
    assert [future.result(SECONDS) for future in waiting] == [0, 1, 2]
    with pytest.raises(refusals.Draining):
        database.submit(writing("late"))
    with pytest.raises(refusals.Draining):
        asyncio.run(database.insert(rows("late")))
    with closing(Database(tmp_path, floor=0)) as again:
        assert names(again) == {"0", "1", "2"}


def test_a_unit_that_raises_after_writing_leaves_nothing(database):
    """Alone in its transaction or not, what a failing unit wrote is undone."""
    with pytest.raises(ValueError, match="mine"):
        database.submit(raising(ValueError("mine"), "undone")).result(SECONDS)
    assert names(database) == set()


def test_units_see_the_inserts_they_are_committed_with(database):
    """Inserts and units that wait together are one transaction, the inserts first."""

    async def run():
        with held_up(database):
            before = database.commits
            reading = asyncio.create_task(database.commit(lambda connection: facts.read(connection, "inserted")))
            inserting = asyncio.create_task(database.insert(rows("inserted")))
            await asyncio.sleep(0)
        await inserting
        return await reading, database.commits - before

    assert asyncio.run(run()) == (".", 2)


def test_an_insert_that_violates_a_key_fails_alone(database):
    """Merged into one statement with its neighbours' rows, it still gets its own IntegrityError."""
    database.submit(writing("taken")).result(SECONDS)

    async def run():
        with held_up(database):
            tasks = [asyncio.create_task(database.insert(rows(name))) for name in ("a", "taken", "b")]
            await asyncio.sleep(0)
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = asyncio.run(run())
    assert (first, type(second), third) == (None, IntegrityError, None)
    assert names(database) == {"taken", "a", "b"}


@pytest.mark.parametrize("extended", [10, 10 | 4 << 8, 11, 14, 26], ids=hex)
def test_an_input_output_error_latches(tmp_path, extended):
    """After the first one nothing is committed any more, for anybody, until a restart; and the stop is unclean."""
    with closing(Database(tmp_path, floor=0)) as database:
        database.submit(writing("before")).result(SECONDS)
        with held_up(database):
            futures = [
                database.submit(writing("neighbour")),
                database.submit(raising(failed_disk(extended), "failing")),
                database.submit(writing("behind")),
            ]
        futures.append(database.submit(writing("later")))
        assert {type(future.exception(SECONDS)) for future in futures} == {refusals.StorageUnhealthy}
        assert not database.health.trusted
        assert names(database) == {"before"}
    assert not (tmp_path / CLOSED_CLEANLY).exists()


@pytest.mark.parametrize("database_url", [""], ids=["SQLite"])
def test_a_full_disk_is_refused_and_not_latched(database):
    """What has no room is refused, what has room is stored, and with room again all is."""

    def limit(pages):
        return lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar_one()

    pages = database.submit(lambda connection: connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    database.submit(limit(pages.result(SECONDS) + 4)).result(SECONDS)
    large = {FACT: [("large", "x" * 1_000_000)]}

    async def run():
        with held_up(database):
            tasks = [asyncio.create_task(database.insert(one)) for one in (rows("a"), large, rows("b"))]
            await asyncio.sleep(0)
        first, full, third = await asyncio.gather(*tasks, return_exceptions=True)
        assert (first, type(full), third) == (None, refusals.StorageUnhealthy, None)
        assert database.health.trusted
        await database.commit(limit(1_000_000))
        await database.insert(large)

    asyncio.run(run())
    assert names(database) == {"a", "b", "large"}


def inserting(database, *names):
    """What `Database.insert` puts into the queue, asked for from this thread."""
    future = Future()
    database._committer.insert_for(future, rows(*names), THREADS)
    return future


KINDS = {
    "writes": lambda database, name: database.submit(writing(name, name)),
    "inserts": inserting,
    "raises": lambda database, name: database.submit(raising(ValueError(name))),
    "writes, then raises": lambda database, name: database.submit(raising(ValueError(name), name)),
    "violates a key": lambda database, name: inserting(database, name, name),
}
GOOD = {"writes", "inserts"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(sorted(KINDS)), max_size=40))
def test_any_mix_stores_exactly_what_the_good_units_wrote(database, kinds):
    """Whatever waits together, the good ones are stored and answered, the bad ones hear of their own fault."""
    example = f"{next(FRESH)}:"
    with held_up(database):
        futures = {f"{example}{at}": KINDS[kind](database, f"{example}{at}") for at, kind in enumerate(kinds)}
    good = {f"{example}{at}" for at, kind in enumerate(kinds) if kind in GOOD}
    answered = set()
    for name, future in futures.items():
        with suppress(ValueError, IntegrityError):
            assert future.result(SECONDS) in (name, None)
            answered.add(name)
    assert answered == good
    assert names(database, example) == good


def alone(database, unit):
    """What the keeper of a file submits for another process."""
    return database._committer.submit_alone(unit)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(["alone", "shared", "rows"]), max_size=12))
def test_who_is_alone_shares_its_transaction_with_nobody(database, kinds):
    """All run in the order they came; those between two that are alone share one transaction of theirs."""
    ran = []

    def unit(at):
        return lambda _: ran.append((at, database.commits))

    with held_up(database):
        before, futures = database.commits + 1, []
        for at, kind in enumerate(kinds):
            if kind == "rows":
                futures.append(inserting(database, f"{next(FRESH)}"))
            else:
                futures.append(alone(database, unit(at)) if kind == "alone" else database.submit(unit(at)))
    for future in futures:
        future.result(SECONDS)
    expected, own = [], -1
    for at, kind in enumerate(kinds):
        own += kind == "alone" or at == 0 or kinds[at - 1] == "alone"
        if kind != "rows":
            expected.append((at, before + own))
    assert ran == expected
    assert database.commits == before + own + 1


def test_who_is_alone_runs_once_whatever_its_neighbours_do(database):
    """Neighbours that fail are tried again by halves; it is not, and when it fails it takes nobody along."""
    ran = []

    def unit(connection):
        ran.append(None)
        facts.write(connection, "alone", ".")
        return "done"

    def failing(connection):
        ran.append(None)
        raise ValueError("mine")

    with held_up(database):
        futures = [
            database.submit(writing("a", "a")),
            database.submit(raising(KeyError("bad"))),
            alone(database, unit),
            alone(database, failing),
            database.submit(raising(KeyError("bad"))),
            database.submit(writing("b", "b")),
        ]
    good = [futures[at].result(SECONDS) for at in (0, 2, 5)]
    bad = [type(futures[at].exception(SECONDS)) for at in (1, 3, 4)]
    assert (good, bad) == (["a", "done", "b"], [KeyError, ValueError, KeyError])
    assert len(ran) == 2
    assert names(database) == {"a", "alone", "b"}


def test_close_carries_out_who_is_alone_too(tmp_path):
    """What was submitted before the end is committed, also when it had to wait for those before it."""
    database = Database(tmp_path, floor=0)
    with held_up(database):
        futures = [
            database.submit(writing("a", 1)),
            alone(database, writing("b", 2)),
            database.submit(writing("c", 3)),
        ]
        closing_ = threading.Thread(target=database.close)
        closing_.start()
    closing_.join()
    assert [future.result(SECONDS) for future in futures] == [1, 2, 3]
    with pytest.raises(refusals.Draining):
        alone(database, writing("late"))


@pytest.fixture
def breathing(engine, tmp_path, monkeypatch):
    """A committer that takes a breath, what it does in one, and the breaths it took."""
    breaths, meanwhile = [], []

    def breathe(seconds):
        breaths.append(seconds)
        if meanwhile:
            meanwhile.pop()()

    monkeypatch.setattr(commit, "time", SimpleNamespace(sleep=breathe))
    with closing(Committer(engine, Health(tmp_path, 0), breath=0.25)) as committer:
        yield committer, meanwhile, breaths


def test_who_comes_alone_never_waits(breathing):
    """After a transaction of one, the next begins at once."""
    committer, _, breaths = breathing
    for number in range(5):
        committer.submit(writing(f"{number}")).result(SECONDS)
    assert (committer.commits, breaths) == (5, [])


def test_after_a_shared_transaction_those_who_shared_it_are_waited_for(breathing):
    """Who comes within a breath is in the same transaction as who came first; the next waits once more."""
    committer, meanwhile, breaths = breathing
    with held_up(committer):
        futures = [committer.submit(writing(name)) for name in "abc"]
    for future in futures:
        future.result(SECONDS)
    before, behind = committer.commits, []
    assert breaths == []
    meanwhile.append(lambda: behind.append(committer.submit(writing("behind"))))
    committer.submit(writing("first")).result(SECONDS)
    behind[0].result(SECONDS)
    assert (committer.commits - before, breaths) == (1, [0.25])
    committer.submit(writing("next")).result(SECONDS)
    committer.submit(writing("last")).result(SECONDS)
    assert breaths == [0.25, 0.25]


def test_nobody_is_waited_for_when_more_wait_than_came_together(breathing):
    """Those who shared the last transaction are there already, and one more."""
    committer, _, breaths = breathing
    with held_up(committer):
        futures = [committer.submit(writing(name)) for name in "ab"]
        go_on = threading.Event()
        futures.append(committer.submit(lambda _: go_on.wait(SECONDS)))
    futures += [committer.submit(writing(name)) for name in "cdef"]
    go_on.set()
    for future in futures:
        future.result(SECONDS)
    assert breaths == []
