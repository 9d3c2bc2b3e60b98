"""The queue's rows: who may claim what, and what a stale lease cannot do."""

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select

from postroad.database import content as contents
from postroad.database.commit import insert
from postroad.database.engine import sqlite_writer
from postroad.database.identifiers import Identifiers
from postroad.database.schema import attempt, metadata, recipient
from postroad.mail.envelope import Envelope
from postroad.mail.outcome import Attempted, Delayed, Failed, Relayed
from postroad.mail.reply import Reply
from postroad.queue import schedule, store
from postroad.queue.settlement import settle
from postroad.queue.verdict import judge

NOW = 1_700_000_000_000
CONTENT = b"From: me@a.test\r\nTo: you@b.test\r\nSubject: hello\r\nMessage-ID: <m@a.test>\r\n\r\nbody\r\n"
OK = Reply(250, "2.0.0", "Ok")
LATER = Reply(450, "4.2.0", "greylisted")
NEVER = Reply(550, "5.1.1", "no such user")
LEASES = itertools.count(1)
QUEUE_IDS = itertools.count(1000)


def rows_of(queue_id, *envelopes, now=NOW, reverse_path="me@a.test", octets=CONTENT, destination=None):
    """The rows of an entry, each envelope a tuple of forward-paths; by default each domain is a destination."""
    facts = {
        "size": len(octets),
        "header_size": octets.index(b"\r\n\r\n") + 2,
        "longest_line": max(map(len, octets.split(b"\r\n"))),
        "eight_bit": not octets.isascii(),
        "utf8_header": False,
        "message_id": "<m@a.test>",
    }
    found = [Envelope(reverse_path, tuple(paths)) for paths in envelopes]
    route = destination or (lambda path: path.rpartition("@")[2])
    return contents.rows(queue_id, 1, [octets], facts) | dict(store.put(queue_id, 1, queue_id, found, route, now))


@pytest.fixture
def connection(tmp_path):
    """A connection that writes to an empty database."""
    engine = sqlite_writer(tmp_path / "database")
    metadata.create_all(engine)
    with engine.connect() as opened, opened.begin():
        yield opened
    engine.dispose()


def accept(connection, *envelopes, **options):
    """A new entry; its number."""
    queue_id = next(QUEUE_IDS)
    insert(connection, rows_of(queue_id, *envelopes, **options))
    return queue_id


def claim(connection, *, now=NOW, limit=100, held=()):
    return store.claim(connection, lease=next(LEASES), limit=limit, now=now, held=held)


def paths(claims):
    """The forward-paths of each claim."""
    return [claimed.envelope.forward_paths for claimed in claims]


def table(connection):
    """All recipients, as the database has them."""
    return connection.execute(select(recipient).order_by(recipient.c.queue_id, recipient.c.forward_path)).all()


def judged(claimed, outcomes, now=NOW, host="mx.test"):
    attempted = Attempted(host, outcomes, "> MAIL\n< 250 Ok")
    return judge(claimed, attempted, started_at=now, ended_at=now, chance=lambda: 0)


def all_alike(claimed, outcome):
    return dict.fromkeys(claimed.envelope.forward_paths, outcome)


def settled(connection, claimed, outcome, now=NOW):
    return settle(connection, judged(claimed, all_alike(claimed, outcome), now), Identifiers(), "here.test")


def test_a_claim_carries_all_an_attempt_must_know(connection):
    """Envelope, content and facts of the message, and what earlier attempts left behind."""
    queue_id = accept(connection, ("b@b.test", "a@b.test"))
    [found] = claim(connection)
    assert (found.queue_id, found.content_id, found.account_id) == (queue_id, queue_id, 1)
    assert found.envelope == Envelope("me@a.test", ("a@b.test", "b@b.test"))
    assert (found.size, found.eight_bit, found.utf8_header) == (len(CONTENT), False, False)
    assert (found.message_id, found.accepted_at, found.destination) == ("<m@a.test>", NOW, "b.test")
    assert found.recipients[0] == store.Waiting("a@b.test", 0, 0, None, None)
    assert found.in_doubt_host is None


def test_only_what_is_due_is_claimed(connection):
    """A recipient is due from its millisecond on, and not before."""
    accept(connection, ("you@b.test",), now=NOW + 1)
    assert claim(connection, now=NOW) == []
    assert paths(claim(connection, now=NOW + 1)) == [("you@b.test",)]


