"""Authorization codes (RFC 6749 section 4.1.2): proof that a person consented, good once and for minutes."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from postroad.database.schema import authorization_code, consent, token
from postroad.oauth import credentials, refresh_tokens
from postroad.oauth.authorization import AuthorizationRequest
from postroad.oauth.consents import Consent

# Milliseconds. RFC 6749 section 4.1.2 has ten minutes at most; a browser takes seconds.
LIFE = 5 * 60_000
# How long a code that is over is known: until then its use is a replay, which ends what came of it.
KEPT = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Code:
    """A code that was issued, used or not; its methods are those that Authlib asks a code for."""

    code_hash: bytes
    consent_id: int
    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    offline: bool
    code_challenge: str | None
    code_challenge_method: str | None
    nonce: str | None
    signed_in_at: int

    def get_redirect_uri(self) -> str:
        """Where it was sent."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """What was allowed, in the order asked."""
        return " ".join(self.scopes)


def issue(
    connection: Connection,
    given: Consent,
    request: AuthorizationRequest,
    scopes: Sequence[str],
    *,
    signed_in_at: int,
    now: int,
) -> str:
    """A code for `scopes`, those of the request that were ticked; with all that was allowed before, if it asks so.

    The text is returned and not kept. Times are milliseconds.
    """
    text = credentials.fresh(credentials.CODE)
    wanted = granted(given, request, scopes)
    values = {
        "code_hash": credentials.digest(text),
        "consent_id": given.consent_id,
        "redirect_uri": request.redirect_uri,
        "scopes": " ".join(wanted),
        "offline": _offline(connection, given, request, wanted, now),
        "code_challenge": request.code_challenge,
        "code_challenge_method": request.code_challenge_method,
        "nonce": request.nonce,
        "signed_in_at": signed_in_at,
        "expires_at": now + LIFE,
    }
    connection.execute(insert(authorization_code).values(values))
    return text


def granted(given: Consent, request: AuthorizationRequest, scopes: Sequence[str]) -> tuple[str, ...]:
    """What a code grants: `scopes` and, with include_granted_scopes, the rest of the consent."""
    before = sorted(given.scopes.difference(scopes)) if request.include_granted_scopes else []
    return (*scopes, *before)


def _offline(
    connection: Connection, given: Consent, request: AuthorizationRequest, scopes: Sequence[str], now: int
) -> bool:
    """Whether a refresh token comes with it (gmail-wire.md 8.5): at the first consent, and whenever it is renewed.

    An installed client gets one each time, as at Google: it starts anew by removing the file that held the last.
    """
    if not request.offline:
        return False
    if "consent" in request.prompts or request.client.kind == "installed":
        return True
    return not refresh_tokens.cover(connection, given.consent_id, scopes, now)


_FOUND = select(authorization_code, consent.c.client_id).join_from(authorization_code, consent)


def find(connection: Connection, text: str) -> Code | None:
    """The code of that text, whether or not it is still good."""
    sought = authorization_code.c.code_hash == credentials.digest(text)
    row = connection.execute(_FOUND.where(sought)).one_or_none()
    if row is None:
        return None
    return Code(
        row.code_hash,
        row.consent_id,
        row.client_id,
        row.redirect_uri,
        tuple(row.scopes.split()),
        row.offline,
        row.code_challenge,
        row.code_challenge_method,
        row.nonce,
        row.signed_in_at,
    )


def redeem(connection: Connection, code: Code, now: int) -> bool:
    """Use the code up. False when it was used before, or is over; of many at once, true for one."""
    still = (authorization_code.c.redeemed_at.is_(None), authorization_code.c.expires_at > now)
    mine = authorization_code.c.code_hash == code.code_hash
    return connection.execute(update(authorization_code).where(mine, *still).values(redeemed_at=now)).rowcount == 1


def take_back(connection: Connection, code: Code) -> None:
    """End the tokens that came of a code: somebody else had it too (RFC 6749 section 4.1.2)."""
    refresh_tokens.end(connection, refresh_tokens.of_code(code.code_hash))
    connection.execute(delete(token).where(token.c.code_hash == code.code_hash))
