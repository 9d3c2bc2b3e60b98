"""The loop of the queue: claim what is due, attempt it, settle it. Knows neither SMTP nor mailboxes."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial

from postroad import maillog, refusals
from postroad.database import content as contents
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.mail.outcome import Attempt, Attempted, Content, Delayed, Errand
from postroad.mail.reply import ours
from postroad.queue import store
from postroad.queue.settlement import settle
from postroad.queue.verdict import judge

# How often leases are renewed; a third of `store.LEASE`.
RENEWAL_SECONDS = 20.0
# The longest sleep between two looks at the queue when nothing wakes the runner.
POLL_SECONDS = 1.0
# Recipients of one claim: also the most of one mail transaction (RFC 5321 section 4.5.3.1.8).
RECIPIENTS_PER_CLAIM = 100

# Told to the author when an attempt broke down by our own fault; the mail stays queued.
INTERNAL = ours(451, "4.3.0", "internal error while sending; it will be tried again")


class LostLease(Exception):  # noqa: N818 - an event, not an error
    """Another node holds the claim now; the attempt must not go on."""


@dataclass(slots=True)
class Runner:
    """Runs attempts, at most `concurrency` at once. `attempt` is chosen by `attempt_for(destination)`."""

    database: Database
    identifiers: Identifiers
    attempt_for: Callable[[str], Attempt]
    hostname: str
    clock: Callable[[], int]
    concurrency: int = 32
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _running: dict[asyncio.Task[None], store.Claim] = field(default_factory=dict)
    _stopping: bool = False

    def wake(self) -> None:
        """Something may be due."""
        self._wake.set()

    async def run(self) -> None:
        """Claim and attempt until stopped."""
        renewing = asyncio.create_task(self._renew())
        try:
            while not self._stopping:
                self._wake.clear()
                if not await self._claim_some():
                    await self._rest()
        finally:
            renewing.cancel()

    async def stop(self, grace_seconds: float) -> None:
        """Stop claiming, let attempts end for `grace_seconds`, cut off and give back what is left."""
        self._stopping = True
        self.wake()
        if self._running:
            await asyncio.wait(self._running, timeout=grace_seconds)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _claim_some(self) -> bool:
        """Start what is due, as far as there is room; whether anything was started."""
        room = self.concurrency - len(self._running)
        if room <= 0:
            return False
        now = self.clock()
        lease = self.identifiers.next(now)
        claim = partial(store.claim, lease=lease, limit=RECIPIENTS_PER_CLAIM, now=now)
        try:
            claims = await self.database.commit(claim)
        except refusals.StorageUnhealthy as refusal:
            maillog.storage_failed(refusal.why)
            return False
        for claimed in claims:
            task = asyncio.create_task(self._work(claimed))
            self._running[task] = claimed
            task.add_done_callback(self._ended)
        return bool(claims)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self.wake()
        if not task.cancelled() and (error := task.exception()):
            maillog.broke_down(error)

    async def _rest(self) -> None:
        """Sleep until something is due, or somebody wakes us."""
        due = await self.database.read(store.next_due)
        seconds = POLL_SECONDS
        if due is not None and len(self._running) < self.concurrency:
            seconds = min(max(due - self.clock(), 0) / 1000, POLL_SECONDS)
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return

    async def _work(self, claimed: store.Claim) -> None:
        started_at = self.clock()
        try:
            attempted = await self._attempt(claimed)
        except asyncio.CancelledError:
            await self.database.commit(
                lambda connection: store.release(connection, claimed, self.clock()),
            )
            raise
        except LostLease:
            maillog.lost_lease(claimed.queue_id)
            return
        await asyncio.shield(self._settle(claimed, attempted, started_at))

    async def _attempt(self, claimed: store.Claim) -> Attempted:
        """Try it; an attempt that breaks down by a fault of ours delays its recipients."""

        async def mark(host: str) -> None:
            await self._mark_in_doubt(claimed, host)

        try:
            return await self.attempt_for(claimed.destination)(self._errand(claimed), mark)
        except LostLease:
            raise
        except Exception as error:  # noqa: BLE001 - no fault of ours may lose the mail
            maillog.broke_down(error)
            delayed = {path: Delayed(INTERNAL) for path in claimed.envelope.forward_paths}
            return Attempted("", delayed, f"! {type(error).__name__}: {error}")

    def _errand(self, claimed: store.Claim) -> Errand:
        return Errand(
            queue_id=claimed.queue_id,
            envelope=claimed.envelope,
            content=Content(
                content_id=claimed.content_id,
                size=claimed.size,
                longest_line=claimed.longest_line,
                eight_bit=claimed.eight_bit,
                utf8_header=claimed.utf8_header,
                chunks=lambda: self._chunks(claimed.content_id),
            ),
            in_doubt_host=claimed.in_doubt_host,
            accepted_at=claimed.accepted_at,
        )

    async def _chunks(self, content_id: int) -> AsyncIterator[bytes]:
        """The content, row by row: no connection is held while a chunk travels."""
        ordinal = 0
        while chunk := await self._chunk(content_id, ordinal):
            yield chunk
            ordinal += 1

    async def _chunk(self, content_id: int, ordinal: int) -> bytes | None:
        return await self.database.read(lambda connection: contents.chunk(connection, content_id, ordinal))

    async def _mark_in_doubt(self, claimed: store.Claim, host: str) -> None:
        now = self.clock()
        ours = await self.database.commit(lambda connection: store.mark_in_doubt(connection, claimed, host, now))
        if not ours:
            raise LostLease

    async def _settle(self, claimed: store.Claim, attempted: Attempted, started_at: int) -> None:
        judged = judge(claimed, attempted, started_at=started_at, ended_at=self.clock(), chance=random.random)
        settled = await self.database.commit(
            lambda connection: settle(connection, judged, self.identifiers, self.hostname)
        )
        if not settled:
            maillog.lost_lease(claimed.queue_id)
            return
        for one in judged.verdicts:
            maillog.attempted(claimed.queue_id, one.waiting.forward_path, one.state, str(one.reply))
        self.wake()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            leases = {claimed.lease for claimed in self._running.values()}
            if leases:
                await self.database.commit(partial(store.renew, leases=leases, now=self.clock()))
