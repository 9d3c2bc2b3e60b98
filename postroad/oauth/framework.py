"""What Authlib's authorization server is driven by in place of a web framework: requests, clients, the server.

Authlib validates; the order in which Google looks at things, and its words (gmail-wire.md 8.5), are laid over it
here and in the grants. An error of Authlib's becomes ours in one place, `translated`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    OAuth2Payload,
    OAuth2Request,
    UnsupportedGrantTypeError,
)
from authlib.oauth2.rfc6749.util import extract_basic_authorization
from sqlalchemy import Connection

from postroad.oauth import clients
from postroad.oauth.clients import Client
from postroad.oauth.errors import OAuthError, client_not_found
from postroad.sealing import Sealing

# Authlib refuses to work without TLS. Whether that is needed was decided when the server began to listen.
_ANY_ADDRESS = "https://localhost/"


class Payload(OAuth2Payload):
    """The parameters of a request; one without a value counts as absent (RFC 6749 section 3.1)."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._data = parameters

    @property
    def data(self) -> Mapping[str, str]:
        """Each parameter once."""
        return self._data

    @property
    def datalist(self) -> dict[str, list[str]]:
        """The same, in the form that repeated parameters would need: they were refused before."""
        return {name: [text] for name, text in self._data.items()}


def single_valued(parameters: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The parameters that have a value. Raises `OAuthError` for one that is there twice (RFC 6749 section 3.1)."""
    found: dict[str, str] = {}
    for name, text in parameters:
        if name in found:
            raise OAuthError(
                "invalid_request",
                f"OAuth 2 parameters can only have a single value: {name[:40]}",
            )
        found[name] = text
    return {name: text for name, text in found.items() if text}


class Request(OAuth2Request):
    """A request with these parameters; `basic` is the Authorization field that authenticates a client."""

    def __init__(self, verb: str, parameters: Mapping[str, str], basic: str = "") -> None:
        super().__init__(verb, _ANY_ADDRESS, headers={"Authorization": basic} if basic else {})
        self.payload = Payload(parameters)

    @property
    def form(self) -> Mapping[str, str]:
        """The parameters of a POST."""
        return self.payload.data


def token_request(parameters: Sequence[tuple[str, str]], authorization: str | None) -> Request:
    """A request to the token endpoint, whose client is in `client_id` however it was named.

    A program without a secret that writes its number into Basic all the same, as google-auth-oauthlib does, has
    named itself and not authenticated. Raises `OAuthError`: a parameter twice, or two clients at once.
    """
    form = single_valued(parameters)
    client_id, secret = basic_credentials(authorization or "")
    if not client_id:
        return Request("POST", form)
    if form.setdefault("client_id", client_id) != client_id:
        raise OAuthError(
            "invalid_request",
            "Could not determine client ID from request.",
            why="the Authorization field and the form name different clients",
        )
    return Request("POST", form, basic=authorization or "" if secret else "")


def basic_credentials(authorization: str) -> tuple[str, str]:
    """The client and secret of an Authorization field, percent-decoded (RFC 6749 section 2.3.1); "" for none."""
    try:
        client_id, secret = extract_basic_authorization({"Authorization": authorization})
    except ValueError:  # not base64, or not UTF-8 in it
        return "", ""
    return client_id or "", secret or ""


class Registered(ClientMixin):
    """A client as Authlib asks about it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def get_client_id(self) -> str:
        """Its number."""
        return self.client.client_id

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether a browser may be sent there."""
        return clients.redirects_to(self.client, redirect_uri)

    def get_default_redirect_uri(self) -> None:
        """None: Google wants it named in every request."""

    def get_allowed_scope(self, scope: str) -> str:
        """What was asked for, which `validate_requested_scope` has looked at: no client has less than another."""
        return scope

    def check_client_secret(self, secret: str) -> bool:
        """Whether it is this client's."""
        return self.client.knows(secret)

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        """Who has a secret shows it, by Basic or in the form; who has none has none to show."""
        return (method == "none") == self.client.public

    def check_response_type(self, response_type: str) -> bool:
        """Codes alone: tokens in the address of a page are gone (RFC 9700 section 2.1.2)."""
        return response_type == "code"

    def check_grant_type(self, _grant_type: str) -> bool:
        """Every grant there is is open to every client."""
        return True


class Server(AuthorizationServer):
    """Authlib's server over one connection, at `now` (milliseconds), for one request.

    `issuer` is who answers (RFC 9207). ID tokens are signed with what `sealing` opens; without it there are none.
    """

    def __init__(
        self, connection: Connection, *, issuer: str, now: int = 0, sealing: Sealing | None = None
    ) -> None:
        super().__init__()
        self.connection = connection
        self.issuer = issuer
        self.now = now
        self.sealing = sealing

    def create_oauth2_request(self, request: Request) -> Request:
        """The request itself: there is no framework's to make it of."""
        return request

    def query_client(self, client_id: str) -> Registered | None:
        """The client of that number."""
        found = clients.find(self.connection, client_id)
        return Registered(found) if found else None

    def authenticate_client(
        self, request: Request, _methods: Sequence[str], endpoint: str = "token"
    ) -> Registered:
        """The client that asks, in Google's order and words. Raises `OAuthError`, `OAuth2Error`.

        A client authenticates in the way that it chose, and a failure in one is not mended by another.
        """
        form = request.form
        if "client_id" not in form:
            raise OAuthError("invalid_request", "Could not determine client ID from request.")
        found = self.query_client(form["client_id"])
        if found is None:
            raise client_not_found()
        method = _method(request)
        if method == "none" and not found.client.public:
            raise OAuthError("invalid_request", "client_secret is missing.")
        super().authenticate_client(request, [method], endpoint)
        return found

    def save_token(self, token: dict[str, Any], request: Request) -> None:
        """Nothing: a token is kept when it is made."""

    def send_signal(self, name: str, *_: object, **__: object) -> None:
        """Nobody listens."""


def _method(request: Request) -> str:
    if request.headers:
        return "client_secret_basic"
    return "client_secret_post" if "client_secret" in request.form else "none"


# Authlib's words -> the error, Google's words and the code (gmail-wire.md 8.5).
_WORDS = {
    "Missing 'client_id' parameter.": ("invalid_request", "Missing required parameter: client_id", 400),
    "The client does not exist on this server.": ("invalid_client", "The OAuth client was not found.", 401),
    "Missing 'code' in request.": ("invalid_request", "Missing required parameter: code", 400),
    "Missing 'refresh_token' in request.": ("invalid_request", "Missing required parameter: refresh_token", 400),
    "The requested scope is invalid, unknown, or malformed.": ("invalid_scope", "Bad Request", 400),
    "Missing 'code_verifier'": ("invalid_grant", "Missing code verifier.", 400),
    "Invalid 'code_verifier'": ("invalid_grant", "Invalid code verifier.", 400),
    "Code challenge failed.": ("invalid_grant", "Invalid code verifier.", 400),
    "The authorization request had no 'code_challenge', but a 'code_verifier' was provided.": (
        "invalid_grant",
        "code_verifier or verifier is not needed.",
        400,
    ),
}
# For what is not in there, by the error.
_OTHERWISE = {
    "invalid_client": ("Unauthorized", 401),
    "invalid_grant": ("Bad Request", 400),
    "unauthorized_client": ("Unauthorized", 401),
    "unsupported_response_type": ("Invalid response_type", 400),
}


def translated(error: OAuth2Error) -> OAuthError:
    """An error of Authlib's as Google would tell it; what Authlib says goes to the log."""
    if isinstance(error, UnsupportedGrantTypeError):
        return OAuthError(error.error, f"Invalid grant_type: {error.grant_type[:100]}")
    said = str(error.get_error_description() or "")
    default = _OTHERWISE.get(error.error, (said or "Bad Request", 400))
    name, description, code = _WORDS.get(said, (error.error, *default))
    return OAuthError(name, description, code=code, why=said or description)
