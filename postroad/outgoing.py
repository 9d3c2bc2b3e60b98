"""The wiring of what leaves this machine: settings -> where mail goes, and how it is tried there."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from postroad.database.engine import Database
from postroad.mail.address import domain_of
from postroad.mail.outcome import Attempt, Attempted, Errand, MarkInDoubt
from postroad.relay.attempt import Relay, Sign
from postroad.relay.demands import Demands, DemandsByPolicy
from postroad.relay.policies import Policies
from postroad.relay.resolver import Resolver
from postroad.relay.route import ByExchange, FindRoute, NextHop, fixed
from postroad.relay.security import Contexts, Demand, verified
from postroad.relay.sessions import Sessions
from postroad.relay.smart_hosts import Credentials, Secrets, demanding, name
from postroad.settings import CAPTURE, SettingError, Settings, SmartHost


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The way out: `destination` of a forward-path, the `route` to a destination, and the sessions there.

    `demands` says how these are secured. Mail of some senders' domains goes `by_sender`, whatever its destination.
    """

    sessions: Sessions
    destination: Callable[[str], str]
    route: Callable[[str], FindRoute]
    demands: Callable[[str], Demands]
    sign: Sign
    by_sender: Mapping[str, Relay]

    def attempt_for(self, destination: str) -> Attempt:
        """What tries mail for that destination."""
        usual = Relay(self.sessions, self.route(destination), self.demands(destination), self.sign)

        async def attempt(errand: Errand, mark_in_doubt: MarkInDoubt) -> Attempted:
            relay = self.by_sender.get(domain_of(errand.envelope.reverse_path or ""), usual)
            return await relay.attempt(errand, mark_in_doubt)

        return attempt if self.by_sender else usual.attempt


def of(settings: Settings, sign: Sign, database: Database, clock: Callable[[], int]) -> Outgoing | None:
    """The way out that the settings name; `None` while mail is captured. Raises `SettingError`.

    `sign` puts the signatures of the sender's domain before what is sent; in `database` are policies of domains.
    """
    if settings.relay == CAPTURE:
        return None
    sessions, contexts, domains = Sessions(settings.hostname), Contexts(), settings.tls_domains
    secure = _demands(settings, contexts)
    by_sender = {
        domain: Relay(sessions, fixed(*_hops(settings, hosts)), secure, sign)
        for domain, hosts in settings.smart_hosts_by_sender.items()
    }
    if settings.smart_hosts:
        hops = _hops(settings, settings.smart_hosts)
        return Outgoing(sessions, lambda _: name(hops), lambda _: fixed(*hops), lambda _: secure, sign, by_sender)
    from postroad.relay.policy_file import PolicyFiles  # noqa: PLC0415 - takes long, and commands need none

    resolver = Resolver(settings.name_server, trusted=settings.name_server is not None)
    allowed = settings.allowed_networks
    exchanges = ByExchange(resolver, frozenset((settings.hostname.lower(),)), allowed, settings.relay_port)
    files = PolicyFiles(resolver, contexts.verified, allowed, settings.sts_port)
    policies = Policies(resolver, files.fetch, database, clock)
    demands = DemandsByPolicy(resolver, policies, contexts, settings.relay_tls, domains)
    return Outgoing(sessions, domain_of, exchanges.to, demands.to, sign, by_sender)


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
