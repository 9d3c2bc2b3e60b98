"""What is kept no longer than its time: removed in small steps, with rests between, while mail is accepted.

What waits is never removed, nor is a content that a queue entry or a message in a mailbox refers to.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TypeVar

from sqlalchemy import Connection

from postroad import maillog, refusals, uploads
from postroad.database import facts, loose
from postroad.database.engine import Database
from postroad.mailbox import retention as mailboxes
from postroad.oauth import retention as oauth
from postroad.oauth.retention import Aging
from postroad.queue import retention as queue

T = TypeVar("T")

DAY = 86_400_000
# From the end of one round to the next.
INTERVAL_SECONDS = 3600.0
# Of many nodes one prunes; when the last round began is a fact of this name, in milliseconds.
LAST_ROUND = "pruned_at"
# Rows that one transaction looks at or removes: some milliseconds, which those who accept just then wait longer.
ROWS = 250
# Each is followed by a rest of so many times its length, so that nearly all of the writer's time is others'.
REST = 4.0


def horizon(now: int, days: int) -> int | None:
    """What came, or was settled, before this moment goes; `None`, for 0 days: nothing ever does."""
    return now - days * DAY if days else None


@dataclass(frozen=True, slots=True)
class Pruner:
    """Removes what is over its time from `database`. For 0 days it is kept for ever."""

    database: Database
    keep_settled_days: int
    keep_messages_days: int
    clock: Callable[[], int]
    rest: float = REST

    async def run(self) -> None:
        """A round at the start, then one an hour."""
        while True:
            try:
                if self.database.alone or await self.database.commit(partial(takes_turn, now=self.clock())):
                    await self.prune()
            except refusals.StorageUnhealthy:
                pass  # the log has it from those who cannot wait; the next round goes on
            except Exception as error:  # noqa: BLE001 - nothing here is worth a server
                maillog.broke_down(error)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def prune(self) -> None:
        """One round: settled entries, messages, uploads, what nothing refers to any more; tokens and codes."""
        now = self.clock()
        _tell("queue", await self._prune_queue(horizon(now, self.keep_settled_days)))
        _tell("messages", await self._prune_mailboxes(horizon(now, self.keep_messages_days)))
        _tell("uploads", await self._prune_uploads(now))
        _tell("contents", await self._prune_contents())
        for aging in oauth.AGING:
            _tell(aging.what, await self._prune_aging(aging, now))

    async def _prune_queue(self, before: int | None) -> int:
        removed = after = 0
        while before is not None:
            queue_ids = await self.database.read(partial(queue.entries, horizon=before, after=after, limit=ROWS))
            if not queue_ids:
                break
            forget = partial(queue.forget, queue_ids=queue_ids, horizon=before, limit=ROWS)
            while step := await self._step(forget):
                removed += step
            after = queue_ids[-1]
        return removed

    async def _prune_mailboxes(self, before: int | None) -> int:
        removed = account_id = 0
        while before is not None:
            following = await self.database.read(partial(mailboxes.next_account, after=account_id))
            if following is None:
                break
            account_id = following
            removed += await self._prune_mailbox(account_id, before)
        return removed

    async def _prune_mailbox(self, account_id: int, before: int) -> int:
        removed = after = 0
        while True:
            aged = await self.database.read(
                partial(mailboxes.aged, account_id=account_id, horizon=before, after=after, limit=ROWS)
            )
            if not aged:
                return removed
            removed += await self._step(partial(_forget_messages, account_id=account_id, aged=aged))
            after = max(aged)

    async def _prune_uploads(self, now: int) -> int:
        removed = 0
        while step := await self._step(partial(uploads.forget, now=now, limit=ROWS)):
            removed += step
        return removed

    async def _prune_contents(self) -> int:
        removed, more = 0, True
        while more:
            step, more = await self._step(partial(loose.remove, limit=ROWS))
            removed += step
        return removed

    async def _prune_aging(self, aging: Aging, now: int) -> int:
        removed, after = 0, None
        while page := await self.database.read(partial(oauth.page, aging=aging, after=after, limit=ROWS)):
            if aged := [key for key, moment in page.items() if moment < now - aging.kept]:
                removed += await self._step(partial(oauth.forget, aging=aging, keys=aged, now=now))
            *_, after = page
        return removed

    async def _step(self, unit: Callable[[Connection], T]) -> T:
        """One unit of work, and a rest. The sync is not counted: it is shared with those who accept."""
        seconds = 0.0

        def timed(connection: Connection) -> T:
            nonlocal seconds
            began = perf_counter()
            done = unit(connection)
            seconds = perf_counter() - began
            return done

        done = await self.database.commit(timed)
        await asyncio.sleep(seconds * self.rest)
        return done


def takes_turn(connection: Connection, *, now: int) -> bool:
    """Whether a round is due, of whichever node; then it is ours. Of two who ask at once both may have it."""
    last = facts.read(connection, LAST_ROUND)
    if last is not None and now - INTERVAL_SECONDS * 1000 < int(last) <= now:
        return False
    facts.write(connection, LAST_ROUND, str(now))
    return True


def _forget_messages(connection: Connection, account_id: int, aged: dict[int, int]) -> int:
    """Remove these messages, but for those whose content still waits: they tell a repeated delivery."""
    waiting = queue.waiting(connection, aged.values())
    gmail_ids = [gmail_id for gmail_id, content_id in aged.items() if content_id not in waiting]
    return mailboxes.forget(connection, account_id, gmail_ids)


def _tell(what: str, removed: int) -> None:
    if removed:
        maillog.pruned(what, removed)
