"""Signing in at an external OpenID provider (OpenID Connect Core): what is asked there, and whom its answer names.

Nothing here speaks HTTP. What a provider says counts once its ID token verifies: the signature by an algorithm of
our choosing, then issuer, audience, times and nonce. An account is found by an address that the provider vouches
for, and from then on by the subject alone, as an address may become somebody else's (Core section 5.7).
"""

import json
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, KeySet
from joserfc.jwt import JWTClaimsRegistry
from sqlalchemy import Connection, delete, func, insert, select

from postroad.database.rows import insert_unless_there
from postroad.database.schema import upstream_identity, upstream_sign_in
from postroad.mail.address import BadAddress
from postroad.oauth import accounts, credentials
from postroad.oauth.accounts import Account
from postroad.sealing import Sealing

# Milliseconds for a person to sign in elsewhere.
LIFE = 600_000
# Of all browsers at once: anybody may begin one.
MOST = 10_000
# By which an ID token may be signed: never by none, nor by what anybody can make who knows the public key.
ALGORITHMS = ["RS256", "ES256"]
# Seconds by which two clocks may differ.
LEEWAY_SECONDS = 60
# OpenID Connect Core section 2.
MAX_SUBJECT = 255
SCOPE = "openid email"
_PURPOSE = "sign-in at an external provider"


class UpstreamError(Exception):
    """Nobody is signed in; `str()` is for the person at the browser, `why` for the operator's log."""

    def __init__(self, told: str, *, why: str = "") -> None:
        super().__init__(told)
        self.why = why or told


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider says of itself (OpenID Connect Discovery section 3).

    `tells_issuer`: every answer names who gives it (RFC 9207). `by_form`: it wants our secret in the form.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    tells_issuer: bool
    by_form: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that is under way: what its answer must fit, where to go on; `browser`: a hash of its cookie."""

    nonce: str
    code_verifier: str
    onward: str
    browser: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed in at the provider; `email` is an address it vouches for, if it does."""

    subject: str
    email: str | None


