"""What waits, found by skipping through the indexes of `recipient`: no look costs more because more waits.

There are no counters: accept inserts rows of its own account and nothing else. The statements are made once,
as making them costs more than asking them.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, and_, bindparam, func, literal, or_, select

from postroad.database.schema import recipient
from postroad.queue.shaping import ACCOUNTS_PER_LOOK, RECIPIENTS_PER_CLAIM, Candidate, rotated
from postroad.queue.store import WAITS

_THEIRS: BindParameter[Any] = bindparam("held", expanding=True)
_HELD = recipient.c.lease.in_(_THEIRS)
# Due at `now`, and not under a lease of the claimant.
DUE = and_(
    WAITS,
    recipient.c.due_at <= bindparam("now"),
    or_(recipient.c.lease.is_(None), recipient.c.lease.not_in(_THEIRS)),
)
_HERE = recipient.c.destination == bindparam("here")
_CANDIDATE = tuple(recipient.c[name] for name in Candidate._fields)


@dataclass(frozen=True, slots=True)
class Moment:
    """When somebody looks, and the leases under which they are at work."""

    now: int
    held: Collection[int] = ()

    def parameters(self, **more: Any) -> Mapping[str, Any]:
        """The values for a statement."""
        return {"now": self.now, "held": list(self.held)} | more


_TRANSACTION = (recipient.c.destination, recipient.c.lease, recipient.c.queue_id, recipient.c.envelope)
_LEASED = and_(WAITS, recipient.c.lease.is_not(None), or_(recipient.c.due_at > bindparam("now"), _HELD))
_UNDER_WAY = select(*_TRANSACTION).where(_LEASED).distinct().subquery()
_IN_FLIGHT = select(_UNDER_WAY.c.destination, func.count().label("transactions")).group_by(
    _UNDER_WAY.c.destination
)


def in_flight(connection: Connection, moment: Moment) -> Counter[str]:
    """Mail transactions under way with each destination, of all nodes: what is under a lease that holds."""
    rows = connection.execute(_IN_FLIGHT, moment.parameters())
    return Counter({row.destination: row.transactions for row in rows})


# What has become due and was not taken, the newest first: more of it is seen by going round.
NEWS = 500
_NEWEST = (
    select(recipient.c.destination, recipient.c.due_at)
    .where(DUE, recipient.c.due_at > bindparam("since"))
    .order_by(recipient.c.due_at.desc())
    .limit(NEWS)
    .subquery()
)
_NEWS = select(
    _NEWEST.c.destination, func.max(_NEWEST.c.due_at), func.min(_NEWEST.c.due_at), func.count()
).group_by(_NEWEST.c.destination)


def news(connection: Connection, moment: Moment, since: int) -> tuple[dict[str, int], int]:
    """Destinations of what became due after `since`, when their newest did; and since when that is all of it."""
    rows = connection.execute(_NEWS, moment.parameters(since=since)).all()
    seen = {name: newest for name, newest, *_ in rows}
    cut = sum(count for *_, count in rows) == NEWS
    return seen, min(oldest for _, _, oldest, _ in rows) if cut else since


# Destinations passed by in one piece of a round.
PIECE = 250
_FIRST = select(func.min(recipient.c.destination).label("destination"), literal(1).label("step")).where(
    WAITS, recipient.c.destination > bindparam("position")
)
_STEPS = _FIRST.cte("walk", recursive=True)
_NEXT = select(func.min(recipient.c.destination)).where(WAITS, recipient.c.destination > _STEPS.c.destination)
_WALKS_ON = and_(_STEPS.c.destination.is_not(None), _STEPS.c.step < PIECE)
_WALK = _STEPS.union_all(select(_NEXT.scalar_subquery(), _STEPS.c.step + 1).where(_WALKS_ON))
_HAS_DUE = select(recipient.c.queue_id).where(DUE, recipient.c.destination == _WALK.c.destination).exists()
_PIECE = select(_WALK.c.destination, _HAS_DUE).where(_WALK.c.destination.is_not(None))


def go_round(connection: Connection, moment: Moment, position: str) -> tuple[list[str], str | None]:
    """Of the next destinations after `position` those that have due mail, and the last; `None` at the end."""
    rows = connection.execute(_PIECE, moment.parameters(position=position)).all()
    last = max(name for name, _ in rows) if len(rows) == PIECE else None
    return [name for name, due in rows if due], last


_OLDEST = select(*_CANDIDATE).where(DUE, _HERE).order_by(recipient.c.due_at).limit(RECIPIENTS_PER_CLAIM)


def oldest(connection: Connection, moment: Moment, destination: str) -> list[Candidate]:
    """The recipients that are due for longest."""
    rows = connection.execute(_OLDEST, moment.parameters(here=destination))
    return [Candidate(*row) for row in rows]


_account = recipient.c.account_id
_AFTER_TURN = select(func.min(_account).label("account_id"), literal(1).label("step")).where(
    WAITS, _HERE, _account > bindparam("turn")
)
_ROUND = _AFTER_TURN.cte("round", recursive=True)
_NEXT_account = select(func.min(_account)).where(WAITS, _HERE, _account > _ROUND.c.account_id).scalar_subquery()
_GOES_ON = and_(_ROUND.c.account_id.is_not(None), _ROUND.c.step < ACCOUNTS_PER_LOOK)
_PASSED = _ROUND.union_all(select(_NEXT_account, _ROUND.c.step + 1).where(_GOES_ON))
_MINE = and_(DUE, _HERE, _account == _PASSED.c.account_id)
_FIRST_DUE = select(recipient.c.queue_id).where(_MINE).order_by(recipient.c.due_at).limit(1).scalar_subquery()
_PASS_BY = select(_PASSED.c.account_id, _FIRST_DUE).where(_PASSED.c.account_id.is_not(None))


def pass_by(connection: Connection, moment: Moment, destination: str, turn: int) -> list[tuple[int, int | None]]:
    """The next accounts with mail for it, and of each the queue id that is due for longest, if one is due.

    It is a step for each account, however much it has, and there are at most `ACCOUNTS_PER_LOOK`.
    """
    rows = connection.execute(_PASS_BY, moment.parameters(here=destination, turn=turn))
    return [(account_id, queue_id) for account_id, queue_id in rows]


# Asked for by nothing but the entry, lest a planner goes through all that is due instead.
_OF_ENTRIES = select(*_CANDIDATE, recipient.c.destination, recipient.c.due_at, recipient.c.lease).where(
    WAITS, recipient.c.queue_id.in_(bindparam("queue_ids", expanding=True))
)


def of_entries(
    connection: Connection, moment: Moment, destination: str, queue_ids: list[int], turn: int
) -> list[Candidate]:
    """The due recipients of these entries, the accounts after `turn` first."""
    rows = connection.execute(_OF_ENTRIES, {"queue_ids": queue_ids})

    found = (
        Candidate(*candidate)
        for *candidate, here, due_at, lease in rows
        if here == destination and due_at <= moment.now and lease not in moment.held
    )
    return rotated(found, turn)


_NEXT_DUE = select(func.min(recipient.c.due_at)).where(WAITS, recipient.c.due_at > bindparam("after"))


def next_due(connection: Connection, *, after: int) -> int | None:
    """When the next recipient is due that was not at `after`."""
    due: int | None = connection.execute(_NEXT_DUE, {"after": after}).scalar_one()
    return due
