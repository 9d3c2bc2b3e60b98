"""What is demanded of a session with a hop: DANE's word counts first, then MTA-STS's, and never less than ours."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace

from postroad import maillog
from postroad.mail.outcome import Content
from postroad.mail.reply import ours
from postroad.relay.dane import Association, Associations
from postroad.relay.policies import Policies
from postroad.relay.resolver import LookupFailedError, NoSuchDomainError, Resolver
from postroad.relay.route import Hop, Route
from postroad.relay.security import PLAINTEXT, Contexts, Demand, Level, PolicyType, Result
from postroad.relay.sts import ENFORCE, TESTING, Policy
from postroad.smtp.session import Phase, SessionError

# What that content demands of a session with that hop of that route. Raises `SessionError` when there may be none.
Demands = Callable[[Route, Hop, Content], Awaitable[Demand]]


def always(demand: Demand) -> Demands:
    """The same demand to every hop, whatever is sent."""

    async def of(_route: Route, _hop: Hop, _content: Content) -> Demand:
        return demand

    return of


never = always(PLAINTEXT)


@dataclass(frozen=True, slots=True)
class DemandsByPolicy:
    """Asks the recipients' domains for what they demand; `level` and `required` (domains) are our own."""

    resolver: Resolver
    policies: Policies
    contexts: Contexts = field(default_factory=Contexts)
    level: Level = "opportunistic"
    required: Collection[str] = ()

    def to(self, domain: str) -> Demands:
        """The demands on hops of a domain."""

        async def of(route: Route, hop: Hop, content: Content) -> Demand:
            least = self.contexts.demand(self._level(domain))
            try:
                found = await self._find(domain, route, hop, least)
            except SessionError:
                if content.tls_optional:
                    return least
                raise
            return waived(found, least) if content.tls_optional else found

        return of

    async def _find(self, domain: str, route: Route, hop: Hop, least: Demand) -> Demand:
        """The demand on this hop. Raises `SessionError` when nothing may be sent there."""
        base, records = await self._associations(hop) if route.authentic else ("", ())
        demand = Demand(self.contexts.dane, True, base, f"DANE (TLSA records of {base})", PolicyType.DANE)
        if usable := tuple(one for one in records if one.usable):
            return replace(demand, associations=Associations(usable, (base, domain)))
        # Records of which none can be used ask for TLS, and vouch for nobody (RFC 7672 section 2.2).
        if records and not least.required:
            least = demand
        return self._by_policy(domain, hop, least, await self.policies.of(domain))

    def _level(self, domain: str) -> Level:
        listed = domain in self.required or any(
            domain.endswith(one) for one in self.required if one.startswith(".")
        )
        return "required" if listed and self.level == "opportunistic" else self.level

    def _by_policy(self, domain: str, hop: Hop, least: Demand, policy: Policy | None) -> Demand:
        if policy is None or policy.mode not in (ENFORCE, TESTING):
            return least
        why = f"the MTA-STS policy of {domain}"
        if not policy.covers(hop.host):
            text = f"{hop.host} is none of the servers that {why} names"
            maillog.session(str(hop), PolicyType.STS, Result.VALIDATION_FAILURE, text)
            if policy.mode == ENFORCE:
                raise forbidden(hop, f"{text}; its operator can mend that, the mail waits")
            return least
        if policy.mode == ENFORCE:
            return Demand(self.contexts.verified, True, "", why, PolicyType.STS)
        if least.context is self.contexts.verified:
            return replace(least, policy=PolicyType.STS)
        return Demand(self.contexts.verified, False, "", why, PolicyType.STS, second=least)

    async def _associations(self, hop: Hop) -> tuple[str, tuple[Association, ...]]:
        """The authentic TLSA records of a server, and under which name. Raises `SessionError` if nobody knows.

        Who can suppress the answer could else suppress TLS (RFC 7672 section 2.1.2). They are asked for only where
        the address is authentic, as name servers of unsigned zones often do not answer (section 2.2.2).
        """
        try:
            address = await self.resolver.ask(hop.host, "AAAA" if ":" in hop.address else "A")
            bases = (address.name, hop.host) if address.authentic else ()
            for base in dict.fromkeys(bases):  # of an alias what it stands for is first (section 2.2.3)
                if found := await self.resolver.associations(f"_{hop.port}._tcp.{base}"):
                    return base, found
        except (NoSuchDomainError, LookupFailedError) as error:
            maillog.session(str(hop), PolicyType.DANE, Result.DNSSEC_INVALID, str(error))
            raise forbidden(hop, f"whether it has TLSA records (DANE) is not known now: {error}") from error
        return "", ()


def waived(found: Demand, least: Demand) -> Demand:
    """What was found is tried, and `least`, which is the operator's, will do (RFC 8689 section 4.2.2)."""
    return least if found == least else replace(found, required=False, second=least)


def forbidden(hop: Hop, text: str) -> SessionError:
    """Why no session may be had with that hop, for now: before anything was said."""
    reply = ours(451, "4.7.5", f"{hop}: {text}")
    return SessionError(Phase.STARTTLS, reply, transcript=(f"= {reply.text}",))
