"""A message as the tree of its MIME parts, for programs that read it back (RFC 2045, RFC 2046).

A view: nothing is checked and nothing is refused; what cannot be read as MIME is shown as it stands. Depth and
number of parts are bounded, and the time is linear in the octets for each level.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message as Parameters

from postroad.mail.encoded_words import decoded

# Deeper multiparts are shown as one text (hardening.md A22); more parts are not shown.
MAX_DEPTH = 50
MAX_PARTS = 1000
# Octets of a part's header section that are looked at, and characters of a field that are read for parameters.
MAX_HEADER_SECTION = 512 * 1024
MAX_PARAMETERS = 4000

_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:([^\r\n]*+(?:\r\n[ \t][^\r\n]*+)*+)", re.MULTILINE)
_TYPE = re.compile(r"[!#-'*+.0-9A-Z^-~-]+/[!#-'*+.0-9A-Z^-~-]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """One part. `body` is decoded; it is empty where there are `parts`. `filename` is "" for what is no file."""

    part_id: str
    media_type: str
    filename: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    parts: tuple["Part", ...] = ()


def tree(content: bytes) -> Part:
    """The parts of a message with CRLF line ends."""
    return _Reader(content).part(0, len(content), "", 0)


def headers(section: bytes) -> tuple[tuple[str, str], ...]:
    """The fields in their order: names as written, values unfolded and decoded (RFC 2047)."""
    return tuple(
        (match[1].decode(), decoded(match[2].replace(b"\r\n", b"").decode(errors="replace")).strip(" \t"))
        for match in _FIELD.finditer(section)
    )


class _Reader:
    """Reads parts out of `content`; `left` is how many more will be shown."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.left = MAX_PARTS

    def part(self, start: int, end: int, part_id: str, depth: int) -> Part:
        self.left -= 1
        section, body_at = self.head(start, end)
        fields = {match[1].lower(): match[2] for match in reversed(list(_FIELD.finditer(section)))}
        parameters = _parameters(fields)
        media_type = _media_type(parameters)
        shown = (part_id, media_type, _filename(parameters), headers(section))
        boundary = parameters.get_boundary("") if media_type.startswith("multipart/") and depth < MAX_DEPTH else ""
        parts = tuple(
            self.part(*piece, f"{part_id}.{number}".lstrip("."), depth + 1)
            for number, piece in enumerate(self.pieces(body_at, end, boundary) if boundary else ())
        )
        encoding = fields.get(b"content-transfer-encoding", b"").strip().lower()
        return Part(*shown, b"" if parts else _decoded_body(self.content[body_at:end], encoding), parts)

    def head(self, start: int, end: int) -> tuple[bytes, int]:
        """The header section of the part between, and where its body begins."""
        if self.content.startswith(b"\r\n", start):
            return b"", min(start + 2, end)
        empty_line = self.content.find(b"\r\n\r\n", start, min(end, start + MAX_HEADER_SECTION))
        if empty_line < 0:
            return self.content[start : min(end, start + MAX_HEADER_SECTION)], end
        return self.content[start : empty_line + 2], empty_line + 4

    def pieces(self, start: int, end: int, boundary: str) -> Iterator[tuple[int, int]]:
        """Where the parts between begin and end, as far as they will be shown (RFC 2046 section 5.1.1)."""
        mark = b"\r\n--" + boundary.encode(errors="replace")
        opened: int | None = None
        at = self.content.find(mark, start - 2, end)
        while at >= 0 and self.left:
            line_end = self.content.find(b"\r\n", at + 2, end)
            line_end = end if line_end < 0 else line_end
            rest = self.content[at + len(mark) : line_end].rstrip(b" \t")
            if rest in (b"", b"--"):
                if opened is not None:
                    yield opened, max(opened, at)
                opened = min(line_end + 2, end) if not rest else None
                if rest:
                    return
            at = self.content.find(mark, line_end, end)
        if opened is not None and self.left:
            yield opened, end


def _parameters(fields: dict[bytes, bytes]) -> Parameters:
    """Content-Type and Content-Disposition, for the standard library to read the parameters of."""
    found = Parameters()
    for name in ("Content-Type", "Content-Disposition"):
        value = fields.get(name.lower().encode(), b"").replace(b"\r\n", b"").decode(errors="replace")
        found[name] = value[:MAX_PARAMETERS]
    return found


def _media_type(parameters: Parameters) -> str:
    """The type in lower case; what is none is text (RFC 2045 section 5.2)."""
    match = _TYPE.match(str(parameters["Content-Type"]).strip())
    return match[0].lower() if match else "text/plain"


def _filename(parameters: Parameters) -> str:
    try:
        return decoded(parameters.get_filename("")).encode(errors="replace").decode()
    except (LookupError, ValueError, TypeError):
        return ""


def _decoded_body(octets: bytes, encoding: bytes) -> bytes:
    """The body without its transfer encoding; one that cannot be decoded as it stands."""
    try:
        if encoding == b"base64":
            return binascii.a2b_base64(octets)
        return binascii.a2b_qp(octets) if encoding == b"quoted-printable" else octets
    except binascii.Error:
        return octets
