"""The browser behind a request, and forms that it was not given."""

import pytest

from postroad.web.oauth.browser import FORM_LIFE, Browser, _foreign, _is_ours

NOW = 1_790_000_000_000
HOSTS = frozenset({"accounts.google.com"})
MINE = Browser("session-of-mine", fresh=False, secure=True, signed_in=None)
OTHERS = Browser("session-of-others", fresh=False, secure=True, signed_in=None)


@pytest.mark.parametrize("after", [0, 1, FORM_LIFE])
def test_a_form_comes_back_from_the_browser_that_was_given_it(after):
    """For the same purpose, within an hour."""
    assert MINE.gave(MINE.token("consent\n/a?b", NOW), "consent\n/a?b", NOW + after)


@pytest.mark.parametrize(
    ("token", "purpose", "now"),
    [
        (OTHERS.token("consent", NOW), "consent", NOW),
        (MINE.token("consent", NOW), "sign in", NOW),
        (MINE.token("consent", NOW), "consent", NOW + FORM_LIFE + 1),
        (MINE.token("consent", NOW), "consent", NOW - 1),
        (f"{NOW + 1}" + MINE.token("consent", NOW)[13:], "consent", NOW + 1),
        (MINE.token("consent", NOW)[:-1], "consent", NOW),
        (MINE.token("consent", NOW) + "=", "consent", NOW),
        ("", "consent", NOW),
        (".", "consent", NOW),
        (f"{NOW}.", "consent", NOW),
        ("x" * 10_000, "consent", NOW),
        ("9" * 5_000 + "." + "x" * 43, "consent", NOW),
    ],
)
def test_any_other_form_is_nobodys(token, purpose, now):
    """Of another browser, for another purpose, too old, made up or changed."""
    assert not MINE.gave(token, purpose, now)


def test_a_browser_without_a_cookie_was_given_nothing():
    """The value that is just being made for it proves nothing."""
    fresh = Browser("session", fresh=True, secure=True, signed_in=None)
    assert not fresh.gave(fresh.token("consent", NOW), "consent", NOW)


ROOT = "https://mail.example:8443"


@pytest.mark.parametrize(
    ("headers", "root"),
    [
        ({}, ROOT),
        ({"host": "mail.example:8443"}, ROOT),
        ({"host": "MAIL.example:8443", "origin": "https://mail.example:8443"}, ROOT),
        ({"host": "mail.example:8443", "origin": "null", "sec-fetch-site": "same-origin"}, ROOT),
        ({"host": "mail.example:8443", "origin": "null"}, ROOT),
        ({"host": "10.0.0.1:8587", "origin": "https://mail.example:8443"}, ROOT),
        ({"host": "localhost:8587", "origin": "http://localhost:8587"}, "http://127.0.0.1:8587"),
        ({"host": "192.0.2.1:8587", "origin": "http://192.0.2.1:8587"}, "http://0.0.0.0:8587"),
        ({"host": "[::1]:8587", "origin": "http://[::1]:8587"}, "http://[::1]:8587"),
        ({"host": "accounts.google.com", "origin": "https://accounts.google.com"}, "https://accounts.google.com"),
    ],
)
def test_a_form_from_our_own_page_passes(headers, root):
    """By whichever of our names the page was asked for; what a browser does not say does not count."""
    assert _foreign({name.encode(): text.encode() for name, text in headers.items()}, root) == ""
    assert _is_ours(headers.get("host", "localhost").lower(), root, HOSTS)


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"sec-fetch-site": "cross-site"}, "another site"),
        ({"sec-fetch-site": "same-site"}, "another site"),
        ({"sec-fetch-site": "none"}, "another site"),
        ({"sec-fetch-site": "cross-site", "origin": "https://mail.example:8443"}, "another site"),
        ({"origin": "https://evil.example"}, "https://evil.example"),
        ({"origin": "https://mail.example"}, "https://mail.example"),
        ({"origin": "http://mail.example:8443"}, "http://mail.example:8443"),
        ({"origin": "https://mail.example:8443.evil.example"}, "evil.example"),
    ],
)
def test_a_form_from_anywhere_else_is_refused(headers, why):
    """Another site, another port, another scheme."""
    whole = {"host": "mail.example:8443"} | headers
    assert why in _foreign({name.encode(): text.encode() for name, text in whole.items()}, ROOT)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8443",
        "mail.example.evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "xlocalhost",
        "[::1",
        ":8443",
    ],
)
def test_a_strangers_name_that_points_here_is_not_ours(host):
    """Pages under such a name are a stranger's, wherever it was pointed (DNS rebinding)."""
    assert not _is_ours(host, ROOT, HOSTS)
