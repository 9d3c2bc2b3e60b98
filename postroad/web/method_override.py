"""Other verbs inside POST, for clients whose address would be too long (gmail-wire.md 1.4)."""

from postroad.web.requests import Request

# Octets of a query sent as a body; the head of a request could hold no more.
MAX_QUERY = 64 * 1024
_FORM = "application/x-www-form-urlencoded"


def meant(request: Request) -> str:
    """The verb that the request means."""
    override = request.headers.get(b"x-http-method-override") if request.verb == "POST" else None
    return override.decode("latin-1").strip().upper() if override else request.verb


async def query_of(request: Request, query: bytes) -> bytes:
    """The whole query of an overridden GET: what its address holds, then its form. Raises as `Request.body`."""
    if request.media_type != _FORM:
        return query
    return b"&".join(part for part in (query, bytes(await request.body(MAX_QUERY))) if part)
