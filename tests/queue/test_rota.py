"""What a node remembers of destinations between claims: a model of a database beside it, and no database."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.mail.envelope import LOCAL
from postroad.queue import rota as module
from postroad.queue.rota import LATE, LOOKS, PIECE_PAUSE, Rota
from tests.queue_kit import NOW


def anybody(_):
    return True


def turn(rota):
    return rota.turn(anybody, only_here=False)


def look_out(rota, now=NOW, due=(), *, last=None, in_flight=None):
    """A claim that begins, and is shown these in the round if it goes on."""
    rota.begin(now)
    rota.reopen(now, in_flight or {})
    if rota.wants_piece(now):
        rota.went_round(now, due, last)
    rota.confirm()


def test_it_is_crowded_while_something_due_has_no_room():
    """Passed over for want of a share, or behind a full gate; not when nothing is due, nor behind a closed one."""
    rota = Rota()
    assert not rota.crowded
    look_out(rota, due=["a"])
    assert rota.turn(lambda _: False, only_here=False) == []
    assert rota.crowded
    rota.full("a", NOW, 1)
    assert rota.crowded
    look_out(rota, NOW + 1, in_flight={"a": 0})
    rota.shut("a", NOW + 1, NOW + 2)
    assert not rota.crowded


def test_the_first_round_hurries_and_later_ones_do_not():
    """At the start each claim goes on until all destinations were passed by; then it is a piece each second."""
    rota = Rota()
    look_out(rota, due=["a"], last="b")
    assert (rota.goes_on, rota.position) == (True, "b")
    look_out(rota, due=["c"])
    assert (rota.goes_on, rota.position, turn(rota)) == (False, "", ["a", "c"])
    assert not rota.wants_piece(NOW + PIECE_PAUSE - 1)
    assert rota.wants_piece(NOW + PIECE_PAUSE)


def test_what_is_due_is_looked_for_since_the_last_look():
    """And a little before it, as what was committed late was due earlier."""
    rota = Rota()
    assert rota.begin(NOW) == NOW - LATE
    rota.confirm()
    assert rota.begin(NOW + 500) == NOW - LATE


@pytest.mark.parametrize("why", ["undone", "the clock went back"])
def test_a_rota_that_cannot_be_right_begins_anew(why):
    """What a claim that was rolled back has noted never happened; times of another clock mean nothing."""
    rota = Rota()
    look_out(rota, due=["a", "b", "c"])
    rota.full("a", NOW, 3)
    rota.shut("b", NOW, NOW + 9)
    if why == "undone":
        rota.begin(NOW)
    rota.begin(NOW if why == "undone" else NOW - 1)
    assert (turn(rota), rota.goes_on, rota.wants_piece(NOW)) == ([], True, True)
    rota.reopen(NOW + 99, {})
    assert turn(rota) == []


def test_more_than_can_be_seen_begins_a_round():
    """From the start; and when one hurries already, another after it."""
    rota = Rota()
    look_out(rota)
    rota.saw({}, NOW)
    assert not rota.goes_on
    rota.saw({}, NOW + 1)
    assert rota.goes_on
    rota.went_round(NOW, [], "m")
    rota.saw({}, NOW + 1)
    assert rota.position == "m"
    rota.went_round(NOW, [], None)
    assert (rota.goes_on, rota.position) == (True, "")
    rota.went_round(NOW, [], None)
    assert not rota.goes_on


def test_who_is_full_is_ready_when_fewer_are_in_flight():
    """Or when something more has become due, as an order of the operator does."""
    rota = Rota()
    look_out(rota, due=["a", "b"])
    rota.full("a", NOW, 3)
    rota.full("b", NOW, 0)
    rota.reopen(NOW, {"a": 3})
    rota.saw({"a": NOW, "b": NOW}, NOW)
    assert turn(rota) == []
    rota.reopen(NOW, {"a": 2})
    rota.saw({"b": NOW + 1}, NOW)
    assert turn(rota) == ["a", "b"]


def test_who_is_shut_is_ready_when_the_pause_is_over():
    """Not before; and a pause that was replaced by a longer one is forgotten."""
    rota = Rota()
    look_out(rota, due=["a"])
    rota.shut("a", NOW, NOW + 10)
    rota.reopen(NOW + 9, {})
    assert turn(rota) == []
    rota.shut("a", NOW, NOW + 20)
    rota.reopen(NOW + 19, {})
    assert turn(rota) == []
    rota.reopen(NOW + 20, {})
    assert turn(rota) == ["a"]


def test_deliveries_here_are_looked_at_first_and_always():
    """Also when the slots for next hops are all taken."""
    rota = Rota()
    look_out(rota, due=["a", "b", LOCAL])
    assert turn(rota) == [LOCAL, "a", "b"]
    assert rota.turn(anybody, only_here=True) == [LOCAL]
    assert rota.turn(lambda name: name != "a", only_here=False) == [LOCAL, "b"]


def test_a_claim_looks_at_so_many():
    """The others are before those that were looked at, the next time."""
    rota = Rota()
    names = [f"{at:03}" for at in range(LOOKS + 2)]
    look_out(rota, due=names)
    first = turn(rota)
    assert (first, rota.goes_on) == (names[:LOOKS], True)
    for name in first:
        rota.again(name)
    assert turn(rota)[:3] == [*names[LOOKS:], names[0]]


def test_answers_are_counted_until_there_is_none(monkeypatch):
    """And of so many destinations, those that were asked last."""
    monkeypatch.setattr(module, "REMEMBERED", 2)
    rota = Rota()
    for reached in (True, True, None):
        rota.answered("a", reached=reached)
    assert (rota.answers("a"), rota.answers("b")) == (2, 0)
    rota.answered("b", reached=True)
    rota.answered("a", reached=True)
    rota.answered("c", reached=True)
    assert [rota.answers(name) for name in "abc"] == [3, 0, 1]
    rota.answered("a", reached=False)
    assert rota.answers("a") == 0


DESTINATIONS = 400
FATES = st.sampled_from(["open", "full", "shut", "later", "busy"])


@settings(deadline=None, max_examples=60)
@given(fates=st.lists(FATES, min_size=1, max_size=DESTINATIONS), piece=st.integers(1, 40), seen=st.booleans())
def test_every_destination_that_is_due_has_its_turn(fates, piece, seen):
    """Among however many that are closed, full, elsewhere at work or not due, whether its arrival was seen or not.

    It takes the claims of one round, and one for each `LOOKS` that are due.
    """
    names = {f"{at:03}": fate for at, fate in enumerate(fates)}
    due = {name for name, fate in names.items() if fate != "later"}
    waits = {name for name in due if names[name] == "open"}
    rota, claims = Rota(), 0
    bound = -(-len(names) // piece) + 1 + -(-len(due) // LOOKS)
    while waits and claims <= bound:
        now, claims = NOW + claims, claims + 1
        rota.begin(now)
        rota.reopen(now, dict.fromkeys(names, 1))
        rota.saw(dict.fromkeys(due, NOW) if seen else {}, 0)
        if rota.wants_piece(now):
            walked = [name for name in sorted(names) if name > rota.position][:piece]
            rota.went_round(now, due.intersection(walked), walked[-1] if len(walked) == piece else None)
        looks = turn(rota)
        assert len(looks) <= LOOKS
        for name in looks:
            act = {"open": rota.done, "busy": rota.again}.get(names[name])
            if act:
                act(name)
            elif names[name] == "full":
                rota.full(name, now, 1)
            else:
                rota.shut(name, now, NOW + 1_000_000)
        due -= waits.intersection(looks)
        waits -= set(looks)
        rota.confirm()
    assert not waits
