"""Where mail goes next: to the mail servers of the recipient's domain, in the order of RFC 5321 section 5.1."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, zip_longest
from typing import ClassVar

from postroad.mail.reply import Reply, ours
from postroad.relay.addresses import Address, Network, permitted
from postroad.relay.resolver import Exchange, LookupFailedError, NoSuchDomainError, Resolver
from postroad.smtp.authentication import Login

SMTP_PORT = 25
# Addresses tried in one attempt, and exchanges whose addresses are looked up for it (Postfix's figure is 5).
MOST_TARGETS = 5
MOST_EXCHANGES = 10

# What to log in with, as it is now. OSError or ValueError when that cannot be known.
FindLogin = Callable[[], Login]


@dataclass(frozen=True, slots=True)
class NextHop:
    """A mail server to hand messages to: a smart host, by a name that the system looks up.

    `implicit_tls`: TLS comes first (RFC 8314), not by STARTTLS. `login`: what we log in with there.
    """

    host: str
    port: int
    implicit_tls: bool = False
    login: FindLogin | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def address(self) -> str:
        """What to connect to."""
        return self.host


@dataclass(frozen=True, slots=True)
class Target:
    """One address of a mail exchanger: the one that was checked is the one that is connected to."""

    implicit_tls: ClassVar[bool] = False
    login: ClassVar[None] = None

    host: str
    address: str
    port: int = SMTP_PORT

    def __str__(self) -> str:
        return f"{self.host}[{self.address}]:{self.port}"


Hop = NextHop | Target


@dataclass(frozen=True, slots=True)
class Route:
    """Hops in the order in which to try them; `authentic`: DNSSEC proves that they are the domain's."""

    hops: tuple[Hop, ...]
    authentic: bool = False


class CannotRouteError(Exception):
    """There is nobody to hand this mail to, for now or for good: the reply says which."""

    def __init__(self, code: int, status: str, text: str) -> None:
        super().__init__(text)
        self.reply: Reply = ours(code, status, text)


FindRoute = Callable[[], Awaitable[Route]]


def fixed(*hops: NextHop) -> FindRoute:
    """The way through smart hosts, whatever the domain; they may be anywhere, as the operator named them."""

    async def find() -> Route:
        return Route(hops)

    return find


@dataclass(frozen=True, slots=True)
class ByExchange:
    """Finds routes by MX. `own` are names of this very server, `allowed` networks beside the public ones."""

    resolver: Resolver
    own: frozenset[str]
    allowed: Collection[Network] = ()
    port: int = SMTP_PORT
    chance: random.Random = random.Random()  # noqa: RUF009, S311 - shared by all, and no secret

    def to(self, domain: str) -> FindRoute:
        """The way to a domain."""

        async def find() -> Route:
            return await self.find(domain)

        return find

    async def find(self, domain: str) -> Route:
        """The hops of a domain, at most five. Raises `CannotRouteError`."""
        exchanges, authentic = await self._exchanges(domain)
        candidates = ordered(usable(domain, exchanges, self.own), self.chance)[:MOST_EXCHANGES]
        hops: list[Target] = []
        troubles: list[CannotRouteError] = []
        for one in candidates:
            try:
                hops.extend(
                    Target(one.host, str(address), self.port) for address in await self._addresses(one.host)
                )
            except CannotRouteError as trouble:
                troubles.append(trouble)
            if len(hops) >= MOST_TARGETS:
                break
        if not hops:
            raise min(troubles, key=lambda trouble: trouble.reply.code)  # what may mend itself counts
        return Route(tuple(hops[:MOST_TARGETS]), authentic)

    async def _exchanges(self, domain: str) -> tuple[Sequence[Exchange], bool]:
        try:
            return await self.resolver.exchanges(domain)
        except NoSuchDomainError as error:
            raise CannotRouteError(550, "5.1.2", str(error)) from error
        except LookupFailedError as error:
            raise CannotRouteError(451, "4.4.3", str(error)) from error

    async def _addresses(self, host: str) -> tuple[Address, ...]:
        """Where this host may be reached, both families by turns. Raises `CannotRouteError`."""
        kinds = ("AAAA", "A")
        answers = await asyncio.gather(
            *(self.resolver.addresses(host, kind) for kind in kinds), return_exceptions=True
        )
        found = [answer[0] if isinstance(answer, tuple) else () for answer in answers]
        if reachable := [one for one in by_turns(*found, chance=self.chance) if permitted(one, self.allowed)]:
            return tuple(reachable)
        if any(found):
            raise CannotRouteError(550, "5.4.4", f"{host} has no public address")
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, NoSuchDomainError):
                raise CannotRouteError(451, "4.4.3", str(answer)) from answer
        raise CannotRouteError(550, "5.4.4", f"{host} has no address")


def usable(domain: str, exchanges: Sequence[Exchange], own: Collection[str]) -> list[Exchange]:
    """The exchanges that may be tried; without any, the domain itself is one. Raises `CannotRouteError`.

    A null MX (RFC 7505) alone says that there is no mail; among others it is nothing. We and whoever comes after
    us would send it back to us (RFC 5321 section 5.1).
    """
    if not exchanges:
        exchanges = [Exchange(0, domain)]
    named = [one for one in exchanges if one.host]
    if not named:
        raise CannotRouteError(556, "5.1.10", f"{domain} takes no mail (null MX)")
    ours_ = min((one.preference for one in named if one.host in own), default=1 << 16)
    before_us = [one for one in named if one.preference < ours_]
    if not before_us:
        raise CannotRouteError(554, "5.4.6", f"mail for {domain} would come back to this server: it is its MX")
    return before_us


def ordered(exchanges: Sequence[Exchange], chance: random.Random) -> list[Exchange]:
    """By preference, equal ones in an order of chance, each host once."""
    ranked = sorted(exchanges, key=lambda one: one.preference)
    groups = [list(group) for _, group in groupby(ranked, key=lambda one: one.preference)]
    for group in groups:
        chance.shuffle(group)
    first: dict[str, Exchange] = {}
    for one in chain(*groups):
        first.setdefault(one.host, one)
    return list(first.values())


def by_turns(*families: Sequence[Address], chance: random.Random) -> list[Address]:
    """One of each family in turn, so that a family that is dead here costs every other try at most."""
    shuffled = [chance.sample(list(family), len(family)) for family in families]
    return [one for turn in zip_longest(*shuffled) for one in turn if one is not None]
