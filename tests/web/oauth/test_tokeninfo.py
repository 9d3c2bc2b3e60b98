"""What a token is good for, in Google's two forms."""

import contextlib
from urllib.parse import quote

import pytest

from postroad.database.engine import Database
from postroad.oauth import accounts, service_accounts, tokens
from postroad.oauth.id_tokens import verified
from postroad.oauth.identity import subject_of
from postroad.oauth.scopes import IDENTITY
from postroad.oauth.tokens import Source
from postroad.refusals import CredentialInvalid
from tests.endpoint_kit import Door
from tests.oauth_kit import ISSUER, NOW, SEND

ALL = f"openid email profile {SEND}"


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with contextlib.closing(Database(tmp_path_factory.mktemp("door"), floor=0)) as database:
        yield Door(database)


@pytest.fixture(scope="module")
def token(door):
    return door.redeemed(scope=ALL, access_type="offline")["access_token"]


WAYS = {
    "in the address": lambda door, path, token: door.ask("GET", f"{path}?access_token={quote(token)}"),
    "in the address of a POST": lambda door, path, token: door.post(f"{path}?access_token={quote(token)}"),
    "in a form": lambda door, path, token: door.post(path, {"access_token": token}),
    "in the header": lambda door, path, token: door.post(path, authorization=f"Bearer {token}"),
    "in the header of a GET": lambda door, path, token: door.ask("GET", path, authorization=f"bearer {token}"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("path", ["/tokeninfo", "/oauth2/v3/tokeninfo"])
def test_the_present_form(door, token, way, path):
    """Every value is a text; Google's client for Node wants scope and expires_in."""
    answer = way(door, path, token)
    assert answer.code == 200
    assert answer.json == {
        "azp": door.client.client_id,
        "aud": door.client.client_id,
        "sub": subject_of(1),
        "scope": " ".join(sorted(ALL.split())),
        "exp": str(NOW // 1000 + 3599),
        "expires_in": "3599",
        "email": "alice@example.test",
        "email_verified": "true",
        "access_type": "offline",
    }


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("path", ["/oauth2/v1/tokeninfo", "/oauth2/v2/tokeninfo"])
def test_the_older_form(door, token, way, path):
    """Other names, and numbers are numbers."""
    answer = way(door, path, token)
    assert answer.code == 200
    assert answer.json == {
        "issued_to": door.client.client_id,
        "audience": door.client.client_id,
        "user_id": subject_of(1),
        "scope": " ".join(sorted(ALL.split())),
        "expires_in": 3599,
        "email": "alice@example.test",
        "verified_email": True,
        "access_type": "offline",
    }


@pytest.mark.parametrize("name", [*IDENTITY, None])
def test_who_it_is_is_told_to_whom_may_know(door, name):
    """The address with the scope of the address, a number for life with any scope of identity."""
    scope = f"{SEND} {IDENTITY[name]}" if name else SEND
    told = door.ask("GET", f"/tokeninfo?access_token={door.redeemed(scope=scope)['access_token']}").json
    assert ("sub" in told) == (name is not None)
    assert ("email" in told) == ("email_verified" in told) == (name in ("email", "userinfo.email"))
    assert told["access_type"] == "online"


def issued(door, **more):
    def unit(world):
        numbers = {"account_id": None, "scopes": frozenset([SEND, "email"])}
        return tokens.issue(world.connection, **(numbers | more), expires_at=NOW + 1999, now=NOW)

    return door.do(unit)


def told(door, token: str):
    door.face.oauth.tokens.forget()
    return door.ask("GET", f"/tokeninfo?access_token={token}").json


def test_of_the_command_line_no_program_is_known(door):
    """Nor is one made up."""
    assert told(door, issued(door, account_id=1)).keys() == {
        *("sub", "scope", "exp", "expires_in", "email", "email_verified", "access_type")
    }


def test_a_service_account_is_a_program(door):
    """By its number; acting for nobody, its address is its own."""
    robot = door.do(lambda world: service_accounts.add(world.connection, "robot", NOW))
    mine = told(door, issued(door, source=Source(service_account_id=robot.service_account_id)))
    assert (mine["azp"], mine["email"], mine["expires_in"]) == (robot.client_id, robot.address, "1")
    assert "sub" not in mine
    source = Source(service_account_id=robot.service_account_id)
    assert told(door, issued(door, account_id=1, source=source))["email"] == "alice@example.test"


WRONG = {"error": "invalid_token", "error_description": "Invalid Value"}


@pytest.mark.parametrize("token", ["x", "ya29.x", "a.b.c", "ya29." + "x" * 600, "ä"])
@pytest.mark.parametrize("path", ["/tokeninfo", "/oauth2/v1/tokeninfo"])
def test_an_unknown_token_is_an_invalid_value(door, path, token):
    """In Google's words."""
    answer = door.post(path, {"access_token": token})
    assert (answer.code, answer.json) == (400, WRONG)


def test_an_expired_token_and_a_disabled_account_likewise(door):
    """Whoever has such a token learns no more than that."""
    token = issued(door, account_id=1)
    door.now = NOW + 1999
    assert told(door, token) == WRONG
    door.now = NOW
    carol = door.do(lambda world: accounts.add(world.connection, "carol@a.test", administrator=False, now=NOW))
    token = issued(door, account_id=carol.account_id)
    door.do(lambda world: accounts.disable(world.connection, "carol@a.test", NOW))
    assert told(door, token) == WRONG


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer "}])
def test_without_a_token_one_is_asked_for(door, headers):
    """In Google's words."""
    assert door.ask("GET", "/tokeninfo", **headers).json == {
        "error": "invalid_request",
        "error_description": "either access_token, id_token, or token_handle required",
    }


@pytest.fixture(scope="module")
def id_token(door):
    return door.redeemed(scope=ALL, nonce="a nonce")["id_token"]


def test_an_id_token_is_told(door, id_token):
    """Every claim as a text, and what its header says."""
    answer = door.ask("GET", f"/tokeninfo?id_token={id_token}")
    assert answer.code == 200
    found = answer.json
    assert all(isinstance(text, str) for text in found.values())
    assert (found["aud"], found["sub"], found["nonce"]) == (door.client.client_id, subject_of(1), "a nonce")
    assert (found["iss"], found["email_verified"], found["alg"]) == (ISSUER, "true", "RS256")
    assert (found["iat"], found["exp"]) == (str(NOW // 1000), str(NOW // 1000 + 3600))
    assert len(found["kid"]) == 40


def test_an_id_token_is_told_in_the_older_form(door, id_token):
    """By the names of those days."""
    assert door.post("/oauth2/v1/tokeninfo", {"id_token": id_token}).json == {
        "issuer": ISSUER,
        "issued_to": door.client.client_id,
        "audience": door.client.client_id,
        "user_id": subject_of(1),
        "issued_at": NOW // 1000,
        "email": "alice@example.test",
        "email_verified": True,
        "expires_in": 3600,
    }


FORGED = {
    "cut short": lambda text: text[:-4],
    "another signature": lambda text: text.rpartition(".")[0] + ".AAAA",
    "no signature": lambda text: "eyJhbGciOiJub25lIn0." + text.split(".")[1] + ".",
    "other claims": lambda text: text.replace(text.split(".")[1], "eyJpc3MiOiJ4In0"),
    "an access token": lambda text: "ya29.x",
    "too long": lambda text: text + "A" * 9_000,
    "parts of encryption": lambda text: text + ".x.y",
    "not ASCII": lambda text: "ä.b.c",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_id_token_is_an_invalid_value(door, id_token, forge):
    """Whatever was done to it."""
    answer = door.post("/tokeninfo", {"id_token": forge(id_token)})
    assert (answer.code, answer.json) == (400, WRONG)


def test_an_id_token_counts_for_its_hour_and_its_issuer(door, id_token):
    """Another server's, if it had our key, would be none of ours."""
    door.now = NOW + 3_700_000
    assert door.post("/tokeninfo", {"id_token": id_token}).json == WRONG
    door.now = NOW
    with pytest.raises(CredentialInvalid):
        door.database.look(lambda connection: verified(connection, id_token, "https://other.test", NOW))
