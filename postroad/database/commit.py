"""Group commit: one thread, one connection, many units of work in one synced transaction.

While one transaction is being synced the next units gather; a sync is shared by all that came meanwhile, and
what many ask for alike is done by one statement for all of them. A unit's future resolves only after the commit
that holds it has returned, so a result in hand is on disk.
"""

import asyncio
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from postroad import refusals
from postroad.database.health import Health
from postroad.database.rows import NO_ROWS, Rows, brings, insert, together
from postroad.database.schema import recipient

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")
# What is done in one go for all who ask for it meanwhile: a result for each argument, in their order.
Act = Callable[[Connection, Sequence[A]], Sequence[R]]

# How many units one transaction takes at most: bounds what a failing neighbour makes us do again, which is
# to try the halves, and theirs: about twice the logarithm of this in transactions.
UNITS_PER_COMMIT = 256


class Teller(Protocol):
    """Who passes results on to those who wait: threads, the tasks of a loop, another process."""

    def begin(self, whom: Any) -> bool:
        """Whether `whom` still waits."""

    def tell(self, results: Sequence[tuple[Any, Any]]) -> None:
        """Pass on a result, or what was `Raised` in its place, to each."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Rows to insert and an act to do then, for whom, and who tells them; `alone` in its transaction or not."""

    whom: Any
    teller: Teller
    rows: Rows
    act: Act[Any, Any]
    argument: Any = None
    alone: bool = False


def _each(connection: Connection, units: Sequence[Callable[[Connection], Any]]) -> list[Any]:
    # From a generator, as that turns StopIteration, which no asyncio future takes, into an error.
    return list(unit(connection) for unit in units)  # noqa: C400


def _nothing(_: Connection, arguments: Sequence[Any]) -> Sequence[Any]:
    return arguments


@dataclass(frozen=True, slots=True)
class Raised:
    """What a unit raised, in the place of its result."""

    error: BaseException


class _Threads:
    """Tells threads, by their futures."""

    def begin(self, whom: "Future[Any]") -> bool:
        return whom.set_running_or_notify_cancel()

    def tell(self, results: "Sequence[tuple[Future[Any], Any]]") -> None:
        resolve(results)


@dataclass(frozen=True, slots=True)
class _Tasks:
    """Tells the tasks of a loop, all by one call on it."""

    loop: asyncio.AbstractEventLoop

    def begin(self, whom: "asyncio.Future[Any]") -> bool:
        return not whom.cancelled()

    def tell(self, results: "Sequence[tuple[asyncio.Future[Any], Any]]") -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(resolve, results)


THREADS = _Threads()


def resolve(results: Iterable[tuple[Any, Any]]) -> None:
    """Give each future its result, or the error that was `Raised` in its place, if anybody still waits."""
    for future, result in results:
        if future.cancelled():
            continue
        if isinstance(result, Raised):
            future.set_exception(result.error)
        else:
            future.set_result(result)


def _tell(batch: Sequence[_Waiting], results: Sequence[Any]) -> None:
    told: dict[Teller, list[tuple[Any, Any]]] = defaultdict(list)
    for waiting, result in zip(batch, results, strict=True):
        told[waiting.teller].append((waiting.whom, result))
    for teller, some in told.items():
        teller.tell(some)


