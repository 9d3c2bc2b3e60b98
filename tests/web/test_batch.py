"""Batches: what holds inside of the outer request, order and number of calls under way, bounds of answers."""

import asyncio
import json

import pytest

from postroad.web import batch
from postroad.web.parts import Inner
from postroad.web.requests import Request
from postroad.web.responses import JSON, Response


def outer(body=b"", **headers) -> Request:
    events = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return events.pop()

    fields = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Request("POST", "/batch", b"/batch", fields, receive, bool(body), "192.0.2.1")


def inner(query=b"", body=b"", verb="GET", **headers) -> Inner:
    fields = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Inner(verb, b"/%78", query, fields, memoryview(body))


@pytest.mark.parametrize(
    ("outside", "within", "query", "merged"),
    [
        (b"", b"", b"", b""),
        (b"alt=json", b"", b"alt=json", b"alt=json"),
        (b"alt=json&fields=id", b"fields=id,threadId", b"", b"fields=id,threadId&alt=json"),
        (b"%24alt=media", b"alt=json", b"", b"alt=json"),
        (b"a=1&a=2", b"b=1", b"", b"b=1&a=1&a=2"),
        (b"a+b=1", b"a%20b=2", b"", b"a%20b=2"),
        (b"callback=f&ct=x&prettyPrint=false", b"", b"", b"prettyPrint=false"),
        (b"access_token=outer", b"", b"", b"access_token=outer"),
        (b"access_token=outer", b"oauth_token=inner", b"", b"oauth_token=inner"),
        (b"&&a=1&", b"", b"", b"a=1"),
    ],
)
def test_outer_parameters_hold_inside(outside, within, query, merged):
    """Unless the call names them itself, in whatever spelling."""
    assert batch.inside(inner(within), outer(), outside)[1] == merged


@pytest.mark.parametrize(
    ("outside", "within", "held"),
    [
        ({"authorization": "Bearer o"}, {}, {"authorization": "Bearer o"}),
        ({"authorization": "Bearer o"}, {"authorization": "Bearer i"}, {"authorization": "Bearer i"}),
        ({"x_goog_fieldmask": "id"}, {}, {"x-goog-fieldmask": "id"}),
        ({"content_type": "multipart/mixed", "content_length": "9", "content_encoding": "gzip"}, {}, {}),
        ({"host": "h", "origin": "o", "accept_encoding": "gzip", "x_http_method_override": "PUT"}, {}, {}),
        ({}, {"host": "h", "content_type": "application/json"}, {"host": "h", "content-type": "application/json"}),
        ({}, {"accept_encoding": "gzip", "content_length": "7", "transfer_encoding": "chunked"}, {}),
    ],
)
def test_outer_fields_hold_inside(outside, within, held):
    """But for those about the outer body or its connection, and where the call has its own."""
    request, _ = batch.inside(inner(**within), outer(**outside), b"")
    expected = {name.encode(): value.encode() for name, value in held.items()}
    assert request.headers == expected | {b"content-length": b"0"}


@pytest.mark.parametrize(
    ("call", "fields", "query"),
    [
        (inner(authorization="Bearer i"), {b"authorization": b"Bearer i"}, b""),
        (inner(b"access_token=i"), {}, b"access_token=i"),
        (inner(), {b"authorization": b"Bearer o"}, b"access_token=o"),
    ],
)
def test_a_call_has_one_credential(call, fields, query):
    """Its own leaves no room for the outer one, whichever way each was brought."""
    request, merged = batch.inside(call, outer(authorization="Bearer o"), b"access_token=o")
    assert request.headers == fields | {b"content-length": b"0"}
    assert merged == query


def test_a_call_is_a_request():
    """Its body is read as that of any other, from the same peer."""
    request, _ = batch.inside(inner(body=b"{}", verb="POST"), outer(), b"")
    assert (request.verb, request.path, request.raw_path, request.peer) == ("POST", "/x", b"/%78", "192.0.2.1")
    assert asyncio.run(request.body(2)) == b"{}"


