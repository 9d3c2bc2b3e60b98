"""The payload of a Message: its MIME parts as the resource MessagePart shows them (gmail-wire.md 3.3)."""

from collections.abc import Callable, Collection
from typing import Any

import pybase64

from postroad.mail.mime import Part


def full(part: Part, token: Callable[[str], str]) -> dict[str, Any]:
    """A part with all that is in it, but for files: `token` makes an attachmentId of the number of a part."""
    shown = {
        "partId": part.part_id,
        "mimeType": part.media_type,
        "filename": part.filename,
        "headers": _headers(part),
        "body": _body(part, token),
    }
    return shown | ({"parts": [full(one, token) for one in part.parts]} if part.parts else {})


def metadata(part: Part, names: Collection[str]) -> dict[str, Any]:
    """The type and the header fields alone; of them those named, in any case of letters, if any are."""
    wanted = {name.lower() for name in names}
    headers = [one for one in _headers(part) if not wanted or one["name"].lower() in wanted]
    return {"mimeType": part.media_type} | ({"headers": headers} if headers else {})


def _headers(part: Part) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in part.headers]


def _body(part: Part, token: Callable[[str], str]) -> dict[str, Any]:
    if part.body and (part.filename or not part.media_type.startswith("text/")):
        return {"attachmentId": token(part.part_id), "size": len(part.body)}
    data = {"data": pybase64.urlsafe_b64encode(part.body).decode()} if part.body else {}
    return {"size": len(part.body)} | data
