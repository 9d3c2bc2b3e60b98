"""What became of a mail transaction, recipient by recipient (the words of RFC 3464 section 2.3.3)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from postroad.mail.envelope import Envelope
from postroad.mail.reply import Reply


@dataclass(frozen=True, slots=True)
class Relayed:
    """The next hop, or a mailbox here, took responsibility."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Delayed:
    """Not now; try again later. `in_doubt`: the next hop may have taken it all the same."""

    reply: Reply
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """Never."""

    reply: Reply


Outcome = Relayed | Delayed | Failed


def judge(reply: Reply, *, in_doubt: bool = False) -> Outcome:
    """The outcome a reply means: the class of the basic code decides (hardening.md 3.1)."""
    if reply.success:
        return Relayed(reply)
    if reply.permanent:
        return Failed(reply)
    return Delayed(reply, in_doubt)


@dataclass(frozen=True, slots=True)
class Attempted:
    """One mail transaction tried with `host` ("" when none was reached): outcomes by forward-path."""

    host: str
    outcomes: Mapping[str, Outcome]
    conversation: str


@dataclass(frozen=True, slots=True)
class Content:
    """A stored message to be sent: what must be known before, and its octets, read when asked for.

    `tls_optional`: its author would rather have it go in clear than wait (RFC 8689 section 3).
    """

    content_id: int
    size: int
    longest_line: int
    eight_bit: bool
    utf8_header: bool
    tls_optional: bool
    chunks: Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class Errand:
    """What an attempt has to do: this envelope of that queue entry, first to `in_doubt_host` if there is one."""

    queue_id: int
    envelope: Envelope
    content: Content
    in_doubt_host: str | None
    accepted_at: int

    def part(self, forward_paths: tuple[str, ...]) -> "Errand":
        """The same errand for these of its recipients."""
        if forward_paths == self.envelope.forward_paths:
            return self
        return replace(self, envelope=replace(self.envelope, forward_paths=forward_paths))


# Called with the host's name before the final dot; when it raises, the dot is not sent.
MarkInDoubt = Callable[[str], Awaitable[None]]
Attempt = Callable[[Errand, MarkInDoubt], Awaitable[Attempted]]
