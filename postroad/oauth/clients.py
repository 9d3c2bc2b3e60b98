"""Clients: programs that ask for tokens (RFC 6749 section 1.1), as an administrator registered them."""

import json
import re
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from postroad.database.schema import client, consent, device_code
from postroad.oauth import consents, credentials, redirects

KINDS = ("installed", "web")
MAX_NAME = 100

# Programs look at the ending, so ours are as Google's (docs/quirks.md).
ENDING = ".apps.googleusercontent.com"
_DIGITS = 12
_CHARACTERS = string.ascii_lowercase + string.digits
_CHARACTERS_AFTER = 32
_CLIENT_ID = re.compile(rf"[0-9]{{{_DIGITS}}}-[0-9a-z]{{{_CHARACTERS_AFTER}}}{re.escape(ENDING)}")


@dataclass(frozen=True, slots=True)
class Client:
    """A client; `kind` is `installed` or `web`, as Google's JSON file has it. Times are milliseconds."""

    client_id: str
    kind: str
    name: str
    secret_hash: bytes | None
    redirect_uris: tuple[str, ...]
    created_at: int

    @property
    def public(self) -> bool:
        """Whether it has no secret (RFC 6749 section 2.1)."""
        return self.secret_hash is None

    def knows(self, secret: str) -> bool:
        """Whether this is its secret."""
        return self.secret_hash is not None and compare_digest(credentials.digest(secret), self.secret_hash)


class NoSuchClientError(LookupError):
    """There is no such client."""


class BadClientError(ValueError):
    """A client cannot be registered so; the text says why."""


def add(
    connection: Connection, name: str, kind: str, redirect_uris: Iterable[str], *, public: bool, now: int
) -> tuple[Client, str | None]:
    """Register a client; with it its secret, which is not kept; `None` for a public one.

    An installed client without `redirect_uris` gets those that Google's libraries use. Raises `BadClientError`,
    `BadRedirectError`.
    """
    if kind not in KINDS:
        raise BadClientError(f"a client is of kind {' or '.join(KINDS)}, not {kind!r}")
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise BadClientError(f"a client's name has 1 to {MAX_NAME} printable characters")
    uris = redirects.checked(redirect_uris, kind)
    secret = None if public else credentials.fresh(credentials.SECRET)
    made = Client(_fresh_id(), kind, name, credentials.digest(secret) if secret else None, uris, now)
    connection.execute(insert(client).values(_row(made)))
    return made, secret


def _fresh_id() -> str:
    number = "".join(secrets.choice(string.digits) for _ in range(_DIGITS))
    return f"{number}-{''.join(secrets.choice(_CHARACTERS) for _ in range(_CHARACTERS_AFTER))}{ENDING}"


def _row(made: Client) -> dict[str, object]:
    return {
        "client_id": made.client_id,
        "kind": made.kind,
        "name": made.name,
        "secret_hash": made.secret_hash,
        "redirect_uris": json.dumps(made.redirect_uris),
        "created_at": made.created_at,
    }


def _from(row: Row[Any]) -> Client:
    uris = tuple(json.loads(row.redirect_uris))
    return Client(row.client_id, row.kind, row.name, row.secret_hash, uris, row.created_at)


def find(connection: Connection, client_id: str) -> Client | None:
    """The client of that number. What cannot be one, a NUL in it, say, is not asked for."""
    if not _CLIENT_ID.fullmatch(client_id):
        return None
    row = connection.execute(select(client).where(client.c.client_id == client_id)).one_or_none()
    return _from(row) if row else None


def everyone(connection: Connection) -> list[Client]:
    """All clients by name."""
    return [_from(row) for row in connection.execute(select(client).order_by(client.c.name, client.c.client_id))]


def remove(connection: Connection, client_id: str) -> Client:
    """Forget a client and all that came of it, which holds at once. Raises `NoSuchClientError`."""
    found = find(connection, client_id)
    if found is None:
        raise NoSuchClientError(f"there is no client {client_id}")
    # Locked first: a consent that another node is just adding waits, and then finds no client.
    connection.execute(select(client.c.client_id).where(client.c.client_id == client_id).with_for_update())
    mine = select(consent.c.consent_id).where(consent.c.client_id == client_id)
    for consent_id in connection.execute(mine).scalars().all():
        consents.revoke(connection, consent_id)
    connection.execute(delete(device_code).where(device_code.c.client_id == client_id))
    connection.execute(delete(client).where(client.c.client_id == client_id))
    return found


def redirects_to(found: Client, redirect_uri: str) -> bool:
    """Whether a browser may be sent there with a code for this client (hardening.md G1)."""
    return redirects.matches(found.redirect_uris, redirect_uri, loopback=found.kind == "installed")
