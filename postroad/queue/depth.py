"""How much waits and since when, for those who watch: answered from indexes, at a bounded cost."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, literal_column, select

from postroad.database.schema import queue_entry, recipient
from postroad.queue.store import HELD, WAITS

# Nobody needs to know how many more than so many wait; counting them is what would cost (about 50 ms).
COUNTED_AT_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Depth:
    """Recipients that are not settled, by state: due, claimed, later, held; when the oldest of them was accepted.

    Who is held does not age.
    """

    recipients: Mapping[str, int]
    oldest_accepted_at: int | None


def depth(connection: Connection, now: int) -> Depth:
    """What waits at `now`; each count ends at `COUNTED_AT_MOST`."""
    due = _count(connection, WAITS, recipient.c.due_at <= now)
    later = _count(connection, WAITS, recipient.c.due_at > now)
    # A handful. The due time of what is claimed is its lease's end.
    claimed = _count(connection, WAITS, recipient.c.lease.is_not(None), recipient.c.due_at > now)
    # Written out, as WAITS is, so that the index of those rows alone is used (schema.py).
    held = _count(connection, recipient.c.state == literal_column(f"'{HELD}'"))
    counts = {"due": due, "claimed": claimed, "later": max(later - claimed, 0), "held": held}
    return Depth(counts, _oldest(connection))


def _count(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    some = select(recipient.c.queue_id).where(*conditions).limit(COUNTED_AT_MOST)
    count: int = connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()
    return count


def _oldest(connection: Connection) -> int | None:
    """Queue ids ascend with time: the oldest entry is the one with the least."""
    oldest = select(func.min(recipient.c.queue_id)).where(WAITS).scalar_subquery()
    accepted_at: int | None = connection.execute(
        select(queue_entry.c.accepted_at).where(queue_entry.c.queue_id == oldest)
    ).scalar_one_or_none()
    return accepted_at
