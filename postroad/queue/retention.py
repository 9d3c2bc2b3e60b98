"""What the queue forgets: entries all of whose recipients were settled before a horizon, a few rows at a time."""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Connection, delete, exists, or_, select, tuple_

from postroad.database import loose
from postroad.database.identifiers import first_of
from postroad.database.schema import attempt, queue_entry, recipient
from postroad.queue.store import FAILED, RECIPIENT, RELAYED

# Anything else than these, also what a later version may add, waits.
_WAITS = recipient.c.state.not_in((RELAYED, FAILED))


def entries(connection: Connection, horizon: int, *, after: int, limit: int) -> Sequence[int]:
    """The next entries accepted before `horizon`, in order, with a queue id over `after`; some may wait."""
    return (
        connection.execute(
            select(queue_entry.c.queue_id)
            .where(queue_entry.c.queue_id > after, queue_entry.c.queue_id < first_of(horizon))
            .order_by(queue_entry.c.queue_id)
            .limit(limit)
        )
        .scalars()
        .all()
    )


def forget(connection: Connection, queue_ids: Collection[int], horizon: int, *, limit: int) -> int:
    """Remove up to `limit` rows of those of these entries that are wholly settled: attempts, recipients, entries.

    An entry goes last, so that what was begun is found again; its content is left for `loose.remove`.
    """
    settled = _settled(connection, queue_ids, horizon)
    removed = _forget_attempts(connection, settled, limit)
    if removed < limit:
        removed += _forget_recipients(connection, settled, limit - removed)
    return removed if removed >= limit else removed + _forget_entries(connection, settled)


def waiting(connection: Connection, content_ids: Collection[int]) -> set[int]:
    """Which of these contents belong to an entry that has a recipient who waits."""
    question = select(queue_entry.c.content_id).where(queue_entry.c.content_id.in_(content_ids), _has(_WAITS))
    return set(connection.execute(question).scalars())


def _has(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(recipient.c.queue_id == queue_entry.c.queue_id, *conditions)


def _settled(connection: Connection, queue_ids: Collection[int], horizon: int) -> list[int]:
    late = or_(_WAITS, recipient.c.settled_at >= horizon)
    question = select(queue_entry.c.queue_id).where(queue_entry.c.queue_id.in_(queue_ids), ~_has(late))
    return list(connection.execute(question).scalars())


def _forget_attempts(connection: Connection, queue_ids: list[int], limit: int) -> int:
    found = select(attempt.c.attempt_id).where(attempt.c.queue_id.in_(queue_ids)).limit(limit)
    return connection.execute(delete(attempt).where(attempt.c.attempt_id.in_(found))).rowcount


def _forget_recipients(connection: Connection, queue_ids: list[int], limit: int) -> int:
    found = select(*RECIPIENT).where(recipient.c.queue_id.in_(queue_ids)).limit(limit)
    return connection.execute(delete(recipient).where(tuple_(*RECIPIENT).in_(found))).rowcount


def _forget_entries(connection: Connection, queue_ids: list[int]) -> int:
    gone = delete(queue_entry).where(queue_entry.c.queue_id.in_(queue_ids)).returning(queue_entry.c.content_id)
    content_ids = connection.execute(gone).scalars().all()
    loose.mark(connection, content_ids)
    return len(content_ids)
