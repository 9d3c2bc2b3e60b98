"""A provider over HTTP: what it may answer, how much, for how long, and when it is asked again."""

import asyncio
import base64
import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from postroad.oauth import upstream
from postroad.oauth.upstream import UpstreamError
from postroad.web.oauth import provider
from postroad.web.oauth.provider import Provider, fetched

NOW = 1_790_000_000_000
KEYS = [RSAKey.generate_key(2048, {"kid": str(number)}) for number in range(2)]
ATTEMPT = upstream.fresh("/", "")


class Place(ThreadingHTTPServer):
    """Answers what it is told to at each path, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Asked)
        self.answers, self.asked = {}, []
        self.silent = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, path, value, code=200, **headers):
        octets = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.answers[path] = (code, octets, headers)

    def count(self, path):
        return sum(asked[0] == path for asked in self.asked)


class Asked(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self):
        form = self.rfile.read(int(self.headers["content-length"] or 0))
        self.server.asked.append((self.path, dict(self.headers), parse_qs(form.decode())))
        if self.path == "/silent":
            self.server.silent.wait(30)
        code, octets, headers = self.server.answers.get(self.path, (404, b"", {}))
        self.send_response(code)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("content-length", str(len(octets)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(octets)

    do_POST = do_GET  # noqa: N815 - the standard library's name

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def place():
    with Place() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.silent.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def house(place):
    """A provider at that place, and what it knows of itself."""
    document = {
        "issuer": place.url,
        "authorization_endpoint": f"{place.url}/auth",
        "token_endpoint": f"{place.url}/token",
        "jwks_uri": f"{place.url}/keys",
    }
    place.put("/.well-known/openid-configuration", document)
    publish(place, KEYS[0])
    answer(place, KEYS[0])
    return Provider(place.url, "us", "secret&")


def publish(place, *keys):
    place.put("/keys", {"keys": [key.as_dict(private=False) for key in keys]})


def answer(place, key, **changed):
    claims = {"iss": place.url, "aud": "us", "sub": "42", "nonce": ATTEMPT.nonce, "iat": NOW // 1000}
    claims |= {"exp": NOW // 1000 + 60} | changed
    place.put("/token", {"id_token": jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key, ["RS256"])})


def identity(house):
    return asyncio.run(house.identity("code", ATTEMPT, "https://we.example/back", NOW))


def test_a_code_is_exchanged_for_who_signed_in(house, place):
    """With the proof key, the place the browser came back to, and our secret in the header."""
    assert identity(house).subject == "42"
    ((_, headers, form),) = [asked for asked in place.asked if asked[0] == "/token"]
    assert form == {
        "grant_type": ["authorization_code"],
        "code": ["code"],
        "redirect_uri": ["https://we.example/back"],
        "code_verifier": [ATTEMPT.code_verifier],
        "client_id": ["us"],
    }
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"us:secret%26"


def test_a_secret_goes_into_the_form_where_that_is_wanted(house, place):
    """And nowhere without one."""
    _, document, _ = place.answers["/.well-known/openid-configuration"]
    methods = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    place.put("/.well-known/openid-configuration", json.loads(document) | methods)
    identity(house)
    identity(Provider(place.url, "us"))
    first, second = [(headers, form) for path, headers, form in place.asked if path == "/token"]
    assert ("Authorization" in first[0], first[1]["client_secret"]) == (False, ["secret&"])
    assert ("Authorization" in second[0], "client_secret" in second[1]) == (False, False)


def test_a_secret_is_not_shown(house):
    """Not even to a traceback."""
    assert "secret" not in repr(house).replace("client_secret", "")


def test_what_it_says_of_itself_is_kept(house, place):
    """For an hour: document and keys."""
    for _ in range(3):
        identity(house)
    assert (place.count("/.well-known/openid-configuration"), place.count("/keys"), place.count("/token")) == (
        1,
        1,
        3,
    )


def test_new_keys_are_asked_for_once_a_minute(house, place, monkeypatch):
    """A token by a new key verifies once the kept ones are a minute old; bad ones do not make us ask more."""
    identity(house)
    publish(place, *KEYS)
    answer(place, KEYS[1])
    with pytest.raises(UpstreamError):
        identity(house)
    assert place.count("/keys") == 1
    monkeypatch.setattr(provider, "AGAIN_SECONDS", -1)
    assert identity(house).subject == "42"
    assert place.count("/keys") == 2


def test_another_nonce_names_nobody(house, place):
    """What was signed in another sign-in does not count in this."""
    answer(place, KEYS[0], nonce="another")
    with pytest.raises(UpstreamError):
        identity(house)


@pytest.mark.parametrize("told", [{}, [], 7, {"id_token": None}, {"id_token": 7}, {"error": "invalid_grant"}])
def test_without_an_id_token_nobody_is_named(house, place, told):
    """Whatever the token endpoint says."""
    place.put("/token", told)
    with pytest.raises(UpstreamError):
        identity(house)


BAD = {
    "not there": (b"{}", 404, {}),
    "an error": (b'{"error": "server_error"}', 500, {}),
    "created": (b"{}", 201, {}),
    "elsewhere": (b"{}", 302, {"location": "/good"}),
    "elsewhere, with the form": (b"{}", 307, {"location": "/good"}),
    "no JSON": (b"<html>", 200, {}),
    "not UTF-8": (b'"\xff"', 200, {}),
    "nothing": (b"", 200, {}),
    "null": (b"null", 200, {}),
    "too deep": (b"[" * 100_000, 200, {}),
    "too much": (b'"' + b"x" * (256 * 1024) + b'"', 200, {}),
    "compressed": (b"\x1f\x8b rubbish", 200, {"content-encoding": "gzip"}),
}


@pytest.mark.parametrize(("octets", "code", "headers"), BAD.values(), ids=BAD)
def test_a_bad_answer_is_an_error_of_ours(place, octets, code, headers):
    """Told in one way, and no redirect is followed (RFC 9700 section 4.11)."""
    place.put("/good", {"good": True})
    place.put("/bad", octets, code, **headers)
    with pytest.raises(UpstreamError, match="does not answer just now"):
        asyncio.run(fetched("GET", f"{place.url}/bad"))
    assert place.count("/good") == 0


def test_who_is_silent_is_not_waited_for(place, monkeypatch):
    """After some seconds it is as if nobody were there; and so it is when nobody is."""
    monkeypatch.setattr(provider, "TIMEOUT_SECONDS", 0.1)
    for url in (f"{place.url}/silent", "http://127.0.0.1:1/"):
        with pytest.raises(UpstreamError, match="does not answer just now"):
            asyncio.run(fetched("GET", url))


def test_nobody_is_asked_who_could_be_overheard(place):
    """A place without TLS, but on this machine, is not asked."""
    with pytest.raises(UpstreamError) as error:
        asyncio.run(fetched("GET", "http://id.example.org/keys"))
    assert "is no https address" in error.value.why
