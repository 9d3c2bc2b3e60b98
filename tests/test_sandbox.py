"""What the sandbox has ready: files that stay while what they hold is good, and follow the server's address."""

import asyncio
import contextlib
import itertools
import json
import stat

import pytest

from postroad import sandbox
from postroad.database.engine import Database
from postroad.oauth import accounts, clients, consents, refresh_tokens, service_accounts
from postroad.oauth.scopes import SCOPES

NOW = 1_790_000_000_000
ROOT = "http://127.0.0.1:8587"


@pytest.fixture
def database(tmp_path):
    """A database of the sandbox."""
    with contextlib.closing(Database(tmp_path, floor=0)) as opened:
        yield opened


@pytest.fixture
def prepared(database, tmp_path):
    """Prepares the files, a second after the time before, and gives them."""
    moments = itertools.count(NOW, 1000)

    def prepare(root=ROOT, folder="data") -> dict:
        asyncio.run(sandbox.prepare(database, tmp_path / folder, root, lambda: next(moments)))
        return {name: json.loads((tmp_path / folder / name).read_text()) for name in sandbox.FILES}

    return prepare


def carried_out(database, act):
    return database.submit(act).result()


def secrets_of(files) -> tuple:
    client, user, service_account = files.values()
    return (
        client["installed"]["client_id"],
        client["installed"]["client_secret"],
        user["refresh_token"],
        service_account["private_key"],
    )


def test_the_files_are_the_owners_alone_and_what_they_hold_is_good(prepared, database, tmp_path):
    """Mode 0600; client, refresh token and key are known here, for all scopes."""
    client, user, key_file = prepared().values()
    assert {stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) for name in sandbox.FILES} == {0o600}
    client = client["installed"]
    assert carried_out(database, lambda c: clients.find(c, client["client_id"])).knows(client["client_secret"])
    token = carried_out(database, lambda c: refresh_tokens.find(c, user["refresh_token"], NOW))
    assert (token.client_id, set(token.scopes)) == (client["client_id"], set(SCOPES.values()))
    assert (user["client_id"], user["client_secret"]) == (client["client_id"], client["client_secret"])
    owner = carried_out(database, lambda c: service_accounts.named(c, key_file["client_email"]))
    assert [key.key_id for key in owner.keys] == [key_file["private_key_id"]]
    assert owner.scopes == set(SCOPES.values())
    addresses = {client["auth_uri"], client["token_uri"], user["token_uri"], key_file["token_uri"]}
    assert addresses == {f"{ROOT}/o/oauth2/auth", f"{ROOT}/token"}


def test_the_accounts_are_there(prepared, database):
    """Three accounts, of which the first is an administrator."""
    prepared()
    found = carried_out(database, accounts.everyone)
    assert {one.address: one.administrator for one in found} == {
        "alice@example.test": True,
        "bob@example.test": False,
        "carol@example.test": False,
    }


def test_files_stay_as_they_are(prepared, tmp_path):
    """A second start on the same address writes nothing."""
    before = prepared()
    numbers = [(tmp_path / "data" / name).stat().st_ino for name in sandbox.FILES]
    assert prepared() == before
    assert [(tmp_path / "data" / name).stat().st_ino for name in sandbox.FILES] == numbers


def test_another_address_changes_nothing_else(prepared):
    """When the server moves, the files name its new address and hold the same secrets."""
    before, after = prepared(), prepared("https://mail.example.test")
    assert secrets_of(after) == secrets_of(before)
    assert {name: json.dumps(file).replace("https://mail.example.test", ROOT) for name, file in after.items()} == {
        name: json.dumps(file) for name, file in before.items()
    }
    assert ROOT not in json.dumps(after)


SPOILT = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "other types": '{"installed": 1, "refresh_token": 2, "private_key": 3, "private_key_id": []}',
    "nested deeply": "[" * 60_000,
    "too long": '"' + "x" * sandbox.MAX_FILE + '"',
}


@pytest.mark.parametrize("text", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("name", sandbox.FILES)
def test_a_spoilt_file_is_made_anew(prepared, tmp_path, name, text):
    """Whatever somebody made of a file, the next start makes it good again."""
    before = prepared()
    (tmp_path / "data" / name).write_text(text)
    after = prepared()
    assert after[name].keys() == before[name].keys()
    assert secrets_of(after) != secrets_of(before)


def test_what_was_revoked_is_made_anew(prepared, database):
    """A client that was removed, and with it the consent, comes back as another one at the next start."""
    before = prepared()
    client_id = before[sandbox.CLIENT_SECRET]["installed"]["client_id"]
    carried_out(database, lambda connection: clients.remove(connection, client_id))
    carried_out(database, lambda connection: service_accounts.remove(connection, _address(before)))
    after = prepared()
    assert not set(secrets_of(before)) & set(secrets_of(after))
    owner = carried_out(database, lambda connection: accounts.named(connection, sandbox.OWNER))
    (consent,) = carried_out(database, lambda connection: consents.of_account(connection, owner.account_id))
    assert consent.client_id == after[sandbox.CLIENT_SECRET]["installed"]["client_id"]


def test_nodes_have_files_of_their_own(prepared, database):
    """Nodes with one database and a folder each leave each other's files good; of eleven keys the first goes."""
    files = [prepared(folder=f"node {number}") for number in range(service_accounts.MAX_KEYS + 1)]
    assert prepared(folder="node 1") == files[1]
    owner = carried_out(database, lambda connection: service_accounts.named(connection, _address(files[0])))
    written = {file[sandbox.SERVICE_ACCOUNT]["private_key_id"] for file in files}
    first = files[0][sandbox.SERVICE_ACCOUNT]["private_key_id"]
    assert {key.key_id for key in owner.keys} == written - {first}


def _address(files) -> str:
    return files[sandbox.SERVICE_ACCOUNT]["client_email"]
