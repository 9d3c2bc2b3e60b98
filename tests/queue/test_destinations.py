"""Destinations as the operator sees and commands them."""

import pytest

from postroad.mail.outcome import Delayed, Relayed
from postroad.queue import destinations, shaping
from postroad.queue.destinations import Destination
from postroad.queue.rota import Rota
from tests.queue_kit import NOW, OK, UNREACHED, accept, claim, settled


@pytest.fixture
def connection(engine):
    """A connection that writes to an empty database."""
    with engine.connect() as opened, opened.begin():
        yield opened


def shown(connection, now=NOW, limit=50):
    return {one.destination: one for one in destinations.listing(connection, now, limit=limit)}


def test_a_listing_says_how_much_waits_and_why(connection):
    """What waits, is tried, could not be reached, until when; those with most first, suspended ones always."""
    accept(connection, ("a@closed.test",))
    settled(connection, claim(connection)[0], Delayed(UNREACHED))
    accept(connection, ("a@closed.test",))
    accept(connection, ("a@tried.test", "b@tried.test", "c@tried.test"))
    claim(connection)
    accept(connection, ("d@tried.test",), now=NOW + 5)
    destinations.suspend(connection, "nothing.test")
    opens = NOW + shaping.FIRST_PAUSE
    assert list(shown(connection).values()) == [
        Destination("tried.test", "open", 4, 1, 0, NOW + 5, None),
        Destination("closed.test", "closed", 2, 0, 1, opens, UNREACHED),
        Destination("nothing.test", "suspended", 0, 0, 0, None, None),
    ]
    assert shown(connection, opens)["closed.test"].state == "probing"
    assert [*shown(connection, limit=1)] == ["tried.test", "nothing.test"]


def test_a_suspended_destination_gets_nothing_until_it_is_resumed(connection):
    """Who waits for it does not grow old; resumed it is looked at by nodes that had set it aside."""
    rota, later = Rota(), NOW + 2 * shaping.PATIENCE
    accept(connection, ("a@b.test",))
    settled(connection, claim(connection)[0], Delayed(UNREACHED))
    accept(connection, ("b@b.test",))
    assert destinations.suspend(connection, "b.test")
    assert not destinations.suspend(connection, "b.test")
    accept(connection, ("a@c.test",))
    [other] = claim(connection, now=NOW + 9, rota=rota)
    assert other.destination == "c.test"
    settled(connection, other, Relayed(OK))
    assert claim(connection, now=later, rota=rota) == []
    assert claim(connection, now=later) == []
    assert destinations.resume(connection, "b.test", later + 1)
    assert [one.destination for one in claim(connection, now=later + 1, rota=rota)] == ["b.test", "b.test"]
    assert not destinations.resume(connection, "b.test", later)
    assert destinations.waiting_for(connection, "b.test") == 2
