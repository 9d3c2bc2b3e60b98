"""The queue's rows: who may claim what, and what a stale lease cannot do."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select, update

from postroad.database.identifiers import Identifiers
from postroad.database.rows import insert
from postroad.database.schema import attempt, metadata, recipient
from postroad.database.sqlite import writer_of
from postroad.mail.envelope import LOCAL
from postroad.mail.outcome import Delayed, Failed, Relayed
from postroad.queue import commands, gates, schedule, shaping, store
from postroad.queue.settlement import settle
from tests.queue_kit import (
    CONTENT,
    LATER,
    LEASES,
    NEVER,
    NOW,
    OK,
    QUEUE_IDS,
    UNREACHED,
    accept,
    claim,
    judged,
    marked,
    paths,
    rows_of,
    settled,
    table,
)


@pytest.fixture
def connection(engine):
    """A connection that writes to an empty database."""
    with engine.connect() as opened, opened.begin():
        yield opened


STALE = {
    "mark": marked,
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
    other = update(recipient).where(recipient.c.forward_path == "a@b.test").values(lease=next(LEASES))
    connection.execute(other)
    before = table(connection)
    assert marked(connection, mine) is False
    assert settled(connection, mine, Relayed(OK)) is False
    assert table(connection) == before


def test_a_renewed_lease_holds_on(connection):
    """It ends a lease's length after its last renewal, other claims' are not touched."""
    accept(connection, ("a@b.test",), ("b@b.test",))
    first, second = (claim(connection, each=room)[0] for room in (1, 2))
    store.renew(connection, [first], NOW + 20_000)
    due = {row.forward_path: row.due_at - NOW - store.LEASE for row in table(connection)}
    assert due == {first.envelope.forward_paths[0]: 20_000, second.envelope.forward_paths[0]: 0}


def test_what_is_given_back_is_due_at_once(connection):
    """A release costs no attempt and keeps a mark of doubt."""
    accept(connection, ("you@b.test",))
    [mine] = claim(connection)
    assert marked(connection, mine)
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
    store.reroute(connection, lambda _, path: "local" if path.startswith("a") else "hop", NOW)
    assert {row.forward_path: row.destination for row in table(connection)} == {
        "a@b.test": "local",
        "b@b.test": "hop",
        "c@c.test": "c.test",
    }
    store.reroute(connection, lambda *_: "hop", NOW)
    store.reroute(connection, lambda *_: "hop", NOW)
    assert {row.destination for row in table(connection)} == {"hop", "c.test"}


def test_a_route_follows_from_sender_and_recipient(connection):
    """Whoever waits is routed by the reverse-path of their own entry, the null one of a report too."""
    accept(connection, ("b@b.test",), ("c@c.test",))
    accept(connection, ("b@b.test",), reverse_path="you@z.test")
    held = accept(connection, ("c@c.test",), reverse_path=None)
    commands.hold(connection, held, None, NOW)
    store.reroute(connection, lambda sender, path: f"{sender} {path}", NOW)
    assert sorted(row.destination for row in table(connection)) == [
        "None c@c.test",
        "me@a.test b@b.test",
        "me@a.test c@c.test",
        "you@z.test b@b.test",
    ]


def test_who_gets_another_route_need_not_wait_for_it(connection):
    """Delayed mail is due at once where it goes now; what somebody is at work on stays with them."""
    accept(connection, ("delayed@b.test",), ("claimed@c.test",), ("same@hop",))
    by_path = {one.envelope.forward_paths[0]: one for one in claim(connection)}
    settled(connection, by_path["delayed@b.test"], Delayed(LATER))
    settled(connection, by_path["same@hop"], Delayed(LATER))
    store.reroute(connection, lambda *_: "hop", NOW + 7)
    due = {row.forward_path: row.due_at - NOW for row in table(connection)}
    assert due == {"delayed@b.test": 7, "claimed@c.test": store.LEASE, "same@hop": 60_000}


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


@dataclass
class Row:
    """A recipient in the model."""

    due_at: int
    lease: int | None = None
    state: str = store.QUEUED
    in_doubt: bool = False
    # What never changes, which the table is not asked for.
    destination: str = field(default="", compare=False)
    transaction: tuple = field(default=(), compare=False)


ALLOWED = {
    "retry": (store.QUEUED,),
    "hold": (store.QUEUED,),
    "release": (store.HELD,),
    "cancel": (store.QUEUED, store.HELD),
}
DESTINATIONS = ("b.test", "c.test", "local")
CAP = 3


class TwoNodes(RuleBasedStateMachine):
    """Two nodes at one queue, each of which may stall, crash, and come back late, against a model."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.engine = writer_of(Path(self.folder.name) / "database")
        metadata.create_all(self.engine)
        self.now = NOW
        self.model = {}
        self.gates = {name: [0, None] for name in DESTINATIONS}  # failures and next try
        self.nodes = [[], []]  # the claims that each believes to hold
        self.identifiers = Identifiers()

    def teardown(self):
        """Whatever happened, everybody is found and settled in the end, once."""
        self.now += 400 * schedule.DAY
        with self.engine.connect() as connection, connection.begin():
            for queue_id in {queue_id for (queue_id, _), row in self.model.items() if row.state == store.HELD}:
                commands.release(connection, queue_id, None, self.now)
            while found := claim(connection, now=self.now, each=CAP):
                for mine in found:
                    assert mine.unreached is None
                    for path in mine.envelope.forward_paths:
                        row = self.model[mine.queue_id, path]
                        assert row.state in (store.QUEUED, store.HELD), "it came back"
                        row.state = store.RELAYED
                    assert settled(connection, mine, Relayed(OK), self.now)
        assert all(row.state in (store.RELAYED, store.FAILED) for row in self.model.values()), "somebody was lost"
        self.engine.dispose()
        self.folder.cleanup()

    def under(self, mine):
        """The model's rows that this claim still holds."""
        rows = [self.model[mine.queue_id, path] for path in mine.envelope.forward_paths]
        return [row for row in rows if row.lease == mine.lease]

    def pick(self, node, data):
        return data.draw(st.sampled_from(self.nodes[node]))

    @rule(
        sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3),
        late=st.integers(0, 2),
        destination=st.sampled_from(DESTINATIONS),
        account_id=st.integers(1, 4),
    )
    def put(self, sizes, late, destination, account_id):
        queue_id, due_at = next(QUEUE_IDS), self.now + late * 30_000
        envelopes = [[f"{at}.{number}@{destination}" for number in range(size)] for at, size in enumerate(sizes)]
        rows = rows_of(queue_id, *envelopes, now=due_at, reverse_path=None, account_id=account_id)
        with self.engine.connect() as connection, connection.begin():
            insert(connection, rows)
        self.model |= {
            (queue_id, path): Row(due_at, destination=destination, transaction=(queue_id, at))
            for at, paths in enumerate(envelopes)
            for path in paths
        }

    def in_flight(self, destination, held):
        """Mail transactions under a lease that holds, or that the claimant is at work on."""
        return len(
            {
                (row.lease, row.transaction)
                for row in self.model.values()
                if row.destination == destination
                and row.state == store.QUEUED
                and row.lease is not None
                and (row.due_at > self.now or row.lease in held)
            }
        )

    def due(self, destination, held, now):
        """The rows to be had at that destination."""
        return [
            row
            for row in self.model.values()
            if row.destination == destination
            and row.state == store.QUEUED
            and row.due_at <= now
            and row.lease not in held
        ]

    def expected(self, destination, node):
        """How many mail transactions this node's claim must take there, and from among which rows."""
        failures, next_try = self.gates[destination]
        held = {mine.lease for mine in self.nodes[node]}
        running = sum(mine.destination == destination and not mine.unreached for mine in self.nodes[node])
        slots = CAP - running if destination == LOCAL else shaping.RECIPIENTS_PER_CLAIM
        if slots <= 0:
            return 0, []
        in_flight, due = self.in_flight(destination, held), self.due(destination, held, self.now)
        if next_try is not None and self.now < next_try:
            due = [] if in_flight else self.due(destination, held, self.now - shaping.PATIENCE)
            return len({row.transaction for row in due}), due
        room = min(max((1 if failures else CAP) - in_flight, 0), slots)
        return min(room, len({row.transaction for row in due})), due

    @rule(node=st.integers(0, 1))
    def claim(self, node):
        expected = {name: self.expected(name, node) for name in DESTINATIONS}
        with self.engine.connect() as connection, connection.begin():
            found = claim(connection, now=self.now, running=self.nodes[node], each=CAP, local=CAP)
        for name, (count, due) in expected.items():
            mine = [one for one in found if one.destination == name]
            assert len(mine) == count, "as many as the gate lets through, and no fewer"
            taken = [self.model[one.queue_id, path] for one in mine for path in one.envelope.forward_paths]
            assert all(any(row is one for one in due) for row in taken), "not due, or under somebody's lease"
            transactions = {row.transaction for row in taken}
            assert len(taken) == sum(row.transaction in transactions for row in due), "whole mail transactions"
        for mine in found:
            for path in mine.envelope.forward_paths:
                row = self.model[mine.queue_id, path]
                row.lease, row.due_at = mine.lease, self.now + store.LEASE
        self.nodes[node] += found

    @rule(milliseconds=st.sampled_from([1, 1000, 20_000, store.LEASE, 5 * 60_000, shaping.PATIENCE]))
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
    @rule(data=st.data(), outcomes=st.one_of(st.just("uuu"), st.text("rfdi", min_size=3, max_size=3)))
    def settle(self, data, outcomes):
        node = data.draw(st.sampled_from([node for node in (0, 1) if self.nodes[node]]))
        mine = self.pick(node, data)
        kinds = {"r": Relayed(OK), "f": Failed(NEVER), "d": Delayed(LATER), "i": Delayed(LATER, in_doubt=True)}
        kinds["u"] = Delayed(UNREACHED)
        results = {path: kinds[kind] for path, kind in zip(mine.envelope.forward_paths, outcomes, strict=False)}
        verdicts = judged(mine, results, self.now)
        with self.engine.connect() as connection, connection.begin():
            [recorded] = settle(connection, [verdicts], self.identifiers, "here.test")
        assert recorded == (len(self.under(mine)) == len(mine.recipients))
        self.nodes[node].remove(mine)
        if recorded:
            self.reached(mine.destination, reached=outcomes != "uuu")
            for one in verdicts.verdicts:
                row = self.model[mine.queue_id, one.waiting.forward_path]
                row.state, row.due_at, row.lease, row.in_doubt = one.state, one.due_at, None, one.in_doubt

    def reached(self, destination, *, reached):
        """What an attempt found, the gate remembers."""
        failures, next_try = self.gates[destination]
        if reached:
            self.gates[destination] = [0, None]
        elif next_try is None or self.now >= next_try:
            self.gates[destination] = [failures + 1, self.now + shaping.pause(failures + 1)]

    @precondition(lambda self: self.model)
    @rule(data=st.data(), order=st.sampled_from(["retry", "hold", "release", "cancel"]), whole=st.booleans())
    def command(self, data, order, whole):
        queue_id, path = data.draw(st.sampled_from(sorted(self.model)))
        asked = {
            key: row
            for key, row in self.model.items()
            if key == (queue_id, path) or (whole and key[0] == queue_id)
        }
        can = {
            (_, one): row
            for (_, one), row in asked.items()
            if (row.lease is None or row.due_at <= self.now) and row.state in ALLOWED[order]
        }
        with self.engine.connect() as connection, connection.begin():
            if not can:
                with pytest.raises(commands.CannotError):
                    self.carry_out(connection, order, queue_id, None if whole else path)
                return
            done = self.carry_out(connection, order, queue_id, None if whole else path)
        assert {*done.done} == {one for _, one in can}
        assert {*done.left} == {one for _, one in asked} - {*done.done}
        for row in can.values():
            row.lease = None
            row.state = {"hold": store.HELD, "cancel": store.FAILED}.get(order, store.QUEUED)
            if order != "hold":
                row.due_at = self.now
            row.in_doubt = row.in_doubt and order != "cancel"
            if order == "retry":
                self.gates[row.destination] = [0, None]

    def carry_out(self, connection, order, queue_id, path):
        if order == "cancel":
            return commands.cancel(connection, queue_id, path, self.now, self.identifiers, None)
        return commands.COMMANDS[order](connection, queue_id, path, self.now)

    @precondition(lambda self: self.nodes[0] or self.nodes[1])
    @rule(data=st.data())
    def mark(self, data):
        node = data.draw(st.sampled_from([node for node in (0, 1) if self.nodes[node]]))
        mine = self.pick(node, data)
        with self.engine.connect() as connection, connection.begin():
            done = marked(connection, mine, now=self.now)
        assert done == (len(self.under(mine)) == len(mine.recipients))
        if done:
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
    def the_gates_are_the_model(self):
        """Every gate that was passed has the failures and the next try that the model says."""
        with self.engine.connect() as connection:
            found = {name: gates.look(connection, name) for name in DESTINATIONS}
        assert all([one.failures, one.next_try] == self.gates[name] for name, one in found.items() if one)

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
