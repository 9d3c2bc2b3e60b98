"""The browser behind a request: who is signed in there, and whether a form it sends is one that it was given.

A form that another page sends in a person's name must do nothing (hardening.md G5, RFC 6819 section 4.4.1.9). Each
of these is enough by itself: the cookie, which comes from our own pages alone (SameSite); what the browser says of
the page that sent the form; a token in the form, made of the cookie's value, which no other page knows.
"""

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

from postroad.oauth import sign_ins
from postroad.oauth.errors import OAuthError
from postroad.oauth.sign_ins import SignIn
from postroad.web import cookies
from postroad.web.oauth.context import OAuthContext
from postroad.web.requests import Request
from postroad.web.responses import Header

# A form that lay open for longer is given anew.
FORM_LIFE = 3_600_000  # milliseconds
_FORM_REFUSED = "This form did not come from a page that this server gave to your browser within the last hour."
# Characters of a stranger's text that a page or the log repeats.
_SHOWN = 100
_TOKEN = re.compile(r"([0-9]{1,16})\.[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Browser:
    """`session` is the value of its cookie, which is made here for one that came without: then `fresh`.

    `secure`: it came by TLS.
    """

    session: str
    fresh: bool
    secure: bool
    signed_in: SignIn | None

    @property
    def headers(self) -> tuple[Header, ...]:
        """What a page with a form tells the browser to keep."""
        return (cookies.setting(self.session, secure=self.secure),) if self.fresh else ()

    def token(self, purpose: str, now: int) -> str:
        """Proves that a form, for that purpose, was given to this browser at `now`."""
        octets = hmac.digest(self.session.encode(), f"{now}\n{purpose}".encode(), sha256)
        return f"{now}.{base64.urlsafe_b64encode(octets).decode().rstrip('=')}"

    def gave(self, token: str, purpose: str, now: int) -> bool:
        """Whether `token` is of a form that this browser was given for that purpose within the last hour."""
        match = _TOKEN.fullmatch(token)
        if match is None or self.fresh or not 0 <= now - int(match[1]) <= FORM_LIFE:
            return False
        return hmac.compare_digest(token, self.token(purpose, int(match[1])))


async def browser_of(request: Request, context: OAuthContext) -> Browser:
    """The browser that asks."""
    secure, now = context.root(request).startswith("https:"), context.clock()
    session = cookies.read(request.headers, secure=secure)
    if not session:
        return Browser(sign_ins.fresh_session(), fresh=True, secure=secure, signed_in=None)
    found = await context.database.read(lambda connection: sign_ins.find(connection, session, now))
    return Browser(session, fresh=False, secure=secure, signed_in=found)


def refuse_foreign(request: Request, context: OAuthContext, browser: Browser, token: str, purpose: str) -> None:
    """Raise `OAuthError`, unless the form came from one of our own pages, given to this browser."""
    root = context.root(request)
    host = _text(request.headers, b"host")
    if host and not _is_ours(host, root, context.addresses.hosts):
        told = f"This server has no name {host[:_SHOWN]}. Open {root} instead, or start it with --public-url."
        raise OAuthError("form_refused", told, code=403)
    why = _foreign(request.headers, root)
    if not why and not browser.gave(token, purpose, context.clock()):
        why = "the form was not given to this browser, or over an hour ago"
    if why:
        raise OAuthError("form_refused", _FORM_REFUSED, code=403, why=why)


def _foreign(headers: Mapping[bytes, bytes], root: str) -> str:
    """What shows that another site's page sent this; "" if nothing does.

    A browser that is told `no-referrer` says `null` in the place of our own origin (Fetch standard, section 3.2),
    and one without `Sec-Fetch-Site` says nothing else: then the token decides.
    """
    host, origin, site = (_text(headers, name) for name in (b"host", b"origin", b"sec-fetch-site"))
    if site and site != "same-origin":
        return f"it was sent from a page of another site ({site[:_SHOWN]!r})"
    if origin not in ("", "null", root, f"{urlsplit(root).scheme}://{host}"):
        return f"it was sent from a page of {origin[:_SHOWN]!r}"
    return ""


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1").lower()


def _is_ours(host: str, root: str, hosts: frozenset[str]) -> bool:
    """Whether pages under that name are ours: a stranger's name may point here (DNS rebinding), no address can."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in hosts or name in ("localhost", urlsplit(root).hostname):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
