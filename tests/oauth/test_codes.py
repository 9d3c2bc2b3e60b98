"""What a code stands for: which scopes it grants, and whether a refresh token comes with it."""

import pytest

from postroad.oauth import codes, consents, credentials
from postroad.oauth.refresh_tokens import UNUSED
from tests.oauth_kit import NOW, READ, SEND

OFFLINE = {"access_type": "offline"}


def redeemed(world, client, secret, **changed):
    return world.redeem(client, secret, world.code(client, **changed))


def test_a_code_is_found_by_its_text(world):
    """It knows its client, place, scopes and proof, and when the person signed in."""
    client, _ = world.client()
    text = world.code(client, scope=f"{SEND} {READ}", nonce="n", code_challenge="c" * 43)
    found = codes.find(world.connection, text)
    assert (found.client_id, found.redirect_uri) == (client.client_id, client.redirect_uris[0])
    assert (found.get_scope(), found.nonce, found.signed_in_at) == (f"{SEND} {READ}", "n", NOW - 1000)
    assert (found.code_challenge, found.code_challenge_method) == ("c" * 43, "plain")
    assert found.code_hash == credentials.digest(text)
    assert codes.find(world.connection, text + "x") is None


def test_a_code_is_redeemed_once(world):
    """The second time it is not, and not when its time is over."""
    client, _ = world.client()
    used, late = (codes.find(world.connection, world.code(client)) for _ in range(2))
    assert codes.redeem(world.connection, used, NOW)
    assert not codes.redeem(world.connection, used, NOW)
    assert not codes.redeem(world.connection, late, NOW + codes.LIFE)


def test_a_person_may_allow_less_than_was_asked(world):
    """A code grants what was ticked."""
    client, secret = world.client()
    asked = world.ask(client, scope=f"{SEND} {READ}")
    given = consents.allow(world.connection, world.alice.account_id, client.client_id, [READ], NOW)
    code = codes.issue(world.connection, given, asked, [READ], signed_in_at=NOW, now=NOW)
    assert world.redeem(client, secret, code)["scope"] == READ


def test_what_was_allowed_before_comes_along_when_asked_for(world):
    """With include_granted_scopes a code grants all of the consent, without it what was asked this time."""
    client, secret = world.client()
    world.code(client, scope=READ)
    assert redeemed(world, client, secret, scope=SEND)["scope"] == SEND
    both = redeemed(world, client, secret, scope=SEND, include_granted_scopes="true")
    assert both["scope"] == f"{SEND} {READ}"


# The kind of client; what was asked the first and the second time; whether the second code brings a refresh token.
AGAIN = {
    "a web client": ("web", OFFLINE, OFFLINE, False),
    "with consent anew": ("web", OFFLINE, OFFLINE | {"prompt": "consent"}, True),
    "with consent anew, as of old": ("web", OFFLINE, OFFLINE | {"approval_prompt": "force"}, True),
    "with consent anew, online": ("web", OFFLINE, {"prompt": "consent"}, False),
    "first online": ("web", {}, OFFLINE, True),
    "with another scope": ("web", OFFLINE, OFFLINE | {"scope": READ}, True),
    "with fewer scopes": ("web", OFFLINE | {"scope": f"{READ} {SEND}"}, OFFLINE, False),
    "an installed client": ("installed", OFFLINE, OFFLINE, True),
    "an installed client, online": ("installed", OFFLINE, {}, False),
}


@pytest.mark.parametrize(("kind", "first", "second", "given"), AGAIN.values(), ids=AGAIN)
def test_a_web_client_gets_one_refresh_token(world, kind, first, second, given):
    """A further one comes with consent to something new, or given anew; an installed client gets one each time."""
    client, secret = world.client(kind)
    assert ("refresh_token" in redeemed(world, client, secret, **first)) == (first != {})
    assert ("refresh_token" in redeemed(world, client, secret, **second)) == given


def test_a_code_that_was_never_used_brought_no_refresh_token(world):
    """Whoever gave up half-way gets it the next time."""
    client, secret = world.client()
    world.code(client, **OFFLINE)
    assert "refresh_token" in redeemed(world, client, secret, **OFFLINE)


def test_a_refresh_token_that_ended_is_replaced(world):
    """After one that nobody used for months another is given."""
    client, secret = world.client()
    redeemed(world, client, secret, **OFFLINE)
    world.now += UNUSED
    assert "refresh_token" in redeemed(world, client, secret, **OFFLINE)


def test_after_revocation_consent_is_the_first(world):
    """With a new consent comes a new refresh token."""
    client, secret = world.client()
    redeemed(world, client, secret, **OFFLINE)
    given = consents.find(world.connection, world.alice.account_id, client.client_id)
    consents.revoke(world.connection, given.consent_id)
    assert "refresh_token" in redeemed(world, client, secret, **OFFLINE)
