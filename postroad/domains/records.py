"""The DNS records by which receivers know a sending domain's mail for its own. Pure: facts in, records out."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from postroad.domains.register import SendingDomain

Address = IPv4Address | IPv6Address

# RFC 1035 section 3.3: what one string of a TXT record holds; a longer value is several, read as one.
STRING_OCTETS = 255
# RFC 8461 section 3.2: how long a policy is remembered; a week, as long as it is only being tried.
STS_MAX_AGE = 604_800
_UNSAFE = re.compile(r'["\\]|[^ -~]')


@dataclass(frozen=True, slots=True)
class Record:
    """A record to publish. `name` and `value` are without quotes and last dots, a TXT value in one piece."""

    name: str
    type: str
    value: str


@dataclass(frozen=True, slots=True)
class Host:
    """What sends the mail: its name in EHLO, its public addresses, and the SPF records to include.

    `include` names the domain whose SPF record tells the addresses of a smart host, where there is one.
    """

    name: str
    addresses: tuple[Address, ...] = ()
    include: str = ""


def records(domain: SendingDomain, host: Host, now: int, exchangers: Sequence[str] = ()) -> list[Record]:
    """All that should be in the DNS of the domain and of its host; `exchangers` are the domain's own MX hosts.

    They are needed for MTA-STS, a promise of those that receive the domain's mail. Retired keys are left out.
    """
    keys = [key for key in domain.keys if key.state(now) != "retired"]
    return [
        *(
            Record(f"{key.selector}._domainkey.{key.domain}", "TXT", dkim(key.algorithm, key.public_key))
            for key in keys
        ),
        *([Record(domain.domain, "TXT", spf(host))] if spf(host) else []),
        Record(f"_dmarc.{domain.domain}", "TXT", dmarc(domain.domain)),
        *mta_sts(domain.domain, exchangers),
        Record(f"_smtp._tls.{domain.domain}", "TXT", tls_reports(domain.domain)),
        *of_host(host),
    ]


def dkim(algorithm: str, public_key: str) -> str:
    """The record of a key (RFC 6376 section 3.6.1)."""
    return f"v=DKIM1; k={algorithm}; p={public_key}"


def spf(host: Host) -> str:
    """Who may send (RFC 7208); "" when nobody is known. ~all, as some refuse by -all before they see DKIM."""
    terms = [f"ip{address.version}:{address}" for address in host.addresses]
    terms += [f"include:{host.include}"] if host.include else []
    return " ".join(["v=spf1", *terms, "~all"]) if terms else ""


def dmarc(domain: str) -> str:
    """What becomes of mail that proves nothing (RFC 7489 section 6.3): nothing yet, but reports come."""
    return f"v=DMARC1; p=none; rua=mailto:postmaster@{domain}"


def tls_reports(domain: str) -> str:
    """Where others report that they could not send by TLS (RFC 8460 section 3)."""
    return f"v=TLSRPTv1; rua=mailto:postmaster@{domain}"


def mta_sts(domain: str, exchangers: Sequence[str]) -> list[Record]:
    """The record that says there is a policy, and which (RFC 8461 section 3.1); none without MX hosts."""
    if not exchangers:
        return []
    # The id must change with the policy; so it is made of it.
    number = hashlib.sha256(sts_policy(exchangers).encode()).hexdigest()[:32]
    return [Record(f"_mta-sts.{domain}", "TXT", f"v=STSv1; id={number}")]


def sts_policy(exchangers: Iterable[str], mode: str = "testing") -> str:
    """The policy to serve at https://mta-sts.DOMAIN/.well-known/mta-sts.txt (RFC 8461 section 3.2)."""
    hosts = [f"mx: {host}" for host in exchangers]
    return "".join(
        f"{line}\r\n" for line in ("version: STSv1", f"mode: {mode}", *hosts, f"max_age: {STS_MAX_AGE}")
    )


def of_host(host: Host) -> list[Record]:
    """The host's own records: its addresses and back, and SPF for mail from `<>` (RFC 7208 section 2.4)."""
    if not host.addresses:
        return []
    return [
        *(Record(host.name, "A" if address.version == 4 else "AAAA", str(address)) for address in host.addresses),
        Record(host.name, "TXT", "v=spf1 a -all"),
        *(Record(address.reverse_pointer, "PTR", host.name) for address in host.addresses),
    ]


def zone(found: Iterable[Record]) -> str:
    """The records as lines of a zone file (RFC 1035 section 5.1); PTR as comments, for they are another's zone."""
    return "".join(f"{_line(record)}\n" for record in found)


def _line(record: Record) -> str:
    if record.type == "TXT":
        return f"{record.name}. IN TXT {_strings(record.value)}"
    if record.type == "PTR":
        return f"; at the provider of the address: {record.name}. IN PTR {record.value}."
    return f"{record.name}. IN {record.type} {record.value}"


def _strings(value: str) -> str:
    octets = value.encode()
    pieces = (octets[at : at + STRING_OCTETS] for at in range(0, len(octets), STRING_OCTETS))
    return " ".join(f'"{_UNSAFE.sub(_escape, piece.decode("latin-1"))}"' for piece in pieces)


def _escape(character: re.Match[str]) -> str:
    return f"\\{ord(character[0]):03d}"
