"""Claims: who is tried next, under a lease. Destination by destination, each through its gate (shaping.py)."""

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, select, tuple_, update

from postroad.database.schema import content, content_chunk, queue_entry, recipient
from postroad.mail.reply import Reply
from postroad.queue import gates, shaping, waiting
from postroad.queue.shaping import RECIPIENTS_PER_CLAIM, Candidate, Gate, Limits
from postroad.queue.store import LEASE, RECIPIENT, Claim, Waiting
from postroad.queue.waiting import Moment

_ANY = Limits()


def claim(
    connection: Connection, *, lease: int, now: int, running: Collection[Claim] = (), limits: Limits = _ANY
) -> list[Claim]:
    """Take due recipients under `lease`: as many as the gates and `limits` have room for.

    `running` is what the claimant is at work on: that it never takes from itself, although leases run out
    when the clock leaps or the machine sleeps.
    """
    moment = Moment(now, {one.lease for one in running})
    in_flight = waiting.in_flight(connection, moment)
    here = Counter(one.destination for one in running if one.unreached is None)
    found: list[Claim] = []
    for destination in sorted(waiting.destinations(connection, moment), key=lambda one: in_flight[one]):
        slots = shaping.share(destination, here, limits)
        gate = gates.locked(connection, destination) if slots else None
        if gate is None:
            continue
        room = shaping.room(gate, limits, in_flight=in_flight[destination], now=now)
        if room:
            taken = _take(connection, moment, lease, gate, min(room, slots))
            here[destination] += len(taken)
            found += taken
        elif gate.reply is not None and not in_flight[destination]:
            found += _take_overdue(connection, moment, lease, gate)
    return found


def _take(connection: Connection, moment: Moment, lease: int, gate: Gate, transactions: int) -> list[Claim]:
    """Due recipients of up to so many mail transactions, the accounts taking turns.

    When the oldest are all there are, everybody's turn can be seen in them. Else whole accounts may be hidden
    behind them, and those whose turn it is are looked up.
    """
    found = shaping.rotated(waiting.oldest(connection, moment, gate.destination), gate.turn)
    passed: list[tuple[int, int | None]] = [(one.account_id, one.queue_id) for one in found]
    if len(found) == RECIPIENTS_PER_CLAIM:
        passed = waiting.pass_by(connection, moment, gate.destination, gate.turn)
        first = [queue_id for _, queue_id in passed if queue_id is not None][:transactions]
        found = waiting.of_entries(connection, moment, gate.destination, first, gate.turn) + found
    chosen = shaping.choose(found, transactions)
    turn = shaping.left_off(passed, {one.account_id for one in chosen}, gate.turn)
    if turn != gate.turn:
        gates.pass_turn(connection, gate.destination, turn)
    return _under_lease(connection, moment, lease, chosen)


def _take_overdue(connection: Connection, moment: Moment, lease: int, gate: Gate) -> list[Claim]:
    """What has waited behind a closed gate for so long that its time counts as a try, with nobody asked."""
    earlier = Moment(moment.now - shaping.PATIENCE, moment.held)
    overdue = waiting.oldest(connection, earlier, gate.destination)
    return _under_lease(connection, moment, lease, overdue, unreached=gate.reply)


_TAKE = (
    update(recipient)
    .where(tuple_(*RECIPIENT).in_(bindparam("these", expanding=True)), waiting.DUE)
    .values(lease=bindparam("new_lease"), due_at=bindparam("until"))
    .returning(recipient)
)


def _under_lease(
    connection: Connection, moment: Moment, lease: int, chosen: list[Candidate], unreached: Reply | None = None
) -> list[Claim]:
    """Put them under the lease: those that are still due when their rows are locked."""
    if not chosen:
        return []
    these = [(one.queue_id, one.forward_path) for one in chosen]
    values = moment.parameters(these=these, new_lease=lease, until=moment.now + LEASE)
    return of_rows(connection, lease, connection.execute(_TAKE, values).all(), unreached)


# A small content comes along: asking for it later, on a reader's thread, costs more than all of the claim.
SMALL = 32 * 1024
_ALONG = and_(
    content_chunk.c.content_id == content.c.content_id, content_chunk.c.ordinal == 0, content.c.size <= SMALL
)
_ENTRIES = (
    select(queue_entry, content, content_chunk.c.octets)
    .join_from(queue_entry, content, queue_entry.c.content_id == content.c.content_id)
    .outerjoin(content_chunk, _ALONG)
    .where(queue_entry.c.queue_id.in_(bindparam("queue_ids", expanding=True)))
)


def of_rows(
    connection: Connection, lease: int, taken: Sequence[Row[Any]], unreached: Reply | None = None
) -> list[Claim]:
    """The claims of these recipients, which are under `lease`: one for each envelope and destination."""
    queue_ids = {row.queue_id for row in taken}
    entries = {row.queue_id: row for row in connection.execute(_ENTRIES, {"queue_ids": list(queue_ids)})}
    return [
        _claim(lease, entries[queue_id], list(rows), unreached)
        for (queue_id, _, _), rows in groupby(sorted(taken, key=_envelope_of), key=_envelope_of)
    ]


def _envelope_of(row: Row[Any]) -> tuple[int, int, str]:
    return (row.queue_id, row.envelope, row.destination)


def _claim(lease: int, entry: Row[Any], rows: list[Row[Any]], unreached: Reply | None) -> Claim:
    return Claim(
        lease=lease,
        queue_id=entry.queue_id,
        account_id=entry.account_id,
        content_id=entry.content_id,
        destination=rows[0].destination,
        reverse_path=entry.reverse_path,
        accepted_at=entry.accepted_at,
        size=entry.size,
        longest_line=entry.longest_line,
        eight_bit=entry.eight_bit,
        utf8_header=entry.utf8_header,
        message_id=entry.message_id,
        octets=entry.octets if entry.octets and len(entry.octets) == entry.size else None,
        recipients=tuple(
            Waiting(row.forward_path, row.attempts, row.notices, row.in_doubt_at, row.in_doubt_host)
            for row in sorted(rows, key=lambda row: row.forward_path)
        ),
        blind=rows[0].blind,
        unreached=unreached,
    )


def next_due(connection: Connection, *, after: int) -> int | None:
    """When something may be claimed that could not be at `after`, unless a claim ends or mail comes before."""
    moments = (waiting.next_due(connection, after=after), gates.next_try(connection, after=after))
    return min((moment for moment in moments if moment is not None), default=None)
