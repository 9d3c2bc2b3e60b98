"""Messages that come in pieces: stored as they come, so that accepting one only links (gmail-wire.md section 4).

How far an upload is, and how it reads on, is in its row, which moves in the transaction that stores the next
octets: both are there after a crash, or neither. Of two that would move it at once, one finds it moved.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, literal_column, select, update
from sqlalchemy.exc import IntegrityError

from postroad import refusals
from postroad.database import loose
from postroad.database.content import CHUNK, CHUNKS
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.database.rows import insert
from postroad.database.schema import content_chunk, upload
from postroad.mail.intake import Intake, take

ACTIVE = "active"
FINAL = "final"
CANCELLED = "cancelled"

# 128 bits would do; in base64 without padding these are 32 characters.
RANDOM_OCTETS = 24
# A longer text cannot be one of ours; it is refused before it is hashed.
MAX_LENGTH = 64
# How long a session is known, in milliseconds (gmail-wire.md 4.4); and one request that nobody can take up again.
WEEK = 7 * 86_400_000
DAY = 86_400_000
# How many an account may have open: each may hold a message of the largest size.
OPEN_PER_ACCOUNT = 1000
# Octets that are stored in one transaction: what an upload holds in memory, and may lose in a crash. Larger ones
# are no faster, as the uploads of others share the sync, and cost that much more memory.
BATCH = CHUNK
# How often a content is given another number, as in submission.
OTHER_NUMBERS = 2

# Written out, not bound: the index of what is open is for this condition, and planners want to see it.
_IS_ACTIVE = upload.c.state == literal_column(f"'{ACTIVE}'")
_intake = msgspec.msgpack.Encoder()
_read_intake = msgspec.msgpack.Decoder(Intake)


class MovedError(Exception):
    """Another request has brought this upload on, or to its end, since we looked."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an upload is: an account's, and the program's that began it, if that is known."""

    account_id: int
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload as its row has it: `received` of `total` octets, `None` while that is not known.

    `thread_id` is the thread asked for, `None` for a new one; once final, the one that message `gmail_id` came to.
    `client_id`: of the program that began it, if that is known.
    """

    key: bytes
    account_id: int
    content_id: int
    thread_id: int | None
    total: int | None
    expires_at: int
    received: int = 0
    chunks: int = 1
    intake: Intake = field(default_factory=Intake)
    state: str = ACTIVE
    gmail_id: int | None = None
    labels: tuple[str, ...] = ()
    client_id: str | None = None

    def belongs_to(self, owner: Owner) -> bool:
        """Whether it is that account's, and that program's as far as both are known."""
        same = None in (owner.client_id, self.client_id) or owner.client_id == self.client_id
        return owner.account_id == self.account_id and same

    @property
    def complete(self) -> bool:
        """Whether all that was announced is here."""
        return self.received == self.total


def new_id() -> str:
    """How an author names an upload: whoever knows it may go on with that."""
    return secrets.token_urlsafe(RANDOM_OCTETS)


def key_of(upload_id: str) -> bytes:
    """What an upload is found by."""
    return hashlib.sha256(upload_id.encode()).digest()


def find(connection: Connection, key: bytes, now: int) -> Upload | None:
    """The upload of that key, until it expires."""
    row = connection.execute(
        select(upload).where(upload.c.upload_hash == key, upload.c.expires_at > now)
    ).one_or_none()
    if row is None:
        return None
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    return Upload(
        key=values.pop("upload_hash"),
        intake=_read_intake.decode(values.pop("intake")),
        labels=tuple((values.pop("labels") or "").split()),
        **values,
    )


def open_(connection: Connection, new: Upload) -> None:
    """Begin an upload. Raises `TooManyUploads`; `IntegrityError` when a content has that number already."""
    opened = select(upload.c.upload_hash).where(_IS_ACTIVE, upload.c.account_id == new.account_id)
    count = select(func.count()).select_from(opened.limit(OPEN_PER_ACCOUNT).subquery())
    if connection.execute(count).scalar_one() == OPEN_PER_ACCOUNT:
        raise refusals.TooManyUploads(f"account {new.account_id} has {OPEN_PER_ACCOUNT} uploads open")
    row = {
        "upload_hash": new.key,
        "account_id": new.account_id,
        "client_id": new.client_id,
        "content_id": new.content_id,
        "thread_id": new.thread_id,
        "state": ACTIVE,
        "expires_at": new.expires_at,
    }
    connection.execute(upload.insert().values(row | _progress(new)))
    _store(connection, new, enumerate([b""]))


def append(connection: Connection, before: Upload, after: Upload, octets: bytes) -> bool:
    """Bring an upload on, by `octets` of its body; false, and nothing is stored, when it has moved since."""
    moved = connection.execute(update(upload).where(*_still(before)).values(_progress(after))).rowcount == 1
    if moved:
        numbers = range(before.chunks, after.chunks)
        _store(connection, after, zip(numbers, chunks(octets), strict=True))
    return moved


def finish(connection: Connection, complete: Upload, final: Upload, first: bytes) -> None:
    """Make an upload a message: `final` says which, `first` is what stands before its body.

    Raises `MovedError` when it has moved since.
    """
    became = {
        "state": FINAL,
        "gmail_id": final.gmail_id,
        "thread_id": final.thread_id,
        "labels": " ".join(final.labels),
        "total": final.received,
    }
    if connection.execute(update(upload).where(*_still(complete)).values(became)).rowcount == 0:
        raise MovedError
    reserved = (content_chunk.c.content_id == complete.content_id, content_chunk.c.ordinal == 0)
    connection.execute(update(content_chunk).where(*reserved).values(octets=first))


def cancel(connection: Connection, key: bytes) -> None:
    """End an upload for good, if it is still open; what it has stored is loose."""
    cancelled = update(upload).where(upload.c.upload_hash == key, _IS_ACTIVE).values(state=CANCELLED)
    loose.mark(connection, connection.execute(cancelled.returning(upload.c.content_id)).scalars().all())


def forget(connection: Connection, *, now: int, limit: int) -> int:
    """Forget up to `limit` uploads whose time is over; those not accepted leave their chunks to `loose.remove`."""
    over = select(upload.c.upload_hash).where(upload.c.expires_at <= now).limit(limit)
    gone = delete(upload).where(upload.c.upload_hash.in_(over))
    content_ids = connection.execute(gone.returning(upload.c.content_id)).scalars().all()
    loose.mark(connection, content_ids)
    return len(content_ids)


def chunks(octets: bytes) -> Iterator[memoryview]:
    """Cut what came at once into rows: as few as possible."""
    view = memoryview(octets)
    return (view[at : at + CHUNK] for at in range(0, len(view), CHUNK))


def _still(one: Upload) -> tuple[ColumnElement[bool], ...]:
    """That the upload is where it was; octets within a held CR or a head may have moved it without a chunk."""
    return (upload.c.upload_hash == one.key, _IS_ACTIVE, upload.c.received == one.received)


def _progress(one: Upload) -> dict[str, object]:
    return {
        "total": one.total,
        "received": one.received,
        "chunks": one.chunks,
        "intake": _intake.encode(one.intake),
    }


def _store(connection: Connection, one: Upload, some: Iterable[tuple[int, bytes | memoryview]]) -> None:
    """Store chunks, each with its number."""
    insert(connection, {CHUNKS: [(one.content_id, one.account_id, *chunk) for chunk in some]})


def _read_on(before: Upload, octets: bytes | bytearray) -> tuple[Upload, bytes]:
    """The upload with these octets, and what of its body they are."""
    intake, body = take(before.intake, octets)
    moved = replace(
        before,
        intake=intake,
        received=before.received + len(octets),
        chunks=before.chunks + -(-len(body) // CHUNK),
    )
    return moved, body


@dataclass(frozen=True, slots=True)
class Uploads:
    """The uploads of a database, of messages of at most `max_size` octets each."""

    database: Database
    identifiers: Identifiers
    max_size: int

    async def begin(
        self,
        owner: Owner,
        *,
        thread_id: int | None = None,
        total: int | None = None,
        lasts: int = DAY,
        now: int,
    ) -> tuple[str, Upload]:
        """Begin an upload, and how its author names it. Raises `BodyTooLarge`, `TooManyUploads`."""
        self._refuse_too_large(total or 0)
        self.database.health.refuse_unless_roomy(2 * (total or 0))
        for _ in range(OTHER_NUMBERS):
            with suppress(IntegrityError):  # another node took the same number in the same millisecond
                return await self._begin(owner, thread_id, total, now, lasts)
        return await self._begin(owner, thread_id, total, now, lasts)

    async def _begin(
        self, owner: Owner, thread_id: int | None, total: int | None, now: int, lasts: int
    ) -> tuple[str, Upload]:
        upload_id = new_id()
        content_id = self.identifiers.next(now)
        key, expires_at = key_of(upload_id), now + lasts
        new = Upload(key, owner.account_id, content_id, thread_id, total, expires_at, client_id=owner.client_id)
        await self.database.commit(lambda connection: open_(connection, new))
        return upload_id, new

    async def find(self, upload_id: str, now: int) -> Upload:
        """The upload of that name. Raises `NotFound` for one that is unknown or expired."""
        key = key_of(upload_id) if len(upload_id) <= MAX_LENGTH else b""
        found = await self.database.read(lambda connection: find(connection, key, now))
        if found is None:
            raise refusals.NotFound("no upload has this upload_id, or it has expired")
        return found

    async def receive(self, one: Upload, pieces: AsyncIterator[bytes | bytearray]) -> Upload:
        """Store these octets as they come, each batch before the next is read.

        Raises `MovedError`, `BodyTooLarge`, `StorageUnhealthy` and what `pieces` raises; what came before that
        stays stored.
        """
        async for batch in batches(pieces):
            self._refuse_too_large(max(one.received + len(batch), one.total or 0))
            self.database.health.refuse_unless_roomy(2 * len(batch))
            after, octets = await asyncio.to_thread(_read_on, one, batch)
            if not await self.database.commit(partial(append, before=one, after=after, octets=octets)):
                raise MovedError
            one = after
        return one

    async def cancel(self, one: Upload) -> None:
        """End this upload, and let go of what it has stored."""
        await self.database.commit(lambda connection: cancel(connection, one.key))

    def _refuse_too_large(self, size: int) -> None:
        if size > self.max_size:
            raise refusals.BodyTooLarge(f"the message is of {size} octets or more", limit=self.max_size)


async def batches(pieces: AsyncIterator[bytes | bytearray]) -> AsyncIterator[bytearray]:
    """The pieces put together: `BATCH` octets, and no more than one piece beyond."""
    batch = bytearray()
    async for piece in pieces:
        batch += piece
        if len(batch) >= BATCH:
            yield batch
            batch = bytearray()
    if batch:
        yield batch
