"""The revocation endpoint (RFC 7009), as Google has it: whoever has a token may end what it came of."""

from postroad.oauth import revocation
from postroad.oauth.errors import OAuthError
from postroad.oauth.framework import single_valued
from postroad.web.forms import form_of, pairs
from postroad.web.oauth.answers import given
from postroad.web.oauth.context import OAuthContext
from postroad.web.requests import Request
from postroad.web.responses import Response

# A longer text cannot be one of our tokens.
_MAX_TOKEN = 512


async def answer(request: Request, query: bytes, context: OAuthContext) -> Response:
    """End the token in the form or, as Google's libraries have it, in the query (gmail-wire.md 8.4).

    Unlike RFC 7009 section 2.2, a token that is unknown is an error. Raises `OAuthError`, and what reading a form
    raises.
    """
    token = single_valued(pairs(query) + await form_of(request)).get("token", "")
    if not token:
        raise OAuthError("invalid_request", "Missing required parameter: token")
    known = len(token) <= _MAX_TOKEN and await context.database.commit(
        lambda connection: revocation.revoke(connection, token)
    )
    if not known:
        raise OAuthError("invalid_token", "Token expired or revoked", why="the token to revoke is unknown here")
    context.tokens.forget()
    return given({})
