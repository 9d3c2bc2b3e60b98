"""Envelopes: who is answered, who receives, and which recipients may share one mail transaction."""

from dataclasses import dataclass
from typing import Literal

from postroad import refusals
from postroad.mail.address import BadAddress, parse_list
from postroad.mail.message import Message

# The destination of mail for a mailbox of this server.
LOCAL = "local"

BccTransactions = Literal["single", "grouped"]


@dataclass(frozen=True, slots=True)
class Envelope:
    """RFC 5321 section 2.3.1: the reverse-path (`None` is the null one) and the forward-paths of a transaction.

    `blind`: nobody but the author may learn of these recipients.
    """

    reverse_path: str | None
    forward_paths: tuple[str, ...]
    blind: bool = False


@dataclass(frozen=True, slots=True)
class Recipients:
    """The distinct addresses of a message: those that everyone may see, and those of Bcc alone."""

    visible: tuple[str, ...]
    blind: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.visible) + len(self.blind)


def recipients(message: Message, *, limit: int) -> Recipients:
    """The recipients that To, Cc and Bcc name; an address in To or Cc and in Bcc counts as visible.

    Raises `InvalidHeader` for a list that cannot be read, `RecipientMissing` and `TooManyRecipients`.
    """
    visible = dict.fromkeys(_addresses(message, b"to") + _addresses(message, b"cc"))
    blind = dict.fromkeys([address for address in _addresses(message, b"bcc") if address not in visible])
    count = len(visible) + len(blind)
    if not count:
        raise refusals.RecipientMissing("To, Cc and Bcc name no address")
    if count > limit:
        raise refusals.TooManyRecipients(count=count, limit=limit)
    return Recipients(tuple(visible), tuple(blind))


def _addresses(message: Message, key: bytes) -> list[str]:
    if key not in message.first:
        return []
    try:
        return [mailbox.address for body in message.bodies(key) for mailbox in parse_list(body)]
    except BadAddress as bad:
        name = key.decode().capitalize()
        raise refusals.InvalidHeader(f"{name}: {bad}", name=name) from bad


def envelopes(reverse_path: str, found: Recipients, bcc: BccTransactions) -> tuple[Envelope, ...]:
    """One envelope for the visible recipients, and one for each blind one, or for all blind ones together.

    A server that sees two recipients in one mail transaction knows of both (hardening.md 2D, point 6).
    """
    visible = (Envelope(reverse_path, found.visible),) if found.visible else ()
    if not found.blind:
        return visible
    groups = [found.blind] if bcc == "grouped" else [(address,) for address in found.blind]
    return (*visible, *[Envelope(reverse_path, paths, blind=True) for paths in groups])
