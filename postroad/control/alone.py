"""An order carried out by the command itself: under the lock, or beside other nodes of a PostgreSQL database."""

import contextlib
from functools import partial
from typing import Any

from postroad.control.folder import lock
from postroad.control.secret_key import sealing_of
from postroad.database.engine import Database
from postroad.orders.errors import REFUSED, OrderError, why
from postroad.orders.table import unit
from postroad.settings import Settings


def carry_out(settings: Settings, name: str, arguments: dict[str, Any], now: int) -> Any:
    """The result of an order; the key that seals is read, or made, only if it needs it.

    Raises `OrderError`, and `InUseError` when another process holds the data folder.
    """
    ordered = unit(name, arguments, now, partial(sealing_of, settings))
    url = settings.database
    with (
        contextlib.nullcontext() if url else lock(settings.folder),
        contextlib.closing(Database(settings.folder, floor=0, url=url)) as database,
    ):
        try:
            return database.submit(ordered).result()
        except REFUSED as error:
            raise OrderError(why(error)) from error
