"""Many large messages at once: what they cost in memory, and what becomes of each.

`python -m tests.end_to_end.crowd` is the long form: 200 messages of the largest size, as JSON and as uploads.
"""

import base64
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click

from tests.end_to_end.test_memory import LARGEST, MEBIBYTE
from tests.running import SEND, UPLOAD, Answer, Server, running

# What Granian reads ahead of a body that nobody asks for yet (`granian.http.HTTP1Settings`), and then some.
READ_AHEAD = 1 << 19
# What an upload has in memory of what was read and is not yet stored.
STREAMED = 4 << 20
PATIENCE_SECONDS = 1800


@dataclass(frozen=True)
class Outcome:
    """What came of it: answers by code, memory over idle, entries found after kill -9, the slowest small send."""

    codes: Counter[int]
    cost: int
    found: int
    slowest_small: float
    seconds: float
    log: str


def letter(octets: int) -> bytes:
    """A message of so many octets."""
    header = b"To: bob@example.org\r\nSubject: large\r\n\r\n"
    line = b"x" * 76 + b"\r\n"
    return (header + line * (octets // len(line) + 1))[: octets - 2] + b"\r\n"


def crowd(folder: Path, way: str, *, count: int, octets: int, memory: int) -> Outcome:
    """Send so many at once as "JSON" or "media", small ones meanwhile; then kill and count what is there."""
    content = letter(octets)
    path, media_type, body = (UPLOAD, "message/rfc822", content)
    if way == "JSON":
        raw = base64.urlsafe_b64encode(content).decode()
        path, media_type, body = SEND, "application/json", json.dumps({"raw": raw}).encode()
    began = time.monotonic()
    with running(folder, "--body-memory", str(memory)) as server:
        token = server.token()
        assert server.send(letter(100), token).code == 200
        headers = {"Authorization": f"Bearer {token}", "Content-Type": media_type}
        idle = server.forget_peak_memory()
        with ThreadPoolExecutor(count) as threads:
            sent = [threads.submit(send_large, server, path, body, headers) for _ in range(count)]
            small = list(small_sends(server, token, lambda: all(one.done() for one in sent)))
        codes = Counter(one.result().code for one in sent)
        cost, log = server.peak_memory() - idle, server.log
        server.kill()
    with running(folder) as server:
        found = len(server.queue()) - len(small) - 1
    return Outcome(codes, cost, found, max(small), time.monotonic() - began, log)


def send_large(server: Server, path: str, body: bytes, headers: dict[str, str]) -> Answer:
    """Send one with more patience than clients have: here all of them want the one disk at once."""
    with closing(server.connect()) as connection:
        connection.timeout = PATIENCE_SECONDS
        return server.request("POST", path, body, headers, connection)


def small_sends(server: Server, token: str, enough) -> Iterator[float]:
    """How many seconds each of some small sends takes, until it is enough; one at least."""
    while True:
        began = time.monotonic()
        assert server.send(letter(100), token).code == 200
        yield time.monotonic() - began
        if enough():
            return


def bound(way: str, count: int, memory: int) -> int:
    """What a crowd may cost: twice the memory for bodies, or what each upload has at once, and the rest."""
    return (2 * memory if way == "JSON" else count * STREAMED) + count * READ_AHEAD + 64 * MEBIBYTE


@click.command()
@click.option("--count", default=200, show_default=True, help="How many at once.")
@click.option("--octets", default=LARGEST, show_default=True, help="The size of each.")
@click.option("--memory", default=256 * MEBIBYTE, show_default=True, help="The setting body_memory.")
def main(count: int, octets: int, memory: int) -> None:
    """Send a crowd of large messages at once and say what it cost."""
    for way in ("JSON", "media"):
        click.echo(f"{way}: {count} messages of {octets} octets at once, body_memory {memory} ...")
        with tempfile.TemporaryDirectory() as folder:
            outcome = crowd(Path(folder), way, count=count, octets=octets, memory=memory)
        click.echo(
            f"  answers {dict(outcome.codes)}, {outcome.found} found after kill -9,"
            f" {outcome.cost / 1e6:.0f} MB over idle (at most {bound(way, count, memory) / 1e6:.0f}),"
            f" slowest small send {outcome.slowest_small:.2f} s, {outcome.seconds:.0f} s in all"
        )
        good = set(outcome.codes) <= {200, 503} and outcome.found == outcome.codes[200]
        if not good or outcome.cost > bound(way, count, memory):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
