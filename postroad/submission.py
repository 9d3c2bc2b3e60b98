"""Takes mail from an author: may this account send this? Then one transaction holds all of it (RFC 6409).

Responsibility passes when `submit` returns: content, the author's copy and the queue entry are on disk.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Literal, NamedTuple, ParamSpec, TypeVar

from sqlalchemy.exc import IntegrityError

from postroad import maillog, refusals
from postroad.database import content as contents
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers, number_of, text_of
from postroad.database.rows import NO_ROWS, Rows
from postroad.mail import added, intake, message, transmission
from postroad.mail.address import BadAddress, Mailbox, caseless, parse_list
from postroad.mail.copies import Copies, copies
from postroad.mail.envelope import LOCAL, BccTransactions, Recipients, envelopes, recipients
from postroad.mail.message import Message, unfolded
from postroad.mail.outcome import Content
from postroad.mail.threads import Ancestry, ancestry, message_id_of
from postroad.mailbox import messages
from postroad.oauth.accounts import Account
from postroad.queue import store
from postroad.uploads import Upload, Uploads, finish

P = ParamSpec("P")
T = TypeVar("T")

Octets = bytes | memoryview
FromPolicy = Literal["rewrite", "refuse"]
# Given reverse-path and all forward-paths of a message, answers with a function from each of the latter to its
# destination.
Route = Callable[[str, list[str]], Awaitable[Callable[[str], str]]]

# Does for the relay what can be done before a message is stored, which it asks for if there is anything to do.
# Raises nothing that the message is to blame for.
MakeReady = Callable[[Callable[[], Content]], Awaitable[None]]

# How often a message is given another number: two in a row are taken once in 2^40 times.
OTHER_NUMBERS = 2
# Octets that are parsed faster than a thread is asked to.
PARSED_ON_LOOP = 64 * 1024
# A display name longer than this is dropped when its address is rewritten.
MAX_KEPT_NAME = 600
_SHOWN = 64  # characters of a bad name that the log repeats


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decided about submissions. Sizes in octets."""

    hostname: str
    from_policy: FromPolicy
    bcc_transactions: BccTransactions
    max_size: int
    max_recipients: int


class Body(NamedTuple):
    """The facts of a body. `stored` are its octets that are chunks of `content_id` already."""

    content_id: int
    longest_line: int
    eight_bit: bool
    stored: int = 0


class Prepared(NamedTuple):
    """A message found fit to be sent: its copies, who receives it, and the facts stored with it.

    The copies are without what is stored already.
    """

    gmail_id: int
    copies: Copies
    recipients: Recipients
    body: Body
    utf8_header: bool
    tls_optional: bool
    message_id: str

    @property
    def size(self) -> int:
        """Octets of the delivered content."""
        return self.copies.size + self.body.stored


