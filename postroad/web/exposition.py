"""/metrics, for Prometheus: to peers on this machine, or to whoever shows the token, if one is set."""

import hmac
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from prometheus_client.core import Metric

from postroad import metrics, refusals
from postroad.database.engine import Database
from postroad.queue.depth import depth
from postroad.web.requests import Request
from postroad.web.responses import Response

_TEXT = b"text/plain; charset=utf-8"
# What a proxy adds (RFC 7239, RFC 9110 section 7.6.3): its peer is not who asks.
_FORWARDED = (b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip")
# By another name a page in a browser here asks for itself: its own name, pointed at this machine (DNS rebinding).
_LOCAL_HOST = re.compile(rb"(localhost|127(\.[0-9]{1,3}){3}|\[::1\]|)(:[0-9]{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Exposition:
    """Answers /metrics. `token` "" stands for none; then `loopback` says whether peers here may ask.

    `elsewhere` tells what was counted in another process of this server.
    """

    database: Database
    clock: Callable[[], int]
    token: str = ""
    loopback: bool = True
    elsewhere: Callable[[], Awaitable[Sequence[Metric]]] | None = None

    async def answer(self, request: Request) -> Response:
        """The metrics, or why not."""
        if self.token:
            if not _shows(request, self.token):
                return Response(401, _TEXT, b"metrics_token is wanted\n", ((b"www-authenticate", b"Bearer"),))
        elif not (self.loopback and _is_here(request)):
            return Response(403, _TEXT, b"served to this machine alone; elsewhere set metrics_token\n")
        elsewhere = await self.elsewhere() if self.elsewhere else ()
        return Response(200, metrics.MEDIA_TYPE, metrics.exposition(await self._state(), elsewhere))

    async def _state(self) -> metrics.State:
        """What is asked now. When storage fails, the rest is wanted more than ever."""
        health, now = self.database.health, self.clock()
        try:
            found = await self.database.read(lambda connection: depth(connection, now))
        except refusals.StorageUnhealthy:
            return metrics.State(self._kind, health.trusted, health.free())
        return metrics.State(
            self._kind,
            health.trusted,
            health.free(),
            found.recipients,
            max(now - (now if found.oldest_accepted_at is None else found.oldest_accepted_at), 0) / 1000,
        )

    @property
    def _kind(self) -> str:
        return "sqlite" if self.database.alone else "postgresql"


def _shows(request: Request, token: str) -> bool:
    scheme, _, credential = request.headers.get(b"authorization", b"").partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(credential.strip(b" "), token.encode())


def _is_here(request: Request) -> bool:
    """Whether the peer is on this machine, and speaks for itself."""
    try:
        peer = ip_address(request.peer)
    except ValueError:
        return False
    mapped = peer.ipv4_mapped if isinstance(peer, IPv6Address) else None
    by_local_name = _LOCAL_HOST.fullmatch(request.headers.get(b"host", b"")) is not None
    return (mapped or peer).is_loopback and by_local_name and request.headers.keys().isdisjoint(_FORWARDED)
