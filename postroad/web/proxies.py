"""Proxies in front, and whom they speak for; what anybody else says of that is not read (hardening.md G14)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from postroad.web.requests import Request

# What proxies add, each at the end the address it was asked from; more of them than this are somebody's play.
_FORWARDED_FOR = b"x-forwarded-for"
_MAX_HOPS = 32


@dataclass(frozen=True, slots=True)
class Proxies:
    """The networks of the proxies in front of this server.

    Which scheme and host they were asked for need not be read: they end TLS, and our addresses are settings.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def behind(self, request: Request) -> Request:
        """The request as of who asked the outermost of our proxies; as it is, when no proxy of ours brought it."""
        if not self.networks or _FORWARDED_FOR not in request.headers or not self._are(request.peer):
            return request
        hops = request.headers[_FORWARDED_FOR].decode("latin-1").split(",")[-_MAX_HOPS:]
        return replace(request, peer=self._first_other([hop.strip() for hop in hops]) or request.peer)

    def _first_other(self, hops: Sequence[str]) -> str:
        """From behind, the first that is no proxy of ours: what stands before it, he may have written himself."""
        for hop in reversed(hops):
            if _address(hop) is None:
                return ""
            if not self._are(hop):
                return hop
        return hops[0]

    def _are(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self.networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address; an IPv4 one that came by a socket of IPv6 is itself."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
