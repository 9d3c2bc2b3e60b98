"""What the command line can order: each a function on a connection, its arguments and result plain JSON."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from sqlalchemy import Connection

from postroad.database import facts
from postroad.database.identifiers import Identifiers, number_of, text_of
from postroad.oauth import accounts, scopes, tokens
from postroad.queue import commands, store
from postroad.refusals import Failure
from postroad.settings import CAPTURE

# The longest life of a token, in seconds: a century, so that times stay within 63 bits.
MAX_LIFETIME = 100 * 365 * 86_400


class OrderError(Failure):
    """An order that was refused or failed; the text says why."""


def token(connection: Connection, *, now: int, address: str, scope: list[str], seconds: int) -> dict[str, Any]:
    """Issue a bearer token of an account."""
    if not 0 < seconds <= MAX_LIFETIME:
        raise OrderError(f"a token lives between 1 and {MAX_LIFETIME} seconds, not {seconds}")
    owner = _owner(connection, address, now)
    if owner.disabled:
        raise OrderError(f"the account {owner.address} is disabled")
    granted = frozenset(map(scopes.expand, scope))
    expires_at = now + seconds * 1000
    text = tokens.issue(connection, owner, granted, expires_at=expires_at, now=now)
    return {"token": text, "address": owner.address, "scopes": sorted(granted), "expires_at": expires_at}


def _owner(connection: Connection, address: str, now: int) -> accounts.Account:
    """The account of that address; where mail is captured every address has one."""
    if facts.read(connection, facts.RELAY) == CAPTURE:
        return accounts.capture(connection, address, now)
    return accounts.named(connection, address)


def migrate(connection: Connection, *, now: int) -> str:  # noqa: ARG001 - one form for all
    """The step the schema is at: whoever opened the database has brought it to the newest."""
    step: str = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    return step


def account_add(connection: Connection, *, now: int, address: str, administrator: bool) -> dict[str, Any]:
    """Make an account."""
    return asdict(accounts.add(connection, address, administrator=administrator, now=now))


def account_list(connection: Connection, *, now: int) -> list[dict[str, Any]]:  # noqa: ARG001 - one form for all
    """All accounts."""
    return [asdict(one) for one in accounts.everyone(connection)]


def account_disable(connection: Connection, *, now: int, address: str) -> dict[str, Any]:
    """Refuse an account everywhere."""
    return asdict(accounts.disable(connection, address, now))


def account_alias_add(connection: Connection, *, now: int, address: str, alias: str) -> dict[str, Any]:
    """Give an account another address."""
    return asdict(accounts.add_alias(connection, address, alias, now))


def account_alias_remove(connection: Connection, *, now: int, alias: str) -> dict[str, Any]:  # noqa: ARG001
    """Take an alias from its account."""
    return asdict(accounts.remove_alias(connection, alias))


def queue_list(connection: Connection, *, now: int, limit: int, everything: bool) -> list[dict[str, Any]]:  # noqa: ARG001
    """Queue entries, newest first."""
    return [_plain(entry) for entry in store.listing(connection, limit=limit, waiting_only=not everything)]


def queue_show(connection: Connection, *, now: int, queue_id: str) -> dict[str, Any]:  # noqa: ARG001
    """One queue entry with its recipients and attempts."""
    number = number_of(queue_id)
    entry = store.look(connection, number) if number is not None else None
    if entry is None:
        raise OrderError(f"there is no queue entry {queue_id}")
    attempts = [asdict(one) for one in store.attempts(connection, entry.queue_id)]
    return _plain(entry) | {"attempts": attempts}


def queue_command(
    connection: Connection, *, now: int, command: str, queue_id: str, recipient: str | None, report: bool = False
) -> dict[str, Any]:
    """Retry, hold, release or cancel what waits of one queue entry."""
    number = number_of(queue_id) or 0  # which is nobody's
    try:
        if command == "cancel":
            host = (facts.read(connection, facts.HOSTNAME) or "localhost") if report else None
            done = commands.cancel(connection, number, recipient, now, Identifiers(), host)
        else:
            done = commands.COMMANDS[command](connection, number, recipient, now)
    except commands.CannotError as error:
        raise OrderError(f"cannot {command} {queue_id}: {error}") from None
    return {"queue_id": text_of(number)} | asdict(done)


def _plain(entry: store.Entry) -> dict[str, Any]:
    return asdict(entry) | {"queue_id": text_of(entry.queue_id)}


# What only looks is asked of a reader, so that accepting mail does not wait for a long listing.
QUESTIONS: dict[str, Callable[..., Any]] = {
    "account list": account_list,
    "migrate": migrate,
    "queue list": queue_list,
    "queue show": queue_show,
}
ORDERS: dict[str, Callable[..., Any]] = {
    "token": token,
    "account add": account_add,
    "account disable": account_disable,
    "account alias add": account_alias_add,
    "account alias remove": account_alias_remove,
    **{f"queue {command}": partial(queue_command, command=command) for command in ("cancel", *commands.COMMANDS)},
}
