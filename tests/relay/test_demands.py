"""Whose word counts for a hop: DANE's, then MTA-STS's, and never less than the operator's."""

import asyncio

import pytest
from structlog.testing import capture_logs

from postroad.mail.outcome import Content
from postroad.relay.demands import DemandsByPolicy, always, never
from postroad.relay.resolver import Resolver
from postroad.relay.route import Route, Target
from postroad.relay.security import PLAINTEXT, Contexts, Demand
from postroad.relay.sts import Policy
from postroad.smtp.session import SessionError
from tests.name_server import answering

CONTEXTS = Contexts()
DIGEST = "ab" * 32
ZONE = f"""
mx.a.test. 60 IN A 127.0.0.1
mx.a.test. 60 IN AAAA 2a00::1
_25._tcp.mx.a.test. 60 IN TLSA 3 1 1 {DIGEST}
_25._tcp.mx.a.test. 60 IN TLSA 1 1 1 {DIGEST}
_25._tcp.mx.a.test. 60 IN TLSA 2 1 1 {DIGEST}
none.a.test. 60 IN A 127.0.0.1
empty.a.test. 60 IN A 127.0.0.1
_25._tcp.empty.a.test. 60 IN TXT "nothing"
pkix.a.test. 60 IN A 127.0.0.1
_25._tcp.pkix.a.test. 60 IN TLSA 1 1 1 {DIGEST}
alias.a.test. 60 IN CNAME mx.a.test.
outer.a.test. 60 IN CNAME none.a.test.
_25._tcp.outer.a.test. 60 IN TLSA 3 1 1 {DIGEST}
broken.a.test. 60 IN A 127.0.0.1
gone.test. 60 IN TXT "no address"
unsigned.test. 60 IN A 127.0.0.1
_25._tcp.unsigned.test. 60 IN TLSA 3 1 1 {DIGEST}
half.test. 60 IN A 127.0.0.1
_25._tcp.half.test. 60 IN TLSA 3 1 1 {DIGEST}
"""
UNSIGNED = ("unsigned.test", "_25._tcp.half.test")
BOGUS = ("_25._tcp.broken.a.test", "lost.test")


@pytest.fixture(scope="module")
def name_server():
    """One that validates."""
    with answering(ZONE, signed=True, unsigned=UNSIGNED, bogus=BOGUS) as address:
        yield address


class Said:
    """The policies of domains, as said here."""

    def __init__(self, policy):
        self.policy = policy

    async def of(self, domain):
        return self.policy


ENFORCE, TESTING = Policy("enforce", 1, ("*.a.test",)), Policy("testing", 1, ("*.a.test",))
NONE = Policy("none", 1)


def content(*, tls_optional=False):
    """What is to be sent there."""
    return Content(7, 1, 1, eight_bit=False, utf8_header=False, tls_optional=tls_optional, chunks=lambda: None)


def demand(
    name_server,
    host="none.a.test",
    *,
    policy=None,
    trusted=True,
    authentic=True,
    address="127.0.0.1",
    tls_optional=False,
    **own,
):
    """The demand on a server of a.test."""
    resolver = Resolver(name_server, trusted=trusted, lifetime=2.0)
    demands = DemandsByPolicy(resolver, Said(policy), CONTEXTS, **own).to("a.test")
    hop = Target(host, address)
    return asyncio.run(demands(Route((hop,), authentic), hop, content(tls_optional=tls_optional)))


def shown(found: Demand) -> str:
    """A demand in words."""
    names = {
        CONTEXTS.opportunistic: "any",
        CONTEXTS.encrypted: "encrypted",
        CONTEXTS.dane: "encrypted",
        CONTEXTS.verified: "verified",
    }
    dane = f" for {found.identity}" if found.associations else ""
    second = f", or {shown(found.second)}" if found.second else ""
    must = "must be " if found.required else ""
    return f"{must}{names[found.context]} ({found.policy}{dane}){second}"


