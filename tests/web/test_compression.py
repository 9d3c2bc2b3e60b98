"""Answers in gzip: to whom, and that they are the same."""

import asyncio
import gzip

import pytest

from postroad.web.compression import LARGE, LEAST, compressed
from postroad.web.responses import Response

PYTHON = b"google-api-python-client/2.0 (gzip)"
LONG = Response(200, b"text/plain", b"Ab" * LEAST, ((b"x", b"y"),))


def answered(response=LONG, **headers) -> Response:
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return asyncio.run(compressed(response, named))


@pytest.mark.parametrize("octets", [LEAST, LARGE, LARGE + 1])
def test_an_answer_is_the_same_in_gzip(octets):
    """What is unpacked is what was to be sent, small or large, and the header says how."""
    response = Response(200, b"text/plain", b"a" * octets, ((b"x", b"y"),))
    found = answered(response, accept_encoding=b"gzip, deflate", user_agent=PYTHON)
    assert gzip.decompress(found.body) == response.body
    assert found.headers == ((b"x", b"y"), (b"content-encoding", b"gzip"))
    assert len(found.body) < octets // 10


WANTED = {
    b"gzip": True,
    b"GZIP": True,
    b"x-gzip": True,
    b"br, gzip;q=0.5, *;q=0": True,
    b"deflate ,\tgzip": True,
    b"gzip;q=1.0": True,
    b"gzip;q=0.001": True,
    b"gzip;q=0": False,
    b"gzip; q=0.000": False,
    b"gzip;q=0, deflate": False,
    b"identity": False,
    b"gzipped": False,
    b"*": False,
    b"br": False,
    b"": False,
}


@pytest.mark.parametrize(("accepted", "wanted"), WANTED.items())
def test_gzip_is_sent_to_whom_accepts_it(accepted, wanted):
    """Accept-Encoding names gzip with a weight over 0, or the answer goes as it is."""
    found = answered(accept_encoding=accepted, user_agent=PYTHON)
    assert (found is not LONG) == wanted


@pytest.mark.parametrize("headers", [{}, {"user_agent": b"curl/8"}, {"user_agent": b""}])
def test_the_user_agent_must_say_so_too(headers):
    """As at Google, gzip goes only to a User-Agent with that word in it."""
    assert answered(accept_encoding=b"gzip", **headers) is LONG


def test_a_short_answer_is_left_as_it_is():
    """Below a kibibyte nothing is gained."""
    short = Response(200, b"text/plain", b"a" * (LEAST - 1))
    assert answered(short, accept_encoding=b"gzip", user_agent=PYTHON) is short


@pytest.mark.parametrize("part", [b"gzip;q=0,", b"gzip ", b" ", b",", b"gzip;q=0.", b"\t;q="])
def test_a_hostile_header_takes_no_time(part):
    """However long it is, Accept-Encoding is read at once."""
    assert answered(accept_encoding=part * 10_000, user_agent=PYTHON).code == 200
