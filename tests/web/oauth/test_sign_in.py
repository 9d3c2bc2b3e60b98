"""Signing in and out, without a browser's engine."""

import pytest

from postroad.oauth import accounts, passwords, sign_ins
from postroad.web.oauth import sign_in
from tests.web.oauth.visitor import ALICE, BOB, CHEAP, NOW, PASSWORD, ROOT, House, Visitor

DEVICE = "/device"


def who(visitor) -> str | None:
    """Who is signed in where that cookie is."""
    session = visitor.cookies.get("postroad", "")
    house = visitor.house
    found = house.database.look(lambda connection: sign_ins.find(connection, session, house.now))
    return found.account.address if found else None


def test_the_right_password_signs_in_and_goes_on(house, visitor):
    """From the form, by 303, to where the client's request is answered; and the session is the account's."""
    form = visitor.get(house.asked()).forms[0]
    answer = visitor.send(form, address=ALICE, password=PASSWORD)
    assert answer.code == 303
    assert answer.location == form.hidden["onward"]
    assert answer.location.startswith("/o/oauth2/v2/auth?")
    assert who(visitor) == ALICE


@pytest.mark.parametrize("typed", [f" {ALICE} ", "Alice@Example.TEST"])
def test_an_address_may_be_typed_as_people_do(house, visitor, typed):
    """Spaces around it and capitals do not matter."""
    visitor.send(visitor.get(house.asked()).forms[0], address=typed, password=PASSWORD)
    assert who(visitor) == ALICE


def test_whoever_signs_in_gets_a_new_session(house, visitor):
    """A value that somebody planted before is not the session afterwards, nor is that of an earlier sign-in."""
    visitor.get(house.asked())
    planted = visitor.cookies["postroad"]
    visitor.signs_in(house.asked())
    first = visitor.cookies["postroad"]
    visitor.signs_in(house.asked(prompt="select_account"), BOB)
    assert len({planted, first, visitor.cookies["postroad"]}) == 3
    assert who(Visitor(house, {"postroad": planted})) is None
    assert who(Visitor(house, {"postroad": first})) is None
    assert who(visitor) == BOB


def disable(connection):
    accounts.disable(connection, BOB, NOW)


def without_password(connection):
    accounts.add(connection, "carol@example.test", administrator=False, now=NOW)


@pytest.mark.parametrize(
    ("address", "password", "before"),
    [
        (ALICE, "wrong horse", None),
        (ALICE, "", None),
        (ALICE, "x" * 5000, None),
        ("nobody@example.test", PASSWORD, None),
        ("", PASSWORD, None),
        ("no address at all", PASSWORD, None),
        ("<script>alert(1)</script>", PASSWORD, None),
        (BOB, PASSWORD, disable),
        ("carol@example.test", PASSWORD, without_password),
    ],
)
def test_whoever_fails_reads_the_same(house, visitor, address, password, before):
    """Nobody learns from the page whether there is such an account, or whether it is disabled."""
    if before:
        house.do(before)
    answer = visitor.send(visitor.get(house.asked()).forms[0], address=address, password=password)
    assert answer.code == 403
    assert "This address and password do not belong together. Please try again." in answer.text
    assert who(visitor) is None
    assert password == "" or password not in answer.body
    assert "<script" not in answer.body
    again = answer.forms[0]
    assert again.hidden["address"] == address.strip()
    assert visitor.send(again, address=ALICE, password=PASSWORD).code == 303


@pytest.mark.parametrize("address", [ALICE, "nobody@example.test"])
def test_after_five_failures_the_next_has_to_wait(house, visitor, address):
    """429 says how long, for an account that there is and for one that there is not; then the next is free."""
    form = visitor.get(house.asked()).forms[0]
    codes = [visitor.send(form, address=address, password="wrong horse").code for _ in range(5)]
    assert codes == [403] * 5
    answer = visitor.send(form, address=address, password=PASSWORD)
    assert answer.code == 429
    assert answer.headers["retry-after"] == "2"
    assert "Too many tries to sign in. Please try again in 2 seconds." in answer.text
    house.now += 2_000
    assert visitor.send(form, address=address, password=PASSWORD).code == (303 if address == ALICE else 403)


