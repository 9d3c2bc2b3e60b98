"""Copies the SQLite file while a server writes to it: all of one moment, synced, checked.

The copy is made by a reader that cannot write or checkpoint, in a process of its own: accepting goes on. It holds
one snapshot throughout, so that no commit of the server's makes it begin anew; the log (-wal) grows meanwhile.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from postroad.database import sqlite
from postroad.refusals import Failure

# Pages of one step, 4 MiB; each step is synced by itself, so that no great sync holds up the server's small ones.
PAGES = 1024
# Told how many pages of how many are done.
Progress = Callable[[int, int], None]


class BackupError(Failure):
    """No backup was made, and nothing is left of it; the text says why."""


def backup(folder: Path, target: Path, progress: Progress) -> int:
    """Copy the database in `folder` to the new file `target`; the octets it has. Raises `BackupError`."""
    source = folder / sqlite.FILE
    if not source.exists():
        raise BackupError(f"there is no {source}")
    module = sqlite.module()
    try:
        with _reserved(target) as partial:
            _copy(module, source, partial, progress)
            _check(module, partial)
            partial.replace(target)
            _sync(target.parent)
    except (module.Error, OSError) as error:
        raise BackupError(f"{target}: {error}") from error
    return target.stat().st_size


@contextlib.contextmanager
def _reserved(target: Path) -> Iterator[Path]:
    """Take the name, and give that of a file beside it to write to. Neither is left when this fails."""
    partial = target.with_name(f"{target.name}.partial")
    try:
        _create(target)
    except FileExistsError:
        raise BackupError(f"{target} exists; a backup never overwrites") from None
    try:
        partial.unlink(missing_ok=True)  # of a backup that was killed: it did not hold the name any more
        _create(partial)
        yield partial
    except BaseException:
        for leftover in (target, partial, Path(f"{partial}-journal")):
            leftover.unlink(missing_ok=True)
        raise


def _create(file: Path) -> None:
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _copy(module: Any, source: Path, partial: Path, progress: Progress) -> None:
    with (
        contextlib.closing(_reader(module, source)) as reader,
        contextlib.closing(module.connect(partial)) as copy,
    ):
        reader.isolation_level = None
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # the snapshot is of now

        def stepped(_status: int, left: int, pages: int) -> None:
            _sync(partial)
            progress(pages - left, pages)

        reader.backup(copy, pages=PAGES, progress=stepped)


def _reader(module: Any, file: Path) -> Any:
    """A connection that can neither write nor, when it is the last, checkpoint at its close."""
    return module.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True)


def _check(module: Any, partial: Path) -> None:
    """Refuse a copy that does not pass SQLite's own check. `immutable`: nothing but the file itself is read."""
    address = f"file:{quote(str(partial.absolute()))}?immutable=1"
    with contextlib.closing(module.connect(address, uri=True)) as copy:
        verdict = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise BackupError(f"the copy does not pass its check, so the original may be damaged: {verdict}")
    _sync(partial)


def _sync(place: Path) -> None:
    """Have a file, or the names in a folder, on disk."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
