"""The device grant (RFC 8628): what a device is given, what it is told while it polls, and its tokens."""

import re

import pytest
from sqlalchemy import func, select

from postroad.database.schema import device_code
from postroad.oauth import accounts, clients, consents, credentials, device, device_codes, server, tokens
from postroad.oauth.device import DeviceRequest
from postroad.oauth.errors import OAuthError
from postroad.oauth.server import TokenRequest
from tests.oauth_kit import ISSUER, NOW, READ, SEALING, SEND

SECOND = 1000
GRANT_TYPES = ["urn:ietf:params:oauth:grant-type:device_code", "http://oauth.net/grant_type/device/1.0"]


class Device:
    """A device of a client, in Alice's world."""

    def __init__(self, world, **client):
        self.world = world
        self.client, self.secret = world.client("installed", **client)
        self.given = self.begin(scope=SEND)

    def begin(self, authorization=None, **changed):
        form = {"client_id": self.client.client_id, "scope": SEND} | changed
        asked = [(name, text) for name, text in form.items() if text is not None]
        request = DeviceRequest(asked, authorization, ISSUER)
        return device.begin(self.world.connection, request, self.world.now)

    def poll(self, **changed):
        form = {
            "grant_type": GRANT_TYPES[0],
            "device_code": self.given["device_code"],
            "client_id": self.client.client_id,
            "client_secret": self.secret,
        } | changed
        asked = [(name, text) for name, text in form.items() if text is not None]
        request = TokenRequest(asked, None, ISSUER, SEALING)
        return server.exchange(self.world.connection, request, self.world.now)

    def refused(self, **changed):
        with pytest.raises(OAuthError) as refusal:
            self.poll(**changed)
        return refusal.value.error, refusal.value.code

    def found(self):
        return device_codes.find(self.world.connection, self.given["device_code"], self.world.now)

    def allow(self, *scopes):
        wanted = scopes or self.found().scopes
        alice = self.world.alice.account_id
        given = consents.allow(self.world.connection, alice, self.client.client_id, wanted, self.world.now)
        return device_codes.allow(self.world.connection, self.found(), given, wanted)


@pytest.fixture
def tv(world):
    return Device(world)


def test_a_device_is_given_two_codes_and_an_address(tv):
    """Google's members and those of the RFC; the address that has the code in it needs no typing."""
    code = tv.given["user_code"]
    assert re.fullmatch("[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}", code)
    assert tv.given == {
        "device_code": tv.given["device_code"],
        "user_code": code,
        "verification_url": f"{ISSUER}/device",
        "verification_uri": f"{ISSUER}/device",
        "verification_uri_complete": f"{ISSUER}/device?user_code={code}",
        "expires_in": 1800,
        "interval": 5,
    }
    assert tv.given["device_code"] != tv.begin()["device_code"]


def test_the_code_of_a_device_is_not_kept(tv):
    """Its hash is."""
    assert (
        tv.given["device_code"].encode()
        not in repr(tv.world.connection.execute(select(device_code)).all()).encode()
    )


BASIC = "Basic dW5rbm93bjpzZWNyZXQ="
BAD_BEGINNINGS = {
    "no client": ({"client_id": None}, "invalid_request", 400),
    "an unknown client": ({"client_id": "x"}, "invalid_client", 401),
    "a wrong secret": ({"client_secret": "x"}, "invalid_client", 401),
    "another client by Basic": ({"authorization": BASIC}, "invalid_request", 400),
    "no scope": ({"scope": None}, "invalid_request", 400),
    "spaces for a scope": ({"scope": "  "}, "invalid_request", 400),
    "an unknown scope": ({"scope": f"{SEND} x"}, "invalid_scope", 400),
    "a scope that cannot be": ({"scope": '"'}, "invalid_scope", 400),
}


@pytest.mark.parametrize(("changed", "error", "code"), BAD_BEGINNINGS.values(), ids=BAD_BEGINNINGS)
def test_not_every_device_is_given_codes(tv, changed, error, code):
    """The client must be known, and the scopes exist; a secret need not be shown, but a wrong one must not be."""
    with pytest.raises(OAuthError) as refusal:
        tv.begin(**changed)
    assert (refusal.value.error, refusal.value.code) == (error, code)


def test_a_secret_may_be_shown(tv):
    """As RFC 8628 has it, of clients that have one."""
    assert tv.begin(client_secret=tv.secret)["interval"] == 5


def test_a_device_polls_until_it_is_allowed(tv):
    """Pending, as Google answers it; after consent tokens, of which the refresh token is good for more."""
    assert tv.refused() == ("authorization_pending", 428)
    tv.world.now += 5 * SECOND
    assert tv.refused() == ("authorization_pending", 428)
    assert tv.allow()
    answer = tv.poll()
    grant = tokens.look_up(tv.world.connection, credentials.digest(answer["access_token"]))
    assert (grant.account, grant.scopes, grant.client_id) == (tv.world.alice, {SEND}, tv.client.client_id)
    assert (answer["scope"], answer["token_type"], answer["expires_in"]) == (SEND, "Bearer", 3599)
    again = tv.poll(grant_type="refresh_token", refresh_token=answer["refresh_token"], device_code=None)
    assert again["scope"] == SEND


