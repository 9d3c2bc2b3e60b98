"""The consent page: what is shown, what is allowed, and what cannot be forged."""

import pytest
from sqlalchemy import func, select

from postroad.database.schema import authorization_code
from postroad.oauth import accounts, clients, consents
from postroad.web import oauth
from postroad.web.oauth import consent
from postroad.web.oauth.browser import FORM_LIFE
from postroad.web.oauth.consent import Choices, choices
from tests.web.oauth.visitor import ALICE, GMAIL, LABELS, NOW, READ, ROOT, SEND, Visitor

OTHER = "https://www.googleapis.com/auth/drive"
ALLOW, CANCEL = ("decision", "allow"), ("decision", "cancel")


@pytest.mark.parametrize(
    ("asked", "before", "shown"),
    [
        ((SEND,), (), Choices((), (SEND,), (), ())),
        ((SEND, READ), (), Choices((SEND, READ), (), (), ())),
        ((READ, "openid", SEND), (), Choices((READ, SEND), ("openid",), (), ())),
        (("openid", "email"), (), Choices((), ("openid", "email"), (), ())),
        (("openid", SEND), (), Choices((), ("openid", SEND), (), ())),
        ((SEND, READ), (SEND,), Choices((), (READ,), (SEND,), ())),
        ((SEND, READ), (SEND, READ), Choices((), (), (SEND, READ), ())),
        ((SEND, READ, LABELS), (SEND,), Choices((READ, LABELS), (), (SEND,), ())),
        ((SEND, OTHER), (), Choices((), (SEND,), (), (OTHER,))),
        ((SEND, OTHER), (SEND, OTHER), Choices((), (), (SEND,), (OTHER,))),
    ],
)
def test_how_scopes_are_shown(asked, before, shown):
    """One by one where there is a choice; the rest says what it is."""
    assert choices(asked, before) == shown


@pytest.mark.parametrize(
    ("asked", "before", "ticked", "allowed"),
    [
        ((SEND, READ), (), {SEND, READ}, (SEND, READ)),
        ((SEND, READ), (), {READ}, (READ,)),
        ((SEND, READ), (), set(), ()),
        ((SEND, READ), (), {LABELS}, ()),
        ((SEND,), (), set(), (SEND,)),
        ((READ, "openid", SEND), (), {SEND}, ("openid", SEND)),
        ((READ, "openid", SEND), (), set(), ("openid",)),
        ((SEND, READ, LABELS), (SEND,), set(), (SEND,)),
        ((SEND, READ, OTHER), (), set(), ()),
        ((SEND, READ, OTHER), (), {SEND}, (SEND, OTHER)),
    ],
)
def test_what_is_allowed_is_what_was_ticked_of_what_was_asked(asked, before, ticked, allowed):
    """In the order asked; what was not asked for is never allowed, and without anything that counts nothing is."""
    assert choices(asked, before).allowed(asked, ticked) == allowed


@pytest.fixture
def page(house, visitor):
    """The page on which Alice is asked for two scopes."""
    return visitor.signs_in(house.asked())


def codes(house) -> int:
    return house.database.look(
        lambda connection: connection.execute(select(func.count()).select_from(authorization_code)).scalar_one()
    )


def allowed(house):
    found = house.database.look(lambda connection: consents.find(connection, 1, house.client.client_id))
    return found and found.scopes


def test_the_page_says_who_asks_for_what_in_plain_words(page):
    """The client, the account, each scope, and where the browser is sent afterwards."""
    for words in (
        "Invoices wants to use your account",
        ALICE,
        "Send email as you",
        "Read your messages and settings",
        "You are sent back to localhost:4242.",
    ):
        assert words in page.text
    assert page.forms[0].ticked == [SEND, READ]


def test_what_is_not_ticked_is_not_allowed(house, visitor, page):
    """The client gets less than it asked for and is told so; the rest is asked for again."""
    answer = visitor.send(page.forms[0], ALLOW, ticked=[READ])
    assert answer.answer["scope"] == READ
    assert allowed(house) == {READ}
    assert "It will be able to Send email as you" in visitor.get(house.asked()).text


def test_ticking_nothing_is_asked_again(house, visitor, page):
    """The page comes back with a hint, nothing ticked, and nothing is allowed."""
    answer = visitor.send(page.forms[0], ALLOW, ticked=["nothing"])
    assert answer.code == 400
    assert "Tick at least one of these, or cancel." in answer.text
    assert answer.forms[0].ticked == []
    assert allowed(house) is None
    assert visitor.send(answer.forms[0], ALLOW, ticked=[SEND]).answer["scope"] == SEND


def test_who_cancels_allows_nothing(house, visitor, page):
    """The client is told that access was denied."""
    answer = visitor.send(page.forms[0], CANCEL)
    assert answer.code == 303
    assert answer.answer["error"] == "access_denied"
    assert answer.answer["state"] == "a b+c&d=é"
    assert answer.answer["iss"] == ROOT
    assert allowed(house) is None
    assert codes(house) == 0


def test_a_form_without_a_button_allows_nothing(house, visitor, page):
    """Only the button allows."""
    assert visitor.send(page.forms[0]).answer["error"] == "access_denied"
    assert allowed(house) is None


def test_scopes_add_up_when_the_client_asks_so(house, visitor, page):
    """With include_granted_scopes the code is good for what was allowed before, too."""
    visitor.send(page.forms[0], ALLOW, ticked=[READ])
    more = visitor.get(house.asked(scope=LABELS, include_granted_scopes="true"))
    assert visitor.send(more.forms[0], ALLOW).answer["scope"].split() == [LABELS, READ]


