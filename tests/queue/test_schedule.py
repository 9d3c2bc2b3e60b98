"""The schedule: tries, jitter, notices, the end, and clocks that leap."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.queue.schedule import (
    DAY,
    GIVE_UP_AFTER,
    HOUR,
    JITTER,
    LONGEST_PAUSE,
    MINUTE,
    PAUSES,
    gives_up,
    next_try,
    notices_due,
)

YEAR = 365 * DAY
ACCEPTED = 1_700_000_000_000
CHANCES = st.floats(0, 1, exclude_max=True)


def tries(chance):
    """When a recipient that is always delayed is tried: milliseconds after acceptance."""
    at, found = 0, []
    while True:
        found.append(at)
        if gives_up(ACCEPTED, ACCEPTED + at):
            return found
        at = next_try(len(found), ACCEPTED, ACCEPTED + at, chance) - ACCEPTED


def test_tries_without_jitter_fall_where_they_should():
    """At 0, 1, 6, 16, 31 and 61 minutes, then 1, 2 and 4 hours apart, at last when five days are over."""
    found = [at / MINUTE for at in tries(0)]
    assert found[:10] == [0, 1, 6, 16, 31, 61, 121, 241, 481, 721]
    assert {later - earlier for earlier, later in itertools.pairwise(found[8:-1])} == {240}
    assert found[-1] == 5 * 24 * 60


@pytest.mark.parametrize("chance", [0, 0.25, 0.5, 0.75, 0.999])
def test_a_recipient_gets_about_36_tries(chance):
    """Five days hold 31 to 38 of them, whatever chance draws; two fall within the first hour."""
    found = tries(chance)
    assert 31 <= len(found) <= 38
    assert sum(at <= HOUR for at in found) >= 2
    assert found[-1] == GIVE_UP_AFTER


def test_a_greylist_of_15_minutes_is_met():
    """The fourth try falls behind 15 minutes, however little jitter there is."""
    assert tries(0)[3] > 15 * MINUTE


@given(st.integers(1, 100), CHANCES)
def test_jitter_only_adds_and_at_most_a_fifth(attempts, chance):
    """No pause is shorter than the table's, none is a fifth longer."""
    pause = next_try(attempts, ACCEPTED, ACCEPTED, chance) - ACCEPTED
    wanted = PAUSES[min(attempts, len(PAUSES)) - 1]
    assert wanted <= pause <= wanted * (1 + JITTER) <= LONGEST_PAUSE


@given(st.integers(1, 100), st.integers(0, GIVE_UP_AFTER - 1), CHANCES)
def test_the_next_try_is_never_behind_the_end(attempts, age, chance):
    """While there is time left, the next try lies ahead and at the moment to give up at the latest."""
    now = ACCEPTED + age
    assert now < next_try(attempts, ACCEPTED, now, chance) <= ACCEPTED + GIVE_UP_AFTER


@pytest.mark.parametrize(
    ("tried_at", "last"),
    [(0, False), (GIVE_UP_AFTER - 1, False), (GIVE_UP_AFTER, True), (YEAR, True), (-YEAR, False)],
    ids=["at once", "just before", "five days", "a leap ahead", "a leap back"],
)
def test_the_last_try_begins_five_days_after_acceptance(tried_at, last):
    """A try that began earlier is never the last one, however late it ended."""
    assert gives_up(ACCEPTED, ACCEPTED + tried_at) is last


def test_a_leap_ahead_during_a_try_does_not_expire_it():
    """A try begun in time leads to another, at a pause from the leapt clock."""
    now = ACCEPTED + YEAR
    assert not gives_up(ACCEPTED, ACCEPTED)
    assert next_try(1, ACCEPTED, now, 0) == now + MINUTE


def test_a_leap_back_lengthens_no_pause():
    """With a clock before the acceptance the next try is one pause away, and nobody is warned."""
    now = ACCEPTED - YEAR
    assert next_try(9, ACCEPTED, now, 0) == now + 4 * HOUR
    assert notices_due(ACCEPTED, now) == 0


@pytest.mark.parametrize(
    ("age", "notices"),
    [(0, 0), (4 * HOUR - 1, 0), (4 * HOUR, 1), (DAY - 1, 1), (DAY, 2), (GIVE_UP_AFTER, 2), (YEAR, 2)],
)
def test_notices_are_due_after_4_and_24_hours(age, notices):
    """Two in all, never more."""
    assert notices_due(ACCEPTED, ACCEPTED + age) == notices