def test_those_that_wait_longest_come_first(connection):
    """With more due than a claim takes, the oldest are taken."""
    for late in (3, 1, 2):
        accept(connection, (f"{late}@b.test",), now=NOW + late)
    assert sorted(paths(claim(connection, now=NOW + 9, limit=2))) == [("1@b.test",), ("2@b.test",)]
    assert paths(claim(connection, now=NOW + 9, limit=2)) == [("3@b.test",)]


def test_a_claim_takes_at_most_its_limit(connection):
    """An envelope of 250 recipients is claimed in parts; nobody is in two of them."""
    accept(connection, [f"{number}@b.test" for number in range(250)])
    sizes, taken = [], set()
    while found := claim(connection):
        sizes += [len(one.recipients) for one in found]
        taken |= {path for one in found for path in one.envelope.forward_paths}
    assert (sizes, len(taken)) == ([100, 100, 50], 250)


def test_one_claim_is_one_envelope_to_one_destination(connection):
    """Different messages, blind recipients and different destinations never share a mail transaction."""
    first = accept(connection, ("a@b.test", "b@b.test", "c@c.test"), ("blind@b.test",), ("blind2@b.test",))
    second = accept(connection, ("a@b.test",))
    found = {(one.queue_id, one.destination, one.envelope.forward_paths) for one in claim(connection)}
    assert found == {
        (first, "b.test", ("a@b.test", "b@b.test")),
        (first, "c.test", ("c@c.test",)),
        (first, "b.test", ("blind@b.test",)),
        (first, "b.test", ("blind2@b.test",)),
        (second, "b.test", ("a@b.test",)),
    }


def test_a_claimed_recipient_is_nobody_elses_until_its_lease_ends(connection):
    """A dead node's work becomes due by itself, a millisecond after nothing else can."""
    accept(connection, ("you@b.test",))
    [mine] = claim(connection)
    assert claim(connection, now=NOW + store.LEASE - 1) == []
    [theirs] = claim(connection, now=NOW + store.LEASE)
    assert theirs.lease != mine.lease
    assert theirs.envelope == mine.envelope


def test_nobody_claims_from_themselves(connection):
    """A lease that ran out under its holder is not taken by the holder, and is nothing to wait for."""
    accept(connection, ("you@b.test",))
    [mine] = claim(connection)
    later = NOW + 2 * store.LEASE
    assert claim(connection, now=later, held={mine.lease}) == []
    assert store.next_due(connection, {mine.lease}) is None
    assert store.next_due(connection) == NOW + store.LEASE
    assert paths(claim(connection, now=later)) == [("you@b.test",)]


STALE = {
    "mark": lambda connection, mine: store.mark_in_doubt(connection, mine, "mx.test", NOW),
    "release": lambda connection, mine: store.release(connection, mine, NOW) or False,
    "renew": lambda connection, mine: store.renew(connection, [mine], NOW + store.LEASE) or False,
    "settle": lambda connection, mine: settled(connection, mine, Relayed(OK)),
    "settle a failure": lambda connection, mine: settled(connection, mine, Failed(NEVER)),
}


@pytest.mark.parametrize("act", STALE.values(), ids=STALE)
@pytest.mark.parametrize("owner", ["another's", "settled", "released"])
def test_a_stale_lease_changes_nothing(connection, act, owner):
    """Whoever lost a lease, in whatever way, can neither mark, nor settle, nor renew, nor release."""
    accept(connection, ("a@b.test", "b@b.test"))
    [mine] = claim(connection)
    if owner == "another's":
        claim(connection, now=NOW + store.LEASE)
    elif owner == "settled":
        settled(connection, mine, Relayed(OK))
    else:
        store.release(connection, mine, NOW)
    before = table(connection), connection.execute(select(attempt)).all()
    assert act(connection, mine) is False
    assert (table(connection), connection.execute(select(attempt)).all()) == before


def test_a_claim_of_which_a_part_was_lost_is_stale(connection):
    """When another holds some of its recipients, it can neither mark nor settle any."""
    accept(connection, ("a@b.test", "b@b.test"))
    [mine] = claim(connection)
    claim(connection, now=NOW + store.LEASE, limit=1)
    before = table(connection)
    assert store.mark_in_doubt(connection, mine, "mx.test", NOW) is False
    assert settled(connection, mine, Relayed(OK)) is False
    assert table(connection) == before


def test_a_renewed_lease_holds_on(connection):
    """It ends a lease's length after its last renewal, other claims' are not touched."""
    accept(connection, ("a@b.test",), ("b@b.test",))
    first, second = (claim(connection, limit=1)[0] for _ in range(2))
    store.renew(connection, [first], NOW + 20_000)
    due = {row.forward_path: row.due_at - NOW - store.LEASE for row in table(connection)}
    assert due == {first.envelope.forward_paths[0]: 20_000, second.envelope.forward_paths[0]: 0}


