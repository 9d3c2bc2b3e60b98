"""The loop: claims, attempts, settles; and what it does when storage, an attempt or the clock misbehaves."""

import asyncio
import sqlite3
import threading
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.database.rows import insert
from postroad.database.schema import content_chunk, destination, recipient
from postroad.mail import dsn
from postroad.mail.envelope import LOCAL, Envelope
from postroad.mail.outcome import Attempted, Delayed, Failed, Relayed
from postroad.queue import claims, gates, schedule, shaping, store
from postroad.queue import runner as module
from postroad.queue.runner import INTERNAL, LostLease, Runner
from postroad.queue.shaping import Limits
from tests.queue_kit import CONTENT, NEVER, NOW, OK, QUEUE_IDS, UNREACHED, rows_of

SECONDS = 10  # to wait for what must come
NEVER_BY_ITSELF = 3600.0


@dataclass
class Clock:
    """Tells the time it is told."""

    now: int = NOW

    def __call__(self):
        return self.now


@dataclass
class Fake:
    """An attempt that notes its errands, waits for `go_on`, and answers `outcome` for everyone."""

    outcome: object = field(default_factory=lambda: Relayed(OK))
    errands: list = field(default_factory=list)
    under_way: int = 0
    most: int = 0
    begun: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, errand, mark):
        self.errands.append(errand)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.begun.release()
        try:
            await self.go_on.wait()
        finally:
            self.under_way -= 1
        return answered(errand, self.outcome)


def answered(errand, outcome, host="mx.test"):
    return Attempted(host, dict.fromkeys(errand.envelope.forward_paths, outcome), "= tried")


@dataclass
class House:
    """A database with a queue, and a clock."""

    database: Database
    clock: Clock = field(default_factory=Clock)
    identifiers: Identifiers = field(default_factory=Identifiers)

    async def accept(self, *envelopes, **options):
        queue_id = next(QUEUE_IDS)
        await self.database.insert(rows_of(queue_id, *envelopes or [("you@b.test",)], now=self.clock(), **options))
        return queue_id

    def runner(self, attempt, **options):
        return Runner(self.database, self.identifiers, lambda _: attempt, "here.test", self.clock, **options)

    @asynccontextmanager
    async def running(self, attempt, *, grace=SECONDS, **options):
        """A runner that runs; at the end it is stopped, and all that was begun is settled."""
        runner = self.runner(attempt, **options)
        running = asyncio.create_task(runner.run())
        try:
            yield runner
        finally:
            await runner.stop(grace)
            await asyncio.wait_for(running, SECONDS)

    def fates(self, queue_id):
        entry = self.database.look(lambda connection: store.look(connection, queue_id))
        return {fate.forward_path: fate for fate in entry.recipients}

    def fate(self, queue_id):
        [fate] = self.fates(queue_id).values()
        return fate

    def claimed(self):
        """How many recipients are under a lease."""
        leased = select(func.count()).select_from(recipient).where(recipient.c.lease.is_not(None))
        return self.database.look(lambda connection: connection.execute(leased).scalar_one())

    async def turns(self, count=30):
        """Let everybody else on the loop, the committer and the readers have so many turns."""
        for _ in range(count):
            await self.database.commit(lambda _: None)
            await self.database.read(lambda _: None)


