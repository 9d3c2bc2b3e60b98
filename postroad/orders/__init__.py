"""What the command line can order: each a function on a connection, its arguments and result plain JSON."""

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Connection

from postroad.orders import accounts, clients, credentials, domains, queue, service_accounts
from postroad.orders.errors import OrderError
from postroad.queue.commands import COMMANDS

__all__ = ["ORDERS", "QUESTIONS", "SEALING", "OrderError"]


def migrate(connection: Connection, *, now: int) -> str:  # noqa: ARG001 - one form for all
    """The step the schema is at: whoever opened the database has brought it to the newest."""
    step: str = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    return step


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
