"""JWTs that service accounts sign: assertions to exchange (RFC 7523), and access tokens as they are (AIP-4111).

The order of the checks and their texts are Google's (gmail-wire.md 8.6); the signature is joserfc's matter. Each
key has one algorithm, and which key it is follows from `iss` and `kid` alone: what a JWT says of keys is not read.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import nan
from typing import Any, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc import jws
from joserfc.errors import JoseError, MissingAlgorithmError, MissingCritHeaderError
from joserfc.jwk import RSAKey
from joserfc.util import urlsafe_b64decode
from sqlalchemy import Connection

from postroad import refusals
from postroad.oauth import service_accounts
from postroad.oauth.errors import OAuthError
from postroad.oauth.scopes import SCOPES
from postroad.oauth.service_accounts import KEY_BITS, PublicKey, ServiceAccount
from postroad.oauth.tokens import Grant

ALGORITHM = "RS256"
# Octets of a whole JWT, and of its header in base64 (hardening.md G9); those of Google's clients have 800 and 120.
MAX_LENGTH = 16 * 1024
MAX_HEADER = 2048
# Seconds. Whoever is in a hurry or late by less is taken to have a wrong clock (RFC 7523 section 3).
MAX_LIFE = 3600
SKEW = 300
# The token endpoint as libraries name it, wherever they post to (gmail-wire.md 8.6) …
GOOGLES_TOKEN_URLS = frozenset(
    {
        "https://oauth2.googleapis.com/token",
        "https://www.googleapis.com/oauth2/v4/token",
        "https://accounts.google.com/o/oauth2/token",
    }
)
# … and its paths here.
TOKEN_PATHS = ("/token", "/oauth2/v4/token", "/o/oauth2/token")
# The API as self-signed tokens name it.
GOOGLES_API = "https://gmail.googleapis.com/"

SIGNATURE = "Invalid JWT Signature."
NO_ACCOUNT = "Invalid grant: account not found"
DISABLED = "Robot is disabled."
WINDOW = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)
SCOPE = "Invalid OAuth scope or ID token audience provided."
AUDIENCE = "Invalid JWT: Failed audience check."
SUBJECT = "Invalid email or User ID"

_UNSET = {
    "iat": "Invalid JWT: iat (issued at) is not set.",
    "exp": "Invalid JWT: exp (expiration time) is not set.",
}
# Google takes times in quotes, too.
_NUMERIC = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")


class _Registry(jws.JWSRegistry):
    max_header_length = MAX_HEADER
    max_payload_length = MAX_LENGTH


_REGISTRY = _Registry(algorithms=[ALGORITHM], strict_check_header=False)


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a service account asks for: `scopes`, for the account of the address `subject`, or `None`: itself."""

    issuer: ServiceAccount
    scopes: frozenset[str]
    subject: str | None


def token_urls(root: str) -> frozenset[str]:
    """What `aud` of an assertion may be, for a server at `root`, which has no slash behind."""
    return GOOGLES_TOKEN_URLS | {root + path for path in TOKEN_PATHS}


def verify(connection: Connection, text: str, audiences: Collection[str], now: int) -> Assertion:
    """What an assertion asks for, not whether it may. Raises `OAuthError` with Google's texts, in Google's order.

    `now` in milliseconds. It may be used as often as wanted while it is valid, as at Google.
    """
    issuer, claims = _verified(connection, text)
    _refuse_untimely(claims, now)
    scopes = _scopes(claims)
    if claims.get("aud") not in tuple(audiences):
        raise _refused(AUDIENCE, "its aud names something else")
    return Assertion(issuer, scopes, _subject(issuer, claims))


def self_signed(connection: Connection, text: str, audiences: Collection[str], now: int) -> Grant:
    """What a JWT grants that serves as access token itself (AIP-4111): a service account's own, nobody's mailbox.

    Its `aud`, one of `audiences`, stands for all scopes; a `scope` claim for those it names. Raises
    `CredentialInvalid`. `now` in milliseconds.
    """
    try:
        issuer, claims = _verified(connection, text)
        expires_at = _refuse_untimely(claims, now)
    except OAuthError as error:
        raise refusals.CredentialInvalid(f"a self-signed token: {error.why}") from None
    if claims.get("sub") != issuer.address:
        raise refusals.CredentialInvalid(f"a self-signed token of {issuer.address}: its sub is another")
    scopes = _self_assigned(claims, audiences)
    if scopes is None:
        raise refusals.CredentialInvalid(f"a self-signed token of {issuer.address}: neither aud nor scope will do")
    return Grant(None, scopes, expires_at, issuer.client_id, issuer.address)


def _self_assigned(claims: Mapping[str, Any], audiences: Collection[str]) -> frozenset[str] | None:
    """Its scopes; those that are not known here are of no use to anyone."""
    known, audience, scope = frozenset(SCOPES.values()), claims.get("aud"), claims.get("scope")
    if scope is None:
        return known if audience in tuple(audiences) else None
    return known & set(scope.split(" ")) if audience is None and isinstance(scope, str) else None


def _refused(description: str, why: str, error: str = "invalid_grant") -> OAuthError:
    return OAuthError(error, description, why=why)


