"""The button to sign in elsewhere, and what comes back from there that is none of ours."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from postroad.oauth import upstream
from postroad.oauth.upstream import Metadata
from postroad.web.oauth.provider import Provider
from tests.web.oauth.visitor import ROOT

ISSUER = "https://id.example.org"
BEGIN = "/o/oauth2/upstream?onward=%2Fdevice"
CALLBACK = "/o/oauth2/upstream/callback"
PLACES = (f"{ISSUER}/auth", f"{ISSUER}/token", f"{ISSUER}/keys")


@pytest.fixture
def provider(house):
    """One that said what it has, and is not asked for more."""
    found = Provider(ISSUER, "us", "secret")
    found._metadata = Metadata(ISSUER, *PLACES, tells_issuer=True, by_form=False)
    found._metadata_at = float("inf")
    house.context = replace(house.context, upstream=found)
    return found


def test_without_a_provider_there_is_no_button(visitor):
    """And nothing behind it."""
    assert "Sign in with" not in visitor.get("/device").text
    for path in (BEGIN, f"{CALLBACK}?state=x&code=y"):
        assert visitor.get(path).code == 404


def test_the_button_leads_to_the_provider(visitor, provider):
    """With state, nonce and proof key, each new; where to come back to does not depend on who asks."""
    assert "Sign in with id.example.org" in visitor.get("/device").text
    asked = [visitor.get(visitor.get("/device").links[0]).location for _ in range(2)]
    first, second = (parse_qs(urlsplit(place).query) for place in asked)
    assert asked[0].startswith(f"{ISSUER}/auth?")
    assert first["redirect_uri"] == [f"{ROOT}{CALLBACK}"]
    assert (first["client_id"], first["scope"], first["response_type"]) == (["us"], ["openid email"], ["code"])
    assert all(first[name] != second[name] for name in ("state", "nonce", "code_challenge"))


FOREIGN = ["https://evil.test/", "//evil.test/", "/\\evil.test", "javascript:alert(1)", "", "device"]


@pytest.mark.parametrize("onward", FOREIGN)
def test_a_sign_in_goes_on_here(visitor, provider, onward):
    """Nobody is led elsewhere by an address of ours (hardening.md G13)."""
    assert visitor.get(f"/o/oauth2/upstream?onward={onward}").code == 400


def state_of(visitor):
    """That of a sign-in which begins in this browser."""
    return parse_qs(urlsplit(visitor.get(BEGIN).location).query)["state"][0]


@pytest.mark.parametrize("state", ["", "x", "x" * 5000, "é"])
def test_an_unknown_state_signs_nobody_in(visitor, provider, state):
    """Whoever sends it."""
    page = visitor.get(f"{CALLBACK}?code=x&iss={ISSUER}&state={state}")
    assert (page.code, "began in this browser" in page.text) == (403, True)


BAD = {
    "an error": f"error=access_denied&iss={ISSUER}",
    "nothing": f"iss={ISSUER}",
    "an empty code": f"code=&iss={ISSUER}",
    "a code without end": f"code={'x' * 5000}&iss={ISSUER}",
    "no issuer": "code=x",
    "another issuer": "code=x&iss=https://evil.test",
}


@pytest.mark.parametrize("told", BAD.values(), ids=BAD)
def test_a_bad_answer_signs_nobody_in(visitor, provider, told):
    """The page to sign in says so; the provider is not asked about it (mix-up, RFC 9207)."""
    page = visitor.get(f"{CALLBACK}?state={state_of(visitor)}&{told}")
    assert (page.code, "You were not signed in there" in page.text) == (403, True)
    assert page.forms[0].action == "/o/oauth2/sign_in"


def test_a_sign_in_does_not_wait_for_ever(house, visitor, provider):
    """After ten minutes its answer is unknown."""
    state = state_of(visitor)
    house.now += upstream.LIFE
    assert visitor.get(f"{CALLBACK}?state={state}&code=x&iss={ISSUER}").code == 403


def test_a_provider_that_is_away_is_told(house, visitor):
    """On the page to sign in, where a password still does."""
    house.context = replace(house.context, upstream=Provider("http://127.0.0.1:1", "us"))
    page = visitor.get(BEGIN)
    assert (page.code, "does not answer just now" in page.text) == (403, True)
    assert page.forms[0].action == "/o/oauth2/sign_in"
