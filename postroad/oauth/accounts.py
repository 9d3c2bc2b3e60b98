"""Accounts: the owners of mailboxes, who may send."""

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, Row, or_, select, union_all

from postroad.database.engine import Database
from postroad.database.schema import account, alias
from postroad.mail.address import domain_of, parse_address


@dataclass(frozen=True, slots=True)
class Account:
    """An account; its address and its aliases are canonical and lower case.

    `captured`: made by captured mail, not by an administrator; its address is local only while mail is captured.
    """

    account_id: int
    address: str
    administrator: bool
    captured: bool
    disabled: bool
    aliases: tuple[str, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address that is this account's, its own first."""
        return (self.address, *self.aliases)


class AccountExistsError(ValueError):
    """There is such an account or alias already."""


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
        raise AccountExistsError(_taken(found, key))
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


def add_alias(connection: Connection, address: str, another: str, now: int) -> Account:
    """Give an account another address. Raises `BadAddress`, `NoSuchAccountError`, `AccountExistsError`."""
    owner, key = named(connection, address), key_of(another)
    if found := find(connection, key):
        raise AccountExistsError(_taken(found, key))
    values = {"address": key, "account_id": owner.account_id, "created_at": now}
    connection.execute(alias.insert().values(values))
    return by_id(connection, owner.account_id)


def remove_alias(connection: Connection, another: str) -> Account:
    """Take an alias from its account. Raises `BadAddress`, `NoSuchAccountError`."""
    key = key_of(another)
    gone = connection.execute(alias.delete().where(alias.c.address == key).returning(alias.c.account_id))
    account_id = gone.scalar_one_or_none()
    if account_id is None:
        raise NoSuchAccountError(f"there is no alias {key}")
    return by_id(connection, account_id)


def _taken(found: Account, key: str) -> str:
    if key in found.aliases:
        return f"{key} is an alias of {found.address} already"
    return f"there is {'a captured mailbox' if found.captured else 'an account'} {key} already"


def find(connection: Connection, key: str) -> Account | None:
    """The account of that lower-case canonical address, its own or an alias."""
    owner = select(alias.c.account_id).where(alias.c.address == key).scalar_subquery()
    question = select(account).where(or_(account.c.address == key, account.c.account_id == owner))
    row = connection.execute(question).first()
    return _from(connection, row) if row else None


def named(connection: Connection, address: str) -> Account:
    """The account of that address. Raises `BadAddress`, `NoSuchAccountError`."""
    found = find(connection, key_of(address))
    if found is None:
        raise NoSuchAccountError(f"there is no account {address}; `postroad account add {address}` makes one")
    return found


def by_id(connection: Connection, account_id: int) -> Account:
    """The account of that number."""
    return _from(connection, connection.execute(select(account).where(account.c.account_id == account_id)).one())


def everyone(connection: Connection) -> list[Account]:
    """All accounts by address."""
    aliases = defaultdict(list)
    for row in connection.execute(select(alias).order_by(alias.c.address)):
        aliases[row.account_id].append(row.address)
    rows = connection.execute(select(account).order_by(account.c.address))
    return [of_row(row, tuple(aliases[row.account_id])) for row in rows]


def disable(connection: Connection, address: str, now: int) -> Account:
    """Refuse this account everywhere from now on. Raises `BadAddress`, `NoSuchAccountError`."""
    found = named(connection, address)
    connection.execute(account.update().where(account.c.account_id == found.account_id).values(disabled_at=now))
    return by_id(connection, found.account_id)


def enable(connection: Connection, address: str) -> Account:
    """Let a disabled account in again; its tokens that have not expired hold again.

    Raises `BadAddress`, `NoSuchAccountError`.
    """
    found = named(connection, address)
    connection.execute(account.update().where(account.c.account_id == found.account_id).values(disabled_at=None))
    return by_id(connection, found.account_id)


def _from(connection: Connection, row: Row[tuple[object, ...]]) -> Account:
    return of_row(row, aliases_of(connection, row.account_id))


def aliases_of(connection: Connection, account_id: int) -> tuple[str, ...]:
    """The aliases of that account."""
    question = select(alias.c.address).where(alias.c.account_id == account_id).order_by(alias.c.address)
    return tuple(connection.execute(question).scalars())


def of_row(row: Row[tuple[object, ...]], aliases: tuple[str, ...]) -> Account:
    """The account of a row that has all columns of the table."""
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return Account(
        values["account_id"],
        values["address"],
        values["administrator"],
        values["captured"],
        values["disabled_at"] is not None,
        aliases,
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
    own = select(account.c.address).where(~account.c.captured)
    return frozenset(map(domain_of, connection.execute(union_all(own, select(alias.c.address))).scalars()))


def _existing(connection: Connection, addresses: set[str]) -> frozenset[str]:
    keys = {address.lower() for address in addresses}
    own = select(account.c.address).where(account.c.address.in_(keys), ~account.c.captured)
    others = select(alias.c.address).where(alias.c.address.in_(keys))
    found = set(connection.execute(union_all(own, others)).scalars())
    return frozenset(address for address in addresses if address.lower() in found)
