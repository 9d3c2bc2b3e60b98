"""What may be put before a person: authorization requests, good ones and others (hardening.md G1, G2, G7, G8)."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postroad.oauth import server
from postroad.oauth.errors import OAuthError, RedirectableError
from postroad.oauth.scopes import FULL, SCOPES
from tests.oauth.test_redirects import FOREIGN_TO_WEB, WEB
from tests.oauth_kit import ISSUER, PLACE, READ, SEND, VERIFIER, s256

CHALLENGE = s256(VERIFIER)


def test_a_plain_request_is_understood(world):
    """Code, client, place, scope and state are read; the rest is off where it is not asked for."""
    client, _ = world.client()
    asked = world.ask(client)
    assert asked == server.AuthorizationRequest(client, PLACE, (SEND,), ISSUER, "a state")
    assert not asked.offline
    assert asked.prompts == frozenset()
    assert asked.code_challenge is None


def test_everything_that_google_adds_is_understood(world):
    """Offline access, prompts, hints, growing consents, proof keys and nonces; what is unknown is passed over."""
    client, _ = world.client()
    asked = world.ask(
        client,
        scope=f"{READ} openid {SEND} {READ}",
        access_type="offline",
        prompt="select_account consent",
        login_hint="alice@bücher.example",
        include_granted_scopes="true",
        code_challenge=CHALLENGE,
        code_challenge_method="S256",
        nonce="n",
        hd="example.test",
        service="lso",
    )
    assert asked.scopes == (READ, "openid", SEND)
    assert asked.offline
    assert asked.include_granted_scopes
    assert asked.prompts == {"select_account", "consent"}
    assert (asked.login_hint, asked.nonce) == ("alice@bücher.example", "n")
    assert (asked.code_challenge, asked.code_challenge_method) == (CHALLENGE, "S256")


PROMPTS = [
    ({"prompt": "none"}, {"none"}),
    ({"prompt": "consent"}, {"consent"}),
    ({"prompt": "select_account"}, {"select_account"}),
    ({"approval_prompt": "force"}, {"consent"}),
    ({"approval_prompt": "auto"}, set()),
    ({"prompt": ""}, set()),
]


@pytest.mark.parametrize(("parameters", "prompts"), PROMPTS)
def test_prompts_have_two_spellings(world, parameters, prompts):
    """The old approval_prompt=force asks for consent as prompt=consent does."""
    assert world.ask(world.client()[0], **parameters).prompts == prompts


# To a page: nobody knows whose place that is.
TO_A_PAGE = {
    "no client": ({"client_id": None}, "invalid_request", "Missing required parameter: client_id", 400),
    "an empty client": ({"client_id": ""}, "invalid_request", "Missing required parameter: client_id", 400),
    "an unknown client": ({"client_id": "x"}, "invalid_client", "The OAuth client was not found.", 401),
    "no place": ({"redirect_uri": None}, "invalid_request", "Missing required parameter: redirect_uri", 400),
    "no response_type": (
        {"response_type": None},
        "invalid_request",
        "Missing required parameter: response_type",
        400,
    ),
    "another place": (
        {"redirect_uri": PLACE + "/"},
        "redirect_uri_mismatch",
        "The redirect URI in the request does not match the ones authorized for the OAuth client.",
        400,
    ),
    "another place, and everything else wrong": (
        {"redirect_uri": "https://evil.test/", "scope": "x", "response_type": "token"},
        "unsupported_response_type",
        "Invalid response_type",
        400,
    ),
    "a response_type that cannot be told": (
        {"response_type": "cödé"},
        "invalid_request",
        "Invalid parameter value for response_type",
        400,
    ),
    "a scope that cannot be told": (
        {"scope": f'{SEND} "\\'},
        "invalid_request",
        "Invalid parameter value for scope",
        400,
    ),
    "a challenge with a newline": (
        {"code_challenge": CHALLENGE + "\n", "code_challenge_method": "S256"},
        "invalid_request",
        "Invalid parameter value for code_challenge",
        400,
    ),
}


@pytest.mark.parametrize(("changed", "error", "description", "code"), TO_A_PAGE.values(), ids=TO_A_PAGE)
def test_some_errors_are_for_a_page(world, changed, error, description, code):
    """Until it is sure that the browser may go back to the client, it goes nowhere."""
    refusal = world.refused(world.client()[0], **changed)
    assert type(refusal) is OAuthError
    assert (refusal.error, refusal.description, refusal.code) == (error, description, code)


def test_nobody_is_sent_to_a_foreign_place(world):
    """A redirect URI that was not registered gets a page, whatever it resembles and however wrong the rest is."""
    client, _ = world.client("web", WEB, "http://localhost/callback")
    for asked in FOREIGN_TO_WEB.values():
        for wrong in ({}, {"scope": "wrong"}, {"response_type": "token"}):
            assert type(world.refused(client, redirect_uri=asked, **wrong)) is OAuthError, asked


def test_a_place_of_another_client_is_foreign(world):
    """Each client has its own redirect URIs."""
    client, _ = world.client()
    world.client("web", WEB)
    assert world.refused(client, redirect_uri=WEB).error == "redirect_uri_mismatch"


REPEATED = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "prompt",
    "code_challenge",
    "nonce",
    "login_hint",
    "unknown",
]


@pytest.mark.parametrize("name", REPEATED)
@pytest.mark.parametrize("second", ["", "x", "same"])
def test_a_parameter_is_there_once(world, name, second):
    """One that is there twice gets a page, as nobody can tell which is meant (RFC 6749 section 3.1)."""
    client, _ = world.client()
    parameters = dict(world.parameters(client, prompt="consent", nonce="n", unknown="u", login_hint="a"))
    parameters |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    twice = [*parameters.items(), (name, parameters[name] if second == "same" else second)]
    with pytest.raises(OAuthError) as refusal:
        server.authorization_request(world.connection, twice, issuer=ISSUER)
    assert type(refusal.value) is OAuthError
    assert refusal.value.description == f"OAuth 2 parameters can only have a single value: {name}"


def wrong_value(name: str, text: str) -> str:
    return f"Invalid parameter value for {name}: {text}"


PROOF = {"code_challenge_method": "S256"}
# To the client, which is known and may have the browser back.
TO_THE_CLIENT = {
    "tokens in the address": ({"response_type": "token"}, "unsupported_response_type", "Invalid response_type"),
    "an ID token in the address": (
        {"response_type": "id_token"},
        "unsupported_response_type",
        "Invalid response_type",
    ),
    "a code and a token": ({"response_type": "code token"}, "unsupported_response_type", "Invalid response_type"),
    "a code in capitals": ({"response_type": "CODE"}, "unsupported_response_type", "Invalid response_type"),
    "nothing": ({"response_type": "none"}, "unsupported_response_type", "Invalid response_type"),
    "no scope": ({"scope": None}, "invalid_request", "Missing required parameter: scope"),
    "an empty scope": ({"scope": ""}, "invalid_request", "Missing required parameter: scope"),
    "spaces for a scope": (
        {"scope": "  "},
        "invalid_scope",
        "Some requested scopes were invalid. {valid=[], invalid=[]}",
    ),
    "an unknown scope": (
        {"scope": f"{SEND} x"},
        "invalid_scope",
        f"Some requested scopes were invalid. {{valid=[{SEND}], invalid=[x]}}",
    ),
    "no such access": ({"access_type": "x"}, "invalid_request", wrong_value("access_type", "x")),
    "access in capitals": ({"access_type": "Offline"}, "invalid_request", wrong_value("access_type", "Offline")),
    "no such prompt": ({"prompt": "login"}, "invalid_request", wrong_value("prompt", "login")),
    "none and more": ({"prompt": "none consent"}, "invalid_request", wrong_value("prompt", "none consent")),
    "two prompts": (
        {"prompt": "consent", "approval_prompt": "force"},
        "invalid_request",
        "Conflict params: approval_prompt and prompt",
    ),
    "no such approval": ({"approval_prompt": "x"}, "invalid_request", wrong_value("approval_prompt", "x")),
    "neither true nor false": (
        {"include_granted_scopes": "1"},
        "invalid_request",
        wrong_value("include_granted_scopes", "1"),
    ),
    "the answer in a fragment": (
        {"response_mode": "fragment"},
        "invalid_request",
        wrong_value("response_mode", "fragment"),
    ),
    "a method without a challenge": (PROOF, "invalid_request", "Missing 'code_challenge'"),
    "a short challenge": (PROOF | {"code_challenge": "c" * 42}, "invalid_request", "Invalid 'code_challenge'"),
    "a long challenge": (PROOF | {"code_challenge": "c" * 129}, "invalid_request", "Invalid 'code_challenge'"),
    "a padded challenge": (
        PROOF | {"code_challenge": CHALLENGE + "="},
        "invalid_request",
        "Invalid 'code_challenge'",
    ),
    "no such method": (
        {"code_challenge": CHALLENGE, "code_challenge_method": "s256"},
        "invalid_request",
        "Unsupported 'code_challenge_method'",
    ),
}


@pytest.mark.parametrize(("changed", "error", "description"), TO_THE_CLIENT.values(), ids=TO_THE_CLIENT)
def test_other_errors_are_for_the_client(world, changed, error, description):
    """The browser goes back with error, description, state and issuer, and with nothing else."""
    refusal = world.refused(world.client()[0], **changed)
    assert isinstance(refusal, RedirectableError)
    assert refusal.redirect_to.startswith(PLACE + "?")
    assert dict(parse_qsl(urlsplit(refusal.redirect_to).query)) == {
        "error": error,
        "error_description": description,
        "state": "a state",
        "iss": ISSUER,
    }
    assert (refusal.error, refusal.description) == (error, description)


ALMOST_SCOPES = {
    "no slash behind": FULL.rstrip("/"),
    "another slash": FULL + "/",
    "capitals": SEND.upper(),
    "another scheme": SEND.replace("https", "http"),
    "a short name": "gmail.send",
    "its end cut off": SEND[:-1],
    "something behind": SEND + "s",
    "a whole API": "https://www.googleapis.com/auth/gmail",
    "a pattern": "https://www.googleapis.com/auth/gmail.*",
    "a comma between": f"{SEND},{READ}",
    "a plus between": f"{SEND}+{READ}",
    "encoded": SEND.replace("/", "%2F"),
}


@pytest.mark.parametrize("scope", ALMOST_SCOPES.values(), ids=ALMOST_SCOPES)
def test_a_scope_is_equal_or_is_none(world, scope):
    """What only resembles a scope is refused, also beside one (hardening.md G11)."""
    client, _ = world.client()
    for asked in (scope, f"{READ} {scope}"):
        assert world.refused(client, scope=asked).error == "invalid_scope"


def test_scopes_of_other_apis_are_asked_for_beside_ours(world):
    """A program that wants a calendar, too, can sign in; without one of ours there is nothing to allow."""
    client, _ = world.client()
    drive = "https://www.googleapis.com/auth/drive"
    assert world.ask(client, scope=f"{drive} {SEND}").scopes == (drive, SEND)
    assert world.refused(client, scope=drive).error == "invalid_scope"


@pytest.mark.parametrize("scope", SCOPES.values())
def test_every_scope_can_be_asked_for(world, scope):
    """Each scope there is is granted as it is written."""
    assert world.ask(world.client()[0], scope=scope).scopes == (scope,)


def test_spaces_between_scopes_do_not_count(world):
    """More spaces than one grant neither more nor less."""
    assert world.ask(world.client()[0], scope=f" {SEND}  {READ} ").scopes == (SEND, READ)


# A client with a secret; a public one.
CHALLENGES = {
    "none": ({}, None, "refused"),
    "S256": (PROOF | {"code_challenge": CHALLENGE}, "S256", "S256"),
    "plain": ({"code_challenge": VERIFIER, "code_challenge_method": "plain"}, "plain", "refused"),
    "no method": ({"code_challenge": VERIFIER}, "plain", "refused"),
    "43 characters": (PROOF | {"code_challenge": "c" * 43}, "S256", "S256"),
    "128 characters": (PROOF | {"code_challenge": "c" * 128}, "S256", "S256"),
}


@pytest.mark.parametrize(("proof", "confidential", "public"), CHALLENGES.values(), ids=CHALLENGES)
def test_a_public_client_needs_a_proof_key(world, proof, confidential, public):
    """A client without a secret has to use S256; of others no proof key is asked (hardening.md G2)."""
    assert world.ask(world.client()[0], **proof).code_challenge_method == confidential
    client, _ = world.client("installed", public=True)
    if public == "refused":
        refusal = world.refused(client, **proof)
        assert isinstance(refusal, RedirectableError)
        assert (refusal.error, refusal.description) == ("invalid_request", "code challenge required, by S256")
    else:
        assert world.ask(client, **proof).code_challenge_method == public


def test_an_installed_client_is_answered_at_its_port(world):
    """The browser goes to the port that was asked for."""
    client, _ = world.client("installed")
    assert world.ask(client, redirect_uri="http://localhost:41231/").redirect_uri == "http://localhost:41231/"


NAMES = st.sampled_from(
    (
        *("response_type", "client_id", "redirect_uri", "scope", "state", "prompt", "access_type", "nonce"),
        *("code_challenge", "code_challenge_method", "approval_prompt", "login_hint", "response_mode", "x"),
    )
)
# What a query can hold once it is read: UTF-8 without NUL.
TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"))


def place_of_the_answer(world, parameters) -> str | None:
    """Where the browser goes at last; `None` for a page."""
    try:
        return server.authorization_request(world.connection, parameters, issuer=ISSUER).redirect_uri
    except RedirectableError as refusal:
        return refusal.redirect_to.partition("?")[0]
    except OAuthError:
        return None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(changed=st.dictionaries(NAMES, TEXTS))
def test_whatever_is_asked_gets_an_answer(world, changed):
    """Any parameters are a request or an error of OAuth, and the browser goes to the client's place or nowhere."""
    client, _ = world.client()
    parameters = dict(world.parameters(client)) | changed
    assert place_of_the_answer(world, list(parameters.items())) in {PLACE, None}
