"""DANE for SMTP (RFC 7672): which TLSA records can be used, and whether what a server showed is what they name.

Pure: no DNS and no sockets. The times of a certificate count only below a trust anchor (section 3.1.1).
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import verification

TRUST_ANCHOR, END_ENTITY = 2, 3  # DANE-TA, DANE-EE (RFC 7218 section 2.1)
_CERTIFICATE, _PUBLIC_KEY = 0, 1
_DIGESTS: dict[int, Callable[[bytes], bytes]] = {
    0: lambda octets: octets,
    1: lambda octets: hashlib.sha256(octets).digest(),
    2: lambda octets: hashlib.sha512(octets).digest(),
}
_LENGTHS = {1: 32, 2: 64}
# Certificates that one anchor may be reached over; public chains have three.
_MOST_CERTIFICATES = 10


@dataclass(frozen=True, slots=True)
class Association:
    """A TLSA record (RFC 6698 section 2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes

    @property
    def usable(self) -> bool:
        """It can vouch for a mail server: usages 0 and 1 cannot (RFC 7672 section 3.1.3)."""
        return (
            self.usage in (TRUST_ANCHOR, END_ENTITY)
            and self.selector in (_CERTIFICATE, _PUBLIC_KEY)
            and self.matching in _DIGESTS
            and len(self.data) == _LENGTHS.get(self.matching, len(self.data))
            and bool(self.data)
        )

    def names(self, certificate: bytes) -> bool:
        """Whether this record is about that certificate (DER)."""
        selected = certificate if self.selector == _CERTIFICATE else _public_key(certificate)
        return bool(selected) and _DIGESTS[self.matching](selected) == self.data


@dataclass(frozen=True, slots=True)
class Associations:
    """The usable records of a server, and the names that a certificate below an anchor may be for."""

    records: tuple[Association, ...]
    names: tuple[str, ...]

    def vouch_for(self, chain: Sequence[bytes], now: datetime) -> bool:
        """Whether one of the records is about this chain (DER, the server's own certificate first)."""
        if not chain:
            return False
        if any(one.usage == END_ENTITY and one.names(chain[0]) for one in self.records):
            return True
        return any(self._anchored(one, chain[:_MOST_CERTIFICATES], now) for one in self.records)

    def _anchored(self, record: Association, chain: Sequence[bytes], now: datetime) -> bool:
        """An anchor may stand in the record itself, where the server need not send it (RFC 7671 section 5.2.3)."""
        if record.usage != TRUST_ANCHOR:
            return False
        whole = [record.data] if (record.selector, record.matching) == (_CERTIFICATE, 0) else []
        anchors = [one for one in [*chain[1:], *whole] if record.names(one)]
        return any(below(anchor, chain, self.names, now) for anchor in anchors)


def below(anchor: bytes, chain: Sequence[bytes], names: Collection[str], now: datetime) -> bool:
    """Whether the chain leads to this anchor, and its first certificate is for one of the names, now."""
    try:
        root, leaf, *others = map(x509.load_der_x509_certificate, [anchor, *chain])
        policy = verification.PolicyBuilder().store(verification.Store([root])).time(now)
        policy = policy.extension_policies(ca_policy=_ISSUERS, ee_policy=_SERVERS)
    except ValueError:
        return False
    return any(_verifies(policy, name, leaf, others) for name in names)


def _verifies(
    policy: verification.PolicyBuilder, name: str, leaf: x509.Certificate, others: list[x509.Certificate]
) -> bool:
    try:
        policy.build_server_verifier(x509.DNSName(name)).verify(leaf, others)
    except (verification.VerificationError, ValueError):
        return False
    return True


def _public_key(certificate: bytes) -> bytes:
    """Its SubjectPublicKeyInfo; nothing if there is none that we know."""
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except Exception:  # noqa: BLE001 - it raises more than it says; what cannot be read is not named
        return b""


def _may_issue(_policy: verification.Policy, _of: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("not a certificate of an authority")


def _may_sign(_policy: verification.Policy, _of: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("not a key that certificates are signed with")


# What RFC 5280 wants of issuers. Private authorities seldom keep all the rules of public ones, and need not.
_ISSUERS = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, _may_issue)
    .may_be_present(x509.KeyUsage, verification.Criticality.AGNOSTIC, _may_sign)
)
_SERVERS = verification.ExtensionPolicy.permit_all().require_present(
    x509.SubjectAlternativeName, verification.Criticality.AGNOSTIC, None
)
