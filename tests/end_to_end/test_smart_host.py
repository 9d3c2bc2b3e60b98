"""What becomes of mail at each stage and each reply of a smart host, through the whole server.

The table is hardening.md 3.1 for one host: each row is tried with one recipient and three, with and without
PIPELINING, and judged after the first attempt by the database, the author's reports and the sink.
"""

import json
import re
import socket
import sqlite3
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import count, product

import pytest

from tests.postfix import free_port
from tests.running import Server, running
from tests.smtp_sink import ALWAYS, EXTENSIONS, Action, Drop, Reset, Sink, assert_wire_invariants, running_sink
from tests.torture.judge import make_due, open_gates, read

REPLIES = {"4yz": "451 4.7.1 later", "5yz": "550 5.7.1 never", "421": "421 4.3.2 closing down"}
LOSSES = {"drop": Drop(), "reset": Reset()}
ACTIONS: dict[str, Action] = REPLIES | LOSSES

# Fates: what happened to a recipient, and the code of the reply it was given.
RELAYED, FAILED, LATER, CLOSING = ("relayed", 250), ("failed", 550), ("queued", 451), ("queued", 421)
# The usual meaning of each action, at every stage that has no other.
USUAL = {"4yz": LATER, "5yz": FAILED, "421": CLOSING, "drop": LATER, "reset": LATER}
PLAINTEXT = dict.fromkeys(USUAL, RELAYED)  # no TLS is not a reason to keep mail: nobody demanded it

# Servers are replaced before the first retry (after a minute) can disturb a later row.
SERVER_SECONDS = 40.0
# So much content, through so small a window, that no client is done before the smart host has said something.
BIG, WINDOW = 1_500_000, 16_384


@dataclass(frozen=True)
class Row:
    """A line of the table: what the smart host does, and the fate of the recipients it strikes.

    `strikes` is "all", "first" or "last"; the others are relayed. `copies` is how many the sink took for each
    of the struck that was not relayed.
    """

    name: str
    script: dict[tuple[str, int | str], Action]
    fate: tuple[str, int]
    strikes: str = "all"
    in_doubt: bool = False
    copies: int = 0
    extensions: tuple[str, ...] = ()  # beside the usual ones; one said twice counts as it was said last
    size: int = 0
    only_pipelining: bool = False


def rows() -> list[Row]:
    """The table."""
    found = [Row("2yz everywhere", {}, RELAYED)]
    for word, action in ACTIONS.items():
        fate, lost = USUAL[word], word in LOSSES
        found += [Row(f"{stage} {word}", {(stage, ALWAYS): action}, fate) for stage in ("CONNECT", "EHLO", "MAIL")]
        strikes = "all" if lost or word == "421" else "first"
        found += [
            Row(f"first RCPT {word}", {("RCPT", 1): action}, fate, strikes),
            Row(f"last RCPT {word}", {("RCPT", 3): action}, fate, strikes.replace("first", "last")),
            Row(f"DATA {word}", {("DATA", ALWAYS): action}, fate),
            Row(f"BODY {word}", {("BODY", ALWAYS): action}, fate, size=BIG),
            Row(f"DOT {word}", {("DOT", ALWAYS): action}, fate, in_doubt=lost),
            Row(f"RSET {word}", {("RCPT", ALWAYS): REPLIES["5yz"], ("RSET", ALWAYS): action}, FAILED),
            Row(f"STARTTLS {word}", {("STARTTLS", ALWAYS): action}, RELAYED, extensions=("STARTTLS",)),
        ]
    for word, action in LOSSES.items():
        after = {("DOT_AFTER_COMMIT", ALWAYS): action}
        found.append(Row(f"DOT after commit, {word}", after, LATER, in_doubt=True, copies=1))
        found.append(Row(f"HANDSHAKE {word}", {("HANDSHAKE", ALWAYS): action}, RELAYED, extensions=("STARTTLS",)))
    return found + singular_rows()


