"""Every order and every question by its name; from these tables the server and the command carry them out."""

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Connection

from postroad.database.migrations import step
from postroad.orders import accounts, clients, credentials, domains, queue, service_accounts
from postroad.orders.errors import OrderError
from postroad.queue.commands import COMMANDS
from postroad.sealing import Sealing

Unit = Callable[[Connection], Any]


def migrate(connection: Connection, *, now: int) -> str:  # noqa: ARG001 - one form for all
    """The step the schema is at: whoever opened the database has brought it to the newest."""
    return step(connection)


# What only looks is asked of a reader, so that accepting mail does not wait for a long listing.
QUESTIONS: dict[str, Callable[..., Any]] = {
    "account list": accounts.listing,
    "account grants": accounts.grants,
    "client list": clients.listing,
    "domain check": domains.show,
    "domain list": domains.listing,
    "migrate": migrate,
    "queue destinations": queue.listing_destinations,
    "queue list": queue.listing,
    "queue show": queue.show,
    "service-account list": service_accounts.listing,
}
ORDERS: dict[str, Callable[..., Any]] = {
    "token": credentials.token,
    "credentials": credentials.refresh_token,
    "account add": accounts.add,
    "account password": accounts.set_password,
    "account disable": accounts.disable,
    "account enable": accounts.enable,
    "account unlink": accounts.unlink,
    "account revoke": accounts.revoke,
    "account alias add": accounts.add_alias,
    "account alias remove": accounts.remove_alias,
    "client add": clients.add,
    "client remove": clients.remove,
    "domain add": domains.add,
    "domain rotate": domains.rotate,
    "domain remove": domains.remove,
    "service-account add": service_accounts.add,
    "service-account remove": service_accounts.remove,
    "service-account delegate": service_accounts.delegate,
    "service-account key add": service_accounts.add_key,
    "service-account key remove": service_accounts.remove_key,
    "queue suspend": queue.suspend,
    "queue resume": queue.resume,
    **{f"queue {command}": partial(queue.command, command=command) for command in ("cancel", *COMMANDS)},
}
# These put secrets into the database: they are handed the `sealing` beside.
SEALING = frozenset(("domain add", "domain rotate"))


def unit(name: str, arguments: dict[str, Any], now: int, sealing: Callable[[], Sealing]) -> Unit:
    """What carries an order out on a connection; `sealing` is called only if it seals. Raises `OrderError`."""
    known = QUESTIONS | ORDERS
    if name not in known:
        raise OrderError(f"this server does not know the order {name!r}; is it of the same version?")

    def carry_out(connection: Connection) -> Any:
        beside = {"sealing": sealing()} if name in SEALING else {}
        return known[name](connection, now=now, **arguments, **beside)

    return carry_out
