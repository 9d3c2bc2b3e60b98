"""Request bodies: bounded in octets and in time, whole or refused."""

import asyncio
import gzip
import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad import refusals
from postroad.web import body_memory, inflating, requests


class Client:
    """Sends the events of a body; between them its clock goes on by `seconds`. Then it keeps silent."""

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
        while not self.events:
            asyncio.get_running_loop().now += 1.0
            await asyncio.sleep(0)
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


@pytest.mark.parametrize("header", [length(4), CHUNKED])
def test_a_client_that_goes_away_is_noticed(header):
    """A body whose client went away before its end is refused."""
    request = request_of(Client(b"abc", gone=True), header)
    with pytest.raises(refusals.BodyCutShort) as refused:
        run(request.body(100))
    assert refused.value.why == "the client went away"
    assert not request.unread


def test_a_body_of_known_length_is_not_waited_for_once_it_is_here():
    """When the declared octets have come nothing more is asked of the client, not even whether that was all."""
    client = Client(b"ab", b"c", b"")
    assert body_of(client, length(3)) == b"abc"
    assert client.asked == 2


@pytest.mark.parametrize("encoding", [b"br", b"deflate", b"gzip, gzip", b"identity, gzip", b"gzip;q=1"])
def test_an_unknown_encoding_is_refused_unread(encoding):
    """A Content-Encoding other than gzip and identity is refused before the body is read."""
    client = Client(b"\x1f\x8b")
    with pytest.raises(refusals.UnsupportedEncoding) as refused:
        body_of(client, length(2), (b"content-encoding", encoding))
    assert str(refused.value) == f"Content-Encoding '{encoding.decode().lower()}' is not supported."
    assert client.asked == 0


def test_a_transfer_coding_within_the_chunks_is_refused_unread():
    """What is compressed below the chunks nobody undoes: it is not taken for the body."""
    client = Client(b"\x1f\x8b")
    with pytest.raises(refusals.UnsupportedEncoding) as refused:
        body_of(client, (b"transfer-encoding", b"gzip, Chunked"))
    assert refused.value.why == "Transfer-Encoding: gzip, chunked"
    assert client.asked == 0


def test_a_body_that_does_not_come_is_refused():
    """A client that sends nothing is refused when its time is over, and waited for only once."""
    client = Client()
    request = request_of(client, length(3))
    with pytest.raises(refusals.BodyTooSlow):
        run(request.body(100))
    assert not request.unread
    run(request.drain())
    assert client.asked == 1


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


def test_the_time_that_a_reader_takes_is_not_the_clients():
    """However long we work on each piece, a client that is quick is not too slow."""
    request = request_of(Client(b"a", b"b", b"c"), CHUNKED)

    async def read_slowly():
        pieces = []
        async for piece in request.pieces(100):
            pieces.append(piece)
            asyncio.get_running_loop().now += 60.0
        return pieces

    assert run(read_slowly()) == [b"a", b"b", b"c"]


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
    monkeypatch.setattr(requests, "DRAINED_SECONDS", 3.0)
    client = Client(*[b"a" * 8] * 9, seconds=1.0)
    run(request_of(client, CHUNKED).drain())
    assert client.asked == 4


def test_a_client_that_is_quick_is_drained_past_the_bound(monkeypatch):
    """What comes within the time is read, however much: who is in the midst of sending sees the answer."""
    monkeypatch.setattr(requests, "DRAINED", 10)
    client = Client(*[b"a" * 8] * 9)
    run(request_of(client, CHUNKED).drain())
    assert client.events == []


def test_nothing_is_held_for_what_is_drained():
    """What is read and forgotten takes no room from others."""
    request = sharing(body_memory.BodyMemory(1 << 20), Client(b"a"), CHUNKED)
    run(request.share.hold(1 << 19))
    run(request.drain())
    assert request.share.memory.free == 1 << 20


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


def gzipped(*members: bytes) -> bytes:
    return b"".join(gzip.compress(member, mtime=0) for member in members)


GZIP = (b"content-encoding", b"gzip")
LARGE = bytes(range(256)) * 1024

INFLATED = {
    "one member": ((gzipped(b"abc"),), b"abc"),
    "an empty member": ((gzipped(b""),), b""),
    "no octets at all": ((), b""),
    "several members": ((gzipped(b"ab", b"", b"c"),), b"abc"),
    "octet by octet": (tuple(bytes([one]) for one in gzipped(b"abc", b"de")), b"abcde"),
    "many pieces out of one": ((gzipped(LARGE),), LARGE),
    "a piece that is just full": ((gzipped(b"a" * inflating.PIECE),), b"a" * inflating.PIECE),
}


