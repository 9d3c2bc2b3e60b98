"""MTA-STS in words: which record announces a policy, what a policy is, and whom it covers."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.relay.sts import LONGEST_AGE, BadPolicyError, Policy, announced, parse

RECORDS = {
    "the usual one": (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
    "without its last semicolon": (["v=STSv1;id=1"], "1"),
    "with further fields": (["v=STSv1; id=a1; later=x"], "a1"),
    "among others": (["v=spf1 -all", "v=STSv1; id=7;"], "7"),
    "none": ([], None),
    "two": (["v=STSv1; id=1;", "v=STSv1; id=2;"], None),
    "no id": (["v=STSv1; x=1"], None),
    "too long an id": ([f"v=STSv1; id={'1' * 33};"], None),
    "an id of other letters": (["v=STSv1; id=1-2;"], None),
    "another version": (["v=STSv2; id=1;"], None),
    "a longer version": (["v=STSv10; id=1;"], None),
    "another case": (["V=stsv1; id=1;"], None),
    "not at its beginning": ([" v=STSv1; id=1;"], None),
}


@pytest.mark.parametrize(("records", "found"), RECORDS.values(), ids=RECORDS)
def test_a_record_announces_a_policy(records, found):
    """Exactly one of the TXT records begins with the version, and has an id (RFC 8461 section 3.1)."""
    assert announced(records) == found


ENFORCED = "version: STSv1\nmode: enforce\nmx: mx.a.test\nmax_age: 86400\n"
POLICY = Policy("enforce", 86400, ("mx.a.test",))
POLICIES = {
    "with line feeds": (ENFORCED, POLICY),
    "with CRLF": (ENFORCED.replace("\n", "\r\n"), POLICY),
    "without a last line end": (ENFORCED.removesuffix("\n"), POLICY),
    "in another order": ("\n".join(reversed(ENFORCED.splitlines())), POLICY),
    "without white space": (ENFORCED.replace(" ", ""), POLICY),
    "with much of it": (ENFORCED.replace(" ", " \t ").replace("\n", "  \n"), POLICY),
    "with unknown fields": (ENFORCED + "later: über alles\n", POLICY),
    "with fields said twice": (ENFORCED + "mode: none\nmax_age: 1\nversion: x\n", POLICY),
    "in capitals": (ENFORCED.replace("mx.a.test", "MX.A.Test."), POLICY),
    "of several servers": (ENFORCED + "mx: *.b.test\n", Policy("enforce", 86400, ("mx.a.test", "*.b.test"))),
    "that is testing": (ENFORCED.replace("enforce", "testing"), Policy("testing", 86400, ("mx.a.test",))),
    "that is none": ("version: STSv1\nmode: none\nmax_age: 0\n", Policy("none", 0)),
    "for ever": (ENFORCED.replace("86400", "9999999999"), Policy("enforce", LONGEST_AGE, ("mx.a.test",))),
}


@pytest.mark.parametrize(("text", "policy"), POLICIES.values(), ids=POLICIES)
def test_a_policy_is_read(text, policy):
    """Whatever the line ends, the order and the white space (RFC 8461 section 3.2)."""
    assert parse(text) == policy
    assert parse(str(policy)) == policy


NO_POLICIES = {
    "nothing": "",
    "a page": "<!doctype html><title>404</title>",
    "another version": ENFORCED.replace("STSv1", "STSv2"),
    "no version": ENFORCED.partition("\n")[2],
    "another mode": ENFORCED.replace("enforce", "Enforce"),
    "no mode": ENFORCED.replace("mode", "mood"),
    "no servers": ENFORCED.replace("mx:", "my:"),
    "no age": ENFORCED.replace("max_age", "min_age"),
    "a negative age": ENFORCED.replace("86400", "-1"),
    "an age in other digits": ENFORCED.replace("86400", "٣٣"),
    "an endless age": ENFORCED.replace("86400", "9" * 60_000),
    "an address for a server": ENFORCED.replace("mx.a.test", "[192.0.2.1]"),
    "a star within": ENFORCED.replace("mx.a.test", "mx.*.test"),
    "a star alone": ENFORCED.replace("mx.a.test", "*"),
    "half a star": ENFORCED.replace("mx.a.test", "m*.a.test"),
    "an empty label": ENFORCED.replace("mx.a.test", "mx..test"),
    "a line without a colon": ENFORCED + "nonsense\n",
    "carriage returns": ENFORCED.replace("\n", "\r"),
    "NUL": ENFORCED.replace("mx.a.test", "mx\0.test"),
}


@pytest.mark.parametrize("text", NO_POLICIES.values(), ids=NO_POLICIES)
def test_what_is_no_policy_is_refused(text):
    """A file that does not keep to the grammar says nothing."""
    with pytest.raises(BadPolicyError):
        parse(text)


WORDS = ["version", "mode", "mx", "max_age", ":", " ", "\n", "\r\n", "STSv1", "enforce", "none", "1", "*.", "a.b"]


@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS)).map("".join), st.binary().map(bytes.hex)))
def test_any_text_is_a_policy_or_none(text):
    """What is read can be written and read again; all else is refused, and nothing else happens."""
    try:
        policy = parse(text)
    except BadPolicyError:
        return
    assert parse(str(policy)) == policy
    assert 0 <= policy.max_age <= LONGEST_AGE


COVERED = {
    "mx.a.test": True,
    "MX.A.TEST": True,
    "a.test": False,
    "x.mx.a.test": False,
    "one.b.test": True,
    "b.test": False,
    ".b.test": False,
    "two.one.b.test": False,
    "mx.a.test.b.test": False,
    "": False,
}


@pytest.mark.parametrize(("host", "covered"), COVERED.items(), ids=str)
def test_a_policy_covers_the_servers_it_names(host, covered):
    """A star stands for one whole label, the first (RFC 8461 section 4.1)."""
    assert Policy("enforce", 1, ("mx.a.test", "*.b.test")).covers(host) is covered


@given(st.text(string.ascii_lowercase + ".", min_size=1), st.text(string.ascii_lowercase, min_size=1))
def test_a_star_is_never_more_than_a_label(name, label):
    """Of all names below a domain, those one label below it are covered."""
    assert Policy("enforce", 1, (f"*.{label}.test",)).covers(f"{name}.{label}.test") is ("." not in name)
