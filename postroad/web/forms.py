"""Forms (application/x-www-form-urlencoded, WHATWG URL section 5.1), bounded before they are read."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from postroad import refusals
from postroad.web.requests import Request

MAX_OCTETS = 16 * 1024
MAX_FIELDS = 100
_MEDIA_TYPE = "application/x-www-form-urlencoded"

Pairs = list[tuple[str, str]]


async def form_of(request: Request, limit: int = MAX_OCTETS) -> Pairs:
    """The fields of the body, of at most `limit` octets, in their order; no body is an empty form.

    Raises `NotAForm`, and what reading a body raises.
    """
    octets = bytes(await request.body(limit))
    if octets and request.media_type != _MEDIA_TYPE:
        raise refusals.NotAForm(problem=f"Content-Type is not {_MEDIA_TYPE}")
    return pairs(octets)


def pairs(octets: bytes) -> Pairs:
    """The fields of a form or of a query. Raises `NotAForm` for other than UTF-8, NUL, or over 100 of them."""
    try:
        found = parse_qsl(octets.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:  # UnicodeDecodeError is one
        raise refusals.NotAForm(problem=f"it is not UTF-8, or has over {MAX_FIELDS} fields") from None
    if any("\0" in name + text for name, text in found):  # which PostgreSQL has no place for
        raise refusals.NotAForm(problem="it holds a NUL")
    return found


def once(fields: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The fields by name. Raises `NotAForm` when one is there twice, so that nobody reads the other of them."""
    found = dict(fields)
    if len(found) != len(fields):
        raise refusals.NotAForm(problem="a parameter is included more than once")
    return found
