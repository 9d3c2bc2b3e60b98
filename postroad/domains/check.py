"""What the DNS says of a sending domain today: what is good, what is missing or wrong, and the cure of each."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from postroad.domains import records, spf
from postroad.domains.lookup import Look, UnansweredError
from postroad.domains.records import Address, Host
from postroad.domains.register import Key, SendingDomain, upwards

# How many questions are with the name servers at once.
AT_ONCE = 8
# RFC 8461 section 3.1: sts-id = 1*32(ALPHA / DIGIT)
_STS_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_PUBLISH = "publish this record"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found at `name`, and in `text` the cure; `publish` is the value that should stand there.

    `state` is good, advice, missing, wrong, or unknown where the DNS did not answer.
    """

    about: str
    name: str
    state: str
    text: str
    publish: str = ""

    @property
    def bad(self) -> bool:
        """Whether mail suffers from it."""
        return self.state in ("missing", "wrong")


@dataclass(frozen=True, slots=True)
class _Case:
    """What is checked."""

    domain: SendingDomain
    host: Host
    look: Look
    now: int

    @property
    def name(self) -> str:
        return self.domain.domain

    def texts(self, name: str, version: str) -> list[str]:
        """The TXT records that begin so."""
        return [text for text in self.look(name, "TXT") if text.lower().startswith(version.lower())]


def seen(host: Host, look: Look) -> Host:
    """The host with the addresses that the DNS tells of its name. Raises `UnansweredError`."""
    found = (*look(host.name, "A"), *look(host.name, "AAAA"))
    return replace(host, addresses=tuple(map(ipaddress.ip_address, found)))


def check(domain: SendingDomain, host: Host, look: Look, now: int) -> list[Finding]:
    """Look at all that concerns the domain and its host; some twenty questions, `AT_ONCE` of them together."""
    case = _Case(domain, host, look, now)
    checks = [*(_of_key(key) for key in domain.keys), *_CHECKS]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return [finding for found in threads.map(lambda one: _answered(one, case), checks) for finding in found]


def _answered(one: "_Check", case: _Case) -> list[Finding]:
    try:
        return list(one.findings(case))
    except UnansweredError as error:
        return [Finding(one.about, case.name, "unknown", f"the DNS did not answer ({error}): ask again later")]


@dataclass(frozen=True, slots=True)
class _Check:
    """One thing to look at."""

    about: str
    findings: Callable[[_Case], Iterator[Finding]]


def _of_key(key: Key) -> _Check:
    return _Check("DKIM", lambda case: _key(case, key))


def _key(case: _Case, key: Key) -> Iterator[Finding]:
    name = f"{key.selector}._domainkey.{key.domain}"
    found, state = case.look(name, "TXT"), key.state(case.now)
    if state == "retired":
        if found:
            yield Finding("DKIM", name, "advice", "its key has retired: remove the record")
        return
    problem = _key_problem(found, key)
    wanted = records.dkim(key.algorithm, key.public_key)
    if problem:
        yield Finding("DKIM", name, "wrong" if found else "missing", problem, wanted)
    else:
        yield Finding("DKIM", name, "good", f"the key is {state}")


def _key_problem(found: Sequence[str], key: Key) -> str:
    """What is wrong with a key's records, and the cure; "" when all is well."""
    if not found:
        return _PUBLISH
    if len(found) > 1:
        return f"there are {len(found)} records, and receivers may take any: keep this one alone"
    tags = _tags(found[0])
    public = tags.get("p", "")
    if public != key.public_key:
        return _public_problem(public, key.public_key)
    if tags.get("k", "rsa") != key.algorithm:
        return f"its k= is not {key.algorithm}: {_PUBLISH}"
    if "y" in tags.get("t", "").split(":"):
        return "t=y has receivers take the mail for unsigned: take it out"
    return ""


def _public_problem(public: str, wanted: str) -> str:
    if not public:
        return f"it says that the key is revoked: {_PUBLISH}"
    if wanted.startswith(public):
        return "the key is cut off: give the value as strings of at most 255 octets each"
    return f"it holds another key: {_PUBLISH}"


def _tags(text: str) -> dict[str, str]:
    """A tag-list (RFC 6376 section 3.2); white space counts in none of the values looked at here."""
    pairs = (tag.partition("=") for tag in text.split(";"))
    return {name.strip().lower(): "".join(value.split()) for name, _, value in pairs}


def _signed(case: _Case) -> Iterator[Finding]:
    if not any(key.state(case.now) == "signing" for key in case.domain.keys):
        cure = f"mail goes out unsigned: `postroad domain rotate {case.name} --days 0` makes keys"
        yield Finding("DKIM", case.name, "wrong", cure)


def _spf(case: _Case) -> Iterator[Finding]:
    found = [text for text in case.look(case.name, "TXT") if spf.is_spf(text)]
    wanted = records.spf(case.host)
    if not wanted:
        cure = (
            f"{case.host.name} has no address in the DNS: publish one, or name the smart host's record to include"
        )
        yield Finding("SPF", case.name, "unknown", cure)
    elif not found:
        yield Finding("SPF", case.name, "missing", _PUBLISH, wanted)
    elif len(found) > 1:
        cure = f"there are {len(found)} records, which receivers take for an error: make them one"
        yield Finding("SPF", case.name, "wrong", cure, wanted)
    else:
        # An error is one for all addresses.
        yield from dict.fromkeys(_spf_of(case, address) for address in case.host.addresses)
        yield from _included(case, found[0])


