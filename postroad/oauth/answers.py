"""What the token endpoint gives: tokens for a consent, and what is told with them (RFC 6749 section 5.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from postroad.oauth import accounts, identity, tokens
from postroad.oauth.accounts import Account
from postroad.oauth.consents import Consent
from postroad.oauth.errors import OAuthError
from postroad.oauth.framework import Server
from postroad.oauth.tokens import LIFE_SECONDS, Source

# With this scope comes an ID token (OpenID Connect Core 3.1.2.1).
OPENID = "openid"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """When the person signed in (milliseconds; `None`: not known any more), and the client's nonce for that."""

    signed_in_at: int | None
    nonce: str | None = None


def account_of(server: Server, given: Consent) -> Account:
    """Who gave that consent. Raises `OAuthError` when the account is disabled."""
    found = accounts.by_id(server.connection, given.account_id)
    if found.disabled:
        raise OAuthError("invalid_grant", "Account disabled", why=f"the account {found.address} is disabled")
    return found


def bearer(
    server: Server, given: Consent, account: Account, scopes: Sequence[str], *, source: Source, sign_in: SignIn
) -> dict[str, Any]:
    """A new access token for `scopes` of a consent and what is told with it; for openid, an ID token."""
    access_token = tokens.issue(
        server.connection,
        account_id=account.account_id,
        scopes=frozenset(scopes),
        expires_at=server.now + LIFE_SECONDS * 1000,
        now=server.now,
        source=source,
    )
    answer = {
        "access_token": access_token,
        "expires_in": LIFE_SECONDS,
        "scope": " ".join(scopes),
        "token_type": "Bearer",
    }
    if OPENID in scopes and server.sealing:
        answer["id_token"] = identity.id_token(
            server.connection,
            issuer=server.issuer,
            client_id=given.client_id,
            account=account,
            scopes=frozenset(scopes),
            nonce=sign_in.nonce,
            access_token=access_token,
            signed_in_at=sign_in.signed_in_at,
            sealing=server.sealing,
            now=server.now,
        )
    return answer
