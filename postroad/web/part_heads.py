"""What frames the parts of a multipart body: its boundary, and the head of each part (RFC 2046 section 5.1)."""

import re
from collections.abc import Iterator, Sequence

# Octets of a Content-Type that are looked at: the longest boundary, and three times as much beside it.
MAX_CONTENT_TYPE = 1024

# The empty line; where a head is empty it is the first.
END_OF_HEAD = re.compile(rb"(?:\A|\n)\r?\n")
_BOUNDARY = re.compile(rb';\s*boundary\s*=\s*(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_LINE_BREAK = re.compile(rb"\r?\n")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")  # RFC 5322 section 2.2.3: Python folds a long Content-ID
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:([^\x00-\x08\x0a-\x1f\x7f]*)")


class NotAFieldError(ValueError):
    """A line of a head is no field: each reader refuses it in its own words."""


def boundary_of(content_type: bytes) -> bytes:
    """The boundary that a Content-Type names, quoted or not; b"" when it names none, or several."""
    found = [quoted or plain for quoted, plain in _BOUNDARY.findall(content_type[:MAX_CONTENT_TYPE])]
    return re.sub(rb"\\(.)", rb"\1", found[0]).rstrip(b" ") if len(found) == 1 else b""


def lines(head: bytes) -> list[bytes]:
    """The lines of a head, unfolded, without those that are empty at its end."""
    return _LINE_BREAK.split(_FOLD.sub(b"", head.rstrip(b"\r\n")))


def fields(unfolded: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Name, in lower case, and value of each line that is not empty. Raises `NotAFieldError`."""
    for line in filter(None, unfolded):
        match = _FIELD.fullmatch(line)
        if match is None:
            raise NotAFieldError
        yield match[1].lower(), match[2].strip(b" \t")