@pytest.fixture
def play(tmp_path):
    """Play a scenario in a house of its own, within a time."""

    def run(scenario):
        async def main():
            with closing(Database(tmp_path, floor=0)) as database, capture_logs() as logs:
                house = House(database)
                async with asyncio.timeout(2 * SECONDS):
                    await scenario(house)
            return [line["event"] for line in logs]

        return asyncio.run(main())

    return run


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Nothing happens just because time passes, unless a test says so."""
    for name in ("POLL_SECONDS", "FIRST_PAUSE_SECONDS", "PAUSE_SECONDS", "RENEWAL_SECONDS"):
        monkeypatch.setattr(module, name, NEVER_BY_ITSELF)


@dataclass(eq=False)  # a committer groups by what is asked
class Failing:
    """A function that fails while it is `broken`, as SQLite would or by `error`, and else does as `real`."""

    real: object
    error: Exception
    broken: bool = True
    failures: int = 0

    def __call__(self, *args, **kwargs):
        if self.broken:
            self.failures += 1
            raise self.error
        return self.real(*args, **kwargs)

    async def has_failed(self, house, times=3):
        """Wait until it has: a unit that fails beside others is run once more alone."""
        while self.failures < times:
            await house.turns(1)


def full_disk():
    """What SQLAlchemy raises when SQLite has no room."""
    cause = sqlite3.OperationalError("database or disk is full")
    cause.sqlite_errorcode = 13
    return OperationalError("UPDATE", {}, cause)


def held_up(database):
    """The committer waits in a transaction until the returned event is set."""
    inside, go_on = threading.Event(), threading.Event()

    def unit(_):
        inside.set()
        assert go_on.wait(SECONDS)

    database.submit(unit)
    assert inside.wait(SECONDS)
    return go_on


def test_what_is_due_is_attempted_and_settled(play):
    """The attempt gets the errand with the whole content; its outcome is recorded and logged."""

    async def scenario(house):
        contents = []

        async def attempt(errand, mark):
            await mark("mx.test")
            contents.append(b"".join([chunk async for chunk in errand.content.chunks()]))
            errands.append(errand)
            done.set()
            return answered(errand, Relayed(OK))

        errands, done = [], asyncio.Event()
        queue_id = await house.accept(("a@b.test", "b@b.test"))
        async with house.running(attempt):
            await done.wait()
        [errand] = errands
        assert (errand.queue_id, errand.accepted_at, errand.in_doubt_host) == (queue_id, NOW, None)
        assert errand.envelope == Envelope("me@a.test", ("a@b.test", "b@b.test"))
        assert (contents, errand.content.size) == ([CONTENT], len(CONTENT))
        assert {(fate.state, fate.in_doubt) for fate in house.fates(queue_id).values()} == {("relayed", False)}

    assert play(scenario).count("relayed") == 2


def test_the_destination_chooses_the_attempt(play):
    """Each claim is attempted by the function of its destination."""

    async def scenario(house):
        local, remote = Fake(), Fake()
        local.go_on.set()
        remote.go_on.set()
        await house.accept(("a@local.test", "b@remote.test"))
        runner = house.runner(None)
        runner.attempt_for = {"local.test": local, "remote.test": remote}.__getitem__
        running = asyncio.create_task(runner.run())
        await local.begun.acquire()
        await remote.begun.acquire()
        await runner.stop(SECONDS)
        await running
        assert local.errands[0].envelope.forward_paths == ("a@local.test",)
        assert remote.errands[0].envelope.forward_paths == ("b@remote.test",)

    play(scenario)


def test_no_more_than_so_many_attempts_at_once(play):
    """With room for 2, of 7 envelopes five wait, unclaimed, and all are attempted in the end."""

    async def scenario(house):
        fake = Fake()
        for _ in range(7):
            await house.accept()
        async with house.running(fake, limits=Limits(node=2)):
            for _ in range(2):
                await fake.begun.acquire()
            await house.turns()
            assert fake.under_way == 2
            assert house.claimed() == 2
            fake.go_on.set()
            for _ in range(5):
                await fake.begun.acquire()
        assert (len(fake.errands), fake.most) == (7, 2)

    play(scenario)


def test_a_wake_is_enough(play):
    """What is accepted while the runner sleeps is attempted at once, without waiting for the poll."""

    async def scenario(house):
        fake = Fake()
        fake.go_on.set()
        async with house.running(fake) as runner:
            await house.turns(3)
            queue_id = await house.accept()
            runner.wake()
            await fake.begun.acquire()
        assert house.fate(queue_id).state == "relayed"

    play(scenario)


def test_without_a_wake_the_poll_finds_it(play, monkeypatch):
    """What nobody announced is found at the next look."""
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)

    async def scenario(house):
        fake = Fake()
        fake.go_on.set()
        async with house.running(fake):
            await house.turns(3)
            await house.accept()
            await fake.begun.acquire()

    play(scenario)


def test_an_attempt_that_breaks_down_delays_the_mail(play):
    """A bug of ours is logged and counted as a try; nothing is in doubt, as no mark was made."""

    async def scenario(house):
        begun = asyncio.Event()

        async def attempt(errand, mark):
            begun.set()
            raise RuntimeError("mine")

        queue_id = await house.accept()
        async with house.running(attempt):
            await begun.wait()
        fate = house.fate(queue_id)
        assert (fate.state, fate.attempts, fate.reply, fate.in_doubt) == ("queued", 1, INTERNAL, False)
        assert NOW + schedule.MINUTE <= fate.due_at <= NOW + 1.2 * schedule.MINUTE
        [tried] = house.database.look(lambda connection: store.attempts(connection, queue_id))
        assert tried.conversation == "! RuntimeError: mine"

    assert "broke down" in play(scenario)


def test_an_attempt_that_breaks_down_after_the_mark_leaves_doubt(play):
    """Nobody can say whether the dot was sent, so the next attempt must say that it may make a second copy."""

    async def scenario(house):
        marked = asyncio.Event()

        async def attempt(errand, mark):
            await mark("mx.test")
            marked.set()
            raise RuntimeError("mine")

        queue_id = await house.accept()
        async with house.running(attempt):
            await marked.wait()
        assert house.fate(queue_id).in_doubt
        house.clock.now += schedule.HOUR
        fake = Fake()
        fake.go_on.set()
        async with house.running(fake):
            await fake.begun.acquire()
        assert fake.errands[0].in_doubt_host == "mx.test"
        tried = house.database.look(lambda connection: store.attempts(connection, queue_id))
        assert [one.after_in_doubt for one in tried] == [False, True]

    play(scenario)


def test_content_that_is_not_whole_is_never_sent_whole(play):
    """When rows of a content are missing, reading it fails before its end, and the mail is delayed."""

    async def scenario(house):
        read = []

        async def attempt(errand, mark):
            async for chunk in errand.content.chunks():
                read.append(chunk)
                begun.set()
            raise AssertionError("it looked whole")

        begun = asyncio.Event()
        queue_id = await house.accept(octets=CONTENT + b"x" * 300_000)
        await house.database.commit(
            lambda connection: connection.execute(content_chunk.delete().where(content_chunk.c.ordinal == 1))
        )
        async with house.running(attempt):
            await begun.wait()
        [tried] = house.database.look(lambda connection: store.attempts(connection, queue_id))
        assert tried.conversation.startswith("! LookupError: ")
        assert len(read) == 1

    play(scenario)


def test_a_latched_storage_stops_delivery_without_spinning(play):
    """Nothing is attempted, one line is logged, and no mail is touched until a restart."""
    attempted = []

    async def scenario(house):
        queue_id = await house.accept()
        house.database.health.latch("the disk is bad")
        fake = Fake()
        async with house.running(fake):
            for _ in range(100):
                await house.database.read(lambda _: None)
        attempted.extend(fake.errands)
        assert (house.fate(queue_id).state, house.fate(queue_id).claimed) == ("queued", False)

    assert play(scenario).count("storage failed") <= 2
    assert attempted == []


def test_delivery_goes_on_when_a_full_disk_has_room_again(play, monkeypatch):
    """A claim that had no room is made after a pause."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    claim = Failing(claims.claim, full_disk())
    monkeypatch.setattr(claims, "claim", claim)

    async def scenario(house):
        fake = Fake()
        fake.go_on.set()
        queue_id = await house.accept()
        async with house.running(fake):
            await claim.has_failed(house)
            assert fake.errands == []
            claim.broken = False
            await fake.begun.acquire()
        assert house.fate(queue_id).state == "relayed"

    assert "storage failed" in play(scenario)


