"""Resumable uploads: what a request asks of an upload, and how the upload is told, in Google's two dialects.

The older one has ranges in Content-Range and answers 308; the newer has commands in X-Goog-Upload-Command and
answers 200 (gmail-wire.md 4.4, 4.5). No I/O.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal
from urllib.parse import urlencode

from postroad import refusals
from postroad.uploads import CANCELLED, FINAL, Upload
from postroad.web.responses import Header, Response
from postroad.web.system_parameters import Parameters

# Chunks are to be a multiple of this; what is not, is taken as well (gmail-wire.md 4.4).
GRANULARITY = 262_144
_PROTOCOL = b"x-goog-upload-protocol"
_COMMAND = b"x-goog-upload-command"
_OFFSET = b"x-goog-upload-offset"
_NO_308 = b"x-guploader-no-308"
_LENGTHS = (b"x-goog-upload-header-content-length", b"x-upload-content-length")
_TYPES = (b"x-goog-upload-header-content-type", b"x-upload-content-type")

_NUMBER = re.compile(rb"[0-9]{1,18}")
# RFC 9110 section 14.4; the last octet before the first is how Python says that a chunk is empty.
_CONTENT_RANGE = re.compile(rb"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/(?:([0-9]{1,18})|\*)", re.IGNORECASE)
_EMPTY = b"text/plain; charset=utf-8"

Command = Literal["append", "query", "cancel"]
Protocol = Enum("Protocol", "MEDIA MULTIPART RESUMABLE")
_PROTOCOLS = {
    "media": Protocol.MEDIA,
    "raw": Protocol.MEDIA,
    "multipart": Protocol.MULTIPART,
    "resumable": Protocol.RESUMABLE,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks of an upload: to append the octets from `offset` on, to tell how far it is, to end it.

    `length` and `total` are those the request names; `offset` `None` is wherever the upload is. `last`: nothing
    follows what this request brings.
    """

    command: Command
    offset: int | None = None
    length: int | None = None
    total: int | None = None
    last: bool = False


def protocol_of(headers: Mapping[bytes, bytes], parameters: Parameters, media_type: str) -> Protocol:
    """Which of the protocols of gmail-wire.md 4.1 a request means; if it names none, its body tells (14.1).

    Raises `UploadInvalid` for one that there is not.
    """
    named = headers.get(_PROTOCOL, b"").decode("latin-1") or parameters.upload
    if not named and (parameters.upload_id or _COMMAND in headers):
        return Protocol.RESUMABLE
    if not named:
        return Protocol.MULTIPART if media_type.startswith("multipart/") else Protocol.MEDIA
    if named.lower() not in _PROTOCOLS:
        raise refusals.UploadInvalid(f"upload protocol {named[:40]!r}", problem="Invalid upload protocol.")
    return _PROTOCOLS[named.lower()]


def announced_type(headers: Mapping[bytes, bytes]) -> str:
    """The media type that the start announces for what will come; "" if none."""
    found = next((headers[name] for name in _TYPES if name in headers), b"")
    return found.decode("latin-1").partition(";")[0].strip().lower()


def announced_total(headers: Mapping[bytes, bytes]) -> int | None:
    """The octets that the start announces, if it does. Raises `UploadInvalid`."""
    found = next((headers[name] for name in _LENGTHS if name in headers), None)
    if found is None:
        return None
    if not _NUMBER.fullmatch(found):
        raise refusals.UploadInvalid(problem="Invalid upload content length.")
    return int(found)


def asked(verb: str, headers: Mapping[bytes, bytes]) -> Asked:
    """What a request to an upload's own address asks. Raises `UploadInvalid`."""
    if _COMMAND in headers:
        return _commanded(headers[_COMMAND], headers.get(_OFFSET))
    if verb == "DELETE":
        return Asked("cancel")
    if b"content-range" not in headers:
        return Asked("append", offset=0, last=True)
    return _ranged(headers[b"content-range"])


def _commanded(command: bytes, offset: bytes | None) -> Asked:
    words = {word.strip().lower() for word in command.split(b",")}
    if words in ({b"query"}, {b"cancel"}):
        return Asked("query" if b"query" in words else "cancel")
    if words == {b"finalize"}:
        return Asked("append", length=0, last=True)
    if b"upload" not in words or not words <= {b"upload", b"finalize"}:
        raise refusals.UploadInvalid(f"command {command[:40]!r}", problem="Invalid X-Goog-Upload-Command.")
    if offset is None or not _NUMBER.fullmatch(offset):
        raise refusals.UploadInvalid(f"offset {(offset or b'')[:40]!r}", problem="Invalid X-Goog-Upload-Offset.")
    return Asked("append", offset=int(offset), last=b"finalize" in words)


