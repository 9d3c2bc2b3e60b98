"""The authorization endpoint: whom to ask what, and what the client gets."""

import pytest

from postroad.oauth.accounts import Account
from postroad.oauth.authorization import AuthorizationRequest
from postroad.oauth.clients import Client
from postroad.oauth.sign_ins import LIFE, SignIn
from postroad.web.oauth.authorization import Step, next_step
from tests.web.oauth.visitor import ALICE, BACK, BOB, GMAIL, NOW, READ, ROOT, SEND, Visitor

CLIENT = Client("1-a.apps.googleusercontent.com", "installed", "Invoices", None, (BACK,), NOW)
HERE = SignIn(Account(1, ALICE, False, False, False, ("al@example.test",)), NOW, NOW + LIFE)
ALLOW = ("decision", "allow")


def asks(*prompts, hint=None) -> AuthorizationRequest:
    return AuthorizationRequest(
        CLIENT, BACK, (SEND, READ), ROOT, state="s", prompts=frozenset(prompts), login_hint=hint
    )


BOTH = frozenset((SEND, READ))


@pytest.mark.parametrize(
    ("request_", "signed_in", "before", "step"),
    [
        (asks(), None, BOTH, Step.SIGN_IN),
        (asks(), HERE, frozenset(), Step.CONSENT),
        (asks(), HERE, frozenset({SEND}), Step.CONSENT),
        (asks(), HERE, BOTH, Step.NOTHING),
        (asks(), HERE, BOTH | {GMAIL + "labels"}, Step.NOTHING),
        (asks("consent"), HERE, BOTH, Step.CONSENT),
        (asks("consent"), None, BOTH, Step.SIGN_IN),
        (asks("select_account"), HERE, BOTH, Step.SIGN_IN),
        (asks("select_account", "consent"), HERE, BOTH, Step.SIGN_IN),
        (asks("none"), HERE, BOTH, Step.NOTHING),
        (asks("none"), None, BOTH, Step.SIGN_IN),
        (asks(hint=ALICE), HERE, BOTH, Step.NOTHING),
        (asks(hint="ALICE@example.test"), HERE, BOTH, Step.NOTHING),
        (asks(hint="al@example.test"), HERE, BOTH, Step.NOTHING),
        (asks(hint=BOB), HERE, BOTH, Step.SIGN_IN),
        (asks(hint="100000000000000000001"), HERE, BOTH, Step.NOTHING),
    ],
)
def test_what_is_asked_next(request_, signed_in, before, step):
    """First who it is, then whether they allow it, then nothing."""
    assert next_step(request_, signed_in, before) is step


def test_a_client_gets_a_code_for_what_was_allowed(house, visitor):
    """Sign-in, consent, and back with code, scope, issuer, and the state as it was."""
    page = visitor.signs_in(house.asked())
    answer = visitor.send(page.forms[0], ALLOW)
    assert answer.code == 303
    assert answer.location.startswith(f"{BACK}?")
    told = answer.answer
    assert told.pop("code").startswith("4/0")
    assert told == {"scope": f"{SEND} {READ}", "state": "a b+c&d=é", "iss": ROOT}


def test_what_was_allowed_is_not_asked_again(house, visitor):
    """A second request within it, or within less, goes straight back with a code."""
    visitor.send(visitor.signs_in(house.asked()).forms[0], ALLOW)
    for scope in (f"{SEND} {READ}", READ):
        answer = visitor.get(house.asked(scope=scope))
        assert answer.code == 303
        assert answer.answer["scope"] == scope
        assert answer.answer["code"].startswith("4/0")


def test_another_person_or_another_client_is_asked(house, visitor):
    """What Alice allowed one client neither Bob nor another client has."""
    visitor.send(visitor.signs_in(house.asked()).forms[0], ALLOW)
    other = house.register("Other")
    assert visitor.get(house.asked(client_id=other.client_id)).code == 200
    assert "Invoices wants to use your account" in Visitor(house).signs_in(house.asked(), BOB).text


@pytest.mark.parametrize(
    ("parameters", "signed_in", "error"),
    [
        ({}, False, "login_required"),
        ({}, True, "consent_required"),
        ({"login_hint": BOB}, True, "login_required"),
    ],
)
def test_who_wants_nobody_to_be_asked_gets_an_error(house, visitor, parameters, signed_in, error):
    """With prompt=none the client is told what is missing, and no page is shown."""
    if signed_in:
        visitor.signs_in(house.asked())
    answer = visitor.get(house.asked(prompt="none", **parameters))
    assert answer.code == 303
    assert answer.answer["error"] == error
    assert answer.answer["state"] == "a b+c&d=é"
    assert answer.answer["iss"] == ROOT


