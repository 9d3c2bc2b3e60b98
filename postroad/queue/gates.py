"""The gates of destinations as they are stored: locked for a claim, closed and opened by what attempts find."""

from collections.abc import Collection, Iterable
from dataclasses import asdict

from sqlalchemy import Connection, Row, bindparam, func, or_, select, update

from postroad.database.rows import insert_unless_there
from postroad.database.schema import destination
from postroad.mail.reply import Reply
from postroad.queue import shaping
from postroad.queue.shaping import Gate
from postroad.queue.verdict import Judgement

_OPEN: dict[str, object] = {
    "failures": 0,
    "next_try": None,
    "reply_code": None,
    "reply_status": None,
    "reply_text": None,
}
_NAMED = destination.c.destination == bindparam("name")
_LOOK = select(destination).where(_NAMED)
_THESE = select(destination).where(destination.c.destination.in_(bindparam("names", expanding=True)))
_LOCKED = _THESE.with_for_update(skip_locked=True)
_PASS_TURN = update(destination).where(_NAMED).values(turn=bindparam("served"))
_ANSWERED = update(destination).where(_NAMED, destination.c.failures > 0).values(**_OPEN)


def locked(connection: Connection, names: Collection[str]) -> dict[str, Gate]:
    """The gates, for this transaction alone; without those that another node is claiming through."""
    asked = {"names": list(names)}
    found = {row.destination: _gate(row) for row in connection.execute(_LOCKED, asked)}
    if len(found) == len(names):
        return found
    known = {row.destination for row in connection.execute(_THESE, asked)}
    made = (name for name in names if name not in known and _make(connection, name))
    return found | {name: Gate(name) for name in made}


def look(connection: Connection, name: str) -> Gate | None:
    """The gate as it is; `None` when nobody has claimed through it yet."""
    row = connection.execute(_LOOK, {"name": name}).one_or_none()
    return _gate(row) if row else None


def _make(connection: Connection, name: str) -> bool:
    """A new gate, open; false when another node has made it meanwhile."""
    return insert_unless_there(connection, destination, {"destination": name, "turn": 0, **_OPEN})


def _gate(row: Row[tuple[object, ...]]) -> Gate:
    reply = Reply(row.reply_code, row.reply_status, row.reply_text) if row.reply_code else None
    return Gate(row.destination, row.cap, row.failures, row.next_try, row.turn, reply)


def pass_turn(connection: Connection, name: str, turn: int) -> None:
    """Note which account was served last."""
    connection.execute(_PASS_TURN, {"name": name, "served": turn})


def note(connection: Connection, judgements: Iterable[Judgement]) -> None:
    """Open the gates of destinations that answered, close (for longer) those that could not be reached."""
    opened: set[str] = set()
    for judged in sorted(judgements, key=_destination):  # in one order, lest two nodes wait for each other
        name, found = judged.claimed.destination, shaping.reached(judged.attempted)
        if found and name not in opened:
            connection.execute(_ANSWERED, {"name": name})
            opened.add(name)
        elif found is False:
            _close(connection, name, judged)
            opened.discard(name)


def _destination(judged: Judgement) -> str:
    return judged.claimed.destination


def _close(connection: Connection, name: str, judged: Judgement) -> None:
    gate = look(connection, name)
    if gate is None or not shaping.counts(gate, judged.started_at):
        return
    failures = gate.failures + 1
    reply = asdict(next(iter(judged.attempted.outcomes.values())).reply)
    connection.execute(
        update(destination)
        .where(destination.c.destination == name)
        .values(failures=failures, next_try=judged.ended_at + shaping.pause(failures))
        .values({f"reply_{part}": value for part, value in reply.items()})
    )


def lift(connection: Connection, names: Collection[str]) -> None:
    """Open these gates: whatever kept them closed is said to be over."""
    connection.execute(update(destination).where(destination.c.destination.in_(names)).values(**_OPEN))


def limit(connection: Connection, name: str, cap: int | None) -> bool:
    """Give a destination a cap of its own, or `None`, the setting's; false when it had that already."""
    before = look(connection, name)
    if before is None:
        _make(connection, name)
    connection.execute(update(destination).where(destination.c.destination == name).values(cap=cap))
    return cap != (before.cap if before else None)


def among(connection: Connection, names: Collection[str]) -> dict[str, Gate]:
    """The gates of these, and those that are suspended, as they are."""
    these = or_(destination.c.destination.in_(names), destination.c.cap == shaping.SUSPENDED)
    return {row.destination: _gate(row) for row in connection.execute(select(destination).where(these))}


def pull_in(connection: Connection, now: int) -> None:
    """Probe at once what is closed for longer than any pause: the clock that said so has gone back since."""
    stranded = destination.c.next_try > now + shaping.LONGEST_PAUSE
    connection.execute(update(destination).where(stranded).values(next_try=now))


def next_try(connection: Connection, *, after: int) -> int | None:
    """When the next gate may be probed."""
    soonest = select(func.min(destination.c.next_try)).where(destination.c.next_try > after)
    found: int | None = connection.execute(soonest).scalar_one()
    return found
