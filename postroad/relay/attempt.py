"""One attempt: hops in order, the form the message needs there, a mail transaction, an outcome per recipient."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from postroad import maillog
from postroad.database.identifiers import text_of
from postroad.mail.dkim import CannotSign
from postroad.mail.envelope import Envelope
from postroad.mail.outcome import Attempted, Content, Errand, MarkInDoubt, judge
from postroad.mail.reply import Reply, ours
from postroad.mail.transmission import LINE_LIMIT, CannotTransmit, transmissible
from postroad.relay.demands import Demands, never
from postroad.relay.route import CannotRouteError, FindRoute, Hop, Route
from postroad.relay.security import Demand, assurance
from postroad.relay.sessions import Sessions
from postroad.smtp.connection import Connection
from postroad.smtp.grammar import Extensions
from postroad.smtp.session import Phase, SessionError
from postroad.smtp.transaction import NEEDS_SMTPUTF8, Transaction

# A kept session may turn out to be closed by the server: no fault of the message, and not an attempt.
_CLOSED_WHILE_IDLE = (Phase.IDLE, Phase.MAIL)
_OPENING = (Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS, Phase.HANDSHAKE, Phase.AUTH)

BeforeFinalDot = Callable[[], Awaitable[None]]
# The same content behind its DKIM signatures, or as it is. Raises `CannotSign`.
Sign = Callable[[Content], Awaitable[Content]]


async def unsigned(content: Content) -> Content:
    """As it is."""
    return content


@dataclass(frozen=True, slots=True)
class Relay:
    """Hands messages to the hops of a destination, which `find` finds, over sessions secured as `demand` says.

    `notifying`: hops that offer DSN are told to report failures, and what to call them (RFC 3461).
    """

    sessions: Sessions
    find: FindRoute
    demand: Demands = never
    sign: Sign = unsigned
    notifying: bool = True

    async def attempt(self, errand: Errand, mark_in_doubt: MarkInDoubt) -> Attempted:
        """Try one mail transaction, hop by hop; network and servers decide only what is in the result."""
        try:
            route = await self.find()
        except CannotRouteError as error:
            replies = dict.fromkeys(errand.envelope.forward_paths, error.reply)
            return Attempted("", {path: judge(reply) for path, reply in replies.items()}, str(error.reply))
        course = Course(errand.envelope.forward_paths)
        for hop in preferred(route.hops, errand.in_doubt_host):
            course.note(str(hop), await self._at(route, hop, errand.part(course.left), mark_in_doubt))
            if not course.left:
                break
        return course.attempted()

    async def _at(self, route: Route, hop: Hop, errand: Errand, mark_in_doubt: MarkInDoubt) -> Transaction:
        """Once; again without DSN parameters for those who may have been refused for these alone."""
        first = await self._once(route, hop, errand, mark_in_doubt)
        if not first.parameters_refused:
            return first
        part = errand.part(first.parameters_refused)
        quiet = replace(self, notifying=False)
        second = await quiet._once(route, hop, part, mark_in_doubt)  # noqa: SLF001 - of its own kind
        if any(reply.success for reply in second.replies.values()):
            self.sessions.disbelieve(hop, "DSN")
        return _joined(first, second)

    async def _once(self, route: Route, hop: Hop, errand: Errand, mark_in_doubt: MarkInDoubt) -> Transaction:
        before_final_dot = partial(mark_in_doubt, str(hop))
        try:
            demand = await self.demand(route, hop, errand.content)
            return await self._transact(hop, demand, errand, before_final_dot)
        except SessionError as error:
            return _all(errand, error.reply, error)
        except CannotTransmit as error:
            return _all(errand, ours(554, "5.6.3", str(error)), None)
        except CannotSign as error:  # RFC 3463: the system is incorrectly configured
            return _all(errand, ours(451, "4.3.5", str(error)), None)

    async def _transact(
        self, hop: Hop, demand: Demand, errand: Errand, before_final_dot: BeforeFinalDot
    ) -> Transaction:
        """Over a kept session if there is one; when that proves closed, over a fresh one."""
        kept = self.sessions.kept(hop, demand)
        if kept is not None:
            transaction = await self._over(kept, hop, demand, errand, before_final_dot)
            if transaction.in_doubt or not _lost(transaction, *_CLOSED_WHILE_IDLE):
                return transaction
        fresh = await self.sessions.fresh(hop, demand)
        transaction = await self._over(fresh, hop, demand, errand, before_final_dot)
        if not _lost(transaction, Phase.BDAT):
            return transaction
        self.sessions.disbelieve(hop, "CHUNKING")
        fresh = await self.sessions.fresh(hop, demand)
        return await self._over(fresh, hop, demand, errand, before_final_dot)

    async def _over(
        self, session: Connection, hop: Hop, demand: Demand, errand: Errand, before_final_dot: BeforeFinalDot
    ) -> Transaction:
        tls = session.tls
        notifying = self.notifying and self.sessions.believes(hop, "DSN")
        try:
            form = await self.sign(await _form(errand.content, session.extensions))
            envelope = _speakable(errand.envelope, session.extensions, utf8_header=form.utf8_header)
            transaction = await session.transact(
                envelope.reverse_path,
                envelope.forward_paths,
                form.chunks(),
                size=form.size,
                eight_bit=form.eight_bit or form.utf8_header,
                smtputf8=form.utf8_header or not all(map(str.isascii, _addresses(envelope))),
                before_final_dot=before_final_dot,
                # Who was lost in doubt once is asked step by step, so that others are reached if it is lost again.
                at_once=errand.in_doubt_host is None and self.sessions.believes(hop, "CHUNKING"),
                envid=text_of(errand.queue_id) if notifying else None,
            )
        except (CannotTransmit, CannotSign):
            self.sessions.keep(hop, demand, session)
            raise
        except BaseException:
            session.abort()
            raise
        if any(reply.success for reply in transaction.replies.values()):
            maillog.secured(errand.queue_id, str(hop), tls.version() if tls else None, assurance(tls, demand))
        if transaction.reusable:
            self.sessions.keep(hop, demand, session)
        else:
            session.abort()
        if envelope is errand.envelope:
            return transaction
        unspoken = dict.fromkeys(errand.envelope.forward_paths, NEEDS_SMTPUTF8)
        return replace(transaction, replies=unspoken | dict(transaction.replies))


class Course:
    """What the hops said so far, and for whom there is another to be asked."""

    def __init__(self, forward_paths: Sequence[str]) -> None:
        self.left = tuple(forward_paths)
        self._host = ""
        self._replies: dict[str, Reply] = {}
        self._in_doubt: frozenset[str] = frozenset()
        self._conversations: list[str] = []

    def note(self, host: str, transaction: Transaction) -> None:
        """Take over what became of those who were left.

        The next hop is asked when a session could not be had, or was lost before the server could have the message
        (hardening.md 3.1); a recipient that was refused for good stays refused, and what may mend itself outlasts
        a later hop that does not want to talk at all.
        """
        self._host = host
        self._in_doubt = transaction.in_doubt
        self._conversations += transaction.transcript
        for path, reply in transaction.replies.items():
            before = self._replies.get(path)
            if before is None or before.permanent or not _unopened(transaction):
                self._replies[path] = reply
        asked_again = transaction.loss is not None and not transaction.in_doubt
        self.left = tuple(path for path in self.left if asked_again and self._undecided(path, transaction))

    def _undecided(self, path: str, transaction: Transaction) -> bool:
        return _unopened(transaction) or not (self._replies[path].permanent or self._replies[path].success)

    def attempted(self) -> Attempted:
        """The result."""
        outcomes = {path: judge(reply, in_doubt=path in self._in_doubt) for path, reply in self._replies.items()}
        return Attempted(self._host, outcomes, "\n".join(self._conversations))


def _joined(first: Transaction, second: Transaction) -> Transaction:
    """One of two: for whom there was a second, its reply counts. If that was lost, they wait, and nobody else."""
    return replace(
        first,
        replies={**first.replies, **second.replies},
        in_doubt=first.in_doubt | second.in_doubt,
        transcript=first.transcript + second.transcript,
    )


def _unopened(transaction: Transaction) -> bool:
    """The session ended before the mail transaction could begin."""
    return _lost(transaction, *_OPENING)


def _lost(transaction: Transaction, *phases: Phase) -> bool:
    return transaction.loss is not None and transaction.loss.phase in phases


def preferred(hops: Sequence[Hop], in_doubt_host: str | None) -> list[Hop]:
    """First the host that may have the message already, so that it can see the copy (hardening.md 3.3, W2)."""
    return sorted(hops, key=lambda hop: str(hop) != in_doubt_host)


def _speakable(envelope: Envelope, offered: Extensions, *, utf8_header: bool) -> Envelope:
    """The envelope without the recipients that cost all others the message, to a server without SMTPUTF8."""
    if offered.smtputf8 or utf8_header or not (envelope.reverse_path or "").isascii():
        return envelope
    ascii_paths = tuple(filter(str.isascii, envelope.forward_paths))
    if not ascii_paths or ascii_paths == envelope.forward_paths:
        return envelope
    return replace(envelope, forward_paths=ascii_paths)


def _addresses(envelope: Envelope) -> tuple[str, ...]:
    return (envelope.reverse_path or "", *envelope.forward_paths)


async def _form(content: Content, offered: Extensions) -> Content:
    """The content as this server can take it (RFC 5321 section 4.5.3.1.6, RFC 6152). Raises `CannotTransmit`.

    Rarely needed, so it may hold the whole message; on a thread, since it may take long.
    """
    if content.longest_line <= LINE_LIMIT and (offered.eight_bit_mime or not content.eight_bit):
        return content
    whole = b"".join([chunk async for chunk in content.chunks()])
    changed = await asyncio.to_thread(transmissible, whole, eight_bit=offered.eight_bit_mime)

    async def chunks() -> AsyncIterator[bytes]:
        yield changed

    return Content(
        content_id=content.content_id,
        size=len(changed),
        longest_line=LINE_LIMIT,
        eight_bit=content.eight_bit and offered.eight_bit_mime,
        utf8_header=content.utf8_header,
        tls_optional=content.tls_optional,
        chunks=chunks,
    )


def _all(errand: Errand, reply: Reply, loss: SessionError | None) -> Transaction:
    """A transaction that ended alike for everyone before it began."""
    replies = dict.fromkeys(errand.envelope.forward_paths, reply)
    transcript = loss.transcript if loss else ()
    return Transaction(replies, reusable=False, in_doubt=frozenset(), loss=loss, transcript=transcript)
