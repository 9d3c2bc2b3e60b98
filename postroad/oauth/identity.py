"""Who signed in, told to a client: ID tokens (OpenID Connect Core section 2), and what is known of an account."""

from typing import Any

from authlib.oidc.core.util import create_half_hash
from joserfc import jwt
from joserfc.jwk import RSAKey
from sqlalchemy import Connection

from postroad.mail.address import domain_of
from postroad.oauth import signing_keys
from postroad.oauth.accounts import Account
from postroad.oauth.scopes import SHOW_EMAIL, SHOW_PROFILE
from postroad.sealing import Sealing

# Seconds that an ID token counts, as at Google.
LIFE_SECONDS = 3600
# Google's subjects have 21 digits, and no number of a service account or client is as long.
_FIRST_SUBJECT = 10**20


def subject_of(account_id: int) -> str:
    """By what clients know an account for ever: never its address, which may one day be another's."""
    return str(_FIRST_SUBJECT + account_id)


def claims_about(account: Account, scopes: frozenset[str]) -> dict[str, Any]:
    """What these scopes let a client know of an account (OpenID Connect Core sections 5.1 and 5.4).

    `hd` is Google's claim: the domain whose administrator made the account. Of a name we know the local part.
    """
    claims: dict[str, Any] = {"sub": subject_of(account.account_id)}
    local_part, domain = account.address.rsplit("@", 1)[0], domain_of(account.address)
    if scopes & SHOW_EMAIL:
        claims |= {"hd": domain, "email": account.address, "email_verified": True}
    if scopes & SHOW_PROFILE:
        claims |= {"name": local_part}
    return claims


def id_token(  # noqa: PLR0913 - each is a claim
    connection: Connection,
    *,
    issuer: str,
    client_id: str,
    account: Account,
    scopes: frozenset[str],
    nonce: str | None,
    access_token: str | None,
    signed_in_at: int | None,
    sealing: Sealing,
    now: int,
) -> str:
    """A signed statement to the client about who signed in, beside the access token that its `at_hash` names.

    Times are milliseconds. It writes when the keys want changing. Raises `WrongKeyError`.
    """
    seconds = now // 1000
    claims = {
        "iss": issuer,
        "azp": client_id,
        "aud": client_id,
        **claims_about(account, scopes),
        "at_hash": create_half_hash(access_token, signing_keys.ALGORITHM).decode() if access_token else None,
        "nonce": nonce,
        "auth_time": signed_in_at // 1000 if signed_in_at is not None else None,
        "iat": seconds,
        "exp": seconds + LIFE_SECONDS,
    }
    return signed({name: value for name, value in claims.items() if value is not None}, connection, sealing, now)


def signed(claims: dict[str, Any], connection: Connection, sealing: Sealing, now: int) -> str:
    """These claims as a JWT under the key that signs at `now` (milliseconds). Raises `WrongKeyError`."""
    key = signing_keys.signing(signing_keys.published(connection, sealing, now), now)
    header = {"alg": signing_keys.ALGORITHM, "kid": key.key_id}
    private = RSAKey.import_key(signing_keys.private_key(key, sealing))
    return jwt.encode(header, claims, private, [signing_keys.ALGORITHM])
