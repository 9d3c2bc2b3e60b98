"""Whether storage may be trusted, and whether it has room: asked before every acceptance.

SQLite carries on after a failed fsync and acknowledges the next commits, although the kernel may have dropped
the pages (hardening.md 0.6). So the first such error latches until a restart has checked the file.
"""

import re
import shutil
import time
from collections.abc import Callable
from math import inf
from pathlib import Path

from sqlalchemy.exc import OperationalError

from postroad import refusals

# sqlite.org/rescode.html
SQLITE_IOERR = 10
SQLITE_FULL = 13
_DAMAGED = {11, 26}  # SQLITE_CORRUPT, SQLITE_NOTADB
_UNTRUSTWORTHY = _DAMAGED | {SQLITE_IOERR, 14}  # SQLITE_CANTOPEN

# How long a look at the disk is good for, and up to what need: other programs write there, too.
_LOOK_LASTS = 0.05
_LARGE = 1 << 20

MEND = "mend the disk and restart, the file is checked at start"


class Health:
    """The latch and the floor of free octets of a database on the file system at `folder`.

    `None`: on a server, which watches its own disk, and ends itself at the first failed sync.
    `trusted`: false from the first input/output error on, until a restart. `clock`: seconds, never going back.
    """

    def __init__(self, folder: Path | None, floor: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self.floor = floor
        self.trusted = True
        self.cause = ""
        self.listeners: list[Callable[[str], None]] = []
        self._clock = clock
        self._look_at = 0.0
        self._left = 0.0  # of what was free when last looked, less what was promised since

    @property
    def goes_on(self) -> bool:
        """A file that had no room for one statement may have it for the next; until it is latched."""
        return self.trusted and self.folder is not None

    def latch(self, cause: str) -> None:
        """Trust this storage no more; `cause` is for the operator, and `listeners` are told it once."""
        if self.trusted:
            self.cause = cause
            self.trusted = False
            for tell in self.listeners:
                tell(cause)

    def free(self) -> int | None:
        """Octets free on the file system that holds the database; `None` when that is another machine's."""
        return shutil.disk_usage(self.folder).free if self.folder else None

    def refuse_unless_trusted(self) -> None:
        """Raise `StorageUnhealthy` when latched."""
        if not self.trusted:
            raise refusals.StorageUnhealthy(f"storage failed: {self.cause}; {MEND}")

    def refuse_unless_roomy(self, size: int) -> None:
        """Raise `StorageUnhealthy` when latched, or when `size` more octets would go below the floor.

        For up to 50 ms, what was found free, less what was promised since, is enough to take what needs no more
        than 1 MiB; nothing is refused without another look.
        """
        self.refuse_unless_trusted()
        now = self._clock()
        if now >= self._look_at or size > _LARGE or self._left - size < self.floor:
            self._look(now, size)
        self._left -= size

    def _look(self, now: float, size: int) -> None:
        free = self.free()
        if free is not None and free - size < self.floor:
            raise refusals.StorageUnhealthy(
                f"{free} octets free in {self.folder}, the floor is {self.floor}; free some space"
            )
        self._look_at = now + _LOOK_LASTS
        self._left = inf if free is None else free

    def translate(self, error: BaseException) -> BaseException:
        """What a failed statement means: a `StorageUnhealthy` for a bad disk or no room, else itself."""
        code = _code(error)
        if code in _UNTRUSTWORTHY:
            self.latch(_words(error))
        cure = _cure(code, error)
        return refusals.StorageUnhealthy(f"storage failed: {_words(error)}; {cure}") if cure else error


def says_damaged(error: BaseException) -> bool:
    """Whether a failed statement found the file itself wrong, rather than the disk, the rights or the room."""
    return _code(error) in _DAMAGED


def says_unread(verdict: str) -> bool:
    """Whether SQLite's check could not read a page: "unable to get the page. error code=8458" is SQLITE_IOERR."""
    found = re.search(r"error code=(\d+)", verdict)
    return found is not None and int(found[1]) & 0xFF == SQLITE_IOERR


def _code(error: BaseException) -> int:
    """SQLite's result code, an extended one masked; 0 for what is none."""
    code: int = getattr(getattr(error, "orig", error), "sqlite_errorcode", 0) & 0xFF
    return code


def _cure(code: int, error: BaseException) -> str:
    """What the operator can do; "" for an error that is not the storage's."""
    if code in _UNTRUSTWORTHY:
        return MEND
    if code == SQLITE_FULL:
        return "free some space, nothing needs a restart"
    return "see to the database server, nothing here needs a restart" if _is_servers(error) else ""


def _words(error: BaseException) -> str:
    """What the database itself said, without the statement."""
    return str(getattr(error, "orig", error)).strip()


def _is_servers(error: BaseException) -> bool:
    """Whether a PostgreSQL server is away, going, full or busy (PEP 249: OperationalError)."""
    return isinstance(error, OperationalError) and hasattr(error.orig, "sqlstate")
