"""Orders about service accounts. Who orders a key has made it: only its public half comes here."""

from typing import Any

from sqlalchemy import Connection

from postroad.oauth import scopes, service_accounts
from postroad.oauth.service_accounts import Key, PublicKey, ServiceAccount
from postroad.orders import files


def add(
    connection: Connection, *, now: int, name: str, scope: list[str], key: dict[str, str], root_url: str
) -> dict[str, Any]:
    """Make a service account that may act for any account in these scopes; its key file lacks the private key."""
    made = service_accounts.add(connection, name, now)
    if scope:
        made = service_accounts.delegate(connection, made, map(scopes.expand, scope))
    return _with_key(connection, made, key, root_url, now)


def add_key(connection: Connection, *, now: int, name: str, key: dict[str, str], root_url: str) -> dict[str, Any]:
    """Give it another key; the key file lacks the private key."""
    return _with_key(connection, _named(connection, name), key, root_url, now)


def _with_key(
    connection: Connection, owner: ServiceAccount, key: dict[str, str], root_url: str, now: int
) -> dict[str, Any]:
    root, public = files.root_of(connection, root_url), PublicKey(**key)
    owner = service_accounts.add_key(connection, owner, public, now)
    return _plain(owner) | {"file": service_accounts.key_file(owner, Key(public, ""), root)}


def remove_key(connection: Connection, *, now: int, name: str, key_id: str) -> dict[str, Any]:  # noqa: ARG001
    """Take a key from it, and end its tokens."""
    return _plain(service_accounts.remove_key(connection, _named(connection, name), key_id))


def delegate(connection: Connection, *, now: int, name: str, scope: list[str]) -> dict[str, Any]:  # noqa: ARG001
    """Let it act for any account in these scopes, and in no others."""
    return _plain(service_accounts.delegate(connection, _named(connection, name), map(scopes.expand, scope)))


def listing(connection: Connection, *, now: int) -> list[dict[str, Any]]:  # noqa: ARG001 - one form for all
    """All service accounts."""
    return [_plain(one) for one in service_accounts.everyone(connection)]


def remove(connection: Connection, *, now: int, name: str) -> dict[str, Any]:  # noqa: ARG001
    """Forget it with its keys, delegations and tokens."""
    return _plain(service_accounts.remove(connection, _named(connection, name).address))


def _named(connection: Connection, name: str) -> ServiceAccount:
    """The service account that its name, or its whole address, means."""
    return service_accounts.named(connection, name if "@" in name else service_accounts.address_of(name))


def _plain(owner: ServiceAccount) -> dict[str, Any]:
    return {
        "address": owner.address,
        "client_id": owner.client_id,
        "disabled": owner.disabled,
        "scopes": sorted(owner.scopes),
        "keys": [key.key_id for key in owner.keys],
    }
