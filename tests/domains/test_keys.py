"""DKIM keys: made, and read back to sign with."""

import base64
import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)

from postroad.domains import keys

DIGEST = hashlib.sha256(b"what is signed").digest()


def test_an_rsa_key_signs_what_its_record_verifies():
    """The public half of an RSA key of 2048 bits verifies what the private one signed, and nothing else."""
    made = keys.make("rsa")
    public = load_der_public_key(base64.b64decode(made.public))
    key = keys.signing_key("a.test", "one", made.private)
    assert (key.domain, key.selector, key.algorithm, public.key_size) == ("a.test", "one", "rsa-sha256", 2048)
    public.verify(key.sign(DIGEST), DIGEST, PKCS1v15(), Prehashed(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        public.verify(key.sign(DIGEST), bytes(32), PKCS1v15(), Prehashed(hashes.SHA256()))


def test_an_ed25519_key_signs_what_its_record_verifies():
    """The record of an Ed25519 key holds its 32 octets bare (RFC 8463 section 4.2)."""
    made = keys.make("ed25519")
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(made.public))
    key = keys.signing_key("a.test", "two", made.private)
    assert key.algorithm == "ed25519-sha256"
    public.verify(key.sign(DIGEST), DIGEST)


def test_another_kind_of_key_is_refused():
    """A key that DKIM does not know signs nothing."""
    other = ec.generate_private_key(ec.SECP256R1())
    private = other.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match="neither RSA nor Ed25519"):
        keys.signing_key("a.test", "three", private)
