"""Passwords: Argon2id, the same cost for everybody, no more than two at once."""

import asyncio
import threading

import pytest
from argon2 import PasswordHasher, extract_parameters

from postroad.oauth import accounts, passwords
from postroad.oauth.passwords import AT_ONCE, MAX_OCTETS, MAX_WAITING, BadPasswordError, Passwords

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
SECRET = "correct horse"


def verify(kept, password, used=None) -> bool:
    return asyncio.run((used or Passwords(CHEAP)).verify(kept, password))


def test_a_password_is_kept_as_argon2id_of_64_megabytes():
    """By default a hash has the parameters that RFC 9106 recommends second, and verifies."""
    kept = Passwords().hash(SECRET)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert verify(kept, SECRET, Passwords())


@pytest.mark.parametrize(
    ("password", "right"),
    [
        (SECRET, True),
        ("Correct horse", False),
        (SECRET + " ", False),
        ("", False),
        ("x" * (MAX_OCTETS + 1), False),
        ("é" * (MAX_OCTETS // 2 + 1), False),
        ("\ud800", False),
    ],
)
def test_only_the_password_verifies(password, right):
    """The password itself verifies; anything else does not, and nothing that is typed is an error."""
    assert verify(CHEAP.hash(SECRET), password) is right


def test_a_password_is_the_same_from_every_keyboard():
    """A character may come composed or as a letter and its accent."""
    assert verify(Passwords(CHEAP).hash("caf\u00e9 caf\u00e9"), "cafe\u0301 cafe\u0301")


@pytest.mark.parametrize("kept", [None, "", "not a hash", "$argon2id$v=19$m=8,t=1,p=1$broken"])
def test_without_a_hash_nobody_is_let_in(kept):
    """Where no password is kept, or something that is none, every password is wrong."""
    assert not verify(kept, "nobody's")


def test_an_unknown_account_costs_a_hash(monkeypatch):
    """Without an account as much is computed as with one, so that time does not tell which there are."""
    verified = []

    class Watched(PasswordHasher):
        def verify(self, kept, password):
            verified.append(extract_parameters(kept))
            return super().verify(kept, password)

    used = Passwords(Watched(time_cost=1, memory_cost=8, parallelism=1))
    verify(used.hash(SECRET), "wrong one", used)
    verify(None, "wrong one", used)
    assert len(verified) == 2
    assert verified[0] == verified[1]


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "at least 8 characters"),
        ("seven77", "at least 8 characters"),
        ("line\nfeed", "printable"),
        ("\ud800surrogate", "printable"),
        ("x" * (MAX_OCTETS + 1), "at most 1024 octets"),
        ("é" * (MAX_OCTETS // 2 + 1), "at most 1024 octets"),
    ],
)
def test_a_password_that_cannot_be_set_is_refused_with_a_reason(password, why):
    """Too short, too long, or not printable."""
    with pytest.raises(BadPasswordError, match=why):
        Passwords(CHEAP).hash(password)


@pytest.mark.parametrize("password", ["eight888", "x" * MAX_OCTETS, "        ", "пароль пароль"])
def test_any_text_of_eight_characters_can_be_set(password):
    """Length is all that counts."""
    assert verify(Passwords(CHEAP).hash(password), password)


def test_an_older_hash_is_renewed():
    """A hash made with other parameters is replaced by one made with today's; one of today's stays."""
    used = Passwords(CHEAP)
    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(SECRET)
    renewed = asyncio.run(used.renewed(old, SECRET))
    assert renewed
    assert verify(renewed, SECRET)
    assert asyncio.run(used.renewed(renewed, SECRET)) is None


def test_two_are_verified_at_once_and_a_few_wait():
    """However many come, no more than two hashes are computed at a time; with many waiting it is busy."""
    most, now, lock, entered, go_on = [0], [0], threading.Lock(), threading.Semaphore(0), threading.Event()

    class Slow(PasswordHasher):
        def verify(self, kept, password):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            entered.release()
            go_on.wait(20)
            with lock:
                now[0] -= 1
            return super().verify(kept, password)

    used = Passwords(Slow(time_cost=1, memory_cost=8, parallelism=1))
    kept = used.hash(SECRET)

    async def crowd():
        tries = [asyncio.create_task(used.verify(kept, SECRET)) for _ in range(MAX_WAITING)]
        for _ in range(AT_ONCE):
            await asyncio.to_thread(entered.acquire)
        busy = used.busy
        go_on.set()
        return busy, await asyncio.gather(*tries)

    busy, right = asyncio.run(crowd())
    assert busy
    assert all(right)
    assert not used.busy
    assert most == [AT_ONCE]


def test_the_hash_of_an_account_is_kept(connection):
    """What was put for an account is found; before, there is nothing."""
    alice = accounts.add(connection, "alice@example.test", administrator=False, now=1).account_id
    kept = CHEAP.hash(SECRET)
    assert passwords.of(connection, alice) is None
    passwords.put(connection, alice, kept)
    assert passwords.of(connection, alice) == kept


@pytest.mark.parametrize("kept", ["", SECRET, "$argon2id$", "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"])
def test_what_is_no_hash_is_not_kept(connection, kept):
    """A password in the clear never reaches the database, nor does a hash of another kind."""
    with pytest.raises(BadPasswordError, match="not a hash of Argon2id"):
        passwords.put(connection, 1, kept)
