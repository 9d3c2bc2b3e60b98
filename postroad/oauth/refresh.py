"""The refresh token grant (RFC 6749 section 6): Authlib's, in Google's words. The refresh token stays as it is."""

from typing import Any

from authlib.oauth2.rfc6749 import InvalidScopeError
from authlib.oauth2.rfc6749.grants import RefreshTokenGrant

from postroad.oauth import consents, refresh_tokens, scopes
from postroad.oauth.accounts import Account
from postroad.oauth.answers import SignIn, account_of, bearer
from postroad.oauth.errors import OAuthError
from postroad.oauth.refresh_tokens import RefreshToken
from postroad.oauth.tokens import MAX_LENGTH, Source

# There is no telling when the person signed in: that was long ago.
_LONG_AGO = SignIn(signed_in_at=None)


class RefreshGrant(RefreshTokenGrant):
    """A new access token for what a person allowed before, or for a part of it."""

    def authenticate_refresh_token(self, text: str) -> RefreshToken:
        """The refresh token of that text, whose client is looked at next. Raises `OAuthError`."""
        found = None
        if len(text) <= MAX_LENGTH:
            found = refresh_tokens.find(self.server.connection, text, self.server.now)
        if found is None:
            raise _ended()
        return found

    def authenticate_user(self, found: RefreshToken) -> Account:
        """Who consented; neither the consent nor the token ends before the answer is made. Raises `OAuthError`."""
        connection = self.server.connection
        consent = consents.held(connection, found.consent_id)
        if consent is None or not refresh_tokens.use(connection, found, self.server.now):
            raise _ended()
        self.consent = consent
        return account_of(self.server, self.consent)

    def issue_token(self, user: Account, found: RefreshToken) -> dict[str, Any]:
        """An access token for the scopes asked for, which Authlib found among those allowed, or for all."""
        wanted = self._wanted() or found.scopes
        source = Source(consent_id=found.consent_id, refresh_hash=found.refresh_hash)
        return bearer(self.server, self.consent, user, wanted, source=source, sign_in=_LONG_AGO)

    def _wanted(self) -> tuple[str, ...]:
        try:
            return scopes.parse(self.request.payload.scope or "")
        except scopes.BadScopeError:
            raise InvalidScopeError from None

    def revoke_old_credential(self, found: RefreshToken) -> None:
        """Nothing: refresh tokens are not rotated."""


def _ended() -> OAuthError:
    why = "the refresh token is unknown here: revoked, unused for months, or one of too many"
    return OAuthError("invalid_grant", "Token has been expired or revoked.", why=why)
