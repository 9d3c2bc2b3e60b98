"""Refresh tokens (RFC 6749 section 1.5): they stay as they are until revoked, unused for months, or too many.

They are not rotated, as Google's are not: files that hold them are copied between machines (DESIGN.md section 7).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from postroad.database.schema import consent, refresh_token, token
from postroad.oauth import credentials
from postroad.oauth.framework import Registered

HOUR = 3_600_000
# Milliseconds: six months without a use end it (gmail-wire.md 8.5).
UNUSED = 183 * 24 * HOUR
# Of one client for one account; with one more the oldest ends (gmail-wire.md 8.5).
MOST = 100


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token that may be used; its methods are those that Authlib asks one for."""

    refresh_hash: bytes
    consent_id: int
    client_id: str
    scopes: tuple[str, ...]
    created_at: int

    def get_scope(self) -> str:
        """What was allowed with it, in the order asked."""
        return " ".join(self.scopes)

    def check_client(self, client: Registered) -> bool:
        """Whether it is this client's."""
        return client.get_client_id() == self.client_id


def issue(
    connection: Connection, consent_id: int, scopes: Sequence[str], *, code_hash: bytes | None, now: int
) -> str:
    """A refresh token of that consent; the text is returned and not kept."""
    text = credentials.fresh(credentials.REFRESH)
    values = {
        "refresh_hash": credentials.digest(text),
        "consent_id": consent_id,
        "code_hash": code_hash,
        "scopes": " ".join(scopes),
        "created_at": now,
        "used_at": _hour(now),
    }
    connection.execute(insert(refresh_token).values(values))
    _make_room(connection, consent_id, values["refresh_hash"])
    return text


def _hour(now: int) -> int:
    """The hour's beginning: a token that is used all the time is written once an hour."""
    return now - now % HOUR


def _make_room(connection: Connection, consent_id: int, fresh: object) -> None:
    """End the oldest of a consent that are too many, which the fresh one is not."""
    mine = refresh_token.c.consent_id == consent_id
    newest = (
        select(refresh_token.c.refresh_hash)
        .where(mine)
        .order_by(refresh_token.c.created_at.desc(), refresh_token.c.refresh_hash != fresh)
        .limit(MOST)
    )
    end(connection, mine & refresh_token.c.refresh_hash.not_in(newest))


def _unused(now: int) -> ColumnElement[bool]:
    return refresh_token.c.used_at <= now - UNUSED


def end(connection: Connection, which: ColumnElement[bool]) -> None:
    """Remove refresh tokens, and then the access tokens that came of them, also one just made elsewhere."""
    gone = delete(refresh_token).where(which).returning(refresh_token.c.refresh_hash)
    hashes = connection.execute(gone).scalars().all()
    if hashes:
        connection.execute(delete(token).where(token.c.refresh_hash.in_(hashes)))


def of_code(code_hash: bytes) -> ColumnElement[bool]:
    """Those that came of that code."""
    return refresh_token.c.code_hash == code_hash


def cover(connection: Connection, consent_id: int, scopes: Sequence[str], now: int) -> bool:
    """Whether a refresh token of that consent is good for all of `scopes`."""
    live = select(refresh_token.c.scopes).where(refresh_token.c.consent_id == consent_id, ~_unused(now))
    return any(set(scopes) <= set(text.split()) for text in connection.execute(live).scalars())


_FOUND = select(refresh_token, consent.c.client_id).join_from(refresh_token, consent)


def find(connection: Connection, text: str, now: int) -> RefreshToken | None:
    """The refresh token of that text; `None` if there is none, or nobody used it for months."""
    sought = refresh_token.c.refresh_hash == credentials.digest(text)
    row = connection.execute(_FOUND.where(sought, ~_unused(now))).one_or_none()
    if row is None:
        return None
    scopes = tuple(row.scopes.split())
    return RefreshToken(row.refresh_hash, row.consent_id, row.client_id, scopes, row.created_at)


def use(connection: Connection, found: RefreshToken, now: int) -> bool:
    """Note the use. False when it has ended meanwhile; else it does not until the transaction ends."""
    mine = refresh_token.c.refresh_hash == found.refresh_hash
    question = select(refresh_token.c.used_at).where(mine).with_for_update(read=True, key_share=True)
    used_at = connection.execute(question).scalar_one_or_none()
    if used_at is not None and used_at < _hour(now):
        connection.execute(update(refresh_token).where(mine).values(used_at=_hour(now)))
    return used_at is not None
