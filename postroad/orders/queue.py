"""Orders about the queue."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from postroad.database import facts
from postroad.database.identifiers import Identifiers, number_of, text_of
from postroad.orders.errors import OrderError
from postroad.queue import commands, destinations, store


def listing(connection: Connection, *, now: int, limit: int, everything: bool) -> list[dict[str, Any]]:  # noqa: ARG001
    """Queue entries, newest first."""
    return [_plain(entry) for entry in store.listing(connection, limit=limit, waiting_only=not everything)]


def show(connection: Connection, *, now: int, queue_id: str) -> dict[str, Any]:  # noqa: ARG001 - one form for all
    """One queue entry with its recipients and attempts."""
    number = number_of(queue_id)
    entry = store.look(connection, number) if number is not None else None
    if entry is None:
        raise OrderError(f"there is no queue entry {queue_id}")
    attempts = [asdict(one) for one in store.attempts(connection, entry.queue_id)]
    return _plain(entry) | {"attempts": attempts}


def command(
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


def listing_destinations(connection: Connection, *, now: int, limit: int) -> list[dict[str, Any]]:
    """Destinations, those with most waiting first."""
    return [asdict(one) for one in destinations.listing(connection, now, limit=limit)]


def suspend(connection: Connection, *, now: int, destination: str) -> dict[str, Any]:  # noqa: ARG001 - one form for all
    """Have the mail for a destination wait."""
    name = destination.lower()
    if not destinations.suspend(connection, name):
        raise OrderError(f"{name} is suspended already")
    return {"destination": name, "waiting": destinations.waiting_for(connection, name)}


def resume(connection: Connection, *, now: int, destination: str) -> dict[str, Any]:
    """Let the mail for a suspended destination go."""
    name = destination.lower()
    if not destinations.resume(connection, name, now):
        raise OrderError(f"{name} is not suspended")
    return {"destination": name, "waiting": destinations.waiting_for(connection, name)}


def _plain(entry: store.Entry) -> dict[str, Any]:
    return asdict(entry) | {"queue_id": text_of(entry.queue_id)}