def _ranged(content_range: bytes) -> Asked:
    match = _CONTENT_RANGE.fullmatch(content_range.strip())
    if match is None:
        raise _bad_range(content_range)
    first, last, total = (int(one) if one else None for one in match.groups())
    if first is None or last is None:
        return Asked("query", total=total)
    if last < first - 1 or (total is not None and last >= total):
        raise _bad_range(content_range)
    return Asked("append", first, last - first + 1, total)


def _bad_range(content_range: bytes) -> refusals.UploadInvalid:
    return refusals.UploadInvalid(f"Content-Range {content_range[:60]!r}", problem="Invalid Content-Range.")


def agreed(upload: Upload, request: Asked) -> Upload:
    """The upload with the total that the request names, if that was not known. Raises `UploadInvalid`."""
    if request.total is None:
        return upload
    if upload.total not in (None, request.total) or request.total < upload.received:
        why = f"total {request.total}, but {upload.received} of {upload.total} octets are there"
        raise refusals.UploadInvalid(why, problem="The total size of the upload has changed.")
    return replace(upload, total=request.total)


def ends(upload: Upload, request: Asked) -> bool:
    """Whether the upload is a whole message now. Raises `UploadInvalid` when it should be and is not."""
    if request.last and upload.total not in (None, upload.received):
        why = f"it ends after {upload.received} of {upload.total} octets"
        raise refusals.UploadInvalid(why, problem="The upload ended before all of its octets came.")
    return request.last or upload.complete


def started(root: str, path: bytes, parameters: Parameters, upload_id: str) -> Response:
    """The answer to a start: where to go on. What the client wants of the final answer goes along."""
    wanted = {"alt": parameters.alt, "fields": parameters.fields}
    kept = {name: text for name, text in wanted.items() if text} | (
        {} if parameters.pretty else {"prettyPrint": "false"}
    )
    address = f"{root}{path.decode('latin-1')}?"
    older = address + urlencode(kept | {"uploadType": "resumable", "upload_id": upload_id})
    newer = address + urlencode(kept | {"upload_id": upload_id, "upload_protocol": "resumable"})
    headers = (
        (b"location", older.encode()),
        (b"x-goog-upload-url", newer.encode()),
        (b"x-goog-upload-control-url", newer.encode()),
        (b"x-goog-upload-chunk-granularity", b"%d" % GRANULARITY),
        *_status(upload_id, b"active"),
    )
    return Response(200, _EMPTY, b"", headers)


def told(upload: Upload, upload_id: str, headers: Mapping[bytes, bytes]) -> Response:
    """How far an upload is, that is not a message yet."""
    if upload.state == CANCELLED:
        code = 200 if _COMMAND in headers else 499  # gmail-wire.md 4.4 (7), 4.5
        return Response(code, _EMPTY, b"", _status(upload_id, b"cancelled"))
    status = (*_status(upload_id, b"active"), (b"x-goog-upload-size-received", b"%d" % upload.received))
    if _COMMAND in headers:
        granularity = (b"x-goog-upload-chunk-granularity", b"%d" % GRANULARITY)
        return Response(200, _EMPTY, b"", (*status, granularity))
    stored = ((b"range", b"bytes=0-%d" % (upload.received - 1)),) if upload.received else ()
    if headers.get(_NO_308, b"").lower() == b"yes":
        return Response(200, _EMPTY, b"", ((b"x-http-status-code-override", b"308"), *stored, *status))
    return Response(308, _EMPTY, b"", (*stored, *status))


def final(upload_id: str) -> tuple[Header, ...]:
    """What goes with the message in the last answer: Ruby's client takes it for nothing without (14.3)."""
    return _status(upload_id, FINAL.encode())


def named(upload_id: str) -> tuple[Header, ...]:
    """What every answer to an upload goes with (gmail-wire.md 2.7)."""
    return ((b"x-guploader-uploadid", upload_id.encode()),)


def _status(upload_id: str, status: bytes) -> tuple[Header, ...]:
    return (*named(upload_id), (b"x-goog-upload-status", status))
