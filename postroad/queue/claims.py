"""Claims: who is tried next, under a lease. Destination by destination, each through its gate (shaping.py)."""

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, bindparam, select, tuple_, update

from postroad.database.schema import content, content_chunk, queue_entry, recipient
from postroad.mail.envelope import LOCAL
from postroad.mail.reply import Reply
from postroad.queue import gates, shaping, waiting
from postroad.queue.rota import Rota
from postroad.queue.shaping import RECIPIENTS_PER_CLAIM, Candidate, Gate, Limits
from postroad.queue.store import LEASE, RECIPIENT, Claim, Waiting
from postroad.queue.waiting import Moment

_ANY = Limits()


def claim(  # noqa: PLR0913 - what a claimant knows of itself
    connection: Connection,
    *,
    lease: int,
    now: int,
    running: Collection[Claim] = (),
    settling: Collection[Claim] = (),
    limits: Limits = _ANY,
    rota: Rota | None = None,
) -> list[Claim]:
    """Take due recipients under `lease`: as many as the gates and `limits` have room for.

    `running` is what the claimant is at work on: that it never takes from itself, although leases run out
    when the clock leaps or the machine sleeps. Of that, what has only to be settled takes no slot: `settling`.
    `rota` is what it remembers from its last claim; it looks at `rota.LOOKS` destinations at most.
    """
    moment = Moment(now, {one.lease for one in running})
    rota = rota or Rota()
    in_flight = waiting.in_flight(connection, moment)
    _look_out(connection, moment, rota, in_flight)
    here = _tried(running)
    here.subtract(_tried(settling))
    left = shaping.left(here, limits)

    def share(name: str) -> int:
        return shaping.share(name, here, limits, left=left, answers=rota.answers(name))

    found: list[Claim] = []
    names = rota.turn(lambda name: share(name) > 0, only_here=left <= 0)
    opened = gates.locked(connection, names) if names else {}
    for name in sorted(names, key=lambda one: in_flight[one]):
        slots = share(name)
        if slots and name in opened:
            taken = _pass(connection, moment, lease, rota, _Way(opened[name], limits, in_flight[name], slots))
            count = sum(one.unreached is None for one in taken)
            here[name] += count
            left -= 0 if name == LOCAL else count
            found += taken
        elif slots:
            rota.again(name)
    return found


def _tried(claims: Collection[Claim]) -> Counter[str]:
    """How many of them, by destination, somebody is asked for."""
    return Counter(one.destination for one in claims if one.unreached is None)


def _look_out(connection: Connection, moment: Moment, rota: Rota, in_flight: Counter[str]) -> None:
    """Note which destinations have something due."""
    since = rota.begin(moment.now)
    rota.reopen(moment.now, in_flight)
    rota.saw(*waiting.news(connection, moment, since))
    if rota.wants_piece(moment.now):
        rota.went_round(moment.now, *waiting.go_round(connection, moment, rota.position))


class _Way(NamedTuple):
    """The way to a destination: its gate, what is in flight through it, and the claimant's slots."""

    gate: Gate
    limits: Limits
    in_flight: int
    slots: int


def _pass(connection: Connection, moment: Moment, lease: int, rota: Rota, way: _Way) -> list[Claim]:
    """What may go through a gate now; and when the next look at it is worth while."""
    gate, now = way.gate, moment.now
    room = shaping.room(gate, way.limits, in_flight=way.in_flight, now=now)
    if room:
        taken = _take(connection, moment, lease, gate, min(room, way.slots))
        if len(taken) >= room:
            rota.full(gate.destination, now, way.in_flight + len(taken))
        else:
            (rota.again if taken else rota.done)(gate.destination)
        return taken
    overdue = _take_overdue(connection, moment, lease, gate) if shaping.ages(gate, way.in_flight) else []
    if overdue:
        rota.again(gate.destination)
    elif gate.next_try is not None and now < gate.next_try:
        rota.shut(gate.destination, now, gate.next_try)
    else:
        rota.full(gate.destination, now, way.in_flight)
    return overdue


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
        tls_optional=entry.tls_optional,
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
