"""The authorization endpoint (RFC 6749 section 3.1): whom to ask what, before a client gets its code."""

from enum import Enum

from postroad.oauth.authorization import AuthorizationRequest
from postroad.oauth.errors import OAuthError
from postroad.oauth.sign_ins import SignIn
from postroad.web.forms import pairs
from postroad.web.oauth import consent, sign_in
from postroad.web.oauth.browser import browser_of
from postroad.web.oauth.context import OAuthContext
from postroad.web.oauth.explanations import shown
from postroad.web.oauth.onward import MAX_QUERY, path_of, without_choice
from postroad.web.requests import Request
from postroad.web.responses import Response


class Step(Enum):
    """What is missing until a client can have its code; its value is what `prompt=none` makes of it."""

    SIGN_IN = "login_required"  # or to choose another account
    CONSENT = "consent_required"
    NOTHING = ""


_TOLD = {
    Step.SIGN_IN: "Nobody is signed in who could be asked.",
    Step.CONSENT: "The person has to be asked before that is allowed.",
}


def next_step(request: AuthorizationRequest, signed_in: SignIn | None, before: frozenset[str]) -> Step:
    """What is to be asked of the person at the browser next (OpenID Connect Core section 3.1.2.1).

    `before`: the scopes that they allowed the client earlier.
    """
    if signed_in is None or "select_account" in request.prompts or not _hinted(request.login_hint, signed_in):
        return Step.SIGN_IN
    if "consent" in request.prompts or not before.issuperset(request.scopes):
        return Step.CONSENT
    return Step.NOTHING


def _hinted(hint: str | None, signed_in: SignIn) -> bool:
    """Whether a hint, if it is an address at all, is of the account that is signed in."""
    return hint is None or "@" not in hint or hint.lower() in signed_in.account.addresses


@shown
async def answer(request: Request, query: bytes, context: OAuthContext) -> Response:
    """A page that asks for what is missing, or the way back to the client, with a code or an error."""
    if len(query) > MAX_QUERY:
        raise OAuthError("invalid_request", f"The request is longer than {MAX_QUERY} octets.")
    parameters = pairs(query)
    browser = await browser_of(request, context)
    asked, before = await context.database.read(
        lambda connection: consent.read(connection, context, path_of(parameters), browser.signed_in)
    )
    step = next_step(asked, browser.signed_in, before)
    if "none" in asked.prompts and step is not Step.NOTHING:
        raise asked.refused(step.value, _TOLD[step])
    if browser.signed_in is None or step is Step.SIGN_IN:
        hint = (asked.login_hint or "").lower()
        return await sign_in.ask(context, browser, path_of(without_choice(parameters)), hint=hint)
    if step is Step.CONSENT:
        return consent.ask(context, browser, asked, before, path_of(parameters))
    return await consent.grant(context, asked, browser.signed_in, asked.scopes)
