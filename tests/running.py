"""A real Postroad as its own process, and a plain HTTP client for it."""

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

POSTROAD = Path(sys.executable).with_name("postroad")
SEND = "/gmail/v1/users/me/messages/send"
UPLOAD = "/upload/gmail/v1/users/me/messages/send?uploadType=media"
# Nodes that share a database share the key that seals its secrets.
SECRET_KEY = base64.b64encode(bytes(range(32))).decode()


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; `json` parses it."""

    code: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.json["error"]["message"]


@dataclass
class Server:
    """A running Postroad. `process` is the server itself, not a shell or tracer around it."""

    process: subprocess.Popen[str]
    url: str
    data: Path
    database: str = ""

    @property
    def log(self) -> str:
        """Everything it wrote on stderr."""
        return (self.data / "log").read_text()

    @property
    def pids(self) -> list[int]:
        """The server and the process in front of it, if there is one."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [self.process.pid, *map(int, children.split())]

    def peak_memory(self) -> int:
        """The most resident memory it ever had, in octets, each process at its own peak."""
        statuses = (Path(f"/proc/{pid}/status").read_text() for pid in self.pids)
        return sum(int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024 for status in statuses)

    def forget_peak_memory(self) -> int:
        """Let the peak begin anew (Linux, proc(5): clear_refs); the memory in use now."""
        for pid in self.pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        return self.peak_memory()

    def connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def token(self, address: str = "alice@example.test", *scopes: str, expires: str = "1h") -> str:
        asked = [word for scope in scopes or ("gmail.send",) for word in ("--scope", scope)]
        return self.command("token", address, *asked, "--expires", expires).strip()

    def command(self, *words: str) -> str:
        """What a `postroad` command prints; it must succeed."""
        command = [POSTROAD, *words, "--data", str(self.data), "--database", self.database]
        environment = environment_of(self.database)
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=60, env=environment
        ).stdout

    def queue(self) -> list[dict[str, Any]]:
        return json.loads(self.command("queue", "list", "--all", "--limit", "10000", "--json"))

    def request(
        self,
        verb: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        used = connection or self.connect()
        used.request(verb, path, body, headers or {})
        response = used.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        if connection is None:
            used.close()
        return answer

    def send(self, content: bytes, token: str, connection: http.client.HTTPConnection | None = None) -> Answer:
        """Send a message as JSON."""
        body = json.dumps({"raw": base64.urlsafe_b64encode(content).decode()}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self.request("POST", SEND, body, headers, connection)

    def upload(self, content: bytes, token: str) -> Answer:
        """Send a message as a simple upload."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "message/rfc822"}
        return self.request("POST", UPLOAD, content, headers)

    def inbox(self, address: str) -> list[bytes]:
        """Every message in an account's INBOX, oldest first."""
        headers = {"Authorization": f"Bearer {self.token(address, 'gmail.readonly')}"}
        base = "/gmail/v1/users/me/messages"
        listed = self.request("GET", f"{base}?labelIds=INBOX&maxResults=500", headers=headers).json
        ids = [one["id"] for one in listed.get("messages", [])]
        answers = [self.request("GET", f"{base}/{one}?format=raw", headers=headers) for one in reversed(ids)]
        return [base64.urlsafe_b64decode(answer.json["raw"]) for answer in answers]

    def drained(self, seconds: float = 30) -> list[dict[str, Any]]:
        """The queue, once nobody waits in it any more."""
        return self.settled(lambda fate: fate["state"] != "queued", seconds)

    def settled(self, done: Any, seconds: float = 30) -> list[dict[str, Any]]:
        """The queue, once `done(fate)` holds for every recipient."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            entries = self.queue()
            if all(done(fate) for entry in entries for fate in entry["recipients"]):
                return entries
            time.sleep(0.05)
        raise AssertionError(f"the queue still holds {entries}\n{self.log}")

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        return _stopped(self.process)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)


def _stopped(process: subprocess.Popen[str]) -> int:
    """The end is heard on its output: `wait` with a timeout looks for it in steps of up to 50 ms."""
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    return process.returncode


def environment_of(database: str) -> dict[str, str]:
    """Without settings of whoever runs the tests; nodes of a database have its key."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTROAD_")}
    return environment | ({"POSTROAD_SECRET_KEY": SECRET_KEY} if database else {})


@contextlib.contextmanager
def running(data: Path, *flags: str, command: str = "dev", before: Sequence[str] = ()) -> Iterator[Server]:
    """A server on a free port; `before` are the words of a tracer to run it under."""
    data.mkdir(parents=True, exist_ok=True)
    words = [*before, str(POSTROAD), command, "--data", str(data), "--listen", "127.0.0.1:0", *flags]
    database = flags[flags.index("--database") + 1] if "--database" in flags else ""
    with (data / "log").open("a") as log:
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=log, text=True, env=environment_of(database)
        )
    try:
        line = process.stdout.readline() if process.stdout else ""
        assert " on http" in line, f"it did not start: {line}{(data / 'log').read_text()}"
        yield Server(process, line.split(" on ", 1)[1].split(";", 1)[0], data, database)
    finally:
        if process.poll() is None:
            _stopped(process)
        if process.stdout:
            process.stdout.close()
