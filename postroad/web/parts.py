"""The parts of a batch: requests and answers as application/http in multipart/mixed (gmail-wire.md section 5).

No I/O here. A part is the frame of its call: a Content-Length inside is not believed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from urllib.parse import unquote

from postroad import refusals
from postroad.refusals import Refusal
from postroad.web import part_heads
from postroad.web.responses import Response

MAX_CALLS = 100
MAX_BOUNDARY = 256
# Lines that begin as a delimiter does: nobody sends ten times as many as there may be parts by chance.
MAX_LOOKED_AT = 10 * MAX_CALLS
# Octets of the head of a part, and of the head of the request in it.
MAX_HEAD = 32 * 1024

# What an inner call cannot mean: media, or another batch (gmail-wire.md 5.1).
_NOT_INSIDE = re.compile("/+(?:upload|resumable|batch)(?:/.*)?", re.DOTALL)

_AUTHORITY = re.compile(rb"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*/?")  # Java writes absolute addresses
_VERSION = re.compile(rb"HTTP/[0-9](?:\.[0-9])?")
_VARY = (b"Vary: Origin", b"Vary: X-Origin", b"Vary: Referer")


@dataclass(frozen=True, slots=True)
class Inner:
    """A call as its part has it: a request without a connection. Header names are in lower case."""

    verb: str
    path: bytes
    query: bytes
    headers: Mapping[bytes, bytes]
    body: memoryview


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a batch: its Content-ID (empty when it has none), and its call, or why there is none."""

    content_id: bytes
    call: Inner | Refusal


def parse(body: bytes | bytearray, content_type: bytes) -> list[Part]:
    """The parts of a batch, in their order. Raises `BatchMalformed` and `TooManyCalls`."""
    boundary = _boundary(content_type)
    contents = list(islice(_contents(body, boundary), MAX_CALLS + 1))
    if not contents:
        raise refusals.BatchMalformed(problem="The batch holds no request.")
    if len(contents) > MAX_CALLS:
        raise refusals.TooManyCalls(count=_count(body, boundary), limit=MAX_CALLS)
    return [_part(content) for content in contents]


def _boundary(content_type: bytes) -> bytes:
    boundary = part_heads.boundary_of(content_type)
    if not content_type.lower().startswith(b"multipart/mixed") or not boundary:
        raise refusals.BatchMalformed(problem="The Content-Type is not multipart/mixed with a boundary.")
    if len(boundary) > MAX_BOUNDARY:
        raise refusals.BatchMalformed(problem=f"The boundary is longer than {MAX_BOUNDARY} octets.")
    return boundary


def _count(body: bytes | bytearray, boundary: bytes) -> int:
    """How many parts there are when they are too many to be walked: every delimiter but the closing one."""
    delimiter = b"\n--" + boundary
    return body.count(delimiter) - (not body.startswith(delimiter[1:]))


def _contents(body: bytes | bytearray, boundary: bytes) -> Iterator[memoryview]:
    """What stands between the delimiters. Raises `BatchMalformed` when the closing one does not come."""
    start = None
    for delimiter in _delimiters(body, boundary):
        if start is not None:
            line_break = 2 if body[delimiter.start() - 2 : delimiter.start()] == b"\r\n" else 1
            yield memoryview(body)[start : max(start, delimiter.start() - line_break)]
        if delimiter[1]:
            return
        start = delimiter.end()
    raise refusals.BatchMalformed(problem="Missing end boundary in multipart body.")


def _delimiters(body: bytes | bytearray, boundary: bytes) -> Iterator[re.Match[bytes]]:
    """The delimiter lines (RFC 2046 section 5.1.1); group 1 marks the closing one. Raises `BatchMalformed`."""
    line = re.compile(b"--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\r?\n|\Z)")
    at = 0
    for _ in range(MAX_LOOKED_AT):
        if found := line.match(body, at):
            yield found
        at = body.find(b"\n--" + boundary, at) + 1
        if not at:
            return
    raise refusals.BatchMalformed(problem="Too many lines begin like the boundary.")


