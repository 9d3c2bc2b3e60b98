"""Questions to the DNS, one at a time and with an end; `dnspython` asks them."""

from collections.abc import Callable

import dns.exception
import dns.rdata
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT

# Seconds for one question, over all name servers.
PATIENCE = 5.0
# Answers of more records than these are cut: nobody needs them, and each costs a question more.
MAX_RECORDS = 100

# The records of a name and type, as text: without last dots, a TXT in one piece, names in lower case. None is an
# answer, too: (). Raises `UnansweredError`.
Look = Callable[[str, str], tuple[str, ...]]


class UnansweredError(Exception):
    """The DNS gave no answer, which says nothing about what is there."""


def look_up(nameserver: tuple[str, int] | None = None, patience: float = PATIENCE) -> Look:
    """Ask this name server (address, port), or the machine's own. Raises `UnansweredError` if it has none."""
    resolver = _resolver(nameserver)

    def look(name: str, kind: str) -> tuple[str, ...]:
        try:
            answer = resolver.resolve(name, kind, search=False, lifetime=patience)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except (dns.exception.DNSException, OSError) as error:
            raise UnansweredError(f"{name} {kind}: {type(error).__name__}") from None
        return tuple(map(_text, list(answer)[:MAX_RECORDS]))

    return look


def _resolver(nameserver: tuple[str, int] | None) -> dns.resolver.Resolver:
    try:
        resolver = dns.resolver.Resolver(configure=nameserver is None)
    except dns.exception.DNSException as error:
        raise UnansweredError(f"this machine has no name server: {error}") from None
    if nameserver is not None:
        resolver.nameservers, resolver.port = [nameserver[0]], nameserver[1]
    return resolver


def _text(record: dns.rdata.Rdata) -> str:
    if isinstance(record, TXT):
        return b"".join(record.strings).decode("latin-1")
    return record.to_text().lower().removesuffix(".")
