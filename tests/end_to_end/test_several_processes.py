"""A server on SQLite is several processes: whichever ends, all do, and what was answered 200 is there."""

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.running import POSTROAD, SEND, environment_of, running

KILLED_FRONT = "postroad: a process that answers HTTP was ended by SIGKILL"
STOPPED_FRONT = "postroad: a process that answers HTTP ended by itself, with exit code 0; the log says why"
STEPS = ["refuse new requests", "refuse new requests", "end mail transactions", "close the database"]
PARENT, FRONT, SECOND = 0, 1, 2
TWO = ("--fronts", "2")
# So many connections never all go to one of two processes: not once in a thousand million times.
SPREAD = 30
LETTER = b"To: bob@example.test\r\nSubject: Hello\r\n\r\nHello.\r\n"
# Too large to be handed over whole: its rows go to the parent one statement after another.
LARGE = LETTER + 40_000 * b"Hello.\r\n"
# How soon orphans are gone; and how soon all is over when a front is.
ORPHAN_SECONDS, END_SECONDS = 2, 20
CONTENTS, ANSWERS_BEFORE = (LETTER, LETTER, LARGE, LARGE), 20


def alive(pid: int) -> bool:
    """Whether it runs; one that only waits to be reaped does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_for(done, seconds: float) -> bool:
    """Whether `done()` held in time."""
    deadline = time.monotonic() + seconds
    while not (held := done()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return held


def processes_of(data: Path) -> list[str]:
    """Those with this data folder on their command line: the server, and whatever it forked."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = file.read_bytes().split(b"\0")
            found += [file.parent.name] if os.fsencode(data) in words else []
    return found


def steps(log: str) -> list[str]:
    """The steps of a stop, as the log tells them."""
    events = (json.loads(line) for line in log.splitlines() if line.startswith("{"))
    return [event["step"] for event in events if event["event"] == "stopping"]


@contextlib.contextmanager
def under_load(server):
    """Clients send until their server is gone; the ids of what was answered 200, once there are some."""
    answered, codes, token = [], Counter(), server.token()

    def send_on(content: bytes) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(server.connect()) as kept:
            while (answer := server.send(content, token, kept)).code == 200:
                answered.append(answer.json["id"])
            codes[answer.code] += 1

    clients = [threading.Thread(target=send_on, args=(content,)) for content in CONTENTS]
    for client in clients:
        client.start()
    assert wait_for(lambda: len(answered) >= ANSWERS_BEFORE, END_SECONDS)
    yield answered
    for client in clients:
        client.join()
    assert set(codes) <= {503}  # a front that stops, while its clients go on


def sent_and_queued(server) -> tuple[set[str], int]:
    """The ids of all messages that their author finds sent, and how many messages the queue knows of."""
    headers = {"Authorization": f"Bearer {server.token('alice@example.test', 'gmail.readonly')}"}
    path, found, page = "/gmail/v1/users/me/messages?labelIds=SENT&maxResults=500", set(), ""
    while True:
        listed = server.request("GET", f"{path}&pageToken={page}" if page else path, headers=headers).json
        found |= {one["id"] for one in listed.get("messages", [])}
        page = listed.get("nextPageToken", "")
        if not page:
            return found, len(server.drained())


KILLED = {
    "the parent": (PARENT, -signal.SIGKILL, ORPHAN_SECONDS),
    "a front": (FRONT, 1, END_SECONDS),
    "the other front": (SECOND, 1, END_SECONDS),
}


@pytest.mark.parametrize(("victim", "code", "seconds"), KILLED.values(), ids=KILLED)
def test_when_one_is_killed_the_others_end_and_nothing_is_lost(tmp_path, victim, code, seconds):
    """Killed under load, all are gone in time; at once the next server has their port, folder and mail."""
    data = tmp_path / "data"
    with running(data, *TWO) as server:
        pids, address = server.pids, urlsplit(server.url).netloc
        assert len(pids) == 3
        with under_load(server) as answered:
            os.kill(pids[victim], signal.SIGKILL)
            assert server.process.wait(seconds) == code
            assert wait_for(lambda: not any(map(alive, pids)), seconds)
        assert (server.log.splitlines()[-1] == KILLED_FRONT) == (victim != PARENT)
        assert "Traceback" not in server.log
        assert processes_of(data) == []
    with running(data, "--listen", address) as server:
        assert urlsplit(server.url).netloc == address
        sent, queued = sent_and_queued(server)
        assert sent >= set(answered)
        assert queued == len(sent)
        assert server.stop() == 0


