"""Access tokens (RFC 6750): issued once, stored as hashes, checked against a database at most a second old."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, delete, select

from postroad import refusals
from postroad.database.engine import Database
from postroad.database.schema import account, consent, service_account, token
from postroad.oauth import accounts, credentials
from postroad.oauth.accounts import Account

# So begin the tokens of service accounts (gmail-wire.md 8.3).
ROBOTS = f"{credentials.ACCESS}c."
# A longer text cannot be one of ours; it is refused before it is hashed.
MAX_LENGTH = 512
# Octets of a self-signed token (hardening.md G9).
MAX_SIGNED = 16 * 1024
# Seconds that a token lives which came over HTTP (gmail-wire.md 8.5).
LIFE_SECONDS = 3599
# How long a check may be remembered: a revocation holds everywhere within this time (DESIGN.md section 7).
FRESH_SECONDS = 1.0
REMEMBERED = 10_000

UNKNOWN = "the bearer token is unknown here"
_NEVER = float("-inf"), UNKNOWN


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token permits: to act as `account` within `scopes` until `expires_at` (milliseconds).

    `account`: `None` of a service account that acts for nobody. `client_id`: the program's, or the number of a
    service account; `None` where none is known. `service_account`: its address. `offline`: there is a refresh
    token behind it. `suspended`: the service account is disabled.
    """

    account: Account | None
    scopes: frozenset[str]
    expires_at: int
    client_id: str | None = None
    service_account: str | None = None
    offline: bool = False
    suspended: bool = False

    @property
    def holder(self) -> str:
        """Whose token it is, for people: the address of the account, or of the service account."""
        return self.account.address if self.account else self.service_account or "nobody"

    def why_not(self, now: int) -> str:
        """Why it permits nothing at `now`; "" if it does."""
        if self.expires_at <= now:
            return f"the bearer token of {self.holder} has expired"
        if self.account and self.account.disabled:
            return f"the account {self.account.address} is disabled"
        if self.suspended:
            return f"the service account {self.service_account} is disabled"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a token came of: with all of it `None`, of the command line."""

    consent_id: int | None = None
    code_hash: bytes | None = None
    refresh_hash: bytes | None = None
    service_account_id: int | None = None


COMMAND_LINE = Source()


def issue(
    connection: Connection,
    *,
    account_id: int | None,
    scopes: frozenset[str],
    expires_at: int,
    now: int,
    source: Source = COMMAND_LINE,
) -> str:
    """Make a token for that account, `None` for a service account that acts for nobody.

    The text is returned and not kept. Times are milliseconds.
    """
    text = credentials.fresh(credentials.ACCESS if source.service_account_id is None else ROBOTS)
    values = {
        "token_hash": credentials.digest(text),
        "account_id": account_id,
        "scopes": " ".join(sorted(scopes)),
        "created_at": now,
        "expires_at": expires_at,
        "consent_id": source.consent_id,
        "code_hash": source.code_hash,
        "refresh_hash": source.refresh_hash,
        "service_account_id": source.service_account_id,
    }
    connection.execute(token.insert().values(values))
    return text


# A token and all that says what it permits; the names of an account's columns are those of its table.
_FOUND = (
    select(
        token.c.scopes,
        token.c.expires_at,
        token.c.refresh_hash,
        token.c.service_account_id,
        consent.c.client_id,
        service_account.c.address.label("service_address"),
        service_account.c.disabled_at.label("service_disabled_at"),
        account,
    )
    .join_from(token, account, token.c.account_id == account.c.account_id, isouter=True)
    .join(consent, token.c.consent_id == consent.c.consent_id, isouter=True)
    .join(service_account, token.c.service_account_id == service_account.c.service_account_id, isouter=True)
)


def look_up(connection: Connection, token_hash: bytes) -> Grant | None:
    """What the token of that hash permits, expired or not."""
    row = connection.execute(_FOUND.where(token.c.token_hash == token_hash)).one_or_none()
    if row is None:
        return None
    owner = None
    if row.account_id is not None:
        owner = accounts.of_row(row, accounts.aliases_of(connection, row.account_id))
    number = row.service_account_id
    return Grant(
        owner,
        frozenset(row.scopes.split()),
        row.expires_at,
        row.client_id if number is None else str(number),
        row.service_address,
        offline=row.refresh_hash is not None,
        suspended=row.service_disabled_at is not None,
    )


def end(connection: Connection, account_id: int) -> int:
    """End all tokens of an account, whatever they came of; how many there were."""
    return connection.execute(delete(token).where(token.c.account_id == account_id)).rowcount


# What a token grants that a service account signed itself, instead of having it issued (AIP-4111), at `now`.
# Raises `CredentialInvalid`.
SelfSigned = Callable[[Connection, str, int], Grant]


class Tokens:
    """Checks tokens; remembers each answer for a second. Without `self_signed` only issued ones are known."""

    def __init__(self, database: Database, self_signed: SelfSigned | None = None) -> None:
        self._database = database
        self._self_signed = self_signed
        self._remembered: dict[bytes, tuple[float, Grant | str]] = {}

    async def check(self, text: str, now: int) -> Grant:
        """What `text` permits at `now`.

        Raises `CredentialInvalid`: unknown, expired, or of an account or a service account that is disabled.
        """
        signed = None if text.startswith(credentials.ACCESS) or text.count(".") != 2 else self._self_signed
        if len(text) > (MAX_SIGNED if signed else MAX_LENGTH) or not text.isascii():
            raise refusals.CredentialInvalid(UNKNOWN)
        token_hash = credentials.digest(text)
        asked_at = time.monotonic()  # what changes while we read is not in the answer
        read_at, grant = self._remembered.get(token_hash, _NEVER)
        if asked_at - read_at > FRESH_SECONDS:
            ask = partial(_verified, signed, text, now) if signed else partial(_issued, token_hash)
            grant = await self._database.read(ask)
            self._remember(token_hash, asked_at, grant)
        why_not = grant if isinstance(grant, str) else grant.why_not(now)
        if isinstance(grant, str) or why_not:
            raise refusals.CredentialInvalid(why_not)
        return grant

    def forget(self) -> None:
        """Ask anew from now on: something was taken back."""
        self._remembered.clear()

    def _remember(self, token_hash: bytes, read_at: float, grant: Grant | str) -> None:
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[token_hash] = (read_at, grant)


def _issued(token_hash: bytes, connection: Connection) -> Grant | str:
    return look_up(connection, token_hash) or UNKNOWN


def _verified(self_signed: SelfSigned, text: str, now: int, connection: Connection) -> Grant | str:
    try:
        return self_signed(connection, text, now)
    except refusals.CredentialInvalid as refusal:
        return refusal.why