def test_a_device_code_is_good_once(tv):
    """Afterwards it is unknown."""
    tv.allow()
    tv.poll()
    assert tv.refused() == ("invalid_grant", 400)


def test_who_polls_too_fast_has_to_slow_down(tv):
    """Each poll that comes too soon adds five seconds, up to a minute (RFC 8628 section 3.5)."""
    assert tv.refused() == ("authorization_pending", 428)
    tv.world.now += 4_999
    assert tv.refused() == ("slow_down", 403)
    tv.world.now += 9_999
    assert tv.refused() == ("slow_down", 403)
    tv.world.now += 15_000
    assert tv.refused() == ("authorization_pending", 428)
    for _ in range(20):
        tv.refused()
    tv.world.now += 60_000
    assert tv.refused() == ("authorization_pending", 428)


def test_who_is_allowed_gets_tokens_at_once(tv):
    """However fast it polled before."""
    tv.refused()
    tv.allow()
    assert tv.poll()["access_token"]


def test_a_device_may_be_refused(tv):
    """The person said no; nobody can say yes afterwards."""
    assert device_codes.deny(tv.world.connection, tv.found())
    assert not tv.allow()
    assert tv.refused() == ("access_denied", 403)


def test_a_decision_is_made_once(tv):
    """Who comes second decides nothing."""
    assert tv.allow()
    assert not device_codes.deny(tv.world.connection, tv.found())
    assert tv.poll()["access_token"]


@pytest.mark.parametrize("allowed", [False, True])
def test_a_device_code_expires(tv, allowed):
    """After half an hour it is told so, allowed or not; some time later nobody remembers it."""
    if allowed:
        tv.allow()
    tv.world.now = NOW + 1800 * SECOND
    assert tv.refused() == ("expired_token", 400)
    tv.world.now += device_codes.KEPT
    tv.begin()
    assert tv.refused() == ("invalid_grant", 400)
    assert tv.world.connection.execute(select(func.count()).select_from(device_code)).scalar_one() == 1


BAD_POLLS = {
    "no code": ({"device_code": None}, ("invalid_request", 400)),
    "an unknown code": ({"device_code": "AH-1x"}, ("invalid_grant", 400)),
    "a long code": ({"device_code": "x" * 10_000}, ("invalid_grant", 400)),
    "no secret": ({"client_secret": None}, ("invalid_request", 400)),
    "a wrong secret": ({"client_secret": "x"}, ("invalid_client", 401)),
}


@pytest.mark.parametrize(("changed", "told"), BAD_POLLS.values(), ids=BAD_POLLS)
def test_not_everybody_gets_tokens(tv, changed, told):
    """Allowed or not: a client shows who it is, and a code that there is."""
    tv.allow()
    assert tv.refused(**changed) == told


def test_a_device_code_is_its_clients(tv):
    """Another client gets nothing for it."""
    tv.allow()
    other, secret = tv.world.client("installed")
    assert tv.refused(client_id=other.client_id, client_secret=secret) == ("unauthorized_client", 401)
    assert tv.poll()["access_token"]


@pytest.mark.parametrize("name", ["device_code", "code"])
@pytest.mark.parametrize("grant_type", GRANT_TYPES)
def test_the_grant_has_two_names(tv, grant_type, name):
    """That of the RFC and the one Google had before, whose parameter was `code`."""
    tv.allow()
    form = {"grant_type": grant_type, "device_code": None, name: tv.given["device_code"]}
    assert tv.poll(**form)["access_token"]


def test_a_client_without_a_secret_may_be_a_device(world):
    """It shows its number alone."""
    tv = Device(world, public=True)
    tv.allow()
    assert tv.poll()["refresh_token"]


def test_scopes_of_googles_other_apis_may_be_asked_for(tv):
    """As of any other request; they have no effect here."""
    assert tv.begin(scope=f"{SEND} https://www.googleapis.com/auth/drive")["user_code"]


def test_a_device_gets_what_was_allowed(world):
    """Less than it asked for, if the person left something out; and an ID token for openid."""
    tv = Device(world)
    tv.given = tv.begin(scope=f"openid {READ} {SEND}")
    tv.allow("openid", SEND)
    answer = tv.poll()
    assert answer["scope"] == f"openid {SEND}"
    assert answer["id_token"].count(".") == 2


def test_a_disabled_account_gives_nothing(tv):
    """Also when it allowed the device before."""
    tv.allow()
    accounts.disable(tv.world.connection, tv.world.alice.address, NOW)
    assert tv.refused() == ("invalid_grant", 400)


def test_a_revoked_consent_ends_a_device(tv):
    """What was allowed and is taken back before the device asked is worth nothing."""
    tv.allow()
    given = consents.find(tv.world.connection, tv.world.alice.account_id, tv.client.client_id)
    consents.revoke(tv.world.connection, given.consent_id)
    assert tv.refused() == ("invalid_grant", 400)


def test_a_removed_client_has_no_devices(tv):
    """Its codes went with it."""
    clients.remove(tv.world.connection, tv.client.client_id)
    assert tv.refused() == ("invalid_client", 401)
