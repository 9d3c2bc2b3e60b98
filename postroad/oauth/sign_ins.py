"""Sign-ins: browsers in which somebody showed who they are, and how often somebody may try to.

The cookie's value is the credential; only its hash is kept, and not beyond twelve hours.
"""

import secrets
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from sqlalchemy import Connection, delete, insert, select

from postroad.database import rows
from postroad.database.schema import failed_sign_in, sign_in
from postroad.oauth import accounts
from postroad.oauth.accounts import Account
from postroad.oauth.credentials import RANDOM_OCTETS, digest

LIFE = 12 * 3_600_000  # milliseconds
# A longer cookie cannot be one of ours.
MAX_LENGTH = 64

# The wait after so many failures in a row, and its growth: it doubles with each up to a quarter of an hour.
FIRST_WAIT = 2_000
LONGEST_WAIT = 900_000
# Behind one network address many people may err; on one account it is one, or somebody who guesses.
FREE_OF_ACCOUNT = 5
FREE_OF_PEER = 20
# After a day without a failure all is forgotten.
FORGOTTEN_AFTER = 86_400_000
# What providers hand out to one subscriber (RFC 6177): addresses in it cost nothing.
_IPV6_SITE = 64


@dataclass(frozen=True, slots=True)
class SignIn:
    """Somebody signed in at `signed_in_at`, for as long as `expires_at` says. Times are milliseconds."""

    account: Account
    signed_in_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Failures:
    """How many failed in a row, and before when (milliseconds) the next may not be tried."""

    count: int = 0
    not_before: int = 0

    def wait(self, now: int) -> int:
        """Milliseconds until the next may be tried."""
        return max(self.not_before - now, 0)

    def after(self, now: int, free: int) -> "Failures":
        """With one more, at `now`; the first `free` - 1 cost no wait."""
        count = 1 if now - self.not_before > FORGOTTEN_AFTER else self.count + 1
        return Failures(count, now + wait_after(count, free))


def wait_after(count: int, free: int) -> int:
    """Milliseconds to wait after so many failures in a row."""
    return 0 if count < free else min(FIRST_WAIT << min(count - free, 32), LONGEST_WAIT)


def fresh_session() -> str:
    """A value for the cookie of a browser: 256 random bits."""
    return secrets.token_urlsafe(RANDOM_OCTETS)


def begin(connection: Connection, account_id: int, now: int, *, instead_of: str = "") -> str:
    """Somebody signed in: the new value of the cookie. The old one, `instead_of`, is worth nothing any more."""
    end(connection, instead_of)
    session = fresh_session()
    values = {
        "session_hash": digest(session),
        "account_id": account_id,
        "signed_in_at": now,
        "expires_at": now + LIFE,
    }
    connection.execute(insert(sign_in).values(values))
    return session


def find(connection: Connection, session: str, now: int) -> SignIn | None:
    """Who is signed in where the cookie has that value; a disabled account nowhere is."""
    if not 0 < len(session) <= MAX_LENGTH:
        return None
    question = select(sign_in).where(sign_in.c.session_hash == digest(session), sign_in.c.expires_at > now)
    row = connection.execute(question).one_or_none()
    if row is None:
        return None
    owner = accounts.by_id(connection, row.account_id)
    return None if owner.disabled else SignIn(owner, row.signed_in_at, row.expires_at)


def end(connection: Connection, session: str) -> None:
    """Sign out; where nobody is signed in nothing happens."""
    connection.execute(delete(sign_in).where(sign_in.c.session_hash == digest(session)))


def end_all(connection: Connection, account_id: int) -> None:
    """Sign an account out everywhere: its password has changed, say."""
    connection.execute(delete(sign_in).where(sign_in.c.account_id == account_id))


def subjects(address: str, peer: str) -> dict[str, int]:
    """What a failure to sign in as `address` from the network address `peer` counts for, and its free ones.

    Whether there is such an account makes no difference: who counts could tell by it (hardening.md G10).
    """
    return {f"account:{address}": FREE_OF_ACCOUNT, f"peer:{_site(peer)}": FREE_OF_PEER}


def _site(peer: str) -> str:
    """The network that one subscriber has: an IPv4 address, or 64 bits of an IPv6 one."""
    try:
        address = ip_address(peer)
    except ValueError:
        return peer
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or ip_network((int(address), _IPV6_SITE), strict=False))


def begin_try(connection: Connection, tried: dict[str, int], now: int) -> int:
    """Count a try as failed before it is made, or give the milliseconds to wait until one may be made.

    So of many at once no more are made than of one after the other. `succeed` takes it back.
    """
    found = {subject: _failures(connection, subject) for subject in sorted(tried)}
    if wait := max(failures.wait(now) for failures in found.values()):
        return wait
    for subject, failures in found.items():
        _write(connection, subject, failures.after(now, tried[subject]))
    return 0


def succeed(connection: Connection, address: str, peer: str, now: int) -> None:
    """The try was none: the account's failures are forgotten; the network address's stay, but for this one.

    Else whoever has an account could guess at others for ever, with their own in between.
    """
    of_account, of_peer = subjects(address, peer)
    connection.execute(delete(failed_sign_in).where(failed_sign_in.c.subject == of_account))
    found = _failures(connection, of_peer)
    if found.count:
        _write(connection, of_peer, Failures(found.count - 1, now))


def _failures(connection: Connection, subject: str) -> Failures:
    """Those of a subject, held until this transaction ends: two tries at once count as two."""
    question = select(failed_sign_in).where(failed_sign_in.c.subject == subject).with_for_update()
    row = connection.execute(question).one_or_none()
    return Failures(row.failures, row.not_before) if row else Failures()


def _write(connection: Connection, subject: str, failures: Failures) -> None:
    values = {"failures": failures.count, "not_before": failures.not_before}
    rows.write(connection, failed_sign_in, {"subject": subject}, values)
