"""Service accounts: made, given keys and scopes, disabled and forgotten."""

import contextlib
import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, func, select
from sqlalchemy.exc import OperationalError

from postroad.database import migrations
from postroad.database.engine import Database
from postroad.database.postgresql import driver_url
from postroad.database.schema import delegation, service_account_key, token
from postroad.database.sqlite import writer_of
from postroad.oauth import service_accounts, tokens
from postroad.oauth.service_accounts import (
    MAX_KEYS,
    BadNameError,
    NoSuchServiceAccountError,
    PublicKey,
    ServiceAccountExistsError,
    TooManyKeysError,
    fresh_key,
)
from postroad.oauth.tokens import Source

NOW = 1_790_000_000_000
ADDRESS = "robot@postroad.iam.gserviceaccount.com"
SEND, READ = "https://www.googleapis.com/auth/gmail.send", "https://www.googleapis.com/auth/gmail.readonly"


@pytest.fixture(scope="module")
def key():
    return fresh_key()


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def engine(request, tmp_path_factory):
    """A database for the whole module, on either engine."""
    with contextlib.ExitStack() as stack:
        if request.param == "SQLite":
            opened = writer_of(tmp_path_factory.mktemp("service_accounts") / "database")
        else:
            server = request.getfixturevalue("postgres")
            opened = create_engine(driver_url(stack.enter_context(server.new_database())))
        migrations.upgrade(opened)
        yield opened
        opened.dispose()


@pytest.fixture
def connection(engine):
    """A transaction of which nothing stays."""
    with engine.connect() as opened, opened.begin() as trial:
        yield opened
        trial.rollback()


@pytest.fixture
def robot(connection):
    return service_accounts.add(connection, "robot", NOW)


def issue(connection, owner, scopes=frozenset({SEND})):
    source = Source(service_account_id=owner.service_account_id)
    return tokens.issue(connection, account_id=None, scopes=scopes, expires_at=NOW + 1, now=NOW, source=source)


def count(connection, table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_a_service_account_begins_with_nothing(connection, robot):
    """It has an address of Google's form and a number; no key, no scope, and it is not disabled."""
    assert (robot.address, robot.disabled, robot.scopes, robot.keys) == (ADDRESS, False, frozenset(), ())
    assert service_accounts.find(connection, ADDRESS) == robot


def test_its_number_fits_a_column(connection):
    """Numbers have 19 digits, fit 63 bits and differ."""
    made = [service_accounts.add(connection, f"robot-{number}", NOW) for number in range(20)]
    assert len({one.client_id for one in made}) == 20
    assert all(len(one.client_id) == 19 and one.service_account_id < 2**63 for one in made)


@pytest.mark.parametrize("name", ["a", "a1", "mail-sender", "a" + "b" * 29])
def test_names(name):
    """A name is lower-case letters, digits and hyphens, from a letter on."""
    assert service_accounts.address_of(name) == f"{name}@postroad.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    "name",
    ["", "1a", "-a", "a-", "A", "a b", "a.b", "a_b", "ä", "a\n", "a@b", "a\0", "a" + "b" * 30, "a" * 10_000],
)
def test_names_that_are_none(connection, name):
    """Anything else is refused before it is written."""
    with pytest.raises(BadNameError):
        service_accounts.add(connection, name, NOW)
    assert service_accounts.everyone(connection) == []


def test_there_is_one_of_a_name(connection, robot):
    """A second one of the same name is refused."""
    with pytest.raises(ServiceAccountExistsError, match=ADDRESS):
        service_accounts.add(connection, "robot", NOW)


@pytest.mark.parametrize(
    "address", ["", "robot", ADDRESS.upper(), f"{ADDRESS} ", f"{ADDRESS}\0", "\ud800", "a@b.test"]
)
def test_only_its_exact_address_finds_it(connection, robot, address):
    """No other text finds a service account, whatever is in it."""
    assert service_accounts.find(connection, address) is None
    with pytest.raises(NoSuchServiceAccountError):
        service_accounts.named(connection, address)


