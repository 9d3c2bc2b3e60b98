"""The rules of gates, slots and turns, without a database."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.mail.envelope import LOCAL
from postroad.mail.outcome import Attempted, Delayed, Failed, Relayed
from postroad.mail.reply import Reply, ours
from postroad.queue import shaping
from postroad.queue.shaping import Candidate, Gate, Limits, choose, left_off, rotated
from tests.queue_kit import LATER, NEVER, NOW, OK, UNREACHED

ROOM = {
    # gate, in flight -> room
    "nobody yet": (Gate("hop"), 0, 20),
    "some": (Gate("hop"), 5, 15),
    "at its cap": (Gate("hop"), 20, 0),
    "over a cap that was lowered": (Gate("hop", cap=3), 20, 0),
    "a cap of its own": (Gate("hop", cap=50), 5, 45),
    "nobody at all": (Gate("hop", cap=0), 0, 0),
    "here": (Gate(LOCAL), 2, 30),
    "suspended, and it could not be reached": (Gate("hop", cap=0, failures=1, next_try=NOW), 0, 0),
    "closed": (Gate("hop", failures=1, next_try=NOW + 1), 0, 0),
    "probing": (Gate("hop", failures=3, next_try=NOW), 0, 1),
    "being probed": (Gate("hop", failures=3, next_try=NOW - 9), 1, 0),
}


@pytest.mark.parametrize(("gate", "in_flight", "room"), ROOM.values(), ids=ROOM)
def test_a_gate_has_room_up_to_its_cap_while_it_is_open(gate, in_flight, room):
    """Closed it has none; when it may be probed, room for one."""
    assert shaping.room(gate, Limits(each=20, local=32), in_flight=in_flight, now=NOW) == room


AHEAD = {
    # gate, in flight -> room, with 5 claimed ahead
    "open": (Gate("hop"), 3, 22),
    "all that talk, and some ahead": (Gate("hop"), 22, 3),
    "here": (Gate(LOCAL), 2, 30),
    "a cap of its own": (Gate("hop", cap=10), 5, 5),
    "nobody at all": (Gate("hop", cap=0), 0, 0),
    "probing": (Gate("hop", failures=3, next_try=NOW), 0, 1),
}


@pytest.mark.parametrize(("gate", "in_flight", "room"), AHEAD.values(), ids=AHEAD)
def test_only_for_a_next_hop_that_is_well_is_mail_claimed_ahead(gate, in_flight, room):
    """A gate that an order or a failure has narrowed has no more room for it."""
    assert shaping.room(gate, Limits(each=20, local=32, ahead=5), in_flight=in_flight, now=NOW) == room


SHARES = {
    # destination, running on this node, answers -> slots
    "all is free": ("hop", {}, 99, 16),
    "half of what is left": ("hop", {"hop": 16}, 99, 8),
    "another's count too": ("hop", {"other": 24}, 99, 4),
    "the last one": ("hop", {"hop": 20, "other": 11}, 99, 1),
    "none": ("hop", {"hop": 20, "other": 12}, 99, 0),
    "more than all": ("hop", {"hop": 40}, 99, 0),
    "nobody knows it": ("hop", {}, 0, 2),
    "it has not answered yet": ("hop", {"hop": 2}, 0, 0),
    "one answer, one more": ("hop", {"hop": 2}, 1, 1),
    "those here are apart": ("hop", {LOCAL: 30}, 99, 16),
    "here": (LOCAL, {"hop": 32, LOCAL: 2}, 0, 30),
    "here, all taken": (LOCAL, {LOCAL: 33}, 0, 0),
}


@pytest.mark.parametrize(("destination", "running", "answers", "slots"), SHARES.values(), ids=SHARES)
def test_a_destination_leaves_slots_to_others(destination, running, answers, slots):
    """It is given half of what a node has left, rounded up, and few until it answers; those here are apart."""
    limits = Limits(node=32, local=32, first=2)
    left = shaping.left(running, limits)
    assert shaping.share(destination, running, limits, left=left, answers=answers) == slots


LOST = ours(451, "4.4.2", "lost")
REACHED = {
    # host, outcomes -> reached
    "nobody was asked": ("", [Delayed(UNREACHED)], None),
    "relayed": ("mx", [Relayed(OK)], True),
    "refused": ("mx", [Failed(NEVER)], True),
    "put off": ("mx", [Delayed(LATER)], True),
    "no answer": ("mx", [Delayed(UNREACHED), Delayed(UNREACHED)], False),
    "lost": ("mx", [Delayed(LOST, in_doubt=True)], False),
    "not available": ("mx", [Delayed(Reply(421, "", "too busy"))], False),
    "one was answered": ("mx", [Delayed(LOST), Failed(NEVER)], True),
    "the server says 4.4.1 of another": ("mx", [Delayed(Reply(451, "4.4.1", "no answer from host"))], True),
    "no TLS": ("mx", [Delayed(ours(451, "4.7.5", "handshake"))], True),
}


@pytest.mark.parametrize(("host", "outcomes", "reached"), REACHED.values(), ids=REACHED)
def test_whoever_answers_is_reached(host, outcomes, reached):
    """Only when nobody got more than a broken connection or a 421 was the destination not reached."""
    assert shaping.reached(Attempted(host, dict(enumerate(outcomes)), "")) is reached


def test_pauses_double_up_to_five_minutes():
    """One second after the first failure, five minutes after the tenth and every later one."""
    pauses = [shaping.pause(failures) // 1000 for failures in (1, 2, 3, 9, 10, 11, 10_000)]
    assert pauses == [1, 2, 4, 256, 300, 300, 300]


@pytest.mark.parametrize(
    ("next_try", "started", "counts"), [(None, 0, True), (NOW, -1, False), (NOW, 0, True), (NOW, 9, True)]
)
def test_what_failed_together_is_one_failure(next_try, started, counts):
    """A failure of an attempt that began before the last pause was over makes no longer one."""
    assert shaping.counts(Gate("hop", failures=1, next_try=next_try), NOW + started) is counts


def one(account_id, queue_id, envelope=0, path="x"):
    return Candidate(queue_id, path, account_id, envelope)


def test_accounts_take_turns():
    """Each account's first mail transaction, then each one's second, in the order of the accounts found."""
    hog = [one(1, at) for at in range(100, 110)]
    found = [*hog, one(2, 200), one(3, 300), one(3, 301), *hog]
    assert [each.queue_id for each in choose(found, 6)] == [100, 200, 300, 101, 301, 102]


def test_a_mail_transaction_is_taken_whole_up_to_100_recipients():
    """The recipients of one envelope count as one; those of another envelope of the message as another."""
    found = [one(1, 7, envelope, f"{at}@b.test") for envelope in (0, 1) for at in range(30)]
    assert len(choose(found, 1)) == 30
    assert len(choose(found, 2)) == 60
    assert len(choose([one(1, 7, 0, f"{at}@b.test") for at in range(250)], 9)) == 100


def test_the_look_goes_on_where_it_was_left_off():
    """After the last account that was served; who has nothing due is passed by; at the end it begins again."""
    passed = [(3, 30), (4, None), (5, 50), (6, 60)]
    assert left_off(passed, {3, 5, 6}, 2) == 0
    assert left_off(passed, {3, 5}, 2) == 5
    assert left_off(passed, {3}, 2) == 4
    assert left_off(passed, set(), 2) == 2
    full = [(account_id, None) for account_id in range(1, shaping.ACCOUNTS_PER_LOOK + 1)]
    assert left_off(full, set(), 0) == shaping.ACCOUNTS_PER_LOOK


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=12), room=st.integers(1, 8), turn=st.integers(0, 12)
)
def test_a_tenant_with_much_delays_nobody(sizes, room, turn):
    """Whoever has however much, in one round of the accounts each is served, and no slot is left empty."""
    waiting = [one(account, account * 100 + at) for account, size in enumerate(sizes, 1) for at in range(size)]
    accounts, served = {each.account_id for each in waiting}, set()
    for _ in range(-(-len(accounts) // room)):
        found = rotated(waiting, turn)
        chosen = choose(found, room)
        assert len(chosen) == min(room, len(waiting))
        now_served = {each.account_id for each in chosen}
        turn = left_off([(each.account_id, each.queue_id) for each in found], now_served, turn)
        served |= now_served
        waiting = sorted({*waiting} - {*chosen})
    assert served == accounts
