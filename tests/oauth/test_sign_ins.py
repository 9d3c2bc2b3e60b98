"""Sign-ins: sessions that end, and tries that are counted."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as some
from sqlalchemy import select

from postroad.database.schema import sign_in
from postroad.oauth import accounts, sign_ins
from postroad.oauth.sign_ins import FORGOTTEN_AFTER, LIFE, Failures, subjects, wait_after

NOW = 1_790_000_000_000
ALICE, BOB = "alice@example.test", "bob@example.test"
PEER = "192.0.2.7"


@pytest.fixture
def alice(connection):
    """The number of Alice's account."""
    return accounts.add(connection, ALICE, administrator=False, now=NOW).account_id


@pytest.fixture
def bob(connection):
    """The number of Bob's account."""
    return accounts.add(connection, BOB, administrator=False, now=NOW).account_id


def test_a_session_is_whose_it_is(connection, alice):
    """The cookie's value finds who signed in, and since when."""
    signed_in = sign_ins.find(connection, sign_ins.begin(connection, alice, NOW), NOW)
    assert (signed_in.account.address, signed_in.signed_in_at, signed_in.expires_at) == (ALICE, NOW, NOW + LIFE)


def test_only_the_hash_of_a_session_is_kept(connection, alice):
    """Who reads the database cannot use what is there."""
    session = sign_ins.begin(connection, alice, NOW)
    [kept] = connection.execute(select(sign_in)).all()
    assert kept.session_hash == hashlib.sha256(session.encode()).digest()
    assert session not in map(str, kept)


@pytest.mark.parametrize(("after", "there"), [(0, True), (LIFE - 1, True), (LIFE, False), (LIFE * 2, False)])
def test_a_session_lasts_twelve_hours(connection, alice, after, there):
    """Until then it is found; from then on not, whatever the cookie says."""
    session = sign_ins.begin(connection, alice, NOW)
    assert (sign_ins.find(connection, session, NOW + after) is not None) is there


@pytest.mark.parametrize("session", ["", "x", "x" * 64, "x" * 65, "x" * 10_000, "ü", "' OR 1=1 --"])
def test_a_guessed_session_is_nobodys(connection, alice, session):
    """What was never given is not found."""
    sign_ins.begin(connection, alice, NOW)
    assert sign_ins.find(connection, session, NOW) is None


def test_every_sign_in_is_a_new_session_and_ends_the_old_one(connection, alice, bob):
    """A value from before, which somebody may have planted, is worth nothing afterwards."""
    first = sign_ins.begin(connection, alice, NOW)
    second = sign_ins.begin(connection, bob, NOW, instead_of=first)
    assert first != second
    assert sign_ins.find(connection, first, NOW) is None
    assert sign_ins.find(connection, second, NOW).account.address == BOB


def test_signing_out_ends_one_session(connection, alice):
    """The browser that signs out is signed out; another of the same person is not."""
    here, there = (sign_ins.begin(connection, alice, NOW) for _ in range(2))
    sign_ins.end(connection, here)
    assert sign_ins.find(connection, here, NOW) is None
    assert sign_ins.find(connection, there, NOW) is not None


def test_all_sessions_of_an_account_can_be_ended(connection, alice, bob):
    """They are ended, and nobody else's."""
    mine = [sign_ins.begin(connection, alice, NOW) for _ in range(2)]
    others = sign_ins.begin(connection, bob, NOW)
    sign_ins.end_all(connection, alice)
    assert [sign_ins.find(connection, session, NOW) for session in mine] == [None, None]
    assert sign_ins.find(connection, others, NOW) is not None


def test_a_disabled_account_is_signed_in_nowhere(connection, alice):
    """From the moment that an account is disabled its sessions are nobody's."""
    session = sign_ins.begin(connection, alice, NOW)
    accounts.disable(connection, ALICE, NOW)
    assert sign_ins.find(connection, session, NOW) is None


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0), (4, 0), (5, 2), (6, 4), (7, 8), (10, 64), (13, 512), (14, 900), (15, 900), (10**6, 900)],
)
def test_the_wait_doubles_from_the_fifth_failure_on(failures, seconds):
    """The first four cost no wait, the fifth two seconds; it is never over a quarter of an hour."""
    assert wait_after(failures, 5) == seconds * 1000


@given(some.integers(0, 10**9), some.integers(1, 50))
def test_more_failures_never_wait_less(count, free):
    """The wait grows with the failures, and has a bound."""
    assert 0 <= wait_after(count, free) <= wait_after(count + 1, free) <= sign_ins.LONGEST_WAIT


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        (Failures(), Failures(1, NOW)),
        (Failures(3, NOW - 5), Failures(4, NOW)),
        (Failures(4, NOW - 5), Failures(5, NOW + 2_000)),
        (Failures(5, NOW), Failures(6, NOW + 4_000)),
        (Failures(20, NOW - FORGOTTEN_AFTER), Failures(21, NOW + 900_000)),
        (Failures(20, NOW - FORGOTTEN_AFTER - 1), Failures(1, NOW)),
    ],
)
def test_a_failure_is_added_and_a_day_forgets_all(failures, expected):
    """Each is one more in a row, unless the last is over a day ago."""
    assert failures.after(NOW, 5) == expected


@pytest.mark.parametrize(
    ("peer", "subject"),
    [
        ("192.0.2.7", "peer:192.0.2.7"),
        ("::ffff:192.0.2.7", "peer:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "peer:2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "peer:2001:db8:1:2::/64"),
        ("", "peer:"),
    ],
)
def test_a_subscriber_is_one_however_many_addresses_they_have(peer, subject):
    """An IPv4 address counts by itself, an IPv6 address with the 64 bits that one subscriber has."""
    assert subject in subjects(ALICE, peer)


def tries(connection, count, address=ALICE, peer=PEER, now=NOW) -> list[int]:
    return [sign_ins.begin_try(connection, subjects(address, peer), now) for _ in range(count)]


def test_the_sixth_try_at_an_account_waits_wherever_it_comes_from(connection):
    """Five are made at once; then nobody tries that account for two seconds, and others are free."""
    assert tries(connection, 5) == [0] * 5
    assert tries(connection, 2) == [2_000] * 2
    assert tries(connection, 1, peer="198.51.100.9") == [2_000]
    assert tries(connection, 1, BOB, peer="198.51.100.9") == [0]
    assert tries(connection, 1, now=NOW + 1_999) == [1]
    assert tries(connection, 2, now=NOW + 2_000) == [0, 4_000]


def test_a_network_address_that_tries_one_account_after_the_other_waits(connection):
    """Twenty failures on different accounts from one address; the next waits, whichever account it is at."""
    every = [tries(connection, 1, f"u{number}@example.test")[0] for number in range(21)]
    assert every == [0] * 20 + [2_000]
    assert tries(connection, 1, "v@example.test", peer="198.51.100.9") == [0]


def test_success_forgets_the_failures_of_the_account(connection):
    """After the right password the account is as new."""
    tries(connection, 4)
    assert tries(connection, 1) == [0]
    sign_ins.succeed(connection, ALICE, PEER, NOW)
    assert tries(connection, 5) == [0] * 5


def test_success_takes_back_only_itself_from_the_network_address(connection):
    """Whoever has an account cannot buy free tries at others by signing in between them."""
    for number in range(19):
        tries(connection, 1, f"u{number}@example.test")
    assert tries(connection, 1) == [0]
    sign_ins.succeed(connection, ALICE, PEER, NOW)
    assert tries(connection, 2, "v@example.test") == [0, 2_000]
