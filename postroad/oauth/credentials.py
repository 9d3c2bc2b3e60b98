"""Random texts that prove something by being known: tokens, codes, secrets. Given once, kept as hashes."""

import hashlib
import secrets

# They begin as Google's do, which secret scanners know (gmail-wire.md 8.3).
ACCESS = "ya29."
REFRESH = "1//0"
CODE = "4/0"
SECRET = "GOCSPX-"  # noqa: S105 - how secrets begin
RANDOM_OCTETS = 32


def fresh(prefix: str) -> str:
    """A new text of 256 random bits behind `prefix`."""
    return prefix + secrets.token_urlsafe(RANDOM_OCTETS)


def digest(text: str) -> bytes:
    """What a text is kept and found by: SHA-256. It needs no salt and no work, as nobody can guess 256 bits."""
    return hashlib.sha256(text.encode()).digest()