class Accepted(NamedTuple):
    """What the author is told."""

    gmail_id: int
    thread_id: int
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Submission:
    """Accepts messages into `database`. `route` tells the destinations of addresses; `wake` stirs the queue.

    `make_ready` is given what will be relayed, before it is stored, if its octets are few and here.
    """

    database: Database
    identifiers: Identifiers
    policy: Policy
    route: Route
    wake: Callable[[], None]
    make_ready: MakeReady | None = None

    @property
    def uploads(self) -> Uploads:
        """Where messages come in pieces, before they are submitted."""
        return Uploads(self.database, self.identifiers, self.policy.max_size)

    async def submit(
        self, account: Account, submitted: bytes | bytearray, thread: str, now: int, others: int = OTHER_NUMBERS
    ) -> Accepted:
        """Accept one message of `account`, for a thread as the author names it; "" is none.

        Raises a `Refusal`, and then nothing has been stored; its message is judged before its thread. `others`
        is how often it may be given another number.
        """
        began = perf_counter()
        self.database.health.refuse_unless_roomy(2 * len(submitted))
        given = account.addresses, submitted, self.policy, self.identifiers.next(now), now
        prepared = await unless_small(len(submitted), prepare, *given)
        pieces = (prepared.copies.header_section, prepared.copies.rest)
        accepted, rows = await self._rows(account, prepared, pieces, thread_number(thread), now)
        if self.make_ready and len(submitted) <= PARSED_ON_LOOP and store.destinations(rows) - {LOCAL}:
            await self.make_ready(partial(_stored, prepared, pieces))
        try:
            await self.database.insert(rows)
        except IntegrityError:  # another node took the same number in the same millisecond
            if not others:
                raise
            return await self.submit(account, submitted, thread, now, others - 1)
        self._tell(account, prepared, began)
        return accepted

    async def submit_upload(
        self, account: Account, one: Upload, now: int, others: int = OTHER_NUMBERS
    ) -> Accepted:
        """Accept a message of `account` that has come whole: what is stored of it becomes its content.

        Raises a `Refusal`, and then the upload is as it was; `MovedError` when it is not that any more.
        """
        began = perf_counter()
        if not one.received:
            raise refusals.RawMissing
        given = account.addresses, one, self.policy, self.identifiers.next(now), now
        prepared = await unless_small(len(one.intake.head), prepare_upload, *given)
        accepted, rows = await self._rows(account, prepared, (), one.thread_id, now)
        first = prepared.copies.header_section + prepared.copies.rest
        final = replace(one, gmail_id=accepted.gmail_id, thread_id=accepted.thread_id, labels=accepted.labels)
        try:
            await self.database.commit(partial(finish, complete=one, final=final, first=first), rows)
        except IntegrityError:  # as above
            if not others:
                raise
            return await self.submit_upload(account, one, now, others - 1)
        self._tell(account, prepared, began)
        return accepted

    def _tell(self, account: Account, prepared: Prepared, began: float) -> None:
        seconds = perf_counter() - began
        maillog.accepted(prepared.gmail_id, account.address, prepared.size, len(prepared.recipients), seconds)
        self.wake()

    async def _rows(
        self, account: Account, prepared: Prepared, pieces: Sequence[Octets], thread_id: int | None, now: int
    ) -> tuple[Accepted, Rows]:
        """Everything one acceptance inserts; of the content these `pieces`."""
        if thread_id is not None:
            await self._refuse_unless_there(account, thread_id)
        elif answers := ancestry(prepared.copies.header_section):
            thread_id = await self._thread_answered(account, answers)
        others, to_oneself = without(prepared.recipients, account.addresses)
        labels = messages.SENT_TO_ONESELF if to_oneself else messages.SENT
        accepted = Accepted(prepared.gmail_id, thread_id or prepared.gmail_id, labels)
        queued: Rows = NO_ROWS
        if found := envelopes(account.address, others, self.policy.bcc_transactions):
            destination_of = await self.route(account.address, [*others.visible, *others.blind])
            numbers = (prepared.gmail_id, account.account_id, prepared.body.content_id)
            queued = store.put(*numbers, found, destination_of, now)
        kept = messages.rows(_authors_copy(account, prepared, accepted, now))
        return accepted, {**_content(account, prepared, pieces), **kept, **queued}

    async def _refuse_unless_there(self, account: Account, thread_id: int) -> None:
        owner = account.account_id
        if not await self.database.read(lambda connection: messages.thread_exists(connection, owner, thread_id)):
            raise refusals.NotFound(f"{account.address} has no thread {text_of(thread_id)}")

    async def _thread_answered(self, account: Account, answers: Ancestry) -> int | None:
        owner = account.account_id
        return await self.database.read(lambda connection: messages.thread_answered(connection, owner, answers))


def thread_number(thread: str) -> int | None:
    """The thread that an author names; `None` for "". Raises `ThreadIdInvalid`."""
    number = number_of(thread)
    if thread and number is None:
        raise refusals.ThreadIdInvalid(f"threadId {thread[:_SHOWN]!r} is no hexadecimal number under 2^63")
    return number


