"""Who asks, and may they? From the Authorization header to a grant."""

import asyncio
from dataclasses import dataclass

import pytest

from postroad import refusals
from postroad.oauth.accounts import Account
from postroad.oauth.scopes import SCOPES
from postroad.oauth.tokens import Grant
from postroad.web.bearer import permit, presented, refuse_others
from postroad.web.methods import GET, LIST, METHODS, SEND
from postroad.web.system_parameters import ABSENT, Parameters

ALICE = Account(1, "alice@example.test", administrator=False, captured=False, disabled=False)


@dataclass
class Anyone:
    """Knows one token, and notes what it was asked."""

    scopes: frozenset[str]
    asked: str = ""

    async def check(self, text, now):
        self.asked = text
        return Grant(ALICE, self.scopes, now + 1)


def permitted(credential, *scopes, method=SEND):
    tokens = Anyone(frozenset(scopes))
    return asyncio.run(permit(tokens, credential, method, 0)), tokens.asked


HEADERS = {
    "as RFC 6750 has it": b"Bearer ya29.x",
    "the scheme in another case": b"bEARER ya29.x",
    "several spaces": b"Bearer   ya29.x",
    "spaces behind": b"Bearer ya29.x  ",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_bearer_token_is_read(header):
    """The token is what follows the scheme Bearer, in any case of letters, without the spaces around it."""
    assert presented(header, ABSENT, in_query=False) == "ya29.x"


def test_the_grant_is_the_tokens():
    """What is presented is what is checked, and the grant is what was found."""
    grant, asked = permitted("ya29.x", SCOPES["gmail.send"])
    assert (grant.account, asked) == (ALICE, "ya29.x")


NONE = {
    "no header": None,
    "an empty one": b"",
    "the scheme alone": b"Bearer",
    "the scheme and spaces": b"Bearer  ",
    "the token alone": b"ya29.x",
    "Basic": b"Basic YTpi",
    "a scheme that begins alike": b"BearerX ya29.x",
    "a tab for the space": b"Bearer\tya29.x",
    "a space in front": b" Bearer ya29.x",
}


@pytest.mark.parametrize("header", NONE.values(), ids=NONE)
def test_anything_else_is_no_credential(header):
    """Another scheme than Bearer, and a bare one, count as no credential."""
    with pytest.raises(refusals.CredentialMissing):
        presented(header, ABSENT, in_query=True)


IN_QUERY = Parameters(access_token="ya29.query")


def test_a_token_in_the_query_is_read_where_that_is_set():
    """The query's token counts if the setting says so, and the header's goes before it."""
    assert presented(None, IN_QUERY, in_query=True) == "ya29.query"
    assert presented(b"Basic YTpi", IN_QUERY, in_query=True) == "ya29.query"
    assert presented(b"Bearer ya29.header", IN_QUERY, in_query=True) == "ya29.header"


def test_elsewhere_it_is_none_and_is_not_told():
    """Without the setting the operator's log names the setting, and not the token."""
    with pytest.raises(refusals.CredentialMissing) as refused:
        presented(None, IN_QUERY, in_query=False)
    assert refused.value.why == "a token in the query alone, and the setting token_in_query is off"


@pytest.mark.parametrize("header", [None, b"Basic YTpi"])
def test_an_api_key_is_no_credential(header):
    """A key alone is refused with a text of its own; beside a token it is nothing."""
    key = Parameters(key="AIza")
    with pytest.raises(refusals.KeyIsNoCredential) as refused:
        presented(header, key, in_query=True)
    assert "AIza" not in refused.value.why
    assert presented(b"Bearer ya29.x", key, in_query=True) == "ya29.x"


CELLS = [(method, name) for method in METHODS for name in SCOPES]


@pytest.mark.parametrize(("method", "name"), CELLS, ids=[f"{method.rpc}-{name}" for method, name in CELLS])
def test_one_scope_of_the_methods_own_suffices(method, name):
    """A token with one scope may call exactly the methods that list it."""
    if SCOPES[name] in method.scopes:
        assert permitted("x", SCOPES[name], method=method)
    else:
        with pytest.raises(refusals.ScopeInsufficient):
            permitted("x", SCOPES[name], method=method)


def test_the_refusal_names_what_was_missing():
    """The operator's log says which scopes would do and which the token has."""
    with pytest.raises(refusals.ScopeInsufficient) as refused:
        permitted("x", SCOPES["gmail.readonly"], SCOPES["gmail.labels"])
    assert refused.value.why == (
        f"gmail.users.messages.send needs one of {', '.join(SEND.scopes)}; "
        f"the token has {SCOPES['gmail.labels']}, {SCOPES['gmail.readonly']}"
    )


TRICKS = {
    "no trailing slash": "https://mail.google.com",
    "another case": "https://www.googleapis.com/auth/Gmail.send",
    "a space behind": SCOPES["gmail.send"] + " ",
    "a trailing slash": SCOPES["gmail.send"] + "/",
    "a beginning": SCOPES["gmail.send"][:-1],
    "a continuation": SCOPES["gmail.send"] + ".all",
    "the short name": "gmail.send",
    "none": "",
}


@pytest.mark.parametrize("scope", TRICKS.values(), ids=TRICKS)
def test_a_scope_is_equal_or_is_not(scope):
    """A scope that only resembles one of the method's does not permit it."""
    for method in (SEND, GET, LIST):
        with pytest.raises(refusals.ScopeInsufficient):
            permitted("x", scope, method=method)


@pytest.mark.parametrize("user_id", ["me", "alice@example.test", "Alice@Example.TEST"])
def test_one_may_act_for_oneself(user_id):
    """`me` and the account's own address, in any case of letters, mean the account."""
    refuse_others(ALICE, user_id)


OTHERS = [
    "bob@example.test",
    "alice+x@example.test",
    "ME",
    "me ",
    "me\0",
    "",
    "alice",
    " alice@example.test",
    "a/b",
]


@pytest.mark.parametrize("user_id", OTHERS)
def test_one_may_not_act_for_others(user_id):
    """Any other userId is refused, and the answer names the account that asked."""
    with pytest.raises(refusals.DelegationDenied) as refused:
        refuse_others(ALICE, user_id)
    assert str(refused.value) == "Delegation denied for alice@example.test"
