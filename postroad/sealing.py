"""Secrets at rest: what the database must hold and a copy of it must not tell, as AES-256-GCM ciphertext.

The key is never in the database. A sealed text is a version octet, a nonce of 96 random bits, and the ciphertext
with its tag (NIST SP 800-38D); its purpose is authenticated along with it, so that what was sealed for one use
does not open for another.
"""

import base64
import binascii
import contextlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from postroad.refusals import Failure

# The file in the data folder that holds the key where no setting names another.
FILE = "secret.key"
KEY_OCTETS = 32
NONCE_OCTETS = 12
# The first octet of what is sealed: another way of sealing gets another.
VERSION = b"\x01"
# A file longer than this is not a key.
MAX_FILE = 1024
MAKE = "`openssl rand -base64 32` makes one"
PROOF = "proof of the key"


class SecretKeyError(Failure):
    """The key that seals secrets is missing or is none; the text says which setting and what would do."""


class WrongKeyError(Failure):
    """Something was sealed with another key, for another purpose, or was changed since."""


class Sealing:
    """Seals and opens with one key of 32 octets. Thread-safe."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, octets: bytes, purpose: str) -> bytes:
        """`octets` as ciphertext, 29 octets longer; twice the same gives two different ones."""
        nonce = secrets.token_bytes(NONCE_OCTETS)
        return VERSION + nonce + self._cipher.encrypt(nonce, octets, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """What was sealed for this purpose. Raises `WrongKeyError`."""
        version, nonce, ciphertext = sealed[:1], sealed[1 : 1 + NONCE_OCTETS], sealed[1 + NONCE_OCTETS :]
        with contextlib.suppress(InvalidTag, ValueError):  # ValueError: too short for a nonce
            if version == VERSION:
                return self._cipher.decrypt(nonce, ciphertext, purpose.encode())
        raise WrongKeyError(
            f"a secret in the database ({purpose}) does not open with this key: give the key it was sealed with,"
            f" by --secret-key-file, POSTROAD_SECRET_KEY or {FILE} in the data folder"
        )

    def proof(self) -> str:
        """A text by which this key is known again; it tells nothing about the key."""
        return base64.b64encode(self.seal(b"", PROOF)).decode()

    def refuse_other(self, proof: str) -> None:
        """Let the proof of this same key pass. Raises `WrongKeyError` for that of another."""
        self.open(base64.b64decode(proof), PROOF)


def key_of(folder: Path, *, text: str = "", file: str = "", shared: bool = False) -> bytes:
    """The key: `text` itself, in `file`, or else in the data folder, where it is made at its first use.

    `shared`: several nodes have one database, so a key that one of them makes would be wrong for the others.
    Raises `SecretKeyError`.
    """
    if text:
        return _decoded(text, "POSTROAD_SECRET_KEY")
    if file:
        return _decoded(_read(Path(file)), f"secret_key_file: {file}")
    if shared:
        raise SecretKeyError(
            "secret_key_file: on PostgreSQL every node needs the same key, which is not in the database;"
            f" {MAKE}; name its file by --secret-key-file, or set POSTROAD_SECRET_KEY"
        )
    own = folder / FILE
    if not own.exists():
        _make(own)
    return _decoded(_read(own), str(own))


def _decoded(text: str, source: str) -> bytes:
    with contextlib.suppress(binascii.Error, ValueError):  # ValueError: not ASCII
        key = base64.b64decode(text.strip(), validate=True)
        if len(key) == KEY_OCTETS:
            return key
    raise SecretKeyError(f"{source} is not {KEY_OCTETS} octets in base64; {MAKE}")


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_FILE).decode("latin-1")
    except OSError as error:
        raise SecretKeyError(f"{file}: the secret key cannot be read: {error.strerror}") from None


def _make(file: Path) -> None:
    """Write a new key, whole and on disk before it has its name; of two that are made at once the first counts."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    with open(draft, "xb", opener=_private) as opened:
        opened.write(base64.b64encode(secrets.token_bytes(KEY_OCTETS)) + b"\n")
        opened.flush()
        os.fsync(opened.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(draft, file)
    draft.unlink()
    _sync(file.parent)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
