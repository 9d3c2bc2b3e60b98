"""A settlement: outcome, next try, attempt and report are one transaction."""

from contextlib import closing

import pytest
from sqlalchemy import select

from postroad.database.engine import Database
from postroad.database.rows import insert
from postroad.database.schema import attempt, queue_entry, recipient
from postroad.mail import dsn
from postroad.mail.outcome import Delayed, Failed, Relayed
from postroad.queue import store
from postroad.queue.schedule import DAY, HOUR, MINUTE
from postroad.queue.settlement import settle, summary
from tests.queue_kit import IDENTIFIERS, LATER, NEVER, NOW, OK, accept, all_alike, claim, judged, rows_of, table
from tests.queue_kit import marked as mark

HOST = "here.test"


@pytest.fixture
def database(tmp_path, database_url):
    """A database of its own."""
    with closing(Database(tmp_path, floor=0, url=database_url)) as opened:
        yield opened


@pytest.fixture
def connection(engine):
    """A writer's connection, in a transaction that is undone."""
    with engine.connect() as opened, opened.begin() as transaction:
        yield opened
        transaction.rollback()


def settled(connection, claimed, outcome, now=NOW, host="mx.test"):
    assert settle(connection, [judged(claimed, all_alike(claimed, outcome), now, host)], IDENTIFIERS, HOST) == [
        True
    ]


def one(connection):
    """The only recipient that is no report's."""
    [row] = [row for row in table(connection) if row.destination != "local"]
    return row


FATES = {
    # outcome -> state, due after, settled after, reply
    "relayed": (Relayed(OK), "relayed", 0, 0, OK),
    "failed": (Failed(NEVER), "failed", 0, 0, NEVER),
    "delayed": (Delayed(LATER), "queued", MINUTE, None, LATER),
}


@pytest.mark.parametrize(("outcome", "state", "due", "end", "reply"), FATES.values(), ids=FATES)
def test_a_fate_is_written_down(connection, outcome, state, due, end, reply):
    """State, next try, number of tries, the reply in its parts, and the end of the lease."""
    accept(connection, ("you@b.test",))
    [mine] = claim(connection)
    settled(connection, mine, outcome, NOW + 9)
    row = one(connection)
    assert (row.state, row.due_at, row.lease, row.attempts) == (state, NOW + 9 + due, None, 1)
    assert row.settled_at == (None if end is None else NOW + 9 + end)
    assert (row.reply_code, row.reply_status, row.reply_text) == (reply.code, reply.status, reply.text)


def test_an_attempt_is_recorded_with_its_conversation(connection):
    """Times, host, words, and whether it may have made an extra copy."""
    queue_id = accept(connection, ("a@b.test", "b@b.test", "c@b.test"))
    [mine] = claim(connection)
    outcomes = {"a@b.test": Relayed(OK), "b@b.test": Delayed(LATER), "c@b.test": Failed(NEVER)}
    assert settle(connection, [judged(mine, outcomes)], IDENTIFIERS, HOST) == [True]
    [row] = connection.execute(select(attempt)).all()
    assert (row.queue_id, row.account_id, row.host, row.after_in_doubt) == (queue_id, 1, "mx.test", False)
    assert (row.outcome, row.conversation) == ("1 relayed, 1 delayed, 1 failed", "> MAIL\n< 250 Ok")
    assert {row.forward_path: row.state for row in table(connection) if row.queue_id == queue_id} == {
        "a@b.test": "relayed",
        "b@b.test": "queued",
        "c@b.test": "failed",
    }


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [("r", "1 relayed"), ("ddr", "1 relayed, 2 delayed"), ("fd", "1 delayed, 1 failed"), ("", "")],
)
def test_an_attempt_in_a_few_words(outcomes, words):
    """The outcomes are counted, the good ones first, none that is nought."""
    kinds = {"r": Relayed(OK), "d": Delayed(LATER), "f": Failed(NEVER)}
    assert summary({str(at): kinds[kind] for at, kind in enumerate(outcomes)}) == words


