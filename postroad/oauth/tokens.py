"""Bearer tokens (RFC 6750): issued once, stored as hashes, checked against the database at most a second old."""

import hashlib
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from postroad import refusals
from postroad.database.engine import Database
from postroad.database.schema import account, token
from postroad.oauth import accounts
from postroad.oauth.accounts import Account

# Access tokens begin so at Google, which secret scanners know (gmail-wire.md 8.3).
PREFIX = "ya29."
RANDOM_OCTETS = 32
# A longer text cannot be one of ours; it is refused before it is hashed.
MAX_LENGTH = 512
# How long a check may be remembered: a revocation holds everywhere within this time (DESIGN.md section 7).
FRESH_SECONDS = 1.0
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token permits: to act as `account` within `scopes` until `expires_at` (milliseconds)."""

    account: Account
    scopes: frozenset[str]
    expires_at: int


def issue(connection: Connection, owner: Account, scopes: frozenset[str], *, expires_at: int, now: int) -> str:
    """Make a token for `owner`; the text is returned and not kept."""
    text = PREFIX + secrets.token_urlsafe(RANDOM_OCTETS)
    values = {
        "token_hash": _hash(text),
        "account_id": owner.account_id,
        "scopes": " ".join(sorted(scopes)),
        "created_at": now,
        "expires_at": expires_at,
    }
    connection.execute(token.insert().values(values))
    return text


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def look_up(connection: Connection, token_hash: bytes) -> Grant | None:
    """What the token of that hash permits, expired or not."""
    joined = select(token.c.scopes, token.c.expires_at, account).join_from(token, account)
    row = connection.execute(joined.where(token.c.token_hash == token_hash)).one_or_none()
    if row is None:
        return None
    owner = accounts.of_row(row, accounts.aliases_of(connection, row.account_id))
    return Grant(owner, frozenset(row.scopes.split(" ")), row.expires_at)


def expiries(connection: Connection, *, after: bytes, limit: int) -> dict[bytes, int]:
    """When the next tokens expire, in the order of their hashes, of which the first is over `after`."""
    question = select(token.c.token_hash, token.c.expires_at).where(token.c.token_hash > after)
    rows = connection.execute(question.order_by(token.c.token_hash).limit(limit))
    return {row.token_hash: row.expires_at for row in rows}


def forget(connection: Connection, token_hashes: Collection[bytes]) -> int:
    """Remove these tokens; how many there were."""
    return connection.execute(delete(token).where(token.c.token_hash.in_(token_hashes))).rowcount


class Tokens:
    """Checks tokens; remembers each answer for a second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered: dict[bytes, tuple[float, Grant | None]] = {}

    async def check(self, text: str, now: int) -> Grant:
        """What `text` permits at `now`. Raises `CredentialInvalid`: unknown, expired, or a disabled account's."""
        grant = await self._grant(text)
        if grant is None:
            raise refusals.CredentialInvalid("the bearer token is unknown here")
        if grant.expires_at <= now:
            raise refusals.CredentialInvalid(f"the bearer token of {grant.account.address} has expired")
        if grant.account.disabled:
            raise refusals.CredentialInvalid(f"the account {grant.account.address} is disabled")
        return grant

    async def _grant(self, text: str) -> Grant | None:
        if len(text) > MAX_LENGTH or not text.isascii():
            return None
        token_hash = _hash(text)
        read_at, grant = self._remembered.get(token_hash, (float("-inf"), None))
        if time.monotonic() - read_at <= FRESH_SECONDS:
            return grant
        grant = await self._database.read(lambda connection: look_up(connection, token_hash))
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[token_hash] = (time.monotonic(), grant)
        return grant
