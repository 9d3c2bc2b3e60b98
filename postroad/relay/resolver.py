"""Questions to the DNS, remembered for their time to live. What is bad about an answer is one of two errors.

dnspython asks, over UDP and then TCP, follows CNAMEs and checks that answers fit their questions. An answer counts
as authentic only when the operator named a resolver that validates (RFC 4035 section 3.2.3): `trusted`.
"""

from dataclasses import dataclass, field
from ipaddress import ip_address

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.name
import dns.rdatatype
import dns.resolver

from postroad.relay.addresses import Address
from postroad.relay.dane import Association

# The whole of one question: two tries of UDP, and TCP.
LIFETIME_SECONDS = 15.0
TRY_SECONDS = 5.0
# Answers remembered at once.
REMEMBERED = 10_000
# Records of one answer that are looked at: what is more is no mail setup (as Postfix since 3.9).
MOST_RECORDS = 100


class NoSuchDomainError(Exception):
    """The name does not exist (RFC 8020), or cannot be a name at all."""


class LookupFailedError(Exception):
    """Nobody knows now: no answer in time, SERVFAIL, an answer that is broken, a loop of CNAMEs."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """An MX record (RFC 5321 section 5.1); the host is in lower case, without the final dot, "" for the root."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class Found:
    """Records of one kind, none if there are none; `authentic`: proven by DNSSEC; `name`: whose, after aliases."""

    records: tuple[object, ...] = ()
    authentic: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Resolver:
    """Asks `nameserver` (host, port), or those of this machine. `trusted`: its word on DNSSEC counts."""

    nameserver: tuple[str, int] | None = None
    trusted: bool = False
    lifetime: float = LIFETIME_SECONDS
    _asker: dns.asyncresolver.Resolver = field(init=False)

    def __post_init__(self) -> None:
        asker = dns.asyncresolver.Resolver(configure=self.nameserver is None)
        if self.nameserver is not None:
            host, asker.port = self.nameserver
            asker.nameservers = [host]
        asker.timeout, asker.lifetime = min(TRY_SECONDS, self.lifetime), self.lifetime
        asker.cache = dns.resolver.LRUCache(REMEMBERED)
        asker.use_edns(0, dns.flags.DO if self.trusted else 0, 1232)
        object.__setattr__(self, "_asker", asker)

    async def ask(self, name: str, kind: str) -> Found:
        """The records of that kind; at most 100. Raises `NoSuchDomainError`, `LookupFailedError`."""
        try:
            answer = await self._asker.resolve(
                dns.name.from_text(name), kind, raise_on_no_answer=False, search=False, lifetime=self.lifetime
            )
        except (dns.resolver.NXDOMAIN, dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel):
            raise NoSuchDomainError(f"there is no domain {name}") from None
        except (dns.exception.DNSException, OSError, UnicodeError, ValueError) as error:
            raise LookupFailedError(f"{kind} of {name}: {_words(error)}") from error
        authentic = self.trusted and bool(answer.response.flags & dns.flags.AD)
        return Found(tuple(answer.rrset or ())[:MOST_RECORDS], authentic, _host(answer.canonical_name))

    async def exchanges(self, domain: str) -> tuple[tuple[Exchange, ...], bool]:
        """The MX records of a domain, and whether they are authentic. Raises as `ask`."""
        found = await self.ask(domain, "MX")
        return tuple(Exchange(one.preference, _host(one.exchange)) for one in found.records), found.authentic  # type: ignore[attr-defined]

    async def addresses(self, host: str, kind: str) -> tuple[tuple[Address, ...], bool]:
        """The addresses of a host, of kind A or AAAA, and whether they are authentic. Raises as `ask`."""
        found = await self.ask(host, kind)
        return tuple(ip_address(one.address) for one in found.records), found.authentic  # type: ignore[attr-defined]

    async def associations(self, name: str) -> tuple[Association, ...]:
        """The authentic TLSA records of a name; none if it does not exist. Raises `LookupFailedError`."""
        try:
            found = await self.ask(name, "TLSA")
        except NoSuchDomainError:
            return ()
        records = found.records if found.authentic else ()
        return tuple(Association(one.usage, one.selector, one.mtype, one.cert) for one in records)  # type: ignore[attr-defined]

    async def texts(self, name: str) -> tuple[str, ...]:
        """The TXT records of a name, each in one piece (RFC 7208 section 3.3). Raises as `ask`."""
        found = await self.ask(name, "TXT")
        return tuple(b"".join(one.strings).decode("utf-8", "replace") for one in found.records)  # type: ignore[attr-defined]


def _host(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""


def _words(error: BaseException) -> str:
    """What went wrong, in one line of moderate length."""
    return " ".join((str(error) or type(error).__name__).split())[:300]
