"""One SMTP session with one server: open, mail transactions, quit.

What is said and what it means is decided in `protocol` and `transaction`; this module puts it in order in
time, keeps the deadlines, and turns every failure of the network into one `SessionError`.
"""

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Self

from postroad.mail.reply import Reply, ours
from postroad.smtp import grammar
from postroad.smtp.authentication import Login, Mechanism, mechanism
from postroad.smtp.conversation import Conversation
from postroad.smtp.protocol import (
    COMMANDS,
    Command,
    ContentError,
    Lines,
    ProtocolError,
    State,
    Transparency,
)
from postroad.smtp.session import Phase, SessionError, Timeouts
from postroad.smtp.transaction import Course, Transaction, impossible
from postroad.smtp.transcript import Transcript
from postroad.smtp.wire import connect

TAIL_OCTETS = 64 * 1024  # of the content's end, held back to leave together with the end of data
CHUNK_OCTETS = 64 * 1024  # content up to this leaves together with its envelope, where the server takes that
DEFAULT_TIMEOUTS = Timeouts()

_PHASES = {Command.MAIL: Phase.MAIL, Command.RCPT: Phase.RCPT, Command.DATA: Phase.DATA}
NO_LOGIN = 421  # our reply when we cannot log in: the server is as good as not there, whatever it said
_NO_SUCH_COMMAND = {500, 502, 503, 504}  # RFC 5321 section 4.2.2


