"""Signing in at an external OpenID provider: whose word counts, for whom, and for how long."""

import base64
import hmac
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from postroad.oauth import accounts, upstream
from postroad.oauth.upstream import Attempt, Identity, Metadata, UpstreamError
from tests.oauth_kit import NOW, SEALING

ISSUER = "https://id.example.org"
METADATA = Metadata(
    ISSUER, f"{ISSUER}/auth", f"{ISSUER}/token", f"{ISSUER}/keys", tells_issuer=False, by_form=False
)
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}
RSA = RSAKey.generate_key(2048, {"kid": "r", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "e"})
STRANGER = RSAKey.generate_key(2048, {"kid": "r"})
KEYS = upstream.key_set({"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]})
CLAIMS = {
    "iss": ISSUER,
    "aud": "us",
    "sub": "42",
    "nonce": "n",
    "iat": NOW // 1000,
    "exp": NOW // 1000 + 600,
    "email": "Alice@Example.test",
    "email_verified": True,
}


def signed(key=RSA, alg="RS256", header=(), **changed):
    claims = {name: value for name, value in (CLAIMS | changed).items() if value is not None}
    return jwt.encode({"alg": alg, "kid": key.kid} | dict(header), claims, key, [alg])


def identity(text, now=NOW, keys=KEYS):
    return upstream.identity(text, keys, METADATA, "us", "n", now)


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (EC, "ES256")])
def test_an_id_token_names_somebody(key, alg):
    """By either algorithm: the subject, and the address that the provider vouches for."""
    assert identity(signed(key, alg)) == Identity("42", "Alice@Example.test")


UNVOUCHED = [
    {"email_verified": False},
    {"email_verified": None},
    {"email_verified": "true"},
    {"email": None},
    {"email": 7},
]


@pytest.mark.parametrize("changed", UNVOUCHED)
def test_an_address_counts_when_it_is_verified(changed):
    """Else the subject alone is known."""
    assert identity(signed(**changed)) == Identity("42", None)


