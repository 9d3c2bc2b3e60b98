"""How the file is opened, checked and left."""

import asyncio
import sqlite3
import subprocess
import threading
from contextlib import closing

import pytest
from sqlalchemy.exc import OperationalError

from postroad import refusals
from postroad.database import facts
from postroad.database.content import rows
from postroad.database.engine import READERS, Database
from postroad.database.schema import fact
from postroad.database.sqlite import (
    CLOSED_CLEANLY,
    COMMITS_PER_CHECKPOINT,
    COMMITS_WHEN_LARGE,
    FILE,
    DamagedDatabaseError,
)
from tests.conftest import program
from tests.content_kit import FACTS
from tests.running import POSTROAD

PAGE = 4096


def pragma(name):
    return lambda connection: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


def filled(folder):
    """A database of 4 MB that was stopped cleanly; its file."""
    with closing(Database(folder, floor=0)) as database:
        asyncio.run(database.insert(rows(1, 1, [bytes(4_000_000)], FACTS)))
        database.submit(lambda connection: facts.write(connection, "name", "value")).result()
    return folder / FILE


def test_the_writer_syncs_every_commit(tmp_path):
    """The one connection that writes uses WAL and synchronous=FULL (2)."""
    with closing(Database(tmp_path, floor=0)) as database:
        found = [
            database.submit(pragma(name)).result() for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert found == ["wal", 2, 1]


def test_readers_cannot_write(tmp_path):
    """A question that writes is refused by SQLite itself, and storage stays trusted."""
    with closing(Database(tmp_path, floor=0)) as database:
        with pytest.raises(OperationalError, match="readonly"):
            database.look(lambda connection: facts.write(connection, "name", "value"))
        assert database.health.trusted


def test_readers_never_checkpoint(tmp_path):
    """No reader's connection checkpoints by itself, nor when it is closed before the writer."""
    with closing(Database(tmp_path, floor=0)) as database:
        connections = [database._store.readers.connect() for _ in range(READERS)]
        assert {pragma("wal_autocheckpoint")(connection) for connection in connections} == {0}
        for connection in connections:
            connection.close()
        database.submit(lambda connection: facts.write(connection, "name", "value")).result()
        before = (tmp_path / f"{FILE}-wal").stat().st_size
        database._store.readers.dispose()
        assert (tmp_path / f"{FILE}-wal").stat().st_size == before > 0


def test_sqlite_has_no_wal_reset_bug(tmp_path):
    """Where pysqlite3 is installed, its SQLite is used and has the bug mended (sqlite.org/wal.html)."""
    pytest.importorskip("pysqlite3", reason="no wheel for this platform")
    with closing(Database(tmp_path, floor=0)) as database:
        version = database.look(
            lambda connection: connection.exec_driver_sql("select sqlite_version()").scalar_one()
        )
    assert tuple(map(int, version.split("."))) >= (3, 51, 3)


def test_a_question_is_answered_beside_the_loop(tmp_path):
    """`read` runs on a reader's thread and hands over result and exception."""

    async def run():
        with closing(Database(tmp_path, floor=0)) as database:
            assert (await database.read(lambda _: threading.current_thread().name)).startswith("reader")
            with pytest.raises(LookupError, match="mine"):
                await database.read(lambda _: _raise(LookupError("mine")))

    asyncio.run(run())


def _raise(error):
    raise error


def test_a_reader_that_meets_a_bad_disk_latches_too(tmp_path):
    """An input/output error while reading is as bad as one while writing."""
    cause = sqlite3.OperationalError("disk I/O error")
    cause.sqlite_errorcode = 10
    with closing(Database(tmp_path, floor=0)) as database:
        with pytest.raises(refusals.StorageUnhealthy):
            database.look(lambda _: _raise(OperationalError("SELECT", {}, cause)))
        with pytest.raises(refusals.StorageUnhealthy):
            database.submit(lambda _: None).result()
    assert not (tmp_path / CLOSED_CLEANLY).exists()


def damaged_inside(file):
    """A page in the middle is another."""
    with file.open("r+b") as octets:
        octets.seek(3 * PAGE)
        octets.write(b"\xde\xad" * (PAGE // 2) * 20)


def damaged_at_its_head(file):
    """The file's header is gone."""
    with file.open("r+b") as octets:
        octets.write(b"\0" * 2 * PAGE)


def cut_short(file):
    """The second half is missing."""
    with file.open("r+b") as octets:
        octets.truncate(file.stat().st_size // 2 // PAGE * PAGE)


@pytest.mark.parametrize("damage", [damaged_inside, damaged_at_its_head, cut_short])
def test_an_unclean_stop_and_a_damaged_file_are_refused(tmp_path, damage):
    """The server does not start on it, names the file, leaves no thread, and says so again the next time."""
    file = filled(tmp_path)
    (tmp_path / CLOSED_CLEANLY).unlink()
    damage(file)
    threads = set(threading.enumerate())
    for _ in range(2):
        with pytest.raises(DamagedDatabaseError, match=f"{FILE} is damaged: .*; restore a backup"):
            Database(tmp_path, floor=0)
    assert set(threading.enumerate()) == threads
    assert not (tmp_path / CLOSED_CLEANLY).exists()


def test_a_file_that_cannot_be_opened_is_not_called_damaged(tmp_path):
    """At the start, too, a bad disk is to be mended: nobody is told to restore a backup."""
    file = filled(tmp_path)
    (tmp_path / CLOSED_CLEANLY).unlink()
    file.unlink()
    file.mkdir()
    with pytest.raises(refusals.StorageUnhealthy) as refused:
        Database(tmp_path, floor=0)
    assert refused.value.why.startswith("storage failed: unable to open database file; mend the disk")


def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path):
    """A page that the check could not read is the disk's fault: SQLite then reports a line, and raises nothing."""
    strace = [program("strace"), "-f", "-qq", "-o", str(tmp_path / "trace"), "-P", str(tmp_path / "data" / FILE)]
    inject = ["-e", "trace=pread64", "-e", "inject=pread64:error=EIO:when=9+"]
    (tmp_path / "data").mkdir()
    filled(tmp_path / "data")
    (tmp_path / "data" / CLOSED_CLEANLY).unlink()
    command = [*strace, *inject, POSTROAD, "account", "list", "--data", str(tmp_path / "data")]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 1
    assert "storage failed" in told.stderr
    assert "error code=" in told.stderr
    assert "mend the disk" in told.stderr


def test_an_unclean_stop_and_a_sound_file_go_on(tmp_path):
    """The check passes what is sound, with all that is in it."""
    filled(tmp_path)
    (tmp_path / CLOSED_CLEANLY).unlink()
    with closing(Database(tmp_path, floor=0)) as database:
        assert database.look(lambda connection: facts.read(connection, "name")) == "value"


def test_a_clean_stop_leaves_its_mark_and_a_start_takes_it(tmp_path):
    """The mark is there after a clean stop alone: never while the server runs."""
    database = Database(tmp_path, floor=0)
    assert not (tmp_path / CLOSED_CLEANLY).exists()
    database.close()
    assert (tmp_path / CLOSED_CLEANLY).exists()
    with closing(Database(tmp_path, floor=0)):
        assert not (tmp_path / CLOSED_CLEANLY).exists()


def test_a_clean_stop_leaves_one_file(tmp_path):
    """The writer closes last and checkpoints, so that the file alone is a backup."""
    filled(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {FILE, CLOSED_CLEANLY}


def test_the_writer_checkpoints_now_and_then(tmp_path):
    """After so many commits what was written is in the database file itself, while the server goes on."""
    with closing(Database(tmp_path, floor=0)) as database:
        for number in range(COMMITS_PER_CHECKPOINT + 1):
            rows = [{"name": f"canary-{number}", "value": "x"}]
            database.submit(lambda connection, rows=rows: connection.execute(fact.insert(), rows)).result()
        assert b"canary-0" in (tmp_path / FILE).read_bytes()


def test_a_log_that_has_gone_is_the_end_of_trust(tmp_path):
    """When the write-ahead log cannot be looked at, the writer goes on answering, and nothing more is accepted."""
    with closing(Database(tmp_path, floor=0)) as database:
        (tmp_path / f"{FILE}-wal").unlink()
        for _ in range(COMMITS_WHEN_LARGE):
            database.submit(lambda _: None).result(10)
        with pytest.raises(refusals.StorageUnhealthy):
            database.submit(lambda _: None).result(10)