def _verified(connection: Connection, text: str) -> tuple[ServiceAccount, dict[str, Any]]:
    """Who signed it, and its claims, none of which but `iss` was looked at. Raises `OAuthError`."""
    signed, header, claims = _read(text)
    if not _is_plain(header):
        raise _refused(SIGNATURE, "its header asks for something else than a plain RS256 signature")
    name = claims.get("iss")
    issuer = service_accounts.find(connection, name) if isinstance(name, str) else None
    if issuer is None:
        raise _refused(NO_ACCOUNT, "its iss is no service account here")
    keys = [key for key in issuer.keys if header.get("kid", key.key_id) == key.key_id]
    if not any(_signed_by(signed, key) for key in keys):
        raise _refused(SIGNATURE, f"no key of {issuer.address} that it may mean made its signature")
    if issuer.disabled:
        raise _refused(DISABLED, f"the service account {issuer.address} is disabled")
    return issuer, claims


def _read(text: str) -> tuple[jws.CompactSignature, dict[str, Any], dict[str, Any]]:
    """The parts of a compact serialization (RFC 7515 section 7.1), header and claims being JSON objects."""
    if len(text) > MAX_LENGTH:
        raise _refused("Bad Request", f"it is longer than {MAX_LENGTH} octets", "invalid_request")
    try:
        octets = text.encode("ascii")
        header = _object(urlsafe_b64decode(octets.partition(b".")[0]))
        signed = jws.extract_compact(octets, registry=_REGISTRY)
        return signed, header, _object(signed.payload)
    except (MissingAlgorithmError, MissingCritHeaderError):
        raise _refused(SIGNATURE, "its header lacks a member") from None
    except (JoseError, ValueError, TypeError, RecursionError):
        raise _refused("Bad Request", "it is no signed JWT", "invalid_request") from None


def _object(octets: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8 in which no name stands twice (RFC 7515 section 4, RFC 7519 section 4)."""
    found = json.loads(octets.decode(), object_pairs_hook=_each_once, parse_constant=_no_json)
    if not isinstance(found, dict):
        raise TypeError
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _no_json(_constant: str) -> NoReturn:
    """Python's `json` would take NaN and Infinity."""
    raise ValueError


def _is_plain(header: dict[str, Any]) -> bool:
    """Whether a header asks for what is done anyway: RS256, and nothing that must be understood (`crit`)."""
    if "crit" in header:
        return False
    try:
        _REGISTRY.check_header(header)
        _REGISTRY.get_alg(header["alg"])
    except JoseError:
        return False
    return True


def _signed_by(signed: jws.CompactSignature, key: PublicKey) -> bool:
    found = _rsa(key.pem)
    return found is not None and jws.validate_compact(signed, found, registry=_REGISTRY)


@lru_cache(maxsize=256)
def _rsa(pem: str) -> RSAKey | None:
    """The key for its one use; `None` if it is of another kind or under 2048 bits, whoever wrote it there."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, RSAPublicKey) or key.key_size < KEY_BITS:
        return None
    return RSAKey.import_key(key, {"alg": ALGORITHM, "use": "sig"})


def _refuse_untimely(claims: Mapping[str, Any], now: int) -> int:
    """When it expires, in milliseconds. Raises `OAuthError` unless it is valid now and lives an hour at most."""
    for name, text in _UNSET.items():
        if claims.get(name) is None:
            raise _refused(text, f"it has no {name}")
    issued, expires = _seconds(claims["iat"]), _seconds(claims["exp"])
    from_then_on = _seconds(claims.get("nbf", issued))
    seconds = now / 1000
    # Written so that a comparison with no number refuses.
    if not (
        0 < expires - issued <= MAX_LIFE
        and issued <= seconds + SKEW
        and from_then_on <= seconds + SKEW
        and seconds - SKEW < expires
    ):
        raise _refused(WINDOW, f"its times are {issued:.0f} to {expires:.0f}, and now is {seconds:.0f}")
    return int(expires * 1000)


def _seconds(claim: object) -> float:
    """A NumericDate (RFC 7519 section 2), a number or one in quotes; `nan` if it is none, or far out of reach."""
    if isinstance(claim, str) and _NUMERIC.fullmatch(claim):
        return float(claim)
    if isinstance(claim, bool) or not isinstance(claim, int | float) or abs(claim) > 2**53:
        return nan
    return float(claim)


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """What it asks for. Raises `OAuthError`: nothing, or something that is no scope here."""
    scope = claims.get("scope")
    asked = frozenset(filter(None, scope.split(" "))) if isinstance(scope, str) else frozenset()
    if not asked or not asked <= set(SCOPES.values()):
        raise _refused(SCOPE, "its scope names none, or one that is unknown here", "invalid_scope")
    return asked


def _subject(issuer: ServiceAccount, claims: Mapping[str, Any]) -> str | None:
    """For whom: `sub`, or `prn` as Go's library writes beside it; `None` for itself. Raises `OAuthError`."""
    named = [claims[name] for name in ("sub", "prn") if claims.get(name) is not None]
    if not all(isinstance(one, str) and one and one == named[0] for one in named):
        raise _refused(SUBJECT, f"{issuer.address} names its subject in no way, or two")
    subject = named[0] if named else issuer.address
    return None if subject == issuer.address else subject
