"""Under which address clients reach this server: what absolute URLs in answers begin with."""

import re
from dataclasses import dataclass

_HOST = re.compile(r"([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?")
# Google serves its names by TLS alone: who comes by one of them came by TLS, whoever ended it.
_GOOGLES = re.compile(r"(.+\.)?(google|googleapis)\.com")


@dataclass(frozen=True, slots=True)
class Addresses:
    """`public_url` is where clients are told to go, without a slash behind.

    A request that came to one of the names `hosts` is answered with that name instead, in `scheme`; any other Host
    is what a stranger wrote, and no URL is made from it.
    """

    public_url: str = ""
    hosts: frozenset[str] = frozenset()
    scheme: str = "http"

    def root(self, host: bytes | None) -> str:
        """Scheme, host and port for a request with this Host header; no slash behind."""
        match = _HOST.fullmatch((host or b"").decode("latin-1").lower())
        if match is None or match[1] not in self.hosts:
            return self.public_url
        scheme = "https" if _GOOGLES.fullmatch(match[1]) else self.scheme
        return f"{scheme}://{match[0]}"