OPPORTUNISTIC, OURS = "any (no-policy-found)", "must be {} (no-policy-found)"
DANE, BY_STS = "must be encrypted (tlsa for mx.a.test)", "must be verified (sts)"
DEMANDS = {
    "nothing said": ({}, OPPORTUNISTIC),
    "no resolver that is trusted": ({"host": "mx.a.test", "trusted": False}, OPPORTUNISTIC),
    "no proof of the exchanges": ({"host": "mx.a.test", "authentic": False}, OPPORTUNISTIC),
    "no proof of the address": ({"host": "unsigned.test"}, OPPORTUNISTIC),
    "no proof of the TLSA records": ({"host": "half.test"}, OPPORTUNISTIC),
    "no TLSA records, but others": ({"host": "empty.a.test"}, OPPORTUNISTIC),
    "DANE": ({"host": "mx.a.test"}, DANE),
    "DANE over IPv6": ({"host": "mx.a.test", "address": "2a00::1"}, DANE),
    "DANE of what an alias stands for": ({"host": "alias.a.test"}, DANE),
    "DANE of the alias": ({"host": "outer.a.test"}, DANE.replace("mx", "outer")),
    "DANE before MTA-STS": ({"host": "mx.a.test", "policy": ENFORCE}, DANE),
    "DANE before a policy that forbids": (
        {"host": "mx.a.test", "policy": Policy("enforce", 1, ("b.test",))},
        DANE,
    ),
    "DANE before our own": ({"host": "mx.a.test", "level": "verified"}, DANE),
    "records of no use": ({"host": "pkix.a.test"}, "must be encrypted (tlsa)"),
    "records of no use, and a policy": ({"host": "pkix.a.test", "policy": ENFORCE}, BY_STS),
    "records of no use, and our own": ({"host": "pkix.a.test", "level": "verified"}, OURS.format("verified")),
    "records of no use, and testing": (
        {"host": "pkix.a.test", "policy": TESTING},
        "verified (sts), or must be encrypted (tlsa)",
    ),
    "enforce": ({"policy": ENFORCE}, BY_STS),
    "enforce without trust in the DNS": ({"policy": ENFORCE, "trusted": False}, BY_STS),
    "enforce, and our own": ({"policy": ENFORCE, "level": "required"}, BY_STS),
    "testing": ({"policy": TESTING}, f"verified (sts), or {OPPORTUNISTIC}"),
    "testing of others": ({"host": "empty.a.test", "policy": Policy("testing", 1, ("b.test",))}, OPPORTUNISTIC),
    "testing, and TLS required": (
        {"policy": TESTING, "level": "required"},
        f"verified (sts), or {OURS.format('encrypted')}",
    ),
    "testing, and verified": ({"policy": TESTING, "level": "verified"}, BY_STS),
    "a policy of none": ({"policy": NONE}, OPPORTUNISTIC),
    "required": ({"level": "required"}, OURS.format("encrypted")),
    "verified": ({"level": "verified"}, OURS.format("verified")),
    "required of the domain": ({"required": ["b.test", "a.test"]}, OURS.format("encrypted")),
    "required of those below one above": ({"required": [".test"]}, OURS.format("encrypted")),
    "required of those below it": ({"required": [".a.test"]}, OPPORTUNISTIC),
    "required of one that ends alike": ({"required": ["test", "xa.test"]}, OPPORTUNISTIC),
    "required of the domain, verified of all": (
        {"required": ["a.test"], "level": "verified"},
        OURS.format("verified"),
    ),
}


@pytest.mark.parametrize(("options", "words"), DEMANDS.values(), ids=DEMANDS)
def test_whose_word_counts(name_server, options, words):
    """DANE where the DNS is proven, else MTA-STS, else the operator's; the stricter where both can be had."""
    assert shown(demand(name_server, **options)) == words