def test_without_asking_so_scopes_do_not_add_up(house, visitor, page):
    """A code is good for what its request asked for."""
    visitor.send(page.forms[0], ALLOW)
    more = visitor.get(house.asked(scope=LABELS))
    assert visitor.send(more.forms[0], ALLOW).answer["scope"] == LABELS
    assert allowed(house) == {SEND, READ, LABELS}


@pytest.mark.parametrize("token", ["", "made.up", None])
def test_without_its_token_a_form_allows_nothing(house, visitor, page, token):
    """Missing, or made up (hardening.md G5)."""
    fields = page.forms[0].hidden | {"decision": "allow", "scope": SEND}
    del fields["token"]
    answer = visitor.post(page.forms[0].action, fields | ({} if token is None else {"token": token}))
    assert answer.code == 403
    assert "Error 403: form_refused" in answer.text
    assert allowed(house) is None


def test_the_token_of_another_session_allows_nothing(house, visitor, page):
    """A form that an attacker got in their own session is nothing in Alice's, even if it is Alice herself."""
    for address in ("bob@example.test", ALICE):
        foreign = Visitor(house).signs_in(house.asked(), address).forms[0]
        assert visitor.send(foreign, ALLOW).code == 403
    assert allowed(house) is None


def test_the_token_of_another_request_allows_nothing(house, visitor, page):
    """A form for little cannot be changed into one for much, or for another client."""
    much = visitor.get(house.asked(scope="https://mail.google.com/")).forms[0].hidden["onward"]
    assert visitor.send(page.forms[0], ALLOW, onward=much).code == 403
    assert visitor.send(page.forms[0], ALLOW, onward="//evil.example").code == 400
    assert allowed(house) is None


def test_the_token_of_another_form_allows_nothing(house, visitor, page):
    """What was given to choose an account does not allow anything."""
    token = visitor.get(house.asked(prompt="select_account")).forms[0].hidden["token"]
    assert visitor.send(page.forms[0], ALLOW, token=token).code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null", "sec_fetch_site": "cross-site"},
        {"origin": ROOT, "sec_fetch_site": "same-site"},
        {"host": "rebound.example:8587", "origin": "http://rebound.example:8587"},
    ],
)
def test_another_site_allows_nothing(house, visitor, page, headers):
    """Even with the right token, what a browser says of the page that sent the form decides."""
    fields = page.forms[0].hidden | {"decision": "allow", "scope": SEND}
    assert visitor.post(page.forms[0].action, fields, **headers).code == 403
    assert allowed(house) is None


def test_consent_takes_a_post(house, visitor, page):
    """Nobody allows anything by following a link."""
    endpoint = oauth.ENDPOINTS[consent.PATH]
    assert endpoint.verbs == ("POST",)
    assert not endpoint.for_programs
    query = "&".join(f"{name}={text}" for name, text in page.forms[0].fields)
    assert visitor.get(f"{consent.PATH}?{query}&decision=allow").code in (404, 405)
    assert allowed(house) is None


def test_a_form_is_good_for_an_hour(house, visitor, page):
    """A page that lay open for longer allows nothing."""
    house.now += FORM_LIFE + 1
    assert visitor.send(page.forms[0], ALLOW).code == 403
    house.now -= 1
    assert visitor.send(page.forms[0], ALLOW).code == 303


def test_a_form_after_signing_out_is_nothing(house, visitor, page):
    """Neither with the old cookie nor without it; a copy of the session ends with it."""
    copied = Visitor(house, dict(visitor.cookies))
    visitor.send(visitor.get(house.asked(prompt="select_account")).forms[1])
    assert visitor.send(page.forms[0], ALLOW).code == 403
    replayed = copied.send(page.forms[0], ALLOW)
    assert replayed.location == page.forms[0].hidden["onward"]
    assert "Sign in" in copied.get(replayed.location).text
    assert allowed(house) is None


def test_whoever_clicks_twice_gets_two_codes(house, visitor, page):
    """The same form in the same session is the same consent; each code is one of its own."""
    first, second = (visitor.send(page.forms[0], ALLOW).answer["code"] for _ in range(2))
    assert first != second
    assert codes(house) == 2
    assert allowed(house) == {SEND, READ}


def test_a_disabled_account_allows_nothing(house, visitor, page):
    """Disabled while the page lay open."""
    house.do(lambda connection: accounts.disable(connection, ALICE, NOW))
    assert visitor.send(page.forms[0], ALLOW).location == page.forms[0].hidden["onward"]
    assert allowed(house) is None


def test_a_client_that_is_gone_gets_nothing(house, visitor, page):
    """Removed while the page lay open: the browser is sent nowhere."""
    house.do(lambda connection: clients.remove(connection, house.client.client_id))
    answer = visitor.send(page.forms[0], ALLOW)
    assert answer.code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize("body", [[("token", "a"), ("token", "b")], [("x", "\0")], [("a", "b")] * 101])
def test_a_form_that_is_none_is_refused(visitor, page, body):
    """A field twice, a NUL, or too many of them."""
    assert visitor.post(consent.PATH, body).code == 400


def test_a_body_that_is_no_form_is_refused(visitor, page):
    """JSON allows nothing, and a body without end is not read to its end."""
    assert visitor.post(consent.PATH, {"a": "b"}, content_type="application/json").code == 400
    assert visitor.post(consent.PATH, {"a": "x" * 200_000}).code == 413


def test_every_scope_has_words(house, visitor):
    """What a client may ask for the page can explain."""
    every = f"{GMAIL}compose {GMAIL}insert {GMAIL}modify {GMAIL}metadata https://mail.google.com/ openid profile"
    page = visitor.signs_in(house.asked(scope=every))
    assert "https://" not in page.text
    assert "permanently delete all your email" in page.text
