"""Uploads through the whole face, over a real database: every protocol, and resumable ones against a model."""

import asyncio
import gzip
import json
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from postroad import uploads
from postroad.database import content as contents
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers, number_of
from postroad.database.schema import message
from postroad.mail.copies import with_insertions
from postroad.mailbox import messages
from postroad.oauth import accounts, clients, consents, tokens
from postroad.oauth.scopes import SCOPES
from postroad.oauth.tokens import Source
from postroad.refusals import Refusal
from postroad.submission import Policy, Submission, prepare
from postroad.uploads import WEEK, Owner
from postroad.web.asgi import Face

NOW = 1_790_000_000_000
UPLOAD = "/upload/gmail/v1/users/me/messages/send"
HEAD = b"To: bob@example.org\nSubject: parts\n\n"
POLICY = Policy("mx.example.test", "rewrite", "single", 4_000_000, 3)
LARGE = HEAD + b"A line of the body, neither long nor short.\n" * 40_000
RELATED = 'multipart/related; boundary="==b=="'


@dataclass
class Answer:
    """What was answered."""

    code: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def message(self):
        return self.json["error"]["message"]


@dataclass
class House:
    """A face over a database, which may be opened anew."""

    folder: object
    tokens: dict[str, str] = field(default_factory=dict)
    now: int = NOW

    def open(self):
        """Open it a millisecond later than before: another process takes other numbers."""
        self.now += 1
        self.database = Database(self.folder, floor=0)
        submission = Submission(self.database, Identifiers(), POLICY, route, lambda: None)
        self.face = Face(self.database, tokens.Tokens(self.database), submission, lambda: self.now)

    def close(self):
        self.database.close()

    async def request(self, verb, target, octets=(), token="alice", **headers):
        """One request whose body comes in these pieces; `token` is whose, or None."""
        path, _, query = target.partition("?")
        own = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        if token:
            own[b"authorization"] = b"Bearer " + self.tokens[token].encode()
        octets = [octets] if isinstance(octets, bytes) else list(octets)
        own.setdefault(b"content-length", b"%d" % sum(map(len, octets)))
        scope = {"type": "http", "http_version": "1.1", "method": verb, "headers": [(b"host", b"x"), *own.items()]}
        scope |= {"path": unquote(path), "raw_path": path.encode(), "query_string": query.encode()}
        events = [{"type": "http.request", "body": one, "more_body": True} for one in octets]
        events.append({"type": "http.request", "body": b"", "more_body": False})
        sent = []

        async def receive():
            await asyncio.sleep(0)
            return events.pop(0)

        async def send(event):
            sent.append(event)

        await self.face(scope, receive, send)
        named = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], named, sent[1]["body"])

    def ask(self, *words, **more) -> Answer:
        return asyncio.run(self.request(*words, **more))

    def stored(self, gmail_id, account="alice") -> bytes:
        """The author's copy."""

        def read(connection):
            owner = accounts.named(connection, f"{account}@example.test")
            one = messages.find(connection, owner.account_id, number_of(gmail_id))
            return with_insertions(contents.whole(connection, one.content_id), one.insertions)

        return self.database.look(read)

    def begin(self, query="?uploadType=resumable", **more) -> str:
        """A resumable upload; its address."""
        answer = self.ask("POST", UPLOAD + query, **more)
        assert (answer.code, answer.body) == (200, b"")
        return answer.headers["location"].removeprefix("http://here.test")

    def sent(self) -> int:
        """How many messages there are."""
        return len(self.database.look(lambda connection: connection.execute(message.select()).all()))


async def route(_reverse_path, _forward_paths):
    return lambda _: "relay.example"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    made = House(tmp_path_factory.mktemp("house"))
    made.open()

    def people(connection):
        for name in ("alice", "bob", "carol"):
            owner = accounts.add(connection, f"{name}@example.test", administrator=False, now=NOW)
            granted = frozenset({SCOPES["gmail.send"]})
            made.tokens[name] = tokens.issue(
                connection, account_id=owner.account_id, scopes=granted, expires_at=NOW + WEEK, now=NOW
            )
        accounts.disable(connection, "carol@example.test", NOW)

    made.database.submit(people).result()
    with closing(made):
        yield made


