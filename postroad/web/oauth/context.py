"""What the endpoints of OAuth are given beside the request."""

from collections.abc import Callable
from dataclasses import dataclass, field

from postroad.database.engine import Database
from postroad.oauth.passwords import Passwords
from postroad.oauth.tokens import Tokens
from postroad.sealing import Sealing
from postroad.web.addresses import Addresses
from postroad.web.oauth.provider import Provider
from postroad.web.requests import Request


@dataclass(frozen=True, slots=True)
class OAuthContext:
    """`clock` tells the time in milliseconds; `sandbox`: this is `postroad dev`.

    `tokens` checks access tokens, `passwords` passwords; `sealing` seals what the database must hold and not tell.
    `upstream` is where people may sign in instead.
    """

    database: Database
    clock: Callable[[], int]
    tokens: Tokens
    addresses: Addresses
    sealing: Sealing
    sandbox: bool = False
    passwords: Passwords = field(default_factory=Passwords)
    upstream: Provider | None = None

    @property
    def issuer(self) -> str:
        """Who says what an ID token says: one name for all, by whichever of our names a client came."""
        return self.addresses.public_url

    def root(self, request: Request) -> str:
        """What absolute URLs begin with for who asked: scheme, host and port, no slash behind."""
        return self.addresses.root(request.headers.get(b"host"))
