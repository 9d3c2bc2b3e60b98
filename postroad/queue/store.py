"""The queue's rows: put, mark, renew, release, look. Plain functions on a connection; claims have their own."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    Connection,
    Row,
    bindparam,
    case,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from postroad.database.rows import Rows, into
from postroad.database.schema import attempt, content, queue_entry, recipient
from postroad.mail.envelope import Envelope
from postroad.mail.reply import Reply
from postroad.queue import schedule

QUEUED = "queued"
RELAYED = "relayed"
FAILED = "failed"
HELD = "held"

# How long a claim holds without being renewed; a dead node's mail goes on elsewhere after it.
LEASE = 60_000

_ENTRIES = into(queue_entry, "queue_id", "account_id", "content_id", "reverse_path", "accepted_at")
_TO = ("queue_id", "account_id", "forward_path", "destination", "envelope", "blind")
_DESTINATION = _TO.index("destination")
RECIPIENTS = into(recipient, *_TO, "state", "due_at", "attempts", "notices")
RECIPIENT = (recipient.c.queue_id, recipient.c.forward_path)
# In schema.py the due time of a claimed recipient is its lease's end: one condition finds new and abandoned work.
# Written out, not bound: the indexes of what waits are for this condition, and planners want to see it.
WAITS = recipient.c.state == literal_column(f"'{QUEUED}'")
_IS_HELD = recipient.c.state == literal_column(f"'{HELD}'")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A claimed recipient: what earlier attempts left behind."""

    forward_path: str
    attempts: int
    notices: int
    in_doubt_at: int | None
    in_doubt_host: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """Recipients of one envelope and destination under one lease, and the facts of their message."""

    lease: int
    queue_id: int
    account_id: int
    content_id: int
    destination: str
    reverse_path: str | None
    accepted_at: int
    size: int
    longest_line: int
    eight_bit: bool
    utf8_header: bool
    tls_optional: bool
    message_id: str
    recipients: tuple[Waiting, ...]
    blind: bool = False
    # The whole content, if it is small.
    octets: bytes | None = None
    # Set when nobody is to be asked: the destination's last reply stands for this try (shaping.PATIENCE).
    unreached: Reply | None = None

    @property
    def envelope(self) -> Envelope:
        """The envelope of the mail transaction to try."""
        return Envelope(self.reverse_path, tuple(waiting.forward_path for waiting in self.recipients), self.blind)

    @property
    def in_doubt_host(self) -> str | None:
        """Who may have taken this message already; it is asked first (hardening.md 3.3, W2)."""
        return next((waiting.in_doubt_host for waiting in self.recipients if waiting.in_doubt_host), None)


def put(
    queue_id: int,
    account_id: int,
    content_id: int,
    envelopes: Iterable[Envelope],
    destination_of: Callable[[str], str],
    now: int,
) -> Rows:
    """The rows of a new queue entry; every recipient is due at once. All envelopes share one reverse-path."""
    found = list(envelopes)
    return {
        _ENTRIES: [(queue_id, account_id, content_id, found[0].reverse_path, now)],
        RECIPIENTS: [
            (queue_id, account_id, path, destination_of(path), ordinal, envelope.blind, QUEUED, now, 0, 0)
            for ordinal, envelope in enumerate(found)
            for path in envelope.forward_paths
        ],
    }


def destinations(rows: Rows) -> set[str]:
    """Where the recipients among rows that are put go."""
    return {row[_DESTINATION] for row in rows.get(RECIPIENTS, ())}


@dataclass(frozen=True, slots=True)
class Mark:
    """Before the final dot: `host` may take the message of this claim."""

    claimed: Claim
    host: str
    now: int


_MARK = (
    update(recipient)
    .where(tuple_(*RECIPIENT).in_(bindparam("these", expanding=True)))
    .values(in_doubt_at=bindparam("at"), in_doubt_host=bindparam("host"))
)


def mark_in_doubt(connection: Connection, marks: Sequence[Mark]) -> list[bool]:
    """Note each mark; false for those whose lease is no longer ours, and of these nothing is noted."""
    ours = still_ours(connection, [mark.claimed for mark in marks])
    hosts: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for mark, good in zip(marks, ours, strict=True):
        if good:
            hosts[mark.host] += _recipients(mark.claimed)
    now = max(mark.now for mark in marks)
    for host, these in hosts.items():
        connection.execute(_MARK, {"these": these, "at": now, "host": host})
    return ours


def renew(connection: Connection, claims: Collection[Claim], now: int) -> None:
    """Hold what is still under the leases of these claims for another `LEASE`."""
    held = (
        recipient.c.queue_id.in_({claimed.queue_id for claimed in claims}),
        recipient.c.lease.in_({claimed.lease for claimed in claims}),
    )
    connection.execute(update(recipient).where(WAITS, *held).values(due_at=now + LEASE))


def pull_in(connection: Connection, now: int) -> None:
    """Make due at once what waits longer than any pause: the clock that said so has gone back since."""
    stranded = recipient.c.due_at > now + schedule.LONGEST_PAUSE
    connection.execute(update(recipient).where(WAITS, stranded).values(due_at=now))


def release(connection: Connection, claimed: Claim, now: int) -> None:
    """Give back what was claimed and not tried, as far as it is still under this claim's lease."""
    these = (tuple_(*RECIPIENT).in_(_recipients(claimed)), recipient.c.lease == claimed.lease)
    connection.execute(update(recipient).where(*these).values(lease=None, due_at=now))


