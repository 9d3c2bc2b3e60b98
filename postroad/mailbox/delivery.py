"""The local attempt: puts a recipient's copy into a mailbox of this server (an MDA, RFC 5598 section 4.3.3).

Idempotent on (queue entry, forward-path): repeated after a crash, it makes no second copy.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from postroad.database import content as contents
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.database.rows import insert
from postroad.mail.copies import Insertion
from postroad.mail.outcome import Attempted, Errand, Failed, MarkInDoubt, Outcome, Relayed
from postroad.mail.reply import Reply
from postroad.mail.threads import Ancestry, ancestry
from postroad.mailbox import messages

DELIVERED = Reply(250, "2.1.5", "delivered to a mailbox here")
NO_MAILBOX = Reply(550, "5.1.1", "there is no such mailbox here")
DISABLED = Reply(550, "5.2.1", "this mailbox is disabled")

# Answers which mailbox an address means: its number, or the reply that refuses it.
Mailboxes = Callable[[Connection, str, int], int | Reply]


@dataclass(frozen=True, slots=True)
class LocalDelivery:
    """Delivers errands into mailboxes that `mailboxes` names; `clock` tells the time in milliseconds."""

    database: Database
    identifiers: Identifiers
    mailboxes: Mailboxes
    clock: Callable[[], int]

    async def attempt(self, errand: Errand, _in_doubt: MarkInDoubt) -> Attempted:
        """Deliver to every forward-path in one transaction; nothing is ever in doubt."""
        now = self.clock()
        content_id = errand.content.content_id
        answers = await self.database.read(lambda connection: _answers(connection, content_id))

        def deliver_all(connection: Connection) -> dict[str, Outcome]:
            paths = errand.envelope.forward_paths
            return {path: self._deliver(connection, errand, answers, path, now) for path in paths}

        outcomes = await self.database.commit(deliver_all)
        return Attempted("", outcomes, "= delivered on this server, without SMTP")

    def _deliver(
        self, connection: Connection, errand: Errand, answers: Ancestry | None, forward_path: str, now: int
    ) -> Outcome:
        mailbox = self.mailboxes(connection, forward_path, now)
        if isinstance(mailbox, Reply):
            return Failed(mailbox)
        if not messages.delivered(connection, mailbox, errand.queue_id, forward_path):
            gmail_id = self.identifiers.next(now)
            thread_id = _thread(connection, errand, answers, mailbox)
            insert(connection, messages.rows(_copy(errand, forward_path, mailbox, gmail_id, thread_id, now)))
        return Relayed(DELIVERED)


def _answers(connection: Connection, content_id: int) -> Ancestry | None:
    return ancestry(contents.header_section(connection, content_id))


def _thread(connection: Connection, errand: Errand, answers: Ancestry | None, account_id: int) -> int | None:
    """A report has a Subject of its own, and stands with what it is about (gmail-wire.md 7.6)."""
    if answers is None:
        return None
    is_report = errand.envelope.reverse_path is None
    return messages.thread_answered(connection, account_id, answers, any_subject=is_report)


def _copy(
    errand: Errand, forward_path: str, account_id: int, gmail_id: int, thread_id: int | None, now: int
) -> messages.Stored:
    """The recipient's copy: the content, and the Return-Path that final delivery writes (RFC 5321 section 4.4)."""
    return_path = f"Return-Path: <{errand.envelope.reverse_path or ''}>\r\n".encode()
    return messages.Stored(
        account_id=account_id,
        gmail_id=gmail_id,
        thread_id=thread_id or gmail_id,
        content_id=errand.content.content_id,
        insertions=(Insertion(0, return_path),),
        size=errand.content.size + len(return_path),
        internal_date=now,
        labels=messages.RECEIVED,
        queue_id=errand.queue_id,
        forward_path=forward_path,
    )
