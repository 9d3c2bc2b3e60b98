"""Orders about sending domains. Who orders keys has made them: that takes too long within a transaction."""

import base64
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from postroad.database import facts
from postroad.domains import keys, register
from postroad.orders.errors import OrderError
from postroad.sealing import Sealing

# The keys made for an order, by algorithm: `private` (base64) and `public`, as `fresh_keys` gives them.
FreshKeys = dict[str, dict[str, str]]


def fresh_keys() -> FreshKeys:
    """A key of each kind, as an order carries it; takes a tenth of a second or more."""
    made = {algorithm: keys.make(algorithm) for algorithm in keys.ALGORITHMS}
    return {
        algorithm: {"private": base64.b64encode(key.private).decode(), "public": key.public}
        for algorithm, key in made.items()
    }


def add(connection: Connection, *, now: int, domain: str, fresh: FreshKeys, sealing: Sealing) -> dict[str, Any]:
    """Make a sending domain with these keys; one that is there stays as it is."""
    _refuse_other_key(connection, sealing)
    return _plain(connection, register.add(connection, domain, sealing, now, _from(fresh)), now)


def rotate(
    connection: Connection, *, now: int, domain: str, days: int, fresh: FreshKeys, sealing: Sealing
) -> dict[str, Any]:
    """Let these keys sign in so many days, and those before them until then."""
    _refuse_other_key(connection, sealing)
    return _plain(connection, register.rotate(connection, domain, sealing, now, days, _from(fresh)), now)


def remove(connection: Connection, *, now: int, domain: str) -> dict[str, Any]:
    """Forget a sending domain with its keys."""
    return _plain(connection, register.remove(connection, domain), now)


def show(connection: Connection, *, now: int, domain: str) -> dict[str, Any]:
    """One sending domain. Raises `OrderError` when its mail goes out unsigned."""
    name = register.canonical(domain)
    if register.find(connection, name) is None and name in register.unsigned(connection, now):
        raise OrderError(f"mail from {name} goes out unsigned; `postroad domain add {name}` makes its keys")
    return _plain(connection, register.named(connection, name), now)


def listing(connection: Connection, *, now: int) -> list[dict[str, Any]]:
    """All sending domains, and the domains of accounts for which nobody signs."""
    signed = [_plain(connection, one, now) for one in register.everyone(connection)]
    return signed + [{"domain": name, "keys": []} for name in register.unsigned(connection, now)]


def _from(fresh: FreshKeys) -> register.Make:
    return lambda algorithm: keys.NewKey(base64.b64decode(fresh[algorithm]["private"]), fresh[algorithm]["public"])


def _refuse_other_key(connection: Connection, sealing: Sealing) -> None:
    """What is sealed with another key than the server's would not open there. Raises `WrongKeyError`."""
    sealing.refuse_other(facts.keep(connection, facts.SEALING_PROOF, sealing.proof()))


def _plain(connection: Connection, domain: register.SendingDomain, now: int) -> dict[str, Any]:
    """With each key's state, and the name of the host that sends: that of the server that ran last."""
    states = [{"state": key.state(now)} for key in domain.keys]
    plain = asdict(domain)
    plain["keys"] = [key | state for key, state in zip(plain["keys"], states, strict=True)]
    return plain | {"hostname": facts.read(connection, facts.HOSTNAME) or ""}
