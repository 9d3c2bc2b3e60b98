"""What mailboxes forget: messages that came before a horizon, account by account, a few at a time."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, func, select

from postroad.database import loose
from postroad.database.identifiers import first_of
from postroad.database.schema import message, message_label


def next_account(connection: Connection, *, after: int) -> int | None:
    """The next account, in order, that has a message."""
    found: int | None = connection.execute(
        select(func.min(message.c.account_id)).where(message.c.account_id > after)
    ).scalar_one()
    return found


def aged(connection: Connection, account_id: int, horizon: int, *, after: int, limit: int) -> dict[int, int]:
    """The next messages of that mailbox from before `horizon`, with a number over `after`: each one's content."""
    question = (
        select(message.c.gmail_id, message.c.content_id)
        .where(
            message.c.account_id == account_id, message.c.gmail_id > after, message.c.gmail_id < first_of(horizon)
        )
        .order_by(message.c.gmail_id)
        .limit(limit)
    )
    return {row.gmail_id: row.content_id for row in connection.execute(question)}


def forget(connection: Connection, account_id: int, gmail_ids: Collection[int]) -> int:
    """Remove these messages; their contents are left for `loose.remove`."""
    connection.execute(
        delete(message_label).where(
            message_label.c.account_id == account_id, message_label.c.gmail_id.in_(gmail_ids)
        )
    )
    gone = delete(message).where(message.c.account_id == account_id, message.c.gmail_id.in_(gmail_ids))
    content_ids = connection.execute(gone.returning(message.c.content_id)).scalars().all()
    loose.mark(connection, set(content_ids))
    return len(content_ids)
