"""The table of OAuth's addresses: who is served there, by which verbs, in which form."""

import contextlib

import pytest

from postroad import maillog, refusals
from postroad.database.engine import Database
from postroad.oauth.errors import OAuthError
from postroad.settings import Settings
from postroad.web.oauth import ENDPOINTS, Endpoint, endpoint_at
from postroad.web.oauth.answers import given
from postroad.web.proxies import Proxies
from tests.endpoint_kit import Door

ORIGIN = "https://app.example.test"
TOKEN = ["/token", "/oauth2/v4/token", "/oauth2/v3/token", "/o/oauth2/token"]
REVOKE = ["/revoke", "/o/oauth2/revoke"]
TOKEN_INFO = ["/tokeninfo", "/oauth2/v1/tokeninfo", "/oauth2/v2/tokeninfo", "/oauth2/v3/tokeninfo"]
# What is kept nowhere on the way (gmail-wire.md 8.5).
HEADERS = {
    "content-type": ["application/json; charset=utf-8"],
    "cache-control": ["no-cache, no-store, max-age=0, must-revalidate"],
    "pragma": ["no-cache"],
    "expires": ["Mon, 01 Jan 1990 00:00:00 GMT"],
    "referrer-policy": ["no-referrer"],
    "vary": ["Origin", "X-Origin", "Referer"],
    "x-content-type-options": ["nosniff"],
}


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with contextlib.closing(Database(tmp_path_factory.mktemp("door"), floor=0)) as database:
        yield Door(database)


@pytest.mark.parametrize("path", TOKEN + REVOKE + TOKEN_INFO)
def test_googles_addresses_are_served(door, path):
    """The present ones and those that older libraries know; an empty form is refused in JSON that nobody keeps."""
    answer = door.post(path)
    assert (answer.code, answer.json["error"]) == (400, "invalid_request")
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert answer.body.startswith(b'{\n  "error": "')
    assert answer.body.endswith(b"\n}\n")


@pytest.mark.parametrize(
    "path", ["/token/", "/Token", "/oauth2/v2/token", "/revoke/x", "/oauth2/v4/tokeninfo", "/o"]
)
def test_an_address_is_exact(door, path):
    """Another one, though it resembles, is not there."""
    answer = door.post(path)
    assert (answer.code, answer.headers["content-type"]) == (404, ["text/html; charset=UTF-8"])


VERBS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("path", TOKEN + REVOKE + TOKEN_INFO)
def test_another_verb_is_told_which_there_are(door, path, verb):
    """By a page, as Google's front end has for people; nothing is done."""
    answer = door.ask(verb, f"{path}?token=x")
    allowed = ENDPOINTS[path].verbs
    assert (answer.code == 405) == (verb not in allowed)
    if verb not in allowed:
        assert answer.headers["allow"] == [", ".join(allowed)]
        assert b"Error 405 (Method Not Allowed)!!1" in answer.body
        assert path.encode() in answer.body


@pytest.mark.parametrize("path", TOKEN + REVOKE + TOKEN_INFO)
def test_pages_of_any_origin_may_ask(door, path):
    """A browser asks before, and then may read what it is told, refusals too; no cookie is looked at."""
    preflight = door.ask(
        "OPTIONS", path, origin=ORIGIN, access_control_request_method="POST", access_control_request_headers="x-y"
    )
    assert (preflight.code, preflight.headers["access-control-allow-headers"]) == (200, ["x-y"])
    answer = door.post(path, origin=ORIGIN)
    assert answer.headers["access-control-allow-origin"] == [ORIGIN]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", [path for path, one in ENDPOINTS.items() if not one.for_programs])
def test_pages_for_people_are_read_by_nobody_else(door, path):
    """What heeds cookies is not shared with other origins, whatever it answers."""
    for verb in ("GET", "POST", "OPTIONS"):
        answer = door.ask(verb, path.replace("*", "x"), origin=ORIGIN, access_control_request_method="POST")
        assert answer.code != 500
        assert "access-control-allow-origin" not in answer.headers


