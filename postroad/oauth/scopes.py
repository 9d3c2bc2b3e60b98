"""The scopes of the Gmail API and of identity, their short names, and what they mean in plain words."""

import re

_PREFIX = "https://www.googleapis.com/auth/"

FULL = "https://mail.google.com/"

# Short name -> the scope as tokens carry it (gmail-wire.md 8.2).
GMAIL = {"mail.google.com": FULL} | {
    name: _PREFIX + name
    for name in (
        "gmail.addons.current.action.compose",
        "gmail.addons.current.message.action",
        "gmail.addons.current.message.metadata",
        "gmail.addons.current.message.readonly",
        "gmail.compose",
        "gmail.insert",
        "gmail.labels",
        "gmail.metadata",
        "gmail.modify",
        "gmail.readonly",
        "gmail.send",
        "gmail.settings.basic",
        "gmail.settings.sharing",
    )
}
# Who somebody is (OpenID Connect Core section 5.4); Google has two spellings, and tokens keep the one asked for.
IDENTITY = {
    "openid": "openid",
    "email": "email",
    "profile": "profile",
    "userinfo.email": f"{_PREFIX}userinfo.email",
    "userinfo.profile": f"{_PREFIX}userinfo.profile",
}
SCOPES = GMAIL | IDENTITY

SHOW_EMAIL = frozenset((IDENTITY["email"], IDENTITY["userinfo.email"]))
SHOW_PROFILE = frozenset((IDENTITY["profile"], IDENTITY["userinfo.profile"]))
# Any of them tells which account it is.
SHOW_SUBJECT = frozenset(IDENTITY.values())

# What a person who is asked to allow it reads: "the program will be able to …".
ABOUT = {
    FULL: "Read, compose, send and permanently delete all your email",
    GMAIL["gmail.addons.current.action.compose"]: "Manage drafts and send email while you use its add-on",
    GMAIL["gmail.addons.current.message.action"]: "Read the open message when you act in its add-on",
    GMAIL["gmail.addons.current.message.metadata"]: "See the headers of the open message while its add-on runs",
    GMAIL["gmail.addons.current.message.readonly"]: "Read the open message while its add-on runs",
    GMAIL["gmail.compose"]: "Manage your drafts and send email as you",
    GMAIL["gmail.insert"]: "Add messages to your mailbox",
    GMAIL["gmail.labels"]: "See and change your labels",
    GMAIL["gmail.metadata"]: "See the headers and labels of your messages, but not their text",
    GMAIL["gmail.modify"]: "Read, compose and send email, and change your mailbox, but delete nothing permanently",
    GMAIL["gmail.readonly"]: "Read your messages and settings",
    GMAIL["gmail.send"]: "Send email as you",
    GMAIL["gmail.settings.basic"]: "See and change your mail settings and filters",
    GMAIL["gmail.settings.sharing"]: "Change who may read your mail and where it is forwarded",
    IDENTITY["openid"]: "Know which account you signed in with",
    IDENTITY["email"]: "See your email address",
    IDENTITY["userinfo.email"]: "See your email address",
    IDENTITY["profile"]: "See your name",
    IDENTITY["userinfo.profile"]: "See your name",
}

# scope = scope-token *( SP scope-token ); scope-token = 1*( %x21 / %x23-5B / %x5D-7E ) (RFC 6749 section 3.3)
_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
# What resembles one of Gmail's is a mistake and no other API's.
_ELSEWHERE = re.compile(re.escape(_PREFIX) + r"(?!gmail|userinfo)[a-z][a-z0-9]*([._-][a-z0-9]+)*")
# All of Google's APIs together have some hundreds, and who asks for all is asked back.
MAX_SCOPES = 100


class UnknownScopeError(ValueError):
    """No such scope."""


class BadScopeError(ValueError):
    """A scope parameter that is none (RFC 6749 section 3.3), or names over a hundred."""


def expand(name: str) -> str:
    """The scope that `name`, short or whole, means. Raises `UnknownScopeError` with the list of short names."""
    if name in SCOPES.values():
        return name
    try:
        return SCOPES[name]
    except KeyError:
        raise UnknownScopeError(f"unknown scope {name!r}; known are {', '.join(SCOPES)}") from None


def elsewhere(scope: str) -> bool:
    """Whether this is a scope of another of Google's APIs: granted without effect (gmail-wire.md 14.8)."""
    return scope not in ABOUT and _ELSEWHERE.fullmatch(scope) is not None


def parse(text: str) -> tuple[str, ...]:
    """The scopes of a parameter in their order, each once, exactly as written; those of other APIs among them.

    More spaces than one between two are passed over. Raises `BadScopeError`.
    """
    found = tuple(dict.fromkeys(filter(None, text.split(" "))))
    if len(found) > MAX_SCOPES or not all(map(_TOKEN.fullmatch, found)):
        raise BadScopeError(f"it is not at most {MAX_SCOPES} scopes, separated by spaces")
    return found
