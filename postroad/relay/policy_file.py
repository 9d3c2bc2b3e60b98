"""Fetching a domain's MTA-STS policy file (RFC 8461 section 3.3): one request, no redirect, little of anything."""

import asyncio
import socket
import ssl
from collections.abc import Collection
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from postroad.relay.addresses import Network, permitted
from postroad.relay.resolver import LookupFailedError, NoSuchDomainError, Resolver
from postroad.relay.security import Result
from postroad.relay.sts import BadPolicyError, NoPolicyError, Policy, parse

HTTPS_PORT = 443
# Octets of a file that are read (RFC 8461 section 3.3 suggests 64 kilobytes), and seconds for all of it.
MOST_OCTETS = 64 * 1024
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """Fetches policy files; `context` says whom to trust, `allowed` are networks beside the public ones."""

    resolver: Resolver
    context: ssl.SSLContext
    allowed: Collection[Network] = ()
    port: int = HTTPS_PORT
    patience: float = PATIENCE

    async def fetch(self, domain: str) -> Policy:
        """The policy of a domain. Raises `NoPolicyError`, whatever the other side does."""
        try:
            return parse((await self._octets(domain)).decode())
        except (BadPolicyError, UnicodeDecodeError) as error:
            raise NoPolicyError(Result.STS_POLICY_INVALID, f"the policy file is wrong: {error}") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise NoPolicyError(Result.STS_WEBPKI_INVALID, _words(error)) from error
        except (aiohttp.ClientError, asyncio.IncompleteReadError, OSError, ValueError) as error:
            raise NoPolicyError(Result.STS_POLICY_FETCH_ERROR, _words(error)) from error

    async def _octets(self, domain: str) -> bytes:
        """The file itself, which must be all there within the time."""
        connector = aiohttp.TCPConnector(
            resolver=_Checked(self.resolver, self.allowed), ssl=self.context, use_dns_cache=False, force_close=True
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=self.patience),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"Accept-Encoding": "identity", "User-Agent": "Postroad"},
            ) as session,
            session.get(
                f"https://mta-sts.{domain}:{self.port}/.well-known/mta-sts.txt", allow_redirects=False
            ) as answer,
        ):
            if answer.status != 200:
                raise aiohttp.ClientError(f"the answer was {answer.status}, not 200")
            if answer.content_type != "text/plain":
                raise aiohttp.ClientError("the answer was not text/plain")
            return await _at_most(answer.content)


async def _at_most(body: aiohttp.StreamReader) -> bytes:
    try:
        await body.readexactly(MOST_OCTETS + 1)
    except asyncio.IncompleteReadError as whole:
        return whole.partial
    raise aiohttp.ClientError(f"the file has more than {MOST_OCTETS} octets")


class _Checked(AbstractResolver):
    """Gives aiohttp the addresses that mail may be carried to; it connects to these and asks nobody else."""

    def __init__(self, resolver: Resolver, allowed: Collection[Network]) -> None:
        self._resolver = resolver
        self._allowed = allowed

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - aiohttp wants what there is
    ) -> list[ResolveResult]:
        """Of both families. Raises OSError when there is none."""
        found = []
        for kind, of in (("AAAA", socket.AF_INET6), ("A", socket.AF_INET)):
            try:
                addresses, _ = await self._resolver.addresses(host, kind)
            except (NoSuchDomainError, LookupFailedError):
                continue
            found += [(str(one), of) for one in addresses if permitted(one, self._allowed)]
        if not found:
            raise OSError(f"{host} has no public address")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=of, proto=0, flags=socket.AI_NUMERICHOST)
            for address, of in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _words(error: BaseException) -> str:
    """What went wrong, of moderate length; aiohttp's own errors often hide it behind the address."""
    cause = error.__cause__ or error
    return " ".join((str(cause) or type(cause).__name__).split())[:300]