def written(calls: list[bytes]) -> bytes:
    part = b"--b\r\nContent-Type: application/http\r\nContent-ID: <%d>\r\n\r\n%b HTTP/1.1\r\n\r\n\r\n"
    return b"".join(part % (number, call) for number, call in enumerate(calls)) + b"--b--"


def answered(calls: list[bytes], ask, **more) -> list[bytes]:
    """The answers of a batch, each from its status on."""
    request = outer(written(calls), content_type="multipart/mixed; boundary=b")
    response = asyncio.run(batch.answer(request, b"", ask, 1 << 20, **more))
    assert response.code == 200
    boundary = response.media_type.removeprefix(b"multipart/mixed; boundary=")
    assert response.body.count(boundary) == len(calls) + 1
    parts = response.body.split(b"--" + boundary)[1:-1]
    assert [b"Content-ID: <response-%d>" % number in part for number, part in enumerate(parts)] == [True] * len(
        calls
    )
    return [part.partition(b"HTTP/1.1 ")[2] for part in parts]


def test_answers_come_in_the_order_of_the_calls():
    """Whichever is ready first; and no more than a few calls are under way at once."""
    under_way: list[str] = []
    most = 0

    async def ask(request, _query):
        nonlocal most
        under_way.append(request.path)
        most = max(most, len(under_way))
        for _ in range(100 - int(request.path[1:])):
            await asyncio.sleep(0)
        under_way.remove(request.path)
        return Response(200, JSON, request.raw_path)

    found = answered([b"GET /%d" % number for number in range(100)], ask)
    assert [one.split(b"\r\n\r\n")[1] for one in found] == [b"/%d\r\n" % number for number in range(100)]
    assert most == batch.AT_ONCE


def test_a_refused_call_is_not_asked():
    """It is answered in its part, with its own status, beside those that were asked."""

    async def ask(request, _query):
        assert request.path == "/x"
        return Response(404, b"text/html", b"no")

    found = answered([b"GET /x", b"POST /batch", b"nonsense"], ask)
    assert [one[: one.index(b"\r\n")] for one in found] == [
        b"404 Not Found",
        b"400 Bad Request",
        b"400 Bad Request",
    ]
    assert b"Operation is not implemented, or supported, or enabled." in found[1]
    assert b"Failed to parse batch request" in found[2]


def test_answers_of_reads_are_bounded():
    """Past the bound no read is made; what became of a send is told all the same."""
    asked = []

    async def ask(request, _query):
        asked.append(request.path)
        return Response(200, JSON, b"0123456789")

    disguised = b"POST /2 HTTP/1.1\r\nX-HTTP-Method-Override: GET\r\nX-Own: "
    reads = [b"GET /0", b"GET /1", disguised, *(b"GET /%d" % number for number in range(3, 19)), disguised]
    found = answered([*reads, b"POST /send"], ask, max_answers=25)
    codes = [int(one[:3]) for one in found]
    assert codes == [200, 200] + [403] * 18 + [200]
    assert b"Response too large to return." in found[2]
    assert asked == ["/0", "/1", "/2", "/send"]


def test_a_batch_holds_a_message_of_the_largest_size():
    """In base64, beside a hundred calls of a sensible size."""
    assert batch.limit(36_700_160) > 36_700_160 * 4 // 3 + 100 * 100_000


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (b"x", 400, "Failed to parse batch request, error: Missing end boundary in multipart body."),
        (written([b"GET /x"] * 101), 400, "Inner request count exceeds the limit. Received: 101, Limit: 100"),
        (b"x" * 20_000, 413, "Request payload size exceeds the limit: 10000 bytes."),
    ],
)
def test_what_is_no_batch_is_refused_as_a_whole(body, code, text):
    """There are no parts to answer in, and nothing is asked."""
    request = outer(body, content_type="multipart/mixed; boundary=b", content_length=str(len(body)))
    response = asyncio.run(batch.answer(request, b"", None, 10_000))
    error = json.loads(response.body)["error"]
    assert (response.code, error["code"], error["message"]) == (code, code, text)
