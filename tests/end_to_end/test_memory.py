"""What a message of the largest size costs."""

import base64

import pytest

from tests.running import running
from tests.smtp_sink import running_sink

LARGEST = 36_700_160
MEBIBYTE = 1 << 20
ALLOWED = 100_000_000


def largest(line_end: bytes) -> bytes:
    """A message of exactly the largest size."""
    header = b"To: bob@example.org" + line_end + b"Subject: large" + line_end * 2
    attachment = base64.encodebytes(bytes(range(256)) * 120_000).replace(b"\n", line_end)
    room = LARGEST - len(header)
    return header + (attachment * 2)[: room - 2].rstrip(b"\r\n").ljust(room - 2, b"x") + line_end.rjust(2, b"x")


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("way", ["send", "upload"])
def test_the_largest_message_costs_at_most_100_mb(tmp_path, way, line_end):
    """Neither to accept 36 700 160 octets nor to relay them takes over 100 MB more than to be idle."""
    content = largest(line_end)
    assert len(content) == LARGEST
    with (
        running_sink(extensions=("PIPELINING", "8BITMIME")) as sink,
        running(tmp_path, "--relay", f"smtp://127.0.0.1:{sink.port}") as server,
    ):
        token = server.token()
        assert server.send(b"To: bob@example.org\n\nwarm up\n", token).code == 200
        sink.wait_for(1)
        idle = server.forget_peak_memory()
        assert getattr(server, way)(content, token).code == 200
        accepting = server.peak_memory() - idle
        server.forget_peak_memory()
        sink.wait_for(2, 60)
        relaying = server.peak_memory() - idle
    assert sink.messages[1].content.endswith(content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert max(accepting, relaying) <= ALLOWED


def test_one_octet_more_is_too_large(tmp_path):
    """A message of 36 700 161 octets is refused by name, in JSON and as an upload, before and after it is read."""
    content = largest(b"\r\n") + b"x"
    with running(tmp_path) as server:
        token = server.token()
        for answer in (server.send(content, token), server.upload(content, token)):
            assert (answer.code, answer.message) == (
                413,
                "Request payload size exceeds the limit: 36700160 bytes.",
            )
        assert server.queue() == []
