"""A backup under load, put in place elsewhere, holds everything that was accepted before it."""

import re
import shutil
import subprocess
import threading
from typing import Self

from postroad.database.sqlite import FILE
from postroad.sealing import FILE as KEY_FILE
from tests.running import POSTROAD, running

ENOUGH = 30


def letter(canary: str) -> bytes:
    return f"To: bob@example.org\nSubject: {canary}\n\n{canary}\n{'filler ' * 1000}\n".encode()


class Load:
    """Authors who send until told to stop; `accepted` are the canaries that got their 200."""

    def __init__(self, server, authors: int) -> None:
        self.accepted: set[str] = set()
        self.enough = threading.Event()
        self._ended = threading.Event()
        self._server, self._token = server, server.token()
        self._threads = [threading.Thread(target=self._send, args=(one,)) for one in range(authors)]

    def _send(self, author: int) -> None:
        number = 0
        while not self._ended.is_set():
            canary = f"canary-{author}-{number}-x"
            if self._server.send(letter(canary), self._token).code == 200:
                self.accepted.add(canary)
            if len(self.accepted) >= ENOUGH:
                self.enough.set()
            number += 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


def test_a_backup_under_load_is_restored(tmp_path):
    """Everything accepted before the backup began is delivered, once, by a server started on it and the key."""
    backup, elsewhere = tmp_path / "backup", tmp_path / "elsewhere"
    with running(tmp_path / "data") as server, Load(server, authors=2) as load:
        assert load.enough.wait(60)
        before = set(load.accepted)
        printed = server.command("backup", str(backup))
        assert load.accepted > before
        listed = {entry["queue_id"] for entry in server.queue()}
    first, second, _ = printed.split("\n")
    assert re.fullmatch(rf"backed up to {backup}, \d+ octets, checked", first)
    assert second == f"it is of use only with {server.data / KEY_FILE}: keep a copy of that, too, in another place"
    elsewhere.mkdir()
    shutil.copy(backup, elsewhere / FILE)
    shutil.copy(server.data / KEY_FILE, elsewhere / KEY_FILE)
    with running(elsewhere) as server:
        assert {entry["queue_id"] for entry in server.drained(60)} <= listed
        delivered = [re.search(rb"canary-\d+-\d+-x", one)[0].decode() for one in server.inbox("bob@example.org")]
    assert before <= set(delivered)
    assert len(delivered) == len(set(delivered))


def test_a_backup_says_on_one_line_why_not(tmp_path):
    """An existing file is refused, and so is a PostgreSQL database, with exit code 1."""
    with running(tmp_path / "data"):
        for words, why in (
            ((str(tmp_path / "data" / FILE),), "exists; a backup never overwrites"),
            ((str(tmp_path / "new"), "--database", "postgresql://localhost/x"), "pg_dump"),
        ):
            command = [POSTROAD, "backup", *words, "--data", str(tmp_path / "data")]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert (done.returncode, done.stdout) == (1, "")
            assert why in done.stderr
            assert done.stderr.count("\n") == 1