# What the author of mail with `TLS-Required: No` gets: a policy is followed where it can be, ours always.
WAIVED = {
    "nothing said": ({}, OPPORTUNISTIC),
    "DANE": ({"host": "mx.a.test"}, f"encrypted (tlsa for mx.a.test), or {OPPORTUNISTIC}"),
    "records of no use": ({"host": "pkix.a.test"}, f"encrypted (tlsa), or {OPPORTUNISTIC}"),
    "records of no use, and testing": (
        {"host": "pkix.a.test", "policy": TESTING},
        f"verified (sts), or {OPPORTUNISTIC}",
    ),
    "enforce": ({"policy": ENFORCE}, f"verified (sts), or {OPPORTUNISTIC}"),
    "testing": ({"policy": TESTING}, f"verified (sts), or {OPPORTUNISTIC}"),
    "enforce for others": ({"host": "empty.a.test", "policy": Policy("enforce", 1, ("b.test",))}, OPPORTUNISTIC),
    "the TLSA records cannot be had": ({"host": "broken.a.test"}, OPPORTUNISTIC),
    "and our own": ({"host": "broken.a.test", "level": "required"}, OURS.format("encrypted")),
    "enforce, and our own": (
        {"policy": ENFORCE, "level": "required"},
        f"verified (sts), or {OURS.format('encrypted')}",
    ),
    "enforce, and required of the domain": (
        {"policy": ENFORCE, "required": ["a.test"]},
        f"verified (sts), or {OURS.format('encrypted')}",
    ),
    "DANE, and our own": (
        {"host": "mx.a.test", "level": "verified"},
        f"encrypted (tlsa for mx.a.test), or {OURS.format('verified')}",
    ),
    "only our own": ({"level": "required"}, OURS.format("encrypted")),
}


@pytest.mark.parametrize(("options", "words"), WAIVED.values(), ids=WAIVED)
def test_an_author_can_waive_what_the_recipients_domain_demands(name_server, options, words):
    """Not what the operator demands (RFC 8689 section 4.2.2)."""
    assert shown(demand(name_server, tls_optional=True, **options)) == words


FORBIDDEN = {
    "the TLSA records cannot be had": ({"host": "broken.a.test"}, "dnssec-invalid"),
    "the address cannot be had any more": ({"host": "lost.test"}, "dnssec-invalid"),
    "the address is gone": ({"host": "nowhere.test"}, "dnssec-invalid"),
    "no server of the policy": (
        {"host": "empty.a.test", "policy": Policy("enforce", 1, ("b.test",))},
        "validation-failure",
    ),
}


@pytest.mark.parametrize(("options", "result"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_some_hops_get_nothing(name_server, options, result):
    """Not now: 4.7.5, with the reason in the conversation and a result in the log."""
    with capture_logs() as logged, pytest.raises(SessionError) as caught:
        demand(name_server, **options)
    reply = caught.value.reply
    assert (reply.code, reply.status, reply.ours) == (451, "4.7.5", True)
    assert caught.value.transcript == (f"= {reply.text}",)
    assert [line["result"] for line in logged] == [result]


def test_testing_tells_of_other_servers(name_server):
    """A server that a testing policy does not name gets its mail, and a line in the log."""
    with capture_logs() as logged:
        demand(name_server, "empty.a.test", policy=Policy("testing", 1, ("b.test",)))
    assert [(line["policy"], line["result"]) for line in logged] == [("sts", "validation-failure")]


def test_the_same_demand_is_equal(name_server):
    """So that a session is kept for the next message."""
    for options, _ in DEMANDS.values():
        assert hash(demand(name_server, **options)) == hash(demand(name_server, **options))
        assert demand(name_server, **options) == demand(name_server, **options)


def test_a_demand_may_be_the_same_for_all():
    """As to a smart host, or without any."""
    one = CONTEXTS.demand("required")
    assert asyncio.run(always(one)(Route(()), Target("a", "b"), content(tls_optional=True))) is one
    assert asyncio.run(never(Route(()), Target("a", "b"), content())) is PLAINTEXT
