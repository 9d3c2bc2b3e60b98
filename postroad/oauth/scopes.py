"""The scopes of the Gmail API and their short names."""

_PREFIX = "https://www.googleapis.com/auth/"

FULL = "https://mail.google.com/"

# Short name -> the scope as tokens carry it (gmail-wire.md 8.2).
SCOPES = {"mail.google.com": FULL} | {
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


class UnknownScopeError(ValueError):
    """No such scope."""


def expand(name: str) -> str:
    """The scope that `name`, short or whole, means. Raises `UnknownScopeError` with the list of short names."""
    if name in SCOPES.values():
        return name
    try:
        return SCOPES[name]
    except KeyError:
        raise UnknownScopeError(f"unknown scope {name!r}; known are {', '.join(SCOPES)}") from None