class Committer:
    """The only writer of a database. Thread-safe; `close` commits what was submitted before it.

    `announce` is called within a transaction that brings new mail, `committed` after each, with nobody
    waiting, with the number of its units.
    For `breath` seconds a transaction waits for those who shared the last one; who comes alone never waits.
    """

    def __init__(
        self,
        engine: Engine,
        health: Health,
        announce: Callable[[Connection], None] = lambda _: None,
        committed: Callable[[Connection, int], None] = lambda *_: None,
        breath: float = 0.0,
    ) -> None:
        self.commits = 0
        self._health = health
        self._engine = engine
        self._announce = announce
        self._committed = committed
        self._breath = breath
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._next: _Waiting | None = None
        self._gate = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="committer")
        self._thread.start()

    def submit(self, unit: Callable[[Connection], T], rows: Rows = NO_ROWS) -> "Future[T]":
        """Insert `rows` and run `unit(connection)` in the next transaction.

        The unit may run again: when a neighbour fails, the transaction is undone and done without it.
        """
        future: Future[T] = Future()
        self._put(_Waiting(future, THREADS, rows, _each, unit))
        return future

    def submit_alone(self, unit: Callable[[Connection], T]) -> "Future[T]":
        """Run `unit` in a transaction that is its own, and so never a second time."""
        future: Future[T] = Future()
        self._put(_Waiting(future, THREADS, NO_ROWS, _each, unit, alone=True))
        return future

    def insert_for(self, whom: Any, rows: Rows, teller: Teller) -> None:
        """`insert`, for one whom `teller` tells: `None` when it is synced."""
        self._put(_Waiting(whom, teller, rows, _nothing))

    async def commit(self, unit: Callable[[Connection], T], rows: Rows = NO_ROWS) -> T:
        """Insert `rows` and run `unit` in the next transaction, and wait until it is synced.

        Raises whatever the unit raises, `StorageUnhealthy` when the disk fails or is full, `Draining` when closed.
        """
        result: T = await self._done(rows, _each, unit)
        return result

    async def insert(self, rows: Rows) -> None:
        """Insert `rows` in the next transaction, together with those of others, and wait for the sync."""
        await self._done(rows, _nothing, None)

    async def together(self, act: Act[A, R], argument: A) -> R:
        """Have `act` done in the next transaction, once for all arguments that are given for it meanwhile."""
        return await self._done(NO_ROWS, act, argument)

    async def _done(self, rows: Rows, act: Act[A, R], argument: A) -> R:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._put(_Waiting(future, _Tasks(loop), rows, act, argument))
        return await future

    def close(self) -> None:
        """Commit what is waiting, then stop. Whoever comes later is refused, as nobody would answer."""
        with self._gate:
            self._closed = True
            self._waiting.put(None)
        self._thread.join()

    def _put(self, waiting: _Waiting) -> None:
        with self._gate:
            if self._closed:
                raise refusals.Draining("the database is closed")
            self._waiting.put(waiting)

    def _run(self) -> None:
        with self._engine.connect() as connection:
            batch, going_on = list[_Waiting](), True
            while going_on:
                batch, going_on = self._gather(len(batch))
                self._settle([one for one in batch if one.teller.begin(one.whom)], connection)

    def _gather(self, company: int) -> tuple[list[_Waiting], bool]:
        """What waits, once there is something; after a breath, if fewer wait than came together the last time."""
        batch: list[_Waiting] = []
        first, self._next = self._next or self._waiting.get(), None
        if self._breath and company > self._waiting.qsize() + 1:
            time.sleep(self._breath)
        while first is not None:
            if first.alone and batch:
                self._next = first
                return batch, True
            batch.append(first)
            if first.alone or len(batch) == UNITS_PER_COMMIT or self._waiting.empty():
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
            if again and not batch[0].alone and getattr(error, "connection_invalidated", False):
                self._settle(batch, connection, again=False)
            else:
                self._blame(batch, connection, error)
        else:
            _tell(batch, results)
            self._committed(connection, len(batch))

    def _together(self, batch: list[_Waiting], connection: Connection) -> list[Any]:
        """Do it all in one transaction: the rows first, then act by act as they were first asked for."""
        rows = together([waiting.rows for waiting in batch])
        acts: dict[Act[Any, Any], list[int]] = defaultdict(list)
        for place, waiting in enumerate(batch):
            acts[waiting.act].append(place)
        results: list[Any] = [None] * len(batch)
        with _committed_once(connection):
            insert(connection, rows)
            for act, places in acts.items():
                done = act(connection, [batch[place].argument for place in places])
                for place, result in zip(places, done, strict=True):
                    results[place] = result
            if brings(rows, recipient):
                self._announce(connection)
        self.commits += 1
        return results

    def _blame(self, batch: list[_Waiting], connection: Connection, error: BaseException) -> None:
        """Find who failed, half by half in transactions of their own, unless it was the storage."""
        meaning = self._health.translate(error)
        storage = isinstance(meaning, refusals.StorageUnhealthy) and not self._health.goes_on
        if len(batch) == 1 or storage:
            _tell(batch, [Raised(meaning)] * len(batch))
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
