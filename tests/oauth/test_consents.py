"""Consents: they grow with each that is given, and end with everything that came of them."""

import pytest
from sqlalchemy import func, select

from postroad.database.schema import metadata
from postroad.oauth import accounts, clients, consents
from postroad.oauth.errors import OAuthError
from tests.oauth_kit import NOW, READ, SEND


def allow(world, client, *scopes, now=NOW, account=None):
    account_id = (account or world.alice).account_id
    return consents.allow(world.connection, account_id, client.client_id, scopes, now)


def test_a_consent_is_found(world):
    """What was allowed is there, for this account and this client and for no others."""
    client, _ = world.client()
    other, _ = world.client()
    made = allow(world, client, SEND)
    assert (made.scopes, made.created_at, made.changed_at) == ({SEND}, NOW, NOW)
    assert consents.find(world.connection, world.alice.account_id, client.client_id) == made
    assert consents.find(world.connection, world.alice.account_id, other.client_id) is None
    assert consents.find(world.connection, world.alice.account_id + 1, client.client_id) is None
    assert consents.held(world.connection, made.consent_id) == made


def test_a_consent_grows(world):
    """A further scope is added to those before; the same again changes nothing."""
    client, _ = world.client()
    first = allow(world, client, SEND)
    second = allow(world, client, READ, now=NOW + 1)
    assert second.consent_id == first.consent_id
    assert (second.scopes, second.created_at, second.changed_at) == ({SEND, READ}, NOW, NOW + 1)
    assert allow(world, client, SEND, now=NOW + 2) == second


def test_a_removed_client_is_allowed_nothing(world):
    """Consent to a client that was removed meanwhile is refused as if it had never been."""
    client, _ = world.client()
    clients.remove(world.connection, client.client_id)
    with pytest.raises(OAuthError) as refused:
        allow(world, client, SEND)
    assert (refused.value.error, refused.value.code) == ("invalid_client", 401)


def test_an_account_sees_what_it_allows(world):
    """Its own consents are listed, the newest first."""
    bob = accounts.add(world.connection, "bob@example.test", administrator=False, now=NOW)
    first, second = world.client()[0], world.client()[0]
    allow(world, first, SEND, account=bob)
    expected = [allow(world, first, SEND), allow(world, second, READ, now=NOW + 1)]
    assert consents.of_account(world.connection, world.alice.account_id) == expected[::-1]


def test_a_revoked_consent_leaves_nothing(world):
    """With it go its codes and tokens; a consent to another client stays with its own."""
    (client, secret), (other, other_secret) = world.client(), world.client()
    for one, its_secret in ((client, secret), (other, other_secret)):
        world.redeem(one, its_secret, world.code(one, access_type="offline"))
    consent = consents.find(world.connection, world.alice.account_id, client.client_id)
    consents.revoke(world.connection, consent.consent_id)
    assert consents.held(world.connection, consent.consent_id) is None
    for name in ("consent", "authorization_code", "refresh_token", "token"):
        assert world.connection.execute(select(func.count()).select_from(metadata.tables[name])).scalar() == 1


def test_revoking_twice_makes_no_difference(world):
    """A consent that is gone can be taken back again."""
    client, _ = world.client()
    made = allow(world, client, SEND)
    consents.revoke(world.connection, made.consent_id)
    consents.revoke(world.connection, made.consent_id)
    assert consents.of_account(world.connection, world.alice.account_id) == []


def test_after_revocation_a_consent_is_new(world):
    """What was allowed before does not come back with a new consent."""
    client, _ = world.client()
    consents.revoke(world.connection, allow(world, client, SEND, READ).consent_id)
    assert allow(world, client, SEND).scopes == {SEND}
