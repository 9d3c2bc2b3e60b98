"""Alice, clients, and what they do at the authorization server, without HTTP."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Connection

from postroad.oauth import accounts, clients, codes, consents, server
from postroad.oauth.accounts import Account
from postroad.oauth.authorization import AuthorizationRequest
from postroad.oauth.clients import Client
from postroad.oauth.errors import OAuthError
from postroad.oauth.scopes import SCOPES
from postroad.oauth.server import TokenRequest
from postroad.sealing import Sealing

NOW = 1_790_000_000_000
ISSUER = "https://mail.example.test"
PLACE = "https://app.example.test/back"
SEND, READ = SCOPES["gmail.send"], SCOPES["gmail.readonly"]
SEALING = Sealing(bytes(32))
VERIFIER = "v" * 43


def s256(verifier: str) -> str:
    """The code challenge of a verifier (RFC 7636 section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def basic(client_id: str, secret: str) -> str:
    """An Authorization field that authenticates a client."""
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


@dataclass
class World:
    """A connection on which Alice has an account; `now` is the time, in milliseconds."""

    connection: Connection
    now: int = NOW
    alice: Account = field(init=False)

    def __post_init__(self):
        self.alice = accounts.add(self.connection, "alice@example.test", administrator=False, now=NOW)

    def client(self, kind: str = "web", *places: str, public: bool = False) -> tuple[Client, str | None]:
        """A client with its secret; a web client without `places` has `PLACE`."""
        uris = places or ((PLACE,) if kind == "web" else ())
        return clients.add(self.connection, "An App", kind, uris, public=public, now=NOW)

    def parameters(self, client: Client, **changed: str | None) -> list[tuple[str, str]]:
        """Those of a plain authorization request, changed; `None` leaves one out."""
        plain = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": client.redirect_uris[0],
            "scope": SEND,
            "state": "a state",
        }
        return [(name, text) for name, text in (plain | changed).items() if text is not None]

    def ask(self, client: Client, **changed: str | None) -> AuthorizationRequest:
        """The request that the server makes of such parameters."""
        return server.authorization_request(self.connection, self.parameters(client, **changed), issuer=ISSUER)

    def refused(self, client: Client, **changed: str | None) -> OAuthError:
        """The error in its place."""
        with pytest.raises(OAuthError) as refusal:
            self.ask(client, **changed)
        return refusal.value

    def code(self, client: Client, **changed: str | None) -> str:
        """A code, after Alice allowed all that was asked."""
        asked = self.ask(client, **changed)
        given = consents.allow(self.connection, self.alice.account_id, client.client_id, asked.scopes, self.now)
        signed_in_at = self.now - 1000
        return codes.issue(self.connection, given, asked, asked.scopes, signed_in_at=signed_in_at, now=self.now)

    def redeem(self, client: Client, secret: str | None, code: str, /, **changed: str | None) -> dict[str, Any]:
        """What the token endpoint gives for a code."""
        plain = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": client.redirect_uris[0],
            "client_id": client.client_id,
            "client_secret": secret,
        }
        return self.exchange(**(plain | changed))

    def refresh(self, client: Client, secret: str | None, text: str, /, **changed: str | None) -> dict[str, Any]:
        """What the token endpoint gives for a refresh token."""
        plain = {"grant_type": "refresh_token", "refresh_token": text, "client_id": client.client_id}
        return self.exchange(**(plain | {"client_secret": secret} | changed))

    def exchange(self, authorization: str | None = None, **form: str | None) -> dict[str, Any]:
        """What the token endpoint gives for a form; `None` leaves a field out."""
        fields = [(name, text) for name, text in form.items() if text is not None]
        return server.exchange(self.connection, TokenRequest(fields, authorization, ISSUER, SEALING), self.now)

    def denied(self, act: Callable[..., Any], *arguments: object, **more: str | None) -> tuple[str, str, int]:
        """What is wrong with an exchange: the error, its description, and the code of HTTP."""
        with pytest.raises(OAuthError) as refusal:
            act(*arguments, **more)
        return refusal.value.error, refusal.value.description, refusal.value.code
