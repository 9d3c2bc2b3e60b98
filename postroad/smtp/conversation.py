"""One conversation with one server: commands and replies, deadlines, every failure as one `SessionError`."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from postroad.mail.reply import Reply, ours
from postroad.smtp.authentication import Mechanism
from postroad.smtp.protocol import Answer, Dialogue, ProtocolError
from postroad.smtp.session import Phase, SessionError, Timeouts
from postroad.smtp.transcript import Transcript
from postroad.smtp.wire import Wire


class Conversation:
    """What is said to `host`, and heard; what the words are for, the session that builds on this knows."""

    def __init__(self, host: str, port: int, timeouts: Timeouts) -> None:
        self.host = host
        self.port = port
        self._timeouts = timeouts
        self._time = asyncio.get_running_loop().time  # that of the deadlines
        self._wire = Wire()
        self._dialogue = Dialogue()
        self._transcript = Transcript()
        self._cap = math.inf  # when all of a mail transaction has to be over
        self._all_sent = False  # nothing of a mail transaction is left to be sent: a loss leaves it in doubt

    def abort(self) -> None:
        """End the session without a word."""
        self._dialogue.close()
        self._wire.abort()

    @property
    def _interrupted(self) -> bool:
        """The server has said, or done, something that no answer has been made of."""
        return self._wire.stirred or self._dialogue.pending

    def _send(self, *lines: bytes, content: bytes = b"") -> None:
        """Say these lines, and content that follows the last of them, in one go."""
        for line in lines:
            self._dialogue.send(line)
            self._transcript.sent(line)
        self._wire.write(b"".join((*lines, content)))

    async def _command(self, line: bytes, phase: Phase) -> Reply:
        self._send(line)
        return await self._reply(phase)

    async def _secretly(self, line: bytes, shown: str, chosen: Mechanism) -> Reply:
        """Say a line of which the transcript has only what is `shown`; the next reply."""
        self._wire.write(line)
        self._transcript.sent(shown.encode())
        return await self._reply(Phase.AUTH, chosen.concealed)

    async def _reply(self, phase: Phase, concealed: Callable[[str], str] | None = None) -> Reply:
        """The next reply; SessionError when there is none, or when it is the server's last."""
        try:
            answer = self._dialogue.next_answer() or await self._next_answer(phase)
        except (OSError, ProtocolError) as error:
            raise self._failure(phase, error) from error
        reply = replace(answer.reply, text=concealed(answer.reply.text)) if concealed else answer.reply
        self._transcript.received(reply)
        if reply.code == 421:
            raise self._refusal(phase, reply)
        return reply

    async def _next_answer(self, phase: Phase) -> Answer:
        """Wait for it. Most replies of a pipelined group have come with the first: these cost no deadline."""
        deadline = self._deadline(phase)
        while True:
            self._dialogue.receive(await self._wire.read(deadline))
            if answer := self._dialogue.next_answer():
                return answer

    def _deadline(self, phase: Phase) -> float:
        """When `phase`, begun now, has to be over, in the time of the event loop."""
        return min(self._time() + self._timeouts.of(phase), self._cap)

    @asynccontextmanager
    async def _within(self, phase: Phase) -> AsyncIterator[None]:
        """Give `phase` its time, and translate what may happen to it."""
        try:
            async with asyncio.timeout_at(self._deadline(phase)):
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
        in_doubt = phase is Phase.DOT or self._all_sent
        return SessionError(phase, reply, in_doubt=in_doubt, transcript=self._transcript.lines())

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
