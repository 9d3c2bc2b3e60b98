"""OpenID Connect over HTTP: the document, the keys in both forms, and who a token is of."""

import dataclasses

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.auth import jwt as google_jwt
from joserfc.jwk import KeySet

from postroad.database.engine import Database
from postroad.oauth import accounts, identity, service_accounts, tokens
from postroad.oauth.scopes import SCOPES
from postroad.oauth.signing_keys import DAY
from postroad.oauth.tokens import Source
from postroad.web.addresses import Addresses
from postroad.web.oauth import endpoint_at
from tests.endpoint_kit import Door
from tests.oauth_kit import ISSUER, NOW, SEALING

HOUR = 3_600_000


@pytest.fixture
def door(tmp_path):
    """The endpoints, with Alice's account behind them."""
    opened = Database(tmp_path, floor=0)
    yield Door(opened)
    opened.close()


def bearer(door, *scopes: str) -> str:
    """An Authorization field with a token of Alice's."""

    def unit(connection):
        alice = accounts.named(connection, "alice@example.test")
        asked = frozenset(SCOPES[scope] for scope in scopes)
        return tokens.issue(connection, account_id=alice.account_id, scopes=asked, expires_at=NOW + HOUR, now=NOW)

    return f"Bearer {door.database.submit(unit).result()}"


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"])
def test_the_document_names_what_answers(door, path):
    """Every endpoint in it is one of ours, under the name that the request came to; the issuer is one."""
    document = door.ask("GET", path).json
    assert document["issuer"] == ISSUER
    places = {name: url for name, url in document.items() if name.endswith("_endpoint") or name == "jwks_uri"}
    assert len(places) == 6
    assert all(url.startswith(f"{ISSUER}/") for url in places.values())
    names = Addresses(ISSUER, frozenset({"oauth2.googleapis.com"}))
    door.face.oauth = dataclasses.replace(door.face.oauth, addresses=names)
    by_google = door.ask("GET", path, host="oauth2.googleapis.com").json
    assert by_google["issuer"] == ISSUER
    assert by_google["token_endpoint"] == "https://oauth2.googleapis.com/token"


def test_what_the_document_promises_is_there(door):
    """Somebody answers at each of its addresses."""
    document = door.ask("GET", "/.well-known/openid-configuration").json
    places = [url for name, url in document.items() if name.endswith("_endpoint") or name == "jwks_uri"]
    assert all(endpoint_at(url.removeprefix(ISSUER)) for url in places)


def test_keys_are_published_in_both_forms(door):
    """The first who asks has one made; both forms hold the same one, and may be kept for an hour."""
    jwks, pem = door.ask("GET", "/oauth2/v3/certs"), door.ask("GET", "/oauth2/v1/certs")
    (key,) = jwks.json["keys"]
    assert list(pem.json) == [key["kid"]]
    certificate = x509.load_pem_x509_certificate(pem.json[key["kid"]].encode())
    assert KeySet.import_key_set(jwks.json).keys[0].public_key == certificate.public_key()
    for answer in (jwks, pem):
        assert answer.headers["cache-control"][-1] == "public, max-age=3600, must-revalidate, no-transform"


def test_keys_are_read_without_writing(door):
    """Who asks again gets the same ones, and no transaction is made for it."""
    first = door.ask("GET", "/oauth2/v3/certs").body
    commits = door.database.commits
    assert door.ask("GET", "/oauth2/v3/certs").body == first
    assert door.database.commits == commits
    door.now += 31 * DAY
    assert len(door.ask("GET", "/oauth2/v3/certs").json["keys"]) == 2


def test_an_id_token_verifies_with_what_is_published(door):
    """By Google's library, with the certificates as they come over HTTP."""

    def unit(connection):
        return identity.id_token(
            connection, issuer=ISSUER, client_id="me", account=accounts.named(connection, "alice@example.test"),
            scopes=frozenset({"openid"}), nonce=None, access_token=None, signed_in_at=None,
            sealing=SEALING, now=NOW,
        )  # fmt: skip

    text = door.database.submit(unit).result()
    certificates = door.ask("GET", "/oauth2/v1/certs").json
    claims = google_jwt.decode(text, certificates, audience="me", clock_skew_in_seconds=10**10)
    assert claims["iss"] == ISSUER


