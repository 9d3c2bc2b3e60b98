"""Answers of the token endpoint and its sisters (RFC 6749 sections 5.1 and 5.2), as Google writes them."""

from typing import Any

from postroad.oauth.errors import OAuthError
from postroad.web.requests import Request
from postroad.web.responses import Header, Response, serialise

_CHALLENGE = b'Basic realm="https://accounts.google.com/"'
_JSON = b"application/json; charset=utf-8"
# What tells a secret, or asks for one, stays nowhere on the way (gmail-wire.md 8.5, RFC 6749 section 5.1).
NOT_STORED: tuple[Header, ...] = (
    (b"cache-control", b"no-cache, no-store, max-age=0, must-revalidate"),
    (b"pragma", b"no-cache"),
    (b"expires", b"Mon, 01 Jan 1990 00:00:00 GMT"),
    (b"referrer-policy", b"no-referrer"),
)


def given(value: Any, code: int = 200, headers: tuple[Header, ...] = ()) -> Response:
    """A value in JSON, which nobody on the way may keep."""
    return Response(code, _JSON, serialise(value), NOT_STORED + headers)


def refused(error: OAuthError, request: Request) -> Response:
    """What is wrong with a request, for the program that made it.

    Who could not show by HTTP Basic that it is a client is told the scheme (RFC 6749 section 5.2).
    """
    told = {"error": error.error, "error_description": error.description}
    challenged = error.code == 401 and b"authorization" in request.headers
    challenge = ((b"www-authenticate", _CHALLENGE),) if challenged else ()
    return given({name: text for name, text in told.items() if text}, error.code, challenge)