async def unless_small(size: int, parse: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `parse` here if it has little to read, else on a thread, so that nobody else is kept waiting."""
    if size <= PARSED_ON_LOOP:
        return parse(*args, **kwargs)
    return await asyncio.to_thread(parse, *args, **kwargs)


def prepare(own: Sequence[str], submitted: bytes | bytearray, policy: Policy, gmail_id: int, now: int) -> Prepared:
    """Check a submitted message and make its copies. Pure; raises a `Refusal`.

    `own` are the addresses that are the author's, that of the account first.
    """
    if len(submitted) > policy.max_size:
        raise refusals.BodyTooLarge(limit=policy.max_size)
    parsed = message.parse(submitted)
    longest = transmission.longest_line(parsed.content, transmission.LINE_LIMIT)
    body = Body(gmail_id, longest, transmission.is_eight_bit(parsed.content, parsed.header_size))
    return _prepared(own, parsed, body, policy, gmail_id, now)


def prepare_upload(own: Sequence[str], one: Upload, policy: Policy, gmail_id: int, now: int) -> Prepared:
    """The same for a message whose body is stored already."""
    facts = one.intake
    body = Body(one.content_id, facts.longest_line, facts.eight_bit, facts.body_size)
    return _prepared(own, intake.finished(facts), body, policy, gmail_id, now)


def _prepared(
    own: Sequence[str], parsed: Message, body: Body, policy: Policy, gmail_id: int, now: int
) -> Prepared:
    found = recipients(parsed, limit=policy.max_recipients)
    queue_id = text_of(gmail_id)
    lines = added.lines(parsed, author=own[0], hostname=policy.hostname, queue_id=queue_id, now=now)
    kept = message_id_of(parsed.text(b"message-id"))
    message_id = kept or f"<{queue_id}@{policy.hostname}>"
    own_id = None if kept else f"Message-ID: {message_id}\r\n".encode()
    made = copies(parsed, lines, author_line(parsed, own, policy.from_policy), own_id)
    if not transmission.foldable(made.header_section):
        raise refusals.InvalidMessage(problem="a header line over 998 octets has no white space to fold at")
    utf8_header = transmission.headers_need_smtputf8(made.header_section)
    return Prepared(gmail_id, made, found, body, utf8_header, tls_optional(parsed), message_id)


def tls_optional(parsed: Message) -> bool:
    """Whether the author would rather have it go in clear than wait: `TLS-Required: No` (RFC 8689 section 3)."""
    return [unfolded(body).lower() for body in parsed.bodies(b"tls-required")] == ["no"]


def author_line(parsed: Message, own: Sequence[str], policy: FromPolicy) -> bytes | None:
    """The From field to write in the place of the one submitted; `None` when that one may stand.

    It may when it names addresses of the author's `own` alone; else it gets the first of them.

    Raises `InvalidHeader` for one that cannot be read, names several people, or is another's under `refuse`.
    """
    body = parsed.body(b"from")
    if body is None:
        return None
    if body.strip(b" \t\r\n").lower() in (b"", b"me"):
        return f"From: {own[0]}\r\n".encode()
    people = _people(body)
    if {caseless(person.address) for person in people} <= {caseless(address) for address in own}:
        return None
    if len(people) > 1 or policy == "refuse":
        raise refusals.InvalidHeader(f"From is not {' or '.join(own)}", name="From")
    return _rewritten(people[0], own[0])


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


def without(found: Recipients, own: Sequence[str]) -> tuple[Recipients, bool]:
    """The recipients other than the author's `own` addresses, and whether one of those was among them."""
    mine = {caseless(address) for address in own}
    if mine.isdisjoint([caseless(path) for path in (*found.visible, *found.blind)]):
        return found, False
    visible = tuple(path for path in found.visible if caseless(path) not in mine)
    blind = tuple(path for path in found.blind if caseless(path) not in mine)
    return Recipients(visible, blind), True


def _content(account: Account, prepared: Prepared, pieces: Sequence[Octets]) -> Rows:
    body = prepared.body
    facts = contents.Facts(
        prepared.size,
        len(prepared.copies.header_section),
        body.longest_line,
        body.eight_bit,
        prepared.utf8_header,
        prepared.tls_optional,
        prepared.message_id,
    )
    return contents.rows(body.content_id, account.account_id, pieces, facts)


def _stored(prepared: Prepared, pieces: Sequence[Octets]) -> Content:
    """The content as the relay will find it."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"".join(pieces)

    return Content(
        content_id=prepared.body.content_id,
        size=prepared.size,
        longest_line=prepared.body.longest_line,
        eight_bit=prepared.body.eight_bit,
        utf8_header=prepared.utf8_header,
        tls_optional=prepared.tls_optional,
        chunks=chunks,
    )


def _authors_copy(account: Account, prepared: Prepared, accepted: Accepted, now: int) -> messages.Stored:
    return messages.Stored(
        account_id=account.account_id,
        gmail_id=accepted.gmail_id,
        thread_id=accepted.thread_id,
        content_id=prepared.body.content_id,
        insertions=prepared.copies.insertions,
        size=prepared.copies.authors_size + prepared.body.stored,
        internal_date=now,
        labels=accepted.labels,
    )
