"""An open database: one writer with group commit, a few readers on threads; SQLite or PostgreSQL underneath."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from postroad.database import postgresql, sqlite
from postroad.database.commit import Committer

T = TypeVar("T")

READERS = 4


class Database:
    """One open database: `commit` and `insert` write, `read` reads; `health` says whether to trust it.

    `url` names a PostgreSQL database; without it, the SQLite file in `folder` is opened, which this process
    then has for itself.
    """

    def __init__(self, folder: Path, *, floor: int, url: str = "") -> None:
        self._store: sqlite.File | postgresql.Server = (
            postgresql.Server(url, readers=READERS) if url else sqlite.File(folder, floor=floor, readers=READERS)
        )
        self.alone = not url
        self.health = self._store.health
        self._threads = ThreadPoolExecutor(READERS, "reader")
        self._committer = Committer(self._store.writer, self.health, self._store.announce, self._store.committed)
        self.commit = self._committer.commit
        self.insert = self._committer.insert
        self.together = self._committer.together
        self.submit = self._committer.submit

    @property
    def commits(self) -> int:
        """Transactions synced since the start."""
        return self._committer.commits

    def look(self, question: Callable[[Connection], T]) -> T:
        """Answer a question on this thread. Raises `StorageUnhealthy` when the disk or the server fails."""
        try:
            with self._store.readers.connect() as connection:
                return question(connection)
        except DatabaseError as error:
            if (meaning := self.health.translate(error)) is not error:
                raise meaning from error
            raise

    async def read(self, question: Callable[[Connection], T]) -> T:
        """Answer a question on a thread of the readers."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.look, question)

    def listening(self, wake: Callable[[], None]) -> contextlib.AbstractContextManager[Any]:
        """Call `wake`, on another thread, when another node has put mail into the queue."""
        if isinstance(self._store, postgresql.Server):
            return self._store.listening(wake)
        return contextlib.nullcontext()

    def close(self) -> None:
        """Commit what is waiting, then let go."""
        self._committer.close()
        self._threads.shutdown()
        self._store.close()
