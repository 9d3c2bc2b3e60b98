"""Both dialects of resumable uploads: what a request asks, what is answered, to the header."""

from dataclasses import replace

import pytest

from postroad import refusals
from postroad.uploads import CANCELLED, Upload
from postroad.web import resumable
from postroad.web.resumable import Asked, Protocol
from postroad.web.system_parameters import ABSENT, read

UPLOAD = Upload(b"key", 1, 2, None, 600_000, 0, received=262_144)
PATH = b"/upload/gmail/v1/users/alice%40example.test/messages/send"
BAD_RANGE = "Invalid Content-Range."
BAD_COMMAND = "Invalid X-Goog-Upload-Command."
BAD_OFFSET = "Invalid X-Goog-Upload-Offset."

RANGES = {
    "bytes 0-262143/600000": Asked("append", 0, 262_144, 600_000),
    "bytes 0-262143/*": Asked("append", 0, 262_144),
    "bytes 262144-599999/600000": Asked("append", 262_144, 337_856, 600_000),
    " Bytes 0-0/1 ": Asked("append", 0, 1, 1),
    "bytes 262144-262143/262144": Asked("append", 262_144, 0, 262_144),  # Python, when nothing is left
    "bytes */600000": Asked("query", total=600_000),
    "bytes */*": Asked("query"),
    "bytes */0": Asked("query", total=0),
    "bytes 0-9/9": BAD_RANGE,
    "bytes 9-3/20": BAD_RANGE,
    "bytes 0-/20": BAD_RANGE,
    "bytes -5/20": BAD_RANGE,
    "bytes 0--1/0": BAD_RANGE,
    "bytes=0-9/10": BAD_RANGE,
    "bytes 0-9": BAD_RANGE,
    "items 0-9/10": BAD_RANGE,
    "bytes 0-9/10, 10-19/20": BAD_RANGE,
    f"bytes 0-{10**18}/*": BAD_RANGE,
    "bytes \u0660-\u0669/\u0661\u0660": BAD_RANGE,
    "": BAD_RANGE,
}
COMMANDS = {
    ("upload", "0"): Asked("append", 0),
    ("upload, finalize", "0"): Asked("append", 0, last=True),
    ("finalize,upload", "512"): Asked("append", 512, last=True),
    ("Upload", "262144"): Asked("append", 262_144),
    ("finalize", None): Asked("append", None, 0, last=True),
    ("query", None): Asked("query"),
    ("cancel", None): Asked("cancel"),
    ("start", None): BAD_COMMAND,
    ("upload, cancel", "0"): BAD_COMMAND,
    ("query, cancel", None): BAD_COMMAND,
    ("", None): BAD_COMMAND,
    ("upload", None): BAD_OFFSET,
    ("upload", "-1"): BAD_OFFSET,
    ("upload", "0x10"): BAD_OFFSET,
}


def fields(**named):
    """Header fields as a request has them."""
    return {name.replace("_", "-").encode(): value.encode() for name, value in named.items() if value is not None}


def or_refusal(read_, *what):
    try:
        return read_(*what)
    except refusals.UploadInvalid as refusal:
        return str(refusal)


@pytest.mark.parametrize(("content_range", "expected"), RANGES.items())
def test_a_content_range(content_range, expected):
    """Ranges of octets append, a range without octets asks, and anything else is refused."""
    for verb in ("PUT", "POST"):
        assert or_refusal(resumable.asked, verb, {b"content-range": content_range.encode()}) == expected


@pytest.mark.parametrize(("command", "expected"), COMMANDS.items())
def test_a_command(command, expected):
    """The newer dialect says in words what is asked, in any order and case."""
    headers = fields(x_goog_upload_command=command[0], x_goog_upload_offset=command[1])
    assert or_refusal(resumable.asked, "POST", headers) == expected


def test_what_has_neither():
    """A body without a range is the whole message from its first octet on, and DELETE ends the upload."""
    assert resumable.asked("PUT", {}) == Asked("append", 0, last=True)
    assert resumable.asked("DELETE", {}) == Asked("cancel")


PROTOCOLS = {
    (b"uploadType=media", ""): Protocol.MEDIA,
    (b"uploadType=multipart", "multipart/related"): Protocol.MULTIPART,
    (b"uploadType=resumable", "application/json"): Protocol.RESUMABLE,
    (b"upload_protocol=raw", ""): Protocol.MEDIA,
    (b"upload_protocol=resumable", ""): Protocol.RESUMABLE,
    (b"", "message/rfc822"): Protocol.MEDIA,
    (b"", "multipart/related"): Protocol.MULTIPART,
    (b"", "multipart/mixed"): Protocol.MULTIPART,
    (b"", "application/json"): Protocol.MEDIA,
    (b"upload_id=x", "message/rfc822"): Protocol.RESUMABLE,
    (b"uploadType=other", ""): "Invalid upload protocol.",
}


@pytest.mark.parametrize(("request_", "expected"), PROTOCOLS.items())
def test_the_protocol(request_, expected):
    """The query names it; where it does not, the body's own type tells."""
    query, media_type = request_
    assert or_refusal(resumable.protocol_of, {}, read(query, {}), media_type) == expected


def test_the_header_goes_before_the_query():
    """X-Goog-Upload-Protocol decides whatever the query says; a command alone means resumable."""
    media = read(b"uploadType=media", {})
    assert resumable.protocol_of(fields(x_goog_upload_protocol="resumable"), media, "") is Protocol.RESUMABLE
    assert resumable.protocol_of(fields(x_goog_upload_command="start"), ABSENT, "") is Protocol.RESUMABLE