DOUBTS = {
    # marked in this attempt, doubted by an earlier one, outcome -> doubt: since when, with whom
    "refused for now, after the mark": (True, False, Delayed(LATER), (None, None)),
    "lost after the dot": (True, False, Delayed(LATER, in_doubt=True), (NOW + HOUR, "second.test")),
    "lost before the dot": (False, False, Delayed(LATER), (None, None)),
    "doubted before, refused for now": (True, True, Delayed(LATER), (NOW, "first.test")),
    "doubted before, not reached": (False, True, Delayed(LATER), (NOW, "first.test")),
    "doubted before, lost again": (True, True, Delayed(LATER, in_doubt=True), (NOW, "first.test")),
    "doubted before, relayed": (True, True, Relayed(OK), (None, None)),
    "doubted before, failed": (True, True, Failed(NEVER), (None, None)),
}


@pytest.mark.parametrize(("marked", "doubted", "outcome", "doubt"), DOUBTS.values(), ids=DOUBTS)
def test_doubt_is_kept_until_it_cannot_matter(connection, marked, doubted, outcome, doubt):
    """An answer ends the doubt of its own attempt, never that of an earlier one; the end of the wait ends all."""
    accept(connection, ("you@b.test",))
    if doubted:
        [first] = claim(connection)
        settled(connection, first, Delayed(LATER, in_doubt=True), NOW, "first.test")
    [mine] = claim(connection, now=NOW + HOUR)
    if marked:
        assert mark(connection, mine, "second.test", NOW + HOUR)
    settled(connection, mine, outcome, NOW + HOUR, "second.test")
    assert (one(connection).in_doubt_at, one(connection).in_doubt_host) == doubt
    last = connection.execute(select(attempt).order_by(attempt.c.attempt_id.desc())).first()
    assert last.after_in_doubt is doubted, "an extra copy has its explanation"


def test_a_mark_left_by_a_dead_process_explains_the_next_attempt(connection):
    """Marked, and never settled: the next attempt goes to the same host first and says what it may do."""
    accept(connection, ("you@b.test",))
    [dead] = claim(connection)
    assert mark(connection, dead)
    [mine] = claim(connection, now=NOW + store.LEASE)
    assert mine.in_doubt_host == "mx.test"
    settled(connection, mine, Relayed(OK), NOW + store.LEASE)
    assert connection.execute(select(attempt.c.after_in_doubt)).scalar_one() is True


def test_a_failure_and_its_report_are_one_transaction(database, monkeypatch):
    """When the report cannot be made, nothing is recorded: no state, no attempt, no report."""
    database.submit(lambda connection: insert(connection, rows_of(5, ("a@b.test", "b@b.test")))).result()
    [mine] = database.submit(claim).result()
    before = database.look(table)

    def broken(*_, **__):
        raise RuntimeError("mine")

    outcomes = {"a@b.test": Relayed(OK), "b@b.test": Failed(NEVER)}
    unit = lambda connection: settle(connection, [judged(mine, outcomes)], IDENTIFIERS, HOST)  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(dsn, "report", broken)
        with pytest.raises(RuntimeError, match="mine"):
            database.submit(unit).result()
    assert database.look(table) == before
    assert database.look(lambda connection: connection.execute(select(attempt)).all()) == []
    assert database.submit(unit).result() == [True]
    states = {row.forward_path: row.state for row in database.look(table)}
    assert states == {"a@b.test": "relayed", "b@b.test": "failed", "me@a.test": "queued"}


def test_an_expired_recipient_fails_with_its_report(connection):
    """After five days the last reply is told, and the report waits in the queue."""
    accept(connection, ("you@b.test",))
    [mine] = claim(connection, now=NOW + 5 * DAY)
    settled(connection, mine, Delayed(LATER), NOW + 5 * DAY)
    assert (one(connection).state, one(connection).reply_status) == ("failed", "4.4.7")
    assert "greylisted" in one(connection).reply_text
    assert connection.execute(select(queue_entry).where(queue_entry.c.reverse_path.is_(None))).one()
    assert connection.execute(select(recipient).where(recipient.c.destination == "local")).one()
