"""ID tokens: their claims, what scopes let a client know, and that foreign libraries verify them."""

import json

import pytest
from google.auth import jwt as google_jwt
from joserfc import jwt
from joserfc.jwk import KeySet

from postroad.oauth import accounts, identity, signing_keys
from postroad.oauth.scopes import IDENTITY, SCOPES
from postroad.sealing import Sealing

NOW = 1_790_000_000_000
SEALING = Sealing(bytes(32))
CLIENT = "123456789012-abc.apps.googleusercontent.com"
OPENID = frozenset({"openid"})
# With its hash that of OpenID Connect Core, appendix A.3.
ACCESS_TOKEN = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"


@pytest.fixture
def connection(engine):
    with engine.begin() as opened:
        yield opened


@pytest.fixture
def alice(connection):
    return accounts.add(connection, "alice@example.test", administrator=False, now=NOW)


def id_token(connection, account, scopes=OPENID, **changes) -> str:
    values = {
        "issuer": "https://mail.example.test",
        "client_id": CLIENT,
        "nonce": "n-1",
        "signed_in_at": NOW - 5_000,
    }
    values |= {"access_token": ACCESS_TOKEN, "sealing": SEALING, "now": NOW}
    return identity.id_token(connection, account=account, scopes=scopes, **(values | changes))


def read(connection, text: str) -> dict:
    keys = [key.jwk() for key in signing_keys.published(connection, SEALING, NOW)]
    return jwt.decode(text, KeySet.import_key_set({"keys": keys}), ["RS256"]).claims


def test_its_claims_are_those_of_the_specification(connection, alice):
    """Who says it, for whom, about whom, with what, when and until when (OpenID Connect Core section 2)."""
    assert read(connection, id_token(connection, alice)) == {
        "iss": "https://mail.example.test",
        "azp": CLIENT,
        "aud": CLIENT,
        "sub": identity.subject_of(alice.account_id),
        "at_hash": "77QmUPtjPfzWtF2AnpK9RQ",
        "nonce": "n-1",
        "auth_time": NOW // 1000 - 5,
        "iat": NOW // 1000,
        "exp": NOW // 1000 + 3600,
    }


def test_what_is_not_known_is_left_out(connection, alice):
    """Without a nonce, a token beside it or the time of the sign-in there are no such claims."""
    claims = read(connection, id_token(connection, alice, nonce=None, access_token=None, signed_in_at=None))
    assert claims.keys() == {"iss", "azp", "aud", "sub", "iat", "exp"}


EMAIL = {"hd": "example.test", "email": "alice@example.test", "email_verified": True}
SHOWN = {
    "gmail.send": {},
    "openid": {},
    "email": EMAIL,
    "userinfo.email": EMAIL,
    "profile": {"name": "alice"},
    "userinfo.profile": {"name": "alice"},
}


@pytest.mark.parametrize("scope", SHOWN)
def test_a_scope_shows_what_it_says(connection, alice, scope):
    """The address with the scope of addresses, the name with that of names, the subject always."""
    about = {"sub": identity.subject_of(alice.account_id)}
    assert identity.claims_about(alice, frozenset({SCOPES[scope]})) == about | SHOWN[scope]


def test_scopes_show_together_what_each_shows(connection, alice):
    """All of them at once."""
    about = identity.claims_about(alice, frozenset(IDENTITY.values()))
    assert about.keys() == {"sub", "name", *EMAIL}


def test_a_subject_is_no_address_and_stays():
    """21 digits, as Google's; one for each account, whatever becomes of its address."""
    assert identity.subject_of(1) == "100000000000000000001"
    assert len({identity.subject_of(number) for number in range(100)}) == 100


def test_googles_library_verifies_it(connection, alice, monkeypatch):
    """With the certificates that are published; and refuses it for another client, and with a letter changed."""
    keys = signing_keys.published(connection, SEALING, NOW)
    certificates = {key.key_id: key.certificate for key in keys}
    text = id_token(connection, alice)
    skew = 10**10  # its own clock is another than this test's
    claims = google_jwt.decode(text, certificates, audience=CLIENT, clock_skew_in_seconds=skew)
    assert claims["sub"] == identity.subject_of(alice.account_id)
    with pytest.raises(ValueError, match="audience"):
        google_jwt.decode(text, certificates, audience="another", clock_skew_in_seconds=skew)
    header, payload, signature = text.split(".")
    with pytest.raises(ValueError, match="signature"):
        google_jwt.decode(f"{header}.{payload}.{signature[:-8]}AAAAAAAA", certificates, clock_skew_in_seconds=skew)


def test_its_header_names_the_key(connection, alice):
    """The algorithm is the one we have; there is nothing else that a verifier might be led by."""
    (key,) = signing_keys.published(connection, SEALING, NOW)
    header = google_jwt.decode_header(id_token(connection, alice))
    assert json.loads(json.dumps(header)) == {"typ": "JWT", "alg": "RS256", "kid": key.key_id}
