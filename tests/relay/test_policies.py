"""Policies over time: kept while they hold, fetched again when they change, not asked for without end."""

import asyncio
from contextlib import ExitStack

import pytest
from sqlalchemy import false

from postroad.database.engine import Database
from postroad.database.schema import sts_policy
from postroad.refusals import StorageUnhealthy
from postroad.relay.policies import PAUSE, REFRESH, Kept, Policies, keep, kept_for
from postroad.relay.resolver import Resolver
from postroad.relay.security import Result
from postroad.relay.sts import NoPolicyError, Policy
from tests.name_server import answering

NOW = 1_700_000_000_000
DAY = 24 * 60 * 60
FIRST = Policy("enforce", 30 * DAY, ("mx.a.test",))
SECOND = Policy("testing", 30 * DAY, ("*.a.test",))
RECORD = '_mta-sts.a.test. 0 IN TXT "v=STSv1; id={};"'


class Files:
    """Has the policies of domains, or none; counts how often it was asked."""

    def __init__(self):
        self.has = FIRST
        self.asked = 0

    async def fetch(self, domain):
        self.asked += 1
        await asyncio.sleep(0)
        if self.has is None:
            raise NoPolicyError(Result.STS_POLICY_FETCH_ERROR, f"nothing of {domain}")
        return self.has


class Node:
    """A node at a moment; `says` is the id that the domain announces, `None` for no record, "" for no answer."""

    def __init__(self, database):
        self.database = database
        self.files = Files()
        self.now = NOW
        self.says = "1"
        self._failed = {}

    def policy(self, *, times=1, domain="a.test"):
        """What is found, by so many at once."""
        zone = RECORD.format(self.says) if self.says else "other.test. 60 IN A 8.8.8.8"
        with answering(zone, bogus=["_mta-sts.a.test"] if self.says == "" else []) as address:

            async def run():
                resolver = Resolver(address, lifetime=1.0)
                policies = Policies(resolver, self.files.fetch, self.database, lambda: self.now, self._failed)
                return await asyncio.gather(*(policies.of(domain) for _ in range(times)))

            found = set(asyncio.run(run()))
        assert len(found) == 1
        return found.pop()


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A database."""
    with ExitStack() as stack:
        database = Database(tmp_path_factory.mktemp("database"), floor=0)
        stack.callback(database.close)
        yield database


@pytest.fixture
def node(opened):
    """A node that knows no policy yet."""
    opened.submit(lambda connection: connection.execute(sts_policy.delete())).result()
    return Node(opened)


def test_a_policy_is_fetched_once(node):
    """By the first of many that ask at once; the others, and those after them, find it kept."""
    assert node.policy(times=20) == FIRST
    assert Node(node.database).policy() == FIRST
    assert node.files.asked == 1


def test_nothing_is_fetched_where_nothing_is_announced(node):
    """A domain without a record is not asked for a file."""
    node.says = None
    assert node.policy() is None
    assert node.files.asked == 0


def test_a_new_id_brings_the_new_policy(node):
    """As the old one is not the domain's word any more."""
    node.policy()
    node.says, node.files.has = "2", SECOND
    assert node.policy() == SECOND
    assert (node.policy(), node.files.asked) == (SECOND, 2)


SUPPRESSIONS = {
    "the record is gone": {"says": None},
    "the record cannot be had": {"says": ""},
    "a new policy cannot be had": {"says": "2", "has": None},
}


@pytest.mark.parametrize("suppression", SUPPRESSIONS.values(), ids=SUPPRESSIONS)
def test_a_policy_holds_for_its_time(node, suppression):
    """Whoever suppresses its record or its file does not end it before (RFC 8461 section 5.1)."""
    node.policy()
    node.says = suppression["says"]
    node.files.has = suppression.get("has", SECOND)
    node.now = NOW + 30 * DAY * 1000 - 1
    assert node.policy() == FIRST
    node.now += 1
    assert node.policy() is None


