"""SQLite, over the newest module at hand: one connection that writes and checkpoints, a few that read."""

import sqlite3
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool, StaticPool

from postroad import metrics, refusals
from postroad.database import migrations
from postroad.database.health import MEND, Health, says_damaged, says_unread
from postroad.database.rows import executing
from postroad.refusals import Failure

BUSY_TIMEOUT_MS = 10_000
FILE = "postroad.sqlite3"
CLOSED_CLEANLY = "closed-cleanly"
# A checkpoint after so many commits, and after every few while the write-ahead log is larger than it need be.
COMMITS_PER_CHECKPOINT = 64
COMMITS_WHEN_LARGE = 8
WAL_LIMIT = 16 << 20
# Prepared statements that the writer keeps. There are 16 texts for each kind of row, and one for each length of a
# list that is asked about; the driver's own figure of 128 had it parse some anew for every message.
STATEMENTS = 1000


class DamagedDatabaseError(Failure):
    """The database file fails its own integrity check."""


def module() -> ModuleType:
    """`pysqlite3` carries an SQLite without the WAL-reset bug of 3.7.0 to 3.51.2 (sqlite.org/wal.html)."""
    try:
        import pysqlite3.dbapi2 as found  # noqa: PLC0415 - has no wheel for every platform
    except ImportError:
        return sqlite3
    return found  # type: ignore[no-any-return]


def _begin_immediate(engine: Engine) -> None:
    """Let SQLAlchemy say BEGIN, and take the write lock with it: the module's own rules are older than WAL."""

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        executing(connection)("BEGIN IMMEDIATE", ())


def _pragmas(engine: Engine, *pragmas: str) -> None:
    @event.listens_for(engine, "connect")
    def _(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", *pragmas):
            connection.execute(f"PRAGMA {pragma}")


def writer_of(file: Path) -> Engine:
    """The engine of the one connection that writes and checkpoints `file`."""
    engine = create_engine(
        f"sqlite:///{file}",
        module=module(),
        hide_parameters=True,  # an error is logged; content and recipients are not
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "cached_statements": STATEMENTS},
    )
    _pragmas(
        engine,
        "journal_mode=WAL",
        "synchronous=FULL",
        "wal_autocheckpoint=0",
        f"journal_size_limit={WAL_LIMIT}",
        "temp_store=MEMORY",
        "foreign_keys=ON",
    )
    _begin_immediate(engine)
    return engine


def readers_of(file: Path, size: int) -> Engine:
    """An engine of `size` connections that cannot write and never checkpoint."""
    engine = create_engine(
        f"sqlite:///{file}",
        module=module(),
        hide_parameters=True,  # an error is logged; content and recipients are not
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        connect_args={"check_same_thread": False},
    )
    _pragmas(engine, "wal_autocheckpoint=0", "query_only=ON")
    return engine


class File:
    """The database file of one process; opened, it has been checked and brought to the newest schema."""

    breath = 0.0  # who hands rows over has collected them

    def __init__(self, folder: Path, *, floor: int, readers: int) -> None:
        self._file = folder / FILE
        self._wal = folder / f"{FILE}-wal"
        self._commits = 0
        self._closed_cleanly = folder / CLOSED_CLEANLY
        self.health = Health(folder, floor)
        self.writer = writer_of(self._file)
        try:
            self._check()
            migrations.upgrade(self.writer)
        except DatabaseError as error:  # the disk: what is not damaged cannot be read or written
            self.writer.dispose()
            if (meaning := self.health.translate(error)) is not error:
                raise meaning from error
            raise
        self.readers = readers_of(self._file, readers)

    def _check(self) -> None:
        """After anything but a clean stop, refuse a damaged file now rather than while accepting mail."""
        if self._closed_cleanly.exists():
            self._closed_cleanly.unlink()
            return
        try:
            with self.writer.connect() as connection:
                verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        except DatabaseError as error:
            if not says_damaged(error):  # the disk, or our rights: the file may be whole
                raise
            verdict = str(error.orig)
        if verdict != "ok":
            self.writer.dispose()
            words = " ".join(verdict.split())
            if says_unread(words):
                raise refusals.StorageUnhealthy(f"storage failed: {words}; {MEND}")
            raise DamagedDatabaseError(f"{self._file} is damaged: {words}; restore a backup")

    def announce(self, connection: Connection) -> None:
        """New mail is in the queue: nobody else can be waiting for it."""

    def committed(self, connection: Connection, units: int) -> None:
        """Count; checkpoint when due. By ourselves, as SQLite keeps an automatic one's failure to itself."""
        metrics.COMMIT_UNITS.observe(units)
        self._commits += 1
        try:
            if self._checkpoint_is_due():
                raw: Any = connection.connection.driver_connection  # SQLAlchemy would begin a transaction first
                raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except OSError as error:
            self.health.latch(str(error))
        except module().DatabaseError as error:
            self.health.translate(error)  # latches, when the disk is to blame; the log still has everything

    def _checkpoint_is_due(self) -> bool:
        if self._commits % COMMITS_PER_CHECKPOINT == 0:
            return True
        return self._commits % COMMITS_WHEN_LARGE == 0 and self._wal.stat().st_size > WAL_LIMIT

    def close(self) -> None:
        """Readers go first, so that the writer does the last checkpoint."""
        self.readers.dispose()
        self.writer.dispose()
        if self.health.trusted:
            self._closed_cleanly.touch()
