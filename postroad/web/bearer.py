"""From what a request presents to a grant (RFC 6750 section 2), and whether it suffices for a method."""

from postroad import refusals
from postroad.oauth.accounts import Account
from postroad.oauth.tokens import Grant
from postroad.web.methods import Method
from postroad.web.system_parameters import Parameters


def refuse_insufficient(grant: Grant, method: Method) -> None:
    """Let a grant pass that suffices for a method. Raises `ScopeInsufficient`."""
    if grant.scopes.isdisjoint(method.scopes):
        raise refusals.ScopeInsufficient(
            f"{method.id} needs one of {', '.join(method.scopes)}; the token has {', '.join(sorted(grant.scopes))}"
        )


def presented(authorization: bytes | None, parameters: Parameters, *, in_query: bool) -> str:
    """The credential: of the header, or of the query if that is read.

    Another scheme than Bearer, in any case of letters, is none at all (gmail-wire.md 8.3).
    Raises `CredentialMissing`, `KeyIsNoCredential`.
    """
    if text := bearer_of(authorization):
        return text
    if in_query and parameters.access_token:
        return parameters.access_token
    if parameters.key:
        raise refusals.KeyIsNoCredential("an API key, and no bearer token")
    if parameters.access_token:
        raise refusals.CredentialMissing("a token in the query alone, and the setting token_in_query is off")
    raise refusals.CredentialMissing("no Authorization header with a bearer token")


def bearer_of(authorization: bytes | None) -> str:
    """The token in an Authorization header; "" for none, and for another scheme."""
    scheme, _, credential = (authorization or b"").decode("latin-1").partition(" ")
    return credential.strip(" ") if scheme.lower() == "bearer" else ""


def mailbox_of(grant: Grant) -> Account:
    """Whose mailbox a call is about. Raises `MailboxMissing` for a service account that acts for nobody."""
    if grant.account is None:
        raise refusals.MailboxMissing(f"{grant.service_account} acts for no account: its token names no subject")
    return grant.account


def refuse_others(account: Account, user_id: str) -> None:
    """Let `me` and the account's own address pass. Raises `DelegationDenied` for anyone else."""
    if user_id != "me" and user_id.lower() != account.address:
        raise refusals.DelegationDenied(f"userId {user_id!r} is not {account.address}", address=account.address)
