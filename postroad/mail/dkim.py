"""DKIM signatures (RFC 6376): what they cover of a message, relaxed/relaxed, and the fields that carry them.

Knows no key: the signature itself comes from a key's `sign`. Covers the octets as they are transmitted, so it
comes after every other change. Expects CRLF line endings and a header section that `message.parse` lets through.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from postroad.mail.message import Field, fields_of

# Seconds after which a signature counts no more (RFC 6376 section 3.5, x=): longer than mail waits in a queue,
# ours or the receiver's; and how long a key that signs no more must stay in the DNS.
LIFE = 7 * 86_400

RSA = "rsa-sha256"  # RFC 8301: rsa-sha1 is gone
ED25519 = "ed25519-sha256"  # RFC 8463

# Named once more than they stand in the message, so that none can be added to it (RFC 6376 section 8.15).
_ALWAYS = (
    *(b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"reply-to", b"in-reply-to", b"references"),
    *(b"mime-version", b"content-type", b"content-transfer-encoding"),
)
# Likewise, but only where there is one: a mailing list may add its own. RFC 8058 section 4 wants them covered.
_WHERE_PRESENT = (
    *(b"sender", b"content-disposition", b"content-id", b"content-description", b"content-language"),
    *(b"content-location", b"list-id", b"list-help", b"list-unsubscribe", b"list-unsubscribe-post"),
    *(b"list-subscribe", b"list-post", b"list-owner", b"list-archive", b"feedback-id"),
)
_NAMES = _ALWAYS + _WHERE_PRESENT

_COLUMNS = 77
_SLICE = 1 << 16  # octets looked at in one go, so that no copy of a large body is made
_WHITE = b" \t\r\n"
_LINE_ENDS = b"\r\n" * (_SLICE // 2)
_EMPTY_LINE = b"\r\n\r\n"
_PIECE = re.compile(rb".{1,74}")


class CannotSign(Exception):  # noqa: N818 - says what cannot be done, as `CannotTransmit` does
    """A signature that should be there cannot be made; `str()` says why. Mail waits, and never goes unsigned."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What signs for `domain` (A-labels), found by verifiers under `selector`.

    `sign` makes the signature of a SHA-256 digest of 32 octets, by the `algorithm` RSA or ED25519. Thread-safe.
    """

    domain: str
    selector: str
    algorithm: str
    sign: Callable[[bytes], bytes]


class Covered:
    """A message as its signatures cover it, read in pieces of any size: its header section, its body's hash."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._body: _BodyHash | None = None

    def take(self, octets: bytes) -> None:
        """Read on."""
        if self._body is not None:
            self._body.take(octets)
            return
        before = len(self._head)
        self._head += octets
        end = self._head.find(_EMPTY_LINE, max(before - len(_EMPTY_LINE) + 1, 0))
        if end >= 0:
            self._body = _BodyHash()
            self._body.take(octets[end + len(_EMPTY_LINE) - before :])
            del self._head[end + len(_EMPTY_LINE) // 2 :]

    @property
    def header_section(self) -> bytes:
        """All octets up to the empty line; of a message without one, all."""
        return bytes(self._head)

    @property
    def in_body(self) -> bool:
        """Whether the header section is whole."""
        return self._body is not None

    @property
    def body_hash(self) -> bytes:
        """The SHA-256 of the body so far in its relaxed form."""
        return (self._body or _BodyHash()).digest()


class _BodyHash:
    """The relaxed form of a body (RFC 6376 section 3.4.4) on its way into SHA-256.

    White space and line ends are held back until something follows: at the end they do not count.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._line_ends = 0
        self._held = b""
        self._empty = True

    def take(self, octets: bytes) -> None:
        for at in range(0, len(octets), _SLICE):
            self._take(self._held + octets[at : at + _SLICE])

    def _take(self, text: bytes) -> None:
        said = text.rstrip(_WHITE)
        if said:
            self._write_line_ends()
            self._hash.update(_relaxed(said))
            self._empty = False
        unsaid = text[len(said) :]
        self._line_ends += unsaid.count(b"\r\n")
        begun = unsaid[unsaid.rfind(b"\n") + 1 :]
        self._held = begun[:1] + (b"\r" if begun[1:].endswith(b"\r") else b"")

    def _write_line_ends(self) -> None:
        octets = 2 * self._line_ends
        for at in range(0, octets, len(_LINE_ENDS)):
            self._hash.update(_LINE_ENDS[: octets - at])
        self._line_ends = 0

    def digest(self) -> bytes:
        """The last line ends with CRLF, for so it is transmitted; a body of empty lines is none."""
        whole = self._hash.copy()
        if not self._empty:
            whole.update(b"\r\n")
        return whole.digest()


def _relaxed(text: bytes) -> bytes:
    """Runs of white space as one space, and none before a line end. Large bodies are base64, without any."""
    text = text.replace(b"\t", b" ")
    if b" " not in text:
        return text
    while b"  " in text:  # each time half as long
        text = text.replace(b"  ", b" ")
    return text.replace(b" \r\n", b"\r\n")


def signatures(header_section: bytes, body_hash: bytes, keys: Iterable[SigningKey], now: int) -> bytes:
    """The DKIM-Signature fields to put before a message, one for each key; `now` in seconds since 1970.

    Each covers the same fields and body, and not the others. Lines are under 78 columns, but for domains and
    selectors that are longer. Raises what a key's `sign` does.
    """
    names, covered = _coverage(fields_of(header_section))
    body = base64.b64encode(body_hash)
    return b"".join(_signature(key, names, body, covered, now) for key in keys)


def _coverage(fields: Sequence[Field]) -> tuple[bytes, bytes]:
    """The h= of a message, and the octets it stands for: fields of one name from the last up (section 5.4.2)."""
    found: dict[bytes, list[bytes]] = {name: [] for name in _NAMES}
    for field in fields:
        if field.key in found:
            # Of all that `split` takes for white space, parse lets through SP, HTAB and CRLF alone.
            found[field.key].append(field.key + b":" + b" ".join(field.body.split()) + b"\r\n")
    counts = tuple(map(len, found.values()))
    return _names(counts), b"".join(b"".join(reversed(some)) for some in found.values())


@lru_cache(maxsize=256)
def _names(counts: tuple[int, ...]) -> bytes:
    """The names that h= lists for so many fields of each, folded. Most messages have the same."""
    lines = [b" h="]
    for name, count in zip(_NAMES, counts, strict=True):
        for _ in range(count + (name in _ALWAYS or count > 0)):
            if len(lines[-1]) + len(name) >= _COLUMNS:
                lines.append(b"  ")
            lines[-1] += name + b":"
    return b"\r\n".join(lines)[:-1]


def _signature(key: SigningKey, names: bytes, body: bytes, covered: bytes, now: int) -> bytes:
    """One field; what it covers of itself is all but the value of b= and the CRLF (section 3.7)."""
    lines = (
        b" v=1; a=%b; c=relaxed/relaxed;" % key.algorithm.encode(),
        b" d=%b;" % key.domain.encode(),
        b" s=%b; t=%d; x=%d;" % (key.selector.encode(), now, now + LIFE),
        names + b";",
        b" bh=%b;" % body,
        b" b=",
    )
    own = b"dkim-signature:" + b" ".join(b"".join(lines).split())
    signature = base64.b64encode(key.sign(hashlib.sha256(covered + own).digest()))
    return b"DKIM-Signature:" + b"\r\n".join(lines) + b"\r\n ".join(_PIECE.findall(signature)) + b"\r\n"
