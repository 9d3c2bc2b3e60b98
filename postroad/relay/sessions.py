"""SMTP sessions with one next hop: kept a while for the next message, bounded in number."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from postroad.relay.route import NextHop
from postroad.smtp.connection import Connection
from postroad.smtp.session import Phase, SessionError, Timeouts

# How long an idle session is kept; servers close theirs after 5 minutes or less (RFC 5321 section 4.5.3.2.7).
IDLE_SECONDS = 10.0
_TLS_PHASES = (Phase.STARTTLS, Phase.HANDSHAKE)


@dataclass(slots=True)
class Sessions:
    """Sessions of `hostname` with `hop`, at most `limit` at once."""

    hop: NextHop
    hostname: str
    limit: int
    tls: ssl.SSLContext | None
    timeouts: Timeouts = field(default_factory=Timeouts)
    _idle: list[tuple[float, Connection]] = field(default_factory=list)
    _room: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._room = asyncio.Semaphore(self.limit)

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """Wait until one more session may be used."""
        async with self._room:
            yield

    def kept(self) -> Connection | None:
        """An idle session that seems alive."""
        while self._idle:
            kept_at, session = self._idle.pop()
            if session.usable and time.monotonic() - kept_at < IDLE_SECONDS:
                return session
            session.abort()
        return None

    async def fresh(self) -> Connection:
        """A new session: with TLS if the server offers it and can do it, else without. Raises `SessionError`."""
        try:
            return await self._open(self.tls)
        except SessionError as error:
            if self.tls is None or error.phase not in _TLS_PHASES:
                raise
        return await self._open(None)

    async def _open(self, tls: ssl.SSLContext | None) -> Connection:
        return await Connection.open(
            self.hop.host,
            self.hop.port,
            hostname=self.hostname,
            server_hostname=self.hop.host,
            tls=tls,
            timeouts=self.timeouts,
        )

    def keep(self, session: Connection) -> None:
        """Keep a session for the next message."""
        self._idle.append((time.monotonic(), session))

    async def tidy(self) -> None:
        """Say goodbye to the sessions that have been idle for too long."""
        horizon = time.monotonic() - IDLE_SECONDS
        old = [session for kept_at, session in self._idle if kept_at <= horizon]
        self._idle = [(kept_at, session) for kept_at, session in self._idle if kept_at > horizon]
        await asyncio.gather(*(session.quit() for session in old))

    async def close(self) -> None:
        """Say goodbye to all idle sessions."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(session.quit() for _, session in idle))
