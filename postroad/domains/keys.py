"""DKIM keys: made, and read to sign with. Every primitive is `cryptography`'s."""

import base64
from collections.abc import Callable
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from postroad.mail import dkim

# RFC 8301 section 3.2 asks for 2048 bits; the records of longer keys outgrow what some name servers carry.
RSA_BITS = 2048
ALGORITHMS = ("rsa", "ed25519")  # RSA first: verifiers that stop at one signature know it


class NewKey(NamedTuple):
    """A key just made: PKCS#8 in DER, and the p= of its record (RFC 6376 section 3.6.1, RFC 8463 section 4.2)."""

    private: bytes
    public: str


def make(algorithm: str) -> NewKey:
    """Make a key; for `rsa` this takes a tenth of a second or more."""
    if algorithm == "rsa":
        slow = generate_private_key(65537, RSA_BITS)
        public = slow.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return _new(slow, public)
    quick = Ed25519PrivateKey.generate()
    return _new(quick, quick.public_key().public_bytes_raw())


def _new(key: RSAPrivateKey | Ed25519PrivateKey, public: bytes) -> NewKey:
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return NewKey(private, base64.b64encode(public).decode())


def signing_key(domain: str, selector: str, private: bytes) -> dkim.SigningKey:
    """A private key that `make` made, ready to sign on any thread. Raises `ValueError` for what is none."""
    # We made it, and it was sealed since: to prove its primes anew takes 49 ms (dependencies.md 0.3).
    key = load_der_private_key(private, None, unsafe_skip_rsa_key_validation=True)
    if isinstance(key, RSAPrivateKey):
        return dkim.SigningKey(domain, selector, dkim.RSA, _rsa(key))
    if isinstance(key, Ed25519PrivateKey):
        return dkim.SigningKey(domain, selector, dkim.ED25519, key.sign)
    raise ValueError(f"the key {selector} of {domain} is neither RSA nor Ed25519")


def _rsa(key: RSAPrivateKey) -> Callable[[bytes], bytes]:
    padding, digested = PKCS1v15(), Prehashed(hashes.SHA256())
    return lambda digest: key.sign(digest, padding, digested)
