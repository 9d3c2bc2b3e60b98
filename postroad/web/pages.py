"""Pages for people: templates in which everything is escaped, without scripts, kept out of frames and caches."""

import base64
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from postroad.web.responses import Header, Response

HTML = b"text/html; charset=UTF-8"
_FOLDER = Path(__file__).with_name("templates")
# The style stands in the page itself: its hash is all that the policy lets in (CSP Level 3, section 2.3.1).
_STYLE = (_FOLDER / "style.css").read_text()
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_TEMPLATES.globals["style"] = Markup(_STYLE)  # noqa: S704 - our own file
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
# From this machine a program may send on to anywhere; nobody is sent from https to http.
_LEADS_ON = {"http:": ("http:", "https:")}
_HEADERS: tuple[Header, ...] = (
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


def page(
    template: str,
    *,
    code: int = 200,
    leads_to: Iterable[str] = (),
    headers: tuple[Header, ...] = (),
    **values: object,
) -> Response:
    """The page made from a file of the folder `templates`; every value is escaped, a missing one is a bug.

    `leads_to`: what its forms may lead to beside this server, as sources of a Content-Security-Policy.
    """
    body = _TEMPLATES.get_template(template).render(values)
    policy = (b"content-security-policy", _policy(leads_to).encode())
    return Response(code, HTML, body.encode(), (policy, *_HEADERS, *headers))


def see_other(location: str, headers: tuple[Header, ...] = ()) -> Response:
    """303: what was posted is not posted again to where the browser goes (RFC 9700 section 4.12)."""
    return Response(303, HTML, b"", ((b"location", location.encode()), *_HEADERS, *headers))


def sources_of(redirect_uri: str) -> tuple[str, ...]:
    """What a form may lead to whose answer sends the browser back to a client: addresses of its scheme, whichever.

    Not of its host alone: browsers hold all that follows a form to the policy of its page, also where the client
    itself sends the browser then, and that is its own affair (w3c/webappsec-csp issue 8).
    """
    match = _SCHEME.match(redirect_uri)
    return _LEADS_ON.get(match[0], (match[0],)) if match else ()


def _policy(leads_to: Iterable[str]) -> str:
    form_action = " ".join(("'self'", *leads_to))
    return (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {form_action};"
        " frame-ancestors 'none'; base-uri 'none'"
    )
