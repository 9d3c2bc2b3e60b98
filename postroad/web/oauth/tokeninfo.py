"""What a token is good for, told to whoever has it: Google's tokeninfo, in its present and its older form."""

from collections.abc import Mapping
from typing import Any

from postroad.oauth import id_tokens
from postroad.oauth.errors import OAuthError
from postroad.oauth.framework import single_valued
from postroad.oauth.identity import subject_of
from postroad.oauth.scopes import SHOW_EMAIL, SHOW_SUBJECT
from postroad.oauth.tokens import Grant
from postroad.refusals import CredentialInvalid
from postroad.web.bearer import bearer_of
from postroad.web.forms import form_of, pairs
from postroad.web.oauth.answers import given
from postroad.web.oauth.context import OAuthContext
from postroad.web.requests import Request
from postroad.web.responses import Response

# The claims of an ID token as they were called before OpenID Connect was one.
_BEFORE = {
    "iss": "issuer",
    "azp": "issued_to",
    "aud": "audience",
    "sub": "user_id",
    "iat": "issued_at",
    "email": "email",
    "email_verified": "email_verified",
}


async def answer(request: Request, query: bytes, context: OAuthContext) -> Response:
    """The present form, in which every value is a text. Raises `OAuthError`, and what reading a form raises."""
    asked, now = await _asked(request, query), context.clock()
    if "id_token" in asked:
        claims = await _claims(asked["id_token"], context, now)
        return given({name: _text(claim) for name, claim in claims.items()})
    grant = await _grant(request, asked, context, now)
    program = {"azp": grant.client_id, "aud": grant.client_id}
    validity = {"exp": str(grant.expires_at // 1000), "expires_in": str(_left(grant, now))}
    email = {"email": _email(grant), "email_verified": "true" if _email(grant) else None}
    return _told(program | {"sub": _subject(grant), "scope": _scope(grant)} | validity | email, grant)


async def answer_as_before(request: Request, query: bytes, context: OAuthContext) -> Response:
    """The form of versions 1 and 2. Raises `OAuthError`, and what reading a form raises."""
    asked, now = await _asked(request, query), context.clock()
    if "id_token" in asked:
        claims = await _claims(asked["id_token"], context, now)
        told = {before: claims[name] for name, before in _BEFORE.items() if name in claims}
        return given(told | {"expires_in": claims["exp"] - now // 1000})
    grant = await _grant(request, asked, context, now)
    program = {"issued_to": grant.client_id, "audience": grant.client_id}
    email = {"email": _email(grant), "verified_email": True if _email(grant) else None}
    about = {"user_id": _subject(grant), "scope": _scope(grant), "expires_in": _left(grant, now)}
    return _told(program | about | email, grant)


async def _asked(request: Request, query: bytes) -> dict[str, str]:
    """What stands in the query, or in a form."""
    return single_valued(pairs(query) + await form_of(request))


async def _claims(text: str, context: OAuthContext, now: int) -> dict[str, Any]:
    """Those of an ID token, and its header."""
    try:
        return await context.database.read(
            lambda connection: id_tokens.verified(connection, text, context.issuer, now)
        )
    except CredentialInvalid as refusal:
        raise _invalid(refusal) from None


async def _grant(request: Request, asked: Mapping[str, str], context: OAuthContext, now: int) -> Grant:
    """That of the token asked about, or in the header, as Google's client for Node has it (gmail-wire.md 8.4)."""
    token = asked.get("access_token") or bearer_of(request.headers.get(b"authorization"))
    if not token:
        raise OAuthError("invalid_request", "either access_token, id_token, or token_handle required")
    try:
        return await context.tokens.check(token, now)
    except CredentialInvalid as refusal:
        raise _invalid(refusal) from None


def _invalid(refusal: CredentialInvalid) -> OAuthError:
    return OAuthError("invalid_token", "Invalid Value", why=refusal.why)


def _text(claim: object) -> str:
    return str(claim).lower() if isinstance(claim, bool) else str(claim)


def _told(members: dict[str, Any], grant: Grant) -> Response:
    """The members that there are, and whether a refresh token stands behind it."""
    known = {name: value for name, value in members.items() if value is not None}
    return given(known | {"access_type": "offline" if grant.offline else "online"})


def _scope(grant: Grant) -> str:
    return " ".join(sorted(grant.scopes))


def _left(grant: Grant, now: int) -> int:
    return (grant.expires_at - now) // 1000


def _subject(grant: Grant) -> str | None:
    """Told to programs that may know who it is, as are addresses."""
    if grant.account is None or grant.scopes.isdisjoint(SHOW_SUBJECT):
        return None
    return subject_of(grant.account.account_id)


def _email(grant: Grant) -> str | None:
    return None if grant.scopes.isdisjoint(SHOW_EMAIL) else grant.holder
