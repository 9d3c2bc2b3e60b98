"""The records to publish, as values and as a zone file."""

from ipaddress import ip_address

import dns.zone
import pytest

from postroad.domains import records
from postroad.domains.records import Host, Record
from postroad.domains.register import DAY, LINGER, Key, SendingDomain

NOW = 1_790_000_000_000
ONE = Key("a.test", "one", "rsa", "A" * 392, NOW, NOW, None)
TWO = Key("a.test", "two", "ed25519", "B" * 44, NOW, NOW + DAY, None)
OLD = Key("a.test", "old", "rsa", "C" * 392, NOW - 99 * DAY, NOW - 99 * DAY, NOW)
DOMAIN = SendingDomain("a.test", NOW, (OLD, ONE, TWO))
HOST = Host("mx.a.test", (ip_address("192.0.2.1"), ip_address("2001:db8::1")))


def test_the_records_of_a_domain():
    """All that a receiver looks at is there, of keys that do not sign yet too, but nothing of a retired one."""
    found = records.records(DOMAIN, HOST, NOW, ["mx1.a.test", "mx2.a.test"])
    assert found == [
        Record("one._domainkey.a.test", "TXT", f"v=DKIM1; k=rsa; p={ONE.public_key}"),
        Record("two._domainkey.a.test", "TXT", f"v=DKIM1; k=ed25519; p={TWO.public_key}"),
        Record("a.test", "TXT", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ~all"),
        Record("_dmarc.a.test", "TXT", "v=DMARC1; p=none; rua=mailto:postmaster@a.test"),
        Record("_mta-sts.a.test", "TXT", "v=STSv1; id=" + found[4].value[12:]),
        Record("_smtp._tls.a.test", "TXT", "v=TLSRPTv1; rua=mailto:postmaster@a.test"),
        Record("mx.a.test", "A", "192.0.2.1"),
        Record("mx.a.test", "AAAA", "2001:db8::1"),
        Record("mx.a.test", "TXT", "v=spf1 a -all"),
        Record("1.2.0.192.in-addr.arpa", "PTR", "mx.a.test"),
        Record(f"1.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa", "PTR", "mx.a.test"),
    ]


def test_what_is_not_known_is_not_published():
    """Without addresses there is no SPF record, without MX hosts no MTA-STS."""
    found = records.records(DOMAIN, Host("mx.a.test"), NOW)
    assert [record.name for record in found][2:] == ["_dmarc.a.test", "_smtp._tls.a.test"]


def test_a_smart_hosts_record_is_included():
    """Where a smart host sends, its own record says from which addresses."""
    assert records.spf(Host("mx.a.test", include="spf.b.test")) == "v=spf1 include:spf.b.test ~all"


@pytest.mark.parametrize(("now", "there"), [(NOW, True), (NOW + LINGER - 1, True), (NOW + LINGER, False)])
def test_a_retiring_key_stays_published(now, there):
    """A key's record stays for the week in which its last signatures count."""
    key = Key("a.test", "one", "rsa", "A", NOW, NOW - DAY, NOW + LINGER)
    found = records.records(SendingDomain("a.test", NOW, (key,)), HOST, now)
    assert (found[0].name == "one._domainkey.a.test") == there


def test_the_policy_of_mta_sts():
    """The policy has the lines of RFC 8461 section 3.2, each ended by CRLF."""
    assert records.sts_policy(["mx1.a.test", "*.b.test"], "enforce") == (
        "version: STSv1\r\nmode: enforce\r\nmx: mx1.a.test\r\nmx: *.b.test\r\nmax_age: 604800\r\n"
    )


def test_the_policys_number_changes_with_it():
    """Another policy has another id, the same policy the same, of at most 32 letters and digits."""
    one, same, other = (
        records.mta_sts("a.test", [host])[0].value for host in ("mx1.test", "mx1.test", "mx2.test")
    )
    assert one == same != other
    number = one.removeprefix("v=STSv1; id=")
    assert len(number) <= 32
    assert number.isalnum()


@pytest.mark.parametrize("value", ["a" * 255, "a" * 256, "a" * 700, 'a "quoted" \\ one', "grüße"])
def test_a_zone_file_means_the_same_records(value):
    """A name server that reads the zone file has the same values, long ones as strings of at most 255 octets."""
    found = [Record("a.test", "TXT", value), Record("mx.a.test", "A", "192.0.2.1")]
    zone = dns.zone.from_text("$TTL 300\n" + records.zone(found), "a.test.", check_origin=False)
    strings = zone.get_rdataset("@", "TXT")[0].strings
    assert b"".join(strings) == value.encode()
    assert len(strings) == -(-len(value.encode()) // 255)
    assert zone.get_rdataset("mx", "A")[0].to_text() == "192.0.2.1"


def test_the_way_back_is_another_zones():
    """A PTR record is a comment in a zone file: whoever gave the address publishes it."""
    line = records.zone([Record("1.2.0.192.in-addr.arpa", "PTR", "mx.a.test")])
    assert line == "; at the provider of the address: 1.2.0.192.in-addr.arpa. IN PTR mx.a.test.\n"
