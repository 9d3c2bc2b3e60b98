"""Messages of a mailbox: kept copies of stored contents, with labels and threads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from postroad.database import content as contents
from postroad.database.rows import Rows, into
from postroad.database.schema import content, message, message_label
from postroad.mail import threads
from postroad.mail.copies import Insertion, with_insertions
from postroad.mail.threads import Ancestry

# Labels in the order in which Gmail lists them for mail sent to oneself (gmail-wire.md 3.4).
SENT = ("SENT",)
RECEIVED = ("UNREAD", "INBOX")
SENT_TO_ONESELF = ("UNREAD", "SENT", "INBOX")

_insertions = msgspec.msgpack.Encoder()
_read_insertions = msgspec.msgpack.Decoder(tuple[tuple[int, bytes], ...])

# Of the contents with a Message-ID in question the newest so many are looked at, and of so many the Subject: who
# sends one Message-ID a million times shall not slow down its answers.
NAMESAKES = 100
COMPARED = 5


class Stored(NamedTuple):
    """One message of a mailbox. `internal_date` is in milliseconds; `size` counts the octets of this copy."""

    account_id: int
    gmail_id: int
    thread_id: int
    content_id: int
    insertions: tuple[Insertion, ...]
    size: int
    internal_date: int
    labels: tuple[str, ...]
    queue_id: int | None = None
    forward_path: str | None = None


_MESSAGES = into(message, *(name for name in Stored._fields if name != "labels"))
_LABELS = into(message_label, "account_id", "gmail_id", "label")


def rows(stored: Stored) -> Rows:
    """The rows that put this message into its mailbox."""
    account_id, gmail_id, thread_id, content_id, insertions, size, date, labels, queue_id, forward_path = stored
    packed = _insertions.encode([(one.offset, one.octets) for one in insertions])
    return {
        _MESSAGES: [(account_id, gmail_id, thread_id, content_id, packed, size, date, queue_id, forward_path)],
        _LABELS: [(account_id, gmail_id, label) for label in labels],
    }


@dataclass(frozen=True, slots=True)
class Totals:
    """How many messages and threads a mailbox has, and the number of its newest message; `None` without any."""

    messages: int
    threads: int
    newest: int | None


def totals(connection: Connection, account_id: int) -> Totals:
    """What that mailbox holds."""
    numbers = select(func.count(), func.count(message.c.thread_id.distinct()), func.max(message.c.gmail_id)).where(
        message.c.account_id == account_id
    )
    return Totals(*connection.execute(numbers).one())


def find(connection: Connection, account_id: int, gmail_id: int) -> Stored | None:
    """The message of that number in that mailbox."""
    row = connection.execute(_of(account_id).where(message.c.gmail_id == gmail_id)).one_or_none()
    return _from(connection, row) if row else None


def page(
    connection: Connection, account_id: int, *, before: int | None, limit: int, labels: Sequence[str] = ()
) -> list[Stored]:
    """Up to `limit` messages, newest first, older than the one numbered `before`, each with all `labels`."""
    question = _of(account_id).order_by(message.c.gmail_id.desc()).limit(limit)
    if before is not None:
        question = question.where(message.c.gmail_id < before)
    for label in labels:
        question = question.where(_labelled(label))
    return [_from(connection, row) for row in connection.execute(question)]


def thread_exists(connection: Connection, account_id: int, thread_id: int) -> bool:
    """Whether a message of that mailbox belongs to that thread."""
    question = select(message.c.gmail_id).where(
        message.c.account_id == account_id, message.c.thread_id == thread_id
    )
    return connection.execute(question.limit(1)).first() is not None


def thread_answered(
    connection: Connection, account_id: int, ancestry: Ancestry, *, any_subject: bool = False
) -> int | None:
    """The thread of the nearest message of that mailbox that is answered; `None` when there is none.

    Both must have one base subject, unless `any_subject` (DESIGN.md section 7).
    """
    namesakes = (
        select(content.c.content_id, content.c.message_id)
        .where(content.c.message_id.in_(ancestry.message_ids))
        .order_by(content.c.content_id.desc())
        .limit(NAMESAKES)
        .subquery()
    )
    found = connection.execute(
        select(message.c.thread_id, namesakes)
        .join(namesakes, message.c.content_id == namesakes.c.content_id)
        .where(message.c.account_id == account_id)
        .order_by(namesakes.c.content_id.desc())
    ).all()
    for row in sorted(found, key=lambda row: ancestry.message_ids.index(row.message_id))[:COMPARED]:
        header_section = b"" if any_subject else contents.header_section(connection, row.content_id)
        if any_subject or threads.subject_of(header_section) == ancestry.subject:
            return int(row.thread_id)
    return None


def delivered(connection: Connection, account_id: int, queue_id: int, forward_path: str) -> bool:
    """Whether this recipient of this queue entry has its copy already."""
    question = select(message.c.gmail_id).where(
        message.c.account_id == account_id,
        message.c.queue_id == queue_id,
        message.c.forward_path == forward_path,
    )
    return connection.execute(question).first() is not None


def octets(connection: Connection, stored: Stored) -> bytes:
    """The whole copy, as its owner sees it."""
    return with_insertions(contents.whole(connection, stored.content_id), stored.insertions)


def beginning(connection: Connection, stored: Stored, octets_of_body: int) -> bytes:
    """The content without what is this copy's own, as far as to so many octets of its body."""
    wanted = len(contents.header_section(connection, stored.content_id)) + len(b"\r\n") + octets_of_body
    begun, ordinal = b"", 0
    while len(begun) < wanted and (more := contents.chunk(connection, stored.content_id, ordinal)) is not None:
        begun += more
        ordinal += 1
    return begun[:wanted]


def header_section(connection: Connection, stored: Stored) -> bytes:
    """The header section of the copy, as its owner sees it: whatever a copy has beyond its content is there."""
    return with_insertions(contents.header_section(connection, stored.content_id), stored.insertions)


def _of(account_id: int) -> Select[tuple[object, ...]]:
    return select(message).where(message.c.account_id == account_id)


def _labelled(label: str) -> ColumnElement[bool]:
    return (
        select(message_label.c.label)
        .where(
            message_label.c.account_id == message.c.account_id,
            message_label.c.gmail_id == message.c.gmail_id,
            message_label.c.label == label,
        )
        .exists()
    )


def _from(connection: Connection, row: Row[tuple[object, ...]]) -> Stored:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    insertions = tuple(Insertion(*pair) for pair in _read_insertions.decode(values.pop("insertions")))
    labels = connection.execute(
        select(message_label.c.label).where(
            message_label.c.account_id == values["account_id"], message_label.c.gmail_id == values["gmail_id"]
        )
    ).scalars()
    return Stored(insertions=insertions, labels=tuple(sorted(labels, key=_place)), **values)


def _place(label: str) -> int:
    return SENT_TO_ONESELF.index(label) if label in SENT_TO_ONESELF else len(SENT_TO_ONESELF)