def test_pauses_after_failures_grow(monkeypatch):
    """A server that was restarted is found within the time it was away, one that stays away is asked seldom."""
    monkeypatch.undo()
    assert [module._pause(failures) for failures in (0, 1, 2, 3, 4, 5, 6, 10_000)] == [0.25, 0.5, 1, 2, 4, 5, 5, 5]


@pytest.mark.parametrize("part", ["claim", "next_due"])
def test_the_loop_outlives_its_own_faults(play, monkeypatch, part):
    """Whatever goes wrong in a round, it is logged and there is a next one."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    faulty = Failing(getattr(claims, part), RuntimeError("mine"))
    monkeypatch.setattr(claims, part, faulty)

    async def scenario(house):
        fake = Fake()
        fake.go_on.set()
        async with house.running(fake) as runner:
            await faulty.has_failed(house)
            faulty.broken = False
            await house.accept()
            runner.wake()
            await fake.begun.acquire()

    assert "broke down" in play(scenario)


def test_an_outcome_waits_for_room_on_the_disk(play, monkeypatch):
    """What was relayed is recorded as soon as it can be, and not sent again meanwhile."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    settle = Failing(module.settle, full_disk())
    monkeypatch.setattr(module, "settle", settle)

    async def scenario(house):
        fake = Fake()
        fake.go_on.set()
        queue_id = await house.accept()
        async with house.running(fake):
            await settle.has_failed(house)
            house.clock.now += 2 * store.LEASE
            settle.broken = False
            while house.fate(queue_id).state == "queued":
                await house.turns(1)
        assert len(fake.errands) == 1

    assert play(scenario).count("relayed") == 1