def test_what_is_given_back_is_due_at_once(connection):
    """A release costs no attempt and keeps a mark of doubt."""
    accept(connection, ("you@b.test",))
    [mine] = claim(connection)
    assert store.mark_in_doubt(connection, mine, "mx.test", NOW)
    store.release(connection, mine, NOW + 5)
    [again] = claim(connection, now=NOW + 5)
    assert again.recipients == (store.Waiting("you@b.test", 0, 0, NOW, "mx.test"),)
    assert again.in_doubt_host == "mx.test"


def test_a_restart_frees_what_a_dead_process_held(connection):
    """Claimed and in doubt is due at once; what waits for its time, waits; what is settled, stays."""
    accept(connection, ("claimed@b.test",), ("relayed@c.test",), ("late@d.test",), ("doubt@e.test",))
    by_path = {one.envelope.forward_paths[0]: one for one in claim(connection)}
    settled(connection, by_path["relayed@c.test"], Relayed(OK))
    settled(connection, by_path["late@d.test"], Delayed(LATER))
    settled(connection, by_path["doubt@e.test"], Delayed(LATER, in_doubt=True))
    store.release_all(connection, NOW + 7)
    assert sorted(paths(claim(connection, now=NOW + 7))) == [("claimed@b.test",), ("doubt@e.test",)]


def test_a_clock_gone_back_strands_nobody(connection):
    """Who would wait longer than the longest pause is due at once, everybody else when they were."""
    year = 365 * schedule.DAY
    accept(connection, ("stranded@b.test",), now=NOW + year)
    accept(connection, ("waiting@b.test",), now=NOW + schedule.LONGEST_PAUSE)
    accept(connection, ("settled@b.test",), now=NOW)
    [done] = claim(connection)
    settled(connection, done, Relayed(OK), now=NOW + year)
    store.pull_in(connection, NOW)
    assert {row.forward_path: row.due_at - NOW for row in table(connection)} == {
        "stranded@b.test": 0,
        "waiting@b.test": schedule.LONGEST_PAUSE,
        "settled@b.test": year,
    }


def test_waiting_mail_follows_its_route(connection):
    """After a change everyone who waits has the new destination; the settled keep theirs."""
    accept(connection, ("a@b.test", "b@b.test"), ("c@c.test",))
    done = next(one for one in claim(connection) if one.destination == "c.test")
    settled(connection, done, Relayed(OK))
    store.reroute(connection, lambda path: "local" if path.startswith("a") else "hop")
    assert {row.forward_path: row.destination for row in table(connection)} == {
        "a@b.test": "local",
        "b@b.test": "hop",
        "c@c.test": "c.test",
    }
    store.reroute(connection, lambda _: "hop")
    store.reroute(connection, lambda _: "hop")
    assert {row.destination for row in table(connection)} == {"hop", "c.test"}


def test_the_next_due_is_the_soonest_that_waits(connection):
    """Nothing when nobody waits; the settled are not waited for."""
    assert store.next_due(connection) is None
    accept(connection, ("late@b.test",), now=NOW + 9)
    accept(connection, ("soon@b.test",), now=NOW)
    assert store.next_due(connection) == NOW
    [soon] = claim(connection)
    settled(connection, soon, Relayed(OK))
    assert store.next_due(connection) == NOW + 9


def test_an_entry_is_seen_with_the_fate_of_everyone(connection):
    """`look` tells state, reply, doubt and claim of each recipient, in the order of the envelopes."""
    queue_id = accept(connection, ("ok@b.test",), ("no@c.test",), ("late@d.test",), ("mine@e.test",))
    by_path = {one.envelope.forward_paths[0]: one for one in claim(connection)}
    settled(connection, by_path["ok@b.test"], Relayed(OK))
    settled(connection, by_path["no@c.test"], Failed(NEVER))
    settled(connection, by_path["late@d.test"], Delayed(LATER, in_doubt=True))
    found = store.look(connection, queue_id)
    assert (found.queue_id, found.reverse_path, found.accepted_at) == (queue_id, "me@a.test", NOW)
    assert (found.size, found.message_id) == (len(CONTENT), "<m@a.test>")
    assert found.recipients == (
        store.Fate("ok@b.test", "relayed", "b.test", 1, NOW, claimed=False, in_doubt=False, reply=OK),
        store.Fate("no@c.test", "failed", "c.test", 1, NOW, claimed=False, in_doubt=False, reply=NEVER),
        store.Fate("late@d.test", "queued", "d.test", 1, NOW + 60_000, claimed=False, in_doubt=True, reply=LATER),
        store.Fate(
            "mine@e.test", "queued", "e.test", 0, NOW + store.LEASE, claimed=True, in_doubt=False, reply=None
        ),
    )
    assert store.look(connection, 1) is None


