"""JSON Web Signatures, right ones and wrong ones, made from their octets; no JOSE library has a part in it."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from postroad.oauth.service_accounts import Key

Sign = Callable[[bytes], bytes]

# RFC 8017 section 9.2, notes: what stands before the hash in a signature by SHA-256.
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def base64url(octets: bytes) -> str:
    """Without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def octets_of(part: Any) -> bytes:
    """A part as it is, or as JSON."""
    return part if isinstance(part, bytes) else json.dumps(part).encode()


def compact(header: Any, claims: Any, sign: Sign) -> str:
    """The compact serialization (RFC 7515 section 7.1)."""
    text = f"{base64url(octets_of(header))}.{base64url(octets_of(claims))}"
    return f"{text}.{base64url(sign(text.encode()))}"


@dataclass(frozen=True)
class Signer:
    """Signs with a private key in every way there is."""

    key: RSAPrivateKey

    @classmethod
    def of(cls, key: Key) -> "Signer":
        return cls(load_pem_private_key(key.private_key.encode(), None, unsafe_skip_rsa_key_validation=True))

    @property
    def modulus(self) -> int:
        return self.key.public_key().public_numbers().n

    @property
    def size(self) -> int:
        """In octets."""
        return self.key.key_size // 8

    def rs(self, bits: int = 256) -> Sign:
        return lambda text: self.key.sign(text, padding.PKCS1v15(), getattr(hashes, f"SHA{bits}")())

    def ps(self, bits: int = 256) -> Sign:
        chosen = getattr(hashes, f"SHA{bits}")()
        return lambda text: self.key.sign(text, padding.PSS(padding.MGF1(chosen), bits // 8), chosen)

    def raw(self, block: Callable[[bytes], bytes]) -> Sign:
        """The signature of an encoded message that `block` makes from the hash (RFC 8017 section 5.2.1)."""
        numbers = self.key.private_numbers()

        def sign(text: bytes) -> bytes:
            encoded = int.from_bytes(block(hashlib.sha256(text).digest()))
            return pow(encoded, numbers.d, self.modulus).to_bytes(self.size)

        return sign


def padded(info: bytes, size: int = 256, kind: int = 1) -> bytes:
    """EMSA-PKCS1-v1_5 (RFC 8017 section 9.2)."""
    return bytes([0, kind]) + b"\xff" * (size - len(info) - 3) + b"\0" + info


def mac(secret: bytes, bits: int = 256) -> Sign:
    """HMAC, as who takes a public key for a secret would make it."""
    return lambda text: hmac.digest(secret, text, f"sha{bits}")


def always(signature: bytes) -> Sign:
    return lambda _: signature
