"""How a session with a next hop has to be secured, and whether it is.

Without a demand, TLS is better than none and no promise (RFC 7435): any certificate, any version. What is demanded
is TLS 1.2 or later (RFC 8996), and where that cannot be had no mail is sent.
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from postroad.relay.dane import Associations

# What the operator wants of every session: what there is, TLS, or TLS with a certificate that is verified.
Level = Literal["opportunistic", "required", "verified"]


class Result(StrEnum):
    """What became of an attempt to secure a session, in the words of RFC 8460 section 4.3."""

    SUCCESS = "success"
    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    CERTIFICATE_HOST_MISMATCH = "certificate-host-mismatch"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION_FAILURE = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    STS_POLICY_FETCH_ERROR = "sts-policy-fetch-error"
    STS_POLICY_INVALID = "sts-policy-invalid"
    STS_WEBPKI_INVALID = "sts-webpki-invalid"


class PolicyType(StrEnum):
    """By whose word a session is secured (RFC 8460 section 4.2); the operator's own is no policy found."""

    DANE = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"


@dataclass(frozen=True, slots=True)
class Demand:
    """TLS by `context` (`None`: none at all), for the name `identity` ("" is the host's own).

    `required`: without it no mail is sent; `why` says whose demand that is. `second`: what is tried when TLS by
    this one fails and is not required, else plaintext. `associations`: what vouches for the certificate (DANE).
    """

    context: ssl.SSLContext | None = None
    required: bool = False
    identity: str = ""
    why: str = ""
    policy: PolicyType = PolicyType.NONE
    second: "Demand | None" = None
    associations: Associations | None = None

    @property
    def fallback(self) -> "Demand | None":
        """What will do instead; `None` when nothing does."""
        return None if self.required else self.second or PLAINTEXT

    @property
    def plaintext_will_do(self) -> bool:
        """A server that offers no TLS gets the mail all the same."""
        return not self.required and (self.second is None or self.second.plaintext_will_do)


PLAINTEXT = Demand()


def opportunistic() -> ssl.SSLContext:
    """TLS with whoever answers: better than none, and no promise (RFC 7435).

    The certificate is not looked at, and old versions and small keys will do: a next hop that could do no better
    would else get plaintext.
    """
    context = encrypted()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def encrypted() -> ssl.SSLContext:
    """TLS that keeps a passive listener out, with whoever answers."""
    context = verified()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def verified(authorities: str | None = None) -> ssl.SSLContext:
    """TLS with a server whose certificate an authority that this machine trusts gave to its name.

    `authorities`: a file (PEM) of those that are trusted instead. OSError when it cannot be read.
    """
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@dataclass(frozen=True, slots=True)
class Contexts:
    """The contexts of all sessions: made once, as that takes long, and as sessions are kept by them."""

    opportunistic: ssl.SSLContext = field(default_factory=opportunistic)
    dane: ssl.SSLContext = field(default_factory=encrypted)  # of its own, so that `assurance` knows it
    encrypted: ssl.SSLContext = field(default_factory=encrypted)
    verified: ssl.SSLContext = field(default_factory=verified)

    def demand(self, level: Level) -> Demand:
        """What the operator's word means for a session that no policy says anything about."""
        if level == "opportunistic":
            return Demand(self.opportunistic)
        context = self.encrypted if level == "required" else self.verified
        return Demand(context, required=True, why="a setting of this server")


def result(tls: ssl.SSLObject | None, demand: Demand, now: datetime) -> Result:
    """Whether an open session is secured as demanded."""
    if tls is None:
        return Result.STARTTLS_NOT_SUPPORTED
    if demand.associations and not demand.associations.vouch_for(chain(tls), now):
        return Result.TLSA_INVALID
    return Result.SUCCESS


# OpenSSL's words (x509_vfy.h) in those of RFC 8460.
_VERIFY_CODES = {
    10: Result.CERTIFICATE_EXPIRED,
    18: Result.CERTIFICATE_NOT_TRUSTED,  # self-signed
    19: Result.CERTIFICATE_NOT_TRUSTED,  # self-signed in its chain
    20: Result.CERTIFICATE_NOT_TRUSTED,  # the issuer is not known
    21: Result.CERTIFICATE_NOT_TRUSTED,  # nor shown
    62: Result.CERTIFICATE_HOST_MISMATCH,
}


def failure(error: BaseException | None) -> Result:
    """What an error during STARTTLS or the handshake means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY_CODES.get(error.verify_code, Result.VALIDATION_FAILURE)
    return Result.VALIDATION_FAILURE


_CAUSES = {
    Result.STARTTLS_NOT_SUPPORTED: "the server offers no TLS",
    Result.CERTIFICATE_HOST_MISMATCH: "the server's certificate is for another name",
    Result.CERTIFICATE_EXPIRED: "the server's certificate has expired",
    Result.CERTIFICATE_NOT_TRUSTED: "the server's certificate is of no authority that is trusted here",
    Result.TLSA_INVALID: "the server's certificate is not the one that its TLSA records name",
    Result.VALIDATION_FAILURE: "TLS could not be started",
}


def complaint(found: Result, demand: Demand, cause: str = "") -> str:
    """What went wrong, whose demand it is, and who can mend it."""
    told = f" ({cause})" if cause and found is Result.VALIDATION_FAILURE else ""
    if not demand.why:
        return f"{_CAUSES[found]}{told}; nobody demands it"
    consequence = ", the mail waits" if demand.required else ""
    return f"{_CAUSES[found]}{told}, but {demand.why} demands better; its operator can mend that{consequence}"


def assurance(tls: ssl.SSLObject | None, demand: Demand) -> str:
    """What is known of the server at the other end of a session that was opened by this demand or its seconds."""
    if tls is None:
        return "plaintext"
    if demand.associations and tls.context is demand.context:
        return "dane"
    return "certificate" if tls.context.verify_mode is ssl.CERT_REQUIRED else "encrypted"


def chain(tls: ssl.SSLObject) -> Sequence[bytes]:
    """The certificates (DER) that the server showed, its own first; not verified."""
    if shown := getattr(tls, "get_unverified_chain", None):  # Python 3.13
        return list(shown())
    layer: Any = tls._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - the only way before
    return [one.public_bytes(_DER) for one in layer.get_unverified_chain() or ()]


_DER = 2  # _ssl.ENCODING_DER