def release_all(connection: Connection, now: int) -> None:
    """Give back every claim, when there can be no other node; whatever is in doubt is due at once."""
    left_behind = or_(recipient.c.lease.is_not(None), recipient.c.in_doubt_at.is_not(None))
    connection.execute(update(recipient).where(WAITS, left_behind).values(lease=None, due_at=now))


def reroute(connection: Connection, destination_of: Callable[[str | None, str], str], now: int) -> None:
    """Give every waiting recipient its destination anew, after a setting that decides it has changed.

    `destination_of` takes reverse-path and forward-path. Who gets another and is under no claim is due at once: it
    was the old one that had them wait.
    """
    waiting = connection.execute(
        select(*RECIPIENT, recipient.c.destination, queue_entry.c.reverse_path)
        .join_from(recipient, queue_entry, recipient.c.queue_id == queue_entry.c.queue_id)
        .where(or_(WAITS, _IS_HELD))
    )
    changes = [
        {"of_queue_id": row.queue_id, "of_forward_path": row.forward_path, "to": destination, "at": now}
        for row in waiting
        if (destination := destination_of(row.reverse_path, row.forward_path)) != row.destination
    ]
    if changes:
        connection.execute(_REROUTE, changes)


_REROUTE = (
    update(recipient)
    .where(
        recipient.c.queue_id == bindparam("of_queue_id"), recipient.c.forward_path == bindparam("of_forward_path")
    )
    .values(
        destination=bindparam("to"),
        due_at=case((recipient.c.lease.is_(None), bindparam("at")), else_=recipient.c.due_at),
    )
)


def _recipients(claimed: Claim) -> list[tuple[int, str]]:
    return [(claimed.queue_id, waiting.forward_path) for waiting in claimed.recipients]


_LEASES = (
    select(*RECIPIENT, recipient.c.lease)
    .where(tuple_(*RECIPIENT).in_(bindparam("these", expanding=True)), recipient.c.lease.is_not(None))
    .with_for_update()
)


def still_ours(connection: Connection, claims: Sequence[Claim]) -> list[bool]:
    """Of each claim, whether all its recipients are still under its lease: the fence no stale claim passes.

    Until the end of the transaction nobody else can take them.
    """
    these = [one for claimed in claims for one in _recipients(claimed)]
    leases = {(row[0], row[1]): row[2] for row in connection.execute(_LEASES, {"these": these})}
    return [all(leases.get(one) == claimed.lease for one in _recipients(claimed)) for claimed in claims]


@dataclass(frozen=True, slots=True)
class Fate:
    """A recipient as the operator sees it. Times in milliseconds."""

    forward_path: str
    state: str
    destination: str
    attempts: int
    due_at: int
    claimed: bool
    in_doubt: bool
    reply: Reply | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A queue entry as the operator sees it."""

    queue_id: int
    reverse_path: str | None
    accepted_at: int
    size: int
    message_id: str
    recipients: tuple[Fate, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt as the operator sees it."""

    started_at: int
    ended_at: int
    host: str
    outcome: str
    conversation: str
    after_in_doubt: bool


def listing(connection: Connection, *, limit: int, waiting_only: bool) -> list[Entry]:
    """Up to `limit` entries, newest first; with `waiting_only` those with a recipient that waits or is held."""
    question = select(queue_entry.c.queue_id).order_by(queue_entry.c.queue_id.desc()).limit(limit)
    if waiting_only:
        kept = (select(recipient.c.queue_id).where(state) for state in (WAITS, _IS_HELD))
        question = question.where(queue_entry.c.queue_id.in_(union_all(*kept)))
    found = (look(connection, queue_id) for queue_id in connection.execute(question).scalars().all())
    return [entry for entry in found if entry]


def look(connection: Connection, queue_id: int) -> Entry | None:
    """One entry with its recipients."""
    entry = connection.execute(
        select(queue_entry, content)
        .join_from(queue_entry, content, queue_entry.c.content_id == content.c.content_id)
        .where(queue_entry.c.queue_id == queue_id)
    ).one_or_none()
    if entry is None:
        return None
    rows = connection.execute(
        select(recipient).where(recipient.c.queue_id == queue_id).order_by(recipient.c.envelope)
    )
    return Entry(
        queue_id,
        entry.reverse_path,
        entry.accepted_at,
        entry.size,
        entry.message_id,
        tuple(_fate(row) for row in rows),
    )


def _fate(row: Row[tuple[object, ...]]) -> Fate:
    reply = Reply(row.reply_code, row.reply_status, row.reply_text) if row.reply_code else None
    return Fate(
        row.forward_path,
        row.state,
        row.destination,
        row.attempts,
        row.due_at,
        row.lease is not None,
        row.in_doubt_at is not None,
        reply,
    )


def attempts(connection: Connection, queue_id: int) -> list[Tried]:
    """Every attempt of an entry, in order, each with its SMTP conversation."""
    rows = connection.execute(select(attempt).where(attempt.c.queue_id == queue_id).order_by(attempt.c.attempt_id))
    return [
        Tried(row.started_at, row.ended_at, row.host, row.outcome, row.conversation, row.after_in_doubt)
        for row in rows
    ]
