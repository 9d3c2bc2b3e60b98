"""Where a request ends, as raw octets on a running server: nobody can hide one request in another."""

import base64
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tests.running import SEND, running

RAW = base64.urlsafe_b64encode(b"To: bob@example.org\r\n\r\nhidden or not\r\n")
BODY = b'{"raw": "%s"}' % RAW
SIZE = len(BODY)
LENGTH = b"Content-Length: %d" % SIZE
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (SIZE, BODY)
PROBE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all; `alice` is a token of hers."""
    with running(tmp_path_factory.mktemp("framing")) as found:
        found.alice = found.token().encode()
        yield found


def connected(server) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def talk(server, octets: bytes) -> bytes:
    """All that comes back for `octets`, until the other end closes."""
    with closing(connected(server)) as connection:
        connection.sendall(octets)
        received = b""
        try:
            while piece := connection.recv(1 << 16):
                received += piece
        except ConnectionResetError:  # closed with octets of ours unread
            pass
        return received


def codes(received: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


def request(server, *lines: bytes, body: bytes = b"", end: bytes = b"\r\n", version: bytes = b"HTTP/1.1") -> bytes:
    """A send by Alice with these header lines."""
    head = [b"POST %s %s" % (SEND.encode(), version), b"Host: x", b"Authorization: Bearer " + server.alice]
    return end.join([*head, b"Content-Type: application/json", *lines, b"", b""]) + body


LAST = PROBE.replace(b"Host: x", b"Host: x\r\nConnection: close")

ONE_REQUEST = {
    "a length": ((LENGTH,), BODY),
    "chunks": ((CHUNKED,), CHUNKS),
    "one length twice": ((LENGTH, LENGTH), BODY),  # RFC 9110 section 8.6 allows to take it for one
    "a chunk extension": ((CHUNKED,), CHUNKS.replace(b"\r\n", b";a=b\r\n", 1)),  # RFC 9112 7.1.1: to be ignored
    "zeros before the size": ((CHUNKED,), b"0000" + CHUNKS),
    "a trailer": ((CHUNKED,), CHUNKS[:-2] + b"X: y\r\n\r\n"),
    "octets over 127 in a field": ((LENGTH, b"X: \xe4"), BODY),
    "400 KB of header fields": ((LENGTH, b"X: " + b"a" * 400_000), BODY),
    "an expectation unknown": ((LENGTH, b"Expect: 200-ok"), BODY),
}


@pytest.mark.parametrize(("lines", "body"), ONE_REQUEST.values(), ids=ONE_REQUEST)
def test_a_request_ends_where_it_says(server, lines, body):
    """A request whose end is clear is answered, and so is the next one on its connection."""
    assert codes(talk(server, request(server, *lines, body=body) + LAST)) == [200, 200]


def test_lines_may_end_in_lf(server):
    """A head whose lines end in LF is read as one whose lines end in CRLF (RFC 9112 section 2.2)."""
    assert codes(talk(server, request(server, LENGTH, body=BODY, end=b"\n") + LAST)) == [200, 200]


NO_REQUEST = {
    "two lengths": ((LENGTH, b"Content-Length: 5"), BODY, 400),
    "two lengths in one": ((b"Content-Length: %d, 5" % SIZE,), BODY, 400),
    "a list of one length": ((b"Content-Length: %d, %d" % (SIZE, SIZE),), BODY, 400),
    "a signed length": ((b"Content-Length: +%d" % SIZE,), BODY, 400),
    "a negative length": ((b"Content-Length: -1",), BODY, 400),
    "a hexadecimal length": ((b"Content-Length: 0x10",), BODY, 400),
    "an endless length": ((b"Content-Length: 99999999999999999999999",), BODY, 400),
    "a length in two words": ((b"Content-Length: 1 0",), BODY, 400),
    "chunked before identity": ((b"Transfer-Encoding: chunked, identity",), CHUNKS, 400),
    "identity": ((b"Transfer-Encoding: identity",), CHUNKS, 400),
    "an unknown coding": ((b"Transfer-Encoding: xchunked",), CHUNKS, 400),
    "a space before the colon": ((b"Transfer-Encoding : chunked",), CHUNKS, 400),
    "a vertical tab": ((b"Transfer-Encoding:\x0bchunked",), CHUNKS, 400),
    "chunk size and LF": ((CHUNKED,), CHUNKS.replace(b"\r\n", b"\n", 1), 400),
    "chunk and LF": ((CHUNKED,), b"%x\r\n%s\n0\r\n\r\n" % (SIZE, BODY), 400),
    "chunk and neither": ((CHUNKED,), b"%x\r\n%sXX0\r\n\r\n" % (SIZE, BODY), 400),
    "LF in an extension": ((CHUNKED,), CHUNKS.replace(b"\r\n", b";a\nb\r\n", 1), 400),
    "100 KB of extensions": ((CHUNKED,), CHUNKS.replace(b"\r\n", b";" + b"a" * 100_000 + b"\r\n", 1), 400),
    "a size after 0x": ((CHUNKED,), b"0x" + CHUNKS, 400),
    "a negative size": ((CHUNKED,), b"-1\r\n" + CHUNKS, 400),
    "a size over 64 bits": ((CHUNKED,), b"f" * 17 + b"\r\n" + CHUNKS, 400),
    "a space before a size": ((CHUNKED,), b" " + CHUNKS, 400),
    "50 000 trailers": ((CHUNKED,), CHUNKS[:-2] + b"X: y\r\n" * 50_000 + b"\r\n", 400),
    "a folded field": ((LENGTH, b"X: a\r\n b"), BODY, 400),
    "a field without colon": ((LENGTH, b"X"), BODY, 400),
    "a field without name": ((LENGTH, b": a"), BODY, 400),
    "NUL in a field": ((LENGTH, b"X: a\0b"), BODY, 400),
    "CR in a field": ((LENGTH, b"X: a\rb"), BODY, 400),
    "1 MB of header fields": ((LENGTH, b"X: " + b"a" * 1_000_000), BODY, 431),
    "101 header fields": ((LENGTH, *[b"X%d: a" % one for one in range(101)]), BODY, 431),
}


@pytest.mark.parametrize(("lines", "body", "code"), NO_REQUEST.values(), ids=NO_REQUEST)
def test_an_unclear_request_is_refused_and_its_connection_closed(server, lines, body, code):
    """Of a request whose end is not clear nothing is taken, and nothing after it is read as another."""
    before = server.log.count("accepted")
    received = talk(server, request(server, *lines, body=body) + PROBE)
    assert codes(received) in ([code], [])  # [] when the answer was lost to the octets we sent too many
    assert server.log.count("accepted") == before


@pytest.mark.parametrize("length", [LENGTH, b"Content-Length: 4"], ids=["the same", "shorter"])
@pytest.mark.parametrize("chunks_first", [False, True])
def test_chunks_win_over_a_length_and_end_the_connection(server, length, chunks_first):
    """Of two ends the chunks' counts; what follows is not read (RFC 9112 section 6.1)."""
    lines = (CHUNKED, length) if chunks_first else (length, CHUNKED)
    assert codes(talk(server, request(server, *lines, body=CHUNKS) + PROBE)) == [200]