def singular_rows() -> list[Row]:
    """What the table has beside stage and class."""
    nobody = {("RCPT", ALWAYS): REPLIES["5yz"]}
    return [
        Row("EHLO 502, then HELO", {("EHLO", ALWAYS): "502 5.5.1 what?"}, RELAYED),
        Row("first RCPT 552, too many", {("RCPT", 1): "552 5.5.3 too many"}, ("queued", 452), "first"),
        Row("first RCPT 552, full", {("RCPT", 1): "552 5.2.2 mailbox full"}, ("failed", 552), "first"),
        Row("5yz without enhanced code", {("DOT", ALWAYS): "550 no"}, FAILED),
        Row("class of the basic code wins", {("DOT", ALWAYS): "451 5.7.1 odd"}, LATER),
        Row("a first digit nobody knows", {("MAIL", ALWAYS): "650 what"}, LATER),
        Row("3yz where none is due", {("RCPT", ALWAYS): "354 go ahead"}, LATER),
        Row("2yz to DATA", {("DATA", ALWAYS): "250 ok"}, LATER),
        Row("not SMTP at all", {("CONNECT", ALWAYS): "HTTP/1.1 400 Bad Request"}, LATER),
        Row(
            "nobody valid, DATA 503",
            nobody | {("DATA", ALWAYS): "503 5.5.1 RCPT first"},
            FAILED,
            only_pipelining=True,
        ),
        Row("nobody valid, DATA 354", nobody | {("DATA", ALWAYS): "354 go"}, FAILED, only_pipelining=True),
        Row("too big by SIZE", {}, ("failed", 552), extensions=("SIZE 500",), size=1000),
    ]


def cells():
    """Each row with one and three recipients, with and without PIPELINING, where that can be told apart."""
    for row, recipients, pipelining in product(rows(), (1, 3), (True, False)):
        alone = recipients == 1 and (row.name.startswith("last") or "552, too many" in row.name)
        if not alone and (pipelining or not row.only_pipelining):
            kind = "pipelined" if pipelining else "in step"
            yield pytest.param(row, recipients, pipelining, id=f"{row.name}, to {recipients}, {kind}")


class Post:
    """A server and its smart host, replaced before it grows old."""

    def __init__(self, folder, sink: Sink) -> None:
        self._folder, self._numbers, self._stack = folder, count(1), ExitStack()
        self._deadline = 0.0
        self.sink = sink

    def server(self) -> tuple[Server, str]:
        if time.monotonic() > self._deadline:
            self.close()
            folder = self._folder / f"data-{next(self._numbers)}"
            relay = ("--relay", f"smtp://127.0.0.1:{self.sink.port}")
            self._server = self._stack.enter_context(running(folder, *relay))
            self._token = self._server.token()
            self._deadline = time.monotonic() + SERVER_SECONDS
        return self._server, self._token

    def close(self) -> None:
        self._stack.close()
        hang_up(self.sink)

    def number(self) -> int:
        return next(self._numbers)


@pytest.fixture(scope="module")
def post(tmp_path_factory):
    """A server and sink for all rows."""
    with running_sink() as sink:
        sink._server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
        post = Post(tmp_path_factory.mktemp("smart-host"), sink)
        yield post
        post.close()


def hang_up(sink: Sink) -> None:
    """Close all sessions from the sink's side and forget them: the next row begins with a fresh one."""
    for task in list(sink._tasks):
        task.get_loop().call_soon_threadsafe(task.cancel)
    deadline = time.monotonic() + 10
    while sink._tasks:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    sink.sessions.clear()
    sink.messages.clear()


