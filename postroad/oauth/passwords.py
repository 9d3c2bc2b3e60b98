"""Passwords of accounts, kept as Argon2id hashes (RFC 9106); never in the clear, in no log."""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, select, update

from postroad.database.schema import account

T = TypeVar("T")

MIN_LENGTH = 8  # characters
MAX_OCTETS = 1024
# A hash takes 64 MB while it is made: more than two at once are a way to exhaust the machine.
AT_ONCE = 2
# Verifications that may wait for their turn, some seconds long; who comes then is told to come later.
MAX_WAITING = 32


class BadPasswordError(ValueError):
    """A password cannot be taken; the text says why."""


@dataclass(slots=True)
class Passwords:
    """Hashes and verifies. `hasher` has RFC 9106's second recommendation: 64 MB, some 100 ms."""

    hasher: PasswordHasher = field(default_factory=PasswordHasher)
    _threads: ThreadPoolExecutor = field(init=False, repr=False)
    _nobodys: str = field(default="", init=False, repr=False)
    _waiting: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "password")

    def hash(self, password: str) -> str:
        """What is kept of a new password; takes the time of a hash. Raises `BadPasswordError`."""
        refuse_weak(password)
        return self.hasher.hash(_octets(password))

    @property
    def busy(self) -> bool:
        """Whether so many wait for their turn that nobody else should."""
        return self._waiting >= MAX_WAITING

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether `password` is the one that `kept` was made of.

        For `None`, when there is no such account or it has no password, it takes as long and is wrong
        (hardening.md G10).
        """
        self._waiting += 1
        try:
            return await self._on_a_thread(self._verified, kept, password)
        finally:
            self._waiting -= 1

    async def renewed(self, kept: str, password: str) -> str | None:
        """A new hash of a right password in the place of `kept`, if that was made with other parameters."""
        if not self.hasher.check_needs_rehash(kept):
            return None
        return await self._on_a_thread(self.hasher.hash, _octets(password))

    async def _on_a_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _verified(self, kept: str | None, password: str) -> bool:
        nobodys = self._hash_of_nobody()
        octets = _octets(password)
        if not 0 < len(octets) <= MAX_OCTETS:
            return False
        try:
            self.hasher.verify(kept or nobodys, octets)
        except (VerificationError, InvalidHashError):
            return False
        return bool(kept)

    def _hash_of_nobody(self) -> str:
        """A hash that costs what others cost; nobody is let in by it."""
        if not self._nobodys:
            self._nobodys = self.hasher.hash(secrets.token_bytes())
        return self._nobodys


def refuse_weak(password: str) -> None:
    """Raise `BadPasswordError` for a password that cannot be set. Length is all that counts (NIST SP 800-63B)."""
    if len(password) < MIN_LENGTH:
        raise BadPasswordError(f"a password has at least {MIN_LENGTH} characters")
    if len(_octets(password)) > MAX_OCTETS or not password.isprintable():
        raise BadPasswordError(f"a password is printable text of at most {MAX_OCTETS} octets in UTF-8")


def _octets(password: str) -> bytes:
    """As it is hashed: keyboards differ in how they compose a character (RFC 8265 section 4.2)."""
    return unicodedata.normalize("NFC", password).encode(errors="replace")


def put(connection: Connection, account_id: int, kept: str) -> None:
    """Keep a hash as the account's password. Raises `BadPasswordError` for what is no hash of Argon2id."""
    try:
        of_argon2id = extract_parameters(kept).type is Type.ID
    except InvalidHashError:
        of_argon2id = False
    if not of_argon2id:
        raise BadPasswordError("not a hash of Argon2id")
    connection.execute(update(account).where(account.c.account_id == account_id).values(password_hash=kept))


def of(connection: Connection, account_id: int) -> str | None:
    """The hash kept of the account's password; `None`: nobody can sign in by one."""
    question = select(account.c.password_hash).where(account.c.account_id == account_id)
    return connection.execute(question).scalar_one_or_none()
