"""Addresses: which method a path means, and what its variables are (gmail-wire.md 1.3, 1.4)."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.web import transcoding
from postroad.web.methods import GET, LIST, METHODS, SEND
from postroad.web.transcoding import Route, Routes

ROUTES = Routes(METHODS)
LONG = "a" * 5000

MATCHED = {
    "send": ("POST", "/gmail/v1/users/me/messages/send", SEND, {"userId": "me"}, False),
    "an escaped at sign": (
        "POST",
        "/gmail/v1/users/user%40example.com/messages/send",
        SEND,
        {"userId": "user@example.com"},
        False,
    ),
    "a bare at sign": (
        "POST",
        "/gmail/v1/users/user@example.com/messages/send",
        SEND,
        {"userId": "user@example.com"},
        False,
    ),
    "an escaped letter": ("POST", "/gmail/v1/users/%6de/messages/send", SEND, {"userId": "me"}, False),
    "an escaped solidus": ("POST", "/gmail/v1/users/a%2Fb/messages/send", SEND, {"userId": "a/b"}, False),
    "in lower case": ("POST", "/gmail/v1/users/a%2fb/messages/send", SEND, {"userId": "a/b"}, False),
    "unescaped once only": ("POST", "/gmail/v1/users/%256de/messages/send", SEND, {"userId": "%6de"}, False),
    "a plus sign is itself": (
        "POST",
        "/gmail/v1/users/a+b@example.com/messages/send",
        SEND,
        {"userId": "a+b@example.com"},
        False,
    ),
    "an escaped plus sign": ("POST", "/gmail/v1/users/a%2Bb/messages/send", SEND, {"userId": "a+b"}, False),
    "UTF-8": ("POST", "/gmail/v1/users/%C3%A4/messages/send", SEND, {"userId": "ä"}, False),
    "an escaped NUL": ("POST", "/gmail/v1/users/me%00/messages/send", SEND, {"userId": "me\0"}, False),
    "a lone percent sign": ("POST", "/gmail/v1/users/100%/messages/send", SEND, {"userId": "100%"}, False),
    "dots are a segment": ("POST", "/gmail/v1/users/../messages/send", SEND, {"userId": ".."}, False),
    "a long segment": ("POST", f"/gmail/v1/users/{LONG}/messages/send", SEND, {"userId": LONG}, False),
    "upload": ("POST", "/upload/gmail/v1/users/me/messages/send", SEND, {"userId": "me"}, True),
    "resumable upload": (
        "POST",
        "/resumable/upload/gmail/v1/users/me/messages/send",
        SEND,
        {"userId": "me"},
        True,
    ),
    "list": ("GET", "/gmail/v1/users/me/messages", LIST, {"userId": "me"}, False),
    "get": ("GET", "/gmail/v1/users/me/messages/18f", GET, {"userId": "me", "id": "18f"}, False),
    "get of what is named send": (
        "GET",
        "/gmail/v1/users/me/messages/send",
        GET,
        {"userId": "me", "id": "send"},
        False,
    ),
}

UNMATCHED = {
    "nothing": ("POST", "/"),
    "no path": ("POST", ""),
    "another version": ("POST", "/gmail/v2/users/me/messages/send"),
    "a trailing slash": ("POST", "/gmail/v1/users/me/messages/send/"),
    "a trailing slash after a list": ("GET", "/gmail/v1/users/me/messages/"),
    "an empty segment": ("POST", "/gmail/v1/users//messages/send"),
    "one segment too many": ("POST", "/gmail/v1/users/a/b/messages/send"),
    "two slashes in front": ("POST", "//gmail/v1/users/me/messages/send"),
    "two slashes within": ("POST", "/gmail//v1/users/me/messages/send"),
    "a slash that is escaped": ("POST", "/gmail%2Fv1/users/me/messages/send"),
    "a literal that is escaped": ("POST", "/gmail/v1/users/me/messages/sen%64"),
    "another case": ("POST", "/gmail/v1/users/me/messages/Send"),
    "send asked for by PUT": ("PUT", "/gmail/v1/users/me/messages/send"),
    "a verb in lower case": ("post", "/gmail/v1/users/me/messages/send"),
    "a list that is posted": ("POST", "/gmail/v1/users/me/messages"),
    "HEAD": ("HEAD", "/gmail/v1/users/me/messages"),
    "OPTIONS *": ("OPTIONS", "*"),
    "a custom verb": ("POST", "/gmail/v1/users/me/messages/send:now"),
    "an upload of a list": ("GET", "/upload/gmail/v1/users/me/messages"),
    "an upload twice": ("POST", "/upload/upload/gmail/v1/users/me/messages/send"),
    "resumable without upload": ("POST", "/resumable/gmail/v1/users/me/messages/send"),
    "octets that are not UTF-8": ("POST", "/gmail/v1/users/%FF/messages/send"),
    "half of a letter": ("POST", "/gmail/v1/users/%C3/messages/send"),
    "a surrogate": ("POST", "/gmail/v1/users/%ED%A0%80/messages/send"),
    "a line end behind": ("POST", "/gmail/v1/users/me/messages/send\n"),
    "the query": ("POST", "/gmail/v1/users/me/messages/send?alt=json"),
}


@pytest.mark.parametrize(("verb", "path", "method", "variables", "upload"), MATCHED.values(), ids=MATCHED)
def test_an_address_means_a_method(verb, path, method, variables, upload):
    """Verb and path mean one row of the table; a variable is one segment, unescaped once."""
    assert ROUTES.match(verb, path.encode()) == Route(method, variables, upload)


@pytest.mark.parametrize(("verb", "path"), UNMATCHED.values(), ids=UNMATCHED)
def test_any_other_address_means_none(verb, path):
    """What differs from a template in anything but its variables has no method."""
    assert ROUTES.match(verb, path.encode()) is None


@given(st.sampled_from(["GET", "POST"]), st.binary())
def test_any_octets_are_routed_or_not(verb, path):
    """No path, whatever its octets, breaks the routing."""
    for whole in (path, b"/gmail/v1/users/" + path + b"/messages/send"):
        route = ROUTES.match(verb, whole)
        assert route is None or "/" not in route.variables["userId"] or b"%2f" in path.lower()


def test_only_so_many_addresses_are_remembered():
    """And none that is long; whether remembered or not, each means what it means."""
    routes = Routes(METHODS)
    paths = [b"/gmail/v1/users/me/messages/%x" % number for number in range(transcoding.REMEMBERED + 9)]
    for path in (*paths, *paths[-9:]):
        assert routes.match("GET", path) == routes._found("GET", path)
    known = routes._remembered.cache_info()
    assert (known.currsize, known.hits) == (transcoding.REMEMBERED, 9)
    routes.match("GET", b"/" * (transcoding.MAX_REMEMBERED_OCTETS + 1))
    routes.match("A" * 5000, b"/")
    assert routes._remembered.cache_info() == known


def templated(**templates) -> Routes:
    return Routes(replace(LIST, rpc=name, path=path) for name, path in templates.items())


TEMPLATES = {
    # template, path, its variables or None for no match
    "a custom verb": ("v1/{key}:disable", "/v1/a:disable", {"key": "a"}),
    "another custom verb": ("v1/{key}:disable", "/v1/a:enable", None),
    "a pattern of segments": ("v1/{name=users/*/keys/*}", "/v1/users/a/keys/b", {"name": "users/a/keys/b"}),
    "a pattern that does not fit": ("v1/{name=users/*}", "/v1/groups/a", None),
    "a pattern of one": ("v1/{name=*}/x", "/v1/a%2Fb/x", {"name": "a/b"}),
    "escaped slashes within many": ("v1/{name=users/*}", "/v1/users/a%2Fb%2fc%40", {"name": "users/a%2Fb%2fc@"}),
    "the rest": ("v1/{rest=**}", "/v1/a/b/c", {"rest": "a/b/c"}),
    "no rest": ("v1/{rest=**}", "/v1/", {"rest": ""}),
    "a wildcard without a name": ("v1/*/x", "/v1/a/x", {}),
    "which is one segment": ("v1/*/x", "/v1/a/b/x", None),
    "many without a name": ("v1/**", "/v1/a/b", {}),
    "a nested field": ("v1/{a.b}", "/v1/x", {"a.b": "x"}),
    "a dot is a dot": ("v1.0/x", "/v1a0/x", None),
}


@pytest.mark.parametrize(("template", "path", "variables"), TEMPLATES.values(), ids=TEMPLATES)
def test_templates_are_those_of_aip_127(template, path, variables):
    """Wildcards, patterns in variables and custom verbs mean what google.api.http says."""
    route = templated(One=template).match("GET", path.encode())
    assert (route and route.variables) == variables


@pytest.mark.parametrize("names", [("Literal", "Variable"), ("Variable", "Literal")])
def test_a_literal_goes_before_a_variable(names):
    """Whatever the order of the table, the template with a literal is meant where both match."""
    paths = {"Literal": "v1/send", "Variable": "v1/{id}"}
    routes = templated(**{name: paths[name] for name in names})
    assert routes.match("GET", b"/v1/send").method.rpc == "Literal"
    assert routes.match("GET", b"/v1/sent").method.rpc == "Variable"


@pytest.mark.parametrize("part", [b"/a", b"%", b"%2f", b":disable", b"\n"])
def test_a_long_path_takes_no_time(part):
    """The pattern of all templates does not go back and forth over a long path."""
    started = time.perf_counter()
    ROUTES.match("POST", b"/gmail/v1/users/" + part * 20_000)
    assert time.perf_counter() - started < 0.1
