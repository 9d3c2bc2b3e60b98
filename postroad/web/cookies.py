"""The one cookie of the pages for people: which browser this is (RFC 6265)."""

import re
from collections.abc import Mapping

from postroad.web.responses import Header

# With this prefix a browser takes it from this host alone, by TLS (RFC 6265bis section 4.1.3.2).
_SECURE_NAME = "__Host-postroad"
_NAME = "postroad"  # on loopback without TLS
_MAX_HEADER = 8192
# What we set: base64url. Anything else was not set by us.
_VALUE = re.compile(r"[A-Za-z0-9_-]{1,64}")


def read(headers: Mapping[bytes, bytes], *, secure: bool) -> str:
    """The cookie's value; "" if the browser has none. Of two the first counts: the longest path (section 5.4)."""
    name = _SECURE_NAME if secure else _NAME
    for pair in headers.get(b"cookie", b"")[:_MAX_HEADER].decode("latin-1").split(";"):
        key, _, value = pair.strip(" \t").partition("=")
        if key == name and _VALUE.fullmatch(value):
            return value
    return ""


def setting(value: str, *, secure: bool) -> Header:
    """Set the cookie, until the browser is closed: how long it is good for is known here."""
    return b"set-cookie", f"{_named(value, secure=secure)}; HttpOnly; SameSite=Lax".encode()


def removing(*, secure: bool) -> Header:
    """Take it back."""
    return b"set-cookie", f"{_named('', secure=secure)}; HttpOnly; SameSite=Lax; Max-Age=0".encode()


def _named(value: str, *, secure: bool) -> str:
    return f"{_SECURE_NAME}={value}; Path=/; Secure" if secure else f"{_NAME}={value}; Path=/"
