"""Where mail goes next: exchanges in their order, checked addresses, and what is said when there is no way."""

import asyncio
import itertools
import random
import socket
from ipaddress import ip_address, ip_network

import pytest
from dnslib import RCODE
from hypothesis import given
from hypothesis import strategies as st

from postroad.relay.resolver import Exchange, Resolver
from postroad.relay.route import ByExchange, CannotRouteError, NextHop, Target, by_turns, fixed, ordered, usable
from tests.name_server import answering
from tests.relay.test_addresses import NOT_PUBLIC

CHANCE = random.Random(1)
HERE = frozenset({"here.test"})
ZONE = """
plain.test. 60 IN MX 10 mx1.plain.test.
plain.test. 60 IN MX 20 mx2.plain.test.
mx1.plain.test. 60 IN A 8.8.8.8
mx1.plain.test. 60 IN AAAA 2a00::8
mx2.plain.test. 60 IN A 9.9.9.9
bare.test. 60 IN A 8.8.4.4
six.test. 60 IN MX 10 mx.six.test.
mx.six.test. 60 IN AAAA 2a00::6
null.test. 60 IN MX 0 .
mixed.test. 60 IN MX 0 .
mixed.test. 60 IN MX 10 mx2.plain.test.
gone.test. 60 IN MX 10 nowhere.test.
gone.test. 60 IN A 8.8.8.8
half.test. 60 IN MX 10 nowhere.test.
half.test. 60 IN MX 20 mx2.plain.test.
ours.test. 60 IN MX 10 here.test.
ours.test. 60 IN MX 20 mx2.plain.test.
backup.test. 60 IN MX 10 mx2.plain.test.
backup.test. 60 IN MX 20 here.test.
backup.test. 60 IN MX 30 mx1.plain.test.
alias.test. 60 IN MX 10 cname.test.
cname.test. 60 IN CNAME mx2.plain.test.
loop.test. 60 IN CNAME pool.test.
pool.test. 60 IN CNAME loop.test.
literal.test. 60 IN MX 10 127.0.0.1.
nothing.test. 60 IN TXT "no mail here"
private.test. 60 IN MX 10 mx.private.test.
private.test. 60 IN MX 20 mx2.plain.test.
mx.private.test. 60 IN A 10.0.0.1
"""


@pytest.fixture(scope="module")
def name_server():
    """One for all tests that only look."""
    with answering(ZONE) as address:
        yield address


def found(address, domain, *, allowed=(), lifetime=5.0):
    """The hops of a domain as text."""
    routes = ByExchange(Resolver(address, lifetime=lifetime), HERE, allowed, chance=CHANCE)
    return [str(hop) for hop in asyncio.run(routes.find(domain)).hops]


def refused(address, domain, **options):
    """Code and status of the reply when there is no way."""
    with pytest.raises(CannotRouteError) as caught:
        found(address, domain, **options)
    return caught.value.reply.code, caught.value.reply.status


ROUTES = {
    "plain.test": ["mx1.plain.test[2a00::8]:25", "mx1.plain.test[8.8.8.8]:25", "mx2.plain.test[9.9.9.9]:25"],
    "bare.test": ["bare.test[8.8.4.4]:25"],
    "six.test": ["mx.six.test[2a00::6]:25"],
    "mixed.test": ["mx2.plain.test[9.9.9.9]:25"],
    "half.test": ["mx2.plain.test[9.9.9.9]:25"],
    "backup.test": ["mx2.plain.test[9.9.9.9]:25"],
    "alias.test": ["cname.test[9.9.9.9]:25"],
    "private.test": ["mx2.plain.test[9.9.9.9]:25"],
}


@pytest.mark.parametrize(("domain", "hops"), ROUTES.items(), ids=ROUTES)
def test_a_domain_is_reached_by_its_exchanges(name_server, domain, hops):
    """By preference; without MX the domain itself; never past this server; never what is not public."""
    assert found(name_server, domain) == hops


REFUSED = {
    "no.such.test": (550, "5.1.2"),
    "null.test": (556, "5.1.10"),
    "gone.test": (550, "5.4.4"),  # its MX exists: the address of the domain itself is no way out
    "nothing.test": (550, "5.4.4"),
    "ours.test": (554, "5.4.6"),
    "loop.test": (550, "5.4.4"),  # asked one by one, its names lead to nothing
    "literal.test": (550, "5.4.4"),
    f"{'x' * 64}.test": (550, "5.1.2"),
    f"{'x.' * 127}test": (550, "5.1.2"),
}


@pytest.mark.parametrize(("domain", "reply"), REFUSED.items(), ids=[name[:20] for name in REFUSED])
def test_no_way_has_a_reply(name_server, domain, reply):
    """Code and status say whether it may mend itself (hardening.md 2F4, 2F5)."""
    assert refused(name_server, domain) == reply


@pytest.mark.parametrize("rcode", [RCODE.SERVFAIL, RCODE.REFUSED, RCODE.NOTIMP])
def test_a_name_server_that_fails_delays(rcode):
    """An MX lookup that fails is not "no MX"."""
    with answering(ZONE, failing=rcode) as address:
        assert refused(address, "bare.test", lifetime=2.0) == (451, "4.4.3")


