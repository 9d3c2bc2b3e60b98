"""Smart hosts: servers that take all mail, and where the secrets are with which we log in there.

A secret is read anew for each session, so that it can be changed while the server runs; an access token has to be.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from postroad.mail.outcome import Content
from postroad.relay.demands import Demands
from postroad.relay.route import Hop, NextHop, Route
from postroad.relay.security import Demand
from postroad.smtp.authentication import Login

SECRET_OCTETS = 64 * 1024  # far above any token; a larger file is not one of a secret


@dataclass(frozen=True, slots=True)
class Secrets:
    """A password, or the file of it; and the file of an access token, which goes before them."""

    password: str = field(default="", repr=False)
    password_file: str = ""
    token_file: str = ""

    def __bool__(self) -> bool:
        return bool(self.password or self.password_file or self.token_file)

    def password_of(self, user: str, host: str) -> str:
        """The password of that user there. OSError or ValueError, which do not repeat it, when there is none.

        A file of one line holds the password of every user; one of several a line for each: `USER@HOST PASSWORD`.
        """
        if self.password or not self.password_file:
            return self.password
        lines = _read(self.password_file).splitlines()
        if len(lines) <= 1:
            return "".join(lines)
        for line in lines:
            who, _, password = line.strip().partition(" ")
            if who == f"{user}@{host}":
                return password.strip()
        raise ValueError(f"{self.password_file}: no line begins with {user}@{host}")

    def token(self) -> str:
        """The access token, if there is a file of one. OSError or ValueError when it cannot be read."""
        return _read(self.token_file).strip() if self.token_file else ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How we log in at one smart host."""

    user: str
    host: str
    secrets: Secrets

    def __call__(self) -> Login:
        """The login, as the files have it now. OSError or ValueError when there is none."""
        return Login(self.user, self.secrets.password_of(self.user, self.host), self.secrets.token())


def _read(file: str) -> str:
    with Path(file).open("rb") as opened:
        octets = opened.read(SECRET_OCTETS + 1)
    if len(octets) > SECRET_OCTETS:
        raise ValueError(f"{file}: larger than any secret")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{file}: not UTF-8") from None


def demanding(usual: Demand, verified: Demand) -> Demands:
    """The demand on smart hosts: those where we log in, or that begin with TLS, prove who they are."""

    async def of(_route: Route, hop: Hop, _content: Content) -> Demand:
        return verified if hop.login or hop.implicit_tls else usual

    return of


def name(hosts: Sequence[NextHop]) -> str:
    """The destination that a list of smart hosts is, in their order: one gate for all of them."""
    return ",".join(map(str, hosts))
