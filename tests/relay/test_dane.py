"""TLSA records and the certificates they vouch for."""

import datetime as dt
from itertools import product

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from postroad.relay.dane import Association, Associations
from tests.relay.certificates import HOST, INTERMEDIATE, LONG_AGO, STRANGER, anchor, below, chain, tlsa

NOW = dt.datetime.now(dt.UTC)
BEFORE = LONG_AGO.replace(tzinfo=dt.UTC) - dt.timedelta(days=1)


def vouched(*records, shown=None, names=(HOST,), now=NOW):
    """Whether the records vouch for what was shown."""
    found = Associations(tuple(Association(*record) for record in records), tuple(names))
    return found.vouch_for(chain() if shown is None else shown, now)


KINDS = list(product((0, 1), (0, 1, 2)))


@pytest.mark.parametrize(("selector", "matching"), KINDS, ids=str)
def test_a_servers_own_certificate_is_vouched_for(selector, matching):
    """By usage 3, by certificate or key, in full or by digest; another's is not."""
    record = tlsa(3, selector, matching, chain()[0])
    assert Association(*record).usable
    assert vouched(record)
    assert not vouched(record, shown=chain("next"))


@pytest.mark.parametrize(("selector", "matching"), KINDS, ids=str)
def test_an_anchor_vouches_for_what_is_below_it(selector, matching):
    """By usage 2, if the server shows it, or the record has it in full."""
    record = tlsa(2, selector, matching, anchor())
    assert Association(*record).usable
    assert vouched(record, shown=[*chain(), anchor()])
    assert vouched(record) is ((selector, matching) == (0, 0))
    assert vouched(tlsa(2, selector, matching, chain()[1]))


UNUSABLE = {
    "PKIX-TA": tlsa(0, 0, 1, chain()[0]),
    "PKIX-EE": tlsa(1, 1, 1, chain()[0]),
    "an unknown usage": tlsa(4, 1, 1, chain()[0]),
    "an unknown selector": (3, 2, 1, bytes(32)),
    "an unknown matching": (3, 1, 3, bytes(32)),
    "a short digest": (3, 1, 1, bytes(31)),
    "a digest of another length": (3, 1, 2, bytes(32)),
    "nothing": (3, 1, 0, b""),
}


@pytest.mark.parametrize("record", UNUSABLE.values(), ids=UNUSABLE)
def test_some_records_cannot_be_used(record):
    """They vouch for nobody, whatever they are about (RFC 7672 section 3.1.3)."""
    assert not Association(*record).usable


EE = tlsa(3, 1, 1, chain()[0])
VERDICTS = {
    "the old record and the new one, before the change": ((EE, tlsa(3, 1, 1, chain("next")[0])), {}, True),
    "and after it": ((EE, tlsa(3, 1, 1, chain("next")[0])), {"shown": chain("next")}, True),
    "the end entity's name does not count": ((EE,), {"names": ("mx.b.test",)}, True),
    "nor do its dates": ((tlsa(3, 1, 1, chain("expired")[0]),), {"shown": chain("expired")}, True),
    "a name counts below an anchor": ((tlsa(2, 0, 0, anchor()),), {"names": ("mx.b.test",)}, False),
    "one of the names is enough": ((tlsa(2, 0, 0, anchor()),), {"names": ("a.test", HOST)}, True),
    "the dates count below an anchor": ((tlsa(2, 0, 0, anchor()),), {"shown": chain("expired")}, False),
    "as they were then": ((tlsa(2, 0, 0, anchor()),), {"shown": chain("expired"), "now": BEFORE}, True),
    "a server is no anchor of its own": ((tlsa(2, 1, 1, chain()[0]),), {}, False),
    "a server is no anchor of others": ((tlsa(2, 1, 1, chain()[0]),), {"shown": chain("next") + chain()}, False),
    "an anchor is no server": ((tlsa(3, 1, 1, anchor()),), {"shown": [*chain(), anchor()]}, False),
    "an authority of another": ((tlsa(2, 0, 0, anchor(STRANGER)),), {}, False),
    "shown, but above nothing": (
        (tlsa(2, 1, 1, anchor(STRANGER)),),
        {"shown": [*chain(), anchor(STRANGER)]},
        False,
    ),
    "an anchor in the middle": ((tlsa(2, 0, 1, anchor(INTERMEDIATE)),), {}, True),
    "nothing shown": ((EE,), {"shown": []}, False),
    "an anchor that is none": (((2, 0, 0, b"no certificate"),), {}, False),
}


@pytest.mark.parametrize(("records", "options", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_what_is_vouched_for(records, options, verdict):
    """Any one record is enough; below an anchor chain, name and time have to be right (RFC 7672 section 3.2)."""
    assert vouched(*records, **options) is verdict


AUTHORITY_OF_OLD = x509.BasicConstraints(ca=True, path_length=None)
SERVER = x509.BasicConstraints(ca=False, path_length=None)
NO_USE = dict.fromkeys(x509.KeyUsage.__init__.__annotations__.keys() - {"return"}, False)
USE_OF_SERVERS = x509.KeyUsage(**NO_USE | {"digital_signature": True})
USE_OF_AUTHORITIES = x509.KeyUsage(**NO_USE | {"key_cert_sign": True})
ISSUERS = {
    "an authority": ((AUTHORITY_OF_OLD, USE_OF_AUTHORITIES), True),
    "an authority without uses": ((AUTHORITY_OF_OLD,), True),
    "an authority with another use": ((AUTHORITY_OF_OLD, USE_OF_SERVERS), False),
    "a server": ((SERVER, USE_OF_SERVERS), False),
    "a server without uses": ((SERVER,), False),
    "a server with an authority's use": ((SERVER, USE_OF_AUTHORITIES), False),
    "one that says nothing": ((), False),
}


@pytest.mark.parametrize(("extensions", "verdict"), ISSUERS.values(), ids=ISSUERS)
def test_only_authorities_give_certificates(extensions, verdict):
    """Between an anchor and a server stand authorities; another customer of theirs is none (RFC 5280, 6.1.4)."""
    assert vouched(tlsa(2, 0, 0, anchor()), shown=below(*extensions)) is verdict


@given(st.lists(st.binary(), max_size=3), st.integers(2, 3), st.integers(0, 1), st.integers(0, 2), st.binary())
def test_any_octets_for_certificates_are_judged(shown, usage, selector, matching, data):
    """Whatever is shown, and whatever the record says, the answer is yes or no."""
    record = (usage, selector, matching, data)
    assert vouched(record, shown=shown) in (True, False)
    if usage == 2:
        assert not vouched(record, shown=shown)
