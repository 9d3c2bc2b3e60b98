"""The sending domains and their DKIM keys, as the database has them. Times are milliseconds."""

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, count

from sqlalchemy import ColumnElement, Connection, and_, case, insert, or_, select, union

from postroad.database.schema import account, alias, dkim_key, domain
from postroad.domains import keys
from postroad.mail import dkim
from postroad.mail.address import BadAddress, domain_of, parse_address
from postroad.refusals import Failure
from postroad.sealing import Sealing

# Gives a key of an algorithm. To make one takes long: where others wait for the transaction, it was made before.
Make = Callable[[str], keys.NewKey]

DAY = 86_400_000
# How long a key's record stays after the key has signed for the last time: until its signatures count no more.
LINGER = dkim.LIFE * 1000
# How long a new key's record is in the DNS before the key signs: longer than answers without it are remembered.
NOTICE_DAYS = 2


class NoDomainError(Failure):
    """There is no such sending domain, or the text is no domain; the text says which and what would do."""


@dataclass(frozen=True, slots=True)
class Key:
    """A DKIM key as its owner sees it; `algorithm` is rsa or ed25519."""

    domain: str
    selector: str
    algorithm: str
    public_key: str
    created_at: int
    signs_from: int
    retires_at: int | None

    def state(self, now: int) -> str:
        """`published` before it signs, `signing`, `retiring` while its signatures count, then `retired`."""
        if self.retires_at is not None and self.retires_at <= now:
            return "retired"
        if self.retires_at is not None and self.retires_at - LINGER <= now:
            return "retiring"
        return "signing" if self.signs_from <= now else "published"


@dataclass(frozen=True, slots=True)
class SendingDomain:
    """A domain that mail is sent from, with its keys, the oldest first."""

    domain: str
    created_at: int
    keys: tuple[Key, ...]


def canonical(text: str) -> str:
    """A domain in lower-case A-labels, without its last dot. Raises `NoDomainError`."""
    try:
        return domain_of(parse_address(f"postmaster@{text.removesuffix('.')}"))
    except BadAddress as error:
        raise NoDomainError(f"{text} is no domain that mail could come from: {error}") from None


def add(connection: Connection, text: str, sealing: Sealing, now: int, make: Make = keys.make) -> SendingDomain:
    """Make a domain with a key of each kind that signs at once; one that is there already stays as it is.

    Raises `NoDomainError`.
    """
    name = canonical(text)
    found = find(connection, name)
    if found is not None:
        return found
    connection.execute(insert(domain).values(domain=name, created_at=now))
    _add_keys(connection, name, sealing, make, signs_from=now, now=now)
    return named(connection, name)


def rotate(
    connection: Connection,
    text: str,
    sealing: Sealing,
    now: int,
    days: int = NOTICE_DAYS,
    make: Make = keys.make,
) -> SendingDomain:
    """Make new keys that sign in so many days; those before them sign until then, and retire a week later.

    0 days are for a key that was stolen: the others retire at once. Raises `NoDomainError`.
    """
    name = named(connection, text).domain
    signs_from = now + days * DAY
    _retire(connection, name, signs_from + LINGER if days else now)
    _forget(connection, name, now)
    _add_keys(connection, name, sealing, make, signs_from=signs_from, now=now)
    return named(connection, name)


def remove(connection: Connection, text: str) -> SendingDomain:
    """Forget a domain with its keys: mail from it goes out unsigned. Raises `NoDomainError`."""
    found = named(connection, text)
    connection.execute(dkim_key.delete().where(dkim_key.c.domain == found.domain))
    connection.execute(domain.delete().where(domain.c.domain == found.domain))
    return found


def _retire(connection: Connection, name: str, at: int) -> None:
    """Let the domain's keys retire then, if not before."""
    later = or_(dkim_key.c.retires_at.is_(None), dkim_key.c.retires_at > at)
    connection.execute(dkim_key.update().where(dkim_key.c.domain == name, later).values(retires_at=at))


def _forget(connection: Connection, name: str, now: int) -> None:
    """Remove what has been retired for so long that its selector may come again."""
    connection.execute(dkim_key.delete().where(dkim_key.c.domain == name, dkim_key.c.retires_at <= now - LINGER))


