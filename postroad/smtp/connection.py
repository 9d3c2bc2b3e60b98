"""One SMTP session with one server: open, mail transactions, quit.

What is said and what it means is decided in `protocol` and `transaction`; this module puts it in order in
time, keeps the deadlines, and turns every failure of the network into one `SessionError`.
"""

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Self

from postroad.mail.reply import Reply, ours
from postroad.smtp import grammar
from postroad.smtp.protocol import Answer, Command, ContentError, Dialogue, ProtocolError, State, Transparency
from postroad.smtp.session import Phase, SessionError, Timeouts
from postroad.smtp.transaction import Course, Transaction, impossible
from postroad.smtp.transcript import Transcript
from postroad.smtp.wire import Wire, connect

TAIL_OCTETS = 64 * 1024  # of the content's end, held back to leave together with the end of data
DEFAULT_TIMEOUTS = Timeouts()

_PHASES = {Command.MAIL: Phase.MAIL, Command.RCPT: Phase.RCPT, Command.DATA: Phase.DATA}


class Connection:
    """One SMTP session with one server; `open` it, `transact` as often as it is `usable`, `quit`."""

    def __init__(self, host: str, port: int, timeouts: Timeouts) -> None:
        self.host = host
        self.port = port
        self.extensions = grammar.Extensions()
        self._timeouts = timeouts
        self._wire = Wire()
        self._dialogue = Dialogue()
        self._transcript = Transcript()
        self._opening: tuple[str, ...] = ()
        self._cap = math.inf

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        hostname: str,
        server_hostname: str = "",
        tls: ssl.SSLContext | None = None,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> Self:
        """Connect to `host`, greet it as `hostname`, and start TLS if there is a context and the server offers it.

        SessionError when that fails. Whether to do without TLS is the caller's decision: look at `tls`, or
        open again without a context.
        """
        connection = cls(host, port, timeouts)
        try:
            await connection._connect()
            await connection._greet(hostname)
            if tls is not None and connection.extensions.starttls:
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
    ) -> Transaction:
        """Send one message; network and server decide only what is in the result.

        `before_final_dot` is awaited when all but the end of data may have been sent. What it or `content`
        raises ends the session without the end of data, and is raised again. ValueError: an address or the
        recipients cannot be sent, and nothing was.
        """
        if not forward_paths or len(set(forward_paths)) < len(forward_paths):
            raise ValueError("forward-paths must be distinct, and at least one")
        self._transcript = Transcript(self._opening)
        course = Course(forward_paths)
        needs = {"eight_bit": eight_bit, "smtputf8": smtputf8}
        if refusal := impossible(self.extensions, size=size, **needs):
            self._transcript.note(str(refusal))
            return Transaction(
                dict.fromkeys(forward_paths, refusal), self.usable, frozenset(), None, self._transcript.lines()
            )
        size = size if self.extensions.size else None
        mail = grammar.mail(reverse_path, size=size, **needs)
        rcpts = [grammar.rcpt(path, smtputf8=smtputf8) for path in forward_paths]
        loss = await self._transact(course, [mail, *rcpts, grammar.DATA], content, before_final_dot)
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

    def abort(self) -> None:
        """End the session without a word."""
        self._dialogue.close()
        self._wire.abort()

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
        async with self._within(Phase.HANDSHAKE):
            if self._interrupted:
                raise ProtocolError("plaintext after the reply to STARTTLS")
            self._wire = await self._wire.secured(
                context, server_hostname, handshake=self._timeouts.starttls, shutdown=self._timeouts.quit
            )
        if self.tls and (cipher := self.tls.cipher()):
            name, _, bits = cipher
            self._transcript.note(f"{self.tls.version()} {name} {bits} bits")

    # The mail transaction

    async def _transact(
        self,
        course: Course,
        commands: list[bytes],
        content: AsyncIterator[bytes],
        before_final_dot: Callable[[], Awaitable[None]],
    ) -> SessionError | None:
        self._cap = asyncio.get_running_loop().time() + self._timeouts.total
        try:
            await self._stay_idle()
            await self._send_envelope(course, commands)
            if course.content_due and course.accepted:
                course.hear(Command.CONTENT, await self._send_content(content, before_final_dot))
            await self._clean_up(course)
        except SessionError as loss:
            course.lose(loss)
            return loss
        except BaseException:
            self.abort()
            raise
        finally:
            self._cap = math.inf
        return None

    async def _stay_idle(self) -> None:
        """Hear what a server said to a session that is not usable any more: 421, if it is polite."""
        if self._dialogue.state is State.CLOSED:
            raise self._failure(Phase.IDLE, ConnectionError("the session has ended"))
        if self._interrupted:
            await self._reply(Phase.IDLE)

    async def _send_envelope(self, course: Course, commands: list[bytes]) -> None:
        """MAIL, RCPT..., DATA: in one go to a server that takes that (RFC 2920), else each after its reply."""
        if self.extensions.pipelining:
            self._send(*commands)
        for line in commands:
            command = Command(line[:4].decode())
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
        if octets:
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
        return Transaction(replies, self.usable, frozenset(in_doubt), loss, self._transcript.lines())

    # The border: commands and replies, deadlines and failures

    @property
    def _interrupted(self) -> bool:
        """The server has said, or done, something that no answer has been made of."""
        return self._wire.stirred or self._dialogue.pending

    def _send(self, *lines: bytes) -> None:
        for line in lines:
            self._dialogue.send(line)
            self._transcript.sent(line)
        self._wire.write(b"".join(lines))

    async def _command(self, line: bytes, phase: Phase) -> Reply:
        self._send(line)
        return await self._reply(phase)

    async def _reply(self, phase: Phase) -> Reply:
        """The next reply; SessionError when there is none, or when it is the server's last."""
        try:
            answer = self._dialogue.next_answer() or await self._next_answer(phase)
        except ProtocolError as error:
            raise self._failure(phase, error) from error
        self._transcript.received(answer.reply)
        if answer.reply.code == 421:
            raise self._refusal(phase, answer.reply)
        return answer.reply

    async def _next_answer(self, phase: Phase) -> Answer:
        """Wait for it. Most replies of a pipelined group have come with the first: these cost no deadline."""
        async with self._within(phase):
            while (answer := self._dialogue.next_answer()) is None:
                self._dialogue.receive(await self._wire.read())
        return answer

    @asynccontextmanager
    async def _within(self, phase: Phase) -> AsyncIterator[None]:
        """Give `phase` its time, and translate what may happen to it."""
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(now + self._timeouts.of(phase), self._cap)):
                yield
        except (OSError, ProtocolError, ValueError) as error:
            # OSError is TimeoutError and SSLError too; ValueError is a host name that cannot be one.
            raise self._failure(phase, error) from error

    def _failure(self, phase: Phase, error: Exception) -> SessionError:
        """End the session; what happened, as a transient reply (RFC 3463 section 3)."""
        cause = str(error) or ("timed out" if isinstance(error, TimeoutError) else type(error).__name__)
        reply = ours(451, _status(phase, error), f"{self.host}:{self.port}: {cause} {phase.value}")
        self._transcript.note(reply.text)
        self.abort()
        return SessionError(phase, reply, in_doubt=phase is Phase.DOT, transcript=self._transcript.lines())

    def _refusal(self, phase: Phase, reply: Reply) -> SessionError:
        """End the session; the server's own words."""
        self.abort()
        return SessionError(phase, reply, transcript=self._transcript.lines())


def _status(phase: Phase, error: Exception) -> str:
    if isinstance(error, ProtocolError):
        return "4.5.0"  # protocol status, unspecified
    if phase in {Phase.STARTTLS, Phase.HANDSHAKE}:
        return "4.7.5"  # cryptographic failure
    return "4.4.1" if phase is Phase.CONNECT else "4.4.2"  # no answer from host; bad connection