def crlf(octets):
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def related(media, metadata=b"{}", kind=b"message/rfc822"):
    heads = b"--==b==\nContent-Type: application/json\n\n%b\n--==b==\nContent-Type: %b\n\n" % (metadata, kind)
    return heads + media + b"\n--==b==--"


def cut(octets, size):
    return [octets[at : at + size] for at in range(0, len(octets), size)]


WAYS = {
    "media": ("?uploadType=media", {"content_type": "message/rfc822"}, bytes),
    "no type of upload": ("", {"content_type": "message/rfc822"}, bytes),
    "multipart": ("?uploadType=multipart", {"content_type": RELATED}, related),
    "no type of upload, multipart": ("", {"content_type": RELATED}, related),
    "gzip": ("?uploadType=multipart", {"content_type": RELATED, "content_encoding": "gzip"}, None),
    "raw": ("", {"content_type": "message/rfc822", "x_goog_upload_protocol": "raw"}, bytes),
}


@pytest.mark.parametrize("content", [HEAD + b"small\n", LARGE], ids=["small", "large"])
@pytest.mark.parametrize(("query", "headers", "framed"), WAYS.values(), ids=WAYS)
def test_every_way_in(house, query, headers, framed, content):
    """In one request, however framed and cut, the message that is stored is the one that was sent."""
    body = framed(content) if framed else gzip.compress(related(content), 1)
    for size in (100_000, len(body)):
        answer = house.ask("POST", UPLOAD + query, cut(body, size), **headers)
        assert (answer.code, list(answer.json)) == (200, ["id", "threadId", "labelIds"])
        assert house.stored(answer.json["id"]).endswith(crlf(content))


def test_metadata_names_the_thread(house):
    """The first part's threadId puts a small message and a large one into that thread; a raw there is nothing."""
    thread = house.ask("POST", UPLOAD, HEAD, content_type="message/rfc822").json["id"]
    for content in (HEAD, LARGE):
        metadata = json.dumps({"threadId": thread, "raw": "VG86IHg="}).encode()
        answer = house.ask("POST", UPLOAD, related(content, metadata), content_type=RELATED)
        assert answer.json["threadId"] == thread
        assert house.stored(answer.json["id"]).endswith(crlf(content))


MEDIA = {"content_type": "message/rfc822"}
TOO_LARGE = "Request payload size exceeds the limit: 4000000 bytes."
NO_MEDIA = "'raw' RFC822 payload message string or uploading message via /upload/* URL required"
REFUSED = {
    "no media": (b"", MEDIA, 400, NO_MEDIA),
    "no media in the part": (related(b""), {"content_type": RELATED}, 400, NO_MEDIA),
    "another type": (HEAD, {"content_type": "text/plain"}, 400, "Media type 'text/plain' is not supported."),
    "another type of part": (
        related(HEAD, kind=b"text/plain"),
        {"content_type": RELATED},
        400,
        "Media type 'text/plain' is not supported.",
    ),
    "another type of a large part": (
        related(LARGE, kind=b"text/plain"),
        {"content_type": RELATED},
        400,
        "Media type 'text/plain' is not supported.",
    ),
    "one octet too many": (HEAD.ljust(4_000_001, b"x"), MEDIA, 413, TOO_LARGE),
    "one octet too many in a part": (
        related(HEAD.ljust(4_000_001, b"x")),
        {"content_type": RELATED},
        413,
        TOO_LARGE,
    ),
    "large, without a recipient": (LARGE.replace(b"To", b"Up", 1), MEDIA, 400, "Recipient address required"),
    "large, with a NUL at its end": (LARGE + b"\0", MEDIA, 400, "Invalid message: it holds a NUL octet"),
    "large, cut short": (
        related(LARGE)[:-9],
        {"content_type": RELATED},
        400,
        "Missing end boundary in multipart body.",
    ),
    "a thread that is not there": (
        related(LARGE, b'{"threadId": "1"}'),
        {"content_type": RELATED},
        404,
        "Requested",
    ),
    "a thread that is none": (
        related(LARGE, b'{"threadId": "x"}'),
        {"content_type": RELATED},
        400,
        "Invalid thread_id",
    ),
    "an unknown protocol": (
        HEAD,
        MEDIA | {"x_goog_upload_protocol": "carrier pigeon"},
        400,
        "Invalid upload protocol.",
    ),
}


