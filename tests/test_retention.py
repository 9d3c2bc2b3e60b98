"""What is over its time goes; what waits, and what anything refers to, stays."""

import asyncio
import contextlib
import secrets
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import func, select, update

from postroad import maillog, refusals, retention
from postroad.database import content as contents
from postroad.database import loose
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.database.rows import insert
from postroad.database.schema import (
    attempt,
    authorization_code,
    content,
    content_chunk,
    device_code,
    failed_sign_in,
    loose_content,
    message,
    message_label,
    metadata,
    queue_entry,
    recipient,
    refresh_token,
    sign_in,
    token,
    upstream_sign_in,
)
from postroad.database.sqlite import writer_of
from postroad.mail.envelope import Envelope
from postroad.mailbox import messages
from postroad.oauth import accounts, clients, consents
from postroad.oauth import retention as oauth
from postroad.queue import store
from postroad.retention import DAY, Pruner, horizon
from tests import content_kit

NOW = 1_790_000_000_000
ME, BOB = 1, 2
STATES = ("relayed", "failed", "queued", "held")
OCTETS = b"From: me@a.test\r\n\r\n"
FACTS = content_kit.FACTS._replace(size=len(OCTETS), header_size=17, longest_line=998, message_id="<m@a.test>")


def accept(connection, number: int, paths: list[str], now: int, *, octets: bytes = OCTETS, local: bool = False):
    """What submission inserts: content, the author's copy, and an entry if there is anybody to send it to.

    With `local`, also the copy that was delivered to BOB of this server, who is the first recipient.
    """
    insert(connection, contents.rows(number, ME, [octets], FACTS))
    put_copy(connection, ME, number, number, now)
    if paths:
        insert(
            connection, store.put(number, ME, number, [Envelope("me@a.test", tuple(paths))], lambda _: "x", now)
        )
    if local:
        put_copy(connection, BOB, number + 1, number, now, queue_id=number, forward_path=paths[0])


def put_copy(connection, account_id, gmail_id, content_id, now, **delivery):
    stored = messages.Stored(
        account_id, gmail_id, gmail_id, content_id, (), 1, now, ("SENT", "UNREAD"), **delivery
    )
    insert(connection, messages.rows(stored))


def fate(connection, number: int, path: str, state: str, now: int):
    """One more attempt, after which that recipient has this state."""
    settled_at = now if state in ("relayed", "failed") else None
    one = (recipient.c.queue_id == number, recipient.c.forward_path == path)
    connection.execute(update(recipient).where(*one).values(state=state, settled_at=settled_at))
    row = {"queue_id": number, "account_id": ME, "started_at": now, "ended_at": now, "host": "", "outcome": ""}
    row |= {"attempt_id": IDENTIFIERS.next(now), "conversation": "", "after_in_doubt": False}
    connection.execute(attempt.insert(), [row])


# Of attempts and of messages apart: identifiers never descend, and attempts come later.
IDENTIFIERS, NUMBERS = Identifiers(), Identifiers()


