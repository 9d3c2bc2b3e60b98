"""The token endpoint (RFC 6749 section 3.2): a form in, JSON out; `oauth/server` decides what is granted."""

from typing import Any

from sqlalchemy import Connection

from postroad.oauth import server
from postroad.oauth.errors import OAuthError
from postroad.oauth.server import TokenRequest
from postroad.web.forms import form_of
from postroad.web.oauth.answers import given
from postroad.web.oauth.context import OAuthContext
from postroad.web.requests import Request
from postroad.web.responses import Response


async def answer(request: Request, _query: bytes, context: OAuthContext) -> Response:
    """Exchange a grant for tokens. What stands in the address is not read: secrets stay in logs from there.

    Raises `OAuthError`, and what reading a form raises.
    """
    form = await form_of(request)
    authorization = request.headers.get(b"authorization", b"").decode("latin-1") or None
    asked = TokenRequest(form, authorization, context.issuer, context.sealing)
    now = context.clock()
    outcome = await context.database.commit(lambda connection: _exchanged(connection, asked, now))
    if isinstance(outcome, OAuthError):
        raise outcome
    return given(outcome)


def _exchanged(connection: Connection, asked: TokenRequest, now: int) -> dict[str, Any] | OAuthError:
    """The answer, or the error in its place: what a refusal wrote, as the end of a stolen code's tokens, stays."""
    try:
        return server.exchange(connection, asked, now)
    except OAuthError as error:
        return error
