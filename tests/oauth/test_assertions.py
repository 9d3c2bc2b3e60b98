"""JWTs of service accounts: who signed them, and in Google's words what is wrong with them."""

import itertools
import random
import time
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from postroad import refusals
from postroad.database import migrations
from postroad.database.schema import service_account_key
from postroad.database.sqlite import writer_of
from postroad.oauth import assertions, service_accounts
from postroad.oauth.errors import OAuthError
from postroad.oauth.scopes import SCOPES
from postroad.oauth.service_accounts import fresh_key
from tests.jws_kit import Signer, always, compact
from tests.oauth import forgeries
from tests.oauth.forgeries import ABSENT, FORGERIES, GOOGLE, NOW, OURS, READ, SEND, House

URLS = assertions.token_urls(OURS)
API = frozenset({assertions.GOOGLES_API, f"{OURS}/"})


def weak_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be refused


@dataclass
class Stage:
    """A database for the whole module, which no test changes for another."""

    engine: object
    house: House

    def verify(self, text, now=NOW):
        with self.engine.connect() as connection:
            return assertions.verify(connection, text, URLS, now * 1000)

    def refusal(self, text, now=NOW) -> OAuthError:
        with pytest.raises(OAuthError) as refused:
            self.verify(text, now)
        return refused.value

    def self_signed(self, text, now=NOW):
        with self.engine.connect() as connection:
            return assertions.self_signed(connection, text, API, now * 1000)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    engine = writer_of(tmp_path_factory.mktemp("assertions") / "database")
    migrations.upgrade(engine)
    keys = [fresh_key() for _ in range(3)]
    with engine.begin() as connection:
        robot, other, off = (service_accounts.add(connection, name, NOW) for name in ("robot", "other", "off"))
        for owner, key in ((robot, keys[0].public), (robot, keys[1].public), (other, keys[2].public)):
            service_accounts.add_key(connection, service_accounts.named(connection, owner.address), key, NOW)
        same = service_accounts.PublicKey("f" * 40, keys[2].public.pem)
        service_accounts.add_key(connection, off, same, NOW)
        off = service_accounts.disable(connection, off.address, NOW)
    stranger = Signer(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    yield Stage(engine, House(robot, (keys[0], keys[1]), other, keys[2], off, stranger, Signer(weak_key())))
    engine.dispose()


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_refused_in_googles_words(stage, name):
    """Each wrong assertion gets the error and the text Google has for it, as a 400, and never anything else."""
    make, (error, description) = FORGERIES[name]
    text = make(stage.house)
    refusal = stage.refusal(text)
    assert (refusal.error, refusal.description, refusal.code) == (error, description, 400)
    assert not any(part in refusal.why for part in text.split(".") if len(part) > 40)


def test_a_forgery_is_no_access_token(stage):
    """What no token is given for is no token itself."""
    for make, _ in FORGERIES.values():
        with pytest.raises(refusals.CredentialInvalid) as refused:
            stage.self_signed(make(stage.house))
        assert refused.value.why.isprintable()


ACCEPTED = {
    "of Google's client for Python": {},
    "of Google's client for Node, which names no key": {"header": {"kid": ABSENT, "typ": ABSENT}},
    "with times in quotes": {"claims": {"iat": str(NOW), "exp": str(NOW + 3600)}},
    "with fractions of seconds": {"claims": {"iat": NOW + 0.25, "exp": NOW + 3600.25}},
    "with fractions in quotes": {"claims": {"iat": f"{NOW}.25", "exp": f"{NOW + 3600}.25"}},
    "by a clock five minutes fast": {"claims": {"iat": NOW + 300, "exp": NOW + 3900}},
    "five minutes late": {"claims": {"iat": NOW - 3600, "exp": NOW - 299}},
    "of one minute": {"claims": {"iat": NOW - 60, "exp": NOW + 60}},
    "that begins now": {"claims": {"nbf": NOW}},
    "that begins in five minutes": {"claims": {"nbf": NOW + 300}},
    "for Ruby's token URL": {"claims": {"aud": "https://www.googleapis.com/oauth2/v4/token"}},
    "for the token URL of old key files": {"claims": {"aud": "https://accounts.google.com/o/oauth2/token"}},
    "for our token URL": {"claims": {"aud": f"{OURS}/token"}},
    "for our older token URL": {"claims": {"aud": f"{OURS}/oauth2/v4/token"}},
    "for our oldest token URL": {"claims": {"aud": f"{OURS}/o/oauth2/token"}},
    "with a claim that nobody knows": {"claims": {"jti": "1", "x": [None, {"y": 1}]}},
    "with a header member that nobody knows": {"header": {"x": 1}},
    "whose payload is said to be encoded": {"header": {"b64": True}},
    "with a space too many": {"claims": {"scope": f" {SEND}  "}},
    "with its own address as subject": {"claims": {"sub": "robot@postroad.iam.gserviceaccount.com"}},
    "with no subject": {"claims": {"sub": None, "prn": None}},
}


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED)
def test_an_assertion_is_read(stage, changes):
    """What Google's clients write, and what is as good, asks for its scopes for the service account itself."""
    found = stage.verify(stage.house.jwt(**changes))
    assert (found.issuer.address, found.scopes, found.subject) == (stage.house.robot.address, {SEND}, None)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "alice@example.test"},
        {"prn": "alice@example.test"},
        dict.fromkeys(("sub", "prn"), "alice@example.test"),
    ],
    ids=["sub", "prn", "both, as Go's client has it"],
)
def test_an_assertion_names_for_whom(stage, claims):
    """The subject stands in `sub`, in `prn`, or in both alike."""
    assert stage.verify(stage.house.jwt(claims=claims)).subject == "alice@example.test"