def test_the_next_is_attempted_while_an_outcome_is_being_recorded(play, monkeypatch):
    """A slot is free as soon as the server has answered, however long the settlement takes."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    settle = Failing(module.settle, full_disk())
    monkeypatch.setattr(module, "settle", settle)

    async def scenario(house):
        fake = Fake()
        fake.go_on.set()
        for _ in range(2):
            await house.accept()
        async with house.running(fake, limits=Limits(node=1)):
            for _ in range(2):
                await fake.begun.acquire()
            assert house.claimed() == 2
            settle.broken = False
        assert (len(fake.errands), fake.most) == (2, 1)

    assert play(scenario).count("relayed") == 2


def test_a_report_that_cannot_be_made_holds_up_nobody_elses_outcome(play, monkeypatch):
    """The relayed one is recorded and never sent again; the failed one is left for a later try."""

    def broken(*_, **__):
        raise RuntimeError("mine")

    monkeypatch.setattr(dsn, "report", broken)

    async def scenario(house):
        begun = asyncio.Event()

        async def attempt(errand, mark):
            begun.set()
            return Attempted("mx.test", {"ok@b.test": Relayed(OK), "no@b.test": Failed(NEVER)}, "")

        queue_id = await house.accept(("ok@b.test", "no@b.test"))
        async with house.running(attempt):
            await begun.wait()
        fates = house.fates(queue_id)
        assert {path: fate.state for path, fate in fates.items()} == {
            "ok@b.test": "relayed",
            "no@b.test": "queued",
        }
        assert fates["no@b.test"].due_at >= NOW + schedule.MINUTE

    assert "broke down" in play(scenario)


def test_a_stop_lets_attempts_end(play):
    """Within the grace time an attempt under way is ended and settled; nothing new is claimed."""

    async def scenario(house):
        fake = Fake()
        first = await house.accept()
        runner = house.runner(fake)
        running = asyncio.create_task(runner.run())
        await fake.begun.acquire()
        stopping = asyncio.create_task(runner.stop(SECONDS))
        second = await house.accept()
        runner.wake()
        await house.turns(3)
        assert not stopping.done()
        fake.go_on.set()
        await stopping
        await running
        assert (house.fate(first).state, house.fate(second).attempts) == ("relayed", 0)
        assert not house.fate(second).claimed

    play(scenario)


def test_a_stop_cuts_off_what_does_not_end(play):
    """After the grace time an attempt is cancelled and its mail given back: due at once, no try counted."""

    async def scenario(house):
        fake = Fake()
        queue_id = await house.accept()
        async with house.running(fake, grace=0):
            await fake.begun.acquire()
            house.clock.now += 5
        fate = house.fate(queue_id)
        assert (fate.state, fate.claimed, fate.attempts, fate.due_at) == ("queued", False, 0, NOW + 5)
        assert fake.under_way == 0

    play(scenario)


def test_one_that_stalls_holds_up_no_other(play):
    """With every slot of a next hop stalled and more waiting for it, mail here goes out."""

    async def scenario(house):
        stalled, local = Fake(), Fake()
        local.go_on.set()
        for _ in range(50):
            await house.accept(destination=lambda _: "hop")
        runner = house.runner(None, limits=Limits(each=4, node=8, first=4))
        runner.attempt_for = {"hop": stalled, LOCAL: local}.__getitem__
        running = asyncio.create_task(runner.run())
        for _ in range(4):
            await stalled.begun.acquire()
        for _ in range(20):
            await house.accept(destination=lambda _: LOCAL)
        runner.wake()
        for _ in range(20):
            await local.begun.acquire()
        assert (stalled.most, house.claimed() - len(local.errands) <= 4) == (4, True)
        await runner.stop(0)
        await running
        assert house.claimed() == 0

    play(scenario)


def test_fifty_that_stall_hold_up_no_other(play):
    """Each has much waiting and gets two slots, as it never answers; who comes then goes out, and more at once."""

    async def scenario(house):
        stalled, healthy = Fake(), Fake()
        healthy.go_on.set()
        for number in range(50):
            many = tuple((f"{at}@b.test",) for at in range(8))
            await house.accept(*many, destination=lambda _, number=number: f"stalls-{number}")
        runner = house.runner(None)
        runner.attempt_for = lambda name: healthy if name == "healthy" else stalled
        running = asyncio.create_task(runner.run())
        for _ in range(50 * Limits().first):
            await stalled.begun.acquire()
        many = tuple((f"{at}@b.test",) for at in range(60))
        queue_id = await house.accept(*many, destination=lambda _: "healthy")
        runner.wake()
        for _ in range(60):
            await healthy.begun.acquire()
        await runner.stop(0)
        await running
        assert stalled.most == 50 * Limits().first
        assert {fate.state for fate in house.fates(queue_id).values()} == {"relayed"}

    play(scenario)


def test_who_has_answered_gets_more_at_once(play):
    """One more for each answer, up to the cap; who could not be reached begins anew."""

    async def scenario(house):
        fake = Fake()
        for _ in range(12):
            await house.accept()
        async with house.running(fake, limits=Limits(each=6)) as runner:
            for _ in range(2):
                await fake.begun.acquire()
            await house.turns()
            assert fake.most == 2
            fake.go_on.set()
            for _ in range(10):
                await fake.begun.acquire()
        assert runner._rota.answers("b.test") == 12
        fake.outcome = Delayed(UNREACHED)
        await house.accept()
        async with house.running(fake) as other:
            await fake.begun.acquire()
        assert other._rota.answers("b.test") == 0

    play(scenario)


def test_what_is_claimed_ahead_waits_for_its_turn_and_is_begun(play):
    """No more mail transactions at once than there may be; what needs no session is begun for all."""

    async def scenario(house):
        fake, begun = Fake(), []
        for _ in range(9):
            await house.accept()
        limits = Limits(each=2, ahead=3, first=5)
        async with house.running(fake, limits=limits, begin=lambda errand: begun.append(errand.queue_id)):
            for _ in range(2):
                await fake.begun.acquire()
            await house.turns()
            assert (house.claimed(), len(begun), len(fake.errands)) == (5, 5, 2)
            fake.go_on.set()
            for _ in range(7):
                await fake.begun.acquire()
        assert fake.most == 2
        assert begun == [errand.queue_id for errand in fake.errands]

    play(scenario)


def test_nothing_is_begun_for_mail_that_stays_here(play):
    """A mailbox of this server wants no signatures."""

    async def scenario(house):
        fake, begun = Fake(), []
        fake.go_on.set()
        await house.accept(destination=lambda _: LOCAL)
        async with house.running(fake, begin=lambda errand: begun.append(errand.queue_id)):
            await fake.begun.acquire()
        assert begun == []

    play(scenario)


def test_what_is_claimed_ahead_is_given_back_when_the_destination_is_not_reached(play):
    """Those that talk find out; who waits is not tried, and waits behind the gate like all others."""

    async def scenario(house):
        fake = Fake(Delayed(UNREACHED))
        queue_ids = [await house.accept() for _ in range(5)]
        async with house.running(fake, limits=Limits(each=2, ahead=3, first=5)):
            for _ in range(2):
                await fake.begun.acquire()
            await house.turns()
            assert house.claimed() == 5
            fake.go_on.set()
            while house.claimed():
                await house.turns(1)
            await house.turns()
        assert sorted(house.fate(one).attempts for one in queue_ids) == [0, 0, 0, 1, 1]

    play(scenario)


def test_what_is_claimed_ahead_is_given_back_at_the_stop(play):
    """What talks may end; what waits is due for the next start."""

    async def scenario(house):
        fake = Fake()
        queue_ids = [await house.accept() for _ in range(5)]
        async with house.running(fake, limits=Limits(each=2, ahead=3, first=5)) as runner:
            for _ in range(2):
                await fake.begun.acquire()
            await house.turns()
            stopping = asyncio.create_task(runner.stop(SECONDS))
            await asyncio.sleep(0)
            fake.go_on.set()
            await stopping
        fates = [house.fate(one) for one in queue_ids]
        assert sorted((fate.state, fate.attempts) for fate in fates) == [("queued", 0)] * 3 + [("relayed", 1)] * 2
        assert house.claimed() == 0

    play(scenario)


def test_an_unreachable_destination_is_knocked_at_once_a_pause(play):
    """Its mail waits behind the gate untried; the pause over, one knocks, and when it answers all follow."""

    async def scenario(house):
        fake = Fake(Delayed(UNREACHED))
        fake.go_on.set()
        for _ in range(9):
            await house.accept()
        async with house.running(fake, limits=Limits(each=1)) as runner:
            await fake.begun.acquire()
            await house.turns()
            assert len(fake.errands) == 1
            fake.outcome = Relayed(OK)
            house.clock.now += shaping.FIRST_PAUSE
            runner.wake()
            for _ in range(8):
                await fake.begun.acquire()

    assert play(scenario).count("relayed") == 8


def test_what_grew_old_behind_a_closed_gate_is_settled_with_nobody_asked(play):
    """It counts as a try with the destination's last reply, so that its author hears of it."""

    async def scenario(house):
        fake = Fake()
        queue_id = await house.accept()

        def close(connection):
            gates.locked(connection, ["b.test"])
            connection.execute(
                update(destination).values(
                    failures=9,
                    next_try=NOW + shaping.PATIENCE + 1000,
                    reply_code=UNREACHED.code,
                    reply_status=UNREACHED.status,
                    reply_text=UNREACHED.text,
                )
            )

        await house.database.commit(close)
        house.clock.now += shaping.PATIENCE
        async with house.running(fake):
            while not house.fate(queue_id).attempts:
                await house.turns(1)
        fate = house.fate(queue_id)
        assert (fake.errands, fate.state, fate.reply) == ([], "queued", UNREACHED)
        [tried] = house.database.look(lambda connection: store.attempts(connection, queue_id))
        assert (tried.host, tried.outcome) == ("", "1 delayed")
        gate = house.database.look(lambda connection: gates.look(connection, "b.test"))
        assert (gate.failures, gate.next_try) == (9, NOW + shaping.PATIENCE + 1000)

    play(scenario)


