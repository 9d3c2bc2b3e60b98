"""Consents: what a person allows a client, until it is taken back with everything that came of it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from postroad.database.identifiers import Identifiers
from postroad.database.schema import (
    account,
    authorization_code,
    client,
    consent,
    device_code,
    refresh_token,
    token,
)
from postroad.oauth.errors import client_not_found

_identifiers = Identifiers()
# What goes before a consent can: all that refers to it.
_CAME_OF_IT = (token, refresh_token, authorization_code, device_code)


@dataclass(frozen=True, slots=True)
class Consent:
    """Within `scopes` a client may act for an account. Times are milliseconds."""

    consent_id: int
    account_id: int
    client_id: str
    scopes: frozenset[str]
    created_at: int
    changed_at: int


def allow(connection: Connection, account_id: int, client_id: str, scopes: Collection[str], now: int) -> Consent:
    """Let a client act for an account within `scopes` and those that it was allowed before.

    Raises `OAuthError`: the client was removed meanwhile.
    """
    _hold_both(connection, account_id, client_id)
    found = find(connection, account_id, client_id)
    if found is None:
        return _insert(connection, account_id, client_id, scopes, now)
    if found.scopes.issuperset(scopes):
        return found
    values = {"scopes": _text(found.scopes.union(scopes)), "changed_at": now}
    grown = update(consent).where(consent.c.consent_id == found.consent_id).values(values).returning(consent)
    return _from(connection.execute(grown).one())


def _hold_both(connection: Connection, account_id: int, client_id: str) -> None:
    """Until the transaction ends, nobody else changes what this account allows, and the client stays."""
    mine = select(account.c.account_id).where(account.c.account_id == account_id)
    connection.execute(mine.with_for_update(key_share=True))
    there = select(client.c.client_id).where(client.c.client_id == client_id)
    if connection.execute(there.with_for_update(read=True, key_share=True)).first() is None:
        raise client_not_found()


def _insert(connection: Connection, account_id: int, client_id: str, scopes: Collection[str], now: int) -> Consent:
    values = {
        "consent_id": _identifiers.next(now),
        "account_id": account_id,
        "client_id": client_id,
        "scopes": _text(scopes),
        "created_at": now,
        "changed_at": now,
    }
    return _from(connection.execute(insert(consent).values(values).returning(consent)).one())


def _text(scopes: Collection[str]) -> str:
    return " ".join(sorted(scopes))


def _from(row: Row[Any]) -> Consent:
    scopes = frozenset(row.scopes.split())
    return Consent(row.consent_id, row.account_id, row.client_id, scopes, row.created_at, row.changed_at)


def find(connection: Connection, account_id: int, client_id: str) -> Consent | None:
    """What that account allows that client."""
    question = select(consent).where(consent.c.account_id == account_id, consent.c.client_id == client_id)
    row = connection.execute(question).one_or_none()
    return _from(row) if row else None


def held(connection: Connection, consent_id: int) -> Consent | None:
    """That consent, which nobody takes back until the transaction ends; `None` if somebody has."""
    question = select(consent).where(consent.c.consent_id == consent_id)
    row = connection.execute(question.with_for_update(read=True, key_share=True)).one_or_none()
    return _from(row) if row else None


def of_account(connection: Connection, account_id: int) -> list[Consent]:
    """All that an account allows, the newest first."""
    question = select(consent).where(consent.c.account_id == account_id)
    return [_from(row) for row in connection.execute(question.order_by(consent.c.consent_id.desc()))]


def revoke(connection: Connection, consent_id: int) -> None:
    """Take a consent back, with the codes and tokens that came of it. One that is gone makes no difference."""
    # Locked first, so that another node is not just adding a token to it.
    question = select(consent.c.consent_id).where(consent.c.consent_id == consent_id)
    connection.execute(question.with_for_update())
    for table in _CAME_OF_IT:
        connection.execute(delete(table).where(table.c.consent_id == consent_id))
    connection.execute(delete(consent).where(consent.c.consent_id == consent_id))
