"""Programs in browsers, from any origin: who has no token gets nothing, and no cookie is ever looked at.

So an answer may be read by the page that asked, whichever it is (gmail-wire.md 1.5; Fetch standard, section 3.3).
"""

import re
from dataclasses import replace

from postroad.web.requests import Request
from postroad.web.responses import Response

# scheme "://" host [ ":" port ] (RFC 6454 section 7); "null" is nobody.
_ORIGIN = re.compile(rb"[a-z][a-z0-9+.-]{0,31}://[^\s/?#,]{1,255}")
_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,4096}")
_VERBS = b"DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"
# What pages need of an upload's answer beside the headers that they may always read.
_EXPOSED = (
    b"content-encoding,content-length,date,location,range,retry-after,server,vary,www-authenticate,"
    b"x-goog-upload-chunk-granularity,x-goog-upload-control-url,x-goog-upload-size-received,x-goog-upload-status,"
    b"x-goog-upload-url,x-guploader-uploadid"
)
# The longest that any browser believes a preflight is two hours; Google says one.
_MAX_AGE = b"3600"


def preflight(request: Request) -> Response | None:
    """The answer to a browser that asks before it asks; `None` for any other request.

    Every address is answered alike: what is not there says so itself, readably, when it is asked for.
    """
    origin = _origin(request)
    if request.verb != "OPTIONS" or origin is None or b"access-control-request-method" not in request.headers:
        return None
    headers = [(b"access-control-allow-methods", _VERBS), (b"access-control-max-age", _MAX_AGE)]
    if _NAMES.fullmatch(names := request.headers.get(b"access-control-request-headers", b"")):
        headers.append((b"access-control-allow-headers", names))
    return readable(Response(200, b"text/html", b"", tuple(headers)), request)


def readable(response: Response, request: Request) -> Response:
    """The answer, readable for the page that asked, if one did."""
    origin = _origin(request)
    if origin is None:
        return response
    shared = ((b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED))
    return replace(response, headers=(*response.headers, *shared))


def _origin(request: Request) -> bytes | None:
    origin = request.headers.get(b"origin")
    return origin if origin and _ORIGIN.fullmatch(origin) else None
