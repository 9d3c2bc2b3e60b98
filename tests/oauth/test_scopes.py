"""Scopes: Google's names, and short ones for people."""

import json

import pytest
from googleapiclient.discovery_cache import get_static_doc

from postroad.oauth.scopes import FULL, SCOPES, UnknownScopeError, expand

GOOGLES = json.loads(get_static_doc("gmail", "v1"))["auth"]["oauth2"]["scopes"].keys()


def test_the_scopes_are_googles():
    """Every scope of the Gmail API has a short name, and there are no others."""
    assert set(SCOPES.values()) == set(GOOGLES)


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
    assert str(refused.value).endswith("gmail.settings.sharing")
