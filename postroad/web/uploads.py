"""Media uploads: the message itself as the request's body (gmail-wire.md section 4)."""

from postroad import refusals
from postroad.web.requests import Request


def refuse_other_media(request: Request) -> None:
    """Let a simple upload of a message pass. Raises `UnsupportedMediaType` for any other Content-Type."""
    if not request.media_type.startswith("message/"):
        raise refusals.UnsupportedMediaType(media_type=request.media_type or "application/octet-stream")
