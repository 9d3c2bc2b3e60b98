"""The live check: what the DNS says of a sending domain, and the cure of what is wrong."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from postroad.domains import records
from postroad.domains.check import Finding, check, seen
from postroad.domains.lookup import UnansweredError, look_up
from postroad.domains.records import Host, Record
from postroad.domains.register import DAY, LINGER, Key, SendingDomain
from tests.name_server import answering

NOW = 1_790_000_000_000
ONE = Key("a.test", "one", "rsa", "A" * 392, NOW, NOW, None)
NEXT = Key("a.test", "next", "ed25519", "B" * 44, NOW, NOW + DAY, None)
OLD = Key("a.test", "old", "rsa", "C" * 392, NOW - 99 * DAY, NOW - 99 * DAY, NOW)
DOMAIN = SendingDomain("a.test", NOW - 99 * DAY, (OLD, ONE, NEXT))
# Public addresses by their form alone: nobody is asked at them.
HOST = Host("mx.a.test", (ip_address("1.2.3.4"), ip_address("2600::1")))
KEY, POINTER = "one._domainkey.a.test", "4.3.2.1.in-addr.arpa"
MX = Record("a.test", "MX", "10 mx.b.test")


def published(*more: Record, without: str = "", kind: str = "TXT") -> dict[tuple[str, str], tuple[str, ...]]:
    """What should be in the DNS and `more`, but for what stands at `without`."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    kept = [one for one in (*records.records(DOMAIN, HOST, NOW), MX) if (one.name, one.type) != (without, kind)]
    for one in (*kept, *more):
        found[one.name, one.type] = (*found.get((one.name, one.type), ()), one.value)
    return found


def findings(table, domain: SendingDomain = DOMAIN, host: Host = HOST) -> list[Finding]:
    return check(domain, host, lambda name, kind: table.get((name, kind), ()), NOW)


def test_all_that_is_published_is_good():
    """A domain whose records are all there has nothing bad, and a name server on loopback says so."""
    table = published(Record("_mta-sts.a.test", "TXT", "v=STSv1; id=1"))
    zone = "".join(f"{line}\n" for line in _lines(table))
    with answering(zone) as address:
        found = check(DOMAIN, HOST, look_up(address), NOW)
    assert [(one.about, one.state) for one in found] == [
        ("DKIM", "good"),
        ("DKIM", "good"),
        ("SPF", "good"),
        ("SPF", "good"),
        ("DMARC", "advice"),
        ("MX", "good"),
        ("MTA-STS", "good"),
        ("TLS-RPT", "good"),
        ("PTR", "good"),
        ("PTR", "good"),
    ]
    assert [one.text for one in found[:2]] == ["the key is signing", "the key is published"]


def _lines(table):
    for (name, kind), values in table.items():
        for value in values:
            line = records.zone([Record(name, kind, value)]).strip()
            yield line.rpartition(": ")[2] if kind == "PTR" else line + "." * (kind == "MX")


def txt(name: str, value: str, **more) -> dict[tuple[str, str], tuple[str, ...]]:
    """All that should be there, with another TXT record at that name."""
    return published(Record(name, "TXT", value), without=name, **more)


RIGHT = f"v=DKIM1; k=rsa; p={ONE.public_key}"
BAD = {
    "no key": (published(without=KEY), "DKIM", "missing", "publish this record"),
    "two keys": (published(Record(KEY, "TXT", "v=DKIM1; p=x")), "DKIM", "wrong", "there are 2 records"),
    "another key": (txt(KEY, "v=DKIM1; k=rsa; p=AB"), "DKIM", "wrong", "another key"),
    "a key cut off": (txt(KEY, RIGHT[:255]), "DKIM", "wrong", "strings of at most 255"),
    "a revoked key": (txt(KEY, "v=DKIM1; p="), "DKIM", "wrong", "revoked"),
    "no tags": (txt(KEY, "hello"), "DKIM", "wrong", "revoked"),
    "another kind": (txt(KEY, RIGHT.replace("rsa", "ed25519")), "DKIM", "wrong", "k= is not rsa"),
    "a key under test": (txt(KEY, RIGHT + "; t=s:y"), "DKIM", "wrong", "t=y"),
    "no SPF": (published(without="a.test"), "SPF", "missing", "publish this record"),
    "two SPF": (published(Record("a.test", "TXT", "v=spf1 -all")), "SPF", "wrong", "make them one"),
    "SPF without us": (
        txt("a.test", "v=spf1 ip6:2600::1 -all"),
        "SPF",
        "wrong",
        "1.2.3.4 may not send (fail): put",
    ),
    "SPF in error": (txt("a.test", "v=spf1 ip4:x -all"), "SPF", "wrong", "x is no network"),
    "no DMARC": (published(without="_dmarc.a.test"), "DMARC", "missing", "publish this record"),
    "two DMARC": (published(Record("_dmarc.a.test", "TXT", "v=DMARC1; p=none")), "DMARC", "wrong", "2 records"),
    "DMARC without p": (txt("_dmarc.a.test", "v=DMARC1; rua=mailto:x@a.test"), "DMARC", "wrong", "its p= is"),
    "null MX": (
        published(Record("a.test", "MX", "0 "), without="a.test", kind="MX"),
        "MX",
        "wrong",
        "takes no mail",
    ),
    "no MX": (published(without="a.test", kind="MX"), "MX", "missing", "go nowhere"),
    "two MTA-STS": (txt("_mta-sts.a.test", "v=STSv1; id=not-a-number"), "MTA-STS", "wrong", "ignore it"),
    "no PTR": (published(without=POINTER, kind="PTR"), "PTR", "missing", "have the provider of 1.2.3.4 name it"),
    "no way back": (
        published(Record(POINTER, "PTR", "x.b.test"), without=POINTER, kind="PTR"),
        "PTR",
        "wrong",
        "x.b.test does not lead back",
    ),
}