def count(connection, table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def left(database) -> dict[str, int]:
    """How many rows each table has, but for those that have none."""
    tables = (queue_entry, recipient, attempt, message, message_label, content, content_chunk, loose_content)
    counts = database.look(lambda connection: {table.name: count(connection, table) for table in tables})
    return {name: number for name, number in counts.items() if number}


def do(database, act, *arguments, **options):
    return database.submit(lambda connection: act(connection, *arguments, **options)).result()


def prune(database, *, settled=0, kept=0, now=NOW):
    asyncio.run(Pruner(database, settled, kept, lambda: now, rest=0).prune())


@pytest.fixture
def database(database_url, tmp_path):
    with contextlib.closing(Database(tmp_path, floor=0, url=database_url)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("days", "before"), [(0, None), (1, NOW - 86_400_000), (30, NOW - 2_592_000_000), (99_999, NOW - 99_999 * DAY)]
)
def test_the_horizon(days, before):
    """So many days before now; for 0 days there is none."""
    assert horizon(NOW, days) == before


def test_for_0_days_everything_is_kept_for_ever(database):
    """A century later it is all there."""
    do(database, accept, 1 << 20, ["b@b.test"], 1)
    do(database, fate, 1 << 20, "b@b.test", "relayed", 1)
    before = left(database)
    prune(database, now=NOW + 36_500 * DAY)
    assert left(database) == before


def an_old_entry(database, *, local=False, **options) -> int:
    """An entry relayed and failed 40 days ago."""
    number = NUMBERS.next(NOW - 41 * DAY)
    do(database, accept, number, ["b@b.test", "c@c.test"], NOW - 41 * DAY, local=local, **options)
    do(database, fate, number, "b@b.test", "relayed", NOW - 40 * DAY)
    do(database, fate, number, "c@c.test", "failed", NOW - 40 * DAY)
    return number


def test_a_settled_entry_goes_and_its_copies_stay(database):
    """Entry, recipients and attempts go; the messages in mailboxes, and so the content, do not."""
    number = an_old_entry(database, local=True)
    prune(database, settled=41)
    assert left(database)["queue_entry"] == 1
    prune(database, settled=39)
    assert left(database) == {"message": 2, "message_label": 4, "content": 1, "content_chunk": 1}
    assert database.look(lambda connection: contents.whole(connection, number)) == OCTETS


def test_an_old_message_goes_and_what_the_queue_knows_stays(database):
    """Messages go, from every mailbox; the content stays while the queue has the entry, and goes with it."""
    an_old_entry(database, local=True)
    prune(database, kept=40)
    kept = {"queue_entry": 1, "recipient": 2, "attempt": 2, "content": 1, "content_chunk": 1}
    assert left(database) == kept
    prune(database, settled=30)
    assert left(database) == {}


@pytest.mark.parametrize("state", ["queued", "held", "a state of a later version"])
def test_who_waits_keeps_everything(database, state):
    """However old: one recipient that waits keeps the entry, its content and its copies."""
    number = an_old_entry(database, local=True)
    do(
        database,
        lambda connection: (
            connection.execute(
                update(recipient)
                .where(recipient.c.queue_id == number, recipient.c.forward_path == "b@b.test")
                .values(state=state[:8], settled_at=None)
            )
            and None
        ),
    )
    before = left(database)
    prune(database, settled=1, kept=1)
    assert left(database) == before


def test_what_was_settled_lately_stays(database):
    """The time counts from the settlement of the last recipient, not from the acceptance."""
    number = an_old_entry(database)
    do(database, fate, number, "c@c.test", "failed", NOW - 3 * DAY)
    prune(database, settled=4)
    assert left(database)["queue_entry"] == 1
    prune(database, settled=2)
    assert "queue_entry" not in left(database)


def test_many_go_in_small_steps(database, monkeypatch):
    """No transaction removes more than its rows or octets, and in the end all are gone."""
    monkeypatch.setattr(retention, "ROWS", 7)
    monkeypatch.setattr(loose, "OCTETS", 3 * contents.CHUNK)
    for _ in range(12):
        an_old_entry(database)
    an_old_entry(database, octets=bytes(20 * contents.CHUNK))
    total = sum(left(database).values())
    sizes = []

    class Watched:
        read = database.read

        async def commit(self, unit):
            before = left(database)
            done = await database.commit(unit)
            after = left(database)
            sizes.append(sum(max(before[name] - after.get(name, 0), 0) for name in before))
            return done

    asyncio.run(Pruner(Watched(), 1, 1, lambda: NOW, rest=0).prune())
    assert left(database) == {}
    # A message has its two labels, a content its mark and its chunks.
    assert max(sizes) <= 3 * 7
    assert total <= sum(sizes)


def test_what_was_removed_is_logged_once_a_round(database, monkeypatch):
    """One line for each kind that had any."""
    told = []
    monkeypatch.setattr(maillog, "pruned", lambda what, rows: told.append((what, rows)))
    an_old_entry(database)
    prune(database, settled=1, kept=1)
    prune(database, settled=1, kept=1)
    assert told == [("queue", 5), ("messages", 1), ("contents", 1)]


def test_rounds_go_on_after_a_failure(monkeypatch):
    """Neither bad storage nor a bug ends the rounds; a bug is logged."""
    troubles = [refusals.StorageUnhealthy("full"), ValueError("a bug")]
    logged, rounds = [], []
    monkeypatch.setattr(maillog, "broke_down", logged.append)
    monkeypatch.setattr(retention, "INTERVAL_SECONDS", 0)
    enough = asyncio.Event()

    class Troubled:
        alone = True

        async def read(self, _question):
            rounds.append(1)
            if len(rounds) > 2:
                enough.set()
                await asyncio.Event().wait()
            raise troubles[len(rounds) - 1]

    async def scenario():
        running = asyncio.create_task(Pruner(Troubled(), 1, 1, lambda: NOW).run())
        await asyncio.wait_for(enough.wait(), 10)
        running.cancel()

    asyncio.run(scenario())
    assert logged == troubles[1:]


def made_of(database, moment: int) -> None:
    """A row of each thing of OAuth that ages, all of which were over at that moment."""

    def unit(connection):
        owner = accounts.find(connection, "t@a.test") or accounts.add(
            connection, "t@a.test", administrator=False, now=1
        )
        made, _ = clients.add(connection, "An App", "installed", (), public=True, now=1)
        given = consents.allow(connection, owner.account_id, made.client_id, ["s"], 1)
        hashed = secrets.token_bytes(32)
        of_consent = {"consent_id": given.consent_id, "scopes": "s"}
        rows = {
            token: {"token_hash": hashed, "scopes": "s", "created_at": 1},
            authorization_code: of_consent
            | {"code_hash": hashed, "redirect_uri": "", "offline": True, "signed_in_at": 1},
            refresh_token: of_consent | {"refresh_hash": hashed, "created_at": 1, "used_at": moment},
            device_code: {"device_hash": hashed, "user_code": hashed.hex(), "client_id": made.client_id}
            | {"scopes": "s", "state": "waiting", "interval": 5},
            sign_in: {"session_hash": hashed, "account_id": owner.account_id, "signed_in_at": 1},
            upstream_sign_in: {"state_hash": hashed, "sealed": b""},
            failed_sign_in: {"subject": hashed.hex(), "failures": 1, "not_before": moment},
        }
        for table, row in rows.items():
            known = {"expires_at": moment} if "expires_at" in table.c else {}
            connection.execute(table.insert().values(row | known))

    do(database, unit)


LAST = {
    "tokens": DAY,
    "codes": DAY,
    "refresh tokens": 183 * DAY,
    "device codes": DAY,
    "sign-ins": 0,
    "sign-ins elsewhere": 0,
    "failed sign-ins": DAY,
}


@pytest.mark.parametrize("what", LAST)
def test_what_is_over_in_oauth_goes_in_its_time(database, monkeypatch, what):
    """In small steps; what is not over yet stays, to the millisecond."""
    monkeypatch.setattr(retention, "ROWS", 2)
    moment = NOW - LAST[what]
    for one in [moment - 1] * 5 + [moment, moment + 1, NOW + DAY]:
        made_of(database, one)
    (aging,) = (one for one in oauth.AGING if one.what == what)
    asyncio.run(Pruner(database, 0, 0, lambda: NOW, rest=0)._prune_aging(aging, NOW))
    left_ = database.look(lambda connection: sorted(connection.execute(select(aging.over)).scalars()))
    assert left_ == [moment, moment + 1, NOW + DAY]


def test_a_round_prunes_all_that_ages(database):
    """Nothing of OAuth is forgotten about."""
    made_of(database, NOW - 184 * DAY)
    prune(database)
    assert {one.what for one in oauth.AGING} == LAST.keys()
    assert database.look(lambda connection: [count(connection, one.key.table) for one in oauth.AGING]) == [0] * 7


def test_what_was_used_meanwhile_stays(database):
    """A refresh token that is used between the look and the removal."""
    made_of(database, NOW - 184 * DAY)
    (aging,) = (one for one in oauth.AGING if one.what == "refresh tokens")
    page = database.look(lambda connection: oauth.page(connection, aging, after=None, limit=9))
    do(database, lambda connection: connection.execute(update(refresh_token).values(used_at=NOW)))
    assert do(database, oauth.forget, aging, list(page), now=NOW) == 0


HOUR = 3_600_000
TURNS = {
    "the first ever": ([0], [True]),
    "two nodes at once": ([0, 0], [True, False]),
    "another within the hour": ([0, HOUR - 1], [True, False]),
    "the next hour": ([0, HOUR], [True, True]),
    "whoever comes first then": ([0, HOUR // 2, HOUR, HOUR + HOUR // 2], [True, False, True, False]),
    "a clock that was ahead": ([0, -DAY], [True, True]),
}


@pytest.mark.parametrize(("asked", "given"), TURNS.values(), ids=TURNS)
def test_of_many_nodes_one_prunes(database, asked, given):
    """A round an hour is had by one node, and by another when that one is gone."""
    assert [do(database, retention.takes_turn, now=NOW + one) for one in asked] == given


class CrashError(Exception):
    """The process dies here."""


class Here:
    """A database whose transactions are this connection's, and which dies before one of them."""

    def __init__(self, engine, crash_before: int | None):
        self.engine, self.left = engine, crash_before

    async def read(self, question):
        with self.engine.connect() as connection:
            return question(connection)

    async def commit(self, unit):
        if self.left == 0:
            raise CrashError
        self.left = None if self.left is None else self.left - 1
        with self.engine.begin() as connection:
            return unit(connection)


class Keeping(RuleBasedStateMachine):
    """Any order of accepting, settling, holding, deleting and pruning, with crashes amid the latter."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.engine = writer_of(Path(self.folder.name) / "database")
        metadata.create_all(self.engine)
        self.identifiers, self.now = Identifiers(), NOW
        self.paths: dict[int, dict[str, tuple[str, int]]] = {}

    def teardown(self):
        self.engine.dispose()
        self.folder.cleanup()

    @rule(days=st.integers(1, 3))
    def wait(self, days):
        self.now += days * DAY

    @rule(paths=st.integers(0, 3), chunks=st.integers(1, 3), local=st.booleans())
    def accept(self, paths, chunks, local):
        number = self.identifiers.next(self.now)
        names = [f"{one}@b.test" for one in range(paths)]
        octets = bytes(chunks * 8)
        with self.engine.begin() as connection, pytest.MonkeyPatch.context() as patch:
            patch.setattr(contents, "CHUNK", 8)
            accept(connection, number, names, self.now, octets=octets, local=local and bool(names))
        self.identifiers.next(self.now)
        self.paths[number] = dict.fromkeys(names, ("queued", self.now))

    @rule(data=st.data(), state=st.sampled_from(STATES))
    def settle(self, data, state):
        open_ = [
            (number, path)
            for number, fates in self.paths.items()
            for path, (was, _) in fates.items()
            if was in ("queued", "held")
        ]
        if open_:
            number, path = data.draw(st.sampled_from(open_))
            with self.engine.begin() as connection:
                fate(connection, number, path, state, self.now)
            self.paths[number][path] = (state, self.now)

    @rule(data=st.data(), state=st.sampled_from(("relayed", "failed")))
    def settle_whole(self, data, state):
        """Every recipient of one entry at once, as else few entries come to their end."""
        if self.paths:
            number = data.draw(st.sampled_from(sorted(self.paths)))
            for path in [path for path, (was, _) in self.paths[number].items() if was in ("queued", "held")]:
                with self.engine.begin() as connection:
                    fate(connection, number, path, state, self.now)
                self.paths[number][path] = (state, self.now)

    @rule(settled=st.integers(0, 4), kept=st.integers(0, 4), crash_before=st.none() | st.integers(0, 12))
    def prune(self, settled, kept, crash_before):
        pruner = Pruner(Here(self.engine, crash_before), settled, kept, lambda: self.now, rest=0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(retention, "ROWS", 2)
            patch.setattr(loose, "OCTETS", 8)
            try:
                asyncio.run(pruner.prune())
            except CrashError:
                return
        self.all_that_is_over_its_time_is_gone(settled, kept)

    @rule(days=st.sampled_from([(1, 1), (1, 0), (0, 1)]))
    def prune_much(self, days):
        """Far beyond every horizon, as else few runs come to it."""
        self.now += 5 * DAY
        self.prune(*days, None)

    def all_that_is_over_its_time_is_gone(self, settled, kept):
        with self.engine.connect() as connection:
            entries = set(connection.execute(select(queue_entry.c.queue_id)).scalars())
            oldest = connection.execute(select(message.c.internal_date, message.c.content_id)).all()
            referred = entries | {row.content_id for row in oldest}
            assert set(connection.execute(select(content.c.content_id)).scalars()) == referred
            assert set(connection.execute(select(content_chunk.c.content_id)).scalars()) == referred
            assert count(connection, loose_content) == 0
        if settled:
            before = self.now - settled * DAY
            assert [one for one in entries if self.settled_before(one, before)] == []
        if kept:
            before = self.now - kept * DAY
            assert [r for r in oldest if r.internal_date < before and not self.waits(r.content_id)] == []

    def waits(self, number) -> bool:
        return any(state in ("queued", "held") for state, _ in self.paths[number].values())

    def settled_before(self, number, moment) -> bool:
        last = max(at for _, at in self.paths[number].values())
        return not self.waits(number) and last < moment

    @invariant()
    def what_waits_is_whole(self):
        """Every entry that waits has all its recipients with their states, its content and its copies."""
        with self.engine.connect() as connection:
            for number in filter(self.waits, self.paths):
                entry = store.look(connection, number)
                assert {one.forward_path: one.state for one in entry.recipients} == {
                    path: state for path, (state, _) in self.paths[number].items()
                }
                assert messages.find(connection, ME, number)

    @invariant()
    def what_is_referred_to_is_whole(self):
        """Every entry and every message in a mailbox has a content with all of its octets."""
        with self.engine.connect() as connection:
            for table in (queue_entry, message):
                for number in connection.execute(select(table.c.content_id)).scalars():
                    assert connection.execute(select(content).where(content.c.content_id == number)).one()
                    assert len(contents.whole(connection, number)) in (8, 16, 24)
                    assert contents.chunk(connection, number, 0)


Keeping.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestKeeping = Keeping.TestCase
TestKeeping.__doc__ = "No order of accepting, settling and pruning loses what waits or what is referred to."
