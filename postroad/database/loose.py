"""Contents to which perhaps nothing refers any more: marked when a referrer goes, removed bit by bit.

The mark is set in the transaction that removes the referrer, so that none is forgotten in a crash; and what has no
referrer never gets one again, as only what waits, or is in a mailbox, can be copied.
"""

from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import Connection, delete, func, insert, select, tuple_, union

from postroad.database.schema import content, content_chunk, loose_content, message, queue_entry

# What one transaction removes: SQLite reads every page that it frees.
OCTETS = 4 << 20
_CHUNK = (content_chunk.c.content_id, content_chunk.c.ordinal)


def mark(connection: Connection, content_ids: Collection[int]) -> None:
    """Have somebody look whether anything still refers to these contents."""
    known = select(loose_content.c.content_id).where(loose_content.c.content_id.in_(content_ids))
    fresh = set(content_ids) - set(connection.execute(known).scalars())
    if fresh:
        connection.execute(insert(loose_content), [{"content_id": one} for one in sorted(fresh)])


def remove(connection: Connection, *, limit: int) -> tuple[int, bool]:
    """Look at up to `limit` marked contents, and remove those without a referrer, so many octets at a time.

    How many are gone, and whether there may be more to do.
    """
    marked = connection.execute(select(loose_content.c.content_id).limit(limit)).scalars().all()
    if not marked:
        return 0, False
    unreferred = set(marked) - _referred(connection, marked)
    connection.execute(delete(content).where(content.c.content_id.in_(unreferred)))
    _remove_chunks(connection, unreferred, limit)
    left = _with_chunks(connection, unreferred)
    connection.execute(delete(loose_content).where(loose_content.c.content_id.in_(set(marked) - left)))
    return len(unreferred - left), True


def _referred(connection: Connection, content_ids: Sequence[int]) -> set[int]:
    referrers = (
        select(table.c.content_id).where(table.c.content_id.in_(content_ids)) for table in (message, queue_entry)
    )
    return set(connection.execute(union(*referrers)).scalars())


def _remove_chunks(connection: Connection, content_ids: Collection[int], limit: int) -> None:
    """The first chunks of these contents: at most `limit`, and about `OCTETS`."""
    question = (
        select(*_CHUNK, func.length(content_chunk.c.octets).label("size"))
        .where(content_chunk.c.content_id.in_(content_ids))
        .order_by(*_CHUNK)
        .limit(limit)
    )
    sizes = [((row.content_id, row.ordinal), row.size) for row in connection.execute(question)]
    connection.execute(delete(content_chunk).where(tuple_(*_CHUNK).in_(list(_within(sizes, OCTETS)))))


def _within(sizes: list[tuple[tuple[int, int], int]], octets: int) -> Iterator[tuple[int, int]]:
    """The first of these until their sizes come to so many octets; one at least."""
    for key, size in sizes:
        yield key
        octets -= size
        if octets <= 0:
            return


def _with_chunks(connection: Connection, content_ids: Collection[int]) -> set[int]:
    question = select(content_chunk.c.content_id).where(content_chunk.c.content_id.in_(content_ids)).distinct()
    return set(connection.execute(question).scalars())