def test_a_coding_below_the_chunks_is_refused(server):
    """A transfer coding that nobody undoes is named in a 400; its end is clear, and the connection goes on."""
    received = talk(server, request(server, b"Transfer-Encoding: gzip, chunked", body=CHUNKS) + LAST)
    assert codes(received) == [400, 200]
    assert b"'gzip, chunked' is not supported" in received


NO_HOST = {
    "none": b"",
    "an empty one": b"Host:\r\n",
    "two": b"Host: x\r\nHost: y\r\n",
    "one twice": b"Host: x\r\nHost: x\r\n",
    "two in one": b"Host: x y\r\n",
    "an address": b"Host: http://x/\r\n",
    "a user": b"Host: a@x\r\n",
    "octets over 127": b"Host: \xe4\r\n",
}


@pytest.mark.parametrize("target", [b"GET /healthz", b"GET /nowhere", b"POST " + SEND.encode()])
@pytest.mark.parametrize("lines", NO_HOST.values(), ids=NO_HOST)
def test_a_request_that_names_no_host_or_two_is_refused(server, lines, target):
    """It is a 400 whatever it asks for (RFC 9112 section 3.2), and ends its connection."""
    received = talk(server, target + b" HTTP/1.1\r\n" + lines + b"Content-Length: 0\r\n\r\n" + PROBE)
    assert codes(received) == [400]
    assert b"<title>Error 400 (Bad Request)!!1</title>" in received


ONE_HOST = {
    "a port": b"GET /healthz HTTP/1.1\r\nHost: x:80\r\n",
    "an IPv6 address": b"GET /healthz HTTP/1.1\r\nHost: [::1]:80\r\n",
    "HTTP/1.0 without any": b"GET /healthz HTTP/1.0\r\n",
    "an absolute address": b"GET http://x/healthz HTTP/1.1\r\nHost: x\r\n",
    "an absolute address alone": b"GET http://x/healthz HTTP/1.1\r\n",
}


