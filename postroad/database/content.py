"""Stored messages: written once, in rows of at most 256 KiB, read row by row.

A body of 36 MB bound as one value costs three times its size; in rows it costs one row (dependencies.md 6).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from postroad.database.rows import Rows, into
from postroad.database.schema import content, content_chunk

CHUNK = 256 * 1024


class Facts(NamedTuple):
    """What is known of a content beside its octets. Sizes are in octets, the delivered copy's."""

    size: int
    header_size: int
    longest_line: int
    eight_bit: bool
    utf8_header: bool
    tls_optional: bool
    message_id: str


_CONTENTS = into(content, "content_id", "account_id", *Facts._fields)
CHUNKS = into(content_chunk, "content_id", "account_id", "ordinal", "octets")


def rows(content_id: int, account_id: int, pieces: Iterable[memoryview | bytes], facts: Facts) -> Rows:
    """The rows of a new content made of `pieces`."""
    return {
        _CONTENTS: [(content_id, account_id, *facts)],
        CHUNKS: [(content_id, account_id, *chunk) for chunk in enumerate(_chunks(tuple(pieces)))],
    }


def _chunks(pieces: Sequence[memoryview | bytes]) -> Iterable[memoryview | bytes]:
    """Cut the pieces into chunks; the short ones (header section, small body) become one."""
    if sum(map(len, pieces)) > CHUNK:
        return _cut(pieces)
    whole = b"".join(pieces)
    return [whole] if whole else []


def _cut(pieces: Iterable[memoryview | bytes]) -> Iterator[memoryview | bytes]:
    small = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        room = CHUNK - len(small)
        small += view[:room]
        rest = view[room:]
        if rest:
            yield bytes(small)
            small.clear()
            whole = len(rest) - len(rest) % CHUNK
            yield from (rest[at : at + CHUNK] for at in range(0, whole, CHUNK))
            small += rest[whole:]
    if small:
        yield bytes(small)


def is_large(rows: Rows) -> bool:
    """Whether the content among these rows is of several chunks."""
    return len(rows.get(CHUNKS, ())) > 1


_CHUNK = select(content_chunk.c.octets).where(
    content_chunk.c.content_id == bindparam("of"), content_chunk.c.ordinal == bindparam("number")
)


def chunk(connection: Connection, content_id: int, ordinal: int) -> bytes | None:
    """One chunk, counted from 0; `None` past the last."""
    found: bytes | None = connection.execute(_CHUNK, {"of": content_id, "number": ordinal}).scalar_one_or_none()
    return found


def whole(connection: Connection, content_id: int) -> bytes:
    """All octets of a content."""
    return b"".join(
        connection.execute(
            select(content_chunk.c.octets)
            .where(content_chunk.c.content_id == content_id)
            .order_by(content_chunk.c.ordinal)
        ).scalars()
    )


def header_section(connection: Connection, content_id: int) -> bytes:
    """The header section of a content, its empty line excluded (at most 256 KiB and what Postroad adds)."""
    size = connection.execute(select(content.c.header_size).where(content.c.content_id == content_id)).scalar_one()
    section = b""
    ordinal = 0
    while len(section) < size and (more := chunk(connection, content_id, ordinal)) is not None:
        section += more
        ordinal += 1
    return section[:size]
