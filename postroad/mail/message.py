"""Reads a message as bytes: checks its header section, finds its fields, never writes one anew.

The standard library's `email` package turns other characters than CRLF into line breaks and moves what it
cannot read into the body (hardening.md 0.3); a customer's message must not depend on that.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
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
# Bcc escapes other readers. There is no CR or LF but in CRLF: one of both to look for is enough.
_FIELD = re.compile(rb"^([!-9;-~]++):([^\r]*+(?:\r\n[ \t][^\r]*+)*)\r\n", re.MULTILINE)
_MARKS = len(b":\r\n")
_CR, _LF = b"\r\n"
_NAME = itemgetter(0)
_CONTROLS = bytes(set(range(32)) - set(b"\t\r\n"))
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
        return unfolded(self.body)


class Message(NamedTuple):
    """A checked message: `content` with CRLF line ends, its fields, and where the empty line stands.

    `found` are names and bodies, `keys` the names in lower case; `first` tells where each stands first among them.
    """

    content: bytes | bytearray
    found: Sequence[tuple[bytes, bytes]]
    keys: Sequence[bytes]
    first: Mapping[bytes, int]
    header_size: int

    @property
    def fields(self) -> tuple[Field, ...]:
        """All fields, with their places."""
        return _placed(self.found)

    def bodies(self, key: bytes) -> Sequence[bytes]:
        """The body of every field of that key, in order."""
        at = self.first.get(key)
        if at is None:
            return ()
        if len(self.first) == len(self.keys):  # no name stands twice
            return (self.found[at][1],)
        return [body for name, (_, body) in zip(self.keys, self.found, strict=True) if name == key]

    def body(self, key: bytes) -> bytes | None:
        """The body of the first such field."""
        at = self.first.get(key)
        return None if at is None else self.found[at][1]

    def text(self, key: bytes) -> str:
        """The same, unfolded and trimmed; "" when there is none."""
        return unfolded(self.body(key) or b"")


def unfolded(body: bytes) -> str:
    """The body of a field on one line, trimmed (RFC 5322 section 2.2.3)."""
    return body.replace(b"\r\n", b"").strip(b" \t").decode()


def parse(submitted: bytes | bytearray) -> Message:
    """Check a submitted message and find its fields.

    Raises `InvalidMessage` for what no two mail programs read alike (hardening.md 2A), and `InvalidHeader`
    for a field that stands twice where RFC 5322 section 3.6 allows one. Time and memory are linear.
    """
    content = with_crlf(submitted)
    section = _header_section(content)
    found = _found(section)
    keys = [*map(bytes.lower, map(_NAME, found))]
    first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
    _refuse_excess(keys)
    if len(first) < len(keys):
        _refuse_repeats(keys)
    return Message(content, found, keys, first, len(section))


def with_crlf(submitted: bytes | bytearray) -> bytes | bytearray:
    """The same lines, each ended by CRLF; a bare CR or a NUL is refused, for servers disagree on them."""
    if 0 in submitted:  # a number: to look for octets in octets costs an exception that nobody sees
        raise refusals.InvalidMessage(problem="it holds a NUL octet")
    bare = False
    for lines in _slices(submitted):
        unpaired = lines.replace(b"\r\n", b"")  # with both searches, faster than to count what is there
        if _CR in unpaired:
            raise refusals.InvalidMessage(problem="it holds a carriage return without a line feed")
        bare = bare or _LF in unpaired
    if not bare:
        return submitted
    converted = bytearray()
    for lines in _slices(submitted):
        converted += lines.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return converted


def _slices(submitted: bytes | bytearray) -> Iterator[bytes | bytearray]:
    """Whole lines, so that no CRLF is parted, and few, so that a message is in memory twice, not three times."""
    start = 0
    while start < len(submitted):
        end = submitted.find(b"\n", start + _SLICE) + 1 or len(submitted)
        yield submitted[start:end]
        start = end


def fields_of(section: bytes) -> tuple[Field, ...]:
    """The fields of a header section whose lines end with CRLF.

    Raises `InvalidMessage` at the first line that belongs to none.
    """
    return _placed(_found(section))


def _found(section: bytes) -> list[tuple[bytes, bytes]]:
    """Name and body of each field. Raises as `fields_of`."""
    found = _FIELD.findall(section)
    if sum(map(len, chain.from_iterable(found))) + _MARKS * len(found) < len(section):  # something was passed over
        raise refusals.InvalidMessage(problem=_what_is_wrong(section))
    return found


def _placed(found: Sequence[tuple[bytes, bytes]]) -> tuple[Field, ...]:
    fields: list[Field] = []
    at = 0
    for name, body in found:
        fields.append(Field(name.lower(), name, body, at, at := at + len(name) + len(body) + _MARKS))
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
    if len(section.translate(None, _CONTROLS)) < len(section):
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


def _what_is_wrong(section: bytes) -> str:
    at = 0
    while match := _FIELD.match(section, at):
        at = match.end()
    line = section[at : section.find(b"\r\n", at)]
    if not line:
        return "it begins with an empty line"
    if line[:1] in b" \t":
        return "its first line begins with white space"
    number = 1 + section.count(b"\r\n", 0, at)
    return f"header line {number} is not of the form 'name: value'"


def _refuse_excess(keys: Sequence[bytes]) -> None:
    if len(keys) > MAX_FIELDS:
        raise refusals.InvalidMessage(problem=f"it has {len(keys)} header fields, the limit is {MAX_FIELDS}")
    if max(map(len, keys), default=0) > MAX_FIELD_NAME:
        raise refusals.InvalidMessage(problem=f"a header field's name is over {MAX_FIELD_NAME} octets")


def _refuse_repeats(keys: Sequence[bytes]) -> None:
    counts = Counter(keys)
    if counts[b"received"] > MAX_RECEIVED:
        raise refusals.InvalidMessage(problem=f"it has over {MAX_RECEIVED} Received fields: a mail loop")
    for key, name in _AT_MOST_ONE.items():
        if counts[key] > 1:
            raise refusals.InvalidHeader(f"{name} stands twice", name=name)
