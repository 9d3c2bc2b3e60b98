"""Accounts: the owners of mailboxes, who may send."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, Row, select

from postroad.database.engine import Database
from postroad.database.schema import account
from postroad.mail.address import domain_of, parse_address


@dataclass(frozen=True, slots=True)
class Account:
    """An account; its address is canonical and lower case.

    `captured`: made by captured mail, not by an administrator; its address is local only while mail is captured.
    """

    account_id: int
    address: str
    administrator: bool
    captured: bool
    disabled: bool


class AccountExistsError(ValueError):
    """There is such an account already."""


class NoSuchAccountError(LookupError):
    """There is no such account."""


def key_of(address: str) -> str:
    """The canonical, lower-case form under which an account is found. Raises `BadAddress`."""
    return parse_address(address).lower()


def add(connection: Connection, address: str, *, administrator: bool, now: int) -> Account:
    """Make an account, or a captured mailbox into one. Raises `BadAddress`, `AccountExistsError`."""
    key = key_of(address)
    found = find(connection, key)
    if found and not found.captured:
        raise AccountExistsError(f"there is an account {key} already")
    values = {"administrator": administrator, "captured": False}
    if found:
        connection.execute(account.update().where(account.c.account_id == found.account_id).values(values))
        return by_id(connection, found.account_id)
    return _insert(connection, values | {"address": key, "created_at": now})


def capture(connection: Connection, address: str, now: int) -> Account:
    """The account of that address, made for captured mail if there is none."""
    key = key_of(address)
    values = {"address": key, "administrator": False, "captured": True, "created_at": now}
    return find(connection, key) or _insert(connection, values)


def _insert(connection: Connection, values: dict[str, object]) -> Account:
    identifier = connection.execute(account.insert().values(values).returning(account.c.account_id)).scalar_one()
    return by_id(connection, identifier)


def find(connection: Connection, key: str) -> Account | None:
    """The account of that lower-case canonical address."""
    row = connection.execute(select(account).where(account.c.address == key)).one_or_none()
    return _from(row) if row else None


def named(connection: Connection, address: str) -> Account:
    """The account of that address. Raises `BadAddress`, `NoSuchAccountError`."""
    found = find(connection, key_of(address))
    if found is None:
        raise NoSuchAccountError(f"there is no account {address}; `postroad account add {address}` makes one")
    return found


def by_id(connection: Connection, account_id: int) -> Account:
    """The account of that number."""
    return _from(connection.execute(select(account).where(account.c.account_id == account_id)).one())


def everyone(connection: Connection) -> list[Account]:
    """All accounts by address."""
    return [_from(row) for row in connection.execute(select(account).order_by(account.c.address))]


def disable(connection: Connection, address: str, now: int) -> Account:
    """Refuse this account everywhere from now on. Raises `BadAddress`, `NoSuchAccountError`."""
    found = named(connection, address)
    connection.execute(account.update().where(account.c.account_id == found.account_id).values(disabled_at=now))
    return by_id(connection, found.account_id)


def _from(row: Row[tuple[object, ...]]) -> Account:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return Account(
        values["account_id"],
        values["address"],
        values["administrator"],
        values["captured"],
        values["disabled_at"] is not None,
    )


class Directory:
    """Which addresses belong to accounts here, asked for every message that is accepted.

    The accounts' domains are kept for a second, so that mail for other domains needs no question at all.
    """

    FRESH_SECONDS = 1.0

    def __init__(self, database: Database) -> None:
        self._database = database
        self._domains: frozenset[str] = frozenset()
        self._read_at = float("-inf")

    async def among(self, addresses: Iterable[str]) -> frozenset[str]:
        """Those of `addresses` that are accounts' own."""
        if time.monotonic() - self._read_at > self.FRESH_SECONDS:
            self._domains = await self._database.read(_domains)
            self._read_at = time.monotonic()
        likely = {address for address in addresses if domain_of(address) in self._domains}
        if not likely:
            return frozenset()
        return await self._database.read(lambda connection: _existing(connection, likely))


def _domains(connection: Connection) -> frozenset[str]:
    addresses = connection.execute(select(account.c.address).where(~account.c.captured)).scalars()
    return frozenset(map(domain_of, addresses))


def _existing(connection: Connection, addresses: set[str]) -> frozenset[str]:
    keys = {address.lower() for address in addresses}
    question = select(account.c.address).where(account.c.address.in_(keys), ~account.c.captured)
    found = set(connection.execute(question).scalars())
    return frozenset(address for address in addresses if address.lower() in found)
