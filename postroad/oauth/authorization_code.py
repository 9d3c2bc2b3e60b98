"""The authorization code grant (RFC 6749 section 4.1) with proof keys (RFC 7636): Authlib's, in Google's words."""

from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError, InvalidScopeError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge

from postroad.oauth import codes, consents, credentials, refresh_tokens, scopes
from postroad.oauth.accounts import Account
from postroad.oauth.answers import SignIn, account_of, bearer
from postroad.oauth.codes import Code
from postroad.oauth.errors import OAuthError
from postroad.oauth.framework import Registered, Request
from postroad.oauth.tokens import MAX_LENGTH, Source

# What is told of scopes that do not exist: enough to find the mistake.
_MAX_TOLD = 500


class ProofKey(CodeChallenge):
    """Proof that who redeems a code is who asked for it; a client without a secret has to give it, by S256."""

    def validate_code_challenge(self, grant: "CodeGrant", redirect_uri: str) -> None:
        """Raises `InvalidRequestError` (RFC 7636 section 4.4.1)."""
        super().validate_code_challenge(grant, redirect_uri)
        asked = grant.request.payload.data
        if grant.request.client.client.public and asked.get("code_challenge_method") != "S256":
            raise InvalidRequestError("code challenge required, by S256")


class CodeGrant(AuthorizationCodeGrant):
    """What Google looks at, in its order and words."""

    @staticmethod
    def validate_authorization_redirect_uri(request: Request, client: Registered) -> str:
        """Where the browser may be sent. Raises `OAuthError`, for a page: it is never sent where it may not be."""
        redirect_uri = request.payload.redirect_uri
        if not redirect_uri:
            raise OAuthError("invalid_request", "Missing required parameter: redirect_uri")
        if not client.check_redirect_uri(redirect_uri):
            raise OAuthError(
                "redirect_uri_mismatch",
                "The redirect URI in the request does not match the ones authorized for the OAuth client.",
                why=f"{client.get_client_id()} is not registered with {redirect_uri[:200]!r}",
            )
        return str(redirect_uri)

    def validate_requested_scope(self) -> None:
        """Some scope of this server is needed, and none that is nobody's. Raises `OAuth2Error`."""
        text = self.request.payload.scope
        if not text:
            raise InvalidRequestError("Missing required parameter: scope")
        try:
            asked = scopes.parse(text)
        except scopes.BadScopeError as error:
            raise InvalidScopeError(f"Invalid scope: {error}") from None
        known = [one for one in asked if one in scopes.ABOUT]
        unknown = [one for one in asked if one not in scopes.ABOUT and not scopes.elsewhere(one)]
        if unknown or not known:
            told = f"valid=[{', '.join(known)}], invalid=[{', '.join(unknown)}]"
            raise InvalidScopeError(f"Some requested scopes were invalid. {{{told[:_MAX_TOLD]}}}")

    def query_authorization_code(self, text: str, client: Registered) -> Code:
        """The code, if it is this client's. Raises `OAuthError`."""
        if not text.startswith(credentials.CODE) or len(text) > MAX_LENGTH:
            raise OAuthError("invalid_grant", "Malformed auth code.")
        self._refuse_other_places(client)
        found = codes.find(self.server.connection, text)
        if found is None or found.client_id != client.get_client_id():
            why = "it is another client's code" if found else "the code is unknown here"
            raise OAuthError("invalid_grant", "Bad Request", why=why)
        return found

    def _refuse_other_places(self, client: Registered) -> None:
        """A redirect URI that is none of the client's is told apart from one that is not the code's."""
        redirect_uri = self.request.payload.redirect_uri
        if not redirect_uri:
            raise OAuthError("invalid_request", "Missing required parameter: redirect_uri")
        if not client.check_redirect_uri(redirect_uri):
            raise OAuthError("redirect_uri_mismatch", "Bad Request", why="the client has no such redirect URI")

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Tokens for the code, which is used up first. Raises `OAuthError`.

        Only a request that is right in everything else gets here, so nobody can use up or take back what is
        another's; and it is used up by one statement, so that of many such requests one gets tokens.
        """
        code, connection = self.request.authorization_code, self.server.connection
        consent = consents.held(connection, code.consent_id)
        if consent is None or not codes.redeem(connection, code, self.server.now):
            codes.take_back(connection, code)
            raise OAuthError("invalid_grant", "Bad Request", why="the code was used before, or its time is over")
        self.consent = consent
        return super().create_token_response()  # type: ignore[no-any-return]

    def authenticate_user(self, _code: Code) -> Account:
        """Who consented. Raises `OAuthError`."""
        return account_of(self.server, self.consent)

    def generate_token(self, user: Account, scope: str, **_: object) -> dict[str, Any]:
        """An access token, with a refresh token where the code promised one."""
        code, server = self.request.authorization_code, self.server
        refresh = self._refresh_token() if code.offline else {}
        refresh_hash = credentials.digest(refresh["refresh_token"]) if refresh else None
        source = Source(consent_id=code.consent_id, code_hash=code.code_hash, refresh_hash=refresh_hash)
        sign_in = SignIn(signed_in_at=code.signed_in_at, nonce=code.nonce)
        return bearer(server, self.consent, user, scope.split(), source=source, sign_in=sign_in) | refresh

    def _refresh_token(self) -> dict[str, str]:
        code, server = self.request.authorization_code, self.server
        text = refresh_tokens.issue(
            server.connection, code.consent_id, code.scopes, code_hash=code.code_hash, now=server.now
        )
        return {"refresh_token": text}

    def delete_authorization_code(self, code: Code) -> None:
        """Nothing: it is used up, and is kept to know a replay."""