STOPS = {
    "SIGTERM to the parent": ([(PARENT, signal.SIGTERM)], 0),
    "SIGINT to all": ([(SECOND, signal.SIGINT), (FRONT, signal.SIGINT), (PARENT, signal.SIGINT)], 0),
    "SIGINT to all, the parent first": ([(which, signal.SIGINT) for which in (PARENT, FRONT, SECOND)], 0),
    "SIGTERM to a front": ([(SECOND, signal.SIGTERM)], 1),
}


@pytest.mark.parametrize(("signals", "code"), STOPS.values(), ids=STOPS)
def test_a_signal_is_an_orderly_stop(tmp_path, signals, code):
    """Whoever is told to stop, all do, step by step; only who was not told itself says so and exits 1."""
    with running(tmp_path / "data", *TWO) as server:
        pids = server.pids
        for number, which in signals:
            os.kill(pids[number], which)
        assert server.process.wait(END_SECONDS) == code
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        assert steps(server.log) == STEPS
        assert (server.log.splitlines()[-1] == STOPPED_FRONT) == (code == 1)
        assert "Traceback" not in server.log


def test_a_request_under_way_at_a_stop_is_answered(tmp_path):
    """What was being sent when SIGTERM came is accepted, answered, and there after the stop."""
    body = json.dumps({"raw": base64.urlsafe_b64encode(LETTER).decode()}).encode()
    with running(tmp_path / "data", *TWO) as server:
        head = (
            f"POST {SEND} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        )
        where = urlsplit(server.url)
        with socket.create_connection((where.hostname, where.port), timeout=END_SECONDS) as connection:
            connection.sendall(head.encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
            server.process.send_signal(signal.SIGTERM)
            assert wait_for(lambda: steps(server.log)[:2] == STEPS[:2], END_SECONDS)
            connection.sendall(body)
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(END_SECONDS) == 0
        assert len(server.queue()) == 1


def test_metrics_are_of_all_processes(tmp_path):
    """One answer has what each front accepted and what the parent sent and synced, each family and sample once."""
    with running(tmp_path / "data", *TWO) as server:
        token = server.token()
        for _ in range(SPREAD):
            assert server.send(LETTER, token).code == 200
        server.drained()
        text = server.request("GET", "/metrics").body.decode()
        kinds = Counter(line.split()[2] for line in text.splitlines() if line.startswith("# TYPE "))
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        values = {(sample.name, *sample.labels.values()): sample.value for sample in samples}
        assert set(kinds.values()) == {1}
        assert len(values) == len(samples)
        assert values["postroad_accepted_messages_total",] == SPREAD
        assert values["postroad_tried_recipients_total", "relayed"] == SPREAD
        assert values["postroad_commit_units_count",] >= 1


@pytest.fixture
def taken():
    """An address that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


@pytest.fixture
def torn(tmp_path):
    """A file that is no certificate."""
    file = tmp_path / "torn.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\n")
    return str(file)


REFUSED = {
    "a port in use": (("--listen", "{taken}"), 1, "postroad: listen: {taken}: Address already in use"),
    "no certificate": (
        ("--tls-cert", "/nowhere/a.pem", "--tls-key", "/nowhere/b.pem"),
        2,
        "postroad: tls_cert, tls_key: /nowhere/a.pem, /nowhere/b.pem: No such file or directory",
    ),
    "a torn certificate": (
        ("--tls-cert", "{torn}", "--tls-key", "{torn}"),
        2,
        "postroad: tls_cert, tls_key: {torn}, {torn}: [SSL] PEM lib",
    ),
    "a provider in the clear": (
        ("--oidc-issuer", "http://accounts.example.org", "--oidc-client-id", "us"),
        2,
        "postroad: oidc_issuer: 'http://accounts.example.org' is not https://HOST",
    ),
}


@pytest.mark.parametrize(("flags", "code", "line"), REFUSED.values(), ids=REFUSED)
def test_a_start_that_cannot_be_is_one_line(tmp_path, taken, torn, flags, code, line):
    """What HTTP cannot be answered with is told in one line, and no process stays."""
    data = tmp_path / "data"
    words = [one.format(taken=taken, torn=torn) for one in ("--listen", "127.0.0.1:0", *flags)]
    ended = subprocess.run(
        [POSTROAD, "dev", "--data", data, *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment_of(""),
    )
    said = [one for one in ended.stderr.splitlines() if not one.startswith("{")]
    assert (ended.returncode, ended.stdout, len(said)) == (code, "", 1), ended.stderr
    assert said[0].startswith(line.format(taken=taken, torn=torn))
    assert "Traceback" not in ended.stderr
    assert processes_of(data) == []