def test_a_long_wait_is_told_in_minutes():
    """A quarter of an hour is fifteen minutes; a part of a minute is one more."""
    assert "15 minutes" in sign_in._later(900_000).text
    assert "2 minutes" in sign_in._later(61_000).text
    assert "1 seconds" in sign_in._later(1).text


def test_an_alias_has_the_tries_of_its_account(house, visitor):
    """Another address of an account signs in to it, and is no way around the wait."""
    house.do(lambda connection: accounts.add_alias(connection, ALICE, "al@example.test", NOW))
    form = visitor.get(house.asked()).forms[0]
    for address in (ALICE, "al@example.test", ALICE, "al@example.test", ALICE):
        visitor.send(form, address=address, password="wrong horse")
    assert visitor.send(form, address="al@example.test", password=PASSWORD).code == 429
    house.now += 2_000
    visitor.send(form, address="al@example.test", password=PASSWORD)
    assert who(visitor) == ALICE


def test_when_many_sign_in_others_come_later(house, visitor, monkeypatch):
    """With too many passwords waiting to be verified the answer is 503, and nobody's try is counted."""
    form = visitor.get(house.asked()).forms[0]
    monkeypatch.setattr("postroad.oauth.passwords.MAX_WAITING", 0)
    answers = [visitor.send(form, address=ALICE, password=PASSWORD) for _ in range(6)]
    assert {(answer.code, answer.headers["retry-after"]) for answer in answers} == {(503, "60")}
    monkeypatch.undo()
    assert visitor.send(form, address=ALICE, password=PASSWORD).code == 303


def test_an_old_hash_is_renewed_at_the_next_sign_in(house, visitor):
    """Who knows the password is the only one who can make a better hash of it."""
    old = type(CHEAP)(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    house.do(lambda connection: passwords.put(connection, 1, old))
    visitor.signs_in(house.asked())
    kept = house.database.look(lambda connection: passwords.of(connection, 1))
    assert kept != old
    assert kept.startswith("$argon2id$v=19$m=8,t=1,p=1$")


@pytest.mark.parametrize(
    "change",
    [
        {"token": ""},
        {"token": "made.up"},
        {"onward": "/o/oauth2/v2/auth?another=request"},
        {"onward": "//evil.example/"},
        {"onward": "https://evil.example/"},
        {"onward": ""},
    ],
)
def test_a_changed_form_signs_nobody_in(house, visitor, change):
    """The token is of this form; where to go on after it cannot be changed (hardening.md G13)."""
    form = visitor.get(house.asked()).forms[0]
    answer = visitor.send(form, address=ALICE, password=PASSWORD, **change)
    assert answer.code in (400, 403)
    assert "location" not in answer.headers
    assert who(visitor) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": ROOT, "sec_fetch_site": "cross-site"},
        {"host": "evil.example"},
    ],
)
def test_no_other_site_signs_anybody_in(house, visitor, headers):
    """A page elsewhere that knew even the token could not sign a person in to its own account (login CSRF)."""
    form = visitor.get(house.asked()).forms[0]
    fields = form.hidden | {"address": ALICE, "password": PASSWORD}
    assert visitor.post(form.action, fields, **headers).code == 403
    assert who(visitor) is None
    assert visitor.post(form.action, fields).code == 303


def test_a_name_that_is_not_the_servers_is_told(house, visitor):
    """Whoever opens the server by a name that it was not given reads which address it has."""
    form = visitor.get(house.asked()).forms[0]
    answer = visitor.send(form)
    assert "has no name" not in answer.text
    answer = visitor.post(form.action, form.hidden, host="postroad:8587")
    assert (
        f"This server has no name postroad:8587. Open {ROOT} instead, or start it with --public-url."
        in answer.text
    )


def test_the_form_of_another_browser_signs_nobody_in(house, visitor):
    """An attacker's own form, sent by somebody else's browser, is refused; so is one without a cookie."""
    form = Visitor(house).get(house.asked()).forms[0]
    visitor.get(house.asked())
    for browser in (visitor, Visitor(house)):
        assert browser.send(form, address=ALICE, password=PASSWORD).code == 403