BODIES = {
    "JSON": (b"{}", "application/json", 400),
    "JSON that says it is a form": (b'{"token":"x"}', "application/x-www-form-urlencoded", 400),
    "a form that says it is JSON": (b"token=x", "application/json", 400),
    "multipart": (b"--x--", "multipart/form-data; boundary=x", 400),
    "no type": (b"token=x", "", 400),
    "other than UTF-8": (b"token=%ff", "application/x-www-form-urlencoded", 400),
    "NUL": (b"token=%00&client_id=%00", "application/x-www-form-urlencoded", 400),
    "too large": (b"token=" + b"x" * 16_384, "application/x-www-form-urlencoded", 413),
    "a hundred and one fields": (b"a=b&" * 100 + b"a=b", "application/x-www-form-urlencoded", 400),
    "a field twice": (b"token=x&access_token=x&token=x", "application/x-www-form-urlencoded", 400),
}


@pytest.mark.parametrize(("body", "media_type", "code"), BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("path", ["/token", "/revoke", "/tokeninfo", "/oauth2/v1/tokeninfo"])
def test_what_is_no_form_is_an_invalid_request(door, path, body, media_type, code):
    """Bounded, of the one type, in UTF-8, each field once (RFC 6749 section 3.2)."""
    answer = door.post(path, body, content_type=media_type)
    assert answer.json["error"] == "invalid_request"
    assert answer.code == code


def test_a_node_that_only_relays_has_no_endpoints(door):
    """As it takes no mail, nobody needs tokens of it."""
    door.face.takes_mail = False
    codes = {door.post(path).code for path in ENDPOINTS}
    door.face.takes_mail = True
    assert codes == {404}


def failing(error: Exception) -> Endpoint:
    async def answer(_request, _query, _context):
        raise error

    return Endpoint(("POST",), answer)


FAILURES = {
    "an error of OAuth": (OAuthError("invalid_grant", "Bad Request", why="it is used"), 400, "invalid_grant"),
    "no room": (refusals.StorageUnhealthy("the disk"), 503, "temporarily_unavailable"),
    "a refusal": (refusals.BodyTooSlow(), 408, "invalid_request"),
}


@pytest.mark.parametrize(("error", "code", "word"), FAILURES.values(), ids=FAILURES)
def test_a_failure_is_told_in_the_words_of_oauth(door, monkeypatch, error, code, word):
    """With the code that Google's libraries try again on, if that helps; the log has the cause."""
    logged = []
    monkeypatch.setattr(maillog, "denied", lambda *what: logged.append(what))
    monkeypatch.setitem(ENDPOINTS, "/token", failing(error))
    answer = door.post("/token", b"code=canary")
    assert (answer.code, answer.json["error"]) == (code, word)
    assert logged == [(word, error.why, "/token")]


def test_a_bug_is_a_500_that_tells_nothing(door, monkeypatch):
    """And is logged."""
    logged = []
    monkeypatch.setattr(maillog, "broke_down", logged.append)
    error = RuntimeError("canary")
    monkeypatch.setitem(ENDPOINTS, "/token", failing(error))
    answer = door.post("/token")
    assert (answer.code, logged) == (500, [error])
    assert b"canary" not in answer.body


def test_an_endpoint_may_be_right_beneath_an_address(monkeypatch):
    """As certificates are under the address of the service account; but no deeper, and not in its place."""
    one = failing(RuntimeError())
    monkeypatch.setitem(ENDPOINTS, "/robot/*", one)
    assert endpoint_at("/robot/a@b") is one
    assert endpoint_at("/robot") is endpoint_at("/robot/a/b") is endpoint_at("robot/a") is None


@pytest.mark.parametrize(("networks", "peer"), [("203.0.113.0/24", "198.51.100.1"), ("", "203.0.113.7")])
def test_an_endpoint_knows_who_asks(door, monkeypatch, networks, peer):
    """Through a proxy of ours the one whom it names, and otherwise who is at the other end."""
    seen = []

    async def answer(request, _query, _context):
        seen.append(request.peer)
        return given({})

    monkeypatch.setitem(ENDPOINTS, "/token", Endpoint(("POST",), answer))
    monkeypatch.setattr(door.face, "proxies", Proxies(Settings(behind_proxy=networks).proxies))
    assert door.post("/token", x_forwarded_for="192.0.2.1, 198.51.100.1").code == 200
    assert seen == [peer]
