"""What the process that has the file does for the one in front: asked over bare channels, octet for octet."""

import pickle
import threading
from contextlib import ExitStack, closing, contextmanager
from itertools import chain
from typing import NamedTuple

import pytest
from prometheus_client.core import Metric
from sqlalchemy.exc import IntegrityError

from postroad import refusals
from postroad.database.channel import Channels, pair
from postroad.database.commit import Raised
from postroad.database.engine import Database
from postroad.database.keeper import (
    COMMIT,
    ROLLBACK,
    Count,
    Counted,
    Failed,
    Found,
    Insert,
    Keeper,
    Latched,
    Ready,
    Signed,
    Statement,
    asking,
    written,
)
from tests.database.test_commit import failed_disk, held_up, names, raising, writing

SECONDS = 10  # to wait for what must come
FACT = '"fact" ("name", "value")'
INSERT = "INSERT INTO fact (name, value) VALUES (?, '.')"


class Kept(NamedTuple):
    """A database, its keeper, the front's end of the channels, and how often somebody was woken."""

    database: Database
    keeper: Keeper
    front: Channels
    woken: list[None]
    signed: list[Signed]


def serving():
    """The threads of keepers."""
    return [one for one in threading.enumerate() if one.name in {"_take_rows", "_take_statements"}]


@contextmanager
def keeping(folder):
    """A database that is kept; at the end the front is gone first."""
    ours, theirs = pair()
    woken, signed = [], []
    with closing(Database(folder, floor=0)) as database:
        [keeper] = database.keep([ours], lambda: woken.append(None), signed.append)
        try:
            yield Kept(database, keeper, theirs, woken, signed)
        finally:
            theirs.close()
            for thread in serving():
                thread.join(SECONDS)
            ours.close()


@pytest.fixture
def kept(tmp_path):
    """A database that is kept, and the front's end of the channels."""
    with keeping(tmp_path) as found:
        yield found


def rows(*named):
    """Rows as they travel."""
    return {FACT: [(name, ".") for name in named]}


def ask(front, *asked):
    """Ask for all of it at once."""
    front.rows.write(written([asking(one) for one in asked]))


def answers(front, count):
    """So many answers, by their numbers."""
    found = {}
    while len(found) < count:
        found.update(front.rows.receive())
    return found


def asked(front, text, *parameters):
    """What a statement of the running transaction is answered."""
    front.statements.send(Statement(text, parameters))
    return front.statements.receive()


def ended(front, how):
    """What the end of a transaction is answered."""
    front.statements.send(how)
    return front.statements.receive()


def test_signatures_are_passed_on_before_the_rows_that_they_belong_to(tmp_path):
    """Who claims mail finds them there."""
    one = Signed((1, 998, False), 7, b"DKIM-Signature: v=1\r\n")
    with keeping(tmp_path) as kept:
        ask(kept.front, one, Insert(1, rows("row")))
        assert kept.front.rows.receive() == [(1, None)]
        assert kept.signed == [one]


def test_rows_of_one_message_share_a_transaction_with_units_here(kept):
    """Rows that came together, and a unit of this process, are one sync; each is answered by its number."""
    with held_up(kept.database):
        unit = kept.database.submit(writing("here"))
        before = kept.database.commits
        ask(kept.front, *(Insert(number, rows(str(number))) for number in range(100)), Count(100))
        kept.front.rows.receive()  # what was counted: so all rows before it wait by now
    assert answers(kept.front, 100) == dict.fromkeys(range(100))
    unit.result(SECONDS)
    assert kept.database.commits - before == 2, "the one that held them up, and theirs"
    assert names(kept.database) == {"here", *map(str, range(100))}


def test_an_answer_comes_after_the_sync(kept):
    """Whoever has the answer finds the row, and the queue was told that there may be mail."""
    ask(kept.front, Insert(7, rows("row")))
    assert kept.front.rows.receive() == [(7, None)]
    assert names(kept.database) == {"row"}
    ask(kept.front, Insert(8, rows("next")))
    assert kept.front.rows.receive() == [(8, None)]
    assert kept.woken


