"""Service accounts: programs that sign in by a key of their own (RFC 7523), and in which scopes for anyone.

The private half of a key is in the file its program reads (gmail-wire.md 8.7) and nowhere here.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import Connection, Row, delete, select

from postroad.database.schema import delegation, service_account, service_account_key, token

# Programs look at the end of Google's addresses, so ours end alike; the project is always this one.
PROJECT = "postroad"
DOMAIN = f"{PROJECT}.iam.gserviceaccount.com"
# 19 digits, within the 63 bits of a column; Google's have 21.
_FIRST_ID, _END_OF_IDS = 10**18, 2**63
# As at Google. A JWT that names no key is tried with each.
MAX_KEYS = 10
KEY_BITS = 2048

# At Google six to thirty characters; shorter ones do no harm.
_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?")
_ADDRESS = re.compile(rf"({_NAME.pattern})@{re.escape(DOMAIN)}")


class BadNameError(ValueError):
    """A service account is called by lower-case letters, digits and hyphens, from a letter on, 30 at most."""


class ServiceAccountExistsError(ValueError):
    """There is such a service account already."""


class NoSuchServiceAccountError(LookupError):
    """There is no such service account, or it has no such key."""


class TooManyKeysError(ValueError):
    """A service account has ten keys at most."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half of a key that is kept: what signatures are verified with. `pem`: SubjectPublicKeyInfo."""

    key_id: str
    pem: str


@dataclass(frozen=True, slots=True)
class Key:
    """A whole key, for its file. `private_key`: PKCS#8 in PEM, not encrypted."""

    public: PublicKey
    private_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account. `scopes`: in which it may act for any account here (domain-wide delegation)."""

    service_account_id: int
    address: str
    disabled: bool
    scopes: frozenset[str]
    keys: tuple[PublicKey, ...]

    @property
    def client_id(self) -> str:
        """Its number in decimal: what Google's key file and the pages of administrators call it."""
        return str(self.service_account_id)


