"""The MTA-STS policies of domains (RFC 8461): found, kept while they hold, fetched again when they change.

A domain that had a policy keeps it until it is over, whatever becomes of its record and its file (section 5.1):
who can suppress those could else suppress TLS.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakValueDictionary

from sqlalchemy import Connection, or_, select

from postroad import maillog, refusals
from postroad.database.engine import Database
from postroad.database.rows import insert_unless_there
from postroad.database.schema import sts_policy
from postroad.relay.resolver import LookupFailedError, NoSuchDomainError, Resolver
from postroad.relay.sts import NoPolicyError, Policy, announced, parse

# Milliseconds for which a domain is not asked again after it could not be, so that each mail need not wait for it.
PAUSE = 5 * 60 * 1000
# Milliseconds after which a policy that has not changed is fetched again, so that it does not run out unnoticed
# (RFC 8461 section 3.3); or half of its time, if that is less.
REFRESH = 24 * 60 * 60 * 1000
# Domains whose failures are remembered at once.
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A policy as it was fetched; times in milliseconds since 1970."""

    policy_id: str
    policy: Policy
    fetched_at: int
    expires_at: int

    def current(self, policy_id: str | None, now: int) -> bool:
        """It need not be fetched again: nothing else is announced, and it is fresh."""
        fresh = now - self.fetched_at < min(REFRESH, (self.expires_at - self.fetched_at) // 2)
        return policy_id is None or (policy_id == self.policy_id and fresh)


@dataclass(frozen=True, slots=True)
class Policies:
    """Finds the policy of a domain; `clock` gives milliseconds since 1970. `fetch` may raise `NoPolicyError`."""

    resolver: Resolver
    fetch: Callable[[str], Awaitable[Policy]]
    database: Database
    clock: Callable[[], int]
    _failed: dict[str, int] = field(default_factory=dict)
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def of(self, domain: str) -> Policy | None:
        """The policy that holds now; `None` when there is none, or none can be had. Raises `StorageUnhealthy`."""
        turn = self._turns.setdefault(domain, asyncio.Lock())
        async with turn:  # of many mails to one domain the first asks, and the others find its answer
            kept = await self.database.read(partial(kept_for, domain=domain, now=self.clock()))
            if not self._paused(domain):
                kept = await self._renewed(domain, kept)
            return kept.policy if kept else None

    async def _renewed(self, domain: str, kept: Kept | None) -> Kept | None:
        """What the domain says now; what was kept, if that cannot be found out."""
        try:
            policy_id = announced(await self.resolver.texts(f"_mta-sts.{domain}"))
        except NoSuchDomainError:
            return kept
        except LookupFailedError:
            self._pause(domain)
            return kept
        if policy_id is None or (kept and kept.current(policy_id, self.clock())):
            return kept
        try:
            policy = await self.fetch(domain)
        except NoPolicyError as error:
            maillog.policy_missed(domain, error.result, str(error))
            self._pause(domain)
            return kept
        now = self.clock()
        fetched = Kept(policy_id, policy, now, now + policy.max_age * 1000)
        with contextlib.suppress(refusals.StorageUnhealthy):  # it holds for this mail, and is fetched again
            await self.database.commit(partial(keep, domain=domain, kept=fetched))
        return fetched

    def _paused(self, domain: str) -> bool:
        return self.clock() < self._failed.get(domain, 0)

    def _pause(self, domain: str) -> None:
        if len(self._failed) >= REMEMBERED:
            self._failed.clear()
        self._failed[domain] = self.clock() + PAUSE


def kept_for(connection: Connection, domain: str, now: int) -> Kept | None:
    """The policy of a domain that was kept and still holds."""
    row = connection.execute(
        select(sts_policy).where(sts_policy.c.domain == domain, sts_policy.c.expires_at > now)
    ).one_or_none()
    return Kept(row.policy_id, parse(row.policy), row.fetched_at, row.expires_at) if row else None


def keep(connection: Connection, domain: str, kept: Kept) -> None:
    """Keep a policy in the place of the one before; those that are over go. Of two nodes the first is enough."""
    over = or_(sts_policy.c.domain == domain, sts_policy.c.expires_at <= kept.fetched_at)
    connection.execute(sts_policy.delete().where(over))
    values = {"policy_id": kept.policy_id, "policy": str(kept.policy), "fetched_at": kept.fetched_at}
    insert_unless_there(connection, sts_policy, {"domain": domain, "expires_at": kept.expires_at, **values})
