"""Opens a database: SQLite over the newest module at hand, one connection that writes, a few that read."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool, StaticPool

from postroad.database import migrations
from postroad.database.commit import Committer
from postroad.database.health import Health

T = TypeVar("T")

READERS = 4
BUSY_TIMEOUT_MS = 10_000
FILE = "postroad.sqlite3"
CLOSED_CLEANLY = "closed-cleanly"


def _sqlite_module() -> ModuleType:
    """`pysqlite3` carries an SQLite without the WAL-reset bug of 3.7.0 to 3.51.2 (sqlite.org/wal.html)."""
    try:
        import pysqlite3.dbapi2 as module  # noqa: PLC0415 - has no wheel for every platform
    except ImportError:
        return sqlite3
    return module  # type: ignore[no-any-return]


def _begin_immediate(engine: Engine) -> None:
    """Let SQLAlchemy say BEGIN, and take the write lock with it: the module's own rules are older than WAL."""

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _pragmas(engine: Engine, *pragmas: str) -> None:
    @event.listens_for(engine, "connect")
    def _(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", *pragmas):
            connection.execute(f"PRAGMA {pragma}")


def sqlite_writer(file: Path) -> Engine:
    """The engine of the one connection that writes and checkpoints `file`."""
    engine = create_engine(
        f"sqlite:///{file}",
        module=_sqlite_module(),
        poolclass=StaticPool,
        connect_args={"check_same_thread": False},
    )
    _pragmas(engine, "journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY", "foreign_keys=ON")
    _begin_immediate(engine)
    return engine


def sqlite_readers(file: Path) -> Engine:
    """An engine whose connections cannot write and never checkpoint."""
    engine = create_engine(
        f"sqlite:///{file}",
        module=_sqlite_module(),
        poolclass=QueuePool,
        pool_size=READERS,
        max_overflow=0,
        connect_args={"check_same_thread": False},
    )
    _pragmas(engine, "wal_autocheckpoint=0", "query_only=ON")
    return engine


class Database:
    """One open database: `commit` and `insert` write, `read` reads; `health` says whether to trust it."""

    def __init__(self, folder: Path, *, floor: int) -> None:
        file = folder / FILE
        self._closed_cleanly = folder / CLOSED_CLEANLY
        self.health = Health(folder, floor)
        self._writer = sqlite_writer(file)
        self._check(file)
        migrations.upgrade(self._writer)
        self._readers = sqlite_readers(file)
        self._threads = ThreadPoolExecutor(READERS, "reader")
        self._committer = Committer(self._writer, self.health)
        self.commit = self._committer.commit
        self.insert = self._committer.insert
        self.submit = self._committer.submit

    def _check(self, file: Path) -> None:
        """After anything but a clean stop, refuse a damaged file now rather than while accepting mail."""
        if self._closed_cleanly.exists():
            self._closed_cleanly.unlink()
            return
        try:
            with self._writer.connect() as connection:
                verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        except DatabaseError as error:  # too damaged to be looked at
            verdict = str(error.orig)
        if verdict != "ok":
            self._writer.dispose()
            raise DamagedDatabaseError(f"{file} is damaged: {verdict}; restore a backup")

    @property
    def commits(self) -> int:
        """Transactions synced since the start."""
        return self._committer.commits

    def look(self, question: Callable[[Connection], T]) -> T:
        """Answer a question on this thread. Raises `StorageUnhealthy` when the disk fails."""
        try:
            with self._readers.connect() as connection:
                return question(connection)
        except DatabaseError as error:
            if (meaning := self.health.translate(error)) is not error:
                raise meaning from error
            raise

    async def read(self, question: Callable[[Connection], T]) -> T:
        """Answer a question on a thread of the readers."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.look, question)

    def close(self) -> None:
        """Commit what is waiting; readers go first, so that the writer does the last checkpoint."""
        self._committer.close()
        self._threads.shutdown()
        self._readers.dispose()
        self._writer.dispose()
        if self.health.trusted:
            self._closed_cleanly.touch()


class DamagedDatabaseError(Exception):
    """The database file fails its own integrity check."""