ANNOUNCED = {
    (None, None): None,
    ("600000", None): 600_000,
    (None, "0"): 0,
    ("1", "2"): 2,
    ("-1", None): "Invalid upload content length.",
    ("many", None): "Invalid upload content length.",
    ("9" * 19, None): "Invalid upload content length.",
}


@pytest.mark.parametrize(("announced", "expected"), ANNOUNCED.items())
def test_the_announced_total(announced, expected):
    """Either dialect may say how much comes, in digits."""
    older, newer = announced
    headers = fields(x_upload_content_length=older, x_goog_upload_header_content_length=newer)
    assert or_refusal(resumable.announced_total, headers) == expected


def test_the_announced_type():
    """It is that of the media, not of the metadata, without its parameters."""
    headers = fields(content_type="application/json", x_upload_content_type="Message/RFC822; charset=utf-8")
    assert resumable.announced_type(headers) == "message/rfc822"
    assert resumable.announced_type({}) == ""


CHANGED = "The total size of the upload has changed."
AGREED = {
    (600_000, None): 600_000,
    (600_000, 600_000): 600_000,
    (600_000, 600_001): CHANGED,
    (None, 700_000): 700_000,
    (None, 262_144): 262_144,
    (None, 262_143): CHANGED,
    (None, None): None,
}


@pytest.mark.parametrize(("totals", "expected"), AGREED.items())
def test_totals_agree(totals, expected):
    """A total that was said once stays, and is never less than what is there."""
    known, named = totals
    found = or_refusal(resumable.agreed, replace(UPLOAD, total=known), Asked("query", total=named))
    assert (found.total if isinstance(found, Upload) else found) == expected


SHORT = "The upload ended before all of its octets came."
ENDS = {
    (262_144, 600_000, False): False,
    (600_000, 600_000, False): True,
    (262_144, None, False): False,
    (262_144, None, True): True,
    (600_000, 600_000, True): True,
    (262_144, 600_000, True): SHORT,
    (0, 0, False): True,
}


@pytest.mark.parametrize(("row", "expected"), ENDS.items())
def test_the_end(row, expected):
    """An upload ends when all that was announced is here, or its author says so, and then all must be here."""
    received, total, last = row
    one = replace(UPLOAD, received=received, total=total)
    assert or_refusal(resumable.ends, one, Asked("append", last=last)) == expected


STATUS = [("x-guploader-uploadid", "TOKEN"), ("x-goog-upload-status", "active")]
SIZE = ("x-goog-upload-size-received", "262144")
TOLD = {
    "308": ({}, 308, [("range", "bytes=0-262143"), *STATUS, SIZE]),
    "200 for Go": (
        {"x_guploader_no_308": "yes"},
        200,
        [("x-http-status-code-override", "308"), ("range", "bytes=0-262143"), *STATUS, SIZE],
    ),
    "the newer dialect": (
        {"x_goog_upload_command": "query"},
        200,
        [*STATUS, SIZE, ("x-goog-upload-chunk-granularity", "262144")],
    ),
}


def plain(response):
    return [(name.decode(), value.decode()) for name, value in response.headers]


@pytest.mark.parametrize(("headers", "code", "expected"), TOLD.values(), ids=TOLD)
def test_how_far_it_is(headers, code, expected):
    """Each dialect has its own code and headers; none has a Location, which Java would follow."""
    response = resumable.told(UPLOAD, "TOKEN", fields(**headers))
    assert (response.code, response.body, plain(response)) == (code, b"", expected)


def test_nothing_yet():
    """Without an octet there is no Range."""
    response = resumable.told(replace(UPLOAD, received=0), "TOKEN", {})
    assert plain(response) == [*STATUS, ("x-goog-upload-size-received", "0")]


def test_cancelled():
    """Ended by its author it is 499, and in the newer dialect a 200 that says so."""
    ended = replace(UPLOAD, state=CANCELLED)
    status = [("x-guploader-uploadid", "TOKEN"), ("x-goog-upload-status", "cancelled")]
    for headers, code in (({}, 499), ({"x_goog_upload_command": "query"}, 200)):
        response = resumable.told(ended, "TOKEN", fields(**headers))
        assert (response.code, response.body, plain(response)) == (code, b"", status)


STARTS = {
    b"uploadType=resumable": "",
    b"uploadType=resumable&alt=json&prettyPrint=false&access_token=secret": "alt=json&prettyPrint=false&",
    b"upload_protocol=resumable&fields=id%2CthreadId": "fields=id%2CthreadId&",
}


@pytest.mark.parametrize(("query", "kept"), STARTS.items())
def test_where_it_goes_on(query, kept):
    """The address is absolute and keeps what shapes the last answer; of credentials it has its own alone."""
    response = resumable.started("https://mail.example.test", PATH, read(query, {}), "TOKEN")
    address = f"https://mail.example.test{PATH.decode()}?{kept}"
    newer = f"{address}upload_id=TOKEN&upload_protocol=resumable"
    assert (response.code, response.body) == (200, b"")
    assert plain(response) == [
        ("location", f"{address}uploadType=resumable&upload_id=TOKEN"),
        ("x-goog-upload-url", newer),
        ("x-goog-upload-control-url", newer),
        ("x-goog-upload-chunk-granularity", "262144"),
        *STATUS,
    ]
