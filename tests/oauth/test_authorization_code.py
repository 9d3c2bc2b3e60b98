"""Codes for tokens: once, by whom they were given to, with the proof that was asked for (hardening.md G2, G3)."""

import re

import pytest
from sqlalchemy import func, select

from postroad.database.schema import refresh_token, token
from postroad.oauth import accounts, clients, codes, consents, credentials, server, tokens
from postroad.oauth.errors import OAuthError
from tests.oauth_kit import ISSUER, NOW, PLACE, READ, SEND, VERIFIER, World, s256

BAD = ("invalid_grant", "Bad Request", 400)
MALFORMED = ("invalid_grant", "Malformed auth code.", 400)
ELSEWHERE = PLACE + "/2"


def grant_of(world, answer):
    return tokens.look_up(world.connection, credentials.digest(answer["access_token"]))


def count(world, table) -> int:
    return world.connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_a_code_gets_tokens(world):
    """The answer has Google's members, and the token acts for the person within what was allowed."""
    client, secret = world.client()
    answer = world.redeem(client, secret, world.code(client, scope=f"{SEND} {READ}"))
    assert re.fullmatch(r"ya29\.[A-Za-z0-9_-]{43}", answer.pop("access_token"))
    assert answer == {"expires_in": 3599, "scope": f"{SEND} {READ}", "token_type": "Bearer"}


def test_a_token_is_whose_the_code_was(world):
    """Account, client, scopes and life are the consent's."""
    client, secret = world.client()
    granted = grant_of(world, world.redeem(client, secret, world.code(client, scope=f"{SEND} {READ}")))
    assert granted.account == world.alice
    assert granted.client_id == client.client_id
    assert granted.scopes == {SEND, READ}
    assert granted.expires_at == NOW + 3_599_000
    assert not granted.offline


def test_a_refresh_token_is_for_offline_access(world):
    """It is given when it was asked for, beside the access token, which knows of it."""
    client, secret = world.client()
    answer = world.redeem(client, secret, world.code(client, access_type="offline"))
    assert re.fullmatch(r"1//0[A-Za-z0-9_-]{43}", answer["refresh_token"])
    assert grant_of(world, answer).offline
    assert "refresh_token" not in world.redeem(client, secret, world.code(client, access_type="online"))


def test_an_id_token_comes_with_openid(world):
    """Who asks who somebody is gets a signed answer with its nonce; who does not gets none."""
    client, secret = world.client()
    answer = world.redeem(client, secret, world.code(client, scope=f"openid {SEND}", nonce="n"))
    assert answer["id_token"].count(".") == 2
    assert answer["scope"] == f"openid {SEND}"
    assert "id_token" not in world.redeem(client, secret, world.code(client))


def test_nothing_of_it_is_stored(world):
    """Neither codes nor tokens are in the database, only their hashes."""
    client, secret = world.client()
    code = world.code(client, access_type="offline")
    answer = world.redeem(client, secret, code)
    for table in (codes.authorization_code, token, refresh_token):
        held = repr(world.connection.execute(select(table)).all())
        assert not any(text in held for text in (code, answer["access_token"], answer["refresh_token"]))


PARAMETERS = {
    "no grant_type": ({"grant_type": None}, ("invalid_request", "Missing required parameter: grant_type", 400)),
    "an empty one": ({"grant_type": ""}, ("invalid_request", "Missing required parameter: grant_type", 400)),
    "another": ({"grant_type": "x"}, ("unsupported_grant_type", "Invalid grant_type: x", 400)),
    "a person's password": (
        {"grant_type": "password", "username": "alice@example.test", "password": "p"},
        ("unsupported_grant_type", "Invalid grant_type: password", 400),
    ),
    "the client itself": (
        {"grant_type": "client_credentials"},
        ("unsupported_grant_type", "Invalid grant_type: client_credentials", 400),
    ),
    "implicit": ({"grant_type": "implicit"}, ("unsupported_grant_type", "Invalid grant_type: implicit", 400)),
    "in capitals": (
        {"grant_type": "Authorization_Code"},
        ("unsupported_grant_type", "Invalid grant_type: Authorization_Code", 400),
    ),
    "not ASCII": ({"grant_type": 'ä"\\'}, ("unsupported_grant_type", 'Invalid grant_type: ä"\\', 400)),
    "no code": ({"code": None}, ("invalid_request", "Missing required parameter: code", 400)),
    "an empty code": ({"code": ""}, ("invalid_request", "Missing required parameter: code", 400)),
    "another's form": ({"code": "x"}, MALFORMED),
    "not ASCII in it": ({"code": "ä"}, MALFORMED),
    "a long code": ({"code": "4/0" + "x" * 10_000}, MALFORMED),
    "an unknown code": ({"code": "4/0" + "x" * 43}, BAD),
    "an access token": ({"code": "ya29." + "x" * 43}, MALFORMED),
    "no place": ({"redirect_uri": None}, ("invalid_request", "Missing required parameter: redirect_uri", 400)),
    "a place that is no client's": (
        {"redirect_uri": "https://evil.test/"},
        ("redirect_uri_mismatch", "Bad Request", 400),
    ),
    "almost the place": ({"redirect_uri": PLACE + "/"}, ("redirect_uri_mismatch", "Bad Request", 400)),
    "another place of the client": ({"redirect_uri": ELSEWHERE}, BAD),
    "a verifier nobody asked for": (
        {"code_verifier": VERIFIER},
        ("invalid_grant", "code_verifier or verifier is not needed.", 400),
    ),
}


