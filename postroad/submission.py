"""Takes mail from an author: may this account send this? Then one transaction holds all of it (RFC 6409).

Responsibility passes when `submit` returns: content, the author's copy and the queue entry are on disk.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Literal, ParamSpec, TypeVar

from sqlalchemy.exc import IntegrityError

from postroad import maillog, refusals
from postroad.database import content as contents
from postroad.database.commit import Rows
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers, text_of
from postroad.mail import added, message, transmission
from postroad.mail.address import BadAddress, Mailbox, parse_list, same_mailbox
from postroad.mail.copies import Copies, copies
from postroad.mail.envelope import BccTransactions, Recipients, envelopes, recipients
from postroad.mail.message import Message
from postroad.mailbox import messages
from postroad.oauth.accounts import Account
from postroad.queue import store

P = ParamSpec("P")
T = TypeVar("T")

FromPolicy = Literal["rewrite", "refuse"]
# Given all forward-paths of a message, answers with a function from each to its destination.
Route = Callable[[list[str]], Awaitable[Callable[[str], str]]]

# How often a message is given another number: two in a row are taken once in 2^40 times.
OTHER_NUMBERS = 2
# Octets that are parsed faster than a thread is asked to.
PARSED_ON_LOOP = 64 * 1024
# A display name longer than this is dropped when its address is rewritten.
MAX_KEPT_NAME = 600


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decided about submissions. Sizes in octets."""

    hostname: str
    from_policy: FromPolicy
    bcc_transactions: BccTransactions
    max_size: int
    max_recipients: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message found fit to be sent: its copies, who receives it, and the facts stored with it."""

    copies: Copies
    recipients: Recipients
    longest_line: int
    eight_bit: bool
    utf8_header: bool
    message_id: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the author is told."""

    gmail_id: int
    thread_id: int
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Submission:
    """Accepts messages into `database`. `route` tells the destinations of addresses; `wake` stirs the queue."""

    database: Database
    identifiers: Identifiers
    policy: Policy
    route: Route
    wake: Callable[[], None]

    async def submit(
        self, account: Account, submitted: bytes | bytearray, thread_id: int | None, now: int
    ) -> Accepted:
        """Accept one message of `account`. Raises a `Refusal`, and then nothing has been stored."""
        for _ in range(OTHER_NUMBERS):
            with suppress(IntegrityError):  # another node took the same number in the same millisecond
                return await self._submit(account, submitted, thread_id, now)
        return await self._submit(account, submitted, thread_id, now)

    async def _submit(
        self, account: Account, submitted: bytes | bytearray, thread_id: int | None, now: int
    ) -> Accepted:
        began = perf_counter()
        self.database.health.refuse_unless_roomy(2 * len(submitted))
        gmail_id = self.identifiers.next(now)
        prepared = await unless_small(
            len(submitted), prepare, account.address, submitted, self.policy, gmail_id, now
        )
        if thread_id is not None:
            await self._refuse_unknown_thread(account, thread_id)
        accepted, rows = await self._rows(account, prepared, gmail_id, thread_id or gmail_id, now)
        await self.database.insert(rows)
        seconds = perf_counter() - began
        maillog.accepted(gmail_id, account.address, prepared.copies.size, len(prepared.recipients), seconds)
        self.wake()
        return accepted

    async def _refuse_unknown_thread(self, account: Account, thread_id: int) -> None:
        if not await self.database.read(
            lambda connection: messages.thread_exists(connection, account.account_id, thread_id)
        ):
            raise refusals.NotFound(f"{account.address} has no thread {text_of(thread_id)}")

    async def _rows(
        self, account: Account, prepared: Prepared, gmail_id: int, thread_id: int, now: int
    ) -> tuple[Accepted, Rows]:
        """Everything one acceptance inserts."""
        others, to_oneself = without(prepared.recipients, account.address)
        labels = messages.SENT_TO_ONESELF if to_oneself else messages.SENT
        found = envelopes(account.address, others, self.policy.bcc_transactions)
        rows = {
            **_content(account, prepared, gmail_id),
            **messages.rows(_authors_copy(account, prepared, gmail_id, thread_id, now, labels)),
        }
        if found:
            destination_of = await self.route([path for one in found for path in one.forward_paths])
            rows |= store.put(gmail_id, account.account_id, gmail_id, found, destination_of, now)
        return Accepted(gmail_id, thread_id, labels), rows


