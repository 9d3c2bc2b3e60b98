"""Logging in at a server (RFC 4954): which mechanism, and what is said in it. Pure; secrets are in here only."""

import base64
from collections.abc import Collection
from dataclasses import dataclass, field

from postroad.smtp import grammar

_CANNOT_BE_SAID = {"\0", "\x01", "\r", "\n"}  # each ends something in one of the mechanisms


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in, and what proves it: a password, or an access token (OAuth); at least one of them.

    ValueError for what cannot be said in any mechanism; the secret is not repeated.
    """

    user: str
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not (self.password or self.token):
            raise ValueError("there is neither a password nor a token")
        if _CANNOT_BE_SAID & set(self.user + self.password + self.token):
            raise ValueError("control characters in the user, the password or the token")


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A way to log in: its name, and the responses to the server's challenges, one after another.

    `initial`: the first may stand in the command itself (RFC 4954 section 4).
    """

    name: str
    secret: bytes = field(repr=False)
    responses: tuple[bytes, ...] = field(repr=False)
    initial: bool = True

    def command(self) -> tuple[bytes, tuple[bytes, ...]]:
        """The AUTH command, and the response lines that follow it."""
        lines = [base64.b64encode(response) for response in self.responses]
        command = f"AUTH {self.name}".encode()
        # RFC 4954 section 4: a response that would make the command line too long waits for its challenge.
        if self.initial and len(command) + len(lines[0]) + len(b" \r\n") <= grammar.COMMAND_LINE_OCTETS:
            command += b" " + lines.pop(0)
        return command + b"\r\n", tuple(line + b"\r\n" for line in lines)

    def concealed(self, text: str) -> str:
        """The text, of a server that may repeat what it was told, without it."""
        for secret in (self.secret, *map(base64.b64encode, filter(None, self.responses))):
            text = text.replace(secret.decode(), "...")
        return text


def mechanism(offered: Collection[str], login: Login) -> Mechanism | None:
    """The best that the server offers and the login has a secret for; `None` when there is none."""
    user, password, token = login.user.encode(), login.password.encode(), login.token.encode()
    known = [
        # As Google documents it: an error comes as a challenge, whose response is empty.
        Mechanism("XOAUTH2", token, (b"user=%s\x01auth=Bearer %s\x01\x01" % (user, token), b"")),
        Mechanism("PLAIN", password, (b"\0%s\0%s" % (user, password),)),  # RFC 4616
        Mechanism("LOGIN", password, (user, password), initial=False),  # draft-murchison-sasl-login
    ]
    return next((one for one in known if one.secret and one.name in offered), None)
