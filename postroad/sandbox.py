"""What `postroad dev` has ready: three accounts, and credentials of the first in each of Google's files.

A file stays as it is while what it holds is good here; it is written anew when the address of the server changes.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from postroad import private_files
from postroad.database.engine import Database
from postroad.oauth import accounts, clients, consents, refresh_tokens, service_accounts
from postroad.oauth.clients import Client
from postroad.oauth.scopes import SCOPES
from postroad.oauth.service_accounts import Key, PublicKey
from postroad.orders import files

OWNER = "alice@example.test"
ACCOUNTS = {OWNER: True, "bob@example.test": False, "carol@example.test": False}
CLIENT_SECRET, AUTHORIZED_USER, SERVICE_ACCOUNT = FILES = (
    "client_secret.json",
    "authorized_user.json",
    "service_account.json",
)
# What the client and the service account are called.
CLIENT_NAME, SERVICE_ACCOUNT_NAME = "Postroad sandbox", "sandbox"
# Octets; a longer file is none of ours.
MAX_FILE = 1 << 16

Values = dict[str, Any]


async def prepare(database: Database, folder: Path, root: str, clock: Callable[[], int]) -> None:
    """Make the accounts and write the files, for a server that is reached at `root`. Raises OSError."""
    kept = {name: _read(folder / name) for name in FILES}
    known = await database.read(lambda connection: _known_key(connection, kept[SERVICE_ACCOUNT]))
    fresh = None if known else await asyncio.to_thread(service_accounts.fresh_key)  # before the transaction
    wanted = await database.commit(lambda connection: _wanted(connection, kept, fresh, root, clock()))
    await asyncio.to_thread(_write, folder, {name: wanted[name] for name in FILES if wanted[name] != kept[name]})


def _write(folder: Path, changed: dict[str, Values]) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, values in changed.items():
        private_files.write(folder / name, values)


def _read(file: Path) -> Values:
    """What a file holds, whatever somebody made of it."""
    try:
        with file.open("rb") as opened:
            found = json.loads(opened.read(MAX_FILE))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _wanted(
    connection: Connection, kept: dict[str, Values], fresh: Key | None, root: str, now: int
) -> dict[str, Values]:
    """What is to be in the files; what is missing in the database is made."""
    for address, administrator in ACCOUNTS.items():
        if accounts.find(connection, address) is None:
            accounts.add(connection, address, administrator=administrator, now=now)
    client, secret = _client(connection, kept[CLIENT_SECRET], now)
    refresh_token = _refresh_token(connection, kept[AUTHORIZED_USER], client, now)
    return {
        CLIENT_SECRET: files.client_secret(client, secret, root),
        AUTHORIZED_USER: files.authorized_user(client.client_id, secret, refresh_token, OWNER, root),
        SERVICE_ACCOUNT: _service_account(connection, kept[SERVICE_ACCOUNT], fresh, root, now),
    }


def _client(connection: Connection, kept: Values, now: int) -> tuple[Client, str]:
    """The client of the file with its secret, or a new one."""
    said = kept.get("installed")
    said = said if isinstance(said, dict) else {}
    found, secret = clients.find(connection, _text(said, "client_id")), _text(said, "client_secret")
    if found and found.knows(secret):
        return found, secret
    made, fresh = clients.add(connection, CLIENT_NAME, "installed", (), public=False, now=now)
    return made, fresh or ""


def _refresh_token(connection: Connection, kept: Values, client: Client, now: int) -> str:
    """The refresh token of the file, if it is that client's; or a new one, for all scopes."""
    text = _text(kept, "refresh_token")
    found = refresh_tokens.find(connection, text, now)
    if found and found.client_id == client.client_id:
        return text
    scopes, owner = sorted(SCOPES.values()), accounts.named(connection, OWNER)
    consent = consents.allow(connection, owner.account_id, client.client_id, scopes, now)
    return refresh_tokens.issue(connection, consent.consent_id, scopes, code_hash=None, now=now)


def _service_account(connection: Connection, kept: Values, fresh: Key | None, root: str, now: int) -> Values:
    """The key file of the service account, which may act for anybody here: with the fresh key, if there is one.

    It stays beside other keys, which other nodes may have written; of too many the oldest goes.
    """
    address = service_accounts.address_of(SERVICE_ACCOUNT_NAME)
    found = service_accounts.find(connection, address) or service_accounts.add(
        connection, SERVICE_ACCOUNT_NAME, now
    )
    if fresh is None:
        key = Key(PublicKey(_text(kept, "private_key_id"), ""), _text(kept, "private_key"))
        return service_accounts.key_file(found, key, root)
    owner = service_accounts.delegate(connection, found, SCOPES.values())
    if len(owner.keys) == service_accounts.MAX_KEYS:
        owner = service_accounts.remove_key(connection, owner, owner.keys[0].key_id)
    return service_accounts.key_file(service_accounts.add_key(connection, owner, fresh.public, now), fresh, root)


def _known_key(connection: Connection, kept: Values) -> bool:
    """Whether the file holds a key of the service account."""
    owner = service_accounts.find(connection, service_accounts.address_of(SERVICE_ACCOUNT_NAME))
    keys = {key.key_id for key in owner.keys} if owner else set()
    return _text(kept, "private_key_id") in keys and bool(_text(kept, "private_key"))


def _text(values: Values, name: str) -> str:
    found = values.get(name)
    return found if isinstance(found, str) else ""