async def unless_small(size: int, parse: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `parse` here if it has little to read, else on a thread, so that nobody else is kept waiting."""
    if size <= PARSED_ON_LOOP:
        return parse(*args, **kwargs)
    return await asyncio.to_thread(parse, *args, **kwargs)


def prepare(author: str, submitted: bytes | bytearray, policy: Policy, gmail_id: int, now: int) -> Prepared:
    """Check a submitted message and make its copies. Pure; raises a `Refusal`."""
    if len(submitted) > policy.max_size:
        raise refusals.BodyTooLarge(limit=policy.max_size)
    parsed = message.parse(submitted)
    found = recipients(parsed, limit=policy.max_recipients)
    queue_id = text_of(gmail_id)
    lines = added.lines(
        parsed,
        author=author,
        hostname=policy.hostname,
        queue_id=queue_id,
        now=datetime.fromtimestamp(now // 1000, UTC),
    )
    made = copies(parsed, lines, author_line(parsed, author, policy.from_policy))
    if not transmission.foldable(made.header_section):
        raise refusals.InvalidMessage(problem="a header line over 998 octets has no white space to fold at")
    return Prepared(
        copies=made,
        recipients=found,
        longest_line=transmission.longest_line(parsed.content, at_least=transmission.LINE_LIMIT),
        eight_bit=transmission.is_eight_bit(made.rest),
        utf8_header=transmission.headers_need_smtputf8(made.header_section),
        message_id=parsed.text("Message-ID") if parsed.first("Message-ID") else f"<{queue_id}@{policy.hostname}>",
    )


def author_line(parsed: Message, author: str, policy: FromPolicy) -> bytes | None:
    """The From field to write in the place of the one submitted; `None` when that one may stand.

    Raises `InvalidHeader` for one that cannot be read, names several people, or is another's under `refuse`.
    """
    field = parsed.first("From")
    if field is None:
        return None
    if field.text.lower() in ("", "me"):
        return f"From: {author}\r\n".encode()
    people = _people(field.body)
    if all(same_mailbox(person.address, author) for person in people):
        return None
    if len(people) > 1 or policy == "refuse":
        raise refusals.InvalidHeader(f"From is not {author}", name="From")
    return _rewritten(people[0], author)


def _people(body: bytes) -> tuple[Mailbox, ...]:
    try:
        people = parse_list(body)
    except BadAddress as bad:
        raise refusals.InvalidHeader(f"From: {bad}", name="From") from bad
    if not people:
        raise refusals.InvalidHeader("From names nobody", name="From")
    return people


def _rewritten(person: Mailbox, author: str) -> bytes:
    """The author's own address under the name the author chose, as Gmail does (gmail-wire.md 7.1)."""
    if person.display_name and len(person.display_name.encode()) <= MAX_KEPT_NAME:
        return f"From: {person.display_name} <{author}>\r\n".encode()
    return f"From: {author}\r\n".encode()


def without(found: Recipients, address: str) -> tuple[Recipients, bool]:
    """The recipients other than `address`, and whether it was among them."""
    visible = tuple(path for path in found.visible if not same_mailbox(path, address))
    blind = tuple(path for path in found.blind if not same_mailbox(path, address))
    others = Recipients(visible, blind)
    return others, len(others) < len(found)


def _content(account: Account, prepared: Prepared, content_id: int) -> Rows:
    facts: dict[str, object] = {
        "size": prepared.copies.size,
        "header_size": len(prepared.copies.header_section),
        "longest_line": prepared.longest_line,
        "eight_bit": prepared.eight_bit,
        "utf8_header": prepared.utf8_header,
        "message_id": prepared.message_id,
    }
    pieces = (prepared.copies.header_section, prepared.copies.rest)
    return contents.rows(content_id, account.account_id, pieces, facts)


def _authors_copy(
    account: Account, prepared: Prepared, gmail_id: int, thread_id: int, now: int, labels: tuple[str, ...]
) -> messages.Stored:
    return messages.Stored(
        account_id=account.account_id,
        gmail_id=gmail_id,
        thread_id=thread_id,
        content_id=gmail_id,
        insertions=prepared.copies.insertions,
        size=prepared.copies.authors_size,
        internal_date=now,
        labels=labels,
    )