def _spf_of(case: _Case, address: Address) -> Finding:
    result, why = spf.judge(address, case.name, case.look)
    if result == "pass":
        return Finding("SPF", case.name, "good", f"{address} may send")
    if result in ("temperror", "unknown"):
        return Finding("SPF", case.name, "unknown", f"nobody can tell whether {address} may send: {why}")
    if result == "permerror":
        return Finding("SPF", case.name, "wrong", f"it is an error, {why}: mend it", records.spf(case.host))
    cure = f"{address} may not send ({result}): put ip{address.version}:{address} before the last term"
    return Finding("SPF", case.name, "wrong", cure, records.spf(case.host))


def _included(case: _Case, text: str) -> Iterator[Finding]:
    """The smart host's addresses are its owner's matter; that they are included is ours."""
    term = f"include:{case.host.include}"
    if not case.host.include:
        return
    if term in text.lower().split():
        yield Finding("SPF", case.name, "good", f"{case.host.include} may send")
    else:
        cure = f"the smart host may not send: put {term} before the last term"
        yield Finding("SPF", case.name, "wrong", cure, records.spf(case.host))


def _dmarc(case: _Case) -> Iterator[Finding]:
    """The domain's own policy counts, else that of a domain above (RFC 7489 section 6.6.3)."""
    names = (f"_dmarc.{domain}" for domain in upwards(case.name))
    name, found = next(((one, texts) for one in names if (texts := case.texts(one, "v=DMARC1"))), ("", []))
    own, wanted = f"_dmarc.{case.name}", records.dmarc(case.name)
    if not found:
        yield Finding("DMARC", own, "missing", _PUBLISH, wanted)
        return
    tags = _tags(found[0])
    policy = (tags.get("p", "") if name == own else tags.get("sp", tags.get("p", ""))).lower()
    if len(found) > 1:
        yield Finding("DMARC", name, "wrong", f"there are {len(found)} records, so none counts: keep one", wanted)
    elif policy not in ("none", "quarantine", "reject"):
        yield Finding("DMARC", name, "wrong", "its p= is none, quarantine or reject, or it does not count", wanted)
    elif policy == "none":
        cure = "it only asks for reports: once they show that all your mail passes, p=quarantine, then p=reject"
        yield Finding("DMARC", name, "advice", cure)
    else:
        yield Finding("DMARC", name, "good", f"mail that proves nothing: {policy}")


def _exchangers(case: _Case) -> Iterator[Finding]:
    found = [text.split()[1:] for text in case.look(case.name, "MX")]
    if [] in found:  # "0 .", RFC 7505
        cure = (
            "it says that the domain takes no mail, so many refuse mail from it: name the host that takes replies"
        )
        yield Finding("MX", case.name, "wrong", cure)
    elif found:
        yield Finding("MX", case.name, "good", "replies have somewhere to go")
    elif case.look(case.name, "A") or case.look(case.name, "AAAA"):
        yield Finding(
            "MX", case.name, "advice", "replies go to the domain's own address: name a host that takes them"
        )
    else:
        yield Finding("MX", case.name, "missing", "replies and reports go nowhere: name a host that takes them")


def _mta_sts(case: _Case) -> Iterator[Finding]:
    name = f"_mta-sts.{case.name}"
    found = case.texts(name, "v=STSv1")
    if not found:
        cure = "mail to this domain may be read on its way: its mail host's owner can publish an MTA-STS policy"
        yield Finding("MTA-STS", name, "advice", cure)
    elif len(found) > 1 or not _STS_ID.fullmatch(_tags(found[0]).get("id", "")):
        cure = "senders ignore it: keep one record, whose id= is up to 32 letters and digits"
        yield Finding("MTA-STS", name, "wrong", cure)
    else:
        yield Finding("MTA-STS", name, "good", "senders to this domain will ask for the policy")


def _tls_reports(case: _Case) -> Iterator[Finding]:
    name = f"_smtp._tls.{case.name}"
    found = case.texts(name, "v=TLSRPTv1")
    if len(found) == 1:
        yield Finding("TLS-RPT", name, "good", "senders to this domain report when TLS fails")
    else:
        wanted = records.tls_reports(case.name)
        yield Finding("TLS-RPT", name, "advice", f"to hear when TLS fails, {_PUBLISH}, and this alone", wanted)


def _host(case: _Case) -> Iterator[Finding]:
    yield from (_back(case, address) for address in case.host.addresses)


def _back(case: _Case, address: Address) -> Finding:
    """From the address to a name and back again, which large receivers ask for."""
    name, host = address.reverse_pointer, case.host.name
    if not address.is_global:
        return Finding(
            "host", host, "wrong", f"{address} is no public address: publish the one that mail leaves by"
        )
    found = case.look(name, "PTR")
    kind = "A" if address.version == 4 else "AAAA"
    if not found:
        return Finding("PTR", name, "missing", f"have the provider of {address} name it", host)
    if not any(str(address) in case.look(one, kind) for one in found):
        return Finding("PTR", name, "wrong", f"{found[0]} does not lead back to {address}: have it named", host)
    if host not in found:
        return Finding("PTR", name, "advice", f"it is {found[0]}, EHLO says {host}: better they are one", host)
    return Finding("PTR", name, "good", f"{address} is {host}, and back")


_CHECKS = (
    _Check("DKIM", _signed),
    _Check("SPF", _spf),
    _Check("DMARC", _dmarc),
    _Check("MX", _exchangers),
    _Check("MTA-STS", _mta_sts),
    _Check("TLS-RPT", _tls_reports),
    _Check("PTR", _host),
)
