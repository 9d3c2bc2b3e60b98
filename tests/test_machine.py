"""What is told of the machine beneath."""

import pytest

from postroad.machine import Moment, faults

BEFORE = Moment(1_790_000_000_000, 1000.0, descriptors=True)
YEAR = 365 * 86_400
FAULTS = {
    "a second passed": (1.0, 1.0, True, {}),
    "the clock is set by a minute": (61.0, 1.0, True, {}),
    "the clock is a year ahead": (1.0 + YEAR, 1.0, True, {"clock": "the clock leapt by +31536000 s"}),
    "the clock is a year behind": (1.0 - YEAR, 1.0, True, {"clock": "the clock leapt by -31536000 s"}),
    "stopped for a minute": (60.0, 60.0, True, {"pause": "nothing ran for 60 s"}),
    "suspended for an hour": (3600.0, 1.0, True, {"clock": "the clock leapt by +3599 s"}),
    "no descriptor is left": (1.0, 1.0, False, {"descriptors": "raise LimitNOFILE"}),
    "all at once": (YEAR, 60.0, False, {"clock": "leapt", "pause": "60 s", "descriptors": "in use"}),
}


@pytest.mark.parametrize(("clock", "passed", "descriptors", "told"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_the_machine_is_told(clock, passed, descriptors, told):
    """A clock that leaps, a pause and the last descriptor are each told of, in words that name the thing."""
    after = Moment(BEFORE.clock + int(clock * 1000), BEFORE.passed + passed, descriptors)
    found = dict(faults(BEFORE, after))
    assert found.keys() == told.keys()
    assert all(words in found[kind] for kind, words in told.items())


def test_descriptors_that_stay_in_use_are_told_of_once():
    """While they stay in use nobody is told again."""
    after = Moment(BEFORE.clock, BEFORE.passed, descriptors=False)
    assert dict(faults(after, after)) == {}