def test_the_cookie_is_set_once(house, visitor):
    """The first page gives a browser its cookie; the next leaves it alone."""
    first, second = visitor.get(house.asked()), visitor.get(house.asked())
    assert first.headers["set-cookie"].endswith("; Path=/; HttpOnly; SameSite=Lax")
    assert "set-cookie" not in second.headers


def test_by_tls_the_cookie_is_for_this_host_alone(place):
    """Under an address with https it has the prefix that keeps it from other hosts and from plain HTTP."""
    house = House(place, root="https://mail.example")
    visitor = Visitor(house)
    answer = visitor.get(house.asked())
    assert answer.headers["set-cookie"].startswith("__Host-postroad=")
    assert "; Path=/; Secure; HttpOnly; SameSite=Lax" in answer.headers["set-cookie"]
    house.close()


def test_signing_out_ends_the_session(house, visitor):
    """The button ends it here, and on the server for whoever copied the cookie."""
    visitor.signs_in(house.asked())
    copied = dict(visitor.cookies)
    out = visitor.get(house.asked(prompt="select_account")).forms[1]
    answer = visitor.send(out)
    assert answer.code == 200
    assert "You are signed out" in answer.text
    assert visitor.cookies == {}
    assert who(Visitor(house, copied)) is None


def test_nobody_is_signed_out_by_another_page(house, visitor):
    """It takes the token, too."""
    visitor.signs_in(house.asked())
    assert visitor.post(sign_in.OUT_PATH, {}).code == 403
    assert who(visitor) == ALICE


def test_signing_out_goes_on_only_within_this_server(house, visitor):
    """A form may say where to go on after it."""
    visitor.signs_in(house.asked())
    token = visitor.get(house.asked(prompt="select_account")).forms[1].hidden["token"]
    assert visitor.post(sign_in.OUT_PATH, {"token": token, "onward": "//evil.example"}).code == 400
    assert visitor.post(sign_in.OUT_PATH, {"token": token, "onward": DEVICE}).location == DEVICE


def test_in_the_sandbox_one_click_signs_in(sandbox):
    """Every account is a button, and none needs a password."""
    visitor = Visitor(sandbox)
    page = visitor.get(sandbox.asked())
    assert "Choose an account" in page.text
    assert page.forms[0].buttons == [("address", ALICE), ("address", BOB)]
    answer = visitor.send(page.forms[0], ("address", BOB))
    assert answer.code == 303
    assert who(visitor) == BOB


def test_the_sandbox_shows_captured_accounts_last_and_not_without_end(sandbox):
    """Whoever mail was captured for can be chosen, too, after the accounts that somebody made."""

    def capture(connection):
        for number in range(60):
            accounts.capture(connection, f"a{number:02}@example.org", NOW)

    sandbox.do(capture)
    buttons = Visitor(sandbox).get(sandbox.asked()).forms[0].buttons
    assert len(buttons) == sign_in.MOST_CHOICES
    assert [address for _, address in buttons[:3]] == [ALICE, BOB, "a00@example.org"]


def test_a_hint_comes_first_in_the_sandbox(sandbox):
    """The account that the client hints at is the first button."""
    buttons = Visitor(sandbox).get(sandbox.asked(login_hint=BOB)).forms[0].buttons
    assert buttons == [("address", BOB), ("address", ALICE)]


@pytest.mark.parametrize("address", ["nobody@example.test", "", BOB])
def test_the_sandbox_signs_in_to_accounts_that_there_are(sandbox, address):
    """Not to one that is unknown or disabled."""
    sandbox.do(disable)
    visitor = Visitor(sandbox)
    form = visitor.get(sandbox.asked()).forms[0]
    assert form.buttons == [("address", ALICE)]
    assert visitor.send(form, ("address", address)).code == 403
    assert who(visitor) is None


def test_no_password_is_good_for_the_sandbox_page_of_a_server(house, visitor):
    """Outside the sandbox the address alone signs nobody in."""
    form = visitor.get(house.asked()).forms[0]
    assert visitor.post(form.action, {**form.hidden, "address": ALICE}).code == 403
    assert who(visitor) is None
