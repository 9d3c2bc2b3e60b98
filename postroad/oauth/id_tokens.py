"""ID tokens that come back: whether we signed them, and whether they still count (OpenID Connect Core 3.1.3.7)."""

from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey
from sqlalchemy import Connection

from postroad import refusals
from postroad.oauth import signing_keys

# Octets; ours have some 800.
MAX_LENGTH = 8 * 1024


def verified(connection: Connection, text: str, issuer: str, now: int) -> dict[str, Any]:
    """Header and claims of an ID token that `issuer`, who is us, signed. Raises `CredentialInvalid`."""
    if len(text) > MAX_LENGTH or not text.isascii():
        raise refusals.CredentialInvalid("the ID token is none of ours: too long, or not ASCII")
    keys = KeySet([RSAKey.import_key(key.jwk()) for key in signing_keys.kept(connection)])
    rules = jwt.JWTClaimsRegistry(
        now=now // 1000, iss={"essential": True, "value": issuer}, exp={"essential": True}
    )
    try:
        token = jwt.decode(text, keys, [signing_keys.ALGORITHM])
        rules.validate(token.claims)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise refusals.CredentialInvalid(f"the ID token is not valid here: {type(error).__name__}") from None
    return token.claims | token.header
