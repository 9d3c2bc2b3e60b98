"""Bearer tokens: issued once, kept as hashes, checked against a database at most a second old."""

import asyncio
import hashlib
import re
import time

import pytest

from postroad import refusals
from postroad.database.engine import Database
from postroad.oauth import accounts, clients, consents, credentials, service_accounts, tokens
from postroad.oauth.scopes import SCOPES
from postroad.oauth.tokens import Grant, Source, Tokens

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
        return tokens.issue(connection, account_id=alice.account_id, scopes=scopes, expires_at=expires_at, now=NOW)

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
        assert text.removeprefix(credentials.ACCESS).encode() not in octets


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


def registered(connection) -> str:
    """The number of a new client."""
    made, _ = clients.add(connection, "An App", "installed", (), public=True, now=NOW)
    return made.client_id


def of_consent(database, **source) -> tuple[str, int, str]:
    """A token of a new client's consent, the consent and the client."""

    def unit(connection):
        alice, client_id = accounts.named(connection, "alice@example.test"), registered(connection)
        given = consents.allow(connection, alice.account_id, client_id, SEND, NOW)
        source_ = Source(consent_id=given.consent_id, **source)
        text = tokens.issue(
            connection, account_id=alice.account_id, scopes=SEND, expires_at=NOW + HOUR, now=NOW, source=source_
        )
        return text, given.consent_id, client_id

    return database.submit(unit).result()


@pytest.mark.parametrize(
    ("source", "offline"), [({}, False), ({"code_hash": b"c" * 32}, False), ({"refresh_hash": b"r" * 32}, True)]
)
def test_a_token_of_a_consent_is_its_programs(database, source, offline):
    """Whoever checks it learns which client has it, and whether there is a refresh token behind it."""
    text, _, client_id = of_consent(database, **source)
    grant = check(Tokens(database), text)
    assert (grant.client_id, grant.service_account, grant.offline) == (client_id, None, offline)


ENDS = {
    "the consent is taken back": lambda connection, consent_id, _client_id: consents.revoke(
        connection, consent_id
    ),
    "the client is removed": lambda connection, _consent_id, client_id: clients.remove(connection, client_id),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_token_ends_with_what_it_came_of(database, monkeypatch, end):
    """Within a second on every node, and at once where it is told."""
    (text, consent_id, client_id), then = of_consent(database), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: then)
    here, there = Tokens(database), Tokens(database)
    assert check(here, text)
    assert check(there, text)
    database.submit(lambda connection: end(connection, consent_id, client_id)).result()
    here.forget()
    assert why(here, text) == tokens.UNKNOWN
    assert check(there, text)
    monkeypatch.setattr(time, "monotonic", lambda: then + tokens.FRESH_SECONDS + 0.01)
    assert why(there, text) == tokens.UNKNOWN


def of_service_account(database, *, for_alice: bool) -> tuple[str, str]:
    """A token of a new service account, and the account's number."""

    def unit(connection):
        robot = service_accounts.add(connection, "robot", NOW)
        alice = accounts.named(connection, "alice@example.test").account_id if for_alice else None
        source = Source(service_account_id=robot.service_account_id)
        text = tokens.issue(
            connection, account_id=alice, scopes=SEND, expires_at=NOW + HOUR, now=NOW, source=source
        )
        return text, robot.client_id

    return database.submit(unit).result()


ROBOT = "robot@postroad.iam.gserviceaccount.com"


@pytest.mark.parametrize(("for_alice", "holder"), [(True, "alice@example.test"), (False, ROBOT)])
def test_a_service_account_acts_for_somebody_or_nobody(database, for_alice, holder):
    """Its number is that of the program; without a subject there is no account."""
    text, number = of_service_account(database, for_alice=for_alice)
    grant = check(Tokens(database), text)
    assert (grant.holder, grant.client_id, grant.service_account) == (holder, number, ROBOT)
    assert (grant.account is None) == (not for_alice)


@pytest.mark.parametrize("for_alice", [True, False])
def test_a_disabled_service_account_is_refused(database, for_alice):
    """Whomever it acts for."""
    text, _ = of_service_account(database, for_alice=for_alice)
    database.submit(lambda connection: service_accounts.disable(connection, ROBOT, NOW)).result()
    assert why(Tokens(database), text) == f"the service account {ROBOT} is disabled"


def test_all_tokens_of_an_account_may_end_at_once(database):
    """Whatever they came of."""
    texts = [issue(database), of_consent(database)[0], of_service_account(database, for_alice=True)[0]]
    stays = database.submit(
        lambda connection: tokens.issue(
            connection,
            account_id=accounts.add(connection, "bob@example.test", administrator=False, now=NOW).account_id,
            scopes=SEND,
            expires_at=NOW + HOUR,
            now=NOW,
        )
    ).result()
    assert database.submit(lambda connection: tokens.end(connection, 1)).result() == 3
    assert {why(Tokens(database), text) for text in texts} == {tokens.UNKNOWN}
    assert check(Tokens(database), stays)


JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln"


class Signed:
    """Answers for self-signed tokens, and notes what it was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def __call__(self, connection, text, now):
        self.asked.append((text, now))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_self_signed_token_is_asked_about_once_a_second(database, monkeypatch):
    """What it grants is remembered as what issued ones grant, and it expires as they do."""
    signed, then = Signed(Grant(None, SEND, NOW + HOUR, "1", ROBOT)), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: then)
    checker = Tokens(database, signed)
    assert [check(checker, JWT).holder for _ in range(3)] == [ROBOT] * 3
    assert signed.asked == [(JWT, NOW)]
    assert why(checker, JWT, NOW + HOUR) == f"the bearer token of {ROBOT} has expired"
    monkeypatch.setattr(time, "monotonic", lambda: then + tokens.FRESH_SECONDS + 0.01)
    assert check(checker, JWT)
    assert len(signed.asked) == 2


def test_why_a_self_signed_token_is_none_is_remembered_too(database):
    """Forgeries cost one verification a second each."""
    signed = Signed(refusals.CredentialInvalid("a self-signed token: no key made its signature"))
    checker = Tokens(database, signed)
    assert {why(checker, JWT) for _ in range(3)} == {"a self-signed token: no key made its signature"}
    assert len(signed.asked) == 1


def test_what_cannot_be_self_signed_is_not_verified(database):
    """Three parts, of at most 16 KiB together."""
    signed = Signed(Grant(None, SEND, NOW + HOUR))
    for text in ("a.b", "a.b.c.d", "ya29.x", "x" * 600, "a.b." + "x" * tokens.MAX_SIGNED, "ä.b.c"):
        assert why(Tokens(database, signed), text) == tokens.UNKNOWN
    assert signed.asked == []


def test_without_a_verifier_there_are_no_self_signed_tokens(database):
    """They are looked up as any other text."""
    assert why(Tokens(database), JWT) == tokens.UNKNOWN