def test_a_failure_is_remembered_for_a_while(node):
    """Mail to a broken domain does not wait for its file each time."""
    node.files.has = None
    assert [node.policy(), node.policy(times=5)] == [None, None]
    assert node.files.asked == 1
    node.files.has = FIRST
    node.now += PAUSE - 1
    assert (node.policy(), node.files.asked) == (None, 1)
    node.now += 1
    assert (node.policy(), node.files.asked) == (FIRST, 2)


def test_a_policy_is_renewed_before_it_is_over(node):
    """After a day, so that it is not over at a moment when somebody suppresses it; a failure changes nothing."""
    node.policy()
    node.now += REFRESH
    node.files.has = None
    assert (node.policy(), node.files.asked) == (FIRST, 2)
    node.files.has = FIRST
    node.now += PAUSE
    assert (node.policy(), node.files.asked) == (FIRST, 3)
    node.now = NOW + 30 * DAY * 1000 + 1
    node.says = None
    assert node.policy() == FIRST


def test_a_short_policy_is_renewed_at_half_its_time(node):
    """One of an hour after half an hour."""
    node.files.has = Policy("enforce", 3600, ("mx.a.test",))
    node.policy()
    node.now += 1_799_999
    assert (node.policy() is None, node.files.asked) == (False, 1)
    node.now += 1
    assert (node.policy() is None, node.files.asked) == (False, 2)


def test_a_policy_without_time_holds_for_the_moment(node):
    """It is for this mail, and is fetched for the next."""
    node.files.has = Policy("enforce", 0, ("mx.a.test",))
    assert node.policy() is not None
    assert node.policy() is not None
    assert node.files.asked == 2


def test_what_is_over_is_removed(node):
    """When another is kept."""
    node.policy()
    node.now += 31 * DAY * 1000
    node.says = "2"
    node.policy()
    rows = node.database.look(lambda connection: connection.execute(sts_policy.select()).all())
    assert [row.policy_id for row in rows] == ["2"]


def test_a_policy_that_cannot_be_kept_holds_all_the_same(node, monkeypatch):
    """A full disk does not take TLS from the mail that goes on; the policy is fetched again."""

    async def full(_unit):
        raise StorageUnhealthy("full")

    monkeypatch.setattr(node.database, "commit", full)
    assert [node.policy(), node.policy()] == [FIRST, FIRST]
    assert node.files.asked == 2


def test_failures_are_remembered_in_bounded_memory(node, monkeypatch):
    """However many domains are broken."""
    monkeypatch.setattr("postroad.relay.policies.REMEMBERED", 2)
    node.files.has = None
    node._failed |= {"x.test": NOW, "y.test": NOW}
    node.policy()
    assert list(node._failed) == ["a.test"]


def test_policies_are_kept_in_any_database(engine):
    """One for each domain, the last; found while it holds."""
    first, second = Kept("1", FIRST, NOW, NOW + 10), Kept("2", SECOND, NOW + 5, NOW + 15)
    with engine.begin() as connection:
        keep(connection, "a.test", first)
        keep(connection, "b.test", first)
        keep(connection, "a.test", second)
        assert kept_for(connection, "a.test", NOW + 14) == second
        assert kept_for(connection, "a.test", NOW + 15) is None
        assert kept_for(connection, "b.test", NOW + 9) == first
        assert kept_for(connection, "c.test", NOW) is None


def test_of_two_nodes_the_first_keeps(engine, monkeypatch):
    """Who comes second, at the same moment, changes nothing and breaks nothing."""
    with engine.begin() as connection:
        keep(connection, "a.test", Kept("1", FIRST, NOW, NOW + 10))
        monkeypatch.setattr(
            "postroad.relay.policies.or_", lambda *_: false()
        )  # the other's row came after we looked
        keep(connection, "a.test", Kept("2", SECOND, NOW, NOW + 10))
        assert kept_for(connection, "a.test", NOW).policy_id == "1"
