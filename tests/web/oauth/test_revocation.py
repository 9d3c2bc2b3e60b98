"""Taking back over HTTP: whoever has a token ends what it came of."""

import contextlib
from urllib.parse import quote

import pytest

from postroad.database.engine import Database
from postroad.oauth import consents, tokens
from tests.endpoint_kit import Door
from tests.oauth_kit import SEND


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with contextlib.closing(Database(tmp_path_factory.mktemp("door"), floor=0)) as database:
        yield Door(database)


def works(door, token: str) -> bool:
    return door.post("/tokeninfo", {"access_token": token}).code == 200


WAYS = {
    "in a form": lambda door, token: door.post("/revoke", {"token": token}),
    "in the address": lambda door, token: door.post(f"/revoke?token={quote(token)}"),
    "in the address, with a type and no body": lambda door, token: door.ask(
        "POST", f"/revoke?token={quote(token)}", content_type="application/json"
    ),
    "with a hint": lambda door, token: door.post("/revoke", {"token": token, "token_type_hint": "nonsense"}),
    "at the old address": lambda door, token: door.post("/o/oauth2/revoke", {"token": token}),
    "by GET, there": lambda door, token: door.ask("GET", f"/o/oauth2/revoke?token={quote(token)}"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_a_token_takes_its_consent_along(door, way, which):
    """Either token ends both, and every other token of that consent, at once."""
    first, second = (door.redeemed(access_type="offline", prompt="consent") for _ in range(2))
    assert works(door, first["access_token"])
    assert works(door, second["access_token"])
    answer = way(door, first[which])
    assert (answer.code, answer.body) == (200, b"{}\n")
    assert not works(door, first["access_token"])
    assert not works(door, second["access_token"])
    refresh = {"grant_type": "refresh_token", "refresh_token": second["refresh_token"]}
    client = {"client_id": door.client.client_id, "client_secret": door.secret}
    assert door.post("/token", refresh | client).json["error"] == "invalid_grant"
    assert door.do(lambda world: consents.of_account(world.connection, world.alice.account_id)) == []


def test_a_token_of_the_command_line_ends_alone(door):
    """It came of no consent."""

    def issued(world) -> list[str]:
        more = {"account_id": world.alice.account_id, "scopes": frozenset([SEND])}
        return [tokens.issue(world.connection, **more, expires_at=world.now + 1000, now=world.now) for _ in "ab"]

    first, second = door.do(issued)
    assert door.post("/revoke", {"token": first}).code == 200
    assert (works(door, first), works(door, second)) == (False, True)


def test_others_keep_what_they_have(door):
    """What another client was allowed stays."""
    token = door.redeemed()["access_token"]
    other = Door(door.database)
    assert other.post("/revoke", {"token": other.redeemed()["access_token"]}).code == 200
    assert works(door, token)


UNKNOWN = ["x", "ya29.x", "1//0x", "ya29." + "x" * 600, "ä", "' OR 1=1"]


@pytest.mark.parametrize("token", UNKNOWN)
def test_an_unknown_token_is_told_so(door, token):
    """As Google does, where RFC 7009 section 2.2 would say that all is well."""
    answer = door.post("/revoke", {"token": token})
    assert answer.code == 400
    assert answer.json == {"error": "invalid_token", "error_description": "Token expired or revoked"}


def test_a_token_ends_once(door):
    """The second time it is unknown."""
    token = door.redeemed()["access_token"]
    assert [door.post("/revoke", {"token": token}).code for _ in range(2)] == [200, 400]


@pytest.mark.parametrize(
    ("target", "form"), [("/revoke", {}), ("/revoke", {"token": ""}), ("/revoke?token=x", {"token": "x"})]
)
def test_which_token_must_be_clear(door, target, form):
    """None, and two of them, are no request."""
    assert door.post(target, form).json["error"] == "invalid_request"
