"""Authorization requests (RFC 6749 section 4.1.1): what a client asks a person for, and how it is answered."""

from dataclasses import dataclass
from urllib.parse import urlencode

from postroad.oauth.clients import Client
from postroad.oauth.errors import RedirectableError


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that may be put before a person: its client is known and may have the browser sent back so.

    `scopes` are in the order asked. `prompts`: `none`, or any of `consent` and `select_account`. `offline`: a
    refresh token is wanted. `issuer` is who answers (RFC 9207).
    """

    client: Client
    redirect_uri: str
    scopes: tuple[str, ...]
    issuer: str
    state: str | None = None
    offline: bool = False
    prompts: frozenset[str] = frozenset()
    login_hint: str | None = None
    include_granted_scopes: bool = False
    code_challenge: str | None = None
    code_challenge_method: str | None = None
    nonce: str | None = None

    def granted(self, code: str, scopes: tuple[str, ...]) -> str:
        """Where the browser goes with a code for `scopes` (RFC 6749 section 4.1.2)."""
        return self._back({"code": code, "scope": " ".join(scopes)})

    def refused(self, error: str, description: str) -> RedirectableError:
        """What the client is told in place of a code (RFC 6749 section 4.1.2.1, OpenID Connect Core 3.1.2.6)."""
        back = self._back({"error": error, "error_description": description})
        return RedirectableError(error, description, redirect_to=back)

    def _back(self, answer: dict[str, str]) -> str:
        return back(self.redirect_uri, answer, self.state, self.issuer)


def back(redirect_uri: str, answer: dict[str, str], state: str | None, issuer: str) -> str:
    """The redirect URI with an answer in its query, which keeps what it held, to the letter.

    `iss` tells a client that has several servers which of them answers (RFC 9207).
    """
    told = answer | ({"state": state} if state else {}) | {"iss": issuer}
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(told)}"
