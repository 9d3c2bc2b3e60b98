"""Orders about accounts, and about what they allowed."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from postroad.oauth import accounts, clients, consents, passwords, sign_ins, tokens, upstream
from postroad.orders.errors import OrderError


def add(
    connection: Connection, *, now: int, address: str, administrator: bool, password_hash: str | None = None
) -> dict[str, Any]:
    """Make an account; without a hash nobody signs in to it by a password."""
    made = accounts.add(connection, address, administrator=administrator, now=now)
    if password_hash is not None:
        passwords.put(connection, made.account_id, password_hash)
    return asdict(made)


def listing(connection: Connection, *, now: int) -> list[dict[str, Any]]:  # noqa: ARG001 - one form for all
    """All accounts."""
    return [asdict(one) for one in accounts.everyone(connection)]


def set_password(
    connection: Connection,
    *,
    now: int,  # noqa: ARG001 - one form for all
    address: str,
    password_hash: str,
) -> dict[str, Any]:
    """Set an account's password, and sign it out everywhere. Who orders it has hashed it: that takes its time."""
    owner = accounts.named(connection, address)
    passwords.put(connection, owner.account_id, password_hash)
    sign_ins.end_all(connection, owner.account_id)
    return asdict(owner)


def disable(connection: Connection, *, now: int, address: str) -> dict[str, Any]:
    """Refuse an account everywhere, and sign it out."""
    owner = accounts.disable(connection, address, now)
    sign_ins.end_all(connection, owner.account_id)
    return asdict(owner)


def unlink(connection: Connection, *, now: int, address: str) -> dict[str, Any]:  # noqa: ARG001 - one form for all
    """Forget who an account is at the external provider."""
    owner = accounts.named(connection, address)
    return {"address": owner.address, "forgotten": upstream.forget(connection, owner.account_id)}


def enable(connection: Connection, *, now: int, address: str) -> dict[str, Any]:  # noqa: ARG001
    """Let a disabled account in again."""
    return asdict(accounts.enable(connection, address))


def add_alias(connection: Connection, *, now: int, address: str, alias: str) -> dict[str, Any]:
    """Give an account another address."""
    return asdict(accounts.add_alias(connection, address, alias, now))


def remove_alias(connection: Connection, *, now: int, alias: str) -> dict[str, Any]:  # noqa: ARG001
    """Take an alias from its account."""
    return asdict(accounts.remove_alias(connection, alias))


def grants(connection: Connection, *, now: int, address: str) -> list[dict[str, Any]]:  # noqa: ARG001
    """What an account allows, client by client."""
    owner = accounts.named(connection, address)
    names = {client.client_id: client.name for client in clients.everyone(connection)}
    return [
        {
            "client_id": one.client_id,
            "name": names[one.client_id],
            "scopes": sorted(one.scopes),
            "created_at": one.created_at,
            "changed_at": one.changed_at,
        }
        for one in consents.of_account(connection, owner.account_id)
    ]


def revoke(connection: Connection, *, now: int, address: str, client_id: str | None) -> dict[str, Any]:  # noqa: ARG001
    """Take back what an account allows a client; without a client, all of it, its tokens and its sign-ins."""
    owner = accounts.named(connection, address)
    allowed = consents.of_account(connection, owner.account_id)
    taken = [one for one in allowed if client_id in (None, one.client_id)]
    if client_id and not taken:
        raise OrderError(f"{owner.address} allows nothing to {client_id}")
    for one in taken:
        consents.revoke(connection, one.consent_id)
    if client_id is None:
        tokens.end(connection, owner.account_id)
        sign_ins.end_all(connection, owner.account_id)
    return {"address": owner.address, "clients": [one.client_id for one in taken]}