@pytest.mark.parametrize(("body", "headers", "code", "text"), REFUSED.values(), ids=REFUSED)
def test_refused(house, body, headers, code, text):
    """With Google's words, and no message is left; what was stored of a large one is loose at once."""
    before = house.sent(), rows_left(house)
    answer = house.ask("POST", UPLOAD, cut(body, 100_000), **headers)
    assert (answer.code, answer.message[: len(text)]) == (code, text)
    assert (house.sent(), rows_left(house)) == before


def rows_left(house):
    """Chunks that belong to no message, once what is loose is removed."""

    def tidy(connection):
        while uploads.loose.remove(connection, limit=250)[1]:
            pass
        referred = {row.content_id for row in connection.execute(message.select())}
        chunks = connection.execute(contents.content_chunk.select()).all()
        return len([row for row in chunks if row.content_id not in referred])

    return house.database.submit(tidy).result()


def test_who_may_go_on(house):
    """The address alone suffices; a credential that comes along must be the author's."""
    address = house.begin()
    chunk = {"content_range": f"bytes 0-9/{len(HEAD)}"}
    assert house.ask("PUT", address, HEAD[:10], token="bob", **chunk).code == 404
    assert (
        house.ask("PUT", address.replace("upload_id=", "upload_id=x"), HEAD[:10], token=None, **chunk).code == 404
    )
    house.tokens["forged"] = "ya29.forged"
    assert house.ask("PUT", address, HEAD[:10], token="forged", **chunk).code == 401
    assert house.ask("PUT", address.replace("/me/", "/bob@example.test/"), HEAD[:10], **chunk).code == 403
    assert "range" not in house.ask("PUT", address, content_range="bytes */*").headers
    assert house.ask("PUT", address, HEAD[:10], token=None, **chunk).headers["range"] == "bytes=0-9"
    last = {"content_range": f"bytes 10-{len(HEAD) - 1}/{len(HEAD)}"}
    assert house.ask("PUT", address, HEAD[10:], **last).code == 200


def test_a_disabled_author_goes_no_further(house):
    """Whoever holds the address of an upload of an account that was disabled since is refused."""
    owner = house.database.look(lambda connection: accounts.named(connection, "carol@example.test"))
    submission = house.face.submission
    upload_id, _ = asyncio.run(submission.uploads.begin(Owner(owner.account_id), now=NOW))
    answer = house.ask("PUT", f"{UPLOAD}?upload_id={upload_id}", HEAD, token=None)
    assert answer.code == 401


def test_nothing_is_put_without_a_beginning(house):
    """PUT and DELETE are for uploads that have begun."""
    for verb in ("PUT", "DELETE"):
        assert house.ask(verb, UPLOAD, HEAD, **MEDIA).code == 404


STARTS = {
    "another type": ({"x_upload_content_type": "text/plain"}, b"", 400),
    "no number": ({"x_upload_content_length": "many"}, b"", 400),
    "too large": ({"x_upload_content_length": "4000001"}, b"", 413),
    "metadata that is none": ({}, b"{", 400),
    "null": ({}, b"null", 200),
    "empty, labelled as a form": ({"content_type": "application/x-www-form-urlencoded"}, b"", 200),
    "as large as can be": (
        {"x_upload_content_length": "4000000", "x_upload_content_type": "message/rfc822"},
        b"{}",
        200,
    ),
}


@pytest.mark.parametrize(("headers", "body", "code"), STARTS.values(), ids=STARTS)
def test_starts(house, headers, body, code):
    """What cannot become a message is refused before it comes."""
    assert house.ask("POST", UPLOAD + "?uploadType=resumable", body, **headers).code == code


