"""Destinations as the operator sees and commands them: how much waits, how their gates are, suspend and resume."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, Row, case, func, select, update

from postroad.database.schema import recipient
from postroad.mail.reply import Reply
from postroad.queue import gates, shaping, waiting
from postroad.queue.shaping import Gate
from postroad.queue.store import RECIPIENT, WAITS
from postroad.queue.waiting import Moment


@dataclass(frozen=True, slots=True)
class Destination:
    """One, at a time: recipients that wait for it, mail transactions under way; times in milliseconds.

    `state` is open, closed, probing (one at a time, after it could not be reached) or suspended. `next_try` is
    `None` when nothing waits or it is suspended.
    """

    destination: str
    state: str
    waiting: int
    in_flight: int
    failures: int
    next_try: int | None
    reply: Reply | None


def listing(connection: Connection, now: int, *, limit: int) -> list[Destination]:
    """Up to `limit` destinations, those with most waiting first, and all that are suspended.

    It counts all that waits: about a tenth of a second for each million.
    """
    # While it is claimed, the due time of a recipient is its lease's end.
    next_due = func.min(case((recipient.c.lease.is_(None), recipient.c.due_at)))
    counted = (
        select(recipient.c.destination, func.count().label("waiting"), next_due.label("next_due"))
        .where(WAITS)
        .group_by(recipient.c.destination)
    )
    most = counted.order_by(func.count().desc(), recipient.c.destination).limit(limit)
    found = {row.destination: row for row in connection.execute(most)}
    known = gates.among(connection, found)
    if missing := known.keys() - found.keys():
        these = counted.where(recipient.c.destination.in_(missing))
        found |= {row.destination: row for row in connection.execute(these)}
    in_flight = waiting.in_flight(connection, Moment(now))
    return [
        _seen(known.get(name, Gate(name)), found.get(name), in_flight[name], now)
        for name in _in_order((*found, *known))
    ]


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _seen(gate: Gate, row: Row[tuple[str, int, int]] | None, in_flight: int, now: int) -> Destination:
    state = _state(gate, now)
    due = row.next_due if row and state != "suspended" else None
    opens = gate.next_try if state == "closed" else None
    return Destination(
        destination=gate.destination,
        state=state,
        waiting=row.waiting if row else 0,
        in_flight=in_flight,
        failures=gate.failures,
        next_try=due if due is None or opens is None else max(due, opens),
        reply=gate.reply,
    )


def _state(gate: Gate, now: int) -> str:
    if gate.cap == shaping.SUSPENDED:
        return "suspended"
    if not gate.failures:
        return "open"
    return "closed" if gate.next_try is not None and now < gate.next_try else "probing"


def suspend(connection: Connection, name: str) -> bool:
    """Begin no more mail transactions with it until it is resumed; false when it was so already.

    What is under way ends. What waits does not grow old meanwhile: nobody hears of a delay.
    """
    return gates.limit(connection, name, shaping.SUSPENDED)


def resume(connection: Connection, name: str, now: int) -> bool:
    """Let its mail go again, and try it at once, whatever closed its gate; false when it was not suspended.

    One recipient that is due becomes due anew: that is what nodes look for.
    """
    gate = gates.look(connection, name)
    if gate is None or gate.cap != shaping.SUSPENDED:
        return False
    gates.limit(connection, name, None)
    gates.lift(connection, [name])
    last = (
        select(*RECIPIENT)
        .where(WAITS, recipient.c.destination == name, recipient.c.due_at <= now, recipient.c.lease.is_(None))
        .order_by(recipient.c.due_at.desc())
        .limit(1)
    )
    for queue_id, forward_path in connection.execute(last).all():
        this = (recipient.c.queue_id == queue_id, recipient.c.forward_path == forward_path)
        connection.execute(update(recipient).where(*this).values(due_at=now))
    return True


def waiting_for(connection: Connection, name: str) -> int:
    """How many recipients wait for it."""
    question = select(func.count()).select_from(recipient).where(WAITS, recipient.c.destination == name)
    count: int = connection.execute(question).scalar_one()
    return count
