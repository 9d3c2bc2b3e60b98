"""What a sending domain has to publish, and what it has published: an order's facts and the DNS's answers.

Loaded by the commands that need it, as DNS and cryptography are slow to load. Nothing here is in a transaction.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from ipaddress import ip_address
from typing import Any

from postroad.clock import clock
from postroad.domains import check, records
from postroad.domains.lookup import UnansweredError, look_up
from postroad.domains.records import Host, Record
from postroad.domains.register import Key, SendingDomain
from postroad.orders.domains import fresh_keys
from postroad.refusals import Failure
from postroad.settings import Settings, load

__all__ = ["Publishing", "fresh_keys"]


@dataclass(frozen=True, slots=True)
class Publishing:
    """A sending domain as an order told of it, and the host that its mail leaves by."""

    domain: SendingDomain
    host: Host
    settings: Settings

    @classmethod
    def of(
        cls, told: Mapping[str, Any], flags: Mapping[str, Any], addresses: Sequence[str] = (), include: str = ""
    ) -> "Publishing":
        """The host is named by the setting `hostname`, else by the server that ran last, else by this machine."""
        keys = tuple(Key(**{name: key[name] for name in Key.__slots__}) for key in told["keys"])
        settings = load(flags, os.environ, {"hostname": told["hostname"]})
        host = Host(settings.hostname.lower(), tuple(map(ip_address, addresses)), include)
        return cls(SendingDomain(told["domain"], told["created_at"], keys), host, settings)

    def records(self) -> list[Record]:
        """All that is to be published."""
        return records.records(self.domain, self.host, clock())

    def keys_of(self, made_at: int) -> list[Record]:
        """The records of the keys made then."""
        keys = tuple(key for key in self.domain.keys if key.created_at == made_at)
        found = records.records(replace(self.domain, keys=keys), self.host, made_at)
        return [one for one in found if "._domainkey." in one.name]

    def findings(self) -> list[dict[str, Any]]:
        """What the DNS says; a host without addresses has those of its name. Raises `Failure`."""
        try:
            look = look_up(self.settings.name_server)
            host = self.host if self.host.addresses else check.seen(self.host, look)
        except UnansweredError as error:
            raise Failure(f"the DNS did not answer ({error}): ask again later") from None
        return [asdict(one) | {"bad": one.bad} for one in check.check(self.domain, host, look, clock())]


def zone(found: Sequence[Record]) -> str:
    """The records as lines of a zone file."""
    return records.zone(found)