def test_a_stop_during_a_claim_leaves_nothing_claimed(play):
    """What is claimed at the very moment of the stop is given back before the stop is over."""

    async def scenario(house):
        fake = Fake()
        queue_id = await house.accept()
        go_on = held_up(house.database)
        runner = house.runner(fake)
        running = asyncio.create_task(runner.run())
        for _ in range(5):
            await asyncio.sleep(0)
        stopping = asyncio.create_task(runner.stop(SECONDS))
        for _ in range(5):
            await asyncio.sleep(0)
        go_on.set()
        await stopping
        await running
        assert fake.errands == []
        assert not house.fate(queue_id).claimed

    play(scenario)


def test_the_final_settlement_survives_the_stop(play):
    """Cut off between the last reply and the commit, the outcome is recorded before the stop ends."""

    async def scenario(house):
        answered_, committer = asyncio.Event(), []

        async def attempt(errand, mark):
            committer.append(held_up(house.database))
            answered_.set()
            return answered(errand, Relayed(OK))

        queue_id = await house.accept()
        runner = house.runner(attempt)
        running = asyncio.create_task(runner.run())
        await answered_.wait()
        stopping = asyncio.create_task(runner.stop(0))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not stopping.done()
        committer[0].set()
        await stopping
        assert house.fate(queue_id).state == "relayed"
        await running

    play(scenario)


