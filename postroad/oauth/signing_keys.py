"""The keys that sign ID tokens: made when first needed, replaced every thirty days, published while they count.

A new key is published for a day before it signs, and stays for a day after its successor began: whoever verifies
may keep what is published for an hour. Nothing has to run for that: each look puts the keys in order.
"""

import datetime as dt
import secrets
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import NameOID
from joserfc.jwk import RSAKey
from sqlalchemy import Connection, delete, select

from postroad.database.schema import signing_key
from postroad.sealing import Sealing

KEY_BITS = 2048
ALGORITHM = "RS256"
DAY = 86_400_000
# Milliseconds after which a key gets a successor.
ROTATED_AFTER = 30 * DAY
# So long a key is published before it signs and after it signed last: over an hour, the life of what it signed.
OVERLAP = DAY
# Nobody reads the validity of these certificates: what counts is that they are published.
_CERTIFIED = dt.timedelta(days=3650)
_COMMON_NAME = "federated-signon.postroad"


@dataclass(frozen=True)
class SigningKey:
    """A key as kept: its public half in a certificate (PEM), its private half sealed. Times are milliseconds."""

    key_id: str
    certificate: str
    sealed: bytes
    created_at: int

    @cached_property
    def public_key(self) -> rsa.RSAPublicKey:
        """The public half."""
        found = x509.load_pem_x509_certificate(self.certificate.encode()).public_key()
        assert isinstance(found, rsa.RSAPublicKey)  # noqa: S101 - `fresh` makes no others
        return found

    def jwk(self) -> dict[str, Any]:
        """The public half as a JSON Web Key (RFC 7517)."""
        parameters: Any = {"kid": self.key_id, "alg": ALGORITHM, "use": "sig"}
        return dict(RSAKey.import_key(self.public_key, parameters).as_dict(private=False))


def published(connection: Connection, sealing: Sealing, now: int) -> list[SigningKey]:
    """The keys whose signatures count, the oldest first; makes one when none is young enough, and ends the old."""
    keys = kept(connection)
    if _lacks_young(keys, now):
        made = fresh(sealing, now)
        connection.execute(signing_key.insert().values(_row(made)))
        keys.append(made)
    ended = [key.key_id for key in _ended(keys, now)]
    if ended:
        connection.execute(delete(signing_key).where(signing_key.c.key_id.in_(ended)))
    return [key for key in keys if key.key_id not in ended]


def kept(connection: Connection) -> list[SigningKey]:
    """All keys, the oldest first."""
    rows = connection.execute(select(signing_key).order_by(signing_key.c.created_at, signing_key.c.key_id))
    return [SigningKey(row.key_id, row.public_key, row.private_key, row.created_at) for row in rows]


def in_order(keys: list[SigningKey], now: int) -> bool:
    """Whether nothing is to be made or ended, so that these are the published ones."""
    return not _lacks_young(keys, now) and not _ended(keys, now)


def _lacks_young(keys: list[SigningKey], now: int) -> bool:
    return not keys or keys[-1].created_at <= now - ROTATED_AFTER


def signing(keys: list[SigningKey], now: int) -> SigningKey:
    """Of the published keys the one that signs: the newest that has been published long enough, else the first."""
    settled = [key for key in keys if key.created_at <= now - OVERLAP]
    return settled[-1] if settled else keys[0]


def _ended(keys: list[SigningKey], now: int) -> list[SigningKey]:
    """Those whose successor has been signing for long enough."""
    return [key for key, successor in pairwise(keys) if successor.created_at <= now - 2 * OVERLAP]


def fresh(sealing: Sealing, now: int) -> SigningKey:
    """A new RSA key of 2048 bits; takes a processor for some tenths of a second."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    key_id = secrets.token_hex(20)  # as long as Google's
    octets = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    certificate = _certificate(_COMMON_NAME, private.public_key(), private, key_id, now)
    return SigningKey(key_id, certificate, sealing.seal(octets, _purpose(key_id)), now)


def private_key(key: SigningKey, sealing: Sealing) -> rsa.RSAPrivateKey:
    """The private half, opened once and remembered. Raises `WrongKeyError`."""
    return _private_key(key.key_id, sealing.open(key.sealed, _purpose(key.key_id)))


@lru_cache(maxsize=4)
def _private_key(_key_id: str, octets: bytes) -> rsa.RSAPrivateKey:
    # Checking it takes 50 ms, and nobody but us can have sealed it.
    found = load_der_private_key(octets, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(found, rsa.RSAPrivateKey)  # noqa: S101 - `fresh` makes no others
    return found


def certified(pem: str, subject: str, key_id: str, signer: rsa.RSAPrivateKey, now: int) -> str:
    """A certificate (PEM) for somebody's public key, signed by ours: the form in which Google publishes keys."""
    public = load_pem_public_key(pem.encode())
    assert isinstance(public, rsa.RSAPublicKey)  # noqa: S101 - service accounts have no others
    return _certificate(subject, public, signer, key_id, now)


def _certificate(subject: str, public: rsa.RSAPublicKey, signer: rsa.RSAPrivateKey, key_id: str, now: int) -> str:
    issued = dt.datetime.fromtimestamp(now // 1000, dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(_COMMON_NAME))
        .public_key(public)
        .serial_number(int(key_id[:30], 16) + 1)
        .not_valid_before(issued)
        .not_valid_after(issued + _CERTIFIED)
    )
    return builder.sign(signer, SHA256()).public_bytes(Encoding.PEM).decode()


def _name(text: str) -> x509.Name:
    """A name that may be longer than the 64 characters of RFC 5280, as addresses of service accounts are."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _purpose(key_id: str) -> str:
    return f"signing key {key_id}"


def _row(key: SigningKey) -> dict[str, object]:
    return {
        "key_id": key.key_id,
        "private_key": key.sealed,
        "public_key": key.certificate,
        "created_at": key.created_at,
    }