def test_an_assertion_asks_for_several_scopes(stage):
    """Scopes are separated by spaces, in any order, any number of times."""
    assert stage.verify(stage.house.jwt(claims={"scope": f"{READ} {SEND} {READ}"})).scopes == {SEND, READ}


@pytest.mark.parametrize("kid", [ABSENT, 1], ids=["without kid", "by kid"])
def test_every_key_of_the_issuer_signs(stage, kid):
    """Its second key is as good as its first, named or not."""
    named = kid if kid is ABSENT else stage.house.keys[1].public.key_id
    text = stage.house.jwt({"kid": named}, sign=Signer.of(stage.house.keys[1]).rs())
    assert stage.verify(text).issuer.address == stage.house.robot.address


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": {"kty": "oct", "k": "AA"}},
        {"jku": "http://127.0.0.1:9/"},
        {"x5u": "http://127.0.0.1:9/"},
        {"x5c": []},
    ],
    ids=lambda header: next(iter(header)),
)
def test_keys_that_come_along_are_not_read(stage, header):
    """A right signature is right, whatever key its header offers; nothing is fetched."""
    assert stage.verify(stage.house.jwt(header)).scopes == {SEND}


def test_an_assertion_may_be_used_again(stage):
    """As at Google, one that is valid is so each time."""
    text = stage.house.jwt()
    assert stage.verify(text) == stage.verify(text) == stage.verify(text, NOW + 3899)
    assert stage.refusal(text, NOW + 3900).description == assertions.WINDOW


# Each fault alone, in the order in which Google looks for them.
FAULTS = {
    "structure": (forgeries.MALFORMED, {}),
    "signature": (forgeries.SIGNATURE, {"sign": always(bytes(256))}),
    "iat": (forgeries.NO_IAT, {"claims": {"iat": ABSENT}}),
    "exp": (forgeries.NO_EXP, {"claims": {"exp": ABSENT}}),
    "window": (forgeries.WINDOW, {"claims": {"nbf": NOW + 10_000}}),
    "scope": (forgeries.SCOPE, {"claims": {"scope": ""}}),
    "aud": (forgeries.AUDIENCE, {"claims": {"aud": "x"}}),
    "sub": (forgeries.SUBJECT, {"claims": {"sub": 1}}),
}


