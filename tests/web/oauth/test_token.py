"""The token endpoint over HTTP; what is granted, and what not, is tested with the server itself."""

import base64
import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from postroad import maillog
from postroad.database.engine import Database
from tests.endpoint_kit import Door
from tests.oauth_kit import PLACE, SEND


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with contextlib.closing(Database(tmp_path_factory.mktemp("door"), floor=0)) as database:
        yield Door(database)


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def test_a_code_becomes_tokens_as_google_writes_them(door):
    """Two spaces of indentation, no more members than Google's, and nobody on the way keeps them."""
    answer = door.post("/token", door.redemption(door.code(access_type="offline")))
    assert answer.code == 200
    found = answer.json
    assert answer.body.decode() == (
        "{\n"
        f'  "access_token": "{found["access_token"]}",\n'
        '  "expires_in": 3599,\n'
        f'  "scope": "{SEND}",\n'
        '  "token_type": "Bearer",\n'
        f'  "refresh_token": "{found["refresh_token"]}"\n'
        "}\n"
    )
    assert answer.headers["cache-control"] == ["no-cache, no-store, max-age=0, must-revalidate"]
    assert answer.headers["pragma"] == ["no-cache"]


def test_a_client_may_authenticate_by_basic(door):
    """As google-auth-oauthlib and Go's library do."""
    form = door.redemption(door.code())
    shown = basic(form.pop("client_id"), form.pop("client_secret"))
    assert door.post("/token", form, authorization=shown).json["token_type"] == "Bearer"


def test_a_failed_basic_is_challenged_and_costs_no_code(door):
    """RFC 6749 section 5.2; Go's library then tries the same code again with its secret in the form."""
    form = door.redemption(door.code())
    without = {name: text for name, text in form.items() if not name.startswith("client_")}
    refused = door.post("/token", without, authorization=basic(form["client_id"], "wrong"))
    assert (refused.code, refused.json["error"]) == (401, "invalid_client")
    assert refused.headers["www-authenticate"] == ['Basic realm="https://accounts.google.com/"']
    assert door.post("/token", form).code == 200


def test_a_failure_in_the_form_is_not_challenged(door):
    """Browsers would ask people for a password."""
    refused = door.post("/token", door.redemption(door.code()) | {"client_secret": "wrong"})
    assert (refused.code, "www-authenticate" in refused.headers) == (401, False)


def test_what_a_refusal_wrote_stays_written(door):
    """A code that comes a second time is refused, and the tokens of its first use are gone for good."""
    form = door.redemption(door.code())
    token = door.post("/token", form).json["access_token"]
    assert door.post("/tokeninfo", {"access_token": token}).code == 200
    assert door.post("/token", form).json["error"] == "invalid_grant"
    door.face.oauth.tokens.forget()
    assert door.post("/tokeninfo", {"access_token": token}).code == 400


def test_of_many_at_once_one_gets_tokens(door):
    """However many bring the same code, through the database's group commit."""
    form = door.redemption(door.code())
    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(lambda _: door.post("/token", form).code, range(16)))
    assert codes == [200] + [400] * 15


def test_the_address_is_not_read(door):
    """What stands there is in the logs of everything on the way (RFC 6749 section 2.3.1)."""
    form = door.redemption(door.code())
    query = "&".join(f"{name}={text}" for name, text in form.items() if name != "redirect_uri")
    answer = door.post(f"/token?{query}&redirect_uri={PLACE}")
    assert answer.json == {
        "error": "invalid_request",
        "error_description": "Missing required parameter: grant_type",
    }


@pytest.mark.parametrize(
    "field", ["code", "client_id", "client_secret", "redirect_uri", "grant_type", "refresh_token"]
)
def test_whatever_a_field_says_is_no_bug(door, field, monkeypatch):
    """A refusal; and nothing of what was sent is in the log, but for the name of a grant that there is not."""
    logged = []
    monkeypatch.setattr(maillog, "denied", lambda *what: logged.append(what))
    for value in ("", " ", "canary" * 1000, "\x7f\x01canary", "canary\u202e\U0001f600", "canary' OR 1=1 --"):
        form = door.redemption("x") | {
            "grant_type": "refresh_token" if field == "refresh_token" else "authorization_code"
        }
        answer = door.post("/token", form | {field: value})
        assert answer.code in (400, 401)
    assert field == "grant_type" or "canary" not in str(logged)