@pytest.mark.parametrize("when", ["at the mark", "at the settlement"])
def test_an_attempt_that_lost_its_lease_changes_nothing(play, when):
    """When another node took the mail meanwhile, the mark is refused, and so is the outcome."""

    async def scenario(house):
        refused, done = [], asyncio.Event()

        async def attempt(errand, mark):
            house.clock.now += store.LEASE
            others = await house.database.commit(
                lambda connection: claims.claim(connection, lease=1, now=house.clock())
            )
            assert others
            done.set()
            if when == "at the mark":
                try:
                    await mark("mx.test")
                except LostLease as lost:
                    refused.append(lost)
                    raise
            return answered(errand, Relayed(OK))

        queue_id = await house.accept()
        async with house.running(attempt):
            await done.wait()
        fate = house.fate(queue_id)
        assert (fate.state, fate.claimed, fate.attempts, fate.in_doubt) == ("queued", True, 0, False)
        assert len(refused) == (when == "at the mark")

    assert "lost lease" in play(scenario)


def test_a_mark_that_cannot_be_made_stops_the_attempt(play, monkeypatch):
    """When the disk has no room for the mark, the attempt hears of it and the mail is delayed, not in doubt."""
    monkeypatch.setattr(store, "mark_in_doubt", Failing(store.mark_in_doubt, full_disk()))

    async def scenario(house):
        begun, sent = asyncio.Event(), []

        async def attempt(errand, mark):
            begun.set()
            await mark("mx.test")
            sent.append(".")

        queue_id = await house.accept()
        async with house.running(attempt):
            await begun.wait()
        assert sent == []
        assert (house.fate(queue_id).state, house.fate(queue_id).in_doubt) == ("queued", False)

    told = play(scenario)
    assert "storage failed" in told
    assert "broke down" not in told


