"""Errors on pages for people."""

import asyncio

import pytest

from postroad import refusals
from postroad.oauth.errors import OAuthError, RedirectableError
from postroad.web import requests
from postroad.web.oauth.explanations import shown


def answered(error, query=b""):
    async def answer(*_arguments):
        raise error

    async def receive():
        return {"type": "http.request", "body": b""}

    scope = {"method": "GET", "path": "/o/oauth2/v2/auth", "headers": []}
    response = asyncio.run(shown(answer)(requests.of(scope, receive), query, None))
    return response.code, dict(response.headers), response.body.decode()


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (
            OAuthError("redirect_uri_mismatch", "The redirect URI does not match."),
            400,
            ("Error 400: redirect_uri_mismatch", "The redirect URI does not match.", "postroad client list"),
        ),
        (
            OAuthError("invalid_client", "The OAuth client was not found.", code=401),
            400,
            ("Error 400: invalid_client", "postroad client add"),
        ),
        (OAuthError("form_refused", "Not ours.", code=403), 403, ("Error 403: form_refused", "start from there")),
        (OAuthError("invalid_request", "Missing.", why="secret cause"), 400, ("Whoever wrote the program",)),
        (refusals.NotAForm(problem="it holds a NUL"), 400, ("Error 400", "NUL")),
        (refusals.StorageUnhealthy("the disk is full"), 503, ("Error 503", "Try again in a minute.")),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_do(error, code, words):
    """Each page has the cause and a cure; what is for the operator's log stays there."""
    found, headers, body = answered(error)
    assert found == code
    assert b"location" not in headers
    for word in words:
        assert word in body
    assert "secret cause" not in body
    assert "the disk is full" not in body


def test_the_page_about_a_redirect_repeats_it_and_never_leads_there():
    """What does not match is shown, cut and escaped."""
    error = OAuthError("redirect_uri_mismatch", "It does not match.")
    _, headers, body = answered(error, b"redirect_uri=http://evil.example/%3Cscript%3E" + b"x" * 5000)
    assert b"location" not in headers
    assert "redirect_uri=http://evil.example/&lt;script&gt;xxx" in body
    assert 'href="http' not in body
    assert "x" * 300 not in body


def test_an_error_that_the_client_is_told_goes_there():
    """The browser is sent on; there is nothing to read."""
    code, headers, body = answered(
        RedirectableError("access_denied", "No.", redirect_to="http://localhost/?error=x")
    )
    assert (code, headers[b"location"], body) == (303, b"http://localhost/?error=x", "")
