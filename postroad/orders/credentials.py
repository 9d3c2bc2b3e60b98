"""Orders for what a program shows to act for an account."""

from typing import Any

from sqlalchemy import Connection

from postroad.database import facts
from postroad.oauth import accounts, clients, consents, refresh_tokens, scopes, tokens
from postroad.oauth.clients import Client
from postroad.orders import files
from postroad.orders.errors import OrderError
from postroad.settings import CAPTURE

# The longest life of a token, in seconds: a century, so that times stay within 63 bits.
MAX_LIFETIME = 100 * 365 * 86_400


def token(connection: Connection, *, now: int, address: str, scope: list[str], seconds: int) -> dict[str, Any]:
    """Issue a bearer token of an account."""
    if not 0 < seconds <= MAX_LIFETIME:
        raise OrderError(f"a token lives between 1 and {MAX_LIFETIME} seconds, not {seconds}")
    owner = owner_of(connection, address, now)
    granted = frozenset(map(scopes.expand, scope))
    expires_at = now + seconds * 1000
    text = tokens.issue(connection, account_id=owner.account_id, scopes=granted, expires_at=expires_at, now=now)
    return {"token": text, "address": owner.address, "scopes": sorted(granted), "expires_at": expires_at}


def owner_of(connection: Connection, address: str, now: int) -> accounts.Account:
    """The account of that address, if it may act; where mail is captured every address has one."""
    captured = facts.read(connection, facts.RELAY) == CAPTURE
    owner = accounts.capture(connection, address, now) if captured else accounts.named(connection, address)
    if owner.disabled:
        raise OrderError(f"the account {owner.address} is disabled")
    return owner


def refresh_token(
    connection: Connection,
    *,
    now: int,
    address: str,
    scope: list[str],
    client: dict[str, str] | None,
    root_url: str,
) -> dict[str, Any]:
    """Let a client act for an account, as if its owner had consented: an authorized_user.json.

    `client`: number and secret; left out, one is made for this file alone, as no secret can be read again.
    """
    root = files.root_of(connection, root_url)
    owner = owner_of(connection, address, now)
    wanted = sorted(frozenset(map(scopes.expand, scope)))
    found, secret = _client(connection, client) if client else _made_for(connection, owner, now)
    consent = consents.allow(connection, owner.account_id, found.client_id, wanted, now)
    text = refresh_tokens.issue(connection, consent.consent_id, wanted, code_hash=None, now=now)
    return {
        "address": owner.address,
        "client_id": found.client_id,
        "file": files.authorized_user(found.client_id, secret, text, owner.address, root),
    }


def _client(connection: Connection, said: dict[str, str]) -> tuple[Client, str]:
    """The client of that number, which has that secret."""
    found = clients.find(connection, said["client_id"])
    if found is None:
        raise OrderError(f"there is no client {said['client_id']}")
    if not found.public and not found.knows(said["client_secret"]):
        raise OrderError(f"the secret in the file is not that of the client {found.client_id}")
    return found, said["client_secret"]


def _made_for(connection: Connection, owner: accounts.Account, now: int) -> tuple[Client, str]:
    """A client of its own."""
    name = f"Credentials of {owner.address}"[: clients.MAX_NAME]
    made, secret = clients.add(connection, name, "installed", (), public=False, now=now)
    return made, secret or ""