@given(text=st.text())
def test_no_text_breaks_the_search(text):
    """What cannot be an address is not asked for."""
    assert service_accounts.find(None, text) is None


def test_the_file_is_of_googles_form(connection, robot, key):
    """The key file has Google's members, this server's addresses, and the key whose other half is kept."""
    robot = service_accounts.add_key(connection, robot, key.public, NOW)
    made = service_accounts.key_file(robot, key, "http://127.0.0.1:8587/")
    assert made == {
        "type": "service_account",
        "project_id": "postroad",
        "private_key_id": key.public.key_id,
        "private_key": key.private_key,
        "client_email": ADDRESS,
        "client_id": robot.client_id,
        "auth_uri": "http://127.0.0.1:8587/o/oauth2/auth",
        "token_uri": "http://127.0.0.1:8587/token",
        "auth_provider_x509_cert_url": "http://127.0.0.1:8587/oauth2/v1/certs",
        "client_x509_cert_url": f"http://127.0.0.1:8587/robot/v1/metadata/x509/{ADDRESS.replace('@', '%40')}",
        "universe_domain": "googleapis.com",
    }
    assert json.loads(json.dumps(made)) == made
    private = load_pem_private_key(made["private_key"].encode(), None)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert robot.keys == (PublicKey(key.public.key_id, public),)
    assert private.key_size == 2048
    assert private.public_key().public_numbers().e == 65537
    assert made["private_key"].startswith("-----BEGIN PRIVATE KEY-----\n")


def test_a_key_does_not_show_its_private_half(key):
    """What is printed of a key by mistake names it and no more."""
    assert "PRIVATE" not in repr(key)
    assert key.public.key_id in repr(key)
    assert len(key.public.key_id) == 40


def test_the_private_half_is_not_kept(tmp_path, key):
    """No octet of the private key is in the database."""
    database = Database(tmp_path, floor=0)

    def unit(connection):
        return service_accounts.add_key(
            connection, service_accounts.add(connection, "robot", NOW), key.public, NOW
        )

    database.submit(unit).result()
    database.close()
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert key.public.pem.splitlines()[1].encode() in written
    assert not [line for line in key.private_key.splitlines()[1:-1] if line.encode() in written]


def test_keys_come_and_go(connection, robot, key):
    """A service account has several keys, in the order they came; of them one can be removed."""
    others = [PublicKey(f"{number:040}", key.public.pem) for number in range(2)]
    for now, one in enumerate((key.public, *others)):
        robot = service_accounts.add_key(connection, robot, one, NOW + now)
    assert robot.keys == (key.public, *others)
    assert service_accounts.remove_key(connection, robot, key.public.key_id).keys == tuple(others)
    with pytest.raises(NoSuchServiceAccountError, match="no key"):
        service_accounts.remove_key(connection, service_accounts.named(connection, ADDRESS), key.public.key_id)


def test_the_key_of_another_is_not_removed(connection, robot, key):
    """Who is named must have the key that is named."""
    other = service_accounts.add_key(connection, service_accounts.add(connection, "other", NOW), key.public, NOW)
    with pytest.raises(NoSuchServiceAccountError):
        service_accounts.remove_key(connection, robot, key.public.key_id)
    assert service_accounts.named(connection, other.address).keys == (key.public,)


def test_keys_are_bounded(connection, robot):
    """There are ten keys at most, as a signature may have to be tried with each."""
    for number in range(MAX_KEYS):
        robot = service_accounts.add_key(connection, robot, PublicKey(f"{number:040}", ""), NOW)
    with pytest.raises(TooManyKeysError):
        service_accounts.add_key(connection, robot, PublicKey("f" * 40, ""), NOW)
    assert len(service_accounts.named(connection, ADDRESS).keys) == MAX_KEYS