def test_who_violates_a_key_is_told_so_alone(kept):
    """It hears of an IntegrityError in words of the driver; its neighbours' rows are stored."""
    with held_up(kept.database):
        named = ["a", "twice", "twice", "b"]
        ask(kept.front, *(Insert(number, rows(name)) for number, name in enumerate(named)), Count(9))
        kept.front.rows.receive()
    found = answers(kept.front, 4)
    assert [found[number] for number in (0, 1, 3)] == [None, None, None]
    assert isinstance(found[2].error, IntegrityError)
    assert "UNIQUE constraint failed: fact.name" in str(found[2].error)
    assert names(kept.database) == {"a", "twice", "b"}


def test_an_error_that_cannot_travel_is_told_in_words(kept):
    """What cannot be stored fails there and not here, and the keeper goes on."""
    ask(kept.front, Insert(1, {FACT: [("a", None)]}), Insert(2, {FACT: [("b", ["a list"])]}))
    found = answers(kept.front, 2)
    assert isinstance(found[1].error, IntegrityError), "a value is missing"
    assert isinstance(found[2].error, Exception)
    ask(kept.front, Insert(3, rows("row")))
    assert answers(kept.front, 1) == {3: None}


def test_rows_for_a_closed_database_are_refused(tmp_path):
    """Nobody is left without an answer: whoever comes too late hears `Draining`, a unit hears that it failed."""
    with keeping(tmp_path) as kept:
        kept.database.close()
        ask(kept.front, Insert(1, rows("row")))
        ((number, told),) = kept.front.rows.receive()
        assert (number, type(told.error)) == (1, refusals.Draining)
        assert isinstance(asked(kept.front, "SELECT 1"), Failed)
        assert ended(kept.front, ROLLBACK) is None


def test_what_was_counted_here_is_told(kept):
    """It travels as it is."""
    ask(kept.front, Count(5))
    ((number, found),) = kept.front.rows.receive()
    assert number == 5
    assert "postroad_commit_units" in {family.name for family in found}


@pytest.fixture
def fronts(tmp_path):
    """The ends of two fronts of one database."""
    pairs = [pair(), pair()]
    with ExitStack() as stack:
        for one in chain(*pairs):
            stack.enter_context(closing(one))
        database = stack.enter_context(closing(Database(tmp_path, floor=0)))
        database.keep([ours for ours, _ in pairs], lambda: None)
        yield [theirs for _, theirs in pairs]
        for _, theirs in pairs:
            theirs.close()
        for thread in serving():
            thread.join(SECONDS)


def test_what_was_counted_in_another_front_is_told(fronts):
    """Once that has answered; who asks knows himself what was counted in his own."""
    first, second = fronts
    ask(first, Count(5))
    there = second.rows.receive()
    assert isinstance(there, Count)
    ask(second, Counted(there.number, pickle.dumps([Metric("there", "", "counter")])))
    ((number, found),) = first.rows.receive()
    assert number == 5
    assert {"there", "postroad_commit_units"} <= {family.name for family in found}


def test_who_asks_what_was_counted_and_goes_does_no_harm(fronts):
    """The other front answers nobody, and goes on."""
    first, second = fronts
    ask(first, Count(5))
    there = second.rows.receive()
    first.close()
    ask(second, Counted(there.number, pickle.dumps([])), Insert(1, rows("row")))
    assert answers(second, 1) == {1: None}


def test_what_one_front_distrusts_all_do(fronts):
    """Whoever finds the disk bad, everybody is told of it."""
    first, second = fronts
    ask(first, Latched("disk I/O error"))
    assert second.rows.receive() == Latched("disk I/O error")


def test_the_front_says_that_it_is_ready(kept):
    """Not before, and once."""
    assert not kept.keeper.ready.done()
    ask(kept.front, Ready())
    assert kept.keeper.ready.result(SECONDS) is None
    assert not kept.keeper.gone.done()


def test_the_end_of_the_front_is_heard(kept):
    """`gone` is done when its channel is closed, by whatever it ended; the database goes on without it."""
    kept.front.close()
    assert kept.keeper.gone.result(SECONDS) is None
    assert not kept.keeper.ready.done()
    kept.database.submit(writing("after")).result(SECONDS)
    assert names(kept.database) == {"after"}