@pytest.mark.parametrize(("changed", "told"), PARAMETERS.values(), ids=PARAMETERS)
def test_a_wrong_request_gets_nothing_and_costs_nothing(world, changed, told):
    """It is refused in Google's words; the code is as good as before, and gets tokens once all is right."""
    client, secret = world.client("web", PLACE, ELSEWHERE)
    code = world.code(client)
    assert world.denied(world.redeem, client, secret, code, **changed) == told
    assert world.redeem(client, secret, code)["scope"] == SEND


@pytest.mark.parametrize("name", ["grant_type", "code", "redirect_uri", "client_id", "client_secret"])
def test_a_parameter_is_there_once(world, name):
    """One that is there twice is refused, though it be the same."""
    client, secret = world.client()
    form = {"grant_type": "authorization_code", "code": world.code(client), "redirect_uri": PLACE}
    form |= {"client_id": client.client_id, "client_secret": secret}
    request = server.TokenRequest([*form.items(), (name, form[name])], None, ISSUER)
    with pytest.raises(OAuthError, match="OAuth 2 parameters can only have a single value"):
        server.exchange(world.connection, request, NOW)


# Challenge and its method, verifier, and how it is answered.
SHORT, LONG = "v" * 42, "v" * 129
WRONG = ("invalid_grant", "Invalid code verifier.", 400)
PROOFS = {
    "S256": (s256(VERIFIER), "S256", VERIFIER, None),
    "S256 of 128 characters": (s256("v" * 128), "S256", "v" * 128, None),
    "plain": (VERIFIER, "plain", VERIFIER, None),
    "no method, which is plain": (VERIFIER, None, VERIFIER, None),
    "no verifier": (s256(VERIFIER), "S256", None, ("invalid_grant", "Missing code verifier.", 400)),
    "an empty verifier": (s256(VERIFIER), "S256", "", ("invalid_grant", "Missing code verifier.", 400)),
    "another verifier": (s256(VERIFIER), "S256", "w" * 43, WRONG),
    "the challenge for a verifier": (s256(VERIFIER), "S256", s256(VERIFIER), WRONG),
    "S256 taken for plain": (VERIFIER, "S256", VERIFIER, WRONG),
    "plain taken for S256": (s256(VERIFIER), "plain", VERIFIER, WRONG),
    "a newline behind": (s256(VERIFIER), "S256", VERIFIER + "\n", WRONG),
    "in capitals": (s256(VERIFIER), "S256", VERIFIER.upper(), WRONG),
    "a short verifier": (s256(SHORT), "S256", SHORT, WRONG),
    "a long verifier": (s256(LONG), "S256", LONG, WRONG),
    "not ASCII": (s256(VERIFIER), "S256", "ä" * 43, WRONG),
}


@pytest.mark.parametrize(("challenge", "method", "verifier", "told"), PROOFS.values(), ids=PROOFS)
def test_a_proof_key_fits_or_does_not(world, challenge, method, verifier, told):
    """Where a challenge was sent the verifier that belongs to it is needed, of a client with a secret as well."""
    client, secret = world.client()
    code = world.code(client, code_challenge=challenge, code_challenge_method=method)
    if told is None:
        assert world.redeem(client, secret, code, code_verifier=verifier)["access_token"]
    else:
        assert world.denied(world.redeem, client, secret, code, code_verifier=verifier) == told


def test_the_proof_of_another_code_is_wrong(world):
    """Each code has its own challenge: a stolen code is not redeemed in the thief's own session."""
    client, _ = world.client("installed", public=True)
    stolen = world.code(client, code_challenge=s256(VERIFIER), code_challenge_method="S256")
    own = world.code(client, code_challenge=s256("w" * 43), code_challenge_method="S256")
    assert world.denied(world.redeem, client, None, stolen, code_verifier="w" * 43) == WRONG
    assert world.redeem(client, None, own, code_verifier="w" * 43)["access_token"]
    assert world.redeem(client, None, stolen, code_verifier=VERIFIER)["access_token"]


def test_a_public_client_needs_its_verifier(world):
    """Its number alone gets nothing for a code."""
    client, _ = world.client("installed", public=True)
    code = world.code(client, code_challenge=s256(VERIFIER), code_challenge_method="S256")
    told = ("invalid_grant", "Missing code verifier.", 400)
    assert world.denied(world.redeem, client, None, code) == told


def test_another_clients_code_is_refused(world):
    """A client gets nothing for a code that was given to another, and takes nothing from it."""
    (client, secret), (thief, thiefs_secret) = world.client(), world.client()
    code = world.code(client)
    assert world.denied(world.redeem, thief, thiefs_secret, code) == BAD
    answer = world.redeem(client, secret, code)
    assert world.denied(world.redeem, thief, thiefs_secret, code) == BAD
    assert grant_of(world, answer)


