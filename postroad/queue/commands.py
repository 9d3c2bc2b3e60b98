"""What an operator may do to waiting mail: retry, hold, release, cancel. Never to what is being tried.

Each acts on one entry, or on one recipient of it, as far as that can be done, and says what was left and why.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from postroad.database.identifiers import Identifiers
from postroad.database.schema import recipient
from postroad.mail.outcome import Attempted, Failed
from postroad.mail.reply import ours
from postroad.queue import claims, gates
from postroad.queue.settlement import settle
from postroad.queue.store import FAILED, HELD, QUEUED, RELAYED
from postroad.queue.verdict import judge

# RFC 3463 section 3.8: delivery not authorized.
CANCELLED = ours(550, "5.7.1", "cancelled by the postmaster")

_WHY = {RELAYED: "already relayed", FAILED: "already failed", HELD: "held", QUEUED: "not held"}
_TRIED = "being tried right now"


class CannotError(Exception):
    """Nothing of what was asked can be done; the text says why."""


@dataclass(frozen=True, slots=True)
class Done:
    """The forward-paths of whom it was done to, and of whom it was not, each with the reason."""

    done: tuple[str, ...]
    left: dict[str, str]


def retry(connection: Connection, queue_id: int, forward_path: str | None, now: int) -> Done:
    """Make due now, and open the gates of the destinations."""
    found, done = _sorted_out(connection, queue_id, forward_path, now, (QUEUED,))
    gates.lift(connection, {row.destination for row in found})
    _change(connection, found, lease=None, due_at=now)
    return done


def hold(connection: Connection, queue_id: int, forward_path: str | None, now: int) -> Done:
    """Have it wait until it is released."""
    found, done = _sorted_out(connection, queue_id, forward_path, now, (QUEUED,))
    _change(connection, found, lease=None, state=HELD)
    return done


def release(connection: Connection, queue_id: int, forward_path: str | None, now: int) -> Done:
    """Make what was held due now."""
    found, done = _sorted_out(connection, queue_id, forward_path, now, (HELD,))
    _change(connection, found, state=QUEUED, due_at=now)
    return done


def cancel(
    connection: Connection,
    queue_id: int,
    forward_path: str | None,
    now: int,
    identifiers: Identifiers,
    report_as: str | None,
) -> Done:
    """Fail it, as an attempt would that is refused; its DSN is from the host `report_as`, if that is given."""
    found, done = _sorted_out(connection, queue_id, forward_path, now, (QUEUED, HELD))
    lease = identifiers.next(now)
    _change(connection, found, lease=lease)
    for claimed in claims.of_rows(connection, lease, found):
        outcomes = dict.fromkeys(claimed.envelope.forward_paths, Failed(CANCELLED))
        judged = judge(
            claimed, Attempted("", outcomes, "= cancelled"), started_at=now, ended_at=now, chance=lambda: 0
        )
        settle(connection, [judged], identifiers, report_as or "", report=report_as is not None)
    return done


COMMANDS: dict[str, Callable[[Connection, int, str | None, int], Done]] = {
    "retry": retry,
    "hold": hold,
    "release": release,
}


def _sorted_out(
    connection: Connection, queue_id: int, forward_path: str | None, now: int, states: Sequence[str]
) -> tuple[list[Row[Any]], Done]:
    """The recipients in one of `states` that nobody is at work on, and what is to be said of all of them.

    Raises `CannotError` when there are none.
    """
    rows = connection.execute(
        select(recipient).where(recipient.c.queue_id == queue_id).order_by(recipient.c.envelope).with_for_update()
    ).all()
    asked = [row for row in rows if forward_path is None or row.forward_path.lower() == forward_path.lower()]
    if not asked:
        raise CannotError(f"it has no recipient {forward_path}" if rows else "there is no such queue entry")
    left = {row.forward_path: why for row in asked if (why := _why_not(row, now, states))}
    found = [row for row in asked if row.forward_path not in left]
    if not found:
        raise CannotError(said_of(left))
    return found, Done(tuple(row.forward_path for row in found), left)


def _why_not(row: Row[Any], now: int, states: Sequence[str]) -> str:
    if row.lease is not None and row.due_at > now:
        return _TRIED
    return "" if row.state in states else _WHY[row.state]


def said_of(left: dict[str, str]) -> str:
    """Who was left and why, in one line: by name if it is one, else how many."""
    if len(left) == 1:
        return " is ".join(*left.items())
    counts = Counter(left.values())
    return ", ".join(f"{count} {'is' if count == 1 else 'are'} {why}" for why, count in counts.items())


_THESE = (
    recipient.c.queue_id == bindparam("of_queue_id"),
    recipient.c.forward_path.in_(bindparam("of_paths", expanding=True)),
)


def _change(connection: Connection, rows: Sequence[Row[Any]], **values: object) -> None:
    these = {"of_queue_id": rows[0].queue_id, "of_paths": [row.forward_path for row in rows]}
    connection.execute(update(recipient).where(*_THESE).values(**values), these)
