"""multipart/related of exactly two parts, metadata and media, read as it comes (RFC 2046 5.1, gmail-wire.md 4.3).

No I/O: octets in, the media's octets out, decoded. What clients write differs in line ends, quoting, encodings
and in what follows the last delimiter; all of that is read, and never more kept than a part's head.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from postroad import refusals
from postroad.web import part_heads

# RFC 2046 section 5.1.1.
MAX_BOUNDARY = 70
# Settings of the house, in octets: what may come before the first delimiter, a part's head, and the metadata.
MAX_PREAMBLE = 64 * 1024
MAX_HEAD = 16 * 1024
MAX_METADATA = 1024 * 1024
# RFC 2045 section 6.7 allows 76 octets a line; writers that fold later are read, too.
MAX_QUOTED_PRINTABLE_LINE = 64 * 1024

# After the boundary: the close-delimiter's dashes, transport-padding, the line's end (RFC 2046 section 5.1.1).
_TAIL = re.compile(rb"(--)?[ \t]{0,255}\r?\n")
_PERHAPS_TAIL = re.compile(rb"-?|(?:--)?[ \t]{0,255}\r?")
_WHITE_SPACE = b" \t\r\n"


def boundary_of(content_type: bytes) -> bytes:
    """The boundary that a Content-Type names, quoted or not. Raises `MalformedMultipart`."""
    boundary = part_heads.boundary_of(content_type)
    if not content_type.lower().startswith(b"multipart/"):
        raise refusals.MalformedMultipart(problem="Bad content type.  Please use multipart.")
    if not 0 < len(boundary) <= MAX_BOUNDARY or not boundary.isascii():
        raise _malformed(f"Content-Type names no boundary, several, or one over {MAX_BOUNDARY} octets")
    return boundary


class Decoder(Protocol):
    """Undoes a content transfer encoding (RFC 2045 section 6) piece by piece."""

    def take(self, octets: bytes) -> bytes:
        """What these octets, and what was held back, stand for."""

    def end(self) -> bytes:
        """What was held back stands for, now that nothing follows. Raises `MalformedMultipart`."""


class Plain:
    """7bit, 8bit and binary."""

    def take(self, octets: bytes) -> bytes:
        """The octets themselves."""
        return octets

    def end(self) -> bytes:
        """Nothing is held back."""
        return b""


@dataclass(slots=True)
class Base64:
    """Base64 in lines; a character too many or too few, or any after the padding, is refused."""

    held: bytes = b""

    def take(self, octets: bytes) -> bytes:
        """Decode all but the last quantum, which alone may be padded."""
        text = self.held + octets.translate(None, _WHITE_SPACE)
        whole = max(len(text) - 1, 0) // 4 * 4
        self.held = text[whole:]
        return self._decoded(text[:whole], padded=False)

    def end(self) -> bytes:
        """Decode the last quantum."""
        return self._decoded(self.held, padded=True)

    def _decoded(self, quanta: bytes, *, padded: bool) -> bytes:
        try:
            if b"=" in quanta and not padded:
                raise binascii.Error  # noqa: TRY301 - one way out for all that is wrong
            return binascii.a2b_base64(quanta, strict_mode=True)
        except binascii.Error:
            raise _malformed("a part is not in the base64 encoding it claims") from None


@dataclass(slots=True)
class QuotedPrintable:
    """Quoted-printable, line by line."""

    held: bytes = b""

    def take(self, octets: bytes) -> bytes:
        """Decode the lines that are complete."""
        lines, feed, self.held = (self.held + octets).rpartition(b"\n")
        if len(self.held) > MAX_QUOTED_PRINTABLE_LINE:
            raise _malformed("a line of quoted-printable has no end")
        return binascii.a2b_qp(lines + feed)

    def end(self) -> bytes:
        """Decode the last line."""
        return binascii.a2b_qp(self.held)


_DECODERS: dict[bytes, type[Decoder]] = {
    b"": Plain,
    b"7bit": Plain,
    b"8bit": Plain,
    b"binary": Plain,
    b"base64": Base64,
    b"quoted-printable": QuotedPrintable,
}


@dataclass(slots=True)
class Part:
    """One part: what its head says, and how to decode what follows."""

    media_type: str
    decoder: Decoder


class Related:
    """Reads one body. `metadata` is complete as soon as `media_type`, that of the media, is known."""

    def __init__(self, boundary: bytes) -> None:
        self.metadata = bytearray()
        self.media_type = ""
        self._mark = b"\n--" + boundary
        # A delimiter begins a line; so that the first may begin the body, a line feed is put before it.
        self._buffer = bytearray(b"\n")
        self._ours = 1
        self._skipped = 0
        self._parts: list[Part] = []
        self._step = self._preamble

    def take(self, octets: bytes) -> bytes:
        """Read on; the media's octets among these. Raises `MalformedMultipart`, `BodyTooLarge`."""
        self._buffer += octets
        return b"".join(self._steps())

    def end(self) -> bytes:
        """What was held back, now that nothing follows. Raises `MalformedMultipart` for what is not complete."""
        media = self.take(b"\r\n")  # the line end that some clients leave out
        if self._step != self._epilogue:
            raise refusals.MalformedMultipart(problem="Missing end boundary in multipart body.")
        if len(self._parts) != 2:
            problem = f"Invalid multipart request with {len(self._parts)} mime parts."
            raise refusals.MalformedMultipart(problem=problem)
        return media

    def _steps(self) -> Iterator[bytes]:
        """Step by step until more octets are needed; each gives what it has found of the media."""
        step = None
        while step != self._step:
            step = self._step
            yield step()

    def _preamble(self) -> bytes:
        self._skipped += len(self._up_to_delimiter())
        if self._skipped > MAX_PREAMBLE:
            raise _malformed("no delimiter comes")
        return b""

    def _head(self) -> bytes:
        found = part_heads.END_OF_HEAD.search(self._buffer, 0, MAX_HEAD)
        if found is None:
            if len(self._buffer) >= MAX_HEAD:
                raise _malformed(f"the head of a part is over {MAX_HEAD} octets")
            return b""
        self._begin(_part(bytes(self._buffer[: found.start()])))
        del self._buffer[: found.end() - 1]
        self._ours = 1
        self._step = self._body
        return b""

    def _begin(self, part: Part) -> None:
        if not self._parts and part.media_type != "application/json":
            raise _malformed(f"the first part is {part.media_type}, not application/json")
        if self._parts:
            self.media_type = part.media_type
        self._parts.append(part)

    def _body(self) -> bytes:
        decoder = self._parts[-1].decoder
        octets = decoder.take(self._up_to_delimiter())
        if self._step != self._body:
            octets += decoder.end()
        if self.media_type:
            return octets
        self.metadata += octets
        if len(self.metadata) > MAX_METADATA:
            raise refusals.BodyTooLarge("the metadata goes on", limit=MAX_METADATA)
        return b""

    def _epilogue(self) -> bytes:
        self._buffer.clear()
        return b""

    def _up_to_delimiter(self) -> bytes:
        """Remove what stands before the next delimiter, as far as it is sure; and that, if it has come."""
        sure, end, closes = _delimiter(self._buffer, self._mark)
        octets = bytes(self._buffer[self._ours : sure])
        self._ours = 0 if sure else self._ours
        del self._buffer[: sure if end is None else end]
        if end is not None:
            if not closes and len(self._parts) == 2:
                raise _malformed("there is a third part")
            self._step = self._epilogue if closes else self._head
        return octets