@pytest.mark.parametrize("broken", [False, True], ids=["at once", "after failures"])
def test_leases_of_long_attempts_are_renewed(play, monkeypatch, broken):
    """While an attempt runs its lease is moved on, also after a renewal has failed."""
    monkeypatch.setattr(module, "RENEWAL_SECONDS", 0.01)
    renew = Failing(store.renew, full_disk(), broken)
    monkeypatch.setattr(store, "renew", renew)

    async def scenario(house):
        fake = Fake()
        queue_id = await house.accept()
        async with house.running(fake):
            await fake.begun.acquire()
            await renew.has_failed(house, times=3 * broken)
            renew.broken = False
            house.clock.now += 30_000
            while house.fate(queue_id).due_at != NOW + 30_000 + store.LEASE:
                await house.turns(1)
            fake.go_on.set()
        assert house.fate(queue_id).state == "relayed"

    assert ("storage failed" in play(scenario)) is broken


def test_leases_are_renewed_while_a_stop_waits(play, monkeypatch):
    """The grace time may be longer than a lease."""
    monkeypatch.setattr(module, "RENEWAL_SECONDS", 0.01)

    async def scenario(house):
        fake = Fake()
        queue_id = await house.accept()
        runner = house.runner(fake)
        running = asyncio.create_task(runner.run())
        await fake.begun.acquire()
        stopping = asyncio.create_task(runner.stop(SECONDS))
        await house.turns(3)
        house.clock.now += 30_000
        while house.fate(queue_id).due_at != NOW + 30_000 + store.LEASE:
            await house.turns(1)
        fake.go_on.set()
        await stopping
        await running

    play(scenario)


