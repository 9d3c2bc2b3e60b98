"""Where a browser may be sent with a code (RFC 6749 section 3.1.2, RFC 8252, RFC 9700 section 4.1)."""

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")

# What a client of kind `installed` is registered with when it names nothing. Google registers `http://localhost`
# alone for a Desktop client and lets it use any port and path of the loopback interface; here paths are exact, so
# those that Google's libraries use by themselves are listed: `/` of google-auth-oauthlib (InstalledAppFlow), of
# @google-cloud/local-auth and of the samples in Go; `/Callback` of LocalServerReceiver in Java; `/oauth2callback`
# of the samples of google-auth-library for Node.
DESKTOP = tuple(f"http://{host}{path}" for path in ("", "/Callback", "/oauth2callback") for host in LOOPBACK_HOSTS)

MAX_LENGTH = 2048
MAX_REGISTERED = 100

# RFC 8252 section 7.3: the port is free, everything else is as it was registered. Nothing is decoded, folded or
# normalised on the way: each of that is how one program's redirect becomes another's (hardening.md G1).
_LOOPBACK = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(?::([1-9][0-9]{0,4}))?(?:/(.*))?", re.DOTALL)
_MAX_PORT = 65535

# RFC 3986 section 2: what a URI is written with. No "#": RFC 6749 section 3.1.2 forbids a fragment.
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")
# RFC 8252 section 7.1: a scheme of one's own is a domain name turned round, so it has a dot; javascript, data,
# file and the like have none.
_OWN_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")


class BadRedirectError(ValueError):
    """A redirect URI that no client may have; the text says why."""


def matches(registered: Iterable[str], asked: str, *, loopback: bool) -> bool:
    """Whether `asked` is one of the `registered`, character by character.

    `loopback`: of an installed client, whose port on the loopback interface is not known beforehand.
    """
    uris = tuple(registered)
    if asked in uris:
        return True
    place = _place(asked) if loopback else None
    return place is not None and place in map(_place, uris)


def _place(uri: str) -> tuple[str, str] | None:
    """The host and path of a loopback URI, without its port; no path is the same as `/` (RFC 3986 6.2.3)."""
    found = _LOOPBACK.fullmatch(uri)
    if found is None or int(found[2] or 1) > _MAX_PORT:
        return None
    return found[1], found[3] or ""


def checked(uris: Iterable[str], kind: str) -> tuple[str, ...]:
    """What a client of that kind can be registered with. Raises `BadRedirectError`."""
    found = tuple(dict.fromkeys(uris)) or (DESKTOP if kind == "installed" else ())
    if not found:
        raise BadRedirectError("a web client needs a redirect URI")
    if len(found) > MAX_REGISTERED:
        raise BadRedirectError(f"a client has at most {MAX_REGISTERED} redirect URIs")
    for uri in found:
        if problem := _problem(uri, kind):
            raise BadRedirectError(f"redirect URI {uri[:200]!r}: {problem}")
    return found


def _problem(uri: str, kind: str) -> str:
    """Why no client of that kind may have this redirect URI; "" if it may."""
    if len(uri) > MAX_LENGTH or not _CHARACTERS.fullmatch(uri):
        return "not a URI without fragment"
    try:
        parts = urlsplit(uri)
        userinfo, _ = parts.username, parts.port
    except ValueError:
        return "not a URI"
    if userinfo is not None:
        return "names a user"
    if ".." in parts.path.lower().replace("%2e", ".").split("/"):
        return "climbs by .."
    return _problem_of_scheme(parts, uri, kind)


def _problem_of_scheme(parts: SplitResult, uri: str, kind: str) -> str:
    scheme = parts.scheme
    if not uri.startswith(f"{scheme}:"):
        return "does not begin with a scheme in lower case"
    if scheme == "https":
        return "" if parts.hostname and parts.netloc == parts.netloc.lower() else "needs a host in lower case"
    if scheme == "http":
        return "" if _place(uri) else "http is for the loopback interface alone; take https"
    if kind == "installed" and _OWN_SCHEME.fullmatch(scheme):
        return ""
    return f"the scheme {scheme!r} is not allowed"