def _add_keys(
    connection: Connection, name: str, sealing: Sealing, make: Make, *, signs_from: int, now: int
) -> None:
    taken = set(connection.execute(select(dkim_key.c.selector).where(dkim_key.c.domain == name)).scalars())
    for algorithm in keys.ALGORITHMS:
        selector, made = _selector(algorithm, taken, now), make(algorithm)
        values = {
            "domain": name,
            "selector": selector,
            "algorithm": algorithm,
            "private_key": sealing.seal(made.private, _purpose(name, selector)),
            "public_key": made.public,
            "created_at": now,
            "signs_from": signs_from,
        }
        connection.execute(insert(dkim_key).values(values))


def _selector(algorithm: str, taken: Collection[str], now: int) -> str:
    """What verifiers find a key by: its kind and the day it was made, for people to read."""
    first = f"{algorithm}-{datetime.fromtimestamp(now / 1000, UTC):%Y%m%d}"
    return next(name for name in chain([first], (f"{first}-{number}" for number in count(2))) if name not in taken)


def _purpose(name: str, selector: str) -> str:
    return f"DKIM key {selector}._domainkey.{name}"


def everyone(connection: Connection) -> list[SendingDomain]:
    """All sending domains by name."""
    return _domains(connection, domain.c.domain.is_not(None))


def find(connection: Connection, name: str) -> SendingDomain | None:
    """The sending domain of that canonical name."""
    return next(iter(_domains(connection, domain.c.domain == name)), None)


def named(connection: Connection, text: str) -> SendingDomain:
    """The sending domain of that name. Raises `NoDomainError`."""
    name = canonical(text)
    found = find(connection, name)
    if found is None:
        raise NoDomainError(f"{name} is no sending domain here; `postroad domain add {name}` makes it one")
    return found


def _domains(connection: Connection, which: ColumnElement[bool]) -> list[SendingDomain]:
    columns = [dkim_key.c[column] for column in Key.__slots__]
    joined = select(*columns).join_from(dkim_key, domain).where(which)
    found = defaultdict(list)
    for row in connection.execute(joined.order_by(dkim_key.c.created_at, dkim_key.c.selector.desc())):
        found[row.domain].append(Key(*row))
    rows = connection.execute(select(domain).where(which).order_by(domain.c.domain))
    return [SendingDomain(row.domain, row.created_at, tuple(found[row.domain])) for row in rows]


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A key that signs now, its private half sealed."""

    domain: str
    selector: str
    private_key: bytes

    def opened(self, sealing: Sealing) -> dkim.SigningKey:
        """Ready to sign. Raises `WrongKeyError`."""
        private = sealing.open(self.private_key, _purpose(self.domain, self.selector))
        return keys.signing_key(self.domain, self.selector, private)


def signing(connection: Connection, name: str, now: int) -> tuple[SealedKey, ...]:
    """The keys that sign what comes from that domain (canonical): its own, or those of the closest domain above.

    Under DMARC's relaxed alignment, its default, a signature by a domain above counts as well as one of its own
    (RFC 7489 section 3.1.1). RSA comes first.
    """
    above = upwards(name)
    closest = case({each: number for number, each in enumerate(above)}, value=dkim_key.c.domain)
    signs = or_(dkim_key.c.retires_at.is_(None), dkim_key.c.retires_at > now + LINGER)
    question = (
        select(*(dkim_key.c[column] for column in SealedKey.__slots__))
        .where(and_(dkim_key.c.domain.in_(above), dkim_key.c.signs_from <= now, signs))
        .order_by(closest, dkim_key.c.algorithm.desc())
    )
    found = [SealedKey(*row) for row in connection.execute(question)]
    return tuple(key for key in found if key.domain == found[0].domain)


def has_keys(connection: Connection) -> bool:
    """Whether any domain has a key."""
    return connection.execute(select(dkim_key.c.domain).limit(1)).first() is not None


def unsigned(connection: Connection, now: int) -> list[str]:
    """The domains of accounts and aliases whose mail no key signs; captured mailboxes do not count."""
    own = select(account.c.address).where(~account.c.captured)
    addresses = connection.execute(union(own, select(alias.c.address))).scalars()
    return sorted(name for name in set(map(domain_of, addresses)) if not signing(connection, name, now))


def upwards(name: str) -> list[str]:
    """The domain and those above it, but for the top-level one."""
    labels = name.split(".")
    return [".".join(labels[at:]) for at in range(max(len(labels) - 1, 1))]
