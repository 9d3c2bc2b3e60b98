"""Who asks, and may they? From the Authorization header to a grant."""

import asyncio
import json
from contextlib import closing

import pytest

from postroad import refusals
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.oauth import accounts, tokens
from postroad.oauth.accounts import Account
from postroad.oauth.scopes import SCOPES
from postroad.oauth.tokens import Grant, Tokens
from postroad.submission import Policy, Submission
from postroad.web.asgi import Face
from postroad.web.bearer import mailbox_of, presented, refuse_insufficient, refuse_others
from postroad.web.methods import GET, LIST, METHODS, SEND
from postroad.web.system_parameters import ABSENT, Parameters

NOW = 1_790_000_000_000
ALICE = Account(1, "alice@example.test", administrator=False, captured=False, disabled=False)


def grant_of(*scopes):
    return Grant(ALICE, frozenset(scopes), 1)


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


# gmail-wire.md 8.2, as it stands there: which scopes, any one, and for which methods.
TABLE = """
FULL A.action.compose compose modify | drafts.create drafts.delete drafts.send drafts.update
FULL compose modify readonly | drafts.get drafts.list
FULL compose metadata modify readonly | getProfile
FULL metadata modify readonly | history.list messages.list stop threads.list watch
FULL labels modify | labels.create labels.delete labels.patch labels.update
FULL labels metadata modify readonly | labels.get labels.list
FULL A.message.action A.message.readonly modify readonly | messages.attachments.get
FULL | messages.batchDelete messages.delete threads.delete
FULL modify | messages.batchModify messages.modify messages.trash messages.untrash
FULL modify | threads.modify threads.trash threads.untrash
FULL A.message.action A.message.metadata A.message.readonly metadata modify readonly | messages.get threads.get
FULL insert modify | messages.import messages.insert
FULL A.action.compose compose modify send | messages.send
settings.basic settings.sharing | settings.cse.identities.create settings.cse.identities.delete
settings.basic settings.sharing | settings.cse.identities.patch settings.cse.keypairs.create
settings.basic settings.sharing | settings.cse.keypairs.disable settings.cse.keypairs.enable
settings.basic settings.sharing | settings.cse.keypairs.obliterate settings.sendAs.patch settings.sendAs.update
settings.basic settings.sharing | settings.sendAs.smimeInfo.delete settings.sendAs.smimeInfo.insert
settings.basic settings.sharing | settings.sendAs.smimeInfo.setDefault
FULL modify readonly settings.basic settings.sharing | settings.cse.identities.get settings.cse.identities.list
FULL modify readonly settings.basic settings.sharing | settings.cse.keypairs.get settings.cse.keypairs.list
FULL modify readonly settings.basic settings.sharing | settings.sendAs.smimeInfo.get settings.sendAs.smimeInfo.list
settings.sharing | settings.delegates.create settings.delegates.delete settings.forwardingAddresses.create
settings.sharing | settings.forwardingAddresses.delete settings.sendAs.create settings.sendAs.delete
settings.sharing | settings.sendAs.verify settings.updateAutoForwarding
FULL modify readonly settings.basic | settings.delegates.get settings.delegates.list settings.filters.get
FULL modify readonly settings.basic | settings.filters.list settings.forwardingAddresses.get
FULL modify readonly settings.basic | settings.forwardingAddresses.list settings.getAutoForwarding settings.getImap
FULL modify readonly settings.basic | settings.getLanguage settings.getPop settings.getVacation
FULL modify readonly settings.basic | settings.sendAs.get settings.sendAs.list
settings.basic | settings.filters.create settings.filters.delete settings.updateImap settings.updateLanguage
settings.basic | settings.updatePop settings.updateVacation
"""


def scope(short: str) -> str:
    prefix = "https://www.googleapis.com/auth/gmail."
    return "https://mail.google.com/" if short == "FULL" else prefix + short.replace("A.", "addons.current.")


