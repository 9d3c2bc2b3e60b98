"""How a client says who it is (RFC 6749 section 2.3), and what it is told when that fails."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.oauth import clients
from postroad.oauth.framework import basic_credentials, token_request
from tests.oauth_kit import VERIFIER, World, basic, s256

OTHER = "123456789012-" + "a" * 32 + ".apps.googleusercontent.com"
UNKNOWN = ("invalid_client", "The OAuth client was not found.", 401)
WRONG = ("invalid_client", "Unauthorized", 401)
NOBODY = ("invalid_request", "Could not determine client ID from request.", 400)
NO_SECRET = ("invalid_request", "client_secret is missing.", 400)


def exchange(world: World, client, code, authorization=None, **credentials):
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": client.redirect_uris[0]}
    return world.exchange(authorization, **(form | credentials))


def test_a_client_authenticates_in_the_form(world):
    """Number and secret are parameters, as google-auth-library for Node has it."""
    client, secret = world.client()
    code = world.code(client)
    assert exchange(world, client, code, client_id=client.client_id, client_secret=secret)["access_token"]


def test_a_client_authenticates_by_basic(world):
    """Number and secret are in the header field and not in the form, as google-auth-oauthlib has it."""
    client, secret = world.client()
    assert exchange(world, client, world.code(client), basic(client.client_id, secret))["access_token"]


def test_basic_may_be_encoded(world):
    """RFC 6749 section 2.3.1 has both percent-encoded before they are put together, and Go does so."""
    client, secret = world.client()
    encoded = basic(client.client_id.replace("-", "%2D").replace(".", "%2e"), secret.replace("-", "%2D"))
    assert exchange(world, client, world.code(client), encoded)["access_token"]


def test_the_form_may_repeat_who_asks(world):
    """The number may be in both; what else is in the form is not what counts."""
    client, secret = world.client()
    authorization = basic(client.client_id, secret)
    again = {"client_id": client.client_id, "client_secret": secret}
    assert exchange(world, client, world.code(client), authorization, **again)["access_token"]


def proof(world) -> tuple[clients.Client, str]:
    client, _ = world.client("installed", public=True)
    return client, world.code(client, code_challenge=s256(VERIFIER), code_challenge_method="S256")


def test_a_public_client_says_its_number(world):
    """It has no secret to show; its proof is that of the code."""
    client, code = proof(world)
    assert exchange(world, client, code, client_id=client.client_id, code_verifier=VERIFIER)["access_token"]


def test_a_public_client_may_say_it_by_basic(world):
    """A number with an empty secret, as google-auth-oauthlib sends it, names a client."""
    client, code = proof(world)
    assert exchange(world, client, code, basic(client.client_id, ""), code_verifier=VERIFIER)["access_token"]


def test_a_public_client_has_no_secret(world):
    """Whatever secret is shown for it is wrong, by Basic as in the form."""
    client, code = proof(world)
    for secret in ("x", "None", "notasecret"):
        shown = {"client_id": client.client_id, "client_secret": secret, "code_verifier": VERIFIER}
        assert world.denied(exchange, world, client, code, **shown) == WRONG
        authorization = basic(client.client_id, secret)
        assert world.denied(exchange, world, client, code, authorization, code_verifier=VERIFIER) == WRONG


# What is in the Authorization field, what in the form, and how that is answered. ID and SECRET are the client's.
FAILURES = {
    "nothing": (None, {}, NOBODY),
    "an empty number": (None, {"client_id": ""}, NOBODY),
    "a secret alone": (None, {"client_secret": "SECRET"}, NOBODY),
    "a number alone": (None, {"client_id": "ID"}, NO_SECRET),
    "an empty secret": (None, {"client_id": "ID", "client_secret": ""}, NO_SECRET),
    "a wrong secret": (None, {"client_id": "ID", "client_secret": "x"}, WRONG),
    "the secret and more": (None, {"client_id": "ID", "client_secret": "SECRETx"}, WRONG),
    "the secret in capitals": (None, {"client_id": "ID", "client_secret": "GOCSPX-SECRET"}, WRONG),
    "an unknown client": (None, {"client_id": OTHER, "client_secret": "SECRET"}, UNKNOWN),
    "no client's number": (None, {"client_id": "x\ny", "client_secret": "SECRET"}, UNKNOWN),
    "Basic: a wrong secret": ("ID:x", {}, WRONG),
    "Basic: a wrong secret, the right one in the form": (
        "ID:x",
        {"client_id": "ID", "client_secret": "SECRET"},
        WRONG,
    ),
    "Basic: no secret": ("ID:", {}, NO_SECRET),
    "Basic: no colon": ("ID", {}, NO_SECRET),
    "Basic: an unknown client": (f"{OTHER}:SECRET", {}, UNKNOWN),
    "Basic: no number": (":SECRET", {}, NOBODY),
    "Basic: two clients": ("ID:SECRET", {"client_id": OTHER}, NOBODY),
    "Basic: two clients, the form's has a secret": (
        f"{OTHER}:x",
        {"client_id": "ID", "client_secret": "SECRET"},
        NOBODY,
    ),
}


@pytest.mark.parametrize(("authorization", "form", "told"), FAILURES.values(), ids=FAILURES)
def test_a_failed_authentication_costs_no_code(world, authorization, form, told):
    """Who fails is told why in Google's words, and the code is as good as before: Go tries a second way."""
    client, secret = world.client()
    code = world.code(client)

    def filled(text: str) -> str:
        return text.replace("ID", client.client_id).replace("SECRET", secret)

    field = authorization and "Basic " + base64.b64encode(filled(authorization).encode()).decode()
    shown = {name: filled(text) for name, text in form.items()}
    assert world.denied(exchange, world, client, code, field, **shown) == told
    assert exchange(world, client, code, client_id=client.client_id, client_secret=secret)["access_token"]


NO_BASIC = {
    "none": "",
    "another scheme": "Bearer ya29.x",
    "the scheme alone": "Basic",
    "no base64": "Basic \u00e4\u00f6\u00fc",
    "half of base64": "Basic YQ=",
    "no UTF-8": "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
    "nothing in it": "Basic ",
    "very long": "Basic " + "Y" * 100_001,
}


@pytest.mark.parametrize("field", NO_BASIC.values(), ids=NO_BASIC)
def test_what_is_no_basic_names_nobody(field):
    """A field that cannot be read is as if it were not there; the form may still say who asks."""
    assert basic_credentials(field) == ("", "")
    asked = token_request([("client_id", "a"), ("client_secret", "b")], field)
    assert (asked.form["client_id"], asked.headers) == ("a", {})


@given(st.text(st.characters(codec="latin-1")))
def test_any_field_can_be_read(field):
    """Whatever stands in the Authorization field, it names a client or it does not."""
    assert len(basic_credentials(field)) == 2
    assert len(basic_credentials("Basic " + field)) == 2
