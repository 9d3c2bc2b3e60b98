"""How an authorization request is answered: back to the client, with a code or an error."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.oauth.authorization import AuthorizationRequest, back
from postroad.oauth.clients import Client
from tests.oauth_kit import ISSUER, NOW, PLACE, READ, SEND

CLIENT = Client("1-a", "web", "An App", None, (PLACE,), NOW)


def request(**changed):
    return AuthorizationRequest(CLIENT, PLACE, (SEND, READ), ISSUER, **changed)


def test_a_code_goes_back_with_state_and_issuer():
    """The client gets code, scopes and its own state, and by `iss` it knows who answers (RFC 9207)."""
    place, query = request(state="a state").granted("4/0x", (SEND, READ)).split("?")
    assert place == PLACE
    assert parse_qsl(query) == [
        ("code", "4/0x"),
        ("scope", f"{SEND} {READ}"),
        ("state", "a state"),
        ("iss", ISSUER),
    ]


def test_an_error_goes_back_with_state_and_issuer():
    """A client that is refused gets its state and `iss` as well."""
    refusal = request(state="s").refused("access_denied", "The person did not allow it.")
    assert (refusal.error, refusal.description) == ("access_denied", "The person did not allow it.")
    assert dict(parse_qsl(urlsplit(refusal.redirect_to).query)) == {
        "error": "access_denied",
        "error_description": "The person did not allow it.",
        "state": "s",
        "iss": ISSUER,
    }


def test_without_state_none_goes_back():
    """A client that sent no state gets none."""
    assert "state=" not in request().granted("4/0x", (SEND,))


PLACES = [PLACE, "http://localhost:8080/", "http://localhost", "com.example.app:/back", PLACE + "?a=%20b&a=+;c"]


@pytest.mark.parametrize("place", PLACES)
@given(state=st.text(min_size=1))
def test_a_state_comes_back_as_it_was(place, state):
    """Whatever the state holds, it stays within its parameter, and the place is kept to the letter."""
    told = back(place, {"code": "4/0x"}, state, ISSUER)
    assert told.isascii()
    assert told.isprintable()
    assert told.startswith(place)
    added = parse_qsl(told.removeprefix(place)[1:], strict_parsing=True)
    assert added == [("code", "4/0x"), ("state", state), ("iss", ISSUER)]
