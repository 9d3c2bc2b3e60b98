"""One attempt: a session, the form the message needs for it, a mail transaction, an outcome per recipient."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from postroad.mail.envelope import Envelope
from postroad.mail.outcome import Attempted, Content, Errand, MarkInDoubt, judge
from postroad.mail.reply import Reply, ours
from postroad.mail.transmission import LINE_LIMIT, CannotTransmit, transmissible
from postroad.relay.sessions import Sessions
from postroad.smtp.connection import Connection
from postroad.smtp.grammar import Extensions
from postroad.smtp.session import Phase, SessionError
from postroad.smtp.transaction import Transaction

# A kept session may turn out to be closed by the server: no fault of the message, and not an attempt.
_CLOSED_WHILE_IDLE = (Phase.IDLE, Phase.MAIL)

BeforeFinalDot = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Relay:
    """Hands messages to the next hop of `sessions`."""

    sessions: Sessions

    async def attempt(self, errand: Errand, mark_in_doubt: MarkInDoubt) -> Attempted:
        """Try one mail transaction; network and server decide only what is in the result."""
        host = str(self.sessions.hop)

        async def before_final_dot() -> None:
            await mark_in_doubt(host)

        async with self.sessions.room():
            try:
                transaction = await self._transact(errand, before_final_dot)
            except SessionError as error:
                transaction = _all(errand, error.reply, error.transcript)
            except CannotTransmit as error:
                transaction = _all(errand, ours(554, "5.6.3", str(error)), ())
        return _attempted(host, transaction)

    async def _transact(self, errand: Errand, before_final_dot: BeforeFinalDot) -> Transaction:
        """Over a kept session if there is one; when that proves closed, over a fresh one."""
        kept = self.sessions.kept()
        if kept is not None:
            transaction = await self._over(kept, errand, before_final_dot)
            if transaction.loss is None or transaction.loss.phase not in _CLOSED_WHILE_IDLE:
                return transaction
        return await self._over(await self.sessions.fresh(), errand, before_final_dot)

    async def _over(self, session: Connection, errand: Errand, before_final_dot: BeforeFinalDot) -> Transaction:
        try:
            form = await _form(errand.content, session.extensions)
            transaction = await session.transact(
                errand.envelope.reverse_path,
                errand.envelope.forward_paths,
                form.chunks(),
                size=form.size,
                eight_bit=form.eight_bit or form.utf8_header,
                smtputf8=form.utf8_header or not all(map(str.isascii, _addresses(errand.envelope))),
                before_final_dot=before_final_dot,
            )
        except CannotTransmit:
            self.sessions.keep(session)
            raise
        except BaseException:
            session.abort()
            raise
        if transaction.reusable:
            self.sessions.keep(session)
        else:
            session.abort()
        return transaction


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
        chunks=chunks,
    )


def _all(errand: Errand, reply: Reply, transcript: tuple[str, ...]) -> Transaction:
    """A transaction that ended alike for everyone before it began."""
    replies = dict.fromkeys(errand.envelope.forward_paths, reply)
    return Transaction(replies, reusable=False, in_doubt=frozenset(), loss=None, transcript=transcript)


def _attempted(host: str, transaction: Transaction) -> Attempted:
    outcomes = {
        path: judge(reply, in_doubt=path in transaction.in_doubt) for path, reply in transaction.replies.items()
    }
    return Attempted(host, outcomes, "\n".join(transaction.transcript))
