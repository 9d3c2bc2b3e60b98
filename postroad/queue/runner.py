"""The loop of the queue: claim what is due, attempt it, settle it. Knows neither SMTP nor mailboxes."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakValueDictionary

from sqlalchemy import Connection

from postroad import maillog, refusals
from postroad.database import content as contents
from postroad.database.commit import Act
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.mail.envelope import LOCAL
from postroad.mail.outcome import Attempt, Attempted, Content, Delayed, Errand
from postroad.mail.reply import ours
from postroad.queue import claims, gates, reports, shaping, store
from postroad.queue.rota import Rota
from postroad.queue.settlement import settle
from postroad.queue.shaping import Limits
from postroad.queue.verdict import Judgement, judge, unreported

# How often leases are renewed; a third of `store.LEASE`.
RENEWAL_SECONDS = 20.0
# The longest sleep between two looks at the queue when nothing wakes the runner.
POLL_SECONDS = 1.0
# How long a claim waits after the last one, unless half of what ran then has ended: one claim costs about as much
# as two attempts, and makes good for all that have ended.
BREATH_SECONDS = 0.025
# The same after one that found nothing as there was no room, unless an attempt ends: what comes in meanwhile would
# wake us for nothing again and again.
CROWDED_BREATH_SECONDS = 0.1
# How long to wait after storage has failed, or we have: doubled each time, up to the longest.
FIRST_PAUSE_SECONDS = 0.25
PAUSE_SECONDS = 5.0

# Told to the author when an attempt broke down by our own fault; the mail stays queued.
INTERNAL = ours(451, "4.3.0", "internal error while sending; it will be tried again")


class LostLease(Exception):  # noqa: N818 - an event, not an error
    """Another node holds the claim now; the attempt must not go on."""


class Turns:
    """Mail transactions at once with a destination: what was claimed ahead waits here.

    `in_vain`: the last one did not reach it; who still waits is given back, and the gate decides.
    """

    def __init__(self, at_once: int) -> None:
        self.one = asyncio.Semaphore(at_once)
        self.in_vain = False


@dataclass(slots=True)
class Runner:
    """Runs attempts, so many at once as `limits` allow. `attempt` is chosen by `attempt_for(destination)`.

    `begin` is told of an errand to a next hop, which may have to wait, to begin what needs no session.
    """

    database: Database
    identifiers: Identifiers
    attempt_for: Callable[[str], Attempt]
    hostname: str
    clock: Callable[[], int]
    limits: Limits = field(default_factory=Limits)
    begin: Callable[[Errand], None] = lambda _: None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _rota: Rota = field(default_factory=Rota)
    _turns: WeakValueDictionary[str, Turns] = field(default_factory=WeakValueDictionary)
    _running: dict[asyncio.Task[None], store.Claim] = field(default_factory=dict)
    _settling: set[store.Claim] = field(default_factory=set)
    _claiming: asyncio.Lock = field(default_factory=asyncio.Lock)
    _settlement: Act[Judgement, bool] = field(init=False)
    _looked_at: int = 0
    _breath: float = 0.0
    _half: int = 0
    _crowded: bool = False
    _halved: asyncio.Event = field(default_factory=asyncio.Event)
    _failures: int = 0
    _stopping: bool = False

    def __post_init__(self) -> None:
        # One value, so that the committer sees that all settle alike.
        self._settlement = partial(settle, identifiers=self.identifiers, hostname=self.hostname)

    def wake(self) -> None:
        """Something may be due."""
        self._wake.set()

    @property
    def woken(self) -> bool:
        """Whether it is going to look, and need not be woken for what is in the database by now. Thread-safe."""
        return self._wake.is_set()

    async def run(self) -> None:
        """Claim and attempt until stopped, and until all that was begun has ended."""
        renewing = asyncio.create_task(self._renew())
        try:
            while not self._stopping:
                self._wake.clear()
                await self._look_after()
            if self._running:
                await asyncio.wait(self._running)
        finally:
            renewing.cancel()

    async def stop(self, grace_seconds: float) -> None:
        """Stop claiming, let attempts end for `grace_seconds`, cut off and give back what is left."""
        self._stopping = True
        self.wake()
        async with self._claiming:  # what is being claimed at this moment is running then
            running = set(self._running)
        if running:
            await asyncio.wait(running, timeout=grace_seconds)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _look_after(self) -> None:
        """Start what is due, or rest. Outlives every failure, and does not spin on it."""
        try:
            if not await self._claim_some():
                await self._rest()
            self._failures = 0
        except Exception as error:  # noqa: BLE001 - whatever it is, the next mail must go out
            _tell(error)
            await self._sleep(_pause(self._failures))
            self._failures += 1

    async def _claim_some(self) -> bool:
        """Start what is due and there is room for; whether there was anything, or more is to be looked at."""
        await self._breathe()
        self._looked_at = now = self.clock()
        running = tuple(self._running.values())
        claim = partial(
            claims.claim,
            lease=self.identifiers.next(now),
            now=now,
            running=running,
            settling=tuple(self._settling),
            limits=self.limits,
            rota=self._rota,
        )
        async with self._claiming:
            found = await self.database.commit(claim)
            self._rota.confirm()
            for claimed in found:
                task = asyncio.create_task(self._work(claimed))
                self._running[task] = claimed
                task.add_done_callback(self._ended)
        self._half = self._attempts // 2
        self._crowded = not found and self._rota.crowded
        return bool(found) or self._rota.goes_on

    async def _breathe(self) -> None:
        """Until half of what was running has ended, but no longer than a breath after the last claim."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._breath):
                await self._halved.wait()
        self._halved.clear()
        seconds = CROWDED_BREATH_SECONDS if self._crowded else BREATH_SECONDS
        self._breath = asyncio.get_running_loop().time() + seconds

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(self._running.pop(task))
        self._look_about()
        if not task.cancelled() and (error := task.exception()):
            _tell(error)

    @property
    def _attempts(self) -> int:
        """How many are under way: what has its outcome and is being settled is not."""
        return len(self._running) - len(self._settling)

    def _look_about(self) -> None:
        """An attempt has ended: there is room for another."""
        if self._crowded or self._attempts <= self._half:
            self._halved.set()
        self.wake()

    async def _rest(self) -> None:
        """Sleep until something is due, or somebody wakes us."""
        seconds = POLL_SECONDS
        due = await self.database.read(partial(claims.next_due, after=self._looked_at))
        if due is not None:
            seconds = min(max(due - self.clock(), 0) / 1000, POLL_SECONDS)
        await self._sleep(seconds)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _work(self, claimed: store.Claim) -> None:
        """Attempt and settle; what is cut off before that is given back, an outcome once known is recorded."""
        errand, turns = self._errand(claimed), self._turns_of(claimed.destination)
        if claimed.octets is not None and claimed.destination != LOCAL:
            self.begin(errand)
        try:
            async with turns.one:
                if self._stopping or turns.in_vain:
                    await self._give_back(claimed)
                    return
                started_at = self.clock()
                attempted = await self._attempt(claimed, errand)
                reached = shaping.reached(attempted)
                turns.in_vain = reached is False
            self._rota.answered(claimed.destination, reached=reached)
        except asyncio.CancelledError:
            await self._give_back(claimed)
            raise
        except LostLease:
            maillog.lost_lease(claimed.queue_id)
            return
        settling = asyncio.create_task(self._settle(claimed, attempted, started_at))
        self._settling.add(claimed)
        self._look_about()
        try:
            await asyncio.shield(settling)
        except asyncio.CancelledError:
            await settling
            raise

    def _turns_of(self, destination: str) -> "Turns":
        return self._turns.get(destination) or self._turns.setdefault(
            destination, Turns(shaping.usual(destination, self.limits))
        )

    async def _give_back(self, claimed: store.Claim) -> None:
        await self.database.commit(partial(store.release, claimed=claimed, now=self.clock()))

    async def _attempt(self, claimed: store.Claim, errand: Errand) -> Attempted:
        """Try it; an attempt that breaks down by a fault of ours delays its recipients.

        In doubt, if that was after the mark: nobody can say whether the final dot was sent.
        """
        if claimed.unreached:
            outcomes = dict.fromkeys(claimed.envelope.forward_paths, Delayed(claimed.unreached))
            return Attempted("", outcomes, "= not tried: the destination could not be reached for an hour")
        marked = ""

        async def mark(host: str) -> None:
            nonlocal marked
            await self._mark_in_doubt(claimed, host)
            marked = host

        try:
            return await self.attempt_for(claimed.destination)(errand, mark)
        except LostLease:
            raise
        except Exception as error:  # noqa: BLE001 - no fault of ours may lose the mail
            _tell(error)
            delayed = Delayed(INTERNAL, in_doubt=bool(marked))
            outcomes = dict.fromkeys(claimed.envelope.forward_paths, delayed)
            return Attempted(marked, outcomes, f"! {type(error).__name__}: {error}")

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
                tls_optional=claimed.tls_optional,
                chunks=lambda: self._chunks(claimed),
            ),
            in_doubt_host=claimed.in_doubt_host,
            accepted_at=claimed.accepted_at,
        )

    async def _chunks(self, claimed: store.Claim) -> AsyncIterator[bytes]:
        """The content, row by row: no connection is held while a chunk travels. All of it, or an error."""
        if claimed.octets is not None:
            yield claimed.octets
            return
        ordinal, size = 0, claimed.size
        while size > 0:
            chunk = await self.database.read(
                partial(contents.chunk, content_id=claimed.content_id, ordinal=ordinal)
            )
            if chunk is None:
                raise LookupError(f"{size} octets of content {claimed.content_id:016x} are missing")
            yield chunk
            size -= len(chunk)
            ordinal += 1

    async def _mark_in_doubt(self, claimed: store.Claim, host: str) -> None:
        mark = store.Mark(claimed, host, self.clock())
        if not await self.database.together(store.mark_in_doubt, mark):
            raise LostLease

    async def _settle(self, claimed: store.Claim, attempted: Attempted, started_at: int) -> None:
        judged = judge(claimed, attempted, started_at=started_at, ended_at=self.clock(), chance=random.random)
        try:
            settled = await self._record(judged)
        except refusals.Refusal:
            raise
        except Exception as error:  # noqa: BLE001 - a report that we cannot make may not hold up the outcome
            maillog.broke_down(error)
            judged = unreported(judged, chance=random.random)
            settled = await self._record(judged)
        if not settled:
            maillog.lost_lease(claimed.queue_id)
            return
        maillog.tried((judged.ended_at - judged.started_at) / 1000)
        for one in judged.verdicts:
            recipient = None if claimed.blind else one.waiting.forward_path
            maillog.attempted(claimed.queue_id, recipient, one.state, one.reply)
        for about in reports.called_for(judged):
            maillog.reported(claimed.queue_id, about)
        self.wake()

    async def _record(self, judged: Judgement) -> bool:
        """Settle; when the disk is full, as soon as it is not, as what is forgotten would be sent again."""
        failures = 0
        while True:
            try:
                return await self.database.together(self._settlement, judged)
            except refusals.StorageUnhealthy as refusal:
                if self._stopping or not self.database.health.trusted:
                    raise
                maillog.storage_failed(refusal.why)
            await asyncio.sleep(_pause(failures))
            failures += 1

    async def _renew(self) -> None:
        """Hold what is running; also, free what a clock that has gone back would keep."""
        while True:
            running, now = list(self._running.values()), self.clock()
            try:
                await self.database.commit(partial(_keep, running=running, now=now))
            except Exception as error:  # noqa: BLE001 - it must go on, or somebody else takes the mail
                _tell(error)
            await asyncio.sleep(RENEWAL_SECONDS)


def _pause(failures: int) -> float:
    """How long to wait after so many failures in a row, and one more."""
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 16), PAUSE_SECONDS)


def _tell(error: BaseException) -> None:
    """A failure of storage has its cause and cure in words; of any other the programmer wants the place."""
    if isinstance(error, refusals.StorageUnhealthy):
        maillog.storage_failed(error.why)
    else:
        maillog.broke_down(error)


def _keep(connection: Connection, running: list[store.Claim], now: int) -> None:
    if running:
        store.renew(connection, running, now)
    store.pull_in(connection, now)
    gates.pull_in(connection, now)
