"""Accepted means synced: shown by the system calls, by kill -9, and by how many syncs a crowd costs."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from tests.conftest import program
from tests.running import running
from tests.smtp_sink import Drop, running_sink

_CALLS = "pwrite64,fdatasync,fsync,sendto,sendmsg,write,writev"


def letter(canary: str) -> bytes:
    return f"To: bob@example.org\nSubject: {canary}\n\n{canary}\n".encode()


def send_all(server, canaries: list[str], connections: int) -> dict[str, str]:
    """Send a message for each canary over so many kept connections; the id of each."""
    token = server.token()

    def send_some(mine: list[str]) -> dict[str, str]:
        with closing(server.connect()) as connection:
            answers = {canary: server.send(letter(canary), token, connection) for canary in mine}
        assert {answer.code for answer in answers.values()} == {200}
        return {canary: answer.json["id"] for canary, answer in answers.items()}

    with ThreadPoolExecutor(connections) as threads:
        shares = [canaries[one::connections] for one in range(connections)]
        return {canary: id_ for share in threads.map(send_some, shares) for canary, id_ in share.items()}


def unsynced_answers(trace: Path, ids: dict[str, str]) -> list[str]:
    """Canaries whose answer left before a sync that began after their octets were written had ended."""
    canary_of = {id_: canary for canary, id_ in ids.items()}
    written: set[str] = set()
    syncing: dict[str, set[str]] = {}
    synced: set[str] = set()
    answered: list[str] = []
    early: list[str] = []
    with trace.open(errors="replace") as lines:
        for line in lines:
            thread, call = line.split(maxsplit=1)
            if call.startswith("pwrite64(") and "-wal" in call:
                written |= set(re.findall(r"canary-\d+-x", call)) & ids.keys()
            elif call.startswith(("fdatasync(", "fsync(")) and "-wal" in call:
                syncing[thread] = set(written)
            if re.search(r"f(data)?sync(\(| resumed).*= 0$", call) and thread in syncing:
                synced |= syncing.pop(thread)
            if call.startswith(("sendto(", "sendmsg(", "write(", "writev(")) and "200 OK" in call:
                for id_ in re.findall(r'"id\\": \\"([0-9a-f]{16})', call):
                    answered.append(canary_of[id_])
                    early += [canary_of[id_]] if canary_of[id_] not in synced else []
    assert sorted(answered) == sorted(ids), "the trace does not show every answer"
    return early


def test_no_answer_leaves_before_its_own_sync(tmp_path):
    """Each 2xx comes after the fdatasync that followed the write of its own message, also in a crowd."""
    trace = tmp_path / "trace"
    canaries = [f"canary-{number}-x" for number in range(200)]
    strace = [program("strace"), "-D", "-f", "-y", "-s", "300000", "-e", f"trace={_CALLS}", "-o", str(trace)]
    with running(tmp_path / "data", before=strace) as server:
        ids = send_all(server, canaries, connections=8)
    assert unsynced_answers(trace, ids) == []


def test_a_crowd_shares_its_syncs(tmp_path):
    """1000 messages accepted over 32 connections cost far fewer than 1000 syncs."""
    trace = tmp_path / "trace"
    canaries = [f"canary-{number}-x" for number in range(1000)]
    strace = [program("strace"), "-D", "-f", "-y", "-e", "trace=fdatasync,fsync", "-o", str(trace)]
    with running(tmp_path / "data", "--relay", "smtp://127.0.0.1:9", before=strace) as server:
        before = trace.read_text().count("sync(")
        send_all(server, canaries, connections=32)
        during = trace.read_text().count("sync(") - before
    assert 0 < during < 500


def test_what_was_accepted_survives_kill_9(tmp_path):
    """After a kill -9 amid accepting, every accepted message is relayed once the server is back."""
    with running_sink() as sink:
        relay = ("--relay", f"smtp://127.0.0.1:{sink.port}")
        with running(tmp_path, *relay) as server:
            ids = send_all(server, [f"canary-{number}-x" for number in range(60)], connections=8)
            server.kill()
        with running(tmp_path, *relay) as server:
            server.drained()
        relayed = [re.search(rb"canary-\d+-x", one.content)[0].decode() for one in sink.messages]
    assert set(relayed) == set(ids)


def test_a_second_copy_has_its_mark(tmp_path):
    """A reply lost after the final dot makes one extra copy, and the attempt that made it says so."""
    with running_sink({("DOT_AFTER_COMMIT", 1): Drop()}) as sink:
        relay = ("--relay", f"smtp://127.0.0.1:{sink.port}")
        with running(tmp_path, *relay) as server:
            server.send(letter("canary-1-x"), server.token())
            (entry,) = server.settled(lambda fate: fate["attempts"] == 1)
            (fate,) = entry["recipients"]
            assert (fate["state"], fate["in_doubt"]) == ("queued", True)
        with running(tmp_path, *relay) as server:
            (entry,) = server.drained()
            shown = json.loads(server.command("queue", "show", entry["queue_id"], "--json"))
    assert len(sink.messages) == 2
    assert sink.messages[0].content == sink.messages[1].content
    assert [attempt["after_in_doubt"] for attempt in shown["attempts"]] == [False, True]


def test_sigterm_ends_what_is_under_way(tmp_path):
    """A stop lets the requests and transactions under way end, and exits 0."""
    with running_sink() as sink, running(tmp_path, "--relay", f"smtp://127.0.0.1:{sink.port}") as server:
        ids = send_all(server, [f"canary-{number}-x" for number in range(20)], connections=4)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 20
    with running(tmp_path, "--relay", f"smtp://127.0.0.1:{sink.port}") as server:
        waiting = [entry for entry in server.queue() if any(f["state"] == "queued" for f in entry["recipients"])]
    assert len(sink.messages) + len(waiting) >= len(ids)


def test_a_failed_sync_is_the_end_of_trust(tmp_path):
    """After one EIO every send is a 503 and nothing is delivered; a restart checks the file and goes on."""
    trace = tmp_path / "trace"
    inject = ["-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO:when=20"]
    strace = [program("strace"), "-D", "-f", "-qq", *inject, "-o", str(trace)]
    with running_sink() as sink:
        relay = ("--relay", f"smtp://127.0.0.1:{sink.port}")
        with running(tmp_path / "data", *relay, before=strace) as server:
            token = server.token()
            answers = [server.send(letter(f"canary-{number}-x"), token) for number in range(30)]
            codes = [answer.code for answer in answers]
            failed = codes.index(503)
            assert set(codes[:failed]) == {200}
            assert set(codes[failed:]) == {503}
            assert answers[failed].message == "The service is currently unavailable."
            ready = server.request("GET", "/readyz")
            assert (ready.code, "mend the disk and restart" in ready.json["why"]) == (503, True)
            assert server.request("GET", "/healthz").code == 200
            assert "storage failed" in server.log
        with running(tmp_path / "data", *relay) as server:
            assert server.send(letter("canary-99-x"), server.token()).code == 200
            server.drained()
        relayed = {re.search(rb"canary-\d+-x", one.content)[0].decode() for one in sink.messages}
    accepted = {f"canary-{number}-x" for number in range(failed)} | {"canary-99-x"}
    assert accepted <= relayed <= accepted | {f"canary-{failed}-x"}


def test_a_nearly_full_disk_stops_new_mail_and_not_delivery(tmp_path):
    """Below the floor of free octets a send is a 503 that says so in the log, and what waits is relayed."""
    with running_sink() as sink:
        relay = ("--relay", f"smtp://127.0.0.1:{sink.port}")
        with running(tmp_path, "--relay", "smtp://127.0.0.1:9") as server:
            assert server.send(letter("canary-1-x"), server.token()).code == 200
        with running(tmp_path, *relay, "--free-floor", str(1 << 60)) as server:
            assert server.send(letter("canary-2-x"), server.token()).code == 503
            server.drained()
            assert "free some space" in server.log
    assert [b"canary-1-x" in one.content for one in sink.messages] == [True]