@pytest.mark.parametrize(("earlier", "later"), list(itertools.combinations(FAULTS, 2)))
def test_the_first_fault_is_told(stage, earlier, later):
    """Of two faults, that one is told for which Google looks first."""
    first, second = FAULTS[earlier][1], FAULTS[later][1]
    claims = second.get("claims", {}) | first.get("claims", {})
    text = stage.house.jwt(claims=claims, sign=second.get("sign") or first.get("sign"))
    refusal = stage.refusal(text.replace(".", "..", 1) if earlier == "structure" else text)
    assert (refusal.error, refusal.description) == FAULTS[earlier][0]


def test_another_algorithm_is_told_before_an_unknown_issuer(stage):
    """Whose key it is, is not asked where no key could help."""
    text = stage.house.jwt({"alg": "none"}, {"iss": "nobody@postroad.iam.gserviceaccount.com"}, always(b""))
    assert stage.refusal(text).description == assertions.SIGNATURE


def test_that_it_is_disabled_is_told_to_whoever_has_its_key_alone(stage):
    """A stranger learns of the signature only."""
    text = stage.house.jwt({"kid": ABSENT}, {"iss": stage.house.off.address}, stage.house.stranger.rs())
    assert stage.refusal(text).description == assertions.SIGNATURE


def pem(key) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


# What may stand in the database in the place of a key, and how its owner signs.
STORED = {
    "a weak key": lambda: (pem(weak := weak_key()), Signer(weak).rs()),
    "a key on a curve": lambda: (pem(ec.generate_private_key(ec.SECP256R1())), always(bytes(64))),
    "a private key": lambda: (
        weak_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        always(bytes(256)),
    ),
    "nothing": lambda: ("", always(bytes(256))),
    "no PEM": lambda: ("secret", always(bytes(256))),
    "PEM of nothing": lambda: (
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        always(bytes(256)),
    ),
    "a key of a kind that nobody knows": lambda: (
        "-----BEGIN PUBLIC KEY-----\nMAowBAYCKgMDAgAB\n-----END PUBLIC KEY-----\n",
        always(bytes(256)),
    ),
    "not ASCII": lambda: ("-----BEGIN PUBLIC KEY-----\nä\n", always(bytes(256))),
}


@pytest.mark.parametrize("make", STORED.values(), ids=STORED)
@pytest.mark.parametrize("alg", ["RS256", "ES256", "HS256"])
def test_a_key_has_one_use(stage, make, alg):
    """What stands in the database and is no RSA key of 2048 bits verifies nothing, and breaks nothing."""
    text, sign = make()
    kid = "e" * 40
    with stage.engine.connect() as connection, connection.begin() as trial:
        values = {"key_id": kid, "public_key": text, "created_at": NOW}
        owner = stage.house.robot.service_account_id
        connection.execute(service_account_key.insert().values(values | {"service_account_id": owner}))
        forged = compact(stage.house.header(kid=kid, alg=alg), stage.house.claims(), sign)
        with pytest.raises(OAuthError, match="Invalid JWT Signature"):
            assertions.verify(connection, forged, URLS, NOW * 1000)
        trial.rollback()


@given(text=st.one_of(st.text(), st.text('eyJ.hbGciOiJSUzI1NiJ9{}"=', max_size=200), st.binary().map(repr)))
def test_any_text_is_refused_as_google_would(stage, text):
    """Whatever arrives is a 400 with a text of Google's."""
    refusal = stage.refusal(text)
    assert (refusal.error, refusal.description, refusal.code) == (*forgeries.MALFORMED, 400)


def test_no_single_character_can_be_changed(stage):
    """Of a valid assertion no character can be exchanged, left out or doubled, wherever it stands."""
    text, chance = stage.house.jwt(), random.Random(1)
    for place in range(len(text)):
        other = chance.choice([letter for letter in "AQgw-_x.=" if letter != text[place]])
        for end in (other, "", text[place] * 2 if text[place] != "." else ".."):
            stage.refusal(text[:place] + end + text[place + 1 :])


