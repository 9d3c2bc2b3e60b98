"""Which addresses mail may be carried to: public ones, so that nobody reaches this network by way of us.

The registries of special addresses (RFC 6890) are written out, as Python's `is_global` takes several of them for
public (hardening.md 2F1); an IPv4 address in IPv6 clothes may mean a private one, and is none either.
"""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SPECIAL: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network (RFC 1122)
            "10.0.0.0/8",  # private (RFC 1918)
            "100.64.0.0/10",  # shared by carriers (RFC 6598)
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local (RFC 3927)
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments (RFC 6890)
            "192.0.2.0/24",  # documentation (RFC 5737)
            "192.88.99.0/24",  # 6to4 relays (RFC 7526)
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks (RFC 2544)
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
            "2001::/23",  # Teredo and other protocol assignments (RFC 2928)
            "2001:db8::/32",  # documentation (RFC 3849)
            "2002::/16",  # IPv4 through 6to4 (RFC 3056)
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)


# All that is global unicast so far (RFC 4291 section 2.4, and IANA's registry); outside of it are loopback, IPv4
# in many clothes, local, multicast and unassigned addresses.
_GLOBAL_UNICAST = IPv6Network("2000::/3")


def public(address: Address) -> bool:
    """Whether this address is anybody's on the Internet."""
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return False
    return not any(address in network for network in _SPECIAL)


def permitted(address: Address, allowed: Collection[Network]) -> bool:
    """Whether mail may be carried to this address: it is public, or of a network that the operator allows."""
    return public(address) or any(address in network for network in allowed)
