"""Every fault at every stage of a mail server with a good one behind it, against an oracle of its own."""

import asyncio

import pytest

from postroad.mail.outcome import Failed, Relayed
from tests.relay.cells import BABBLE, LOSSES, asks_the_second, cells, expected, play_all
from tests.relay.test_attempt import PLAIN, Marks, errand, relay_to
from tests.smtp_sink import ALWAYS, EXTENSIONS, Drop, Sink, assert_wire_invariants

PATHS = ["to0@b.test", "to1@b.test", "to2@b.test"]


@pytest.fixture(scope="module")
def played():
    """All cells, played."""
    return play_all()


def test_there_are_1536_cells():
    """12 stages, 16 faults, one recipient or three, with and without PIPELINING, with and without CHUNKING."""
    assert len(set(cells())) == 1536


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
            copies = fate.first_copies + fate.second_copies
            assert copies == (fate.outcome == "Relayed") or (fate.in_doubt and copies <= 1), cell


def in_turn(script, *parts):
    """Attempt each part by one relay, over sessions of its own; the outcomes, the faulty server, the good."""

    async def run():
        offered = (*EXTENSIONS, "CHUNKING")
        async with Sink(script, extensions=offered) as first, Sink(extensions=offered) as second:
            relay = relay_to(first.port, second.port)
            found = []
            for paths in parts:
                found += (await relay.attempt(errand(*paths), Marks())).outcomes.values()
                await relay.sessions.close()
        return found, first, second

    found, first, second = asyncio.run(run())
    for session in (*first.sessions, *second.sessions):
        assert_wire_invariants(session)
    return found, first, second


@pytest.mark.parametrize("recipients", [1, 3])
@pytest.mark.parametrize("stage", ["BDAT", "CHUNK", "DOT"])
@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_bdat_is_not_known_though_offered(code, stage, recipients):
    """However much of the chunk it has read, that server is asked again at once, and ever after, by DATA."""
    paths = PATHS[:recipients]
    found, first, second = in_turn({(stage, 1): f"{code} 5.5.1 what?"}, paths, paths)
    assert [type(outcome) for outcome in found] == [Relayed] * 2 * recipients
    assert [message.content for message in first.messages] == [PLAIN, PLAIN]
    asked = [any(line.startswith(b"BDAT") for line in session.commands) for session in first.sessions]
    assert asked == [True, False, False]
    assert not second.sessions


@pytest.mark.parametrize(
    ("fault", "outcomes", "sessions"),
    [
        ({("DATA", ALWAYS): "502 5.5.1 what?"}, {Failed}, (2, 0)),  # knows no content at all: that is its refusal
        ({("CONNECT", 2): Drop()}, {Relayed}, (2, 1)),  # is not there any more: the next host
        ({("MAIL", 2): Drop()}, {Relayed}, (2, 1)),
    ],
    ids=["DATA neither", "no second session", "no second transaction"],
)
def test_a_server_without_bdat_is_asked_again_once(fault, outcomes, sessions):
    """What it does then counts as if it never had offered CHUNKING."""
    found, first, second = in_turn({("BDAT", ALWAYS): "502 5.5.1 what?"} | fault, PATHS)
    assert set(map(type, found)) == outcomes
    assert (len(first.sessions), len(second.sessions)) == sessions
