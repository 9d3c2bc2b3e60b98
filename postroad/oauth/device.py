"""The device grant (RFC 8628): Authlib's endpoint and grant, in Google's words.

Google answers a poll that came before the person with 428, and one that is refused with 403; RFC 8628 has 400 for
all of them. Clients read the error, not the code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AccessDeniedError
from authlib.oauth2.rfc8628 import (
    DEVICE_CODE_GRANT_TYPE,
    AuthorizationPendingError,
    DeviceAuthorizationEndpoint,
    DeviceCodeGrant,
    ExpiredTokenError,
    SlowDownError,
)
from sqlalchemy import Connection

from postroad.oauth import consents, credentials, device_codes, refresh_tokens, scopes
from postroad.oauth.accounts import Account
from postroad.oauth.answers import SignIn, account_of, bearer
from postroad.oauth.device_codes import DeviceCode
from postroad.oauth.errors import OAuthError, client_not_found
from postroad.oauth.framework import Payload, Registered, Request, Server, token_request, translated
from postroad.oauth.tokens import MAX_LENGTH, Source

# The page on which a person types the code.
PATH = "/device"
# What Google called the grant before the RFC; its code is in `code`.
GOOGLES_GRANT_TYPE = "http://oauth.net/grant_type/device/1.0"
# What is told of scopes that do not exist: enough to find the mistake.
_MAX_TOLD = 500

_WORDS = {
    AuthorizationPendingError: ("Precondition Required", 428),
    SlowDownError: ("Forbidden", 403),
    AccessDeniedError: ("Forbidden", 403),
    ExpiredTokenError: ("The device code has expired.", 400),
}


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A request of a device; `root` is what the address of the page begins with."""

    form: Sequence[tuple[str, str]]
    authorization: str | None
    root: str


def begin(connection: Connection, request: DeviceRequest, now: int) -> dict[str, Any]:
    """The codes for a device and a person (RFC 8628 section 3.2), and what Google adds. Raises `OAuthError`."""
    asked = token_request(request.form, request.authorization)
    endpoint = _Endpoint(Server(connection, issuer=request.root, now=now))
    try:
        _, answer, _ = endpoint.create_endpoint_response(asked)
    except OAuth2Error as error:
        raise translated(error) from None
    return {**answer, "verification_url": answer["verification_uri"]}


class _Endpoint(DeviceAuthorizationEndpoint):
    """Authlib's endpoint over the database."""

    EXPIRES_IN = device_codes.LIFE_SECONDS
    INTERVAL = device_codes.INTERVAL_SECONDS

    def authenticate_client(self, request: Request) -> Registered:
        """Who shows a secret has to show the right one; at Google nobody has to. Raises `OAuthError`."""
        if request.headers or "client_secret" in request.form:
            found: Registered | None = super().authenticate_client(request)
        else:
            found = self.server.query_client(request.form.get("client_id", ""))
        if found is None:
            raise client_not_found()
        request.client = found
        return found

    def create_endpoint_response(self, request: Request) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Raises `OAuthError`."""
        if "client_id" not in request.form:
            raise OAuthError("invalid_request", "Could not determine client ID from request.")
        client = self.authenticate_client(request)
        asked = _asked(request.form.get("scope", ""))
        self.codes = device_codes.issue(self.server.connection, client.get_client_id(), asked, self.server.now)
        return super().create_endpoint_response(request)  # type: ignore[no-any-return]

    def generate_device_code(self) -> str:
        """The device's."""
        return self.codes[0]

    def generate_user_code(self) -> str:
        """The person's."""
        return self.codes[1]

    def get_verification_uri(self) -> str:
        """Where the person types it."""
        return f"{self.server.issuer}{PATH}"

    def save_device_credential(self, _client_id: str, _scope: str, _data: dict[str, Any]) -> None:
        """Nothing: they are kept when they are made."""


def _asked(text: str) -> tuple[str, ...]:
    """The scopes of a request. Raises `OAuthError` unless there are some, and all exist, here or at Google."""
    try:
        asked = scopes.parse(text)
    except scopes.BadScopeError as error:
        raise OAuthError("invalid_scope", "Bad Request", why=str(error)) from None
    if not asked:
        raise OAuthError("invalid_request", "Missing required parameter: scope")
    if unknown := [scope for scope in asked if scope not in scopes.ABOUT and not scopes.elsewhere(scope)]:
        raise OAuthError(
            "invalid_scope", f"Not authorized to request the scopes: [{', '.join(unknown)[:_MAX_TOLD]}]"
        )
    return asked


class DeviceGrant(DeviceCodeGrant):
    """Tokens for a device, once a person has allowed it."""

    @classmethod
    def check_token_endpoint(cls, request: Request) -> bool:
        """Whether this grant is asked for, under either name."""
        return request.payload.grant_type in (DEVICE_CODE_GRANT_TYPE, GOOGLES_GRANT_TYPE)

    def validate_token_request(self) -> None:
        """Raises `OAuthError`, `OAuth2Error`."""
        form = self.request.form
        if "device_code" not in form and "code" in form:
            self.request.payload = Payload({**form, "device_code": form["code"]})
        elif "device_code" not in form:
            raise OAuthError("invalid_request", "Missing required parameter: device_code")
        super().validate_token_request()

    def query_device_credential(self, text: str) -> DeviceCode:
        """The code. Raises `OAuthError`."""
        found = (
            device_codes.find(self.server.connection, text, self.server.now) if len(text) <= MAX_LENGTH else None
        )
        if found is None:
            raise OAuthError("invalid_grant", "Bad Request", why="the device code is unknown here, or was used")
        self.found = found
        return found

    def validate_device_credential(self, credential: DeviceCode) -> Account:
        """Who allowed it. Raises `OAuthError`: nobody yet, or in time."""
        try:
            return super().validate_device_credential(credential)  # type: ignore[no-any-return]
        except tuple(_WORDS) as error:
            description, code = _WORDS[type(error)]
            raise OAuthError(error.error, description, code=code) from None

    def query_user_grant(self, _user_code: str) -> tuple[Account | None, bool] | None:
        """What the person decided; `None` before they did."""
        if self.found.state == device_codes.WAITING:
            return None
        if self.found.consent_id is None:
            return None, False
        given = consents.held(self.server.connection, self.found.consent_id)
        if given is None:
            return None, False
        self.consent = given
        return account_of(self.server, given), True

    def should_slow_down(self, credential: DeviceCode) -> bool:
        """Whether it polls faster than it was told."""
        return device_codes.poll(self.server.connection, credential, self.server.now)

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Tokens for the code, which is used up first. Raises `OAuthError`."""
        if not device_codes.redeem(self.server.connection, self.request.credential):
            raise OAuthError("invalid_grant", "Bad Request", why="the device code was used before")
        return super().create_token_response()  # type: ignore[no-any-return]

    def generate_token(self, user: Account, scope: str, **_: object) -> dict[str, Any]:
        """An access token and a refresh token."""
        server, given, granted = self.server, self.consent, scope.split()
        text = refresh_tokens.issue(server.connection, given.consent_id, granted, code_hash=None, now=server.now)
        source = Source(consent_id=given.consent_id, refresh_hash=credentials.digest(text))
        answer = bearer(server, given, user, granted, source=source, sign_in=SignIn(signed_in_at=None))
        return answer | {"refresh_token": text}
