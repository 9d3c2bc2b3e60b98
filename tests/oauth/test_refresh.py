"""Refresh tokens: they stay the same, for whom and for what they were given (hardening.md G4, G11)."""

import pytest
from sqlalchemy import func, select

from postroad.database.schema import refresh_token
from postroad.oauth import accounts, clients, consents, credentials, refresh_tokens, server, tokens
from postroad.oauth.errors import OAuthError
from postroad.oauth.refresh_tokens import HOUR, MOST, UNUSED
from postroad.oauth.scopes import FULL, SCOPES
from tests.oauth_kit import ISSUER, NOW, READ, SEND, VERIFIER, World, s256

ENDED = ("invalid_grant", "Token has been expired or revoked.", 400)
TOO_WIDE = ("invalid_scope", "Bad Request", 400)
COMPOSE = SCOPES["gmail.compose"]


def begin(world, **changed):
    """A client with its secret, and a refresh token for sending and reading."""
    client, secret = world.client()
    code = world.code(client, **({"access_type": "offline", "scope": f"{SEND} {READ}"} | changed))
    return client, secret, world.redeem(client, secret, code)["refresh_token"]


def grant_of(world, answer):
    return tokens.look_up(world.connection, credentials.digest(answer["access_token"]))


def test_a_refresh_token_gets_an_access_token(world):
    """The answer has Google's members, and no new refresh token."""
    client, secret, text = begin(world)
    answer = world.refresh(client, secret, text)
    granted = grant_of(world, answer)
    del answer["access_token"]
    assert answer == {"expires_in": 3599, "scope": f"{SEND} {READ}", "token_type": "Bearer"}
    assert (granted.account, granted.client_id, granted.scopes) == (world.alice, client.client_id, {SEND, READ})
    assert granted.offline


def test_a_refresh_token_stays_the_same(world):
    """It can be used as often as one likes, from copies of a file on several machines."""
    client, secret, text = begin(world)
    made = {world.refresh(client, secret, text)["access_token"] for _ in range(5)}
    assert len(made) == 5


def test_a_public_client_refreshes(world):
    """Its refresh token stays the same, too, and it has nothing else to show."""
    client, _ = world.client("installed", public=True)
    proof = {"code_challenge": s256(VERIFIER), "code_challenge_method": "S256"}
    answer = world.redeem(client, None, world.code(client, access_type="offline", **proof), code_verifier=VERIFIER)
    for _ in range(2):
        assert world.refresh(client, None, answer["refresh_token"])["scope"] == SEND


def test_an_id_token_comes_again_with_openid(world):
    """Who asked who somebody is learns it with each token."""
    client, secret, text = begin(world, scope=f"openid {SEND}")
    assert world.refresh(client, secret, text)["id_token"].count(".") == 2
    assert "id_token" not in world.refresh(client, secret, text, scope=SEND)


NARROWER = {
    "none": (None, f"{SEND} {READ}"),
    "an empty one": ("", f"{SEND} {READ}"),
    "spaces": ("  ", f"{SEND} {READ}"),
    "all": (f"{SEND} {READ}", f"{SEND} {READ}"),
    "all, in another order": (f"{READ} {SEND}", f"{READ} {SEND}"),
    "one": (READ, READ),
    "the same twice": (f"{READ} {READ}", READ),
    "spaces around": (f"  {READ}  ", READ),
}


@pytest.mark.parametrize(("asked", "granted"), NARROWER.values(), ids=NARROWER)
def test_a_refresh_may_ask_for_less(world, asked, granted):
    """The access token has what was asked for and no more; the refresh token keeps all."""
    client, secret, text = begin(world)
    answer = world.refresh(client, secret, text, scope=asked)
    assert answer["scope"] == granted
    assert grant_of(world, answer).scopes == set(granted.split())
    assert world.refresh(client, secret, text)["scope"] == f"{SEND} {READ}"


