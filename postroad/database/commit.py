"""Group commit: one thread, one connection, many units of work in one synced transaction.

While one transaction is being synced the next units gather; a sync is shared by all that came meanwhile.
A unit's future resolves only after the commit that holds it has returned, so a result in hand is on disk.
"""

import asyncio
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.exc import DBAPIError

from postroad import metrics, refusals
from postroad.database.health import Health
from postroad.database.schema import recipient

T = TypeVar("T")
Rows = Mapping[Table, Sequence[Mapping[str, Any]]]

# How many units one transaction takes at most: bounds what a failing neighbour makes us do again, which is
# to try the halves, and theirs: about twice the logarithm of this in transactions.
UNITS_PER_COMMIT = 256


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A unit of work, and who waits for it. `rows` alone can be merged with its neighbours' rows."""

    future: "Future[Any]"
    unit: Callable[[Connection], Any] | None
    rows: Rows


def insert(connection: Connection, rows: Rows) -> None:
    """Insert all `rows`, one statement a table."""
    for table, values in rows.items():
        if values:
            connection.execute(table.insert(), values)


class Committer:
    """The only writer of a database. Thread-safe; `close` commits what was submitted before it.

    `announce` is called within a transaction that brings new mail, `committed` after each, with nobody waiting.
    """

    def __init__(
        self,
        engine: Engine,
        health: Health,
        announce: Callable[[Connection], None] = lambda _: None,
        committed: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        self.commits = 0
        self._health = health
        self._engine = engine
        self._announce = announce
        self._committed = committed
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="committer")
        self._thread.start()

    def submit(self, unit: Callable[[Connection], T]) -> "Future[T]":
        """Run `unit(connection)` in the next transaction.

        The unit may run again: when a neighbour fails, the transaction is undone and done without it.
        """
        return self._put(_Waiting(Future(), unit, {}))

    async def commit(self, unit: Callable[[Connection], T]) -> T:
        """Run `unit` in the next transaction and wait until it is synced.

        Raises whatever the unit raises, `StorageUnhealthy` when the disk fails or is full, `Draining` when closed.
        """
        return await asyncio.wrap_future(self.submit(unit))

    async def insert(self, rows: Rows) -> None:
        """Insert `rows` in the next transaction, together with those of others, and wait for the sync."""
        await asyncio.wrap_future(self._put(_Waiting(Future(), None, rows)))

    def close(self) -> None:
        """Commit what is waiting, then stop. Whoever comes later is refused, as nobody would answer."""
        with self._gate:
            self._closed = True
            self._waiting.put(None)
        self._thread.join()

    def _put(self, waiting: _Waiting) -> "Future[Any]":
        with self._gate:
            if self._closed:
                raise refusals.Draining("the database is closed")
            self._waiting.put(waiting)
        return waiting.future

    def _run(self) -> None:
        with self._engine.connect() as connection:
            going_on = True
            while going_on:
                batch, going_on = self._gather()
                self._settle([one for one in batch if one.future.set_running_or_notify_cancel()], connection)

    def _gather(self) -> tuple[list[_Waiting], bool]:
        batch: list[_Waiting] = []
        first = self._waiting.get()
        while first is not None:
            batch.append(first)
            if len(batch) == UNITS_PER_COMMIT or self._waiting.empty():
                return batch, True
            first = self._waiting.get()
        return batch, False

    def _settle(self, batch: list[_Waiting], connection: Connection, *, again: bool = True) -> None:
        if not batch:
            return
        try:
            self._health.refuse_unless_trusted()
            results = self._together(batch, connection)
        except BaseException as error:  # noqa: BLE001 - whatever it is, its owner learns of it, and we go on
            if again and getattr(error, "connection_invalidated", False):
                self._settle(batch, connection, again=False)
            else:
                self._blame(batch, connection, error)
        else:
            for waiting, result in zip(batch, results, strict=True):
                waiting.future.set_result(result)
            self._committed(connection)

    def _together(self, batch: list[_Waiting], connection: Connection) -> list[Any]:
        merged: dict[Table, list[Mapping[str, Any]]] = defaultdict(list)
        for waiting in batch:
            for table, values in waiting.rows.items():
                merged[table].extend(values)
        with _committed_once(connection):
            insert(connection, merged)
            # From a generator, as that turns StopIteration, which no asyncio future takes, into an error.
            results = list(waiting.unit(connection) if waiting.unit else None for waiting in batch)  # noqa: C400
            if recipient in merged:
                self._announce(connection)
        self.commits += 1
        metrics.COMMIT_UNITS.observe(len(batch))
        return results

    def _blame(self, batch: list[_Waiting], connection: Connection, error: BaseException) -> None:
        """Find who failed, half by half in transactions of their own, unless it was the storage."""
        meaning = self._health.translate(error)
        storage = isinstance(meaning, refusals.StorageUnhealthy) and not self._health.goes_on
        if len(batch) == 1 or storage:
            for waiting in batch:
                waiting.future.set_exception(meaning)
            return
        middle = len(batch) // 2
        self._settle(batch[:middle], connection)
        self._settle(batch[middle:], connection)


@contextmanager
def _committed_once(connection: Connection) -> Iterator[None]:
    """A transaction. A connection lost while it commits may have committed: nobody may do it again.

    The commit is SQLAlchemy's own, at the end of `begin()`: it alone rolls back one that failed on a full disk.
    """
    committing = False
    try:
        with connection.begin():
            yield
            committing = True
    except DBAPIError as error:
        if committing:
            error.connection_invalidated = False
        raise
