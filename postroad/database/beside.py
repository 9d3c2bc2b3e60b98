"""An SQLite file that another process has: read here, written there. `keeper.py` is the other end.

Rows are handed over and share their transaction with those of everybody; a unit runs here, on a connection whose
statements are carried out there.
"""

import asyncio
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Raw
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from postroad import metrics
from postroad.database import sqlite
from postroad.database.channel import Channel, Incoming
from postroad.database.commit import resolve
from postroad.database.health import Health
from postroad.database.keeper import (
    COMMIT,
    ROLLBACK,
    Asked,
    Count,
    Counted,
    Failed,
    Found,
    Insert,
    Latched,
    Ready,
    Signed,
    Statement,
    asking,
    written,
)
from postroad.database.rows import Rows

# How this process ends when the one that has the file is gone: all it was told and did not pass on is void.
ORPHANED = 3


class Handing(asyncio.Protocol):
    """Hands rows to the keeper, and hears from it, on one loop. When the keeper is gone, it ends this process."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._incoming = Incoming(self._heed)
        self._asked: list[Raw] = []
        self._futures: dict[int, asyncio.Future[Any]] = {}
        self._number = 0

    async def begin(self, channel: Channel) -> None:
        """Listen from now on, first to what was taken in and not received."""
        self._loop = asyncio.get_running_loop()
        channel.end.setblocking(False)
        self._left = channel.left()
        await self._loop.create_connection(lambda: self, sock=channel.end)
        self._health.listeners.append(self._say_latched)

    def connection_made(self, transport: Any) -> None:
        """There is whom to answer now."""
        self._transport = transport
        self._incoming.feed(self._left)

    async def insert(self, rows: Rows) -> None:
        """Have rows inserted in the next transaction there; wait for the sync.

        Raises `IntegrityError`, `StorageUnhealthy` and `Draining`, as `Committer.insert`.
        """
        await self._answer_to(lambda number: Insert(number, rows))

    async def counted(self) -> list[Any]:
        """What was counted there, and in the other processes beside it."""
        found: list[Any] = await self._answer_to(Count)
        return found

    def say_signed(self, signed: Signed) -> None:
        """Signatures of a content; its rows are to be handed over next."""
        self._ask(signed)

    def say_ready(self) -> None:
        """Requests are answered here from now on."""
        self._ask(Ready())

    def _say_latched(self, cause: str) -> None:
        self._loop.call_soon_threadsafe(self._ask, Latched(cause))

    def _answer_to(self, asked: Callable[[int], Insert | Count]) -> "asyncio.Future[Any]":
        self._number += 1
        self._ask(asked(self._number))
        future = self._futures[self._number] = self._loop.create_future()
        return future

    def _ask(self, asked: Asked) -> None:
        """Ask, together with all that is asked in this turn of the loop; what cannot travel fails here, alone."""
        octets = asking(asked)
        if not self._asked:
            self._loop.call_soon(self._hand_over)
        self._asked.append(octets)

    def _hand_over(self) -> None:
        asked, self._asked = self._asked, []
        self._transport.write(written(asked))

    def data_received(self, data: bytes) -> None:
        """Answers, or parts of them."""
        self._incoming.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - of asyncio
        """The keeper is gone, by whatever signal: nothing here is of use without it."""
        os._exit(ORPHANED)

    def _heed(self, told: Latched | Count | list[tuple[int, Any]]) -> None:
        if isinstance(told, Latched):
            self._health.latch(told.cause)
        elif isinstance(told, Count):
            self._ask(Counted(told.number, pickle.dumps(metrics.counted())))
        else:
            resolve((self._futures.pop(number), result) for number, result in told)


class File:
    """The database file as this process has it; `writer` is an engine whose statements the keeper carries out."""

    breath = 0.0

    def __init__(self, folder: Path, statements: Channel, *, floor: int, readers: int) -> None:
        self.health = Health(folder, floor)
        self.writer = create_engine(
            "sqlite://",
            module=sqlite.module(),
            creator=lambda: _DriverConnection(statements),
            hide_parameters=True,  # an error is logged; content and recipients are not
            poolclass=StaticPool,
            _initialize=False,  # what SQLAlchemy asks a new connection, the keeper might refuse to answer
        )
        self.readers = sqlite.readers_of(folder / sqlite.FILE, readers)

    def announce(self, connection: Connection) -> None:
        """The keeper sees by itself what is new."""

    def committed(self, connection: Connection, units: int) -> None:
        """And counts, and when it is time for a checkpoint."""

    def close(self) -> None:
        """Let go of the file."""
        self.readers.dispose()
        self.writer.dispose()


class _DriverConnection:
    """A connection of PEP 249, of which a transaction begins with its first statement."""

    def __init__(self, statements: Channel) -> None:
        self._statements = statements
        self._begun = False

    def cursor(self) -> "_Cursor":
        return _Cursor(self)

    def ask(self, statement: Statement) -> Found:
        self._begun = True
        found: Found = self._exchange(statement)
        return found

    def commit(self) -> None:
        self._end(COMMIT)

    def rollback(self) -> None:
        self._end(ROLLBACK)

    def _end(self, how: str) -> None:
        if self._begun:
            self._begun = False
            self._exchange(how)

    def _exchange(self, asked: Statement | str) -> Any:
        """Ask, and hear. When the keeper is gone this process ends, before anybody learns that a unit failed."""
        try:
            self._statements.send(asked)
            answer = self._statements.receive()
        except (EOFError, OSError):
            os._exit(ORPHANED)
        if isinstance(answer, Failed):
            raise _driver_error(answer)
        return answer

    def close(self) -> None:
        """The channel is closed by who made it."""


class _Cursor:
    """What a statement found, in the words of PEP 249."""

    arraysize = 1

    def __init__(self, connection: _DriverConnection) -> None:
        self._connection = connection
        self._found = Found(None, -1, None, [])

    @property
    def description(self) -> Sequence[Any] | None:
        return self._found.description

    @property
    def rowcount(self) -> int:
        return self._found.rowcount

    @property
    def lastrowid(self) -> int | None:
        return self._found.lastrowid

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> None:
        self._found = self._connection.ask(Statement(text, [*map(_picklable, parameters)]))

    def executemany(self, text: str, parameters: Sequence[Any]) -> None:
        rows = [[*map(_picklable, row)] for row in parameters]
        self._found = self._connection.ask(Statement(text, rows, many=True))

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._found.rows.pop(0) if self._found.rows else None

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        some, self._found.rows[:] = self._found.rows[:size], self._found.rows[size:]
        return some

    def fetchall(self) -> list[tuple[Any, ...]]:
        some, self._found.rows[:] = self._found.rows[:], []
        return some

    def close(self) -> None:
        self._found.rows.clear()


def _picklable(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def _driver_error(failed: Failed) -> Exception:
    error: Exception = getattr(sqlite.module(), failed.name, sqlite.module().DatabaseError)(failed.text)
    error.sqlite_errorcode = failed.code  # type: ignore[attr-defined]
    return error
