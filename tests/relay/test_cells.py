"""Every fault at every stage of a mail server with a good one behind it, against an oracle of its own."""

import pytest

from tests.relay.cells import BABBLE, LOSSES, asks_the_second, cells, expected, play_all


@pytest.fixture(scope="module")
def played():
    """All cells, played."""
    return play_all()


def test_there_are_768_cells():
    """12 stages, 16 faults, one recipient or three, with and without PIPELINING."""
    assert len(set(cells())) == 768


@pytest.mark.parametrize("cell", cells(), ids=str)
def test_a_cell(played, cell):
    """Outcome, reply, doubt and copies of each recipient are the oracle's; the second host is asked as it says."""
    found = played[cell]
    assert found.fault_reached, "the cell was not put to the test"
    assert found.fates == expected(cell)
    assert found.second_asked == asks_the_second(cell)
    assert found.marked, "content was ended without a mark"


def test_nobody_has_two_copies_without_doubt(played):
    """In one attempt nobody gets two copies; who has one and is not relayed is in doubt."""
    for cell, found in played.items():
        if cell.stage == "DOT_AFTER_COMMIT" and cell.fault not in LOSSES | BABBLE:
            continue  # it said no, and keeps it
        for fate in found.fates.values():
            copies = fate.first_has_it + fate.second_has_it
            assert copies == (fate.outcome == "Relayed") or (fate.in_doubt and copies <= 1), cell