def _delimiter(buffer: bytearray, mark: bytes) -> tuple[int, int | None, bool]:
    """How far the octets before the next delimiter surely go; where that ends, if it has come; if it closes."""
    at = -1
    while (at := buffer.find(mark, at + 1)) >= 0:
        before = at - buffer.startswith(b"\r", at - 1) if at else 0
        tail = _TAIL.match(buffer, at + len(mark))
        if tail:
            return before, tail.end(), tail[1] is not None
        if _PERHAPS_TAIL.fullmatch(buffer, at + len(mark)):
            return before, None, False
    return max(len(buffer) - len(mark), 0), None, False


def _part(head: bytes) -> Part:
    fields: dict[bytes, bytes] = {}
    try:
        for name, value in part_heads.fields(part_heads.lines(head)):
            if name in fields:
                raise _malformed("the head of a part has a field twice")
            fields[name] = value
    except part_heads.NotAFieldError:
        raise _malformed("the head of a part has a line that is no field") from None
    encoding = fields.get(b"content-transfer-encoding", b"").lower()
    decoder = _DECODERS.get(encoding)
    if decoder is None:
        raise _malformed(f"a part has the unknown encoding {encoding[:40].decode('latin-1')!r}")
    media_type = fields.get(b"content-type", b"text/plain").partition(b";")[0].strip().lower()
    return Part(media_type.decode("latin-1") or "text/plain", decoder())


def _malformed(why: str) -> refusals.MalformedMultipart:
    return refusals.MalformedMultipart(f"multipart: {why}", problem="Malformed multipart body.")