@pytest.mark.parametrize("head", ONE_HOST.values(), ids=ONE_HOST)
def test_a_request_that_names_one_host_is_answered(server, head):
    """So is one of HTTP/1.0, which needs none."""
    assert codes(talk(server, head + b"Connection: close\r\n\r\n")) == [200]


NO_HEAD = {
    "a TLS greeting": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100, [400]),
    "a version from the future": (PROBE.replace(b"1.1", b"9.9"), [400]),
    "no version": (b"GET /healthz\r\n\r\n", [400]),
    "a verb of two words": (b"GE" + PROBE.replace(b"GET", b"T T"), [400]),
    "100 KB of address": (PROBE.replace(b"healthz", b"a" * 100_000), [414]),
    "chunks in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
    "a folded first field": (b"GET /healthz HTTP/1.1\r\n X: a\r\nHost: x\r\n\r\n", [400]),
}


@pytest.mark.parametrize(("octets", "expected"), NO_HEAD.values(), ids=NO_HEAD)
def test_what_is_no_head_is_refused(server, octets, expected):
    """What does not begin as a request is refused, and the connection closed."""
    assert codes(talk(server, octets)) == expected


def test_pipelined_sends_are_answered_in_order(server):
    """Requests sent all at once on one connection are each accepted, and each answered in its turn."""
    one = request(server, LENGTH, body=BODY)
    received = talk(server, one + PROBE + one + request(server, CHUNKED, body=CHUNKS) + LAST)
    assert codes(received) == [200] * 5
    assert [b'"id"' in answer for answer in received.split(b"HTTP/1.1 ")[1:]] == [True, False, True, True, False]


def test_a_client_that_asks_first_is_told_to_go_on(server):
    """To Expect: 100-continue the answer is 100 before the body was sent, and 200 after it."""
    with closing(connected(server)) as connection:
        connection.sendall(request(server, LENGTH, b"Expect: 100-continue"))
        assert codes(connection.recv(1 << 16)) == [100]
        connection.sendall(BODY)
        assert codes(connection.recv(1 << 16)) == [200]


def test_a_client_that_sends_far_too_much_sees_the_refusal(server):
    """It is refused while it sends; 200 MB later it finds the 413, and its connection goes on."""
    piece, count = bytes(1 << 20), 200
    length = b"Content-Length: %d" % (len(piece) * count)
    with closing(connected(server)) as connection:
        connection.sendall(request(server, length))
        received = connection.recv(1 << 16)
        for _ in range(count):
            connection.sendall(piece)
        connection.sendall(LAST)
        while more := connection.recv(1 << 16):
            received += more
    assert codes(received) == [413, 200]


@pytest.mark.parametrize("lines", [(LENGTH,), (CHUNKED,)], ids=["a length", "chunks"])
@pytest.mark.parametrize("sent", [0, 5, SIZE - 1])
def test_a_client_that_leaves_amid_its_body_has_sent_nothing(server, lines, sent):
    """A connection closed before the body's end makes no message, whatever of it came."""
    before = server.log.count("accepted")
    cut_short = server.log.count("BodyCutShort")
    with closing(connected(server)) as connection:
        connection.sendall(request(server, *lines, body=(CHUNKS if CHUNKED in lines else BODY)[:sent]))
    deadline = time.monotonic() + 10
    while server.log.count("BodyCutShort") == cut_short and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (server.log.count("accepted"), server.log.count("BodyCutShort")) == (before, cut_short + 1)


def drip(server, octets: bytes) -> tuple[list[int], float]:
    """Send an octet a second until somebody has enough; the answers and how long that took."""
    began = time.monotonic()
    received = b""
    with closing(connected(server)) as connection:
        connection.settimeout(1)
        for at in range(60):
            connection.sendall(octets[at : at + 1])
            try:
                while piece := connection.recv(1 << 16):
                    received += piece
                return codes(received), time.monotonic() - began
            except TimeoutError:
                continue
    return codes(received), time.monotonic() - began


def test_nobody_holds_a_connection_by_being_slow(server):
    """A head that takes over 10 s is cut off, a body that does is a 408; others are answered meanwhile."""
    slow_body = request(server, LENGTH)
    with ThreadPoolExecutor(2) as threads:
        head = threads.submit(drip, server, b"GET /healthz HTTP/1.1\r\nHost: " + b"x" * 100)
        with closing(connected(server)) as connection:
            connection.sendall(slow_body)
            began = time.monotonic()
            assert codes(talk(server, LAST)) == [200]
            assert time.monotonic() - began < 5
            received = connection.recv(1 << 16)
            assert codes(received) == [408]
            assert 9 < time.monotonic() - began < 20
        answers, seconds = head.result()
    assert answers in ([], [408])
    assert 8 < seconds < 20
