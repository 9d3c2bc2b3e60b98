"""The two copies of one submitted message: what is delivered, and what its author keeps.

They differ only in header lines, so one content is stored: the delivered one, and beside it the octets to
insert for the author's copy. DESIGN.md section 3 lists all that may change; nothing else happens here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from postroad.mail.message import Message

# What only the author may see (RFC 5322 section 3.6.3), and what only a receiving system may write
# (RFC 5321 section 4.4, RFC 8601 section 5).
_NEVER_DELIVERED = {b"bcc", b"resent-bcc", b"return-path", b"authentication-results"}
_MAY_CHANGE = _NEVER_DELIVERED | {b"from", b"message-id"}


@dataclass(frozen=True, slots=True)
class Insertion:
    """Octets that one copy has at `offset` of the stored content."""

    offset: int
    octets: bytes


class Copies(NamedTuple):
    """The delivered content in two pieces, and what the author's copy has beyond it.

    `header_section` ends with the last field's CRLF; `rest` begins with the empty line, or is empty.
    """

    header_section: bytes
    rest: memoryview
    insertions: tuple[Insertion, ...]

    @property
    def size(self) -> int:
        """Octets of the delivered content."""
        return len(self.header_section) + len(self.rest)

    @property
    def authors_size(self) -> int:
        """Octets of the author's copy."""
        return self.size + sum([len(insertion.octets) for insertion in self.insertions])


def copies(message: Message, added: bytes, author: bytes | None, message_id: bytes | None = None) -> Copies:
    """Make the copies: `added` lines go on top; `author` and `message_id`, when given, take a field's place.

    Each line ends with CRLF.
    """
    rest = memoryview(message.content)[message.header_size :]
    if author is None and message_id is None and message.first.keys().isdisjoint(_NEVER_DELIVERED):
        return Copies(added + message.content[: message.header_size], rest, ())
    delivered = bytearray(added)
    insertions: list[Insertion] = []
    kept = 0  # up to here all is copied, or left out
    for field in [field for field in message.fields if field.key in _MAY_CHANGE]:
        if field.key in _NEVER_DELIVERED:
            delivered += message.content[kept : field.start]
            insertions.append(Insertion(len(delivered), bytes(message.content[field.start : field.end])))
            kept = field.end
        elif instead := author if field.key == b"from" else message_id:
            delivered += message.content[kept : field.start] + instead
            kept = field.end
    delivered += message.content[kept : message.header_size]
    return Copies(bytes(delivered), rest, tuple(insertions))


def with_insertions(content: bytes, insertions: Sequence[Insertion]) -> bytes:
    """The copy that has `insertions` beyond `content`; their offsets ascend."""
    pieces: list[bytes] = []
    at = 0
    for insertion in insertions:
        pieces += (content[at : insertion.offset], insertion.octets)
        at = insertion.offset
    return b"".join([*pieces, content[at:]])
