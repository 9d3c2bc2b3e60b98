"""Signing in at an external OpenID provider: the browser goes there, and comes back with a code."""

from sqlalchemy import Connection

from postroad import maillog
from postroad.oauth import sign_ins, upstream
from postroad.oauth.errors import OAuthError
from postroad.oauth.framework import single_valued
from postroad.oauth.upstream import Attempt, UpstreamError
from postroad.web import cookies, errors, pages
from postroad.web.forms import pairs
from postroad.web.oauth import sign_in
from postroad.web.oauth.browser import Browser, browser_of
from postroad.web.oauth.context import OAuthContext
from postroad.web.oauth.explanations import shown
from postroad.web.oauth.onward import own_path
from postroad.web.oauth.provider import BEGIN, Provider
from postroad.web.oauth.sign_in import Problem
from postroad.web.requests import Request
from postroad.web.responses import Response

# Where the provider sends the browser back to: what is registered there, behind our public URL.
CALLBACK = "/o/oauth2/upstream/callback"
MAX_CODE = 4096
_NOT_BEGUN = "This answer does not belong to a sign-in that began in this browser within the last ten minutes."
_REFUSED = "You were not signed in there."


@shown
async def begin(request: Request, query: bytes, context: OAuthContext) -> Response:
    """Off to the provider, with what its answer must fit; a link leads here, as nothing is decided yet."""
    if context.upstream is None:
        return errors.not_found(request.path)
    onward = own_path(single_valued(pairs(query)).get("onward", ""))
    browser = await browser_of(request, context)
    attempt, now = upstream.fresh(onward, browser.session), context.clock()
    try:
        metadata = await context.upstream.metadata()
        state = await context.database.commit(
            lambda connection: upstream.begin(connection, context.sealing, attempt, now)
        )
    except UpstreamError as error:
        return await _not_signed_in(context, browser, onward, error)
    redirect_uri = f"{context.issuer}{CALLBACK}"
    place = upstream.place_to_ask(metadata, context.upstream.client_id, redirect_uri, state, attempt)
    return pages.see_other(place, browser.headers)


@shown
async def answer(request: Request, query: bytes, context: OAuthContext) -> Response:
    """What the provider sends the browser back with; who signed in there is signed in here, and goes on."""
    if context.upstream is None:
        return errors.not_found(request.path)
    told = single_valued(pairs(query))
    browser, now = await browser_of(request, context), context.clock()
    attempt = await context.database.commit(
        lambda connection: upstream.take(connection, context.sealing, told.get("state", ""), now)
    )
    if attempt is None or attempt.browser != upstream.browser_of(browser.session):
        raise OAuthError("form_refused", _NOT_BEGUN, code=403, why="the state is unknown, or another browser's")
    try:
        session, address = await _signed_in(context, context.upstream, browser, attempt, told)
    except UpstreamError as error:
        return await _not_signed_in(context, browser, attempt.onward, error)
    maillog.signed_in(address, request.peer)
    return pages.see_other(attempt.onward, (cookies.setting(session, secure=browser.secure),))


async def _signed_in(
    context: OAuthContext, provider: Provider, browser: Browser, attempt: Attempt, told: dict[str, str]
) -> tuple[str, str]:
    """A new session, and the account that the provider names. Raises `UpstreamError`."""
    metadata = await provider.metadata()
    if told.get("iss", provider.issuer) != provider.issuer or (metadata.tells_issuer and "iss" not in told):
        raise UpstreamError(_REFUSED, why="the answer is another issuer's (RFC 9207)")
    if not 0 < len(told.get("code", "")) <= MAX_CODE:
        error = told.get("error", "without a code")
        raise UpstreamError(_REFUSED, why=f"{provider.issuer} answers {error[:100]!r}")
    now = context.clock()
    found = await provider.identity(told["code"], attempt, f"{context.issuer}{CALLBACK}", now)

    def unit(connection: Connection) -> tuple[str, str]:
        account = upstream.account_of(connection, provider.issuer, found, now)
        session = sign_ins.begin(connection, account.account_id, now, instead_of=browser.session)
        return session, account.address

    return await context.database.commit(unit)


async def _not_signed_in(context: OAuthContext, browser: Browser, onward: str, error: UpstreamError) -> Response:
    """The page to sign in again, and why."""
    maillog.denied("upstream_sign_in_failed", error.why, BEGIN)
    return await sign_in.ask(context, browser, onward, problem=Problem(str(error)))
