"""The wiring of what leaves this machine: settings -> where mail goes, and how it is tried there."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from postroad.database.engine import Database
from postroad.mail.address import domain_of
from postroad.mail.outcome import Attempt, Attempted, Errand, MarkInDoubt
from postroad.relay.attempt import Relay, Sign
from postroad.relay.demands import Demands, DemandsByPolicy
from postroad.relay.policies import Policies
from postroad.relay.resolver import Resolver
from postroad.relay.route import ByExchange, NextHop, fixed
from postroad.relay.security import Contexts, Demand, verified
from postroad.relay.sessions import Sessions
from postroad.relay.smart_hosts import Credentials, Secrets, demanding, name
from postroad.settings import CAPTURE, SettingError, Settings, SmartHost


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The way out: the destination of a recipient, what tries mail for it, and the sessions there.

    Some senders' domains have a destination of their own, `by_sender`; `relays` hand mail to these. For everybody
    else there is the usual way, which takes mail for any other name, too.
    """

    sessions: Sessions
    by_sender: Mapping[str, str]
    relays: Mapping[str, Relay]
    usual_destination: Callable[[str], str]
    usual_attempt: Callable[[str], Attempt]

    def destination(self, reverse_path: str | None, forward_path: str) -> str:
        """Where mail of that sender for that recipient goes; what has the null reverse-path goes the usual way."""
        own = self.by_sender.get(domain_of(reverse_path or ""))
        return own or self.usual_destination(forward_path)

    def attempt_for(self, destination: str) -> Attempt:
        """What tries mail for that destination, which may be one that other settings named."""
        relay = self.relays.get(destination)
        return relay.attempt if relay else self.usual_attempt(destination)


def of(settings: Settings, sign: Sign, database: Database, clock: Callable[[], int]) -> Outgoing | None:
    """The way out that the settings name; `None` while mail is captured. Raises `SettingError`.

    `sign` puts the signatures of the sender's domain before what is sent; in `database` are policies of domains.
    """
    if settings.relay == CAPTURE:
        return None
    sessions, contexts, domains = Sessions(settings.hostname), Contexts(), settings.tls_domains
    secure = _demands(settings, contexts)
    usual = _hops(settings, settings.smart_hosts)
    by_sender, hops_of = _by_sender(settings, usual)
    relays = {one: Relay(sessions, fixed(*hops), secure, sign) for one, hops in hops_of.items()}
    if usual:
        relay = relays[name(usual)]
        return Outgoing(sessions, by_sender, relays, lambda _: name(usual), lambda _: relay.attempt)
    from postroad.relay.policy_file import PolicyFiles  # noqa: PLC0415 - takes long, and commands need none

    resolver = Resolver(settings.name_server, trusted=settings.name_server is not None)
    allowed = settings.allowed_networks
    exchanges = ByExchange(resolver, frozenset((settings.hostname.lower(),)), allowed, settings.relay_port)
    files = PolicyFiles(resolver, contexts.verified, allowed, settings.sts_port)
    policies = Policies(resolver, files.fetch, database, clock)
    demands = DemandsByPolicy(resolver, policies, contexts, settings.relay_tls, domains)

    def to_exchanges(domain: str) -> Attempt:
        return Relay(sessions, exchanges.to(domain), demands.to(domain), sign).attempt

    return Outgoing(sessions, by_sender, relays, domain_of, _by_domain(to_exchanges))


def decided_by(settings: Settings, way_out: Outgoing | None) -> str:
    """What decides destinations, in one text: when it is another, waiting mail is to be routed anew.

    It is `capture`, which others read, while mail is captured.
    """
    by_sender = way_out.by_sender.items() if way_out else ()
    return " ".join((settings.relay, *(f"{domain}={destination}" for domain, destination in by_sender)))


def _by_domain(attempt_for: Callable[[str], Attempt]) -> Callable[[str], Attempt]:
    """What tries mail for a domain; for smart hosts that only other settings know, domain by domain."""

    async def each(errand: Errand, mark_in_doubt: MarkInDoubt) -> Attempted:
        parts = _parts(errand).items()
        return _together([await attempt_for(domain)(part, mark_in_doubt) for domain, part in parts])

    # The name of a smart host has a port, no domain has one.
    return lambda destination: each if ":" in destination else attempt_for(destination)


def _parts(errand: Errand) -> dict[str, Errand]:
    """The errand of each domain of its recipients."""
    paths: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for path in errand.envelope.forward_paths:
        paths[domain_of(path)] += (path,)
    return {domain: errand.part(these) for domain, these in paths.items()}


def _together(parts: Sequence[Attempted]) -> Attempted:
    """One result; the host is the last that was reached."""
    host = next((part.host for part in reversed(parts) if part.host), "")
    outcomes = {path: outcome for part in parts for path, outcome in part.outcomes.items()}
    return Attempted(host, outcomes, "\n".join(part.conversation for part in parts))


def _by_sender(
    settings: Settings, usual: Sequence[NextHop]
) -> tuple[dict[str, str], dict[str, Sequence[NextHop]]]:
    """The destination of each sender's domain that does not go the usual way, and the hops of all destinations.

    Raises `SettingError` for two destinations of one name.
    """
    by_sender: dict[str, str] = {}
    hops_of: dict[str, Sequence[NextHop]] = {name(usual): usual} if usual else {}
    for domain, hosts in settings.smart_hosts_by_sender.items():
        hops = _hops(settings, hosts)
        if hops == usual:
            continue
        destination = _name_with_logins(hosts, hops)
        if hops_of.setdefault(destination, hops) != hops:
            raise SettingError(
                f"relay_by_sender: {destination} is named in two ways; give both one scheme and user"
            )
        by_sender[domain] = destination
    return by_sender, hops_of


def _name_with_logins(hosts: Iterable[SmartHost], hops: Iterable[NextHop]) -> str:
    """The name of smart hosts with the logins: one that is refused closes no gate but its own."""
    return ",".join(f"{host.user}@{hop}" if host.user else str(hop) for host, hop in zip(hosts, hops, strict=True))


def _hops(settings: Settings, hosts: Iterable[SmartHost]) -> list[NextHop]:
    """The smart hosts, and what we log in with at those where somebody is named."""
    secrets = Secrets(settings.relay_password, settings.relay_password_file, settings.relay_token_file)
    hops = []
    for host, port, user, implicit_tls in hosts:
        credentials = Credentials(user, host, secrets) if user else None
        try:
            _ = credentials and credentials()  # so that nobody has to wait for the first mail to learn what lacks
        except (OSError, ValueError) as error:
            raise SettingError(f"relay_password_file: {user} cannot log in at {host}: {error}") from None
        hops.append(NextHop(host, port, implicit_tls, credentials))
    return hops


def _demands(settings: Settings, contexts: Contexts) -> Demands:
    """That of `relay_tls`; for a login and for TLS from the start, that the server proves who it is."""
    try:
        strict = verified(settings.relay_ca_file or None)
    except OSError as error:
        raise SettingError(f"relay_ca_file: {settings.relay_ca_file}: {error}") from None
    why = "a smart host's setting (relay_ca_file may name its authority)"
    usual = replace(contexts, verified=strict).demand(settings.relay_tls)
    return demanding(usual, Demand(strict, required=True, why=why))
