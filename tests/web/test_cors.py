"""Pages in browsers: which of them may read an answer, and what they are told before they ask."""

import asyncio

import pytest

from postroad.web import cors
from postroad.web.requests import Request
from postroad.web.responses import Response

PAGE = b"https://app.example"
ASKS = {b"origin": PAGE, b"access-control-request-method": b"POST"}


def request(verb="POST", **headers) -> Request:
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return Request(verb, "/x", b"/x", named, asyncio.Queue().get, unread=False)


def asked(headers, verb="OPTIONS") -> Response | None:
    return cors.preflight(Request(verb, "/x", b"/x", headers, asyncio.Queue().get, unread=False))


def test_a_preflight_is_answered():
    """A browser that asks first is told: this page, any verb, the headers it named, for an hour."""
    response = asked(ASKS | {b"access-control-request-headers": b"authorization,content-type"})
    headers = dict(response.headers)
    assert (response.code, response.body) == (200, b"")
    assert headers[b"access-control-allow-origin"] == PAGE
    assert headers[b"access-control-allow-methods"] == b"DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"
    assert headers[b"access-control-allow-headers"] == b"authorization,content-type"
    assert headers[b"access-control-max-age"] == b"3600"
    assert b"access-control-allow-credentials" not in headers


NO_PREFLIGHT = {
    "another verb": ("POST", ASKS),
    "no origin": ("OPTIONS", {b"access-control-request-method": b"POST"}),
    "nobody's origin": ("OPTIONS", ASKS | {b"origin": b"null"}),
    "no question": ("OPTIONS", {b"origin": PAGE}),
}


@pytest.mark.parametrize(("verb", "headers"), NO_PREFLIGHT.values(), ids=NO_PREFLIGHT)
def test_anything_else_is_none(verb, headers):
    """OPTIONS with an origin and a question is a preflight, and nothing else is."""
    assert asked(headers, verb) is None


@pytest.mark.parametrize("names", [b"", b"x\r\ny: z", b"x:y", b"a" * 4097, b"\xff"])
def test_names_that_are_none_are_not_repeated(names):
    """Header names are repeated only as far as they are names."""
    assert b"access-control-allow-headers" not in dict(
        asked(ASKS | {b"access-control-request-headers": names}).headers
    )


ORIGINS = {
    b"https://app.example": True,
    b"http://localhost:3000": True,
    b"https://[::1]:3000": True,
    b"chrome-extension://abcdef": True,
    b"null": False,
    b"": False,
    b"app.example": False,
    b"https://a.example/path": False,
    b"https://a.example https://b.example": False,
    b"https://a.example\r\nx: y": False,
    b"https://a.example,https://b.example": False,
    b"https://" + b"a" * 300: False,
}


@pytest.mark.parametrize(("origin", "readable"), ORIGINS.items())
def test_the_page_that_asked_may_read_the_answer(origin, readable):
    """An answer names the one origin that asked; "null" and what is no origin are not named."""
    response = cors.readable(Response(401, b"text/plain", b"", ((b"x", b"y"),)), request(origin=origin))
    assert response.headers[0] == (b"x", b"y")
    assert dict(response.headers).get(b"access-control-allow-origin") == (origin if readable else None)


def test_a_page_reads_what_uploads_need():
    """The headers by which uploads go on are exposed to the page."""
    exposed = dict(cors.readable(Response(200, b"", b""), request(origin=PAGE)).headers)[
        b"access-control-expose-headers"
    ].split(b",")
    assert {b"location", b"range", b"x-goog-upload-status", b"x-goog-upload-url"} <= set(exposed)


def test_who_is_no_page_hears_nothing_of_it():
    """Without an origin the answer stays as it is."""
    response = Response(200, b"text/plain", b"")
    assert cors.readable(response, request()) is response