GOOD = [
    {"aud": ["us"]},
    {"aud": ["us", "them"], "azp": "us"},
    {"exp": NOW // 1000 - 59},
    {"iat": NOW // 1000 + 59},
    {"sub": "s" * 255},
]


@pytest.mark.parametrize("changed", GOOD)
def test_what_the_specification_allows_is_taken(changed):
    """Several audiences, a minute between two clocks."""
    assert identity(signed(**changed)).email


BAD = [
    {"iss": "https://id.example.org/"},
    {"iss": None},
    {"aud": "them"},
    {"aud": None},
    {"aud": []},
    {"aud": ["us", "them"]},
    {"aud": ["us", "them"], "azp": "them"},
    {"aud": "us2"},
    {"nonce": "another"},
    {"nonce": None},
    {"exp": NOW // 1000 - 61},
    {"exp": None},
    {"exp": "soon"},
    {"iat": NOW // 1000 + 61},
    {"iat": None},
    {"nbf": NOW // 1000 + 61},
    {"sub": None},
    {"sub": ""},
    {"sub": 42},
    {"sub": "s" * 256},
    {"sub": "a\0"},
]


@pytest.mark.parametrize("changed", BAD)
def test_another_token_names_nobody(changed):
    """Another issuer, audience, nonce or time; a subject that is none (Core section 3.1.3.7)."""
    with pytest.raises(UpstreamError):
        identity(signed(**changed))


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def unsigned(alg):
    return f"{b64(json.dumps({'alg': alg}).encode())}.{b64(json.dumps(CLAIMS).encode())}."


def by_public_key():
    """The old trick: the published key taken for a shared secret."""
    text = unsigned("HS256")
    signature = hmac.digest(RSA.as_pem(private=False), text.rstrip(".").encode(), "sha256")
    return text + b64(signature)


def critical():
    """A header that nobody may pass over who does not know it, rightly signed."""
    head, payload = (
        b64(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "r", "crit": ["x"], "x": 1}, CLAIMS)
    )
    signature = RSA.private_key.sign(f"{head}.{payload}".encode(), PKCS1v15(), SHA256())
    return f"{head}.{payload}.{b64(signature)}"


FORGED = {
    "no signature": lambda: unsigned("none"),
    "no signature, in capitals": lambda: unsigned("None"),
    "an empty signature": lambda: unsigned("RS256"),
    "the public key as a secret": by_public_key,
    "another's key under the same id": lambda: signed(STRANGER),
    "another's key in the header": lambda: signed(STRANGER, header={"jwk": STRANGER.as_dict(private=False)}),
    "another padding": lambda: signed(RSA, "PS256"),
    "another hash": lambda: signed(RSA, "RS512"),
    "an unknown key id": lambda: signed(header={"kid": "x"}),
    "a key of the other kind": lambda: signed(header={"kid": "e"}),
    "something critical": critical,
    "cut": lambda: signed()[:-20],
    "none": lambda: "None",
    "two dots": lambda: "..",
    "not ASCII": lambda: "é.é.é",
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_forged_token_names_nobody(forged):
    """Only a signature by a published key, by an algorithm that we chose, counts (hardening.md G9)."""
    text = forged()
    with pytest.raises(UpstreamError, match="does not work just now"):
        identity(text)


@given(st.text(max_size=200))
def test_whatever_comes_names_nobody(text):
    """Nothing but an error of ours comes of what is no token."""
    with pytest.raises(UpstreamError):
        identity(text)


def test_keys_that_we_cannot_use_are_passed_over():
    """Unknown kinds, secrets and rubbish stand beside good ones; a document that is none has no keys."""
    rubbish = [{"kty": "oct", "k": "AAAA"}, {"kty": "RSA"}, {"kty": "X"}, {}, 7, None, {"kty": "EC", "crv": "x"}]
    keys = upstream.key_set({"keys": [*rubbish, RSA.as_dict(private=False)]})
    assert [key.kid for key in keys] == ["r"]
    assert identity(signed(), keys=keys)
    for document in (None, [], {}, {"keys": None}, {"keys": {}}, "x"):
        assert not upstream.key_set(document)


def test_without_keys_nobody_is_named():
    """An empty set verifies nothing."""
    with pytest.raises(UpstreamError):
        identity(signed(), keys=KeySet([]))


def test_a_document_is_understood():
    """Where to go, how to show the secret, and whether answers name their issuer."""
    assert upstream.metadata_of(ISSUER, DOCUMENT) == METADATA
    form = upstream.metadata_of(
        ISSUER, DOCUMENT | {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    )
    assert form.by_form
    assert upstream.metadata_of(
        ISSUER, DOCUMENT | {"authorization_response_iss_parameter_supported": True}
    ).tells_issuer


BAD_DOCUMENTS = [
    None,
    [],
    {},
    DOCUMENT | {"issuer": f"{ISSUER}/"},
    DOCUMENT | {"token_endpoint": "http://id.example.org/token"},
    DOCUMENT | {"authorization_endpoint": "javascript:alert(1)"},
    DOCUMENT | {"jwks_uri": None},
    DOCUMENT | {"jwks_uri": "file:///etc/passwd"},
    DOCUMENT | {"token_endpoint": 7},
]


@pytest.mark.parametrize("document", BAD_DOCUMENTS)
def test_a_bad_document_is_refused(document):
    """Another issuer's, or with a place that is not safe."""
    with pytest.raises(UpstreamError):
        upstream.metadata_of(ISSUER, document)


SAFE = {
    "https://id.example.org/x": True,
    "http://127.0.0.1:8080/x": True,
    "http://[::1]/": True,
    "http://localhost:1/": True,
    "http://id.example.org/": False,
    "http://localhost.example.org/": False,
    "http://127.0.0.1.example.org/": False,
    "https://user@id.example.org/": False,
    "https:///x": False,
    "ftp://127.0.0.1/": False,
    "//127.0.0.1/": False,
    "https://[::1": False,
    "": False,
}


@pytest.mark.parametrize(("url", "safe"), SAFE.items())
def test_secrets_travel_safely_or_not_at_all(url, safe):
    """By TLS, or without leaving this machine."""
    assert upstream.is_safe(url) == safe


def test_an_attempt_is_taken_once(world):
    """Its state gives it back, one time, and for ten minutes."""
    attempt = upstream.fresh("/device?x=1", "cookie")
    other = upstream.begin(world.connection, SEALING, upstream.fresh("/", "another"), NOW)
    state = upstream.begin(world.connection, SEALING, attempt, NOW)
    assert upstream.take(world.connection, SEALING, state, NOW + 599_999) == attempt
    assert upstream.take(world.connection, SEALING, state, NOW) is None
    assert upstream.take(world.connection, SEALING, other, NOW + 600_000) is None
    assert upstream.take(world.connection, SEALING, "x", NOW) is None


def test_attempts_are_not_without_end(world, monkeypatch):
    """Anybody may begin one; when they are over there is room again."""
    monkeypatch.setattr(upstream, "MOST", 2)
    for _ in range(2):
        upstream.begin(world.connection, SEALING, upstream.fresh("/", ""), NOW)
    with pytest.raises(UpstreamError, match="Many people"):
        upstream.begin(world.connection, SEALING, upstream.fresh("/", ""), NOW)
    upstream.begin(world.connection, SEALING, upstream.fresh("/", ""), NOW + 600_000)


def test_what_is_asked_carries_a_proof_key():
    """Of the verifier only its hash (RFC 7636 appendix B); what the provider's address had stays."""
    attempt = Attempt("n", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "/", "")
    place = upstream.place_to_ask(METADATA, "us", "https://we.example/back", "s", attempt)
    assert place.startswith(f"{ISSUER}/auth?response_type=code&client_id=us&")
    assert "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256" in place
    assert attempt.code_verifier not in place


def account(world, subject="42", email="alice@example.test", issuer=ISSUER):
    return upstream.account_of(world.connection, issuer, Identity(subject, email), NOW)


def test_an_account_is_found_by_its_address_and_then_by_the_subject(world):
    """Whatever address the provider names later, or none: it is the same person."""
    assert account(world, email="Alice@Example.TEST") == world.alice
    for email in ("bob@example.test", None, "no address"):
        assert account(world, email=email) == world.alice


def test_an_alias_is_an_address(world):
    """Of its account."""
    accounts.add_alias(world.connection, "alice@example.test", "sales@example.test", NOW)
    assert account(world, email="sales@example.test").account_id == world.alice.account_id


@pytest.mark.parametrize("email", [None, "nobody@example.test", "no address", "", "captured@example.test"])
def test_nobody_gets_an_account_by_signing_in_elsewhere(world, email):
    """An address that is no account here, or that of captured mail, lets nobody in."""
    accounts.capture(world.connection, "captured@example.test", NOW)
    with pytest.raises(UpstreamError, match="There is no account here for you"):
        account(world, email=email)


def test_an_address_that_became_anothers_lets_nobody_in(world):
    """Another subject with the same address is refused, until an administrator forgets the first."""
    account(world)
    with pytest.raises(UpstreamError, match="Somebody else"):
        account(world, subject="43")
    assert upstream.forget(world.connection, world.alice.account_id) == 1
    assert account(world, subject="43") == world.alice


def test_subjects_are_of_their_issuer(world):
    """The same subject at another provider is somebody else."""
    account(world)
    with pytest.raises(UpstreamError):
        account(world, issuer="https://other.example", email=None)


def test_a_disabled_account_is_refused(world):
    """Found by address or by subject."""
    account(world)
    accounts.disable(world.connection, "alice@example.test", NOW)
    for subject in ("42", "43"):
        with pytest.raises(UpstreamError):
            account(world, subject=subject)
