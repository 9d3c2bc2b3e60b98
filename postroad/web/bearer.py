"""From the Authorization header to a grant (RFC 6750 section 2.1), and whether it suffices for a method."""

from postroad import refusals
from postroad.oauth.accounts import Account
from postroad.oauth.tokens import Grant, Tokens
from postroad.web.methods import Method


async def permit(tokens: Tokens, authorization: bytes | None, method: Method, now: int) -> Grant:
    """The grant of this request. Raises `CredentialMissing`, `CredentialInvalid`, `ScopeInsufficient`."""
    grant = await tokens.check(_token(authorization), now)
    if grant.scopes.isdisjoint(method.scopes):
        raise refusals.ScopeInsufficient(
            f"{method.id} needs one of {', '.join(method.scopes)}; the token has {', '.join(sorted(grant.scopes))}"
        )
    return grant


def _token(authorization: bytes | None) -> str:
    """The credential; another scheme than Bearer, in any case of letters, is none at all (gmail-wire.md 8.3)."""
    scheme, _, credential = (authorization or b"").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not credential.strip(" "):
        raise refusals.CredentialMissing("no Authorization header with a bearer token")
    return credential.strip(" ")


def refuse_others(account: Account, user_id: str) -> None:
    """Let `me` and the account's own address pass. Raises `DelegationDenied` for anyone else."""
    if user_id != "me" and user_id.lower() != account.address:
        raise refusals.DelegationDenied(f"userId {user_id!r} is not {account.address}", address=account.address)
