"""Certificates of servers: good ones, and each kind of bad one; made once."""

import datetime as dt
import hashlib
import ssl
import warnings
from functools import cache

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

HOST = "mx.a.test"
LONG_AGO = dt.datetime(2020, 1, 1)  # noqa: DTZ001 - trustme wants it so

AUTHORITY = trustme.CA()
INTERMEDIATE = AUTHORITY.create_child_ca()
STRANGER = trustme.CA()

ISSUED = {
    "good": INTERMEDIATE.issue_cert(HOST),
    "next": INTERMEDIATE.issue_cert(HOST),
    "expired": AUTHORITY.issue_cert(HOST, not_after=LONG_AGO),
    "of nobody known": STRANGER.issue_cert(HOST),
    "for another name": AUTHORITY.issue_cert("mx.b.test"),
}


def trusting(context: ssl.SSLContext) -> ssl.SSLContext:
    """The context, which trusts our authority beside the system's."""
    AUTHORITY.configure_trust(context)
    return context


@cache
def server(name: str = "good", *, old: bool = False) -> ssl.SSLContext:
    """A server's context; an `old` one knows no TLS after 1.0."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ISSUED[name].configure_cert(context)
    if old:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    return context


def _der(pem: trustme.Blob) -> bytes:
    return x509.load_pem_x509_certificate(pem.bytes()).public_bytes(Encoding.DER)


def chain(name: str = "good") -> list[bytes]:
    """What a server shows, in DER."""
    return [_der(pem) for pem in ISSUED[name].cert_chain_pems]


def anchor(authority: trustme.CA = AUTHORITY) -> bytes:
    """The certificate of an authority, in DER."""
    return _der(authority.cert_pem)


def key(certificate: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a certificate."""
    public = x509.load_der_x509_certificate(certificate).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def issued_by(issuer: x509.Name, signer: CertificateIssuerPrivateKeyTypes, name: str, *extensions) -> tuple:
    """A certificate with these extensions, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), 1, LONG_AGO, dt.datetime(3000, 1, 1))  # noqa: DTZ001
    for one in extensions:
        builder = builder.add_extension(one, critical=False)
    return builder.sign(signer, hashes.SHA256()), key


def below(*extensions: x509.ExtensionType) -> list[bytes]:
    """A good certificate for our host, given by one with these extensions, which our authority gave."""
    root = x509.load_pem_x509_certificate(AUTHORITY.cert_pem.bytes())
    root_key = load_pem_private_key(AUTHORITY.private_key_pem.bytes(), None)
    middle, middle_key = issued_by(root.subject, root_key, "middle", *extensions)
    names = x509.SubjectAlternativeName([x509.DNSName(HOST)])
    leaf, _ = issued_by(middle.subject, middle_key, "leaf", names)
    return [leaf.public_bytes(Encoding.DER), middle.public_bytes(Encoding.DER)]


def tlsa(usage: int, selector: int, matching: int, certificate: bytes) -> tuple[int, int, int, bytes]:
    """The fields of a TLSA record about a certificate."""
    octets = key(certificate) if selector else certificate
    digest = {0: lambda: octets, 1: hashlib.sha256(octets).digest, 2: hashlib.sha512(octets).digest}
    return usage, selector, matching, digest[matching]()
