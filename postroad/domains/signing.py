"""Signs what the relay sends, in the form in which it is sent: once for each content, on threads."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from postroad.database.commit import Raised, resolve
from postroad.database.engine import Database
from postroad.domains import register
from postroad.mail import dkim
from postroad.mail.address import BadAddress, domain_of, parse_list
from postroad.mail.message import fields_of
from postroad.mail.outcome import Content
from postroad.sealing import Sealing, WrongKeyError

# How long keys are taken for those of the database: a rotation holds everywhere within this time.
FRESH_MS = 1000
# How long signatures serve for further mail transactions with the same content, of the week that they count.
SERVE_MS = 3_600_000
# How many are remembered, and how many domains' keys; they are some KiB each.
REMEMBERED = 1000
# What is hashed in less time than a thread takes to hear of it.
AT_ONCE = 1 << 15
# RSA and SHA-256 run beside Python; more threads than cores gain nothing.
THREADS = 2

K = TypeVar("K")
V = TypeVar("V")
# Which stored content, and in which of the forms that it may be sent in (`relay.attempt`).
Form = tuple[int, int, bool]
# Signatures to make, and who waits for them.
_Wanted = tuple["asyncio.Future[bytes]", Callable[[], bytes]]


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys for a domain, as they were at `read_at`."""

    read_at: int
    sealed: tuple[register.SealedKey, ...] = ()
    opened: tuple[dkim.SigningKey, ...] = ()


@dataclass(frozen=True, slots=True)
class _Made:
    """The signatures of a form, made at `at` or being made."""

    at: int
    task: asyncio.Task[bytes]


def form_of(content: Content) -> Form:
    """The form of a content as it is."""
    return (content.content_id, content.longest_line, content.eight_bit)


class Signer:
    """Signs by the keys of the author's domain. For the event loop it is made on."""

    def __init__(self, database: Database, sealing: Sealing, clock: Callable[[], int]) -> None:
        self._database = database
        self._sealing = sealing
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, "signer")
        self._keys: dict[str, _Keys] = {}
        self._made: dict[Form, _Made] = {}
        self._given: dict[Form, tuple[int, bytes]] = {}
        self._to_make: list[_Wanted] = []
        self._asked_at, self._somebody = -FRESH_MS, False

    async def signed(self, content: Content) -> Content:
        """The same content behind its signatures; as it is when the author's domain has no key.

        Raises `CannotSign` when a key does not open, and what reading the content does: mail does not go out
        unsigned, or signed by half, because something broke.
        """
        fields = await self.signatures(content)
        if not fields:
            return content

        async def chunks() -> AsyncIterator[bytes]:
            before = fields  # in one piece with what follows, as each piece is a system call
            async for octets in content.chunks():
                yield before + octets
                before = b""

        return replace(content, size=len(fields) + content.size, chunks=chunks)

    async def signatures(self, content: Content) -> bytes:
        """The fields to put before it; b"" when the author's domain has no key. Raises what `signed` raises."""
        if not await self.anybody_signs():
            return b""
        given = self._given_for(content)
        return given if given is not None else await asyncio.shield(self._signatures(content))

    def begin(self, content: Content) -> None:
        """It will probably be sent as it is: its signatures may be made meanwhile."""
        if self._somebody and self._given_for(content) is None:
            self._signatures(content)

    def take(self, form: Form, at: int, fields: bytes) -> None:
        """Signatures that another process of ours made for a content, at that time. Thread-safe."""
        _remember(self._given, form, (at, fields))

    def _given_for(self, content: Content) -> bytes | None:
        at, fields = self._given.get(form_of(content), (0, None))
        return fields if at <= self._clock() < at + SERVE_MS else None

    async def anybody_signs(self) -> bool:
        """Whether any domain has a key; if none has, no message need be looked at."""
        now = self._clock()
        if not self._asked_at <= now < self._asked_at + FRESH_MS:
            self._somebody = await self._database.read(register.has_keys)
            self._asked_at = now
        return self._somebody

    def _signatures(self, content: Content) -> asyncio.Task[bytes]:
        """Those made for this form before, or being made."""
        form, now = form_of(content), self._clock()
        made = self._made.get(form)
        if made is None or not made.at <= now < made.at + SERVE_MS:
            made = _Made(now, asyncio.create_task(self._sign(content, now)))
            _remember(self._made, form, made)
            made.task.add_done_callback(lambda task: self._forget_failed(form, task))
        return made.task

    def _forget_failed(self, form: Form, task: asyncio.Task[bytes]) -> None:
        if task.cancelled() or task.exception():
            self._made.pop(form, None)

    async def _sign(self, content: Content, now: int) -> bytes:
        """Read all of it, unless the header section says that nobody signs."""
        covered = dkim.Covered()
        keys: tuple[dkim.SigningKey, ...] | None = None
        async for octets in content.chunks():
            await self._take(covered, octets)
            if keys is None and covered.in_body:
                keys = await self._keys_for(covered.header_section, now)
            if keys == ():
                return b""
        if keys is None:
            keys = await self._keys_for(covered.header_section, now)
        make = partial(dkim.signatures, covered.header_section, covered.body_hash, keys, now // 1000)
        return await self._made_soon(make)

    def _made_soon(self, make: Callable[[], bytes]) -> "asyncio.Future[bytes]":
        """Have it made on a thread, together with all that is to be made now: a thread's trip is for many."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        if not self._to_make:
            loop.call_soon(self._hand_over, loop)
        self._to_make.append((future, make))
        return future

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        some, self._to_make = self._to_make, []
        self._threads.submit(_make, some, loop)

    async def _take(self, covered: dkim.Covered, octets: bytes) -> None:
        if len(octets) <= AT_ONCE:
            covered.take(octets)
        else:
            await asyncio.get_running_loop().run_in_executor(self._threads, covered.take, octets)

    async def _keys_for(self, header_section: bytes, now: int) -> tuple[dkim.SigningKey, ...]:
        name = _author_domain(header_section)
        if name is None:
            return ()
        known = self._keys.get(name)
        if known is None or not known.read_at <= now < known.read_at + FRESH_MS:
            sealed = await self._database.read(lambda connection: register.signing(connection, name, now))
            if known is None or known.sealed != sealed:
                known = _Keys(now, sealed, tuple(map(self._opened, sealed)))
            _remember(self._keys, name, replace(known, read_at=now))
        return known.opened

    def _opened(self, key: register.SealedKey) -> dkim.SigningKey:
        try:
            return key.opened(self._sealing)
        except (WrongKeyError, ValueError) as error:
            raise dkim.CannotSign(f"mail from {key.domain} cannot be signed: {error}") from error


def _make(some: Sequence[_Wanted], loop: asyncio.AbstractEventLoop) -> None:
    results = [(future, _made(make)) for future, make in some]
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(resolve, results)


def _made(make: Callable[[], bytes]) -> bytes | Raised:
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - who waits for it learns of it
        return Raised(error)


def _author_domain(header_section: bytes) -> str | None:
    """The domain of the first author; `None` when From names none, which only our own reports may."""
    author = next((field.body for field in fields_of(header_section) if field.key == b"from"), b"")
    try:
        return next((domain_of(mailbox.address) for mailbox in parse_list(author)), None)
    except BadAddress:
        return None


def _remember(known: dict[K, V], key: K, value: V) -> None:
    """Keep it; what was kept first goes when there are too many."""
    known[key] = value
    if len(known) > REMEMBERED:
        del known[next(iter(known))]
