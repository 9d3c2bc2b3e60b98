"""The authorization server (RFC 6749): what may be put before a person, and what is exchanged for tokens.

Authlib's, driven without a web framework (`framework`); `web/oauth` puts HTTP around it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError
from sqlalchemy import Connection

from postroad.oauth import scopes
from postroad.oauth.authorization import AuthorizationRequest, back
from postroad.oauth.errors import OAuthError, RedirectableError
from postroad.oauth.framework import Request, Server, single_valued, token_request, translated
from postroad.oauth.grant_types import GRANTS
from postroad.sealing import Sealing

__all__ = ["AuthorizationRequest", "TokenRequest", "authorization_request", "exchange"]

# Parameters of an authorization request that errors may quote: what RFC 6749 section 4.1.2.1 allows there.
_QUOTED = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
_MAY_BE_QUOTED = (
    "response_type",
    "scope",
    "access_type",
    "prompt",
    "approval_prompt",
    "include_granted_scopes",
    "response_mode",
    "code_challenge",
    "code_challenge_method",
)
# What these may say, if they are there (gmail-wire.md 8.5). Codes come back in the query and nowhere else.
_CHOICES = {
    "access_type": {"online", "offline"},
    "approval_prompt": {"auto", "force"},
    "include_granted_scopes": {"true", "false"},
    "response_mode": {"query"},
}
_PROMPTS = frozenset({"none", "consent", "select_account"})


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request to the token endpoint; `issuer` is who is asked, and `sealing` opens what signs ID tokens."""

    form: Sequence[tuple[str, str]]
    authorization: str | None
    issuer: str
    sealing: Sealing | None = None


def exchange(connection: Connection, request: TokenRequest, now: int) -> dict[str, Any]:
    """The JSON of the token endpoint's answer: tokens, for a code or whatever else is in `GRANTS`.

    Raises `OAuthError`. The transaction must be committed even so: a code that comes a second time ends the tokens
    that came of it, and a code is used up though its account is disabled. Nothing else was written then.
    """
    asked = token_request(request.form, request.authorization)
    if not asked.payload.grant_type:
        raise OAuthError("invalid_request", "Missing required parameter: grant_type")
    server = _server(connection, issuer=request.issuer, now=now, sealing=request.sealing)
    try:
        grant = server.get_token_grant(asked)
        grant.validate_token_request()
        _, answer, _ = grant.create_token_response()
    except OAuth2Error as error:
        raise translated(error) from None
    return dict(answer)


def _server(connection: Connection, *, issuer: str, now: int = 0, sealing: Sealing | None = None) -> Server:
    made = Server(connection, issuer=issuer, now=now, sealing=sealing)
    for grant, extensions in GRANTS:
        made.register_grant(grant, extensions)
    return made


def authorization_request(
    connection: Connection, parameters: Sequence[tuple[str, str]], *, issuer: str
) -> AuthorizationRequest:
    """What a client asks a person for, checked.

    Raises `OAuthError` for a page, and once it is sure that the browser may go back, `RedirectableError`.
    """
    asked = single_valued(parameters)
    for name in _MAY_BE_QUOTED:
        if not _QUOTED.fullmatch(asked.get(name, "")):
            raise OAuthError("invalid_request", f"Invalid parameter value for {name}")
    if "response_type" not in asked:
        raise OAuthError("invalid_request", "Missing required parameter: response_type")
    try:
        grant = _server(connection, issuer=issuer).get_consent_grant(Request("GET", asked))
        return _request(grant, asked, issuer)
    except OAuth2Error as error:
        raise _for_page_or_client(error, asked, issuer) from None


def _request(grant: Any, asked: Mapping[str, str], issuer: str) -> AuthorizationRequest:
    """The request that Authlib found good, with what Google adds to it. Raises `OAuth2Error`."""
    if problem := _problem(asked):
        raise InvalidRequestError(problem, redirect_uri=grant.redirect_uri)
    forced = {"consent"} if asked.get("approval_prompt") == "force" else set()
    challenge = asked.get("code_challenge")
    return AuthorizationRequest(
        client=grant.client.client,
        redirect_uri=grant.redirect_uri,
        scopes=scopes.parse(asked["scope"]),
        issuer=issuer,
        state=asked.get("state"),
        offline=asked.get("access_type") == "offline",
        prompts=_prompts(asked) | forced,
        login_hint=asked.get("login_hint"),
        include_granted_scopes=asked.get("include_granted_scopes") == "true",
        code_challenge=challenge,
        code_challenge_method=asked.get("code_challenge_method", "plain") if challenge else None,
        nonce=asked.get("nonce"),
    )


def _prompts(asked: Mapping[str, str]) -> frozenset[str]:
    return frozenset(filter(None, asked.get("prompt", "").split(" ")))


def _problem(asked: Mapping[str, str]) -> str:
    """What is wrong with the parameters that are Google's or OpenID Connect's; "" if nothing is."""
    for name, choices in _CHOICES.items():
        if asked.get(name, next(iter(choices))) not in choices:
            return f"Invalid parameter value for {name}: {asked[name][:100]}"
    prompts = _prompts(asked)
    if prompts and "approval_prompt" in asked:
        return "Conflict params: approval_prompt and prompt"
    if not prompts <= _PROMPTS or ("none" in prompts and len(prompts) > 1):
        return f"Invalid parameter value for prompt: {asked['prompt'][:100]}"
    return ""


def _for_page_or_client(error: OAuth2Error, asked: Mapping[str, str], issuer: str) -> OAuthError:
    told = translated(error)
    if not error.redirect_uri:
        return told
    answer = {"error": told.error, "error_description": told.description}
    redirect_to = back(error.redirect_uri, answer, asked.get("state"), issuer)
    return RedirectableError(told.error, told.description, redirect_to=redirect_to, why=told.why)
