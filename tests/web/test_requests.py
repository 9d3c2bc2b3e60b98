"""Request bodies: bounded in octets and in time, whole or refused."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad import refusals
from postroad.web import requests


class Client:
    """Sends the events of a body; between them its clock goes on by `seconds`."""

    def __init__(self, *pieces, seconds=0.0, gone=False):
        self.events = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        if gone:
            self.events.append({"type": "http.disconnect"})
        elif self.events:
            self.events[-1]["more_body"] = False
        self.seconds = seconds
        self.asked = 0

    async def receive(self):
        self.asked += 1
        if not self.events:
            await asyncio.Event().wait()
        asyncio.get_running_loop().now += self.seconds
        for _ in range(2):  # a timer that is due comes before us
            await asyncio.sleep(0)
        return self.events.pop(0)


class Clockwork(asyncio.SelectorEventLoop):
    """An event loop whose time is told to it."""

    now = 0.0

    def time(self):
        return self.now


def request_of(client, *headers, **scope):
    whole = {"method": "POST", "path": "/x", "raw_path": b"/x", "headers": headers, "http_version": "1.1"} | scope
    return requests.of(whole, client.receive)


def run(coroutine):
    with asyncio.Runner(loop_factory=Clockwork) as runner:
        return runner.run(coroutine)


def body_of(client, *headers, limit=100):
    return run(request_of(client, *headers).body(limit))


def length(octets: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % octets


CHUNKED = (b"transfer-encoding", b"chunked")

WHOLE = {
    "in one piece": ((b"abc",), (length(3),), b"abc"),
    "in pieces": ((b"a", b"", b"bc"), (length(3),), b"abc"),
    "chunked": ((b"ab", b"c"), (CHUNKED,), b"abc"),
    "chunked and empty": ((b"",), (CHUNKED,), b""),
    "an empty last piece": ((b"abc", b""), (CHUNKED,), b"abc"),
    "as long as the limit": ((b"a" * 100,), (length(100),), b"a" * 100),
    "chunked up to the limit": ((b"a" * 60, b"a" * 40), (CHUNKED,), b"a" * 100),
    "of length 0": ((), (length(0),), b""),
    "none": ((), (), b""),
    "identity": ((b"abc",), (length(3), (b"content-encoding", b"Identity")), b"abc"),
    "an empty encoding": ((b"abc",), (length(3), (b"content-encoding", b"")), b"abc"),
}


@pytest.mark.parametrize(("pieces", "headers", "body"), WHOLE.values(), ids=WHOLE)
def test_a_body_is_read_whole(pieces, headers, body):
    """A body within the limit is what was sent, however it came."""
    assert body_of(Client(*pieces), *headers) == body


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=9), st.booleans())
def test_pieces_make_the_body(pieces, declared):
    """However a body is cut into pieces, it is their sum."""
    whole = b"".join(pieces)
    client = Client(*pieces)
    assert body_of(client, length(len(whole)) if declared and whole else CHUNKED) == whole


def test_a_request_without_body_is_not_waited_for():
    """Without Content-Length and chunks nothing is asked of the client."""
    client = Client()
    assert body_of(client) == b""
    assert client.asked == 0


def test_a_declared_length_over_the_limit_is_refused_unread():
    """Content-Length over the limit is refused before one octet was read."""
    client = Client(b"a" * 101)
    with pytest.raises(refusals.BodyTooLarge) as refused:
        body_of(client, length(101))
    assert str(refused.value) == "Request payload size exceeds the limit: 100 bytes."
    assert refused.value.why == "Content-Length is 101, the limit 100"
    assert client.asked == 0


def test_a_chunked_body_over_the_limit_is_refused_in_the_midst():
    """A body of unknown length is refused at the first octet over the limit; the rest is not read."""
    client = Client(b"a" * 100, b"a", b"a")
    with pytest.raises(refusals.BodyTooLarge) as refused:
        body_of(client, CHUNKED)
    assert refused.value.why == "the body went on past 100 octets"
    assert client.asked == 2


def test_a_short_body_is_refused():
    """A body that ends before its declared length is not taken for the whole."""
    with pytest.raises(refusals.BodyCutShort) as refused:
        body_of(Client(b"ab"), length(3))
    assert refused.value.why == "2 of 3 octets came"


@pytest.mark.parametrize("header", [length(3), CHUNKED])
def test_a_client_that_goes_away_is_noticed(header):
    """A body whose client went away is refused, though it looked whole."""
    request = request_of(Client(b"abc", gone=True), header)
    with pytest.raises(refusals.BodyCutShort) as refused:
        run(request.body(100))
    assert refused.value.why == "the client went away"
    assert not request.unread


@pytest.mark.parametrize("encoding", [b"gzip", b"GZIP", b"br", b"deflate", b"gzip, gzip", b"identity, gzip"])
def test_a_compressed_body_is_refused_unread(encoding):
    """A Content-Encoding other than identity is refused before the body is read."""
    client = Client(b"\x1f\x8b")
    with pytest.raises(refusals.UnsupportedEncoding) as refused:
        body_of(client, length(2), (b"content-encoding", encoding))
    assert str(refused.value) == f"Content-Encoding '{encoding.decode().lower()}' is not supported."
    assert client.asked == 0


def test_a_body_that_does_not_come_is_refused(monkeypatch):
    """A client that sends nothing is refused when its time is over, and waited for only once."""
    monkeypatch.setattr(requests, "GRACE_SECONDS", 0.0)
    request = request_of(Client(), length(3))
    with pytest.raises(refusals.BodyTooSlow):
        run(request.body(100))
    assert not request.unread
    run(request.drain())


def test_a_body_below_the_pace_is_refused():
    """Past the grace a body must have come at 1 KiB a second."""
    client = Client(*[b"a" * 512] * 100, seconds=1.0)
    with pytest.raises(refusals.BodyTooSlow):
        body_of(client, CHUNKED, limit=1 << 20)
    assert client.asked == 19


def test_a_body_at_the_pace_is_read_however_long_it_takes():
    """A body that keeps the pace is read to its end, far past the grace."""
    client = Client(*[b"a" * 1024] * 100, seconds=1.0)
    assert len(body_of(client, length(100 * 1024), limit=1 << 20)) == 100 * 1024


def test_what_is_left_of_a_body_is_drained():
    """After a refusal the rest of the body is read, so that the client sees the answer."""
    client = Client(b"a", b"b", b"c")
    request = request_of(client, CHUNKED)
    run(request.drain())
    assert not request.unread
    assert client.events == []


def test_draining_has_an_end(monkeypatch):
    """Of a body that goes on and on no more than the bound is drained."""
    monkeypatch.setattr(requests, "DRAINED", 10)
    client = Client(*[b"a" * 8] * 9)
    run(request_of(client, CHUNKED).drain())
    assert client.asked == 2


@pytest.mark.parametrize("client", [Client(b"a", gone=True), Client(gone=True)])
def test_draining_a_lost_client_is_no_failure(client):
    """A client that goes away while its body is drained is nobody's error."""
    run(request_of(client, CHUNKED).drain())


