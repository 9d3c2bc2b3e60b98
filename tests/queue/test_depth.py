"""How much waits and since when."""

import contextlib

import pytest

from postroad.database.engine import Database
from postroad.database.schema import queue_entry, recipient
from postroad.queue import depth as depths
from postroad.queue.depth import Depth, depth

NOW = 1_790_000_000_000


@pytest.fixture
def database(tmp_path):
    with contextlib.closing(Database(tmp_path, floor=0)) as opened:
        yield opened


def put(database, queue_id, *fates, accepted_at=NOW):
    """An entry whose recipients have these (state, due_at, lease)."""

    def unit(connection):
        entry = {"queue_id": queue_id, "account_id": 1, "content_id": queue_id, "accepted_at": accepted_at}
        connection.execute(queue_entry.insert(), [entry])
        common = {"queue_id": queue_id, "account_id": 1, "envelope": 0, "blind": False, "destination": "a.test"}
        common |= {"attempts": 0, "notices": 0}
        rows = [
            common
            | {"forward_path": f"{n}@a.test", "state": state, "due_at": due, "lease": lease[0] if lease else None}
            for n, (state, due, *lease) in enumerate(fates)
        ]
        connection.execute(recipient.insert(), rows)

    database.submit(unit).result()


def look(database) -> Depth:
    return database.look(lambda connection: depth(connection, NOW))


def test_nothing_waits_in_an_empty_queue(database):
    """Nought and nobody."""
    assert look(database) == Depth({"due": 0, "claimed": 0, "later": 0, "held": 0}, None)


def test_who_waits_is_counted_and_who_is_settled_is_not(database):
    """Due (also by a lease that ran out), claimed, later, held; the oldest is the oldest that is not held."""
    put(database, 1, ("relayed", NOW), ("failed", NOW), accepted_at=NOW - 9)
    put(database, 2, ("held", NOW), accepted_at=NOW - 7)
    put(database, 3, ("queued", NOW + 1), ("relayed", NOW), ("queued", NOW + 1, 7), accepted_at=NOW - 5)
    put(database, 4, ("queued", NOW), ("queued", NOW - 1), ("queued", NOW, 7), accepted_at=NOW - 3)
    assert look(database) == Depth({"due": 3, "claimed": 1, "later": 1, "held": 1}, NOW - 5)


def test_counting_ends_somewhere(database, monkeypatch):
    """A count ends at its bound, so that looking costs a bounded time."""
    monkeypatch.setattr(depths, "COUNTED_AT_MOST", 4)
    put(database, 1, *[("queued", NOW)] * 6, *[("queued", NOW + 1)] * 3)
    assert look(database).recipients == {"due": 4, "claimed": 0, "later": 3, "held": 0}


def test_every_question_is_answered_from_an_index_of_what_waits(database):
    """No question reads the rows of what is settled."""
    put(database, 1, ("queued", NOW))
    assert "USING COVERING INDEX ix_recipient_due" in plan(
        database, "SELECT due_at FROM recipient WHERE state = 'queued' AND due_at <= 1"
    )
    assert "USING COVERING INDEX ix_recipient_waiting" in plan(
        database, "SELECT min(queue_id) FROM recipient WHERE state = 'queued'"
    )


def plan(database, statement: str) -> str:
    def explain(connection):
        return " ".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}"))

    return database.look(explain)