def test_attempts_are_listed_in_order(connection):
    """Each with its host, words and conversation."""
    queue_id = accept(connection, ("you@b.test",))
    for outcome, now in ((Delayed(LATER), NOW), (Relayed(OK), NOW + 60_000)):
        [mine] = claim(connection, now=now)
        settled(connection, mine, outcome, now)
    words = [
        (one.started_at, one.host, one.outcome, one.conversation) for one in store.attempts(connection, queue_id)
    ]
    assert words == [
        (NOW, "mx.test", "1 delayed", "> MAIL\n< 250 Ok"),
        (NOW + 60_000, "mx.test", "1 relayed", "> MAIL\n< 250 Ok"),
    ]


def test_a_listing_is_newest_first_and_may_leave_out_the_settled(connection):
    """Up to the limit; an entry with one waiting recipient still waits."""
    first = accept(connection, ("a@b.test",))
    [mine] = claim(connection)
    settled(connection, mine, Relayed(OK))
    second = accept(connection, ("a@b.test",), ("b@c.test",))
    settled(connection, claim(connection)[0], Relayed(OK))
    third = accept(connection, ("a@b.test",))

    def listed(limit, *, waiting_only):
        return [one.queue_id for one in store.listing(connection, limit=limit, waiting_only=waiting_only)]

    assert listed(9, waiting_only=False) == [third, second, first]
    assert listed(2, waiting_only=False) == [third, second]
    assert listed(9, waiting_only=True) == [third, second]


