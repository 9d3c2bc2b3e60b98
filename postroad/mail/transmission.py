"""The transmitted form of a message: lines of at most 998 octets and, where asked, 7-bit content.

The smallest change with the same meaning, made in the bytes: header lines are folded, single parts are given
another content transfer encoding (RFC 2045 section 6); nothing is ever parsed and written anew. What cannot
be changed safely is refused. Expects CRLF line endings, no NUL and a well-formed header section.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

ENCODED_LINE_LIMIT = 76  # RFC 2045 sections 6.7 and 6.8
LINE_LIMIT = 998  # octets without CRLF: RFC 5322 section 2.1.1, RFC 5321 section 4.5.3.1.6
DEPTH_LIMIT = 50  # entities within entities; ours, far above what people send

_CRLF = b"\r\n"
_SLICE = 1 << 16  # octets looked at in one go, so that no copy of a large body is made
_IDENTITIES = (b"7bit", b"8bit", b"binary")  # strictest first (RFC 2045 section 6.2)

_FIELDS = {
    name: re.compile(rb"^" + name + rb":(.*(?:\n[ \t].*)*)\n?", re.IGNORECASE | re.MULTILINE)
    for name in (b"MIME-Version", b"Content-Type", b"Content-Transfer-Encoding")
}
# A line that is neither `name:`, nor a continuation, nor the end (RFC 5322 section 2.2).
_MALFORMED = re.compile(rb"\A[ \t]|^(?![!-9;-~]+:|[ \t]|\Z)", re.MULTILINE)
# A quoted string (kept as group 1) or a comment; a comment within a comment leaves the field unclear. Possessive
# throughout: a part's header may be as large as the message.
_COMMENT = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z))|\([^()\\]*+(?:\\.[^()\\]*+)*+(?:\)|\Z)', re.DOTALL)
_MEDIA_TYPE = re.compile(rb"([!#-'*+.0-9A-Z^-~-]+)\s*/\s*([!#-'*+.0-9A-Z^-~-]+)")  # tokens (RFC 2045 section 5.1)
# Unquoted values may hold what should have been quoted: `boundary==_a` is common.
_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*("[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s;"]+)', re.DOTALL)
_WORD = re.compile(rb"[ \t]*[^ \t]+")
# close-delimiter's dashes, transport-padding, CRLF (RFC 2046 section 5.1.1)
_DELIMITER_TAIL = re.compile(rb"(--)?[ \t]*(?:\r\n|\Z)")
_BASE64_LINE = re.compile(rb".{1,76}", re.DOTALL)
_NOT_QUOTED_PRINTABLE = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*(?:\r\n|\Z))")
_QUOTED_PRINTABLE_PIECE = re.compile(rb".{1,75}(?<!=)(?<!=.)")  # never ends within `=41`
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \t\r\n"
_ESCAPES = {octet: f"={octet:02X}" for octet in range(128, 256)}


class CannotTransmit(ValueError):  # noqa: N818 - says what cannot be done, as a refusal does
    """The next hop cannot take this content, and no change with the same meaning would help; `str()` says why."""


class _Edit(NamedTuple):
    """Octets `start` to `end` of the content become `new`."""

    start: int
    end: int
    new: bytes


@dataclass(frozen=True, slots=True)
class _Entity:
    """A message, or a part of one, by its offsets in the content (RFC 2045 section 2.4)."""

    start: int
    end: int
    depth: int
    message: bool = False
    implied: bytes = b"text/plain"  # its type when the header names none


class _Change(NamedTuple):
    """What becomes of one entity: its header section, its body if that changes, and what to look at next."""

    header: bytes
    body: bytes | None = None
    children: tuple[_Entity, ...] = ()


def longest_line(content: bytes | bytearray, at_least: int = 0) -> int:
    """Octets of the longest line, without its CRLF; or `at_least`, which spares looking at shorter ones."""
    return _longest(content, 0, len(content), at_least)


def is_eight_bit(content: bytes | bytearray, start: int = 0) -> bool:
    """Whether there is an octet over 127, from `start` on."""
    return not _seven_bit(content, start, len(content))


def headers_need_smtputf8(header_section: bytes) -> bool:
    """Whether the message can only go to a host that takes SMTPUTF8 (RFC 6531 section 3.4)."""
    return not header_section.isascii()


def fold(header_section: bytes, limit: int = LINE_LIMIT) -> bytes:
    """Break lines over `limit` before white space; a word, with the white space before it, stays whole."""
    if _longest(header_section, 0, len(header_section), limit) == limit:
        return header_section
    return _CRLF.join(_folded(line, limit) for line in header_section.split(_CRLF))


def foldable(header_section: bytes) -> bool:
    """Whether folding brings every header line within 998 octets."""
    folded = fold(header_section)
    return folded is header_section or longest_line(folded, at_least=LINE_LIMIT) == LINE_LIMIT


def quoted_printable(body: bytes) -> bytes:
    """Encode octets with CRLF line endings (RFC 2045 section 6.7)."""
    # binascii takes its line ending from the first it sees. Its soft breaks are undone: they may begin a line
    # with a delimiter, and come one octet late at a trailing blank.
    escaped = binascii.b2a_qp(body + _CRLF).replace(b"=\r\n", b"").removesuffix(_CRLF)
    return _with_soft_breaks(escaped, ENCODED_LINE_LIMIT)


def transmissible(content: bytes, *, eight_bit: bool) -> bytes:
    """Return the content as the next hop can take it: the same object when nothing needs to change.

    `eight_bit` says that the next hop offers 8BITMIME (RFC 6152). Octets over 127 in the message's own header
    section stay: they are a matter of SMTPUTF8. Raises `CannotTransmit`.
    """
    ceiling = b"8bit" if eight_bit else b"7bit"
    if _fits(content, 0, len(content), ceiling):
        return content
    edits = sorted(_edits(content, ceiling))
    result = _edited(content, edits) if edits else content
    if (longest := _longest(result, 0, len(result), LINE_LIMIT)) > LINE_LIMIT:
        raise CannotTransmit(f"a line of {longest} octets stands where it cannot be broken")
    if not _fits(result, _header_end(result, 0, len(result)), len(result), ceiling):
        raise CannotTransmit("there are 8-bit octets where no encoding is possible")
    return result


def _longest(content: bytes | bytearray, start: int, end: int, longest: int) -> int:
    """Return the octets of the longest line over `longest`, or that; jumps over lines that cannot be longer."""
    while end - start > longest:
        feed = content.rfind(b"\n", start, start + longest + len(_CRLF))
        if feed < 0:
            found = content.find(_CRLF, start + longest, end)
            feed = (end if found < 0 else found) + 1
            longest = feed - 1 - start
        start = feed + 1
    return longest


def _fits(content: bytes, start: int, end: int, ceiling: bytes) -> bool:
    seven_bit = ceiling == b"7bit"
    if seven_bit and not _seven_bit(content, start, end):
        return False
    return _longest(content, start, end, LINE_LIMIT) == LINE_LIMIT


def _seven_bit(content: bytes | bytearray, start: int, end: int) -> bool:
    if end - start <= _SLICE:
        return content[start:end].isascii()
    return all(content[at : min(at + _SLICE, end)].isascii() for at in range(start, end, _SLICE))


def _edited(content: bytes, edits: list[_Edit]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for edit in edits:
        pieces += [content[at : edit.start], edit.new]
        at = edit.end
    return b"".join([*pieces, content[at:]])


def _edits(content: bytes, ceiling: bytes) -> Iterator[_Edit]:
    """Walk the entities that do not fit, without recursion and in no particular order."""
    pending = [_Entity(0, len(content), 0, message=True)]
    while pending:
        entity = pending.pop()
        if _fits(content, entity.start, entity.end, ceiling):
            continue
        header_end = _header_end(content, entity.start, entity.end)
        header = content[entity.start : header_end]
        change = _change(content, entity, header, ceiling)
        folded = fold(change.header)
        if folded != header:
            yield _Edit(entity.start, header_end, folded)
        if change.body is not None:
            yield _Edit(_body_start(entity, header), entity.end, change.body)
        pending += change.children


def _header_end(content: bytes, start: int, end: int) -> int:
    """Where the header section ends: before the blank line, or at `end` when there is none."""
    if content.startswith(_CRLF, start):
        return start
    found = content.find(b"\r\n\r\n", start, end)
    return end if found < 0 else found + len(_CRLF)


def _body_start(entity: _Entity, header: bytes) -> int:
    return min(entity.start + len(header) + len(_CRLF), entity.end)


def _change(content: bytes, entity: _Entity, header: bytes, ceiling: bytes) -> _Change:
    if _MALFORMED.search(header):
        raise CannotTransmit("the header of a part is malformed")
    if entity.depth > DEPTH_LIMIT:
        raise CannotTransmit(f"parts lie more than {DEPTH_LIMIT} deep")
    start = _body_start(entity, header)
    if not _fits(header, 0, len(header), ceiling) and _fits(content, start, entity.end, ceiling):
        return _Change(header)
    kind, encoding = _media_type(header, entity.implied), _encoding(header)
    if kind == b"multipart/signed":  # RFC 1847 section 2.1: it may not be altered in any way
        raise CannotTransmit("a signed part would have to be changed")
    if kind.startswith(b"multipart/"):  # whatever encoding it claims: readers go by RFC 2045 section 6.4
        return _Change(_lowered(header, encoding, ceiling), children=_parts(content, entity, start, header))
    if kind in (b"message/rfc822", b"message/global") and encoding in _IDENTITIES:
        inner = _Entity(start, entity.end, entity.depth + 1, message=True)
        return _Change(_lowered(header, encoding, ceiling), children=(inner,))
    return _encoded(header, content[start : entity.end], kind, encoding, message=entity.message)


def _parts(content: bytes, entity: _Entity, start: int, header: bytes) -> tuple[_Entity, ...]:
    """Return the parts of a multipart; the last one ends with its parent when the close-delimiter is missing."""
    boundary = _boundary(_value(header, b"Content-Type"))
    digest = _media_type(header, entity.implied) == b"multipart/digest"  # RFC 2046 section 5.1.5
    implied = b"message/rfc822" if digest else b"text/plain"
    spans: list[tuple[int, int]] = []
    opened = None
    for delimiter, after in _delimiters(content, start, entity.end, boundary):
        if opened is not None:
            spans.append((opened, max(opened, delimiter)))
        opened = after
    if opened is not None:
        spans.append((opened, entity.end))
    if not spans:
        raise CannotTransmit("a multipart has no part")
    return tuple(_Entity(begin, end, entity.depth + 1, implied=implied) for begin, end in spans)


def _delimiters(content: bytes, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int | None]]:
    """Yield where each delimiter begins, with the CRLF before it, and where the part after it begins.

    The whole line must match: boundaries that are prefixes of each other are told apart.
    """
    dashes = b"\n--" + boundary
    at = content.find(dashes, start - 1, end)
    while at >= 0:
        tail = _DELIMITER_TAIL.match(content, at + len(dashes), end)
        if tail is not None:
            yield at - 1, None if tail[1] else tail.end()
            if tail[1]:
                return
        at = content.find(dashes, at + 1, end)


def _encoded(header: bytes, body: bytes, kind: bytes, encoding: bytes, *, message: bool) -> _Change:
    """Give a leaf an encoding whose lines are short and 7-bit."""
    if encoding == b"base64":
        return _Change(header, _base64_lines(body))
    # Of message/*, only the kinds of RFC 6533 may be encoded (RFC 2046 section 5.2, RFC 6533 section 6).
    if kind.startswith(b"message/") and not kind.startswith(b"message/global-"):
        raise CannotTransmit(f"a part of type {kind.decode()[:40]} may not be encoded")
    if encoding == b"quoted-printable":
        return _Change(header, _shorter_quoted_printable(body))
    if encoding not in _IDENTITIES:
        raise CannotTransmit(f"a part has the unknown encoding {encoding.decode('latin-1')[:40]!r}")
    if message:
        header = _with_mime_fields(header, body)
    if kind.startswith(b"text/"):
        return _Change(_labelled(header, b"quoted-printable"), quoted_printable(body))
    return _Change(_labelled(header, b"base64"), _base64_lines(base64.b64encode(body)))


def _base64_lines(encoded: bytes) -> bytes:
    if encoded.translate(None, _BASE64):  # decoders ignore it, but it may be plain text with a wrong label
        raise CannotTransmit("a part is not in the base64 encoding it claims")
    end = _CRLF if encoded.endswith(_CRLF) else b""
    return _CRLF.join(_BASE64_LINE.findall(encoded.translate(None, b" \t\r\n"))) + end


def _shorter_quoted_printable(body: bytes) -> bytes:
    if _NOT_QUOTED_PRINTABLE.search(body):
        raise CannotTransmit("a part is not in the quoted-printable encoding it claims")
    if not body.isascii():
        body = body.decode("latin-1").translate(_ESCAPES).encode("ascii")
    return _with_soft_breaks(body, LINE_LIMIT)


def _with_soft_breaks(encoded: bytes, limit: int) -> bytes:
    return _CRLF.join(line if len(line) <= limit else _softly_broken(line) for line in encoded.split(_CRLF))


def _softly_broken(line: bytes) -> bytes:
    """Break a line of quoted-printable; what its end means is left to the reader, as it was."""
    text = line.rstrip(b" \t").removesuffix(b"=")
    safe = text.replace(b"--", b"=2D=2D")  # or a line of ours could begin like a delimiter
    return b"=\r\n".join(_QUOTED_PRINTABLE_PIECE.findall(safe)) + line[len(text) :]


def _folded(line: bytes, limit: int) -> bytes:
    if len(line) <= limit:
        return line
    text = line.rstrip(b" \t")
    lines: list[bytes] = []
    for word in _WORD.findall(text):
        if lines and len(lines[-1]) + len(word) <= limit:
            lines[-1] += word
        else:
            lines.append(word)
    return _CRLF.join(lines) + line[len(text) :]


def _field(header: bytes, name: bytes) -> re.Match[bytes] | None:
    found = list(_FIELDS[name].finditer(header))
    if len(found) > 1:
        raise CannotTransmit(f"a header has two {name.decode()} fields")
    return found[0] if found else None


def _value(header: bytes, name: bytes) -> bytes:
    """Return a structured field's value without folds and comments; empty when there is no such field."""
    field = _field(header, name)
    return _COMMENT.sub(rb"\1", field[1].replace(_CRLF, b"")).strip() if field else b""


