"""An open database: one writer with group commit, a few readers on threads; SQLite or PostgreSQL underneath."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from postroad.database import beside, postgresql, sqlite
from postroad.database.channel import Channels
from postroad.database.commit import Committer
from postroad.database.content import is_large
from postroad.database.keeper import Keeper, Signed
from postroad.database.rows import Rows

T = TypeVar("T")
_Store = sqlite.File | beside.File | postgresql.Server

READERS = 4


class Database:
    """One open database: `commit` and `insert` write, `read` reads; `health` says whether to trust it.

    `url` names a PostgreSQL database; without it, the SQLite file in `folder` is opened, which this process
    then has for itself. By `keeper` it is written through the process that has it; `join` comes first then.
    """

    def __init__(self, folder: Path, *, floor: int, url: str = "", keeper: Channels | None = None) -> None:
        self._store: _Store
        if url:
            self._store = postgresql.Server(url, readers=READERS)
        elif keeper:
            self._store = beside.File(folder, keeper.statements, floor=floor, readers=READERS)
        else:
            self._store = sqlite.File(folder, floor=floor, readers=READERS)
        self.alone = not url
        self.health = self._store.health
        self._threads = ThreadPoolExecutor(READERS, "reader")
        store = self._store
        self._committer = Committer(store.writer, self.health, store.announce, store.committed, store.breath)
        self.commit = self._committer.commit
        self.insert = self._committer.insert
        self.together = self._committer.together
        self.submit = self._committer.submit

    async def join(self, keeper: Channels) -> beside.Handing:
        """Hand rows to the process that has the file, from now on; one by one, if they are many octets."""
        handing = beside.Handing(self.health)
        await handing.begin(keeper.rows)

        async def insert(rows: Rows) -> None:
            await (self._committer.insert if is_large(rows) else handing.insert)(rows)

        self.insert = insert
        return handing

    def keep(
        self,
        fronts: Iterable[Channels],
        wake: Callable[[], None],
        signed: Callable[[Signed], None] = lambda _: None,
    ) -> list[Keeper]:
        """Do what the processes at the other ends may not; `wake` is called when that may have brought mail.

        `signed` is told, on another thread, what those processes have signed of the mail they hand over.
        """
        keepers = [Keeper(front, self._committer, self.health, wake, signed) for front in fronts]
        for keeper in keepers:
            keeper.others = [other for other in keepers if other is not keeper]
        return keepers

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
