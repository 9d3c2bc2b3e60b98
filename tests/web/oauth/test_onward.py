"""Where a browser goes on after a form."""

import pytest

from postroad.oauth.errors import OAuthError
from postroad.web.oauth.onward import own_path, path_of, with_choice, without_choice


@pytest.mark.parametrize(
    "path", ["/", "/device", "/o/oauth2/v2/auth?a=b&c=%2F%2Fevil.example", "/a//b", "/a?b=http://evil.example/"]
)
def test_a_path_of_this_server_is_gone_on_to(path):
    """A path with its query is what it is."""
    assert own_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "device",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/a\\b",
        "http://evil.example/",
        "https:evil.example",
        "javascript:alert(1)",
        " /device",
        "/device ",
        "/\t/evil.example",
        "/\n/evil.example",
        "/a\r\nSet-Cookie: a=b",
        "/é",
        "/\x7f",
        "?a=b",
        "@evil.example",
        "/" + "x" * 25_000,
    ],
)
def test_nobody_is_sent_anywhere_else(path):
    """Nothing that a browser might take for another host, or for a second header (hardening.md G13)."""
    with pytest.raises(OAuthError):
        own_path(path)


@pytest.mark.parametrize(
    ("asked", "after", "another"),
    [
        ([], [], [("prompt", "select_account")]),
        ([("prompt", "select_account")], [], [("prompt", "select_account select_account")]),
        ([("prompt", "consent")], [("prompt", "consent")], [("prompt", "select_account consent")]),
        ([("prompt", "select_account consent")], [("prompt", "consent")], None),
        ([("login_hint", "a@b.example")], [], [("prompt", "select_account")]),
        ([("state", "1"), ("scope", "a")], [("state", "1"), ("scope", "a")], None),
    ],
)
def test_choosing_an_account_is_asked_for_once(asked, after, another):
    """Once chosen nothing asks for it again; whoever wants another is asked for it, and all else stays."""
    assert without_choice(asked) == after
    if another is not None:
        assert with_choice(asked) == another
    assert without_choice(with_choice(asked)) == after


def test_a_request_is_answered_at_one_place():
    """The parameters are written as a query again."""
    path = path_of([("state", "a b&é"), ("scope", "x")])
    assert path == "/o/oauth2/v2/auth?state=a+b%26%C3%A9&scope=x"
    assert own_path(path) == path
