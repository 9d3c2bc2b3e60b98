"""Gates as they are stored: made once, closed and opened by what attempts find."""

import pytest
from sqlalchemy import select

from postroad.database.schema import destination
from postroad.mail.outcome import Delayed, Failed, Relayed
from postroad.queue import gates, shaping
from postroad.queue.shaping import Gate
from tests.queue_kit import LATER, NEVER, NOW, OK, UNREACHED, accept, claim, settled


@pytest.fixture
def connection(engine):
    """A connection that writes to an empty database."""
    with engine.connect() as opened, opened.begin():
        yield opened


def tried(connection, outcome, now=NOW):
    """One message more is tried, and comes to this."""
    accept(connection, ("you@b.test",), now=now)
    settled(connection, claim(connection, now=now)[0], outcome, now)
    return gates.look(connection, "b.test")


def test_a_gate_is_made_by_the_first_claim(connection):
    """Accept makes none; a claim makes one, open, and the next finds it."""
    accept(connection, ("a@b.test",))
    assert gates.look(connection, "b.test") is None
    claim(connection)
    accept(connection, ("b@b.test",))
    claim(connection)
    assert gates.look(connection, "b.test") == Gate("b.test")
    assert len(connection.execute(select(destination)).all()) == 1


def test_two_nodes_that_make_a_gate_at_once_make_one(connection):
    """Who comes second sees that it is there, and its transaction goes on."""
    assert gates._make(connection, "b.test")
    assert not gates._make(connection, "b.test")
    assert gates.locked(connection, ["b.test"]) == {"b.test": Gate("b.test")}


@pytest.mark.parametrize("answer", [Relayed(OK), Failed(NEVER), Delayed(LATER)], ids=str)
def test_an_answer_opens_the_gate(connection, answer):
    """Whatever the server says, it was reached; the failures are forgotten."""
    closed = tried(connection, Delayed(UNREACHED))
    assert closed == Gate("b.test", failures=1, next_try=NOW + 1000, reply=UNREACHED)
    closed = tried(connection, Delayed(UNREACHED), NOW + 1000)
    assert closed == Gate("b.test", failures=2, next_try=NOW + 3000, reply=UNREACHED)
    assert tried(connection, answer, NOW + 3000) == Gate("b.test")


def test_those_under_way_together_fail_once(connection):
    """Twenty that could not connect at the same time close the gate for one pause, not for twenty."""
    for at in range(20):
        accept(connection, (f"{at}@b.test",))
    for mine in claim(connection):
        settled(connection, mine, Delayed(UNREACHED))
    assert gates.look(connection, "b.test").failures == 1


def test_a_gate_is_lifted_by_order(connection):
    """Only those named."""
    tried(connection, Delayed(UNREACHED))
    gates.lift(connection, {"c.test"})
    assert gates.look(connection, "b.test").failures == 1
    gates.lift(connection, {"b.test", "c.test"})
    assert gates.look(connection, "b.test") == Gate("b.test")


def test_a_clock_gone_back_strands_no_gate(connection):
    """Closed for longer than any pause it is probed at once; closed for a pause it stays."""
    tried(connection, Delayed(UNREACHED), NOW + 365 * 86_400_000)
    gates.pull_in(connection, NOW)
    assert gates.look(connection, "b.test").next_try == NOW
    assert gates.next_try(connection, after=NOW - 1) == NOW
    assert gates.next_try(connection, after=NOW) is None
    gates.pull_in(connection, NOW - shaping.LONGEST_PAUSE)
    assert gates.look(connection, "b.test").next_try == NOW
