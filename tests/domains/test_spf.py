"""What SPF says of an address: RFC 7208, case by case, over a DNS that is a table."""

from ipaddress import ip_address

import pytest

from postroad.domains import spf
from postroad.domains.lookup import UnansweredError

HERE, ELSEWHERE, SIX = "192.0.2.1", "198.51.100.9", "2001:db8::1"


def dns(**records):
    """A table of answers: TXT by bare names, other types after two underscores."""

    def look(name, kind):
        found = records.get(name.removesuffix(".test") + ("" if kind == "TXT" else f"__{kind}"), ())
        if found == "fails":
            raise UnansweredError(f"{name} {kind}: LifetimeTimeout")
        return (found,) if isinstance(found, str) else found

    return look


RESULTS = {
    "no record": ({}, HERE, "none"),
    "another TXT": ({"a": "v=spf10 +all"}, HERE, "none"),
    "two records": ({"a": ("v=spf1 +all", "v=spf1 -all")}, HERE, "permerror"),
    "one among others": ({"a": ("hello", "V=SPF1 +ALL")}, HERE, "pass"),
    "nothing matches": ({"a": "v=spf1 ip4:198.51.100.0/24"}, HERE, "neutral"),
    "nothing said": ({"a": "v=spf1"}, HERE, "neutral"),
    "-all": ({"a": "v=spf1 -all"}, HERE, "fail"),
    "~all": ({"a": "v=spf1 ~all"}, HERE, "softfail"),
    "?all": ({"a": "v=spf1 ?all"}, HERE, "neutral"),
    "an address": ({"a": "v=spf1 ip4:192.0.2.1 -all"}, HERE, "pass"),
    "a network": ({"a": "v=spf1 ip4:192.0.2.77/24 -all"}, HERE, "pass"),
    "another network": ({"a": "v=spf1 ip4:192.0.3.0/24 -all"}, HERE, "fail"),
    "IPv6": ({"a": "v=spf1 ip6:2001:db8::/32 -all"}, SIX, "pass"),
    "IPv4 says nothing of IPv6": ({"a": "v=spf1 ip4:0.0.0.0/0 -all"}, SIX, "fail"),
    "the first that matches": ({"a": "v=spf1 -ip4:192.0.2.1 +all"}, HERE, "fail"),
    "a": ({"a": "v=spf1 a -all", "a__A": HERE}, HERE, "pass"),
    "a of another": ({"a": "v=spf1 a:b.test -all", "b__A": HERE}, HERE, "pass"),
    "a with a prefix": ({"a": "v=spf1 a/24 -all", "a__A": "192.0.2.200"}, HERE, "pass"),
    "a with two prefixes": ({"a": "v=spf1 a:b.test/32//64 -all", "b__AAAA": "2001:db8::9"}, SIX, "pass"),
    "a prefix for IPv4 alone": ({"a": "v=spf1 a/8 -all", "a__AAAA": "2001:db8::9"}, SIX, "fail"),
    "mx": ({"a": "v=spf1 mx -all", "a__MX": ("10 b.test", "20 c.test"), "c__A": HERE}, HERE, "pass"),
    "exists": ({"a": "v=spf1 exists:b.test -all", "b__A": ELSEWHERE}, HERE, "pass"),
    "ptr is not asked": ({"a": "v=spf1 ptr -all"}, HERE, "fail"),
    "include that passes": ({"a": "v=spf1 include:b.test -all", "b": "v=spf1 +all"}, HERE, "pass"),
    "include that fails": ({"a": "v=spf1 include:b.test ?all", "b": "v=spf1 -all"}, HERE, "neutral"),
    "include of nothing": ({"a": "v=spf1 include:b.test +all"}, HERE, "permerror"),
    "redirect": ({"a": "v=spf1 redirect=b.test", "b": "v=spf1 -all"}, HERE, "fail"),
    "redirect counts last": ({"a": "v=spf1 redirect=b.test +all", "b": "v=spf1 -all"}, HERE, "pass"),
    "redirect to nothing": ({"a": "v=spf1 redirect=b.test"}, HERE, "permerror"),
    "other modifiers": ({"a": "v=spf1 exp=b.test x=y +all"}, HERE, "pass"),
    "a loop": ({"a": "v=spf1 include:a.test -all"}, HERE, "permerror"),
    "a loop of redirects": ({"a": "v=spf1 redirect=a.test"}, HERE, "permerror"),
    "ten lookups": ({"a": "v=spf1 " + "a:b.test " * 10 + "+all"}, HERE, "pass"),
    "eleven lookups": ({"a": "v=spf1 " + "a:b.test " * 11 + "+all"}, HERE, "permerror"),
    "a misspelt mechanism": ({"a": "v=spf1 ipv4:192.0.2.1 +all"}, HERE, "permerror"),
    "no network": ({"a": "v=spf1 ip4:300.0.0.1 +all"}, HERE, "permerror"),
    "no term": ({"a": "v=spf1 / +all"}, HERE, "permerror"),
    "a macro": ({"a": "v=spf1 exists:%{i}.b.test -all"}, HERE, "unknown"),
    "no answer": ({"a": "fails"}, HERE, "temperror"),
    "no answer to what is included": ({"a": "v=spf1 include:b.test -all", "b": "fails"}, HERE, "temperror"),
}


@pytest.mark.parametrize(("records", "address", "result"), RESULTS.values(), ids=RESULTS)
def test_a_record_is_judged_as_receivers_judge_it(records, address, result):
    """Results are those of RFC 7208 section 2.6, or unknown where a message decides; errors have a reason."""
    verdict = spf.judge(ip_address(address), "a.test", dns(**records))
    assert verdict.result == result
    assert bool(verdict.why) == (result in ("permerror", "temperror", "unknown"))
