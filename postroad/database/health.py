"""Whether storage may be trusted, and whether it has room: asked before every acceptance.

SQLite carries on after a failed fsync and acknowledges the next commits, although the kernel may have dropped
the pages (hardening.md 0.6). So the first such error latches until a restart has checked the file.
"""

import shutil
import threading
from pathlib import Path

from postroad import refusals

SQLITE_FULL = 13
# SQLITE_CORRUPT, SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_NOTADB (sqlite.org/rescode.html), extended codes masked.
_UNTRUSTWORTHY = {11, 10, 14, 26}


class Health:
    """The latch and the floor of free bytes of one database on the file system at `folder`."""

    def __init__(self, folder: Path, floor: int) -> None:
        self.folder = folder
        self.floor = floor
        self._latched = threading.Event()
        self.cause = ""

    @property
    def trusted(self) -> bool:
        """False from the first input/output error on, until a restart."""
        return not self._latched.is_set()

    def latch(self, cause: str) -> None:
        """Trust this storage no more; `cause` is for the operator."""
        self.cause = self.cause or cause
        self._latched.set()

    def free(self) -> int:
        """Octets free on the file system that holds the database."""
        return shutil.disk_usage(self.folder).free

    def refuse_unless_trusted(self) -> None:
        """Raise `StorageUnhealthy` when latched."""
        if not self.trusted:
            raise refusals.StorageUnhealthy(
                f"storage failed: {self.cause}; mend the disk and restart, the file is checked at start"
            )

    def refuse_unless_roomy(self, size: int) -> None:
        """Raise `StorageUnhealthy` when latched, or when `size` more octets would go below the floor."""
        self.refuse_unless_trusted()
        free = self.free()
        if free - size < self.floor:
            raise refusals.StorageUnhealthy(
                f"{free} octets free in {self.folder}, the floor is {self.floor}; free some space"
            )

    def translate(self, error: BaseException) -> BaseException:
        """What a failed statement means: a `StorageUnhealthy` for a bad disk or no room, else itself."""
        code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) & 0xFF
        if code in _UNTRUSTWORTHY:
            self.latch(str(error))
        if code in _UNTRUSTWORTHY or code == SQLITE_FULL:
            return refusals.StorageUnhealthy(f"storage failed: {error}")
        return error