def test_a_claim_looks_at_no_more_than_it_must(connection):
    """Finding what is due goes by the index of the waiting, not through the table."""
    for held in ((), (5,)):
        due = (
            select(recipient.c.queue_id)
            .where(*store._due_beside(held), recipient.c.due_at <= NOW)
            .order_by(recipient.c.due_at)
            .limit(9)
        )
        text = str(due.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
        assert len(plan) == 1, plan
        assert "ix_recipient_due" in plan[0]


@dataclass
class Row:
    """A recipient in the model."""

    due_at: int
    lease: int | None = None
    state: str = store.QUEUED
    in_doubt: bool = False


class TwoNodes(RuleBasedStateMachine):
    """Two nodes at one queue, each of which may stall, crash, and come back late, against a model."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.engine = sqlite_writer(Path(self.folder.name) / "database")
        metadata.create_all(self.engine)
        self.now = NOW
        self.model = {}
        self.nodes = [[], []]  # the claims that each believes to hold
        self.identifiers = Identifiers()

    def teardown(self):
        """Whatever happened, everybody is found and settled in the end, once."""
        self.now += 400 * schedule.DAY
        with self.engine.connect() as connection, connection.begin():
            while found := claim(connection, now=self.now, limit=7):
                for mine in found:
                    for path in mine.envelope.forward_paths:
                        row = self.model[mine.queue_id, path]
                        assert row.state == store.QUEUED, "it came back"
                        row.state = store.RELAYED
                    assert settled(connection, mine, Relayed(OK), self.now)
        assert all(row.state != store.QUEUED for row in self.model.values()), "somebody was lost"
        self.engine.dispose()
        self.folder.cleanup()

    def under(self, mine):
        """The model's rows that this claim still holds."""
        rows = [self.model[mine.queue_id, path] for path in mine.envelope.forward_paths]
        return [row for row in rows if row.lease == mine.lease]

    def pick(self, node, data):
        return data.draw(st.sampled_from(self.nodes[node]))

    @rule(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3), late=st.integers(0, 2))
    def put(self, sizes, late):
        queue_id, due_at = next(QUEUE_IDS), self.now + late * 30_000
        envelopes = [[f"{at}.{number}@b.test" for number in range(size)] for at, size in enumerate(sizes)]
        with self.engine.connect() as connection, connection.begin():
            insert(connection, rows_of(queue_id, *envelopes, now=due_at, reverse_path=None))
        self.model |= {(queue_id, path): Row(due_at) for paths in envelopes for path in paths}

    @rule(node=st.integers(0, 1), limit=st.integers(1, 5))
    def claim(self, node, limit):
        held = {mine.lease for mine in self.nodes[node]}
        with self.engine.connect() as connection, connection.begin():
            found = claim(connection, now=self.now, limit=limit, held=held)
        taken = [self.model[mine.queue_id, path] for mine in found for path in mine.envelope.forward_paths]
        due = [
            row
            for row in self.model.values()
            if row.state == store.QUEUED and row.due_at <= self.now and row.lease not in held
        ]
        assert len(taken) == min(limit, len(due))
        assert all(any(row is one for one in due) for row in taken), "not due, or under somebody's lease"
        assert sorted(row.due_at for row in taken) == sorted(row.due_at for row in due)[: len(taken)]
        for mine in found:
            for path in mine.envelope.forward_paths:
                row = self.model[mine.queue_id, path]
                row.lease, row.due_at = mine.lease, self.now + store.LEASE
        self.nodes[node] += found

    @rule(milliseconds=st.sampled_from([1, 20_000, store.LEASE, 5 * 60_000]))
    def wait(self, milliseconds):
        self.now += milliseconds

    @rule(node=st.integers(0, 1))
    def renew(self, node):
        with self.engine.connect() as connection, connection.begin():
            store.renew(connection, self.nodes[node], self.now)
        for mine in self.nodes[node]:
            for row in self.under(mine):
                row.due_at = self.now + store.LEASE

    @precondition(lambda self: self.nodes[0] or self.nodes[1])
    @rule(data=st.data(), outcomes=st.lists(st.sampled_from("rfdi"), min_size=3, max_size=3))
    def settle(self, data, outcomes):
        node = data.draw(st.sampled_from([node for node in (0, 1) if self.nodes[node]]))
        mine = self.pick(node, data)
        kinds = {"r": Relayed(OK), "f": Failed(NEVER), "d": Delayed(LATER), "i": Delayed(LATER, in_doubt=True)}
        results = {path: kinds[kind] for path, kind in zip(mine.envelope.forward_paths, outcomes, strict=False)}
        verdicts = judged(mine, results, self.now)
        with self.engine.connect() as connection, connection.begin():
            recorded = settle(connection, verdicts, self.identifiers, "here.test")
        assert recorded == (len(self.under(mine)) == len(mine.recipients))
        self.nodes[node].remove(mine)
        if recorded:
            for one in verdicts.verdicts:
                row = self.model[mine.queue_id, one.waiting.forward_path]
                row.state, row.due_at, row.lease, row.in_doubt = one.state, one.due_at, None, one.in_doubt

    @precondition(lambda self: self.nodes[0] or self.nodes[1])
    @rule(data=st.data())
    def mark(self, data):
        node = data.draw(st.sampled_from([node for node in (0, 1) if self.nodes[node]]))
        mine = self.pick(node, data)
        with self.engine.connect() as connection, connection.begin():
            marked = store.mark_in_doubt(connection, mine, "mx.test", self.now)
        assert marked == (len(self.under(mine)) == len(mine.recipients))
        if marked:
            for row in self.under(mine):
                row.in_doubt = True

    @precondition(lambda self: self.nodes[0] or self.nodes[1])
    @rule(data=st.data())
    def release(self, data):
        node = data.draw(st.sampled_from([node for node in (0, 1) if self.nodes[node]]))
        mine = self.pick(node, data)
        with self.engine.connect() as connection, connection.begin():
            store.release(connection, mine, self.now)
        for row in self.under(mine):
            row.lease, row.due_at = None, self.now
        self.nodes[node].remove(mine)

    @rule(node=st.integers(0, 1))
    def crash(self, node):
        self.nodes[node].clear()

    @invariant()
    def the_table_is_the_model(self):
        """Every recipient is there once, in the state, under the lease and due when the model says."""
        with self.engine.connect() as connection:
            found = {
                (row.queue_id, row.forward_path): Row(
                    row.due_at, row.lease, row.state, row.in_doubt_at is not None
                )
                for row in table(connection)
            }
        assert found == self.model

    @invariant()
    def nobody_is_held_twice(self):
        """No two claims that a node believes in hold the same recipient under a lease that has not ended."""
        holders = [
            (mine.queue_id, path)
            for node in self.nodes
            for mine in node
            for path in mine.envelope.forward_paths
            if self.model[mine.queue_id, path].lease == mine.lease
        ]
        assert len(holders) == len(set(holders))


TwoNodes.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestTwoNodes = TwoNodes.TestCase