def test_a_read_body_is_not_drained_again():
    """When the body was read to its end, nothing is left to drain."""
    client = Client(b"abc")
    request = request_of(client, length(3))

    async def twice():
        await request.body(100)
        await request.drain()

    run(twice())
    assert client.asked == 1


MEDIA_TYPES = {
    "message/rfc822": "message/rfc822",
    "Message/RFC822; charset=UTF-8": "message/rfc822",
    "application/json;charset=utf-8": "application/json",
    " text/plain ": "text/plain",
    "": "",
    "\xe4": "\xe4",
}


@pytest.mark.parametrize(("header", "media_type"), MEDIA_TYPES.items())
def test_the_media_type_stands_without_its_parameters(header, media_type):
    """Content-Type is compared in lower case and without parameters."""
    request = request_of(Client(), (b"content-type", header.encode("latin-1")))
    assert request.media_type == media_type


def test_no_content_type_is_no_media_type():
    """A request without Content-Type has the media type ""."""
    assert request_of(Client()).media_type == ""


def test_of_repeated_headers_the_last_counts():
    """A header that stands twice has its last value."""
    request = request_of(Client(), (b"x-a", b"1"), (b"x-a", b"2"))
    assert request.headers[b"x-a"] == b"2"


def test_a_path_without_raw_octets_is_taken_as_it_is():
    """A server that tells no raw_path is believed about the path."""
    assert request_of(Client(), raw_path=None).raw_path == b"/x"


def test_http_2_may_have_a_body_without_saying_so():
    """In HTTP/2 a body needs no header."""
    assert run(request_of(Client(b"abc"), http_version="2").body(100)) == b"abc"
