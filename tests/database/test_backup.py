"""Backups: one moment of a file that is written to, checked, never half and never over another."""

import contextlib
import threading

import pytest

from postroad.database import backup as backups
from postroad.database.backup import BackupError, backup
from postroad.database.engine import Database
from postroad.database.schema import fact
from postroad.database.sqlite import FILE


def quiet(_done, _total):
    pass


def write(database, first: int, count: int, octets: int = 1) -> None:
    """That many facts, numbered, in one transaction."""
    rows = [{"name": f"{number:08}", "value": "x" * octets} for number in range(first, first + count)]
    database.submit(lambda connection: connection.execute(fact.insert(), rows) and None).result()


def names(folder) -> list[str]:
    with contextlib.closing(Database(folder, floor=0)) as database:
        return database.look(lambda connection: [row.name for row in connection.execute(fact.select())])


def restored(target, folder):
    """A data folder that holds the backup alone."""
    folder.mkdir()
    (folder / FILE).write_bytes(target.read_bytes())
    return folder


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def test_a_backup_holds_everything_committed(source, tmp_path):
    """What is still in the log (-wal) is in the copy too, which is one file for its owner alone."""
    target = tmp_path / "copy"
    with contextlib.closing(Database(source, floor=0)) as database:
        write(database, 0, 100)
        size = backup(source, target, quiet)
    assert size == target.stat().st_size
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in tmp_path.iterdir()) == ["copy", "source"]
    assert len(names(restored(target, tmp_path / "restored"))) == 100


def test_a_backup_is_of_one_moment(source, tmp_path, monkeypatch):
    """Commits between two steps are not in it, and do not make it begin anew."""
    monkeypatch.setattr(backups, "PAGES", 8)
    steps = []
    with contextlib.closing(Database(source, floor=0)) as database:
        write(database, 0, 300, octets=2000)

        def between(done, total):
            steps.append((done, total))
            write(database, 1000 + len(steps), 1, octets=2000)

        backup(source, tmp_path / "copy", between)
        assert len(database.look(lambda connection: connection.execute(fact.select()).all())) == 300 + len(steps)
    (total,) = {total for _, total in steps}
    assert [done for done, _ in steps] == [*range(8, total, 8), total]
    assert len(names(restored(tmp_path / "copy", tmp_path / "restored"))) == 300


def test_a_backup_is_made_without_a_server(source, tmp_path):
    """Also of a file nobody has open, after a clean stop and after none."""
    with contextlib.closing(Database(source, floor=0)) as database:
        write(database, 0, 10)
        torn = tmp_path / "torn"
        torn.mkdir()
        for one in (FILE, f"{FILE}-wal"):
            (torn / one).write_bytes((source / one).read_bytes())
    for folder in (source, torn):
        backup(folder, tmp_path / f"copy of {folder.name}", quiet)
        again = restored(tmp_path / f"copy of {folder.name}", tmp_path / f"restored {folder.name}")
        assert len(names(again)) == 10


def test_nothing_is_overwritten(source, tmp_path):
    """An existing file stays as it is."""
    Database(source, floor=0).close()
    target = tmp_path / "copy"
    target.write_bytes(b"precious")
    with pytest.raises(BackupError, match="exists; a backup never overwrites"):
        backup(source, target, quiet)
    assert target.read_bytes() == b"precious"


def test_what_a_killed_backup_left_is_cleared(source, tmp_path):
    """A partial file without its name is nobody's."""
    Database(source, floor=0).close()
    (tmp_path / "copy.partial").write_bytes(b"half")
    assert backup(source, tmp_path / "copy", quiet) > 0
    assert not (tmp_path / "copy.partial").exists()


def damage(file) -> None:
    octets = bytearray(file.read_bytes())
    octets[4096 * 3 : 4096 * 4] = b"\xee" * 4096
    file.write_bytes(octets)


def spoil(source, tmp_path):
    damage(source / FILE)
    return source, tmp_path / "copy"


def without_source(_source, tmp_path):
    return tmp_path / "nowhere", tmp_path / "copy"


def without_folder(source, tmp_path):
    return source, tmp_path / "no" / "such" / "folder" / "copy"


@pytest.mark.parametrize("case", [spoil, without_source, without_folder])
def test_what_fails_leaves_nothing(source, tmp_path, case):
    """A damaged original, no original, no folder: one error that says so, and no file."""
    Database(source, floor=0).close()
    folder, target = case(source, tmp_path)
    with pytest.raises(BackupError):
        backup(folder, target, quiet)
    assert [one.name for one in tmp_path.iterdir()] == ["source"]


def test_who_breaks_off_leaves_nothing(source, tmp_path):
    """Ctrl-C amid the copy: neither the name nor the partial file stays."""
    Database(source, floor=0).close()

    def interrupted(_done, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup(source, tmp_path / "copy", interrupted)
    assert [one.name for one in tmp_path.iterdir()] == ["source"]


def test_a_reader_changes_nothing(source, tmp_path):
    """The backup's connection cannot write, and does not checkpoint when it is the last to close."""
    with contextlib.closing(Database(source, floor=0)) as database:
        write(database, 0, 10)
        torn = tmp_path / "torn"
        torn.mkdir()
        for one in (FILE, f"{FILE}-wal"):
            (torn / one).write_bytes((source / one).read_bytes())
    before = {one: (torn / one).read_bytes() for one in (FILE, f"{FILE}-wal")}
    backup(torn, tmp_path / "copy", quiet)
    assert {one: (torn / one).read_bytes() for one in before} == before
    assert threading.active_count() == 1
