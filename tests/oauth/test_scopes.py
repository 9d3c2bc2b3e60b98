"""Scopes: Google's names, and short ones for people."""

import json

import pytest
from googleapiclient.discovery_cache import get_static_doc
from hypothesis import given
from hypothesis import strategies as st

from postroad.oauth.scopes import (
    ABOUT,
    FULL,
    GMAIL,
    IDENTITY,
    MAX_SCOPES,
    SCOPES,
    BadScopeError,
    UnknownScopeError,
    elsewhere,
    expand,
    parse,
)

GOOGLES = json.loads(get_static_doc("gmail", "v1"))["auth"]["oauth2"]["scopes"].keys()


def test_the_scopes_are_googles():
    """Every scope of the Gmail API has a short name, and beside them are only those of identity."""
    assert set(GMAIL.values()) == set(GOOGLES)
    assert GMAIL | IDENTITY == SCOPES


def test_the_scopes_of_identity_have_two_spellings():
    """OpenID's and Google's, of which neither becomes the other."""
    assert {expand(name) for name in IDENTITY} == {
        "openid",
        "email",
        "profile",
        "https://www.googleapis.com/auth/userinfo.email",
        "https://www.googleapis.com/auth/userinfo.profile",
    }


def test_every_scope_is_told_in_plain_words():
    """Who is asked to allow a scope reads a phrase, not an address; the two spellings read alike."""
    assert ABOUT.keys() == set(SCOPES.values())
    assert all(words[0].isupper() and not words.endswith(".") and "://" not in words for words in ABOUT.values())
    assert ABOUT["email"] == ABOUT[IDENTITY["userinfo.email"]]
    assert len(set(ABOUT.values())) == len(ABOUT) - 2


@pytest.mark.parametrize("name", SCOPES)
def test_a_name_means_a_scope(name):
    """A short name and the scope itself mean the same."""
    assert expand(name) == expand(SCOPES[name]) == SCOPES[name]


def test_the_full_scope_ends_with_a_slash():
    """The scope that permits everything is spelled as Google spells it."""
    assert expand("mail.google.com") == FULL == "https://mail.google.com/"


UNKNOWN = ["", "gmail", "gmail.sen", "Gmail.send", "gmail.send ", "https://mail.google.com", "send", "gmail.send/"]


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_only_resembles_a_scope_is_refused(name):
    """A scope is never guessed; the refusal lists those there are."""
    with pytest.raises(UnknownScopeError) as refused:
        expand(name)
    assert str(refused.value).startswith(f"unknown scope {name!r}; known are mail.google.com, ")
    assert str(refused.value).endswith("userinfo.profile")


PARSED = {
    "": (),
    " ": (),
    "a": ("a",),
    "b a": ("b", "a"),
    "a b a": ("a", "b"),
    " a  b ": ("a", "b"),
    "https://mail.google.com/ https://mail.google.com": ("https://mail.google.com/", "https://mail.google.com"),
    "https://www.googleapis.com/auth/drive openid": ("https://www.googleapis.com/auth/drive", "openid"),
    "OpenID openid": ("OpenID", "openid"),
}


@pytest.mark.parametrize(("text", "found"), PARSED.items())
def test_a_parameter_is_scopes_as_written(text, found):
    """In their order, each once, nothing folded or trimmed; those of other APIs stay, without effect."""
    assert parse(text) == found


BAD = ["a\tb", "a\nb", 'a"b', "a\\b", "ä", "a\0", "a\x7f", "x" * 257, " ".join(map(str, range(MAX_SCOPES + 1)))]


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_scope_is_refused(text):
    """Other characters than those of RFC 6749 section 3.3, and more than anybody needs."""
    with pytest.raises(BadScopeError):
        parse(text)


@given(st.lists(st.text("abAB:/.!#[]~", min_size=1, max_size=20), max_size=20))
def test_scopes_survive_being_written_down(found):
    """What was parsed, put together again, parses to the same."""
    once = parse(" ".join(found))
    assert parse(" ".join(once)) == once
    assert set(once) == set(found)


ELSEWHERE = {
    "https://www.googleapis.com/auth/drive": True,
    "https://www.googleapis.com/auth/calendar.events": True,
    "https://www.googleapis.com/auth/admin.directory.user.readonly": True,
    "https://www.googleapis.com/auth/gmail.sends": False,
    "https://www.googleapis.com/auth/gmail": False,
    "https://www.googleapis.com/auth/gmail.send": False,
    "https://www.googleapis.com/auth/userinfo.emails": False,
    "https://www.googleapis.com/auth/Drive": False,
    "https://www.googleapis.com/auth/": False,
    "https://www.googleapis.com/auth/drive/": False,
    "http://www.googleapis.com/auth/drive": False,
    "drive": False,
}


@pytest.mark.parametrize(("scope", "yes"), ELSEWHERE.items())
def test_scopes_of_other_apis_are_known_as_such(scope, yes):
    """They are granted without effect (gmail-wire.md 14.8); what resembles one of Gmail's is a mistake."""
    assert elsewhere(scope) is yes