class Connection(Conversation):
    """One SMTP session with one server; `open` it, `transact` as often as it is `usable`, `quit`."""

    def __init__(self, host: str, port: int, timeouts: Timeouts) -> None:
        super().__init__(host, port, timeouts)
        self.extensions = grammar.Extensions()
        self._opening: tuple[str, ...] = ()
        self._fresh = True  # no mail transaction was begun

    @classmethod
    async def open(  # noqa: PLR0913 - where, as whom, and how it is to be secured
        cls,
        host: str,
        port: int,
        *,
        hostname: str,
        server_hostname: str = "",
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> Self:
        """Connect to `host`, greet it as `hostname`, and start TLS if there is a context and the server offers it.

        `implicit_tls`: TLS comes before the first word (RFC 8314 section 3). SessionError when that fails.
        Whether to do without TLS is the caller's decision: look at `tls`, or open again without a context.
        """
        connection = cls(host, port, timeouts)
        try:
            await connection._connect()
            if tls is not None and implicit_tls:
                await connection._secure(tls, server_hostname or host)
            await connection._greet(hostname)
            if tls is not None and not implicit_tls and connection.extensions.starttls:
                await connection._start_tls(tls, server_hostname or host)
                await connection._hello(hostname)
        except BaseException:
            connection.abort()
            raise
        connection._opening = connection._transcript.lines()
        return connection

    @property
    def usable(self) -> bool:
        """Another mail transaction can begin, as far as we know."""
        return self._dialogue.idle and not self._interrupted

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS layer, for its version and the server's certificate; None in plaintext."""
        return self._wire.tls

    async def log_in(self, login: Login) -> None:
        """Log in (RFC 4954), to a server whose certificate was verified and to nobody else.

        SessionError when that fails. Nothing secret is said before it is known to whom; none is in a transcript.
        """
        if self.tls is None or not self.tls.context.check_hostname:
            raise self._no_login("4.7.0", "no login without TLS with a verified certificate")
        chosen = mechanism(self.extensions.auth, login)
        if chosen is None:
            offered = " ".join(sorted(self.extensions.auth)) or "none"
            raise self._no_login("4.7.0", f"no mechanism that will do for a login is offered (offered: {offered})")
        reply = await self._exchange(chosen)
        if not reply.success:
            status = "4.7.8" if reply.permanent else reply.status or "4.7.0"
            raise self._no_login(status, f"login as {login.user} refused ({reply})")
        self._opening = self._transcript.lines()

    async def transact(  # noqa: PLR0913 - an envelope, its content, and what must be known of it before
        self,
        reverse_path: str | None,
        forward_paths: Sequence[str],
        content: AsyncIterator[bytes],
        *,
        size: int | None,
        eight_bit: bool,
        smtputf8: bool,
        before_final_dot: Callable[[], Awaitable[None]],
        at_once: bool = True,
        envid: str | None = None,
    ) -> Transaction:
        """Send one message; network and server decide only what is in the result.

        `at_once`: by CHUNKING, a small one may leave whole before the first reply; a loss then leaves it in doubt.
        `envid`: the name by which a server that offers DSN is to report failures; `None` asks for nothing.
        `before_final_dot` is awaited when all but the end of data may have been sent. What it or `content`
        raises ends the session without the end of data, and is raised again. ValueError: an address or the
        recipients cannot be sent, and nothing was.
        """
        if not forward_paths or len(set(forward_paths)) < len(forward_paths):
            raise ValueError("forward-paths must be distinct, and at least one")
        self._transcript = Transcript(self._opening)
        notifying = self.extensions.dsn and envid is not None
        course = Course(forward_paths, notifying=notifying)
        needs = {"eight_bit": eight_bit, "smtputf8": smtputf8}
        if refusal := impossible(self.extensions, size=size, **needs):
            self._transcript.note(str(refusal))
            return Transaction(
                dict.fromkeys(forward_paths, refusal), self.usable, frozenset(), None, self._transcript.lines()
            )
        small = size is not None and size <= CHUNK_OCTETS
        size = size if self.extensions.size else None
        notify: grammar.Notify = ("NEVER" if reverse_path is None else "FAILURE") if notifying else ""
        mail = grammar.mail(reverse_path, size=size, **needs, envid=envid if notifying else None)
        envelope = [mail, *(grammar.rcpt(path, smtputf8=smtputf8, notify=notify) for path in forward_paths)]
        whole = at_once and small and self._may_send_at_once
        send = self._send_at_once if whole else self._send_by_turns
        loss = await self._transact(course, send(course, envelope, content, before_final_dot))
        return self._ended(course, loss)

    async def quit(self) -> None:
        """End the session. Never raises, never hangs: what was sent was sent, whatever happens now."""
        try:
            if self.usable:
                with suppress(SessionError):
                    await self._command(grammar.QUIT, Phase.QUIT)
        finally:
            self.abort()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeouts.quit):
                await self._wire.gone.wait()

    # Opening

    async def _connect(self) -> None:
        async with self._within(Phase.CONNECT):
            self._wire = await connect(self.host, self.port)
        self._transcript.note(f"connected to {self.host}:{self.port}")

    async def _greet(self, hostname: str) -> None:
        banner = await self._reply(Phase.BANNER)
        if not banner.success:
            raise self._refusal(Phase.BANNER, banner)
        await self._hello(hostname)

    async def _hello(self, hostname: str) -> None:
        """EHLO; HELO for a server that does not know it (RFC 5321 section 3.2)."""
        reply = await self._command(grammar.ehlo(hostname), Phase.EHLO)
        self.extensions = grammar.extensions(reply) if reply.success else grammar.Extensions()
        if reply.code in {500, 502, 504}:
            reply = await self._command(grammar.helo(hostname), Phase.EHLO)
        if not reply.success:
            raise self._refusal(Phase.EHLO, reply)

    async def _start_tls(self, context: ssl.SSLContext, server_hostname: str) -> None:
        reply = await self._command(grammar.STARTTLS, Phase.STARTTLS)
        if not reply.success:
            raise self._failure(Phase.STARTTLS, ConnectionError(f"refused ({reply})"))
        await self._secure(context, server_hostname)

    async def _secure(self, context: ssl.SSLContext, server_hostname: str) -> None:
        async with self._within(Phase.HANDSHAKE):
            if self._interrupted:
                raise ProtocolError("plaintext before TLS")
            self._wire = await self._wire.secured(
                context, server_hostname, handshake=self._timeouts.starttls, shutdown=self._timeouts.quit
            )
        if self.tls and (cipher := self.tls.cipher()):
            name, _, bits = cipher
            self._transcript.note(f"{self.tls.version()} {name} {bits} bits")

    async def _exchange(self, chosen: Mechanism) -> Reply:
        """The last reply in the course of this mechanism."""
        command, responses = chosen.command()
        self._dialogue.send(command)
        reply = await self._secretly(command, f"AUTH {chosen.name} ...", chosen)
        for response in responses:
            if not reply.intermediate:
                break
            self._dialogue.respond()
            reply = await self._secretly(response, "...", chosen)
        return reply

    def _no_login(self, status: str, text: str) -> SessionError:
        """End the session. Whatever the server called it, it says nothing about any mail: that waits."""
        reply = ours(NO_LOGIN, status, f"{self.host}:{self.port}: {text}")
        self._transcript.note(reply.text)
        return self._refusal(Phase.AUTH, reply)

    async def _transact(self, course: Course, sending: Coroutine[None, None, None]) -> SessionError | None:
        self._cap = self._time() + self._timeouts.total
        try:
            await self._stay_idle()
            await sending
            await self._clean_up(course)
        except SessionError as loss:
            course.lose(loss)
            return loss
        except BaseException:
            self.abort()
            raise
        finally:
            sending.close()
            self._cap = math.inf
            self._fresh = self._all_sent = False
        return None

    async def _stay_idle(self) -> None:
        """Hear what a server said to a session that is not usable any more: 421, if it is polite."""
        if self._dialogue.state is State.CLOSED:
            raise self._failure(Phase.IDLE, ConnectionError("the session has ended"))
        if self._interrupted:
            await self._reply(Phase.IDLE)

    @property
    def _may_send_at_once(self) -> bool:
        """Whether content may leave with its envelope, before any reply.

        Only on a session that never was idle: of one that the server is closing the message would be in doubt.
        """
        offered = self.extensions.chunking and self.extensions.pipelining
        return offered and self._fresh

    async def _send_at_once(
        self,
        course: Course,
        envelope: list[bytes],
        content: AsyncIterator[bytes],
        before_final_dot: Callable[[], Awaitable[None]],
    ) -> None:
        """MAIL, RCPT... and one BDAT with all of the content, in one round trip (RFC 3030 section 4.2)."""
        lines = Lines()
        try:
            octets = b"".join([lines.check(chunk) async for chunk in content])
            octets += lines.end()
        except ContentError as error:
            course.hear(Command.CONTENT, ours(554, "5.6.0", f"{error}"))
            return
        await before_final_dot()
        self._send(*envelope, grammar.last_chunk(len(octets)), content=octets)
        self._transcript.sent(b"[%d octets of content]" % len(octets))
        self._all_sent = True
        for line in envelope:
            await self._hear_of_all_sent(course, COMMANDS[line[:4]])
        self._cap = math.inf
        reply = await self._reply(Phase.DOT)
        if course.accepted and reply.code in _NO_SUCH_COMMAND:
            # It may have taken the content for commands: nothing more is said to it.
            self._all_sent = False
            raise self._failure(Phase.BDAT, ProtocolError(f"CHUNKING is offered, and BDAT refused ({reply})"))
        course.hear(Command.CONTENT, reply)

    async def _hear_of_all_sent(self, course: Course, command: Command) -> None:
        """A reply to part of an envelope that left with its content.

        A 421 refuses that part alone: who says it and reads on may take the message for the other recipients.
        """
        phase = _PHASES[command]
        try:
            course.hear(command, await self._reply(phase))
        except SessionError as error:
            if error.in_doubt:
                raise
            course.hear(command, error.reply)
            raise self._failure(phase, ConnectionError(f"the server closes ({error.reply})")) from error

    async def _send_by_turns(
        self,
        course: Course,
        envelope: list[bytes],
        content: AsyncIterator[bytes],
        before_final_dot: Callable[[], Awaitable[None]],
    ) -> None:
        """MAIL, RCPT... and DATA; the content once the server waits for it."""
        await self._send_envelope(course, [*envelope, grammar.DATA])
        if course.content_due and course.accepted:
            course.hear(Command.CONTENT, await self._send_content(content, before_final_dot))

    async def _send_envelope(self, course: Course, commands: list[bytes]) -> None:
        """MAIL, RCPT..., DATA: in one go to a server that takes that (RFC 2920), else each after its reply."""
        if self.extensions.pipelining:
            self._send(*commands)
        for line in commands:
            command = COMMANDS[line[:4]]
            if not self.extensions.pipelining:
                if course.useless(command):
                    return
                self._send(line)
            course.hear(command, await self._reply(_PHASES[command]))

    async def _send_content(
        self, content: AsyncIterator[bytes], before_final_dot: Callable[[], Awaitable[None]]
    ) -> Reply:
        """The server's judgement of the content; ours, if it must not be sent at all."""
        transparency = Transparency()
        try:
            tail = await self._send_blocks(content, transparency)
            end = b"" if self._interrupted else transparency.finish()
        except ContentError as error:
            self.abort()
            return ours(554, "5.6.0", f"{error}")
        if not self._interrupted:
            await before_final_dot()
        if self._interrupted:  # a refusal: the dialogue takes nothing else before the end of data
            return await self._reply(Phase.BLOCK)
        return await self._end_content(tail + end)

    async def _send_blocks(self, content: AsyncIterator[bytes], transparency: Transparency) -> bytes:
        """Send all of the content but a short tail, or until the server has something to say."""
        tail = b""
        try:
            async for chunk in content:
                if tail:
                    await self._send_block(tail)
                if self._interrupted:
                    break
                tail = transparency.encode(chunk)
            if len(tail) > TAIL_OCTETS:
                await self._send_block(tail)
                tail = b""
        finally:
            self._transcript.sent(b"[%d octets of content]" % transparency.octets)
        return tail

    async def _send_block(self, octets: bytes) -> None:
        async with self._within(Phase.BLOCK):
            self._wire.write(octets)
            await self._wire.drain()

    async def _end_content(self, octets: bytes) -> Reply:
        """From here on, and not before, a loss leaves the message in doubt (RFC 1047)."""
        self._cap = math.inf
        self._dialogue.end_content()
        self._wire.write(octets)
        self._transcript.sent(b".")
        return await self._reply(Phase.DOT)

    async def _clean_up(self, course: Course) -> None:
        """Leave a refused transaction behind. When that fails, only the session is lost."""
        if course.clean or self._dialogue.state is State.CLOSED:
            return
        with suppress(SessionError):
            if self._dialogue.state is State.DATA:  # 354 without a valid recipient: RFC 2920 section 3.1
                self._dialogue.end_content()
                self._wire.write(Transparency().finish())
                self._transcript.sent(b".")
                await self._reply(Phase.RSET)
            if not (await self._command(grammar.RSET, Phase.RSET)).success:
                self.abort()

    def _ended(self, course: Course, loss: SessionError | None) -> Transaction:
        replies = course.replies()
        in_doubt = {path for path, reply in replies.items() if loss and loss.in_doubt and reply is loss.reply}
        refused = course.parameters_refused
        return Transaction(replies, self.usable, frozenset(in_doubt), loss, self._transcript.lines(), refused)