@pytest.mark.parametrize(("table", "about", "state", "text"), BAD.values(), ids=BAD)
def test_what_is_bad_is_said_with_its_cure(table, about, state, text):
    """One thing that is missing or wrong gives one bad finding, whose text is its cure."""
    (found,) = [one for one in findings(table) if one.bad]
    assert (found.about, found.state) == (about, state)
    assert text in found.text


@pytest.mark.parametrize("name", [KEY, "a.test", "_dmarc.a.test"])
def test_a_missing_record_is_told_in_full(name):
    """To publish what is missing one need not look elsewhere."""
    (found,) = [one for one in findings(published(without=name)) if one.state == "missing"]
    assert findings(txt(name, found.publish)) == findings(published())


ADVICE = {
    "a retired key": (published(Record("old._domainkey.a.test", "TXT", "x")), "DKIM", "remove the record"),
    "a mild policy": (published(), "DMARC", "p=quarantine"),
    "no MX but an address": (
        published(Record("a.test", "A", "1.2.3.4"), without="a.test", kind="MX"),
        "MX",
        "the domain's own address",
    ),
    "no MTA-STS": (published(), "MTA-STS", "MTA-STS policy"),
    "no reports": (published(without="_smtp._tls.a.test"), "TLS-RPT", "to hear when TLS fails"),
    "another name back": (
        published(
            Record(POINTER, "PTR", "x.b.test"), Record("x.b.test", "A", "1.2.3.4"), without=POINTER, kind="PTR"
        ),
        "PTR",
        "EHLO says mx.a.test",
    ),
}


@pytest.mark.parametrize(("table", "about", "text"), ADVICE.values(), ids=ADVICE)
def test_what_could_be_better_is_advice(table, about, text):
    """What does no harm to mail is not called bad."""
    found = findings(table)
    assert [one for one in found if one.bad] == []
    assert any(one.about == about and one.state == "advice" and text in one.text for one in found)


@pytest.mark.parametrize(
    ("text", "state"),
    [("v=DMARC1; p=reject", "good"), ("v=DMARC1; p=none; sp=reject", "good"), ("v=DMARC1; p=none", "advice")],
)
def test_a_policy_above_counts(text, state):
    """A domain without a policy has that of the domain above, for subdomains if it says so."""
    domain = replace(DOMAIN, domain="news.a.test")
    table = published(Record("_dmarc.a.test", "TXT", text), without="_dmarc.a.test")
    (found,) = [one for one in findings(table, domain) if one.about == "DMARC"]
    assert (found.name, found.state) == ("_dmarc.a.test", state)


@pytest.mark.parametrize("keys", [(), (NEXT,), (OLD,)])
def test_a_domain_that_is_not_signed_for_is_told(keys):
    """That mail goes out unsigned is wrong, and the command that makes keys is named."""
    found = findings(published(), replace(DOMAIN, keys=keys))
    assert [one.text for one in found if one.bad] == [
        "mail goes out unsigned: `postroad domain rotate a.test --days 0` makes keys"
    ]


def test_a_retiring_key_must_still_be_there():
    """The record of a key whose signatures still count is asked for."""
    retiring = replace(ONE, retires_at=NOW + LINGER)
    found = findings(published(without=KEY), replace(DOMAIN, keys=(retiring, replace(NEXT, signs_from=NOW))))
    assert [(one.name, one.state) for one in found if one.bad] == [(KEY, "missing")]


@pytest.mark.parametrize(("text", "state"), [("include:SPF.b.test", "good"), ("include:x.spf.b.test", "wrong")])
def test_a_smart_host_is_included(text, state):
    """Where a smart host sends, its record must be included; its addresses are its owner's matter."""
    table = txt("a.test", f"v=spf1 {text} -all")
    found = findings(table, host=Host("mx.a.test", include="spf.b.test"))
    assert [one.state for one in found if one.about == "SPF"] == [state]


def test_without_an_address_nobody_can_tell():
    """A host that is not in the DNS is told of, and the rest is checked all the same."""
    found = findings(published(), host=Host("mx.a.test"))
    assert [(one.about, one.text) for one in found if one.state == "unknown"] == [
        ("SPF", "mx.a.test has no address in the DNS: publish one, or name the smart host's record to include")
    ]


def test_a_private_address_is_no_way_to_send():
    """An address that the Internet does not know is named."""
    found = findings(published(), host=Host("mx.a.test", (ip_address("10.0.0.1"),)))
    assert any(one.about == "host" and "10.0.0.1 is no public address" in one.text for one in found)


def test_a_silent_dns_is_not_taken_for_a_fault():
    """Where no answer came nothing is called missing: ask again later."""

    def look(name, kind):
        raise UnansweredError(f"{name} {kind}: LifetimeTimeout")

    found = check(DOMAIN, HOST, look, NOW)
    assert {one.state for one in found} == {"unknown"}
    assert {one.about for one in found} == {"DKIM", "SPF", "DMARC", "MX", "MTA-STS", "TLS-RPT", "PTR"}


def test_the_hosts_addresses_are_those_of_its_name():
    """Where nobody says from which addresses mail leaves, the DNS does."""
    table = published()
    host = seen(Host("mx.a.test"), lambda name, kind: table.get((name, kind), ()))
    assert host == HOST