def _encoding(header: bytes) -> bytes:
    return _value(header, b"Content-Transfer-Encoding").lower() or b"7bit"


def _media_type(header: bytes, implied: bytes) -> bytes:
    """Return type/subtype in lower case; plain text where there are no such two (RFC 2045 section 5.2)."""
    value = _value(header, b"Content-Type")
    if b"/" not in value:
        return b"text/plain" if value else implied
    found = _MEDIA_TYPE.match(value)
    if found is None:
        raise CannotTransmit("the type of a part is unclear")
    return b"/".join(found.groups()).lower()


def _boundary(content_type: bytes) -> bytes:
    values = [value for name, value in _PARAMETER.findall(content_type) if name.lower() == b"boundary"]
    if len(values) == 1 and (boundary := _unquoted(values[0]).rstrip()):
        return boundary  # it cannot end with white space (RFC 2046 section 5.1.1)
    raise CannotTransmit("a multipart does not name one boundary")


def _unquoted(value: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", value[1:-1]) if value.startswith(b'"') else value


def _lowered(header: bytes, encoding: bytes, ceiling: bytes) -> bytes:
    """Let a container promise no more than its parts will hold (RFC 2045 section 6.4)."""
    allowed = _IDENTITIES[: _IDENTITIES.index(ceiling) + 1]
    return _labelled(header, ceiling) if encoding in _IDENTITIES and encoding not in allowed else header


def _labelled(header: bytes, encoding: bytes) -> bytes:
    line = b"Content-Transfer-Encoding: " + encoding + _CRLF
    field = _field(header, b"Content-Transfer-Encoding")
    if field is None:
        return header + line
    return header[: field.start()] + line + header[field.end() :]


def _with_mime_fields(header: bytes, body: bytes) -> bytes:
    """Make the header say what readers assumed: without these fields an encoding means nothing."""
    if _field(header, b"MIME-Version") is None:
        header += b"MIME-Version: 1.0\r\n"
    if _field(header, b"Content-Type") is None:
        header += b"Content-Type: text/plain; charset=" + _charset(body) + _CRLF
    return header


def _charset(body: bytes) -> bytes:
    """Name the charset nobody named; unknown-8bit is RFC 1428's word for what it cannot be told."""
    if body.isascii():
        return b"us-ascii"
    try:
        body.decode()
    except UnicodeDecodeError:
        return b"unknown-8bit"
    return b"utf-8"