def test_what_is_delegated_is_what_was_said_last(connection, robot):
    """Delegation is of exactly these scopes, to this service account alone."""
    other = service_accounts.add(connection, "other", NOW)
    robot = service_accounts.delegate(connection, robot, [SEND, READ])
    assert robot.scopes == {SEND, READ}
    robot = service_accounts.delegate(connection, robot, [SEND])
    assert robot.scopes == {SEND}
    assert service_accounts.delegate(connection, robot, []).scopes == frozenset()
    assert service_accounts.named(connection, other.address).scopes == frozenset()


@pytest.mark.parametrize(
    ("wanted", "left"),
    [([SEND, READ], 1), ([SEND], 1), ([READ], 0), ([], 0)],
    ids=["more", "same", "other", "none"],
)
def test_taking_a_scope_away_ends_its_tokens(connection, robot, wanted, left):
    """Tokens that were issued end with what they were issued for, and others' do not."""
    robot = service_accounts.delegate(connection, robot, [SEND])
    issue(connection, robot)
    issue(connection, service_accounts.add(connection, "other", NOW))
    service_accounts.delegate(connection, robot, wanted)
    assert count(connection, token) == left + 1


def test_removing_a_key_ends_its_tokens(connection, robot, key):
    """Nobody who took the key keeps a token that came of it."""
    robot = service_accounts.add_key(connection, robot, key.public, NOW)
    issue(connection, robot)
    service_accounts.remove_key(connection, robot, key.public.key_id)
    assert count(connection, token) == 0


CHANGES = {
    "a scope is taken": lambda connection, robot: service_accounts.delegate(connection, robot, []),
    "a key is taken": lambda connection, robot: service_accounts.remove_key(
        connection, robot, robot.keys[0].key_id
    ),
    "it is disabled": lambda connection, robot: service_accounts.disable(connection, robot.address, NOW),
    "it is removed": lambda connection, robot: service_accounts.remove(connection, robot.address),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_one_that_is_held_does_not_change(engine, key, change):
    """While a token is issued nobody takes from it what that is issued for; afterwards it is not what it was."""
    with engine.begin() as connection:
        robot = service_accounts.add(connection, "held", NOW)
        robot = service_accounts.add_key(connection, robot, key.public, NOW)
        robot = service_accounts.delegate(connection, robot, [SEND])
    if engine.dialect.name == "postgresql":  # where two can write at once
        with engine.begin() as holder, engine.connect() as impatient:
            assert service_accounts.held(holder, robot)
            impatient.exec_driver_sql("SET lock_timeout = '50ms'")
            with pytest.raises(OperationalError, match="lock timeout"):
                change(impatient, robot)
    with engine.begin() as connection:
        assert service_accounts.held(connection, robot)
        change(connection, robot)
        assert not service_accounts.held(connection, robot)
        if service_accounts.find(connection, robot.address):
            service_accounts.remove(connection, robot.address)


def test_a_disabled_one_is_told_from_the_others(connection, robot):
    """Disabling is for one; asking for nobody is refused."""
    service_accounts.add(connection, "another", NOW)
    assert service_accounts.disable(connection, ADDRESS, NOW).disabled
    assert [(one.address.partition("@")[0], one.disabled) for one in service_accounts.everyone(connection)] == [
        ("another", False),
        ("robot", True),
    ]
    with pytest.raises(NoSuchServiceAccountError):
        service_accounts.disable(connection, "nobody@postroad.iam.gserviceaccount.com", NOW)


def test_nothing_is_left_of_a_removed_one(connection, robot, key):
    """Its keys, scopes and tokens go with it, and its name is free for another, with another number."""
    robot = service_accounts.add_key(connection, robot, key.public, NOW)
    robot = service_accounts.delegate(connection, robot, [SEND])
    issue(connection, robot)
    assert service_accounts.remove(connection, ADDRESS) == robot
    assert [count(connection, table) for table in (token, delegation, service_account_key)] == [0, 0, 0]
    assert service_accounts.add(connection, "robot", NOW).service_account_id != robot.service_account_id