def _part(content: memoryview) -> Part:
    """One part. Whatever is wrong with it is answered in its own part."""
    content_id = b""
    try:
        lines, inner = _head(content)
        headers = _fields(lines)
        content_id = headers.get(b"content-id", b"")
        _refuse_other_types(headers.get(b"content-type", b"application/http"))
        return Part(content_id, _call(inner))
    except Refusal as refusal:
        return Part(content_id, refusal)


def _refuse_other_types(content_type: bytes) -> None:
    if content_type.partition(b";")[0].strip().lower() != b"application/http":
        raise refusals.BatchMalformed(problem="A part is not application/http.")


def _call(octets: memoryview) -> Inner:
    """The call in a part. Raises `BatchMalformed`, `NotInBatch`, `UnsupportedEncoding`."""
    begin = bytes(octets[:MAX_HEAD])
    lines, body = _head(octets[len(begin) - len(begin.lstrip(b"\r\n")) :])  # RFC 9112 section 2.2
    verb, path, query = _request_line(lines[0])
    if _NOT_INSIDE.fullmatch(unquote(path.decode("latin-1"))):
        raise refusals.NotInBatch
    headers = _fields(lines[1:])
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise refusals.UnsupportedEncoding(encoding=headers[b"content-encoding"].decode("latin-1"))
    return Inner(verb, path, query, headers, body)


def _request_line(line: bytes) -> tuple[str, bytes, bytes]:
    """Verb, path and query; the version may be missing, and the host is not looked at."""
    words = line.split()
    target = _AUTHORITY.sub(b"/", words[1], count=1) if len(words) in (2, 3) else b""
    if not target.startswith(b"/") or not all(_VERSION.fullmatch(version) for version in words[2:]):
        raise refusals.BatchMalformed(problem="A part does not begin with a request line.")
    path, _, query = target.partition(b"?")
    return words[0].decode("latin-1"), path, query


def _head(octets: memoryview) -> tuple[list[bytes], memoryview]:
    """The lines of a head, unfolded, and what follows the empty line; without one, all is head."""
    head = bytes(octets[:MAX_HEAD])
    end = part_heads.END_OF_HEAD.search(head)
    if end is None and len(octets) > MAX_HEAD:
        raise refusals.BatchMalformed(problem=f"A head is longer than {MAX_HEAD} octets.")
    text, rest = (head[: end.start()], octets[end.end() :]) if end else (head, octets[len(octets) :])
    return part_heads.lines(text), rest


def _fields(lines: Sequence[bytes]) -> dict[bytes, bytes]:
    """Header fields by their names; of repeated ones the last counts, as in a request of its own."""
    try:
        return dict(part_heads.fields(lines))
    except part_heads.NotAFieldError:
        raise refusals.BatchMalformed(problem="A header line is not a field.") from None


def frame(answered: Sequence[tuple[bytes, Response]], boundary: bytes) -> bytes:
    """The body of the answer: for each call its Content-ID and its answer (gmail-wire.md 5.3)."""
    octets = bytearray()
    for content_id, response in answered:
        octets += b"--%b\r\nContent-Type: application/http\r\n%b\r\n" % (boundary, _echo(content_id))
        octets += _inner_head(response) + response.body + b"\r\n"
    return bytes(octets + b"--%b--\r\n" % boundary)


def _echo(content_id: bytes) -> bytes:
    """The line that says which call an answer belongs to, in the form in which the client named it."""
    if not content_id:
        return b""
    bracket = content_id[:1] if content_id.startswith(b"<") else b""
    return b"Content-ID: %bresponse-%b\r\n" % (bracket, content_id[len(bracket) :])


def _inner_head(response: Response) -> bytes:
    """Status line and fields. Python's client wants all three words of the status line (gmail-wire.md 5.2)."""
    status = b"HTTP/1.1 %d %b" % (response.code, HTTPStatus(response.code).phrase.encode())
    own = [b"%b: %b" % (name.title(), value) for name, value in response.headers]
    return b"\r\n".join((status, b"Content-Type: " + response.media_type, *_VARY, *own, b"", b""))
