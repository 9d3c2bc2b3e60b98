"""Reads a message as bytes: checks its header section, finds its fields, never writes one anew.

The standard library's `email` package turns other characters than CRLF into line breaks and moves what it
cannot read into the body (hardening.md 0.3); a customer's message must not depend on that.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from postroad import refusals

# Settings of the house, not of any RFC: what a message may cost before it is looked at (DESIGN.md section 7).
MAX_HEADER_SECTION = 256 * 1024
MAX_FIELDS = 1000
MAX_FIELD_NAME = 255
# RFC 5321 section 6.3: a message that has met this many servers is going round in circles.
MAX_RECEIVED = 50

# RFC 5322 section 2.2: field-name is printable US-ASCII except colon. Section 2.2.3: a field goes on over
# lines that begin with white space. No white space before the colon: obs-optional (section 4.5.8) is how a
# Bcc escapes other readers.
_FIELD = re.compile(rb"([!-9;-~]+):([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)\r\n")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SLICE = 1 << 20

# RFC 5322 section 3.6: at most one each. To, Cc and Bcc are unlike them: several are read as one.
_AT_MOST_ONE = {
    b"from": "From",
    b"sender": "Sender",
    b"date": "Date",
    b"subject": "Subject",
    b"message-id": "Message-ID",
}


class Field(NamedTuple):
    """A header field: its name and body as written, and where its lines begin and end in the content.

    `key` is the name in lower case (RFC 5322 section 1.2.2: names compare without case).
    """

    key: bytes
    name: bytes
    body: bytes
    start: int
    end: int

    @property
    def text(self) -> str:
        """The body unfolded and trimmed."""
        return self.body.replace(b"\r\n", b"").strip(b" \t").decode()


@dataclass(frozen=True, slots=True)
class Message:
    """A checked message: `content` with CRLF line ends, its `fields`, and where the empty line stands.

    `named` holds the fields by their keys.
    """

    content: bytes | bytearray
    fields: tuple[Field, ...]
    named: Mapping[bytes, Sequence[Field]]
    header_size: int

    def all(self, name: str) -> Sequence[Field]:
        """Every field of that name, in order."""
        return self.named.get(name.lower().encode(), ())

    def first(self, name: str) -> Field | None:
        """The first field of that name."""
        found = self.all(name)
        return found[0] if found else None

    def text(self, name: str) -> str:
        """The first such field's body, unfolded; "" when there is none."""
        field = self.first(name)
        return field.text if field else ""


def parse(submitted: bytes | bytearray) -> Message:
    """Check a submitted message and find its fields.

    Raises `InvalidMessage` for what no two mail programs read alike (hardening.md 2A), and `InvalidHeader`
    for a field that stands twice where RFC 5322 section 3.6 allows one. Time and memory are linear.
    """
    content = with_crlf(submitted)
    section = _header_section(content)
    fields = fields_of(section)
    named: dict[bytes, list[Field]] = defaultdict(list)
    for field in fields:
        named[field.key].append(field)
    _refuse_excess(fields, named)
    _refuse_repeats(named)
    return Message(content, fields, named, len(section))


def with_crlf(submitted: bytes | bytearray) -> bytes | bytearray:
    """The same lines, each ended by CRLF; a bare CR or a NUL is refused, for servers disagree on them."""
    if b"\0" in submitted:
        raise refusals.InvalidMessage(problem="it holds a NUL octet")
    pairs = submitted.count(b"\r\n")
    if submitted.count(b"\r") != pairs:
        raise refusals.InvalidMessage(problem="it holds a carriage return without a line feed")
    if submitted.count(b"\n") == pairs:
        return submitted
    return _crlf_slices(submitted)


def _crlf_slices(submitted: bytes | bytearray) -> bytearray:
    """Convert slice by slice, so that a message of the largest size is in memory twice, not three times."""
    converted = bytearray()
    start = 0
    while start < len(submitted):
        end = submitted.find(b"\n", start + _SLICE) + 1 or len(submitted)
        converted += submitted[start:end].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        start = end
    return converted


def fields_of(section: bytes) -> tuple[Field, ...]:
    """The fields of a header section. Raises `InvalidMessage` at the first line that belongs to none."""
    fields: list[Field] = []
    at = 0
    while at < len(section):
        match = _FIELD.match(section, at)
        if match is None:
            raise refusals.InvalidMessage(problem=_what_is_wrong(section, at))
        name, body = match.groups()
        fields.append(Field(name.lower(), name, body, at, at := match.end()))
    return tuple(fields)


def _header_section(content: bytes | bytearray) -> bytes:
    """The octets up to the empty line; all of them when there is no body."""
    end = content.find(b"\r\n\r\n", 0, MAX_HEADER_SECTION + 2) + 2
    if end == 1:
        if len(content) > MAX_HEADER_SECTION:
            raise refusals.InvalidMessage(problem=f"its header section is over {MAX_HEADER_SECTION} octets")
        end = len(content)
    section = bytes(content[:end])
    if not section.endswith(b"\r\n"):
        raise refusals.InvalidMessage(problem="its last header line has no line end")
    if _CONTROL.search(section):
        raise refusals.InvalidMessage(problem="its header section holds a control character")
    if not _is_utf8(section):
        raise refusals.InvalidMessage(problem="its header section is neither US-ASCII nor UTF-8")
    return section


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def _what_is_wrong(section: bytes, at: int) -> str:
    line = section[at : section.find(b"\r\n", at)]
    if not line:
        return "it begins with an empty line"
    if line[:1] in b" \t":
        return "its first line begins with white space"
    number = 1 + section.count(b"\r\n", 0, at)
    return f"header line {number} is not of the form 'name: value'"


def _refuse_excess(fields: tuple[Field, ...], named: Mapping[bytes, Sequence[Field]]) -> None:
    if len(fields) > MAX_FIELDS:
        raise refusals.InvalidMessage(problem=f"it has {len(fields)} header fields, the limit is {MAX_FIELDS}")
    if max(map(len, named), default=0) > MAX_FIELD_NAME:
        raise refusals.InvalidMessage(problem=f"a header field's name is over {MAX_FIELD_NAME} octets")
    if len(named.get(b"received", ())) > MAX_RECEIVED:
        raise refusals.InvalidMessage(problem=f"it has over {MAX_RECEIVED} Received fields: a mail loop")


def _refuse_repeats(named: Mapping[bytes, Sequence[Field]]) -> None:
    for key, name in _AT_MOST_ONE.items():
        if len(named.get(key, ())) > 1:
            raise refusals.InvalidHeader(f"{name} stands twice", name=name)