def metadata_of(issuer: str, document: Any) -> Metadata:
    """The document of that issuer, checked. Raises `UpstreamError`."""
    members = document if isinstance(document, dict) else {}
    if members.get("issuer") != issuer:
        raise _unusable(issuer, "its document names another issuer")
    places = {name: members.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
    for name, place in places.items():
        if not isinstance(place, str) or not is_safe(place):
            raise _unusable(issuer, f"its {name} is no https address")
    methods = members.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    tells_issuer = members.get("authorization_response_iss_parameter_supported") is True
    by_form = isinstance(methods, list) and "client_secret_basic" not in methods
    return Metadata(issuer, **places, tells_issuer=tells_issuer, by_form=by_form)  # type: ignore[arg-type]


def is_safe(url: str) -> bool:
    """Whether what is said there stays unread on the way: by TLS, or not leaving this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    unread = parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))
    return unread and bool(host) and not parts.username


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unusable(issuer: str, why: str) -> UpstreamError:
    return UpstreamError("Signing in elsewhere does not work just now.", why=f"{issuer}: {why}")


def fresh(onward: str, session: str) -> Attempt:
    """A new attempt, of the browser whose cookie has that value."""
    return Attempt(credentials.fresh(""), credentials.fresh(""), onward, browser_of(session))


def browser_of(session: str) -> str:
    """What an attempt knows a browser by."""
    return credentials.digest(session).hex()


def begin(connection: Connection, sealing: Sealing, attempt: Attempt, now: int) -> str:
    """Keep an attempt, sealed, for ten minutes; its state. Raises `UpstreamError`: too many at once."""
    connection.execute(delete(upstream_sign_in).where(upstream_sign_in.c.expires_at <= now))
    if connection.execute(select(func.count()).select_from(upstream_sign_in)).scalar_one() >= MOST:
        raise UpstreamError("Many people are signing in just now. Please try again in some minutes.")
    state = credentials.fresh("")
    sealed = sealing.seal(json.dumps(asdict(attempt)).encode(), _PURPOSE)
    values = {"state_hash": credentials.digest(state), "sealed": sealed, "expires_at": now + LIFE}
    connection.execute(insert(upstream_sign_in).values(values))
    return state


def take(connection: Connection, sealing: Sealing, state: str, now: int) -> Attempt | None:
    """The attempt of that state, which nobody can take again; `None` when it is unknown or over."""
    mine = upstream_sign_in.c.state_hash == credentials.digest(state)
    columns = (upstream_sign_in.c.sealed, upstream_sign_in.c.expires_at)
    row = connection.execute(delete(upstream_sign_in).where(mine).returning(*columns)).one_or_none()
    if row is None or row.expires_at <= now:
        return None
    return Attempt(**json.loads(sealing.open(row.sealed, _PURPOSE)))


def place_to_ask(metadata: Metadata, client_id: str, redirect_uri: str, state: str, attempt: Attempt) -> str:
    """Where the browser goes (Core section 3.1.2.1), with a proof key (RFC 7636)."""
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": SCOPE,
        "state": state,
        "nonce": attempt.nonce,
        "code_challenge": create_s256_code_challenge(attempt.code_verifier),
        "code_challenge_method": "S256",
    }
    separator = "&" if "?" in metadata.authorization_endpoint else "?"
    return f"{metadata.authorization_endpoint}{separator}{urlencode(asked)}"


def key_set(document: Any) -> KeySet:
    """The keys of a JSON Web Key Set that we know how to use; others are passed over (RFC 7517 section 5)."""
    members = document.get("keys") if isinstance(document, dict) else None
    found = []
    for member in members if isinstance(members, list) else ():
        try:
            if isinstance(member, dict) and member.get("kty") in ("RSA", "EC"):
                found.append(JWKRegistry.import_key(member))
        except (JoseError, ValueError, TypeError):
            continue
    return KeySet(found)


def identity(text: str, keys: KeySet, metadata: Metadata, client_id: str, nonce: str, now: int) -> Identity:
    """Who an ID token says signed in (Core section 3.1.3.7). `now` in milliseconds. Raises `UpstreamError`."""
    try:
        claims = jwt.decode(text, keys, ALGORITHMS).claims
        _claims(metadata.issuer, client_id, nonce, now).validate(claims)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise _unusable(metadata.issuer, f"its ID token does not verify: {type(error).__name__}") from None
    subject, email = claims["sub"], claims.get("email")
    if not 0 < len(subject) <= MAX_SUBJECT or "\0" in subject:
        raise _unusable(metadata.issuer, "the subject of its ID token is none")
    if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != client_id:
        raise _unusable(metadata.issuer, "its ID token is for somebody else, too")
    vouched = isinstance(email, str) and claims.get("email_verified") is True
    return Identity(subject, email if vouched else None)


def _claims(issuer: str, client_id: str, nonce: str, now: int) -> JWTClaimsRegistry:
    return JWTClaimsRegistry(
        now=now // 1000,
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        nonce={"essential": True, "value": nonce},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )


def account_of(connection: Connection, issuer: str, found: Identity, now: int) -> Account:
    """Whose account that is: who signed in so before, or whose address it is. Raises `UpstreamError`."""
    mine = (upstream_identity.c.issuer == issuer, upstream_identity.c.subject == found.subject)
    known = connection.execute(select(upstream_identity.c.account_id).where(*mine)).scalar_one_or_none()
    account = accounts.by_id(connection, known) if known is not None else _addressed(connection, issuer, found)
    if account.disabled:
        raise UpstreamError(_NO_ACCOUNT, why=f"the account {account.address} is disabled")
    if known is None:
        values = {"issuer": issuer, "subject": found.subject, "account_id": account.account_id, "created_at": now}
        insert_unless_there(connection, upstream_identity, values)  # another node may have been first
    return account


_NO_ACCOUNT = "There is no account here for you. An administrator of this server can make one for your address."
_ANOTHER = "Somebody else with your email address signed in to this account before. Ask an administrator."


def _addressed(connection: Connection, issuer: str, found: Identity) -> Account:
    if found.email is None:
        raise UpstreamError(_NO_ACCOUNT, why=f"{issuer} vouches for no address of this subject")
    try:
        account = accounts.find(connection, accounts.key_of(found.email))
    except BadAddress:
        account = None
    if account is None or account.captured:
        raise UpstreamError(_NO_ACCOUNT, why=f"{issuer} names an address that is no account here")
    taken = (upstream_identity.c.issuer == issuer, upstream_identity.c.account_id == account.account_id)
    if connection.execute(select(upstream_identity.c.subject).where(*taken)).first():
        raise UpstreamError(_ANOTHER, why=f"{account.address} is another subject's at {issuer}")
    return account


def forget(connection: Connection, account_id: int) -> int:
    """Let whoever has the account's address at a provider sign in anew; how many were known."""
    mine = upstream_identity.c.account_id == account_id
    return connection.execute(delete(upstream_identity).where(mine)).rowcount