def fresh_key() -> Key:
    """A new RSA key of 2048 bits; takes a processor for some tenths of a second."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    public = made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Key(PublicKey(secrets.token_hex(20), public.decode()), private.decode())


def key_file(owner: ServiceAccount, key: Key, root_url: str) -> dict[str, str]:
    """The JSON key file of Google's form for a server at `root_url` (gmail-wire.md 8.7). It holds the private key.

    Its universe is Google's: in another one Google's clients never exchange an assertion (gmail-wire.md 8.8).
    """
    root = root_url.rstrip("/")
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": key.public.key_id,
        "private_key": key.private_key,
        "client_email": owner.address,
        "client_id": owner.client_id,
        "auth_uri": f"{root}/o/oauth2/auth",
        "token_uri": f"{root}/token",
        "auth_provider_x509_cert_url": f"{root}/oauth2/v1/certs",
        "client_x509_cert_url": f"{root}/robot/v1/metadata/x509/{owner.address.replace('@', '%40')}",
        "universe_domain": "googleapis.com",
    }


def address_of(name: str) -> str:
    """The address of the service account of that name. Raises `BadNameError`."""
    if not _NAME.fullmatch(name):
        raise BadNameError(f"{name!r} is no name: {BadNameError.__doc__}")
    return f"{name}@{DOMAIN}"


def add(connection: Connection, name: str, now: int) -> ServiceAccount:
    """Make a service account that has no key and may act for nobody.

    Raises `BadNameError`, `ServiceAccountExistsError`.
    """
    address = address_of(name)
    if find(connection, address):
        raise ServiceAccountExistsError(f"there is a service account {address} already")
    number = _FIRST_ID + secrets.randbelow(_END_OF_IDS - _FIRST_ID)
    values = {"service_account_id": number, "address": address, "created_at": now}
    connection.execute(service_account.insert().values(values))
    return named(connection, address)


def find(connection: Connection, address: str) -> ServiceAccount | None:
    """The service account of exactly that address, whatever the text is."""
    if not _ADDRESS.fullmatch(address):
        return None
    row = connection.execute(select(service_account).where(service_account.c.address == address)).one_or_none()
    return _from(connection, row) if row else None


def named(connection: Connection, address: str) -> ServiceAccount:
    """The service account of that address. Raises `NoSuchServiceAccountError`."""
    found = find(connection, address)
    if found is None:
        raise NoSuchServiceAccountError(f"there is no service account {address}")
    return found


def everyone(connection: Connection) -> list[ServiceAccount]:
    """All service accounts by address."""
    rows = connection.execute(select(service_account).order_by(service_account.c.address)).all()
    return [_from(connection, row) for row in rows]


def _from(connection: Connection, row: Row[tuple[object, ...]]) -> ServiceAccount:
    keys, number = service_account_key.c, row.service_account_id
    kept = select(keys.key_id, keys.public_key).where(keys.service_account_id == number)
    delegated = select(delegation.c.scope).where(delegation.c.service_account_id == number)
    return ServiceAccount(
        number,
        row.address,
        row.disabled_at is not None,
        frozenset(connection.execute(delegated).scalars()),
        tuple(PublicKey(*one) for one in connection.execute(kept.order_by(keys.created_at, keys.key_id))),
    )


def held(connection: Connection, owner: ServiceAccount) -> bool:
    """Whether it is still as it was found.

    If so, whoever disables it or takes something from it waits until this transaction has ended, and so finds the
    tokens issued in it, too.
    """
    _lock(connection, owner, read=True)
    return find(connection, owner.address) == owner


def _lock(connection: Connection, owner: ServiceAccount, *, read: bool = False) -> None:
    one = service_account.c.service_account_id == owner.service_account_id
    connection.execute(select(service_account.c.service_account_id).where(one).with_for_update(read=read))


def disable(connection: Connection, address: str, now: int) -> ServiceAccount:
    """Refuse this service account everywhere from now on. Raises `NoSuchServiceAccountError`."""
    found = named(connection, address)
    one = service_account.c.service_account_id == found.service_account_id
    connection.execute(service_account.update().where(one).values(disabled_at=now))
    return named(connection, address)


def remove(connection: Connection, address: str) -> ServiceAccount:
    """Forget a service account with its keys, delegations and tokens. Raises `NoSuchServiceAccountError`."""
    found = named(connection, address)
    _lock(connection, found)
    for table in (token, delegation, service_account_key, service_account):
        connection.execute(delete(table).where(table.c.service_account_id == found.service_account_id))
    return found


def add_key(connection: Connection, owner: ServiceAccount, key: PublicKey, now: int) -> ServiceAccount:
    """Give it another key. Raises `TooManyKeysError`."""
    if len(owner.keys) >= MAX_KEYS:
        raise TooManyKeysError(f"{owner.address} has {MAX_KEYS} keys already; remove one first")
    values = {"key_id": key.key_id, "public_key": key.pem, "created_at": now}
    made = service_account_key.insert().values(values | {"service_account_id": owner.service_account_id})
    connection.execute(made)
    return named(connection, owner.address)


def remove_key(connection: Connection, owner: ServiceAccount, key_id: str) -> ServiceAccount:
    """Take a key from it, and end its tokens: who has another key asks for new ones.

    Raises `NoSuchServiceAccountError`.
    """
    if key_id not in (key.key_id for key in owner.keys):
        raise NoSuchServiceAccountError(f"{owner.address} has no key {key_id}")
    _lock(connection, owner)
    connection.execute(delete(service_account_key).where(service_account_key.c.key_id == key_id))
    _end_tokens(connection, owner)
    return named(connection, owner.address)


def delegate(connection: Connection, owner: ServiceAccount, scopes: Iterable[str]) -> ServiceAccount:
    """Let it act for any account in these scopes and in no others. If one is taken away, its tokens end."""
    wanted, number = frozenset(scopes), owner.service_account_id
    _lock(connection, owner)
    connection.execute(delete(delegation).where(delegation.c.service_account_id == number))
    if wanted:
        rows = [{"service_account_id": number, "scope": scope} for scope in sorted(wanted)]
        connection.execute(delegation.insert(), rows)
    if not owner.scopes <= wanted:
        _end_tokens(connection, owner)
    return named(connection, owner.address)


def _end_tokens(connection: Connection, owner: ServiceAccount) -> None:
    connection.execute(delete(token).where(token.c.service_account_id == owner.service_account_id))
