"""The JWT bearer grant: what a service account gets for an assertion, for itself and for others."""

import asyncio
import re

import pytest
from sqlalchemy import func, select

from postroad import refusals
from postroad.database import facts, migrations
from postroad.database.engine import Database
from postroad.database.schema import account, token
from postroad.database.sqlite import writer_of
from postroad.oauth import accounts, assertions, credentials, server, service_accounts, tokens
from postroad.oauth.errors import OAuthError
from postroad.oauth.server import TokenRequest
from postroad.oauth.service_accounts import fresh_key
from postroad.oauth.tokens import Tokens
from tests.jws_kit import Signer, compact
from tests.oauth.forgeries import FORGERIES, NOW, OURS, READ, SEND, House

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
UNAUTHORIZED = (
    "unauthorized_client",
    (
        "Client is unauthorized to retrieve access tokens using this method, "
        "or client not authorized for any of the scopes requested."
    ),
    401,
)
NO_SUBJECT = ("invalid_grant", "Invalid email or User ID", 400)
FOR_ALICE = {"sub": "alice@example.test"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """An engine with Alice, Dora, who is disabled, and a robot that may send for anyone; and its house."""
    engine = writer_of(tmp_path_factory.mktemp("jwt_bearer") / "database")
    migrations.upgrade(engine)
    keys = [fresh_key() for _ in range(2)]
    with engine.begin() as connection:
        for address in ("alice@example.test", "dora@example.test"):
            accounts.add(connection, address, administrator=False, now=NOW)
        accounts.add_alias(connection, "alice@example.test", "sales@example.test", NOW)
        accounts.disable(connection, "dora@example.test", NOW)
        robot, other, off = (service_accounts.add(connection, name, NOW) for name in ("robot", "other", "off"))
        robot = service_accounts.add_key(connection, robot, keys[0].public, NOW)
        robot = service_accounts.delegate(connection, robot, [SEND])
        other = service_accounts.add_key(connection, other, keys[1].public, NOW)
    signer = Signer.of(keys[1])
    yield engine, House(robot, (keys[0], keys[0]), other, keys[1], off, signer, signer)
    engine.dispose()


@pytest.fixture
def connection(stage):
    """A transaction of which nothing stays."""
    with stage[0].connect() as opened, opened.begin() as trial:
        yield opened
        trial.rollback()


@pytest.fixture
def house(stage):
    return stage[1]


def exchange(connection, assertion, **more):
    form = [("grant_type", GRANT_TYPE), ("assertion", assertion), *more.items()]
    return server.exchange(connection, TokenRequest(form, None, OURS), NOW * 1000)


def refused(connection, assertion, **more):
    """Error, text and code of the refusal; nothing was written."""
    before = written(connection)
    with pytest.raises(OAuthError) as caught:
        exchange(connection, assertion, **more)
    assert written(connection) == before
    assert assertion not in caught.value.why or not assertion
    return caught.value.error, caught.value.description, caught.value.code


def written(connection):
    counts = (select(func.count()).select_from(table).scalar_subquery() for table in (account, token))
    return connection.execute(select(*counts)).one()


def granted(connection, answer):
    found = tokens.look_up(connection, credentials.digest(answer["access_token"]))
    assert found
    return found


def test_the_answer_is_googles(connection, house):
    """It is a bearer token for 3599 seconds that begins as those of service accounts do, and nothing else."""
    answer = exchange(connection, house.jwt(claims=FOR_ALICE))
    assert answer.keys() == {"access_token", "expires_in", "token_type"}
    assert (answer["expires_in"], answer["token_type"]) == (3599, "Bearer")
    assert re.fullmatch(r"ya29\.c\.[A-Za-z0-9_-]{43}", answer["access_token"])


@pytest.mark.parametrize("subject", ["alice@example.test", "Alice@Example.TEST", "sales@example.test"])
def test_a_token_for_somebody(connection, house, subject):
    """It acts for the account of that address or alias, in the scopes asked for, in the service account's name."""
    grant = granted(connection, exchange(connection, house.jwt(claims={"sub": subject})))
    assert grant.account.address == "alice@example.test"
    assert grant.scopes == {SEND}
    assert (grant.service_account, grant.client_id) == (house.robot.address, house.robot.client_id)
    assert grant.expires_at == (NOW + 3599) * 1000


@pytest.mark.parametrize("claims", [{}, {"sub": "robot@postroad.iam.gserviceaccount.com"}], ids=["none", "itself"])
def test_a_token_for_nobody(connection, house, claims):
    """Without a subject it is the service account's own, in any scopes, and acts for no account."""
    text = house.jwt(claims=claims | {"scope": f"{SEND} {READ}"})
    grant = granted(connection, exchange(connection, text))
    assert (grant.account, grant.scopes, grant.service_account) == (None, {SEND, READ}, house.robot.address)


def test_an_assertion_may_be_exchanged_again(connection, house):
    """As at Google each exchange gives another token."""
    text = house.jwt(claims=FOR_ALICE)
    assert len({exchange(connection, text)["access_token"] for _ in range(3)}) == 3


@pytest.mark.parametrize("scope", [READ, f"{SEND} {READ}", "https://mail.google.com/"])
def test_nobody_gets_what_was_not_delegated(connection, house, scope):
    """For others there is nothing unless all that is asked for was delegated, by exactly these names."""
    assert refused(connection, house.jwt(claims=FOR_ALICE | {"scope": scope})) == UNAUTHORIZED


def test_delegation_is_to_one_service_account(connection, house):
    """Another one, which was delegated nothing, acts for nobody, whoever that would be; for itself it does."""
    by = {"iss": house.other.address}
    header, sign = {"kid": house.other_key.public.key_id}, Signer.of(house.other_key).rs()
    for subject in ("alice@example.test", "nobody@example.test", "no address", house.robot.address):
        assert refused(connection, house.jwt(header, by | {"sub": subject}, sign)) == UNAUTHORIZED
    assert exchange(connection, house.jwt(header, by, sign))


SUBJECTS = [
    "nobody@example.test",
    "dora@example.test",
    "other@postroad.iam.gserviceaccount.com",
    "alice",
    "alice@",
    "@example.test",
    "",
    " ",
    "me",
    "1",
    "alice@example.test, bob@example.test",
    "alice@example.test\0",
    "alice@example.test\n",
    "\ud800@example.test",
    "\ud800",
    "' OR 1=1 --",
    "x" * 8000,
    "x" * 8000 + "@example.test",
]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_must_be_an_account(connection, house, subject):
    """Who is unknown, disabled or no address is refused alike; no account is made."""
    assert refused(connection, house.jwt(claims={"sub": subject})) == NO_SUBJECT


def test_where_mail_is_captured_every_address_is_an_account(connection, house):
    """In the sandbox it may act for any address, whose mailbox is made; what is no address is refused still."""
    facts.write(connection, facts.RELAY, "capture")
    grant = granted(connection, exchange(connection, house.jwt(claims={"sub": "New@example.org"})))
    assert (grant.account.address, grant.account.captured) == ("new@example.org", True)
    for subject in ("dora@example.test", "no address", "\ud800", ""):
        assert refused(connection, house.jwt(claims={"sub": subject})) == NO_SUBJECT
    undelegated = house.jwt(claims={"sub": "other@example.org", "scope": READ})
    assert refused(connection, undelegated) == UNAUTHORIZED


def test_an_assertion_is_needed(connection):
    """Without one, or with an empty one, the answer is Google's for one that is malformed."""
    form = [("grant_type", GRANT_TYPE)]
    for more in ([], [("assertion", "")]):
        with pytest.raises(OAuthError) as caught:
            server.exchange(connection, TokenRequest(form + more, None, OURS), NOW * 1000)
        assert (caught.value.error, caught.value.description) == ("invalid_request", "Bad Request")


@pytest.mark.parametrize("more", [{"scope": READ}, {"client_id": "x", "client_secret": "y"}, {"subject": "x"}])
def test_the_form_adds_nothing(connection, house, more):
    """What stands beside the assertion neither widens nor hinders it."""
    grant = granted(connection, exchange(connection, house.jwt(claims=FOR_ALICE), **more))
    assert (grant.account.address, grant.scopes) == ("alice@example.test", {SEND})


@pytest.mark.parametrize("name", list(FORGERIES)[::12])
def test_a_forgery_goes_through_the_library_unchanged(connection, house, name):
    """What is wrong with an assertion is told by the token endpoint in the same words."""
    make, (error, description) = FORGERIES[name]
    assert refused(connection, make(house)) == (error, description, 400)


ENDS = {
    "the service account is disabled": lambda connection, robot: service_accounts.disable(
        connection, robot.address, NOW
    ),
    "it is removed": lambda connection, robot: service_accounts.remove(connection, robot.address),
    "a scope is taken from it": lambda connection, robot: service_accounts.delegate(connection, robot, [READ]),
    "its key is removed": lambda connection, robot: service_accounts.remove_key(
        connection, robot, robot.keys[0].key_id
    ),
    "the account is disabled": lambda connection, _: accounts.disable(connection, "alice@example.test", NOW),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_token_ends_with_what_it_came_of(tmp_path, stage, end):
    """Its tokens are refused at once, and no others are given for the same assertion."""
    house = stage[1]
    database = Database(tmp_path, floor=0)

    def commit(unit):
        return database.submit(unit).result()

    def prepared(connection):
        accounts.add(connection, "alice@example.test", administrator=False, now=NOW)
        robot = service_accounts.add(connection, "robot", NOW)
        robot = service_accounts.add_key(connection, robot, house.keys[0].public, NOW)
        return service_accounts.delegate(connection, robot, [SEND])

    robot, text = commit(prepared), house.jwt(claims=FOR_ALICE)
    answer = commit(lambda connection: exchange(connection, text))

    def check():
        return asyncio.run(Tokens(database).check(answer["access_token"], NOW * 1000))

    assert check().account.address == "alice@example.test"
    commit(lambda connection: end(connection, robot))
    with pytest.raises(refusals.CredentialInvalid):
        check()
    with pytest.raises(OAuthError):
        database.look(lambda connection: exchange(connection, text))
    database.close()


def test_a_self_signed_token_is_checked_with_the_others(tmp_path, stage):
    """`Tokens` takes what a service account signed, until the account is disabled; a forgery is invalid."""
    house = stage[1]
    database = Database(tmp_path, floor=0)

    def prepared(connection):
        robot = service_accounts.add(connection, "robot", NOW)
        return service_accounts.add_key(connection, robot, house.keys[0].public, NOW)

    robot = database.submit(prepared).result()
    audiences = frozenset({assertions.GOOGLES_API})

    def check(text):
        def self_signed(connection, text, now):
            return assertions.self_signed(connection, text, audiences, now)

        return asyncio.run(Tokens(database, self_signed).check(text, NOW * 1000))

    claims = {
        "iss": robot.address,
        "sub": robot.address,
        "aud": assertions.GOOGLES_API,
        "iat": NOW,
        "exp": NOW + 60,
    }
    text = compact(house.header(), claims, house.signer.rs())
    assert (check(text).account, check(text).service_account) == (None, robot.address)
    for forged in (text[:-2], text.replace(".", "..", 1), house.jwt(), f"{text}.", "a.b.c", "ya29.c.x", ".."):
        with pytest.raises(refusals.CredentialInvalid):
            check(forged)
    database.submit(lambda connection: service_accounts.disable(connection, robot.address, NOW)).result()
    with pytest.raises(refusals.CredentialInvalid, match="invalid authentication"):
        check(text)
    database.close()
