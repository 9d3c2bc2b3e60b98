"""Bearer tokens: issued once, kept as hashes, checked against a database at most a second old."""

import asyncio
import hashlib
import re
import time

import pytest

from postroad import refusals
from postroad.database.engine import Database
from postroad.oauth import accounts, tokens
from postroad.oauth.scopes import SCOPES
from postroad.oauth.tokens import Tokens

NOW = 1_790_000_000_000
HOUR = 3_600_000
SEND = frozenset({SCOPES["gmail.send"]})


@pytest.fixture
def database(tmp_path, database_url):
    """A database with one account, Alice's."""
    opened = Database(tmp_path, floor=0, url=database_url)
    opened.submit(
        lambda connection: accounts.add(connection, "alice@example.test", administrator=False, now=NOW)
    ).result()
    yield opened
    opened.close()


def issue(database, scopes=SEND, expires_at=NOW + HOUR) -> str:
    def unit(connection):
        alice = accounts.named(connection, "alice@example.test")
        return tokens.issue(connection, alice, scopes, expires_at=expires_at, now=NOW)

    return database.submit(unit).result()


def check(checker, text, now=NOW):
    return asyncio.run(checker.check(text, now))


def why(checker, text, now=NOW) -> str:
    with pytest.raises(refusals.CredentialInvalid) as refused:
        check(checker, text, now)
    assert text not in refused.value.why or not text
    return refused.value.why


def test_a_token_grants_what_it_was_issued_for(database):
    """A token acts for its account, within its scopes, until its time is over."""
    scopes = frozenset({SCOPES["gmail.send"], SCOPES["gmail.readonly"]})
    grant = check(Tokens(database), issue(database, scopes))
    assert grant.account.address == "alice@example.test"
    assert grant.scopes == scopes
    assert grant.expires_at == NOW + HOUR


def test_a_token_looks_like_googles_and_is_never_the_same(database):
    """Tokens begin as Google's do and hold 256 random bits."""
    issued = {issue(database) for _ in range(20)}
    assert len(issued) == 20
    assert all(re.fullmatch(r"ya29\.[A-Za-z0-9_-]{43}", text) for text in issued)


def test_only_the_hash_is_stored(tmp_path):
    """No file of the database holds a token, before and after it is closed; the hash is there."""
    database = Database(tmp_path, floor=0)
    database.submit(
        lambda connection: accounts.add(connection, "alice@example.test", administrator=False, now=NOW)
    ).result()
    text = issue(database)
    check(Tokens(database), text)
    before = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    database.close()
    after = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for octets in (before, after):
        assert hashlib.sha256(text.encode()).digest() in octets
        assert text.encode() not in octets
        assert text.removeprefix(tokens.PREFIX).encode() not in octets


@pytest.mark.parametrize(("late", "valid"), [(-1, True), (0, False), (1, False), (10 * HOUR, False)])
def test_a_token_expires_to_the_millisecond(database, late, valid):
    """A token permits until the moment of its expiry, and from it on no more."""
    text = issue(database)
    if valid:
        assert check(Tokens(database), text, NOW + HOUR + late)
    else:
        assert why(Tokens(database), text, NOW + HOUR + late) == (
            "the bearer token of alice@example.test has expired"
        )


def test_a_remembered_token_expires_too(database):
    """That a check is remembered does not lengthen a token's life."""
    checker, text = Tokens(database), issue(database)
    assert check(checker, text)
    assert "expired" in why(checker, text, NOW + HOUR)


UNKNOWN = {
    "none": "",
    "never issued": "ya29." + "x" * 43,
    "over-long": "ya29." + "x" * 508,
    "very long": "x" * 1_000_000,
    "not ASCII": "ya29.ä",
    "NUL": "ya29.\0",
    "SQL": "' OR 1=1 --",
}


@pytest.mark.parametrize("text", UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_token_permits_nothing(database, text):
    """What was never issued is refused, whatever its form."""
    issue(database)
    assert why(Tokens(database), text) == "the bearer token is unknown here"


CHANGED = {
    "its case": str.swapcase,
    "a character more": lambda text: text + "A",
    "a character less": lambda text: text[:-1],
    "a space behind": lambda text: text + " ",
    "no prefix": lambda text: text.removeprefix("ya29."),
    "its hash": lambda text: hashlib.sha256(text.encode()).hexdigest(),
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_a_token_is_equal_or_is_not(database, change):
    """A text that only resembles a token is unknown."""
    assert why(Tokens(database), change(issue(database))) == "the bearer token is unknown here"


@pytest.mark.parametrize("text", ["x" * (tokens.MAX_LENGTH + 1), "ä"])
def test_what_cannot_be_a_token_costs_no_question(database, monkeypatch, text):
    """A text that is too long or not ASCII is refused without asking the database."""
    monkeypatch.setattr(database, "read", None)
    assert why(Tokens(database), text) == "the bearer token is unknown here"


def disable(database) -> None:
    database.submit(lambda connection: accounts.disable(connection, "alice@example.test", NOW)).result()


def test_a_disabled_account_is_refused(database):
    """The tokens of a disabled account permit nothing."""
    text = issue(database)
    disable(database)
    assert why(Tokens(database), text) == "the account alice@example.test is disabled"


def test_a_change_is_noticed_within_a_second(database, monkeypatch):
    """An answer is remembered for a second and not longer; a disabled account is refused from then on."""
    checker, text, then = Tokens(database), issue(database), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: then)
    assert check(checker, text)
    disable(database)
    assert check(checker, text)
    monkeypatch.setattr(time, "monotonic", lambda: then + tokens.FRESH_SECONDS + 0.01)
    assert why(checker, text) == "the account alice@example.test is disabled"


def test_a_remembered_answer_costs_no_question(database, monkeypatch):
    """Within a second the database is asked once for one token."""
    checker, text = Tokens(database), issue(database)
    assert check(checker, text)
    monkeypatch.setattr(database, "read", None)
    assert check(checker, text)


def test_memory_is_bounded(database, monkeypatch):
    """However many tokens are tried, only so many are remembered."""
    monkeypatch.setattr(tokens, "REMEMBERED", 5)
    checker = Tokens(database)

    async def try_many():
        for number in range(23):
            with pytest.raises(refusals.CredentialInvalid):
                await checker.check(f"ya29.{number}", NOW)

    asyncio.run(try_many())
    assert len(checker._remembered) <= 5
