"""How OAuth says no (RFC 6749 sections 4.1.2.1 and 5.2): the error, and Google's words for it."""


class OAuthError(Exception):
    """An answer of the token endpoint, or of the page that tells why nobody can be asked to sign in.

    `error` is the RFC's word, `description` the text for whoever wrote the client, `code` that of HTTP. `why` is
    for the operator's log: what the description does not tell, and never a secret.
    """

    def __init__(self, error: str, description: str, *, code: int = 400, why: str = "") -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.code = code
        self.why = why or description


class RedirectableError(OAuthError):
    """An error that the client is told: the browser goes to `redirect_to`, which names it (RFC 6749 4.1.2.1)."""

    def __init__(self, error: str, description: str, *, redirect_to: str, why: str = "") -> None:
        super().__init__(error, description, why=why)
        self.redirect_to = redirect_to


def client_not_found() -> OAuthError:
    """No client has that number (gmail-wire.md 8.5)."""
    return OAuthError("invalid_client", "The OAuth client was not found.", code=401)
