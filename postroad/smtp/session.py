"""How long an SMTP session may take at each phase, and how it is told that it failed there."""

from dataclasses import dataclass
from enum import StrEnum

from postroad.mail.reply import Reply


class Phase(StrEnum):
    """What was going on; the value completes a sentence."""

    CONNECT = "while connecting"
    BANNER = "while waiting for the banner"
    EHLO = "while waiting for the reply to EHLO"
    STARTTLS = "while waiting for the reply to STARTTLS"
    HANDSHAKE = "during the TLS handshake"
    AUTH = "while logging in"
    IDLE = "while idle"
    MAIL = "while waiting for the reply to MAIL FROM"
    RCPT = "while waiting for the reply to RCPT TO"
    DATA = "while waiting for the reply to DATA"
    BLOCK = "while sending the content"
    DOT = "while waiting for the reply to the end of data"
    BDAT = "while waiting for a reply to BDAT that makes sense"
    RSET = "while waiting for the reply to RSET"
    QUIT = "while waiting for the reply to QUIT"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; from RFC 5321 section 4.5.3.2 unless said otherwise. Each is for a whole reply, not an octet."""

    connect: float = 30  # Postfix smtp_connect_timeout
    banner: float = 300
    ehlo: float = 300  # Postfix smtp_helo_timeout
    starttls: float = 300  # Postfix smtp_starttls_timeout; for the reply, and again for the handshake
    auth: float = 300  # Postfix smtp_mail_timeout
    mail: float = 300
    rcpt: float = 300
    data: float = 120
    block: float = 180
    dot: float = 600  # never cut short: a reply missed here is a message sent twice (RFC 1047)
    quit: float = 5  # ours, for QUIT, RSET and the leftovers of an idle session: nothing depends on them
    total: float = 3600  # ours, from MAIL to the end of data: 36 MB at 10 kB/s, and the end of every tarpit

    def of(self, phase: Phase) -> float:
        """The seconds that `phase` may take."""
        seconds: float = getattr(self, _TIMED_AS[phase])
        return seconds


_TIMED_AS = {phase: phase.name.lower() for phase in Phase} | {
    Phase.HANDSHAKE: "starttls",
    Phase.BDAT: "dot",
    Phase.IDLE: "quit",
    Phase.RSET: "quit",
}


class SessionError(Exception):
    """A session could not be opened, or ended before its time.

    `reply` is what it means for the mail: the server's own (a refusal to talk, a 421), or a transient one of
    ours. `in_doubt`: the end of data was sent, its reply did not come, the server may have the message.
    """

    def __init__(
        self, phase: Phase, reply: Reply, *, in_doubt: bool = False, transcript: tuple[str, ...] = ()
    ) -> None:
        super().__init__(f"{reply} ({phase.value})")
        self.phase = phase
        self.reply = reply
        self.in_doubt = in_doubt
        self.transcript = transcript