SELF_SIGNED = {
    "for Google's name of the API": {"aud": assertions.GOOGLES_API},
    "for our address": {"aud": f"{OURS}/"},
    "in one scope": {"scope": SEND},
    "in two scopes": {"scope": f"{SEND} {READ}"},
    "in a scope that is of no use here": {"scope": "https://www.googleapis.com/auth/cloud-platform"},
}


def own(stage, claims):
    """A self-signed token as Google's libraries make it."""
    made = {"iss": stage.house.robot.address, "sub": stage.house.robot.address, "iat": NOW, "exp": NOW + 3600}
    changed = {name: value for name, value in (made | claims).items() if value is not ABSENT}
    return compact(stage.house.header(), changed, stage.house.signer.rs())


@pytest.mark.parametrize("claims", SELF_SIGNED.values(), ids=SELF_SIGNED)
def test_a_self_signed_token_is_the_service_accounts_own(stage, claims):
    """It grants nobody's mailbox, in the scopes it names or, by its audience, in all, until its `exp`."""
    grant = stage.self_signed(own(stage, claims))
    asked = claims.get("scope")
    assert grant.account is None
    assert grant.service_account == stage.house.robot.address
    assert grant.client_id == stage.house.robot.client_id
    assert grant.expires_at == (NOW + 3600) * 1000
    assert grant.scopes == (set(asked.split(" ")) if asked else set(SCOPES.values())) & set(SCOPES.values())


NOT_SELF_SIGNED = {
    "both audience and scope": {"aud": assertions.GOOGLES_API, "scope": SEND},
    "an audience and an empty scope": {"aud": assertions.GOOGLES_API, "scope": ""},
    "neither": {},
    "an assertion": {"aud": GOOGLE, "scope": SEND, "sub": ABSENT},
    "an assertion for somebody": {"aud": GOOGLE, "scope": SEND, "sub": "alice@example.test"},
    "somebody else": {"aud": assertions.GOOGLES_API, "sub": "alice@example.test"},
    "somebody else in a scope": {"scope": SEND, "sub": "alice@example.test"},
    "no subject": {"aud": assertions.GOOGLES_API, "sub": ABSENT},
    "a subject in a list": {"aud": assertions.GOOGLES_API, "sub": ["robot@postroad.iam.gserviceaccount.com"]},
    "another API": {"aud": "https://drive.googleapis.com/"},
    "the API without its slash": {"aud": "https://gmail.googleapis.com"},
    "the API in a list": {"aud": [assertions.GOOGLES_API]},
    "a scope in a list": {"scope": [SEND]},
    "the token URL": {"aud": GOOGLE},
    "two hours": {"aud": assertions.GOOGLES_API, "exp": NOW + 7200},
    "no end": {"aud": assertions.GOOGLES_API, "exp": ABSENT},
    "no beginning": {"aud": assertions.GOOGLES_API, "iat": ABSENT},
    "tomorrow": {"aud": assertions.GOOGLES_API, "iat": NOW + 86_400, "exp": NOW + 90_000},
}


@pytest.mark.parametrize("claims", NOT_SELF_SIGNED.values(), ids=NOT_SELF_SIGNED)
def test_what_is_not_a_self_signed_token_is_an_invalid_credential(stage, claims):
    """Issuer and subject are the service account, one of aud and scope is there, and it lives an hour at most."""
    with pytest.raises(refusals.CredentialInvalid):
        stage.self_signed(own(stage, claims))


def test_what_a_refusal_costs_is_told(stage, record_property):
    """Of unknown issuer, wrong key and wrong signature it is written down, and not judged, how long each takes."""
    ways = {
        "unknown issuer": stage.house.jwt(claims={"iss": "nobody@postroad.iam.gserviceaccount.com"}),
        "unknown key": stage.house.jwt({"kid": "0" * 40}),
        "wrong signature": stage.house.jwt(sign=always(bytes(256))),
    }
    for name, text in ways.items():
        began = time.perf_counter()
        refused = [stage.refusal(text) for _ in range(50)]
        record_property(name, f"{(time.perf_counter() - began) / len(refused) * 1e6:.0f} us")
        assert len(refused) == 50