def test_the_newer_dialect(house):
    """As Ruby speaks it: start, upload in pieces, query, finalize; the last answer says that it is final."""
    start = {"x_goog_upload_protocol": "resumable", "x_goog_upload_command": "start"}
    address = house.begin("", **start)

    def command(words, octets=b"", **more):
        return house.ask("POST", address, octets, token=None, x_goog_upload_command=words, **more)

    assert command("upload", LARGE[:500_000], x_goog_upload_offset="0").headers["x-goog-upload-status"] == "active"
    assert command("query").headers["x-goog-upload-size-received"] == "500000"
    ahead = command("upload", LARGE[500_001:], x_goog_upload_offset="500001")
    assert (ahead.code, ahead.headers["x-goog-upload-size-received"]) == (200, "500000")
    last = command("upload, finalize", LARGE[400_000:], x_goog_upload_offset="400000")
    assert (last.code, last.headers["x-goog-upload-status"]) == (200, "final")
    assert house.stored(last.json["id"]).endswith(crlf(LARGE))
    assert command("finalize").json == command("query").json == last.json
    other = house.begin("", **start)
    cancelled = house.ask("POST", other, x_goog_upload_command="cancel")
    assert (cancelled.code, cancelled.headers["x-goog-upload-status"]) == (200, "cancelled")


def test_what_shapes_the_answer_goes_along(house):
    """`fields` of the start is that of the last answer."""
    address = house.begin("?uploadType=resumable&fields=id&prettyPrint=false")
    answer = house.ask("PUT", address, HEAD)
    assert answer.body == b'{"id":"%b"}' % answer.json["id"].encode()


def programs(house) -> None:
    """Alice's tokens of two programs, by the names of those."""

    def unit(connection):
        alice = accounts.named(connection, "alice@example.test")
        for name in ("one", "other"):
            client, _ = clients.add(connection, name, "installed", (), public=True, now=NOW)
            given = consents.allow(connection, alice.account_id, client.client_id, [SCOPES["gmail.send"]], NOW)
            house.tokens[name] = tokens.issue(
                connection,
                account_id=alice.account_id,
                scopes=given.scopes,
                expires_at=NOW + WEEK,
                now=NOW,
                source=Source(consent_id=given.consent_id),
            )

    house.database.submit(unit).result()


@pytest.mark.parametrize(
    ("began", "codes"),
    [
        ("one", {"one": 308, "other": 404, "alice": 308, "bob": 404, None: 308}),
        ("alice", {"one": 308, "other": 308, "alice": 308, "bob": 404, None: 308}),
    ],
)
def test_an_upload_is_the_programs_that_began_it(house, began, codes):
    """Another program of the same account finds nothing there; which program it is may not be known of a token."""
    programs(house)
    address = house.begin(token=began)
    found = {who: house.ask("PUT", address, token=who, content_range="bytes */*").code for who in codes}
    assert found == codes
    final = house.ask("PUT", address, HEAD, token=began, content_range=f"bytes 0-{len(HEAD) - 1}/{len(HEAD)}")
    assert final.code == 200
    after = {who: house.ask("PUT", address, token=who, content_range="bytes */*").code for who in codes}
    assert after == {who: 200 if code == 308 else 404 for who, code in codes.items()}


def test_a_week(house, monkeypatch):
    """An upload is known for a week, and then as little as one that never was."""
    address = house.begin()
    for later, code in ((WEEK - 1, 308), (WEEK, 404)):
        monkeypatch.setattr(house.face, "clock", lambda moment=house.now + later: moment)
        assert house.ask("PUT", address, token=None, content_range="bytes */*").code == code


def test_ranges_count_what_was_compressed(house):
    """A chunk may come as gzip: its range counts the octets within (gmail-wire.md 14.2)."""
    address = house.begin()
    chunks = ((0, 500_000), (500_000, len(LARGE)))
    for start, end in chunks:
        named = {"content_encoding": "gzip", "content_range": f"bytes {start}-{end - 1}/{len(LARGE)}"}
        answer = house.ask("PUT", address, gzip.compress(LARGE[start:end], 1), **named)
    assert house.stored(answer.json["id"]).endswith(crlf(LARGE))