@pytest.mark.parametrize("encoding", [b"gzip", b"x-gzip", b"GZip"])
@pytest.mark.parametrize("way", ["declared", "chunked"])
@pytest.mark.parametrize(("pieces", "body"), INFLATED.values(), ids=INFLATED)
def test_a_gzip_body_is_inflated(pieces, body, way, encoding):
    """A gzip body is what its members hold, however it came."""
    header = CHUNKED if way == "chunked" and pieces else length(sum(map(len, pieces)))
    assert body_of(Client(*pieces), header, (b"content-encoding", encoding), limit=1 << 20) == body


@given(st.lists(st.binary(max_size=99), max_size=5), st.integers(1, 50))
def test_members_make_the_body_however_they_are_cut(members, step):
    """Inflating gives back what was compressed, wherever the octets were cut."""
    octets = gzipped(*members)
    pieces = [octets[at : at + step] for at in range(0, len(octets), step)]
    assert body_of(Client(*pieces) if pieces else Client(b""), CHUNKED, GZIP, limit=1000) == b"".join(members)


NOT_GZIP = {
    "plain": (b'{"raw": ""}', "gzip: Error -3 while decompressing data: incorrect header check"),
    "cut short": (gzipped(LARGE)[:-20], "the gzip body ends within a member"),
    "without its trailer": (gzipped(b"abc")[:-1], "the gzip body ends within a member"),
    "a wrong sum": (
        gzipped(b"abc")[:-8] + bytes(8),
        "gzip: Error -3 while decompressing data: incorrect data check",
    ),
    "a tail": (gzipped(b"abc") + b"x", "the gzip body ends within a member"),
    "a longer tail": (
        gzipped(b"abc") + b"xyz",
        "gzip: Error -3 while decompressing data: incorrect header check",
    ),
    "zlib": (zlib.compress(b"abc"), "gzip: Error -3 while decompressing data: incorrect header check"),
    "too many members": (gzipped(b"") * 1001, "the gzip body has more than 1000 members"),
}


@pytest.mark.parametrize(("octets", "why"), NOT_GZIP.values(), ids=NOT_GZIP)
def test_what_is_not_gzip_is_refused(octets, why):
    """A body that is not gzip from its first octet to its last is refused, and the log says why."""
    with pytest.raises(refusals.BadCompression) as refused:
        body_of(Client(octets), CHUNKED, GZIP, limit=1 << 20)
    assert refused.value.why == why


def test_a_bomb_is_refused_as_soon_as_it_is_too_large():
    """Of a body that inflates a thousandfold no more is inflated than shows that it is too large."""
    limit = 1 << 20
    request = request_of(Client(gzip.compress(bytes(1 << 26), mtime=0)), CHUNKED, GZIP)
    tracemalloc.start()
    with pytest.raises(refusals.BodyTooLarge) as refused:
        run(request.body(limit))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.why == "the body went on past 1048576 octets"
    assert peak < 3 * limit


def test_a_body_that_inflates_to_nothing_has_an_end():
    """Compressed octets that make none are bounded, too."""
    empty_blocks = gzip.compress(b"", mtime=0)[:10] + b"\0\0\0\xff\xff" * 1000
    with pytest.raises(refusals.BodyTooLarge) as refused:
        body_of(Client(empty_blocks), CHUNKED, GZIP)
    assert refused.value.why == "the compressed body went on past 1124 octets"


@given(st.integers(0, 100_000), st.integers(0, 9))
def test_what_does_not_shrink_has_room(size, level):
    """A body as long as the limit fits also where gzip makes it longer."""
    octets = random.Random(size).randbytes(size)
    assert len(gzip.compress(octets, level, mtime=0)) <= inflating.most(size)


def sharing(memory, client, *headers):
    """A request that has a share of `memory`."""
    return request_of(client, *headers, share=body_memory.Share(memory))