WIDER = {
    "another": COMPOSE,
    "one of those and another": f"{SEND} {COMPOSE}",
    "everything": FULL,
    "in capitals": SEND.upper(),
    "a slash behind": SEND + "/",
    "its beginning": SEND[:-1],
    "a short name": "gmail.send",
    "a tab between": f"{SEND}\t{READ}",
    "a newline between": f"{SEND}\n{READ}",
    "a no-break space between": f"{SEND}\u00a0{READ}",
    "a comma between": f"{SEND},{READ}",
    "nothing there is": "x",
    "not ASCII": "ä",
    "a quote": f'"{SEND}"',
}


@pytest.mark.parametrize("asked", WIDER.values(), ids=WIDER)
def test_a_refresh_may_not_ask_for_more(world, asked):
    """Beyond what was allowed nothing is given, not even the part that was."""
    client, secret, text = begin(world)
    assert world.denied(world.refresh, client, secret, text, scope=asked) == TOO_WIDE


def test_a_refresh_gives_what_was_allowed_with_it(world):
    """A later consent to more does not widen a refresh token that is about in files."""
    client, secret, text = begin(world, scope=SEND)
    world.code(client, scope=READ)
    assert world.refresh(client, secret, text)["scope"] == SEND
    assert world.denied(world.refresh, client, secret, text, scope=READ) == TOO_WIDE


WRONG = {
    "none": ({"refresh_token": None}, ("invalid_request", "Missing required parameter: refresh_token", 400)),
    "an empty one": ({"refresh_token": ""}, ("invalid_request", "Missing required parameter: refresh_token", 400)),
    "an unknown one": ({"refresh_token": "1//0" + "x" * 43}, ENDED),
    "no refresh token": ({"refresh_token": "x"}, ENDED),
    "an access token": ({"refresh_token": "ya29." + "x" * 43}, ENDED),
    "not ASCII": ({"refresh_token": "ä"}, ENDED),
    "very long": ({"refresh_token": "1//0" + "x" * 10_000}, ENDED),
    "no secret": ({"client_secret": None}, ("invalid_request", "client_secret is missing.", 400)),
    "a wrong secret": ({"client_secret": "x"}, ("invalid_client", "Unauthorized", 401)),
    "no client": ({"client_id": None}, ("invalid_request", "Could not determine client ID from request.", 400)),
}


