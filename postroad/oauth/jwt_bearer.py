"""The JWT bearer grant (RFC 7523 section 2.1): Authlib's, by assertions of service accounts, in Google's words."""

from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc7523 import JWTBearerGrant
from sqlalchemy import Connection

from postroad.database import facts
from postroad.mail.address import BadAddress
from postroad.oauth import accounts, assertions, service_accounts, tokens
from postroad.oauth.accounts import Account
from postroad.oauth.errors import OAuthError
from postroad.oauth.service_accounts import ServiceAccount
from postroad.oauth.tokens import LIFE_SECONDS, Source
from postroad.settings import CAPTURE

UNAUTHORIZED = (
    "Client is unauthorized to retrieve access tokens using this method, "
    "or client not authorized for any of the scopes requested."
)


class Robot(ClientMixin):
    """A service account as Authlib asks about a client."""

    def __init__(self, issuer: ServiceAccount) -> None:
        self.issuer = issuer

    def get_client_id(self) -> str:
        """Its number."""
        return self.issuer.client_id

    def check_grant_type(self, _grant_type: str) -> bool:
        """No other grant knows of it."""
        return True


class AssertionGrant(JWTBearerGrant):
    """What Google looks at, in its order and words (gmail-wire.md 8.6). No client authenticates beside it."""

    def validate_token_request(self) -> None:
        """Raises `OAuthError`."""
        if not self.request.form.get("assertion"):
            raise OAuthError("invalid_request", "Bad Request", why="there is no assertion")
        super().validate_token_request()

    def process_assertion_claims(self, assertion: str) -> dict[str, str | None]:
        """Who asks, and for whom. Raises `OAuthError`."""
        server = self.server
        audiences = assertions.token_urls(server.issuer)
        self.assertion = assertions.verify(server.connection, assertion, audiences, server.now)
        issuer = self.assertion.issuer
        if not service_accounts.held(server.connection, issuer):
            raise OAuthError("invalid_grant", assertions.NO_ACCOUNT, why=f"{issuer.address} was changed meanwhile")
        return {"iss": issuer.address, "sub": self.assertion.subject}

    def resolve_issuer_client(self, _issuer: str) -> Robot:
        """The service account, which was found with its key."""
        return Robot(self.assertion.issuer)

    def validate_requested_scope(self) -> None:
        """For others it may have what was delegated to it, all of it or nothing. Raises `OAuthError`."""
        issuer, asked = self.assertion.issuer, self.assertion.scopes
        if self.assertion.subject is not None and not asked <= issuer.scopes:
            why = f"{issuer.address} was not delegated {', '.join(sorted(asked - issuer.scopes))}"
            raise OAuthError("unauthorized_client", UNAUTHORIZED, code=401, why=why)

    def authenticate_user(self, subject: str) -> Account:
        """The account it acts for. Raises `OAuthError`."""
        found = account_of(self.server.connection, subject, self.server.now)
        if found is None or found.disabled:
            why = f"the account {found.address} is disabled" if found else "the subject is no account here"
            raise OAuthError("invalid_grant", assertions.SUBJECT, why=why)
        return found

    def has_granted_permission(self, _client: Robot, _user: Account) -> bool:
        """What is delegated is delegated for everybody."""
        return True

    def generate_token(self, user: Account | None, **_: object) -> dict[str, Any]:
        """An access token; as at Google no scope is told with it, as it is the one asked for."""
        now = self.server.now
        access_token = tokens.issue(
            self.server.connection,
            account_id=user.account_id if user else None,
            scopes=self.assertion.scopes,
            expires_at=now + LIFE_SECONDS * 1000,
            now=now,
            source=Source(service_account_id=self.assertion.issuer.service_account_id),
        )
        return {"access_token": access_token, "expires_in": LIFE_SECONDS, "token_type": "Bearer"}


def account_of(connection: Connection, subject: str, now: int) -> Account | None:
    """The account of a subject; where mail is captured every address has one."""
    try:
        if facts.read(connection, facts.RELAY) == CAPTURE:
            return accounts.capture(connection, subject, now)
        return accounts.find(connection, accounts.key_of(subject))
    except BadAddress:
        return None