def test_who_wants_nobody_to_be_asked_gets_a_code_for_what_was_allowed(house, visitor):
    """With prompt=none a program learns silently that its person is still there."""
    visitor.send(visitor.signs_in(house.asked()).forms[0], ALLOW)
    assert "code" in visitor.get(house.asked(prompt="none", login_hint=ALICE)).answer


def test_consent_can_be_asked_for_again(house, visitor):
    """With prompt=consent the page comes even so, and shows what was allowed before."""
    visitor.send(visitor.signs_in(house.asked()).forms[0], ALLOW)
    page = visitor.get(house.asked(prompt="consent"))
    assert "You allowed it before to Send email as you Read your messages and settings" in page.text
    assert visitor.send(page.forms[0], ALLOW).answer["scope"] == f"{SEND} {READ}"


def test_an_account_can_be_chosen_anew(house, visitor):
    """With prompt=select_account a person goes on as they are, or signs in as somebody else; and does so once."""
    visitor.signs_in(house.asked())
    page = visitor.get(house.asked(prompt="select_account"))
    assert f"Go on as {ALICE}" in page.text
    assert "Invoices wants to use your account" in visitor.get(page.links[0]).text
    answer = visitor.send(page.forms[0], address=BOB, password="correct horse")
    assert BOB in visitor.get(answer.location).text


def test_another_account_can_be_chosen_from_the_consent_page(house, visitor):
    """Its link leads to the choice, and from there back to consent."""
    page = visitor.signs_in(house.asked(prompt="consent"))
    choice = visitor.get(page.links[0])
    assert f"Go on as {ALICE}" in choice.text
    assert ALICE in visitor.get(choice.links[0]).text


def test_a_hint_is_filled_in(house, visitor):
    """The address that the client hints at need not be typed, and whoever else signs in is not asked for ever."""
    form = visitor.get(house.asked(login_hint=BOB)).forms[0]
    assert form.hidden["address"] == BOB
    assert ALICE in visitor.signs_in(house.asked(login_hint=BOB)).text


def test_a_session_ends_after_twelve_hours(house, visitor):
    """Then the password is asked for again."""
    visitor.signs_in(house.asked())
    house.now += LIFE
    assert "Sign in" in visitor.get(house.asked()).text


@pytest.mark.parametrize("path", ["/o/oauth2/v2/auth", "/o/oauth2/auth", "/o/oauth2/v2/auth/oauthchooseaccount"])
def test_every_address_of_googles_libraries_asks(house, visitor, path):
    """The old one and the new one, and what is beneath it."""
    asked = house.asked().replace("/o/oauth2/v2/auth", path)
    assert "to go on to Invoices" in visitor.get(asked).text


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"client_id": None}, "invalid_request"),
        ({"client_id": "1-x.apps.googleusercontent.com"}, "invalid_client"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": "http://localhost:4242/other"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "https://evil.example/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://localhost@evil.example/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "javascript:alert(1)"}, "redirect_uri_mismatch"),
    ],
)
def test_when_nobody_can_be_told_there_is_a_page(house, visitor, parameters, error):
    """Without a client, or with a redirect URI that is not its own, the browser goes nowhere."""
    page = visitor.get(house.asked(**parameters))
    assert page.code == 400
    assert "location" not in page.headers
    assert f"Error 400: {error}" in page.text


def test_other_errors_go_to_the_client(house, visitor):
    """What is wrong in a request of a client that is known goes back to it, with the state."""
    answer = visitor.get(house.asked(access_type="sometimes"))
    assert answer.code == 303
    assert answer.location.startswith(f"{BACK}?")
    assert answer.answer["error"] == "invalid_request"
    assert answer.answer["state"] == "a b+c&d=é"


@pytest.mark.parametrize(
    "query", ["a=%FF", "a=%00", "&".join("a=b" for _ in range(101)), "a=" + "x" * 9000, "\xe9=\xff", ""]
)
def test_a_query_that_is_none_has_a_page(visitor, query):
    """Not UTF-8, a NUL, too many parameters, too long, or nothing."""
    page = visitor.get(f"/o/oauth2/v2/auth?{query}")
    assert page.code == 400
    assert "Error 400" in page.text


def test_whatever_a_client_writes_is_escaped(house, visitor):
    """Markup in a name, a state, a hint or a scope reaches no page as markup."""
    evil = '"><script>alert(1)</script>'
    client = house.register(evil)
    asked = house.asked(client_id=client.client_id, state=evil, login_hint=evil + "@x")
    first = visitor.get(asked)
    second = visitor.signs_in(asked)
    for page in (first, second):
        assert page.code == 200
        assert "<script" not in page.body
        assert "alert(1)" in page.text


def test_the_forms_may_lead_back_to_the_client(house, visitor):
    """Browsers hold the redirects after a form to the policy of its page, so that names the client's scheme."""
    first = visitor.get(house.asked())
    second = visitor.signs_in(house.asked())
    for page in (first, second):
        assert "form-action 'self' http: https:;" in page.headers["content-security-policy"]