MAY = {
    method: {scope(short) for short in line.partition("|")[0].split()}
    for line in TABLE.strip().splitlines()
    for method in line.partition("|")[2].split()
}
INSUFFICIENT = (403, "Request had insufficient authentication scopes.")
DELEGATION = (403, "Delegation denied for alice@example.test")
INVALID = (401, "Request had invalid authentication credentials.")
WHO = {"own": ("alice", "me"), "another's": ("alice", "bob@example.test"), "a disabled account's": ("dave", "me")}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A face, and a token for each scope of Alice and of Dave, who is disabled."""
    with closing(Database(tmp_path_factory.mktemp("house"), floor=0)) as database:
        submission = Submission(
            database, Identifiers(), Policy("x.test", "rewrite", "single", 1000, 3), None, None
        )
        face = Face(database, Tokens(database), submission, lambda: NOW)

        def people(connection):
            issued = {}
            for name in ("alice", "bob", "dave"):
                owner = accounts.add(connection, f"{name}@example.test", administrator=False, now=NOW)
                for one in SCOPES.values():
                    more = {"account_id": owner.account_id, "scopes": frozenset([one])}
                    issued[name, one] = tokens.issue(connection, **more, expires_at=NOW + 1, now=NOW)
            accounts.disable(connection, "dave@example.test", NOW)
            return issued

        yield face, database.submit(people).result()


def called(face, method, token: str, user_id: str) -> tuple[int, str]:
    """The code and the text of a call that, where it is permitted, finds nothing to do."""
    path = f"/{method.path}".format(**dict.fromkeys(method.variables, "1") | {"userId": user_id})
    body = b"{}" if method.request else b""
    headers = [(b"authorization", b"Bearer " + token.encode()), (b"host", b"x.test")]
    headers += [(b"content-length", b"%d" % len(body))] if body else []
    scope = {
        "method": method.verb,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"format=minimal" if method is GET else b"",
        "headers": headers,
    }
    answer = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event):
        answer.append(event)

    asyncio.run(face({"type": "http", "http_version": "1.1"} | scope, receive, send))
    error = json.loads(answer[1]["body"]).get("error", {})
    return answer[0]["status"], error.get("message", "").partition(" Expected ")[0]


CELLS = [(method, name, who) for method in METHODS for name in SCOPES for who in WHO]


@pytest.mark.parametrize(
    ("method", "name", "who"), CELLS, ids=[f"{method.rpc}-{name}-{who}" for method, name, who in CELLS]
)
def test_a_scope_permits_what_googles_table_says(house, method, name, who):
    """Every scope, alone, for every method: one's own mailbox, nobody else's, and never that of the disabled."""
    face, issued = house
    person, user_id = WHO[who]
    told = called(face, method, issued[person, SCOPES[name]], user_id)
    if person == "dave":
        assert told == INVALID
    elif SCOPES[name] not in MAY[method.id.removeprefix("gmail.users.")]:
        assert told == INSUFFICIENT
    elif user_id != "me":
        assert told == DELEGATION
    else:
        assert told[0] in (200, 400, 404)


def test_the_table_is_all_of_googles():
    """Every method of the Gmail API is in it."""
    assert len(MAY) == 79


def test_nobodys_token_has_no_mailbox():
    """A service account that acts for nobody is permitted, and then there is nothing to act on."""
    robot = Grant(None, frozenset(SEND.scopes), 1, "1", "robot@postroad.iam.gserviceaccount.com")
    with pytest.raises(refusals.MailboxMissing) as refused:
        mailbox_of(robot)
    assert "robot@postroad.iam.gserviceaccount.com" in refused.value.why
    assert mailbox_of(Grant(ALICE, frozenset(), 1)) is ALICE


def test_the_refusal_names_what_was_missing():
    """The operator's log says which scopes would do and which the token has."""
    with pytest.raises(refusals.ScopeInsufficient) as refused:
        refuse_insufficient(grant_of(SCOPES["gmail.readonly"], SCOPES["gmail.labels"]), SEND)
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
            refuse_insufficient(grant_of(scope), method)


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
