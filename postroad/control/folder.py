"""The data folder, of one process at a time: the lock that says whose it is, and the socket of its holder."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from postroad.refusals import Failure

LOCK = "lock"
SOCKET = "control.sock"
# The longest path of a Unix socket: sockaddr_un has 108 octets, one of them NUL.
MAX_SOCKET_PATH = 100


class InUseError(Failure):
    """Another process holds the data folder."""


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the data folder alone. Raises `InUseError`; the system drops the lock of a process that dies."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / LOCK).open("a+") as file:
        _lock_file(file, folder)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _lock_file(file: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        raise InUseError(
            f"{folder} is in use by process {holder}; stop it first, or name another --data"
        ) from None


@contextlib.contextmanager
def socket_path(folder: Path) -> Iterator[str]:
    """A path of the socket that is short enough; a long folder is reached through its descriptor."""
    path = str(folder / SOCKET)
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)
