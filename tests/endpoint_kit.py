"""The face over a database, asked for what OAuth has; in it Alice's world, with a client that has a secret."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode

from postroad.database.engine import Database
from postroad.oauth import accounts
from postroad.oauth.clients import Client
from postroad.oauth.tokens import Tokens
from postroad.web.addresses import Addresses
from postroad.web.asgi import Face
from postroad.web.oauth.context import OAuthContext
from tests.oauth_kit import ISSUER, NOW, SEALING, World

FORM = "application/x-www-form-urlencoded"


class Lasting(World):
    """A world in which Alice may be there already."""

    def __post_init__(self):
        found = accounts.find(self.connection, "alice@example.test")
        self.alice = found or accounts.add(self.connection, "alice@example.test", administrator=False, now=NOW)


@dataclass(frozen=True)
class Answer:
    """What was answered; `headers` by name, each with its lines."""

    code: int
    headers: dict[str, list[str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Door:
    """A face whose clock stands still unless `now` is moved."""

    database: Database
    now: int = NOW
    face: Face = field(init=False)
    client: Client = field(init=False)
    secret: str = field(init=False)

    def __post_init__(self):
        tokens, addresses = Tokens(self.database), Addresses(ISSUER)
        context = OAuthContext(self.database, lambda: self.now, tokens, addresses, SEALING)
        self.face = Face(self.database, tokens, None, lambda: self.now, addresses=addresses, oauth=context)
        self.client, self.secret = self.do(lambda world: world.client())

    def do(self, act: Callable[[World], Any]) -> Any:
        """Something in Alice's world, committed."""
        return self.database.submit(lambda connection: act(Lasting(connection, self.now))).result()

    def code(self, **changed: str | None) -> str:
        """A code of Alice's for the client."""
        return self.do(lambda world: world.code(self.client, **changed))

    def redeemed(self, **changed: str | None) -> dict[str, Any]:
        """What a code is exchanged for."""
        return self.post("/token", self.redemption(self.code(**changed))).json

    def redemption(self, code: str) -> dict[str, str]:
        """The form that exchanges a code."""
        return {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.client.redirect_uris[0],
            "client_id": self.client.client_id,
            "client_secret": self.secret,
        }

    def post(self, target: str, form: dict[str, str] | bytes = b"", **headers: str) -> Answer:
        """A form, which says that it is one."""
        body = urlencode(form).encode() if isinstance(form, dict) else form
        return self.ask("POST", target, body, **({"content_type": FORM} | headers))

    def ask(self, verb: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """One request."""
        path, _, query = target.partition("?")
        own = {"host": "mail.example.test"} | ({"content-length": str(len(body))} if body else {})
        own |= {name.replace("_", "-"): text for name, text in headers.items()}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": verb,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), text.encode()) for name, text in own.items()],
            "client": ("203.0.113.7", 4711),
        }
        sent: list[dict[str, Any]] = []

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(event):
            sent.append(event)

        asyncio.run(self.face(scope, receive, send))
        start, rest = sent
        found: dict[str, list[str]] = {}
        for name, text in start["headers"]:
            found.setdefault(name.decode(), []).append(text.decode("latin-1"))
        return Answer(start["status"], found, rest["body"])