@pytest.mark.parametrize(("late", "good"), [(-1, True), (0, False), (1, False), (codes.KEPT, False)])
def test_a_code_is_good_for_five_minutes(world, late, good):
    """To the millisecond."""
    client, secret = world.client()
    code = world.code(client)
    world.now = NOW + 300_000 + late
    if good:
        assert world.redeem(client, secret, code)["access_token"]
    else:
        assert world.denied(world.redeem, client, secret, code) == BAD


def test_a_replay_ends_what_came_of_the_code(world):
    """A second use gets nothing and takes back all tokens of the first; those of other codes stay."""
    client, secret = world.client()
    code = world.code(client, access_type="offline")
    first = world.redeem(client, secret, code)
    fresh = world.refresh(client, secret, first["refresh_token"])
    other = world.redeem(client, secret, world.code(client, access_type="offline", prompt="consent"))
    assert world.denied(world.redeem, client, secret, code) == BAD
    assert grant_of(world, first) is None
    assert grant_of(world, fresh) is None
    told = ("invalid_grant", "Token has been expired or revoked.", 400)
    assert world.denied(world.refresh, client, secret, first["refresh_token"]) == told
    assert grant_of(world, other)
    assert world.refresh(client, secret, other["refresh_token"])["access_token"]
    assert world.denied(world.redeem, client, secret, code) == BAD


def test_a_late_replay_is_one(world):
    """After its five minutes a code that was used still ends what came of it."""
    client, secret = world.client()
    code = world.code(client)
    first = world.redeem(client, secret, code)
    world.now += codes.LIFE + 1
    assert world.denied(world.redeem, client, secret, code) == BAD
    assert grant_of(world, first) is None


WITHOUT_PROOF = {
    "no verifier": {"code_verifier": None},
    "another verifier": {"code_verifier": "w" * 43},
    "another place": {"redirect_uri": ELSEWHERE},
    "a wrong secret": {"client_secret": "x"},
}


@pytest.mark.parametrize("changed", WITHOUT_PROOF.values(), ids=WITHOUT_PROOF)
def test_who_only_found_a_code_ends_nothing(world, changed):
    """A code in a log is worth nothing without what belongs to it: not even the end of somebody's tokens."""
    client, secret = world.client("web", PLACE, ELSEWHERE)
    code = world.code(client, code_challenge=s256(VERIFIER), code_challenge_method="S256")
    first = world.redeem(client, secret, code, code_verifier=VERIFIER)
    world.denied(world.redeem, client, secret, code, **({"code_verifier": VERIFIER} | changed))
    assert grant_of(world, first)


def test_a_revoked_consent_leaves_no_code(world):
    """A code of a consent that was taken back gets nothing."""
    client, secret = world.client()
    code = world.code(client)
    consent = consents.find(world.connection, world.alice.account_id, client.client_id)
    consents.revoke(world.connection, consent.consent_id)
    assert world.denied(world.redeem, client, secret, code) == BAD


def test_a_disabled_account_gets_no_tokens(world):
    """Whoever was disabled since the consent is told so, and nothing is issued."""
    client, secret = world.client()
    code = world.code(client)
    accounts.disable(world.connection, world.alice.address, NOW)
    assert world.denied(world.redeem, client, secret, code) == ("invalid_grant", "Account disabled", 400)
    assert count(world, token) == 0


def test_a_removed_client_gets_no_tokens(world):
    """It is not found any more."""
    client, secret = world.client()
    code = world.code(client)
    clients.remove(world.connection, client.client_id)
    told = ("invalid_client", "The OAuth client was not found.", 401)
    assert world.denied(world.redeem, client, secret, code) == told


AT_ONCE = 50


def test_of_many_at_once_one_gets_tokens(nodes):
    """Fifty exchanges of one code at once, on all nodes: one succeeds, and the others end what it got."""

    def prepare(connection):
        world = World(connection)
        client, secret = world.client()
        return client, secret, world.code(client, access_type="offline")

    client, secret, code = nodes[0].submit(prepare).result()
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": PLACE}
    form |= {"client_id": client.client_id, "client_secret": secret}
    request = server.TokenRequest(list(form.items()), None, ISSUER)

    def exchange(connection):
        try:
            return server.exchange(connection, request, NOW)
        except OAuthError as error:
            return error

    waiting = [nodes[number % len(nodes)].submit(exchange) for number in range(AT_ONCE)]
    outcomes = [future.result() for future in waiting]
    assert sum("access_token" in one for one in outcomes if isinstance(one, dict)) == 1
    refused = [(one.error, one.description) for one in outcomes if isinstance(one, OAuthError)]
    assert refused == [("invalid_grant", "Bad Request")] * (AT_ONCE - 1)
    assert nodes[0].look(lambda connection: connection.execute(select(token)).all()) == []
    assert nodes[0].look(lambda connection: connection.execute(select(refresh_token)).all()) == []