def test_a_body_that_ends_too_early_is_gone_on_with(house):
    """What came of a chunk before the connection broke is kept, and not taken for all."""
    address = house.begin(x_upload_content_length=str(len(LARGE)))
    broken = house.ask(
        "PUT",
        address,
        cut(LARGE[:1_500_000], 300_000),
        content_length=str(len(LARGE)),
        content_range=f"bytes 0-{len(LARGE) - 1}/{len(LARGE)}",
    )
    assert broken.code == 400
    asked = house.ask("PUT", address, content_range=f"bytes */{len(LARGE)}")
    assert (asked.code, asked.headers["range"]) == (308, "bytes=0-1499999")
    rest = {"content_range": f"bytes 1500000-{len(LARGE) - 1}/{len(LARGE)}"}
    answer = house.ask("PUT", address, cut(LARGE[1_500_000:], 100_000), **rest)
    assert house.stored(answer.json["id"]).endswith(crlf(LARGE))


def accepted(submitted):
    """Whether these octets are a message that may be sent."""
    try:
        prepare("alice@example.test", submitted, POLICY, 1, NOW)
    except Refusal:
        return False
    return bool(submitted)


class Session(RuleBasedStateMachine):
    """One resumable upload beside a model of it: octets received, what was announced, what it became."""

    house: House
    content = HEAD + b"0123456789\r\nabcdefghij\r\n" * 4

    @initialize(announced=st.booleans())
    def start(self, announced):
        self.total = len(self.content) if announced else None
        named = {"x_upload_content_length": str(self.total)} if announced else {}
        self.address = self.house.begin(**named)
        self.received = 0
        self.state = "active"
        self.answer = None
        self.before = self.house.sent()

    def expect(self, answer):
        """The upload is told as the model has it."""
        if self.state == "cancelled":
            assert (answer.code, answer.body) == (499, b"")
        elif self.state == "final":
            self.answer = self.answer or answer.json
            assert (answer.code, answer.json) == (200, self.answer)
            assert answer.headers["x-goog-upload-status"] == "final"
        else:
            stored = {"range": f"bytes=0-{self.received - 1}"} if self.received else {}
            assert (answer.code, answer.headers.get("range")) == (308, stored.get("range"))
            assert "location" not in answer.headers

    def expect_end(self, answer):
        """All is there: the message is accepted, or refused and the upload as it was."""
        if accepted(self.content[: self.received]):
            self.state = "final"
            self.expect(answer)
        else:
            assert answer.code == 400

    def put(self, start, octets, total, **more):
        named = f"bytes {start}-{start + len(octets) - 1}/{'*' if total is None else total}"
        return self.house.request("PUT", self.address, octets, content_range=named, **more)

    def disagrees(self, total):
        return total is not None and (self.total not in (None, total) or total < self.received)

    starts = st.integers(0, len(content))
    sizes = st.integers(1, len(content))
    totals = st.sampled_from([None, len(content), len(content), len(content) - 5])

    @rule(start=starts, size=sizes, total=totals)
    def append(self, start, size, total):
        """Octets from anywhere: fresh ones are stored, known ones skipped, a gap is told."""
        octets = self.content[start : start + size]
        if not octets:
            return
        answer = asyncio.run(self.put(start, octets, total))
        end = start + len(octets)
        if total is not None and end > total:
            assert answer.code == 400  # whatever the upload is, this is no range
        elif self.state != "active":
            self.expect(answer)
        elif self.disagrees(total):
            assert (answer.code, answer.message) == (400, "The total size of the upload has changed.")
        elif start <= self.received and self.total is not None and end > self.total:
            assert (answer.code, answer.message) == (400, "More octets came than were announced.")
        else:
            self.appended(answer, start, end, total)

    def appended(self, answer, start, end, total):
        known = self.total if self.total is not None else total
        if start <= self.received < end:
            self.received, self.total = end, known
        if start <= self.received and self.received == known:
            self.expect_end(answer)
        else:
            self.expect(answer)

    @rule(size=sizes)
    def go_on(self, size):
        """The next chunk, as a client sends it."""
        self.append(self.received, size, len(self.content))

    @precondition(lambda self: self.state == "active")
    @rule(size=sizes, more=st.integers(1, 5))
    def too_few(self, size, more):
        """Fewer octets than the range says: whole batches of them are kept, and the request is refused."""
        start = self.received
        octets = self.content[start : self.total][:size]
        named = f"bytes {start}-{start + len(octets) + more - 1}/*"
        answer = self.house.ask("PUT", self.address, octets, content_range=named)
        self.received += len(octets) if len(octets) >= uploads.BATCH else 0
        assert answer.code == 400

    @precondition(lambda self: self.state == "active")
    @rule(size=sizes)
    def too_many(self, size):
        """More octets than the range says: none is stored."""
        octets = self.content[self.received :][:size] + b"more"
        named = f"bytes {self.received}-{self.received + len(octets) - 2}/*"
        answer = self.house.ask("PUT", self.address, octets, content_range=named)
        assert (answer.code, answer.message) == (400, "More octets came than were announced.")

    @precondition(lambda self: self.state == "active")
    @rule(size=sizes)
    def at_once(self, size):
        """The same chunk by several connections at once is stored once."""
        start, octets = self.received, self.content[self.received : self.total][:size]
        if not octets:
            return

        async def race():
            return await asyncio.gather(*(self.put(start, octets, None) for _ in range(4)))

        answers = asyncio.run(race())
        self.received += len(octets)
        if self.received == self.total and accepted(self.content):
            self.state = "final"
        self.query(None)
        told = self.house.ask("PUT", self.address, content_range="bytes */*")
        assert {answer.code for answer in answers} <= {308, told.code, 200 if told.code == 200 else 400}

    @rule(total=totals)
    def query(self, total):
        """A question is answered with what is there, and ends what is all there."""
        named = "*" if total is None else total
        answer = self.house.ask("PUT", self.address, content_range=f"bytes */{named}")
        known = self.total if self.total is not None else total
        if self.state != "active":
            self.expect(answer)
        elif self.disagrees(total):
            assert answer.code == 400
        elif self.received == known:
            self.expect_end(answer)
        else:
            self.expect(answer)

    @rule(start=starts, size=sizes)
    def stranger(self, start, size):
        """Another account's requests are answered as if there were no upload, and change nothing."""
        for verb in ("PUT", "POST", "DELETE"):
            assert self.house.ask(verb, self.address, self.content[start : start + size], token="bob").code == 404

    @precondition(lambda self: self.state == "active")
    @rule()
    def whole(self):
        """All of it without a range: what is there is skipped, and it ends."""
        answer = self.house.ask("PUT", self.address, self.content)
        if self.total not in (None, len(self.content)):
            assert answer.code == 400
            return
        self.received = len(self.content)
        self.expect_end(answer)

    @precondition(lambda self: self.state == "active" and self.received)
    @rule(size=st.integers(0, len(content)))
    def less(self, size):
        """A whole that is less than what is there is not taken for the end."""
        answer = self.house.ask("PUT", self.address, self.content[: self.received][:-1][:size])
        assert answer.code == 400

    @rule()
    def cancel(self):
        """It ends for good, unless it has become a message."""
        answer = self.house.ask("DELETE", self.address)
        self.state = "cancelled" if self.state == "active" else self.state
        self.expect(answer)

    @rule()
    def restart(self):
        """A server that is started anew knows as much."""
        self.house.close()
        self.house.open()

    def teardown(self):
        if not hasattr(self, "state"):
            return
        self.query(None)
        assert self.house.sent() == self.before + (self.state == "final")
        if self.state == "final":
            stored = self.house.stored(self.answer["id"])
            assert stored.endswith(crlf(self.content[: self.received]))


def test_resumable_uploads_are_as_their_model(house, monkeypatch):
    """Overlaps, gaps, wrong totals, races, strangers, restarts: never a message twice, never other octets."""
    monkeypatch.setattr(uploads, "CHUNK", 16)
    monkeypatch.setattr(uploads, "BATCH", 40)
    monkeypatch.setattr(uploads, "OPEN_PER_ACCOUNT", 1_000_000)
    Session.house = house
    quick = settings(max_examples=25, stateful_step_count=15, deadline=None)
    run_state_machine_as_test(Session, settings=settings(quick, suppress_health_check=list(HealthCheck)))