def test_a_silent_name_server_delays():
    """The question has an end."""
    with answering(ZONE, silent=True) as address:
        assert refused(address, "bare.test", lifetime=0.3) == (451, "4.4.3")


def test_garbage_delays():
    """An answer that is none is waited out, and is no answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as garbled:
        garbled.bind(("127.0.0.1", 0))
        garbled.settimeout(5)

        async def run():
            routes = ByExchange(Resolver(garbled.getsockname(), lifetime=0.5), HERE)
            finding = asyncio.create_task(routes.find("bare.test"))
            octets, peer = await asyncio.to_thread(garbled.recvfrom, 4096)
            for garbage in (b"", b"\0", octets[:2] + b"\xff" * 60, octets[:12] + b"\xc0\x0c" * 40):
                garbled.sendto(garbage, peer)
            await finding

        with pytest.raises(CannotRouteError) as caught:
            asyncio.run(run())
    assert caught.value.reply.status == "4.4.3"


WAYS = {
    "by MX": "victim.test. 60 IN MX 10 mx.victim.test.\nmx.victim.test. 60 IN {kind} {address}",
    "by its own address": "victim.test. 60 IN {kind} {address}",
    "by CNAME": "victim.test. 60 IN MX 10 c.test.\nc.test. 60 IN CNAME d.test.\nd.test. 60 IN {kind} {address}",
}


def test_no_way_leads_to_an_address_that_is_not_public():
    """Each special address by each kind of record: permanently refused, 0 hops (hardening.md 2F1)."""
    for way in WAYS.values():
        zone = "\n".join(
            way.replace("victim", f"v{n}")
            .replace("c.test", f"c{n}.test")
            .replace("d.test", f"d{n}.test")
            .format(kind="AAAA" if ":" in literal else "A", address=ip_address(literal).exploded)
            for n, literal in enumerate(NOT_PUBLIC)
        )
        with answering(zone) as address:
            replies = {refused(address, f"v{n}.test") for n in range(len(NOT_PUBLIC))}
        assert replies == {(550, "5.4.4")}


def test_an_allowed_network_is_reached(name_server):
    """As the operator wants it."""
    hops = found(name_server, "private.test", allowed=[ip_network("10.0.0.0/8")])
    assert hops[0] == "mx.private.test[10.0.0.1]:25"


def test_many_records_make_a_short_route():
    """Of a thousand exchanges five addresses are tried."""
    records = [
        f"many.test. 60 IN MX {n} m{n}.test.\nm{n}.test. 60 IN A 8.8.{n // 250}.{n % 250}" for n in range(300)
    ]
    with answering("\n".join(records)) as address:
        assert len(found(address, "many.test")) == 5


def test_the_smart_host_is_the_whole_route():
    """It may be anywhere."""
    assert asyncio.run(fixed(NextHop("127.0.0.1", 2525))()).hops == (NextHop("127.0.0.1", 2525),)


def test_a_target_says_host_and_address():
    """What is connected to is the address that was checked."""
    target = Target("mx.test", "8.8.8.8")
    assert (str(target), target.address) == ("mx.test[8.8.8.8]:25", "8.8.8.8")


EXCHANGES = st.lists(
    st.builds(Exchange, st.integers(0, 4), st.sampled_from(["", "a", "b", "c", "d", "here.test"])), max_size=12
)


@given(EXCHANGES, st.randoms(use_true_random=False))
def test_order_keeps_preference_and_forgets_nobody(exchanges, chance):
    """Ascending preference, each host once, at the best place it has."""
    found = ordered(exchanges, chance)
    assert [one.preference for one in found] == sorted(one.preference for one in found)
    assert {one.host: one.preference for one in found} == {
        host: min(one.preference for one in exchanges if one.host == host)
        for host in {one.host for one in exchanges}
    }


def test_equal_preferences_share_the_load():
    """Either of two equals is first about half the time."""
    two = [Exchange(10, "a"), Exchange(10, "b")]
    chance = random.Random(7)
    first = [ordered(two, chance)[0].host for _ in range(1000)]
    assert 400 < first.count("a") < 600


@given(EXCHANGES)
def test_nobody_behind_us_is_tried(exchanges):
    """Only what is preferred to this server, and never the root."""
    try:
        found = usable("domain.test", exchanges, HERE)
    except CannotRouteError:
        return
    best = min((one.preference for one in exchanges if one.host in HERE), default=99)
    assert all(one.host and one.host not in HERE and one.preference < best for one in found)


@given(st.integers(0, 9), st.integers(0, 9))
def test_families_take_turns(sixes, fours):
    """While both have addresses left, no two neighbours are of one family."""
    six = [ip_address(f"2a00::{n + 1}") for n in range(sixes)]
    four = [ip_address(f"8.8.8.{n + 1}") for n in range(fours)]
    mixed = by_turns(six, four, chance=CHANCE)
    assert set(mixed) == {*six, *four}
    versions = [one.version for one in mixed[: 2 * min(sixes, fours)]]
    assert all(one != other for one, other in itertools.pairwise(versions))
