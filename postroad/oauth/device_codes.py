"""Codes of devices that have no browser (RFC 8628): the device holds one, a person types the other elsewhere."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from authlib.oauth2.rfc8628.endpoint import create_string_user_code
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from postroad.database.schema import device_code, failed_sign_in
from postroad.oauth import credentials, sign_ins
from postroad.oauth.consents import Consent
from postroad.oauth.errors import OAuthError

# Seconds, as at Google: how long a code is good, and between two polls.
LIFE_SECONDS = 1800
INTERVAL_SECONDS = 5
# What a poll that comes too soon adds (RFC 8628 section 3.5), and the most it comes to.
SLOWER_SECONDS = 5
SLOWEST_SECONDS = 60
# Milliseconds that a code which is over is told to be over; then it is unknown.
KEPT = 3_600_000
# Of one client at once: who knows its number may ask for codes.
MOST = 1000
# Wrong codes that a person may type before they have to wait, longer each time.
FREE_TRIES = 5
PREFIX = "AH-1"
WAITING, ALLOWED, DENIED = "waiting", "allowed", "denied"
# No vowels, so no words; 20^8 of them (RFC 8628 section 6.1).
_USER_CODE = re.compile("[BCDFGHJKLMNPQRSTVWXZ]{8}")


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A device's request; `expired` when it was looked up. Its methods are those that Authlib asks one for."""

    device_hash: bytes
    user_code: str
    client_id: str
    scopes: tuple[str, ...]
    state: str
    consent_id: int | None
    interval: int
    polled_at: int | None
    expired: bool

    def get_client_id(self) -> str:
        """Whose it is."""
        return self.client_id

    def get_scope(self) -> str:
        """What the device asked for, less what the person left out."""
        return " ".join(self.scopes)

    def get_user_code(self) -> str:
        """What the person types."""
        return self.user_code

    def is_expired(self) -> bool:
        """Whether its half hour is over."""
        return self.expired


def issue(connection: Connection, client_id: str, scopes: Sequence[str], now: int) -> tuple[str, str]:
    """The code for the device, which is not kept, and the one for the person. Raises `OAuthError`: too many."""
    connection.execute(delete(device_code).where(device_code.c.expires_at <= now - KEPT))
    mine = select(func.count()).where(device_code.c.client_id == client_id)
    if connection.execute(mine).scalar_one() >= MOST:
        raise OAuthError("rate_limit_exceeded", f"The client has {MOST} device codes already.", code=403)
    text, user_code = credentials.fresh(PREFIX), _unused(connection)
    values = {
        "device_hash": credentials.digest(text),
        "user_code": user_code,
        "client_id": client_id,
        "scopes": " ".join(scopes),
        "state": WAITING,
        "interval": INTERVAL_SECONDS,
        "expires_at": now + LIFE_SECONDS * 1000,
    }
    connection.execute(insert(device_code).values(values))
    return text, shown(user_code)


def _unused(connection: Connection) -> str:
    while True:
        user_code = plain(create_string_user_code())
        same = select(device_code.c.state).where(device_code.c.user_code == user_code)
        if connection.execute(same).first() is None:
            return user_code


def plain(typed: str) -> str:
    """A code as it is kept, whatever somebody made of its letters and hyphen."""
    return re.sub(r"[\s-]", "", typed[:40]).upper()


def shown(user_code: str) -> str:
    """A code as people read it."""
    return f"{user_code[:4]}-{user_code[4:]}"


def find(connection: Connection, text: str, now: int) -> DeviceCode | None:
    """That of a device."""
    return _found(connection, device_code.c.device_hash == credentials.digest(text), now)


def waiting(connection: Connection, typed: str, now: int) -> DeviceCode | None:
    """The one that waits for a person who typed this."""
    user_code = plain(typed)
    if not _USER_CODE.fullmatch(user_code):
        return None
    found = _found(connection, device_code.c.user_code == user_code, now)
    return found if found and found.state == WAITING and not found.expired else None


def _found(connection: Connection, which: ColumnElement[bool], now: int) -> DeviceCode | None:
    row = connection.execute(select(device_code).where(which)).one_or_none()
    if row is None:
        return None
    return DeviceCode(
        row.device_hash,
        row.user_code,
        row.client_id,
        tuple(row.scopes.split()),
        row.state,
        row.consent_id,
        row.interval,
        row.polled_at,
        expired=row.expires_at <= now,
    )


def typed_by(connection: Connection, account_id: int, typed: str, now: int) -> DeviceCode | int | None:
    """What `waiting` finds for that account; or milliseconds to wait, after wrong ones (RFC 8628 section 5.1)."""
    subject = f"device:{account_id}"
    not_before = select(failed_sign_in.c.not_before).where(failed_sign_in.c.subject == subject)
    wait = (connection.execute(not_before).scalar_one_or_none() or 0) - now
    if wait > 0:
        return int(wait)
    found = waiting(connection, typed, now)
    if found is None:
        sign_ins.begin_try(connection, {subject: FREE_TRIES}, now)
    return found


def allow(connection: Connection, found: DeviceCode, given: Consent, scopes: Sequence[str]) -> bool:
    """Let the device have tokens for `scopes`. False when somebody decided before."""
    return _decide(connection, found, state=ALLOWED, consent_id=given.consent_id, scopes=" ".join(scopes))


def deny(connection: Connection, found: DeviceCode) -> bool:
    """Let it have none. False when somebody decided before."""
    return _decide(connection, found, state=DENIED)


def _decide(connection: Connection, found: DeviceCode, **values: object) -> bool:
    mine = (device_code.c.device_hash == found.device_hash, device_code.c.state == WAITING)
    return connection.execute(update(device_code).where(*mine).values(values)).rowcount == 1


def poll(connection: Connection, found: DeviceCode, now: int) -> bool:
    """Note that the device asked; whether it did too soon, and has to wait for longer from now on."""
    soon = found.polled_at is not None and now - found.polled_at < found.interval * 1000
    interval = min(found.interval + SLOWER_SECONDS, SLOWEST_SECONDS) if soon else found.interval
    mine = device_code.c.device_hash == found.device_hash
    connection.execute(update(device_code).where(mine).values(polled_at=now, interval=interval))
    return soon


def redeem(connection: Connection, found: DeviceCode) -> bool:
    """Use it up; of many requests at once one may."""
    mine = (device_code.c.device_hash == found.device_hash, device_code.c.state == ALLOWED)
    return connection.execute(delete(device_code).where(*mine)).rowcount == 1
