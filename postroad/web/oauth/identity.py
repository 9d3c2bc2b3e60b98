"""OpenID Connect over HTTP: where our endpoints are, which keys ID tokens verify with, and whose a token is."""

from typing import Any

from sqlalchemy import Connection

from postroad import maillog, refusals
from postroad.oauth import identity, scopes, service_accounts, signing_keys
from postroad.oauth.framework import single_valued
from postroad.oauth.signing_keys import SigningKey
from postroad.oauth.tokens import Grant
from postroad.web import errors
from postroad.web.bearer import bearer_of
from postroad.web.forms import form_of
from postroad.web.oauth.answers import NOT_STORED, given
from postroad.web.oauth.context import OAuthContext
from postroad.web.requests import Request
from postroad.web.responses import Header, Response, json_response

CERTIFICATES_OF = "/robot/v1/metadata/x509/"
# Whoever verifies may keep the keys for an hour: each is published a day before and after (`signing_keys`).
_KEPT: tuple[Header, ...] = ((b"cache-control", b"public, max-age=3600, must-revalidate, no-transform"),)
_CHALLENGE: tuple[Header, ...] = (
    (b"www-authenticate", b'Bearer realm="https://accounts.google.com/", error="invalid_token"'),
)

_REFUSED = (refusals.CredentialMissing, refusals.CredentialInvalid)

# Member of the document -> our path (OpenID Connect Discovery section 3, RFC 8414 section 2, RFC 8628 section 4).
_PATHS = {
    "authorization_endpoint": "/o/oauth2/v2/auth",
    "device_authorization_endpoint": "/device/code",
    "token_endpoint": "/token",
    "userinfo_endpoint": "/v1/userinfo",
    "revocation_endpoint": "/revoke",
    "jwks_uri": "/oauth2/v3/certs",
}
_SUPPORTED: dict[str, Any] = {
    "response_types_supported": ["code"],
    "response_modes_supported": ["query"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": [signing_keys.ALGORITHM],
    "scopes_supported": list(scopes.SCOPES.values()),
    "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "none"],
    "claims_supported": ["sub", "email", "email_verified", "hd", "name", "aud", "azp", "at_hash", "auth_time"],
    "code_challenge_methods_supported": ["plain", "S256"],
    "grant_types_supported": [
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
    ],
    "authorization_response_iss_parameter_supported": True,
}


async def configuration(request: Request, _query: bytes, context: OAuthContext) -> Response:
    """Where everything is, for programs that are told the issuer alone."""
    root = context.root(request)
    places = {name: root + path for name, path in _PATHS.items()}
    return json_response({"issuer": context.issuer} | places | _SUPPORTED, headers=_KEPT)


async def key_set(_request: Request, _query: bytes, context: OAuthContext) -> Response:
    """The keys as a JSON Web Key Set (RFC 7517 section 5)."""
    keys = await _published(context)
    return json_response({"keys": [key.jwk() for key in keys]}, headers=_KEPT)


async def certificates(_request: Request, _query: bytes, context: OAuthContext) -> Response:
    """The keys as Google's older libraries want them: a certificate (PEM) for each key id."""
    keys = await _published(context)
    return json_response({key.key_id: key.certificate for key in keys}, headers=_KEPT)


async def certificates_of(request: Request, _query: bytes, context: OAuthContext) -> Response:
    """The public keys of a service account, as certificates (PEM) signed by our key."""
    address, now = request.path.removeprefix(CERTIFICATES_OF), context.clock()
    found = await context.database.read(lambda connection: service_accounts.find(connection, address))
    if found is None:
        return errors.not_found(request.path)
    signer = signing_keys.signing(await _published(context), now)
    private = signing_keys.private_key(signer, context.sealing)
    told = {
        key.key_id: signing_keys.certified(key.pem, found.address, key.key_id, private, signer.created_at)
        for key in found.keys
    }
    return json_response(told, headers=_KEPT)


async def _published(context: OAuthContext) -> list[SigningKey]:
    """The keys in order; they are read, and written only when one is to be made or ended."""
    now, sealing = context.clock(), context.sealing
    keys = await context.database.read(signing_keys.kept)
    if signing_keys.in_order(keys, now):
        return keys

    def unit(connection: Connection) -> list[SigningKey]:
        return signing_keys.published(connection, sealing, now)

    return await context.database.commit(unit)


async def user_info(request: Request, _query: bytes, context: OAuthContext) -> Response:
    """Who the token is of, in the words of OpenID Connect (Core section 5.3)."""
    try:
        return given(_claims(await _grant(request, context)))
    except _REFUSED as refusal:
        maillog.denied("invalid_token", refusal.why, request.path)
        told = {"error": "invalid_request", "error_description": "Invalid Credentials"}
        return given(told, 401, _CHALLENGE)


# What Google's own words were before OpenID Connect had some.
_BEFORE = {"sub": "id", "email_verified": "verified_email"}


async def user_info_as_before(request: Request, _query: bytes, context: OAuthContext) -> Response:
    """The same in Google's words of versions 1 and 2."""
    try:
        claims = _claims(await _grant(request, context))
    except _REFUSED as refusal:
        maillog.refused(refusal, request.path)
        return errors.refused(refusal, None)
    return json_response({_BEFORE.get(name, name): value for name, value in claims.items()}, headers=NOT_STORED)


async def _grant(request: Request, context: OAuthContext) -> Grant:
    """That of the token in the header, or in a form (RFC 6750 section 2.2)."""
    form = single_valued(await form_of(request)) if request.verb == "POST" else {}
    token = bearer_of(request.headers.get(b"authorization")) or form.get("access_token")
    if not token:
        raise refusals.CredentialMissing("no bearer token in the header, and none in a form")
    grant = await context.tokens.check(token, context.clock())
    if grant.scopes.isdisjoint(scopes.SHOW_SUBJECT):
        raise refusals.CredentialMissing("the token has none of the scopes that tell who somebody is")
    return grant


def _claims(grant: Grant) -> dict[str, Any]:
    """What may be known of the account, or of the service account that acts for nobody."""
    if grant.account:
        return identity.claims_about(grant.account, grant.scopes)
    shown = {"email": grant.holder, "email_verified": True} if grant.scopes & scopes.SHOW_EMAIL else {}
    return {"sub": grant.client_id} | shown