@pytest.mark.parametrize("leap", [365 * schedule.DAY, -365 * schedule.DAY], ids=["+1 year", "-1 year"])
def test_a_leap_of_the_clock_makes_no_second_attempt(play, leap):
    """Whatever the clock does, what is being attempted is not attempted once more beside itself."""

    async def scenario(house):
        fake = Fake()
        queue_id = await house.accept()
        async with house.running(fake) as runner:
            await fake.begun.acquire()
            house.clock.now += leap
            for _ in range(5):
                runner.wake()
                await house.turns(3)
            fake.go_on.set()
        assert len(fake.errands) == 1
        assert house.fate(queue_id).state == "relayed"

    play(scenario)


def test_a_leap_ahead_expires_nothing_untried(play):
    """After a year's leap mail is tried once more before it fails."""

    async def scenario(house):
        fake = Fake()
        fake.go_on.set()
        queue_id = await house.accept()
        house.clock.now += 365 * schedule.DAY
        async with house.running(fake):
            await fake.begun.acquire()
        assert house.fate(queue_id).state == "relayed"

    play(scenario)


def test_a_clock_gone_back_strands_no_mail(play, monkeypatch):
    """What was accepted under a clock a year ahead goes out soon after the clock was set right."""
    monkeypatch.setattr(module, "RENEWAL_SECONDS", 0.01)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)

    async def scenario(house):
        fake = Fake()
        fake.go_on.set()
        house.clock.now += 365 * schedule.DAY
        queue_id = await house.accept()
        house.clock.now = NOW
        async with house.running(fake):
            await fake.begun.acquire()
        assert house.fate(queue_id).state == "relayed"

    play(scenario)


def test_an_idle_runner_rests(play):
    """With nothing due and nothing happening it neither claims nor reads."""

    async def scenario(house):
        async with house.running(Fake()):
            await house.turns(5)
            before = house.database.commits
            await house.turns(20)
            assert house.database.commits - before == 20

    play(scenario)


def test_who_has_no_room_looks_seldom_and_again_as_soon_as_there_is(play, monkeypatch):
    """While all of a destination's sessions are busy, new mail costs no claim each; their end brings one."""
    monkeypatch.setattr(module, "CROWDED_BREATH_SECONDS", 3600.0)

    async def scenario(house):
        fake = Fake()
        for _ in range(4):
            await house.accept()
        async with house.running(fake, limits=Limits(each=2, node=2)) as running:
            for _ in range(2):
                await fake.begun.acquire()
            while not running._crowded:
                running.wake()
                await house.turns(1)
            await asyncio.sleep(0)  # the breath that it draws now is the long one
            before = house.database.commits
            for _ in range(10):
                running.wake()
                await house.turns(1)
            assert house.database.commits - before <= 11, "at most the claim that was on its way"
            fake.go_on.set()
            for _ in range(2):
                await fake.begun.acquire()

    play(scenario)


def test_many_mails_all_go_out_once(play):
    """200 messages to 3 recipients each: every recipient is attempted exactly once."""

    async def scenario(house):
        fake = Fake()
        fake.go_on.set()
        await house.database.commit(
            lambda connection: [
                insert(connection, rows_of(next(QUEUE_IDS), ("a@b.test", "b@b.test"), ("c@b.test",)))
                for _ in range(200)
            ]
        )
        async with house.running(fake):
            for _ in range(400):
                await fake.begun.acquire()
        tried = [(errand.queue_id, path) for errand in fake.errands for path in errand.envelope.forward_paths]
        assert len(tried) == len(set(tried)) == 600
        assert house.database.look(lambda connection: claims.next_due(connection, after=0)) is None

    play(scenario)
