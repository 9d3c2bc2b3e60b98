"""Questions to a real name server on loopback."""

import pytest
from dnslib import RCODE

from postroad.domains.lookup import MAX_RECORDS, UnansweredError, look_up
from tests.name_server import answering

LONG = "v=DKIM1; k=rsa; p=" + "A" * 392
ZONE = f"""
a.test. 60 IN TXT "hello"
a.test. 60 IN TXT "second \\"one\\""
a.test. 60 IN MX 10 MX.A.test.
a.test. 60 IN A 192.0.2.1
a.test. 60 IN AAAA 2001:db8::1
null.test. 60 IN MX 0 .
key.test. 60 IN TXT "{LONG[:200]}" "{LONG[200:]}"
alias.test. 60 IN CNAME key.test.
1.2.0.192.in-addr.arpa. 60 IN PTR MX.a.test.
"""

ANSWERS = [
    ("a.test", "TXT", ("hello", 'second "one"')),
    ("a.test", "MX", ("10 mx.a.test",)),
    ("a.test", "A", ("192.0.2.1",)),
    ("a.test", "AAAA", ("2001:db8::1",)),
    ("null.test", "MX", ("0 ",)),
    ("key.test", "TXT", (LONG,)),
    ("alias.test", "TXT", (LONG,)),
    ("1.2.0.192.in-addr.arpa", "PTR", ("mx.a.test",)),
    ("key.test", "A", ()),
    ("nobody.test", "A", ()),
]


@pytest.mark.parametrize(("name", "kind", "answer"), ANSWERS)
def test_what_a_name_server_says(name, kind, answer):
    """Values are text, TXT in one piece, names in lower case without last dots; nothing there is an answer."""
    with answering(ZONE) as address:
        assert tuple(sorted(look_up(address)(name, kind))) == answer


def test_a_name_server_that_fails_says_nothing():
    """A server failure is no answer: it does not say that there is no record."""
    with (
        answering("", failing=RCODE.SERVFAIL) as address,
        pytest.raises(UnansweredError, match=r"a\.test A: NoNameservers"),
    ):
        look_up(address)("a.test", "A")


def test_a_name_server_that_is_silent_is_not_waited_for():
    """A question ends after its time."""
    with answering("", silent=True) as address, pytest.raises(UnansweredError, match="LifetimeTimeout"):
        look_up(address, patience=0.1)("a.test", "A")


@pytest.mark.parametrize("name", ["a" * 64 + ".test", "a..test", ".".join(["a" * 60] * 5)])
def test_what_cannot_be_asked_has_no_answer(name):
    """A name that no record can have is no reason to break down."""
    with answering("") as address, pytest.raises(UnansweredError):
        look_up(address)(name, "TXT")


def test_records_beyond_measure_are_cut():
    """However many records there are, the first hundred are looked at."""
    many = "".join(f'a.test. 60 IN TXT "number {number}"\n' for number in range(150))
    with answering(many) as address:
        assert len(look_up(address)("a.test", "TXT")) == MAX_RECORDS
