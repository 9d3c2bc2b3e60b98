"""A device without a browser, and the page on which a person allows it (RFC 8628 section 3.3)."""

import json

import pytest

from postroad.oauth import clients, device_codes
from tests.web.oauth.visitor import ALICE, LABELS, READ, ROOT, SEND, Visitor

MINUTE = 60_000


class Television:
    """A device of the house's client; a browser somewhere else."""

    def __init__(self, house, scope=SEND):
        self.house = house
        self.wire = Visitor(house, peer="192.0.2.9")
        self.client, self.secret = house.do(
            lambda connection: clients.add(connection, "TV", "installed", (), public=False, now=house.now)
        )
        self.given = self.begin(scope)

    def begin(self, scope):
        fields = [("client_id", self.client.client_id), ("scope", scope)]
        return json.loads(self.wire.post("/device/code", fields).body)

    def poll(self):
        fields = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": self.given["device_code"],
            "client_id": self.client.client_id,
            "client_secret": self.secret,
        }
        answer = self.wire.post("/token", list(fields.items()))
        return answer.code, json.loads(answer.body)

    @property
    def code(self):
        return self.given["user_code"]


@pytest.fixture
def tv(house):
    return Television(house)


@pytest.fixture
def alice(house):
    """At a browser, signed in, on the page for the code."""
    visitor = Visitor(house)
    visitor.signs_in("/device")
    return visitor


def types(visitor, code):
    return visitor.send(visitor.get("/device").forms[0], user_code=code)


def decision(name):
    return ("decision", name)


def test_a_device_is_connected(tv, alice):
    """The code typed, the scopes shown, one click: the next poll brings tokens."""
    assert tv.given["verification_url"] == f"{ROOT}/device"
    assert tv.poll() == (428, {"error": "authorization_pending", "error_description": "Precondition Required"})
    asked = types(alice, tv.code.lower())
    assert asked.code == 200
    for words in ("TV wants to use your account on a device", ALICE, tv.code, "Send email as you"):
        assert words in asked.text
    done = alice.send(asked.forms[0], decision("allow"))
    assert (done.code, "Your device is connected" in done.text) == (200, True)
    code, answer = tv.poll()
    assert (code, answer["scope"]) == (200, SEND)
    assert {"access_token", "refresh_token", "expires_in", "token_type"} <= answer.keys()


def test_the_code_may_come_with_the_address(tv, house):
    """Who follows verification_uri_complete signs in, and finds the code typed; it takes a click to go on."""
    visitor = Visitor(house)
    path = tv.given["verification_uri_complete"].removeprefix(ROOT)
    page = visitor.signs_in(path)
    assert page.forms[0].hidden["user_code"] == tv.code
    assert "TV" not in page.text
    assert "TV wants" in visitor.send(page.forms[0]).text


def test_a_device_is_refused(tv, alice):
    """Cancel tells it, and nobody can allow it afterwards with the same page."""
    asked = types(alice, tv.code)
    assert "Nothing is allowed" in alice.send(asked.forms[0], decision("cancel")).text
    assert tv.poll() == (403, {"error": "access_denied", "error_description": "Forbidden"})
    assert alice.send(asked.forms[0], decision("allow")).code == 400


def test_scopes_may_be_left_out(house, alice):
    """What is not ticked is not granted; nothing ticked is asked again."""
    tv = Television(house, f"{SEND} {READ} {LABELS}")
    asked = types(alice, tv.code)
    assert asked.forms[0].ticked == [SEND, READ, LABELS]
    again = alice.send(asked.forms[0], decision("allow"), ticked=["none"])
    assert (again.code, "Tick at least one" in again.text) == (400, True)
    alice.send(again.forms[0], decision("allow"), ticked=[READ])
    assert tv.poll()[1]["scope"] == READ


def test_a_form_is_good_for_its_code_alone(house, tv, alice):
    """The page of one device does not allow another."""
    other = Television(house)
    asked = types(alice, tv.code)
    assert alice.send(asked.forms[0], decision("allow"), user_code=other.code).code == 403
    assert other.poll()[0] == 428


def test_a_foreign_form_does_nothing(tv, alice):
    """Neither the code nor the decision is taken from a page that is not ours (RFC 9700 section 4.7)."""
    fields = [("user_code", tv.code), ("token", "x")]
    for more in ([], [decision("allow")]):
        assert alice.post("/device", fields + more).code == 403
    asked = types(alice, tv.code).forms[0]
    given = [*asked.hidden.items(), decision("allow")]
    assert alice.post("/device", given, origin="https://evil.test").code == 403
    assert alice.post("/device", given, sec_fetch_site="cross-site").code == 403
    assert tv.poll()[0] == 428


def test_nobody_decides_who_is_not_signed_in(tv, house, alice):
    """Without a sign-in there is no page with a code; one that has ended meanwhile begins anew."""
    assert "Sign in" in Visitor(house).get("/device").text
    asked = types(alice, tv.code).forms[0]
    house.now += 12 * 60 * MINUTE
    assert alice.send(asked, decision("allow")).code in (303, 403)
    assert "access_token" not in tv.poll()[1]


@pytest.mark.parametrize("code", ["BBBB-BBBB", "", "<b>", "x" * 1000, "é", "%00"])
def test_a_code_that_is_none_is_told(tv, alice, code):
    """And may be typed again; what was typed is shown as it is."""
    page = types(alice, code)
    assert page.code == 400
    assert "Nothing waits for this code" in page.text
    assert "<b>" not in page.body


def test_who_guesses_has_to_wait(tv, alice):
    """After some wrong codes the right one is not looked at for a while."""
    for _ in range(device_codes.FREE_TRIES):
        assert types(alice, "BBBB-BBBB").code == 400
    assert types(alice, tv.code).code == 429
    alice.house.now += MINUTE
    assert types(alice, tv.code).code == 200


def test_a_code_that_is_over_is_unknown(tv, alice):
    """After half an hour; also when the page lay open meanwhile."""
    asked = types(alice, tv.code)
    alice.house.now += 30 * MINUTE
    assert types(alice, tv.code).code == 400
    assert alice.send(asked.forms[0], decision("allow")).code == 400
    assert tv.poll()[1]["error"] == "expired_token"


def test_a_removed_client_asks_nobody(tv, house, alice):
    """Its codes went with it."""
    house.do(lambda connection: clients.remove(connection, tv.client.client_id))
    assert types(alice, tv.code).code == 400


def test_what_was_allowed_before_is_told(house, tv, alice):
    """And need not be ticked again."""
    alice.send(types(alice, tv.code).forms[0], decision("allow"))
    tv.given = tv.begin(f"{SEND} {READ}")
    asked = types(alice, tv.code)
    assert "You allowed it before to" in asked.text
    alice.send(asked.forms[0], decision("allow"))
    assert tv.poll()[1]["scope"] == f"{SEND} {READ}"


@pytest.mark.parametrize(
    "form", [[], [("client_id", "x"), ("scope", SEND)], [("client_id", "a"), ("client_id", "b")]]
)
def test_a_bad_beginning_is_told_in_json(house, form):
    """To the program, in the words of OAuth."""
    answer = Visitor(house).post("/device/code", form)
    assert answer.code in (400, 401)
    assert json.loads(answer.body)["error"] in ("invalid_request", "invalid_client")