def test_the_keys_of_a_service_account_are_published(door):
    """For each of its keys a certificate, with which Google's library verifies what its program signed."""
    key = service_accounts.fresh_key()

    def unit(connection):
        robot = service_accounts.add(connection, "robot", NOW)
        return service_accounts.add_key(connection, robot, key.public, NOW)

    robot = door.database.submit(unit).result()
    published = door.ask("GET", f"/robot/v1/metadata/x509/{robot.address}").json
    assert list(published) == [key.public.key_id]
    certified = x509.load_pem_x509_certificate(published[key.public.key_id].encode()).public_key()
    assert certified.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() == key.public.pem
    assert door.ask("GET", "/robot/v1/metadata/x509/nobody@example.test").code == 404
    assert door.ask("GET", "/robot/v1/metadata/x509/").code == 404


EMAIL = {"hd": "example.test", "email": "alice@example.test", "email_verified": True}
OLD_EMAIL = {"hd": "example.test", "email": "alice@example.test", "verified_email": True}
SUBJECT = identity.subject_of(1)
TOLD = [
    ("/v1/userinfo", ("openid",), {"sub": SUBJECT}),
    ("/v1/userinfo", ("openid", "email"), {"sub": SUBJECT} | EMAIL),
    ("/oauth2/v3/userinfo", ("userinfo.email", "gmail.send"), {"sub": SUBJECT} | EMAIL),
    ("/oauth2/v3/userinfo", ("profile",), {"sub": SUBJECT, "name": "alice"}),
    ("/oauth2/v2/userinfo", ("openid",), {"id": SUBJECT}),
    ("/oauth2/v2/userinfo", ("email", "profile"), {"id": SUBJECT, "name": "alice"} | OLD_EMAIL),
    ("/oauth2/v1/userinfo", ("userinfo.email",), {"id": SUBJECT} | OLD_EMAIL),
]


@pytest.mark.parametrize(("path", "scopes", "told"), TOLD)
def test_who_a_token_is_of(door, path, scopes, told):
    """In the words of each version, by GET and by POST; and nobody on the way may keep it."""
    field = bearer(door, *scopes)
    for answer in (door.ask("GET", path, authorization=field), door.post(path, authorization=field)):
        assert (answer.code, answer.json) == (200, told)
        assert "no-store" in answer.headers["cache-control"][-1]
    in_form = door.post(path, {"access_token": field.removeprefix("Bearer ")})
    assert in_form.json == told


@pytest.mark.parametrize("path", ["/v1/userinfo", "/oauth2/v3/userinfo"])
@pytest.mark.parametrize("authorization", ["", "Bearer ya29.unknown", "Basic YTpi", "send"])
def test_a_token_that_tells_nobody(door, path, authorization):
    """Missing, unknown, or without a scope that says who: 401 in Google's words, and the challenge of RFC 6750."""
    authorization = bearer(door, "gmail.send") if authorization == "send" else authorization
    answer = door.ask("GET", path, authorization=authorization)
    assert answer.code == 401
    assert answer.json == {"error": "invalid_request", "error_description": "Invalid Credentials"}
    assert (
        answer.headers["www-authenticate"][-1]
        == 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
    )


@pytest.mark.parametrize("path", ["/oauth2/v1/userinfo", "/oauth2/v2/userinfo"])
@pytest.mark.parametrize("authorization", ["", "Bearer ya29.unknown", "send"])
def test_a_token_that_tells_nobody_in_older_words(door, path, authorization):
    """The error of Google's API, which the libraries of these versions read."""
    authorization = bearer(door, "gmail.send") if authorization == "send" else authorization
    answer = door.ask("GET", path, authorization=authorization)
    assert (answer.code, answer.json["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"][-1].startswith("Bearer realm=")


def test_a_service_account_that_acts_for_nobody_is_itself(door):
    """Its number and its address, if the token shows that."""

    def unit(connection):
        robot = service_accounts.add(connection, "robot", NOW)
        source = Source(service_account_id=robot.service_account_id)
        scopes = frozenset({"openid", "email"})
        text = tokens.issue(
            connection, account_id=None, scopes=scopes, expires_at=NOW + HOUR, now=NOW, source=source
        )
        return robot, text

    robot, text = door.database.submit(unit).result()
    told = door.ask("GET", "/v1/userinfo", authorization=f"Bearer {text}").json
    assert told == {"sub": robot.client_id, "email": robot.address, "email_verified": True}