@pytest.mark.parametrize(("changed", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_refresh_is_refused(world, changed, told):
    """In Google's words, and the refresh token is as good as before."""
    client, secret, text = begin(world)
    assert world.denied(world.refresh, client, secret, text, **changed) == told
    assert world.refresh(client, secret, text)["access_token"]


def test_an_access_token_refreshes_nothing(world):
    """Nor does a code."""
    client, secret, text = begin(world)
    access = world.refresh(client, secret, text)["access_token"]
    for other in (access, world.code(client)):
        assert world.denied(world.refresh, client, secret, other) == ENDED


def test_another_clients_refresh_token_is_refused(world):
    """A client gets nothing for it, and takes nothing from the other."""
    client, secret, text = begin(world)
    thief, thiefs_secret = world.client()
    told = ("invalid_grant", "Bad Request", 400)
    assert world.denied(world.refresh, thief, thiefs_secret, text) == told
    assert world.refresh(client, secret, text)["access_token"]


def test_a_revoked_refresh_token_gets_nothing(world):
    """With the consent it ends."""
    client, secret, text = begin(world)
    consent = consents.find(world.connection, world.alice.account_id, client.client_id)
    consents.revoke(world.connection, consent.consent_id)
    assert world.denied(world.refresh, client, secret, text) == ENDED


def test_a_disabled_account_is_not_refreshed(world):
    """Whoever is disabled is told so."""
    client, secret, text = begin(world)
    accounts.disable(world.connection, world.alice.address, NOW)
    assert world.denied(world.refresh, client, secret, text) == ("invalid_grant", "Account disabled", 400)


def test_a_removed_client_refreshes_nothing(world):
    """It is not found any more."""
    client, secret, text = begin(world)
    clients.remove(world.connection, client.client_id)
    told = ("invalid_client", "The OAuth client was not found.", 401)
    assert world.denied(world.refresh, client, secret, text) == told


@pytest.mark.parametrize(("later", "good"), [(UNUSED - 2 * HOUR, True), (UNUSED, False), (2 * UNUSED, False)])
def test_a_refresh_token_ends_when_nobody_uses_it(world, later, good):
    """After six months without a use it is over."""
    client, secret, text = begin(world)
    world.now = NOW + later
    if good:
        assert world.refresh(client, secret, text)["access_token"]
    else:
        assert world.denied(world.refresh, client, secret, text) == ENDED


def test_a_use_prolongs_a_refresh_token(world):
    """Six months are counted from the last use."""
    client, secret, text = begin(world)
    for _ in range(3):
        world.now += UNUSED - 2 * HOUR
        assert world.refresh(client, secret, text)["access_token"]


def test_a_use_is_written_once_an_hour(world):
    """The row says the hour of the last use."""
    client, secret, text = begin(world)
    hour = NOW - NOW % HOUR
    used = select(refresh_token.c.used_at)
    for later, noted in ((0, hour), (HOUR - NOW % HOUR - 1, hour), (HOUR, hour + HOUR)):
        world.now = NOW + later
        world.refresh(client, secret, text)
        assert world.connection.execute(used).scalar_one() == noted


def test_the_oldest_of_too_many_ends(world):
    """A client has a hundred for an account; with one more the first ends, and its access tokens with it."""
    client, secret, first = begin(world)
    kept = grant_of(world, answer := world.refresh(client, secret, first))
    consent = consents.find(world.connection, world.alice.account_id, client.client_id)

    def another() -> str:
        world.now += 1
        return refresh_tokens.issue(world.connection, consent.consent_id, [SEND], code_hash=None, now=world.now)

    others = [another() for _ in range(MOST - 1)]
    assert kept == grant_of(world, answer)
    newest = another()
    assert grant_of(world, answer) is None
    assert world.denied(world.refresh, client, secret, first) == ENDED
    for text in (*others[:2], others[-1], newest):
        assert world.refresh(client, secret, text)["access_token"]
    assert world.connection.execute(select(func.count()).select_from(refresh_token)).scalar_one() == MOST


def test_the_newest_is_never_too_many(world):
    """Even of those made in one millisecond the last one stays."""
    client, secret, _ = begin(world)
    consent = consents.find(world.connection, world.alice.account_id, client.client_id)
    for _ in range(MOST + 5):
        text = refresh_tokens.issue(world.connection, consent.consent_id, [SEND], code_hash=None, now=NOW)
    assert world.refresh(client, secret, text)["access_token"]


def test_another_clients_are_not_counted(world):
    """The limit is for one client and one account."""
    client, secret, text = begin(world)
    other, _ = world.client()
    world.code(other)
    consent = consents.find(world.connection, world.alice.account_id, other.client_id)
    for _ in range(MOST + 1):
        refresh_tokens.issue(world.connection, consent.consent_id, [SEND], code_hash=None, now=NOW + 1)
    assert world.refresh(client, secret, text)["access_token"]


def test_revocation_outruns_refreshes(nodes):
    """Of refreshes at once with a revocation each succeeds or is refused, and no token is left afterwards."""

    def prepare(connection):
        world = World(connection)
        client, secret, text = begin(world)
        return client, secret, text, consents.find(connection, world.alice.account_id, client.client_id)

    client, secret, text, consent = nodes[0].submit(prepare).result()
    form = {"grant_type": "refresh_token", "refresh_token": text, "client_id": client.client_id}
    request = server.TokenRequest([*form.items(), ("client_secret", secret)], None, ISSUER)

    def exchange(connection):
        try:
            return server.exchange(connection, request, NOW)
        except OAuthError as error:
            return error.error, error.description, error.code

    waiting = [nodes[number % len(nodes)].submit(exchange) for number in range(15)]
    nodes[-1].submit(lambda connection: consents.revoke(connection, consent.consent_id)).result()
    waiting += [nodes[number % len(nodes)].submit(exchange) for number in range(15)]
    outcomes = [future.result() for future in waiting]
    assert outcomes[15:] == [ENDED] * 15
    assert all(one == ENDED or "access_token" in one for one in outcomes)
    assert nodes[0].look(lambda connection: connection.execute(select(tokens.token)).all()) == []
