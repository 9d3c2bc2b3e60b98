"""Whether a domain's SPF record lets an address send (RFC 7208), as receivers will judge it."""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from postroad.domains.lookup import Look, UnansweredError

# RFC 7208 section 4.6.4: terms that ask the DNS, beyond which a record is an error; and hosts of one mx.
MAX_LOOKUPS = 10
MAX_HOSTS = 10

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# RFC 7208 section 12: directive = [ qualifier ] mechanism; modifier = name "=" macro-string
_DIRECTIVE = re.compile(r"([+?~-]?)([a-z0-9]+)(?::([^/]*))?(/\d{1,3})?(?:/(/\d{1,3}))?")
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)")
_RESULTS = {"": "pass", "+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_ASKING = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})


class Verdict(NamedTuple):
    """A result of RFC 7208 section 2.6, or `unknown` where it depends on what only a message tells; and why."""

    result: str
    why: str = ""


class _StopError(Exception):
    """No further term counts."""

    def __init__(self, result: str, why: str) -> None:
        self.verdict = Verdict(result, why)


def is_spf(text: str) -> bool:
    """Whether a TXT record is one of SPF (section 4.5)."""
    return text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")


def judge(address: Address, domain: str, look: Look) -> Verdict:
    """What receivers make of mail from that address in the name of that domain."""
    try:
        return Verdict(_Check(address, look).host(domain))
    except _StopError as stop:
        return stop.verdict
    except UnansweredError as error:
        return Verdict("temperror", str(error))


@dataclass(slots=True)
class _Check:
    """One check_host() (section 4): the address, and how many lookups are left."""

    address: Address
    look: Look
    left: int = field(default=MAX_LOOKUPS)

    def host(self, domain: str) -> str:
        """The result of a domain's record; the first directive that matches decides."""
        found = [text for text in self.look(domain, "TXT") if is_spf(text)]
        if len(found) > 1:
            raise _StopError("permerror", f"{domain} has {len(found)} SPF records")
        if not found:
            return "none"
        redirect = ""
        for term in found[0].lower().split()[1:]:
            modifier = _MODIFIER.fullmatch(term)
            if modifier:
                redirect = modifier[2] if modifier[1] == "redirect" else redirect
            elif (result := self._directive(term, domain)) is not None:
                return result
        return self._redirected(redirect) if redirect else "neutral"

    def _redirected(self, domain: str) -> str:
        self._count("redirect", domain)
        result = self.host(domain)
        if result == "none":
            raise _StopError("permerror", f"redirect={domain} leads to no SPF record")
        return result

    def _directive(self, term: str, domain: str) -> str | None:
        """Its result if it matches."""
        directive = _DIRECTIVE.fullmatch(term)
        if directive is None:
            raise _StopError("permerror", f"{term} is no term of SPF")
        qualifier, mechanism, value, short, long = directive.groups()
        self._count(mechanism, value or domain)
        for_v6 = self.address.version == 6 and mechanism in ("a", "mx")
        prefix = (long if for_v6 else short) or ""
        return _RESULTS[qualifier] if self._matches(mechanism, value or domain, prefix) else None

    def _count(self, mechanism: str, value: str) -> None:
        if "%" in value:
            raise _StopError("unknown", f"{mechanism}:{value} depends on the message")
        if mechanism in _ASKING:
            self.left -= 1
        if self.left < 0:
            raise _StopError("permerror", f"it takes more than {MAX_LOOKUPS} lookups")

    def _matches(self, mechanism: str, value: str, prefix: str) -> bool:
        match mechanism:
            case "all":
                return True
            case "ip4" | "ip6":
                return self._within(value + prefix)
            case "include":
                return self._included(value)
            case "a" | "mx":
                hosts = [value] if mechanism == "a" else self._exchangers(value)
                return any(self._of_host(host, prefix) for host in hosts)
            case "exists":
                return bool(self.look(value, "A"))
            case "ptr":  # section 5.5: do not use; what rests on it alone is not safe
                return False
        raise _StopError("permerror", f"{mechanism} is no mechanism of SPF")

    def _included(self, domain: str) -> bool:
        result = self.host(domain)
        if result == "none":
            raise _StopError("permerror", f"include:{domain} leads to no SPF record")
        return result == "pass"

    def _within(self, network: str) -> bool:
        try:
            return self.address in ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise _StopError("permerror", f"{network} is no network") from None

    def _exchangers(self, domain: str) -> list[str]:
        return [text.split()[-1] for text in self.look(domain, "MX")[:MAX_HOSTS]]

    def _of_host(self, host: str, prefix: str) -> bool:
        found = self.look(host, "A" if self.address.version == 4 else "AAAA")
        return any(self._within(address + prefix) for address in found)