def held_by(memory, pace, count):
    """Requests that hold all of the memory, and whose bodies go on at so many octets a second."""
    share = memory.octets // count
    clients = [Client(*[bytes(pace)] * (share // pace), seconds=1.0 / count) for _ in range(count)]
    return [sharing(memory, client, length(share)) for client in clients]


async def read(request, *, after=0):
    """The body of a request, after so many turns of the others; then its room is free again."""
    for _ in range(after):
        await asyncio.sleep(0)
    try:
        return await request.body(1 << 20)
    finally:
        request.share.release()


async def crowd(*bodies):
    return await asyncio.gather(*bodies, return_exceptions=True)


def test_the_slow_make_way_for_who_waits():
    """Bodies that would hold all memory for hours are refused once somebody waits for it, and he is served."""
    memory = body_memory.BodyMemory(500 * 1024)
    slow = held_by(memory, 1024, 5)
    waiting = sharing(memory, Client(bytes(100 * 1024)), length(100 * 1024))
    *came, body = run(crowd(*map(read, slow), read(waiting, after=60)))
    assert len(body) == 100 * 1024
    assert refusals.BodyTooSlow in map(type, came)


def test_the_slow_go_on_while_nobody_waits():
    """Without anybody who waits for room, the same bodies are read to their end."""
    memory = body_memory.BodyMemory(500 * 1024)
    came = run(crowd(*map(read, held_by(memory, 1280, 5))))
    assert [len(body) for body in came] == [100 * 1024] * 5


@pytest.mark.parametrize(("octets", "held"), [(65536, 0), (65537, 500_000)])
def test_a_body_that_is_passed_on_holds_what_is_kept_of_it(octets, held):
    """A stream holds room for what its reader keeps, once it is not small."""
    request = sharing(body_memory.BodyMemory(1 << 20), Client(bytes(octets)), CHUNKED)

    async def passed_on():
        return sum([len(piece) async for piece in request.streamed(1 << 20, 500_000)])

    assert run(passed_on()) == octets
    assert request.share.octets == held


HELD = {
    "small": ((b"a" * 65536,), (length(65536),), 0),
    "large": ((b"a" * 65537,), (length(65537),), 65537),
    "large and chunked": ((b"a" * 60000, b"a" * 5537), (CHUNKED,), 65537),
    "small and chunked": ((b"a" * 65536,), (CHUNKED,), 0),
    "inflated": ((gzipped(LARGE),), (CHUNKED, GZIP), len(LARGE)),
}


@pytest.mark.parametrize(("pieces", "headers", "octets"), HELD.values(), ids=HELD)
def test_a_large_body_is_counted(pieces, headers, octets):
    """A body over 64 KiB holds its own size of the memory for all, and gives it back at the end."""
    request = sharing(body_memory.BodyMemory(1 << 20), Client(*pieces), *headers)
    run(request.body(1 << 20))
    assert request.share.octets == octets
    request.share.release()
    assert request.share.memory.free == 1 << 20


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


HOSTS = {
    "a name": ([b"x"], "1.1", True),
    "a name and a port": ([b"mail.example.test:8587"], "1.1", True),
    "an IPv6 address": ([b"[2001:db8::1]:80"], "1.1", True),
    "none": ([], "1.1", False),
    "an empty one": ([b""], "1.1", False),
    "two": ([b"x", b"x"], "1.1", False),
    "a list": ([b"x y"], "1.1", False),
    "a path": ([b"x/y"], "1.1", False),
    "a user": ([b"a@x"], "1.1", False),
    "a line break": ([b"x\n"], "1.1", False),
    "octets over 127": ([b"\xe4"], "1.1", False),
    "a very long one": ([b"x" * 262], "1.1", False),
    "none in HTTP/1.0": ([], "1", True),
    "an empty one in HTTP/1.0": ([b""], "1", True),
    "two in HTTP/1.0": ([b"x", b"y"], "1", False),
    "one in HTTP/2": ([b"x"], "2", True),
    "two in HTTP/2": ([b"x", b"y"], "2", False),
}


@pytest.mark.parametrize(("hosts", "version", "named"), HOSTS.values(), ids=HOSTS)
def test_a_request_names_one_host(hosts, version, named):
    """One Host, of the characters that a host may have; HTTP/1.0 knew none (RFC 9112 section 3.2)."""
    headers = [(b"accept", b"*/*"), *((b"host", host) for host in hosts)]
    assert requests.names_host({"headers": headers, "http_version": version}) == named


def test_cookies_in_several_lines_are_all_there():
    """HTTP/2 may bring each in a line of its own; of other headers the last counts."""
    lines = ((b"cookie", b"a=b"), (b"x", b"1"), (b"cookie", b"c=d; e=f"), (b"x", b"2"))
    headers = request_of(Client(), *lines).headers
    assert headers == {b"cookie": b"a=b; c=d; e=f", b"x": b"2"}