def letter(paths: list[str], size: int = 0) -> bytes:
    body = b"0123456789abcdef\r\n.\r\n" * (size // 20 + 1)
    return f"To: {', '.join(paths)}\r\nSubject: x\r\n\r\n".encode() + body


def fates(server: Server, id_: str, seconds: float = 20) -> dict[str, tuple[str, int, bool]]:
    """State, reply code and doubt of each recipient, once the first attempt is over."""
    question = "SELECT forward_path, state, reply_code, in_doubt_at, attempts FROM recipient WHERE queue_id = ?"
    deadline = time.monotonic() + seconds
    with closing(read(server.data)) as connection:
        while time.monotonic() < deadline:
            found = connection.execute(question, (int(id_, 16),)).fetchall()
            if all(attempts for *_, attempts in found):
                return {path: (state, code, doubt is not None) for path, state, code, doubt, _ in found}
            time.sleep(0.003)
    raise AssertionError(f"not tried: {found}\n{server.log[-2000:]}")


def reported(server: Server) -> str:
    """The text of every report to an author."""
    question = "SELECT octets FROM content_chunk JOIN queue_entry USING (content_id) WHERE reverse_path IS NULL"
    with closing(sqlite3.connect(f"file:{server.data / 'postroad.sqlite3'}?mode=ro", uri=True)) as connection:
        return b"".join(octets for (octets,) in connection.execute(question)).decode()


def struck(row: Row, paths: list[str]) -> list[str]:
    return {"all": paths, "first": paths[:1], "last": paths[-1:]}[row.strikes]


@pytest.mark.parametrize(("row", "recipients", "pipelining"), list(cells()))
def test_each_stage_and_reply_has_its_fate(post, row, recipients, pipelining):
    """After the first attempt each recipient is relayed, waits or failed, as the table says, and nobody twice."""
    server, token = post.server()
    post.sink.script, number = row.script, post.number()
    post.sink._reached.clear()
    open_gates(server.data)  # closed by the row before
    post.sink.extensions = (*(one for one in EXTENSIONS if pipelining or one != "PIPELINING"), *row.extensions)
    paths = [f"to{n}-{number}@sink.example" for n in range(recipients)]
    answer = server.send(letter(paths, row.size), token)
    assert answer.code == 200
    found = fates(server, answer.json["id"])
    hit = struck(row, paths)
    doubt = row.in_doubt and row.fate[0] == "queued"
    expected = {path: (*row.fate, doubt) if path in hit else (*RELAYED, False) for path in paths}
    copies = {path: sum(path in one.forward_paths for one in post.sink.messages) for path in paths}
    for session in post.sink.sessions:
        assert_wire_invariants(session)
    text, reached = reported(server), post.sink._reached.copy()
    hang_up(post.sink)
    assert all(reached[stage] for stage, _ in row.script), f"the row was not put to the test: {reached}"
    assert found == expected
    assert copies == {path: row.copies if found[path][0] != "relayed" else 1 for path in paths}
    told = {path for path in paths if re.search(rf"^Final-Recipient: rfc822; ?{path}\r$", text, re.MULTILINE)}
    assert told == {path for path in paths if found[path][0] == "failed"}


def life(tmp_path, sink: Sink | None):
    """A server on the same data folder, with this smart host or none that answers."""
    return running(tmp_path / "data", "--relay", f"smtp://127.0.0.1:{sink.port if sink else 9}")


def test_greylisted_mail_arrives_by_the_same_envelope(tmp_path):
    """450 at the first try and 250 at the second: one copy, the same MAIL and RCPT both times."""
    with running_sink({("RCPT", 1): "450 4.2.0 greylisted, come back"}) as sink:
        with life(tmp_path, sink) as server:
            sent = server.send(letter(["bob@sink.example"]), server.token()).json["id"]
            assert fates(server, sent) == {"bob@sink.example": ("queued", 450, False)}
        make_due(tmp_path / "data")
        with life(tmp_path, sink) as server:
            server.drained()
        assert len(sink.messages) == 1
        first, second = (
            [line for line in session.commands if line[:4] in (b"MAIL", b"RCPT")] for session in sink.sessions
        )
        assert first == second
        for session in sink.sessions:
            assert_wire_invariants(session)


def test_a_smart_host_that_was_away_gets_the_mail_later(tmp_path):
    """Nobody listens: the mail waits with a 4.4.1; once somebody does, after a restart, it arrives once."""
    with running_sink() as sink:
        with life(tmp_path, None) as server:
            sent = server.send(letter(["bob@sink.example"]), server.token()).json["id"]
            assert fates(server, sent) == {"bob@sink.example": ("queued", 451, False)}
            (entry,) = server.queue()
            assert entry["recipients"][0]["reply"]["status"] == "4.4.1"
        make_due(tmp_path / "data")
        with life(tmp_path, sink) as server:
            server.drained()
        assert [one.forward_paths for one in sink.messages] == [("bob@sink.example",)]


def by_sender(tmp_path, usual: int, port: int):
    """A server on the same data folder, with another smart host for the mail from other.test."""
    flags = ("--relay", f"smtp://127.0.0.1:{usual}", "--relay-by-sender", f"other.test=smtp://127.0.0.1:{port}")
    return running(tmp_path / "data", *flags)


def gates(server: Server) -> dict[str, tuple[int, bool]]:
    """How many wait at each destination, and whether it could be reached."""
    shown = json.loads(server.command("queue", "destinations", "--json"))
    return {one["destination"]: (one["waiting"], not one["failures"]) for one in shown}


def test_a_senders_smart_host_that_is_away_holds_up_nobody_else(tmp_path):
    """Its mail waits behind a gate of its own, other senders' goes at once; when it is back, it has its mail."""
    port, greylisting = free_port(), {("RCPT", 1): "451 4.2.0 greylisted, come back"}
    with running_sink(greylisting) as usual, by_sender(tmp_path, usual.port, port) as server:
        server.command("account", "add", "carol@other.test")
        late = server.send(letter(["bob@sink.example"]), server.token("carol@other.test")).json["id"]
        assert fates(server, late) == {"bob@sink.example": ("queued", 451, False)}
        greylisted, relayed = (
            server.send(letter([path]), server.token()).json["id"]
            for path in ("bob@sink.example", "eve@sink.example")
        )
        assert fates(server, greylisted) == {"bob@sink.example": ("queued", 451, False)}
        assert fates(server, relayed) == {"eve@sink.example": (*RELAYED, False)}
        assert gates(server) == {f"127.0.0.1:{port}": (1, False), f"127.0.0.1:{usual.port}": (1, True)}
        with running_sink(address=("127.0.0.1", port)) as own:
            server.command("queue", "retry", late)
            server.settled(
                lambda fate: fate["state"] == "relayed" or fate["destination"].endswith(f":{usual.port}")
            )
    assert [one.reverse_path for one in own.messages] == ["carol@other.test"]
    assert [one.reverse_path for one in usual.messages] == ["alice@example.test"]


def test_waiting_mail_follows_a_new_smart_host_of_its_sender(tmp_path):
    """Named after a restart, it gets the mail that could not be had elsewhere at once, and nobody else's."""
    with running_sink() as own:
        with life(tmp_path, None) as server:
            server.command("account", "add", "carol@other.test")
            for address in ("alice@example.test", "carol@other.test"):
                sent = server.send(letter(["bob@sink.example"]), server.token(address)).json["id"]
                assert fates(server, sent) == {"bob@sink.example": ("queued", 451, False)}
        with by_sender(tmp_path, 9, own.port) as server:
            server.settled(lambda fate: fate["state"] == "relayed" or fate["destination"] == "127.0.0.1:9")
            assert gates(server) == {"127.0.0.1:9": (1, False)}
    assert [one.reverse_path for one in own.messages] == ["carol@other.test"]


@pytest.mark.parametrize(("stage", "copies"), [("DOT", 1), ("DOT_AFTER_COMMIT", 2)])
def test_what_is_in_doubt_is_tried_at_once_after_a_restart(tmp_path, stage, copies):
    """A reply lost at the final dot: the next life tries at once; a second copy is the first, octet by octet."""
    with running_sink({(stage, 1): Reset()}) as sink:
        with life(tmp_path, sink) as server:
            sent = server.send(letter(["bob@sink.example"]), server.token()).json["id"]
            assert fates(server, sent) == {"bob@sink.example": ("queued", 451, True)}
        with life(tmp_path, sink) as server:
            server.drained()
        assert len(sink.messages) == copies
        assert len({one.content for one in sink.messages}) == 1


@pytest.mark.parametrize("word", ACTIONS)
def test_whatever_answers_quit_the_mail_is_relayed_once(tmp_path, word):
    """A stop says QUIT; what the smart host makes of it delays neither the stop nor sends anything twice."""
    with running_sink({("QUIT", ALWAYS): ACTIONS[word]}) as sink:
        with life(tmp_path, sink) as server:
            server.send(letter(["bob@sink.example"]), server.token())
            server.drained()
            assert server.stop() == 0
        assert len(sink.messages) == 1
        assert sink.sessions[-1].verbs[-1] == "QUIT"