def test_an_answer_for_a_front_that_is_gone_holds_up_nobody(kept):
    """Rows that were handed over are stored; that nobody hears of it is no fault of the others."""
    with held_up(kept.database):
        ask(kept.front, Insert(1, rows("row")), Count(2))
        kept.front.rows.receive()
        neighbour = kept.database.submit(writing("neighbour", "done"))
        kept.front.close()
        kept.keeper.gone.result(SECONDS)
    assert neighbour.result(SECONDS) == "done"
    assert names(kept.database) == {"row", "neighbour"}


def test_a_transaction_is_its_statements_and_its_end(kept):
    """Nobody sees what it wrote before the front commits it; what it read is what it wrote."""
    assert asked(kept.front, INSERT, "row") == Found(None, 1, 1, [])
    assert asked(kept.front, "SELECT name FROM fact").rows == [("row",)]
    assert names(kept.database) == set()
    assert ended(kept.front, COMMIT) is None
    assert names(kept.database) == {"row"}


def test_a_transaction_taken_back_leaves_nothing(kept):
    """That is no fault of anybody: the answer is the same."""
    asked(kept.front, INSERT, "row")
    assert ended(kept.front, ROLLBACK) is None
    assert names(kept.database) == set()


def test_a_statement_that_fails_ends_no_transaction(kept):
    """It is for the front to judge: it may go on, and commit what else it wrote."""
    asked(kept.front, INSERT, "row")
    failed = asked(kept.front, INSERT, "row")
    assert (failed.name, failed.text) == ("IntegrityError", "UNIQUE constraint failed: fact.name")
    assert failed.code & 0xFF == 19, "SQLITE_CONSTRAINT (sqlite.org/rescode.html)"
    assert asked(kept.front, "SELECT nothing").name == "OperationalError"
    asked(kept.front, INSERT, "other")
    assert ended(kept.front, COMMIT) is None
    assert names(kept.database) == {"row", "other"}


def test_everybody_else_waits_for_the_end_of_a_transaction(kept):
    """There is one connection that writes: units and rows before and after it keep their order."""
    asked(kept.front, INSERT, "row")
    unit = kept.database.submit(lambda connection: connection.exec_driver_sql("SELECT name FROM fact").all())
    assert not unit.done()
    ended(kept.front, COMMIT)
    assert unit.result(SECONDS) == [("row",)]


@pytest.mark.parametrize("statements", [1, 2])
def test_a_front_gone_in_mid_transaction_leaves_nothing(kept, statements):
    """What it wrote is taken back, answered or not, and the committer goes on."""
    asked(kept.front, INSERT, "undone")
    for _ in range(statements - 1):
        kept.front.statements.send(Statement(INSERT, ["unanswered"]))
    kept.front.close()
    assert kept.database.submit(writing("next", "done")).result(SECONDS) == "done"
    assert names(kept.database) == {"next"}


def test_a_failed_disk_here_is_told_there_and_refused(kept):
    """The one in front hears the cause, once; rows are refused, and a transaction does not begin."""
    assert isinstance(kept.database.submit(raising(failed_disk(10))).exception(SECONDS), refusals.StorageUnhealthy)
    assert kept.front.rows.receive() == Latched("disk I/O error")
    ask(kept.front, Insert(1, rows("row")))
    ((_, told),) = kept.front.rows.receive()
    assert isinstance(told.error, refusals.StorageUnhealthy)
    assert "disk I/O error" in told.error.why
    assert asked(kept.front, INSERT, "row") == Failed("OperationalError", "disk I/O error", 10)
    assert ended(kept.front, ROLLBACK) is None


def test_a_disk_that_failed_there_is_trusted_no_more_here(kept):
    """What the one in front found when it read the file ends the trust of both, and nobody answers it again."""
    ask(kept.front, Latched("found there"), Count(1))
    assert kept.front.rows.receive() == Latched("found there"), "which it knows, and passes over"
    kept.front.rows.receive()
    assert not kept.database.health.trusted
    with pytest.raises(refusals.StorageUnhealthy, match="unavailable"):
        kept.database.submit(writing("row")).result(SECONDS)


@pytest.mark.parametrize("kind", [refusals.StorageUnhealthy, refusals.Draining])
def test_a_refusal_travels_with_its_reason(kind):
    """The operator reads the same words in either process."""
    told = pickle.loads(pickle.dumps(Raised(kind("no room"))))  # noqa: S301 - of our own
    assert (type(told.error), told.error.why, str(told.error)) == (kind, "no room", str(kind()))
