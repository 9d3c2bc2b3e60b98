"""SMTP sessions of this node: opened as they are demanded to be secured, kept a while for the next message."""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime

from postroad import maillog
from postroad.mail.reply import ours
from postroad.relay.route import FindLogin, Hop
from postroad.relay.security import Demand, Result, complaint, failure, result
from postroad.smtp.connection import NO_LOGIN, Connection
from postroad.smtp.session import Phase, SessionError, Timeouts

# How long an idle session is kept; servers close theirs after 5 minutes or less (RFC 5321 section 4.5.3.2.7).
IDLE_SECONDS = 10.0
_TLS_PHASES = (Phase.STARTTLS, Phase.HANDSHAKE)
_Kept = list[tuple[float, Connection]]


@dataclass(slots=True)
class Sessions:
    """Sessions in which this server calls itself `hostname`."""

    hostname: str
    timeouts: Timeouts = field(default_factory=Timeouts)
    _idle: dict[tuple[Hop, Demand], _Kept] = field(default_factory=lambda: defaultdict(list))
    _disbelieved: set[tuple[Hop, str]] = field(default_factory=set)

    def kept(self, hop: Hop, demand: Demand) -> Connection | None:
        """An idle session with that hop, secured as demanded, that seems alive."""
        idle = self._idle[hop, demand]
        while idle:
            kept_at, session = idle.pop()
            if session.usable and time.monotonic() - kept_at < IDLE_SECONDS:
                return session
            session.abort()
        del self._idle[hop, demand]
        return None

    async def fresh(self, hop: Hop, demand: Demand) -> Connection:
        """A new session, secured as demanded; where TLS fails and is not required, as the demand has it then.

        Raises `SessionError`.
        """
        try:
            session = await self._secured(hop, demand)
        except SessionError as error:
            if demand.fallback is None or error.phase not in _TLS_PHASES:
                raise
            return await self.fresh(hop, demand.fallback)
        if hop.login:
            await _log_in(session, hop, hop.login)
        return session

    async def _secured(self, hop: Hop, demand: Demand) -> Connection:
        """A session by this very demand. Raises `SessionError`, in a phase of TLS if it is that which failed."""
        if demand.context is None:
            return await self._open(hop, demand)
        try:
            session = await self._open(hop, demand)
        except SessionError as error:
            if error.phase not in _TLS_PHASES:
                raise
            raise _unmet(hop, demand, failure(error.__cause__), error) from error
        found = result(session.tls, demand, datetime.now(UTC))
        if found is Result.SUCCESS or (session.tls is None and demand.plaintext_will_do):
            maillog.session(str(hop), demand.policy, found)
            return session
        await session.quit()
        raise _unmet(hop, demand, found)

    async def _open(self, hop: Hop, demand: Demand) -> Connection:
        return await Connection.open(
            hop.address,
            hop.port,
            hostname=self.hostname,
            server_hostname=demand.identity or hop.host,
            tls=demand.context,
            implicit_tls=hop.implicit_tls,
            timeouts=self.timeouts,
        )

    def believes(self, hop: Hop, keyword: str) -> bool:
        """Whether this hop can do what it offers by that keyword (CHUNKING, DSN), as far as we know."""
        return (hop, keyword) not in self._disbelieved

    def disbelieve(self, hop: Hop, keyword: str) -> None:
        """Remember that it cannot."""
        self._disbelieved.add((hop, keyword))

    def keep(self, hop: Hop, demand: Demand, session: Connection) -> None:
        """Keep a session for the next message."""
        self._idle[hop, demand].append((time.monotonic(), session))

    async def tidy(self) -> None:
        """Say goodbye to the sessions that have been idle for too long."""
        horizon = time.monotonic() - IDLE_SECONDS
        old = []
        for key, idle in list(self._idle.items()):
            old += [session for kept_at, session in idle if kept_at <= horizon]
            self._idle[key] = [(kept_at, session) for kept_at, session in idle if kept_at > horizon]
            if not self._idle[key]:
                del self._idle[key]
        await asyncio.gather(*(session.quit() for session in old))

    async def close(self) -> None:
        """Say goodbye to all idle sessions."""
        idle = [session for kept in self._idle.values() for _, session in kept]
        self._idle.clear()
        await asyncio.gather(*(session.quit() for session in idle))


async def _log_in(session: Connection, hop: Hop, find: FindLogin) -> None:
    """Log in. Raises `SessionError`: the mail waits, and the operator hears of what only the operator can mend."""
    try:
        login = await asyncio.to_thread(find)
        await session.log_in(login)
    except (OSError, ValueError) as error:
        await session.quit()
        reply = ours(NO_LOGIN, "4.7.0", f"{hop}: nothing to log in with: {error}")
        maillog.login_failed(str(hop), str(error))
        raise SessionError(Phase.AUTH, reply, transcript=(f"= {reply.text}",)) from error
    except SessionError as error:
        if error.reply.ours and error.reply.code == NO_LOGIN:
            maillog.login_failed(str(hop), str(error.reply))
        raise


def _unmet(hop: Hop, demand: Demand, found: Result, error: SessionError | None = None) -> SessionError:
    """A demand that was not met: counted, and as what it means for the mail if nothing else will do."""
    text = f"{hop}: {complaint(found, demand, error.reply.text if error else '')}"
    maillog.session(str(hop), demand.policy, found, text)
    phase, said = (error.phase, error.transcript) if error else (Phase.STARTTLS, ())
    return SessionError(phase, ours(451, "4.7.5", text), transcript=(*said, f"= {text}"))
