"""The whole face over a real database: what is checked first, what is left behind, what is answered."""

import asyncio
import base64
import gzip
import json
from dataclasses import dataclass, field
from urllib.parse import unquote

import pytest
from sqlalchemy import func, select

from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.database.schema import content, content_chunk, message, message_label, queue_entry, recipient
from postroad.oauth import accounts, tokens
from postroad.oauth.scopes import SCOPES
from postroad.submission import Policy, Submission
from postroad.web import asgi
from postroad.web.asgi import Face
from postroad.web.methods import LIST

NOW = 1_790_000_000_000
HOUR = 3_600_000
TABLES = (content, content_chunk, message, message_label, queue_entry, recipient)
SEND = "/gmail/v1/users/me/messages/send"
BOBS = "/gmail/v1/users/bob@example.test/messages/send"
UPLOAD = "/upload/gmail/v1/users/me/messages/send?uploadType=media"
LETTER = b"From: alice@example.test\r\nTo: bob@example.org\r\nSubject: Hello\r\n\r\nHello.\r\n"
MAX_SIZE = 200_000


@dataclass
class Answer:
    """What was answered."""

    code: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def message(self):
        return self.json["error"]["message"]


@dataclass
class House:
    """A face, its database, and tokens by their short names."""

    database: Database
    face: Face
    tokens: dict[str, str] = field(default_factory=dict)
    woken: int = 0

    def ask(self, verb, target, body=b"", token="send", **headers) -> Answer:
        """One request; `token` is the name of a token or the token itself, or None."""
        path, _, query = target.partition("?")
        own = {b"content-length": b"%d" % len(body)} if body else {}
        if token is not None:
            own[b"authorization"] = b"Bearer " + self.tokens.get(token, token).encode()
        own |= {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": verb,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(b"host", b"x"), *own.items()],
        }
        events = [{"type": "http.request", "body": body, "more_body": False}]
        sent = []

        async def receive():
            return events.pop()

        async def send(event):
            sent.append(event)

        asyncio.run(self.face(scope, receive, send))
        assert (events == []) == bool(body)
        start, rest = sent
        return Answer(start["status"], dict(start["headers"]), rest["body"])

    def send(self, value, target=SEND, **more) -> Answer:
        return self.ask("POST", target, value if isinstance(value, bytes) else json.dumps(value).encode(), **more)

    def rows(self) -> list[int]:
        """How many rows each table of messages has."""
        return self.database.look(
            lambda connection: [
                connection.execute(select(func.count()).select_from(table)).scalar_one() for table in TABLES
            ]
        )


def house_in(folder) -> House:
    database = Database(folder, floor=0)
    policy = Policy("mx.example.test", "rewrite", "single", MAX_SIZE, 3)

    async def route(_reverse_path, _forward_paths):
        return lambda _: "relay.example"

    def wake():
        house.woken += 1

    submission = Submission(database, Identifiers(), policy, route, wake)
    house = House(database, Face(database, tokens.Tokens(database), submission, lambda: NOW))

    def people(connection):
        for name in ("alice", "bob"):
            owner = accounts.add(connection, f"{name}@example.test", administrator=False, now=NOW)
            for short, scope in (("send", "gmail.send"), ("readonly", "gmail.readonly")):
                own = "" if name == "alice" else "bob's "
                granted = frozenset({SCOPES[scope]})
                house.tokens[own + short] = tokens.issue(
                    connection, account_id=owner.account_id, scopes=granted, expires_at=NOW + HOUR, now=NOW
                )
            if name == "alice":
                house.tokens["expired"] = tokens.issue(
                    connection, account_id=owner.account_id, scopes=granted, expires_at=NOW, now=NOW
                )

    database.submit(people).result()
    return house


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """One house for the whole file: nothing that is refused may leave a trace in it."""
    made = house_in(tmp_path_factory.mktemp("house"))
    yield made
    made.database.close()


@pytest.fixture
def own_house(tmp_path):
    """A house to break."""
    made = house_in(tmp_path)
    yield made
    made.database.close()


def raw(octets: bytes) -> dict[str, str]:
    return {"raw": base64.urlsafe_b64encode(octets).decode()}


def without_to() -> dict[str, str]:
    return raw(LETTER.replace(b"To: bob@example.org\r\n", b""))


INVALID_TOKEN = "Request had invalid authentication credentials."
NO_TOKEN = "Request is missing required authentication credential."
SMALL_SCOPE = "Request had insufficient authentication scopes."
NO_RAW = "'raw' RFC822 payload message string or uploading message via /upload/* URL required"
NO_JSON = "Invalid JSON payload received. JSON is malformed: invalid character (byte 0)."
DELEGATION = "Delegation denied for alice@example.test"
BROKEN = b"raw=QQ"
XGAFV = "Invalid query parameters. Invalid value '9' for system query parameter : $.xgafv"
MEDIA = 'Unsupported alt type "media" for non byte stream request.'
NO_MASK = "Request contains an invalid argument."


def unbound(name: str) -> str:
    return (
        f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
        f"Field '{name}' could not be found in request message."
    )


REFUSED = {
    # Each request is wrong in everything that is checked later.
    "system parameter before credential": (f"{BOBS}?$.xgafv=9&foo=1", BROKEN, {"token": None}, 400, XGAFV),
    "too many parameters": (
        f"{BOBS}?{'&'.join(['foo=1'] * 101)}",
        BROKEN,
        {"token": None},
        400,
        "Invalid query parameters. There are more than 100 of them.",
    ),
    "no callback on POST": (f"{BOBS}?callback=a-b", BROKEN, {"token": None}, 401, NO_TOKEN),
    "credential before format": (f"{BOBS}?alt=media&foo=1", BROKEN, {"token": None}, 401, NO_TOKEN),
    "scope before format": (f"{BOBS}?alt=media&foo=1", BROKEN, {"token": "readonly"}, 403, SMALL_SCOPE),
    "format before binding": (f"{BOBS}?alt=media&foo=1", BROKEN, {}, 400, MEDIA),
    "binding before mask": (f"{BOBS}?fields=foo&foo=1", BROKEN, {}, 400, unbound("foo")),
    "mask before JSON": (f"{BOBS}?fields=foo", BROKEN, {}, 400, NO_MASK),
    "mask of a header": (BOBS, BROKEN, {"x_goog_fieldmask": "foo"}, 400, NO_MASK),
    "an API key": (
        f"{BOBS}?key=AIza",
        BROKEN,
        {"token": None},
        401,
        "API keys are not supported by this API.",
    ),
    "credential before body": (SEND, BROKEN, {"token": None}, 401, NO_TOKEN),
    "another scheme": (SEND, BROKEN, {"token": None, "authorization": "Basic YTpi"}, 401, NO_TOKEN),
    "unknown token": (BOBS, BROKEN, {"token": "ya29.unknown"}, 401, INVALID_TOKEN),
    "expired token": (BOBS, BROKEN, {"token": "expired"}, 401, INVALID_TOKEN),
    "token in the query": (f"{SEND}?access_token=ya29.x", BROKEN, {"token": None}, 401, NO_TOKEN),
    "scope before body": (BOBS, BROKEN, {"token": "readonly"}, 403, SMALL_SCOPE),
    "scope before the size of the body": (BOBS, b"x" * 400_000, {"token": "readonly"}, 403, SMALL_SCOPE),
    "size before JSON": (
        BOBS,
        b"x" * 400_000,
        {},
        413,
        f"Request payload size exceeds the limit: {MAX_SIZE // 3 * 4 + 65_536} bytes.",
    ),
    "encoding before JSON": (
        BOBS,
        BROKEN,
        {"content_encoding": "br"},
        400,
        "Content-Encoding 'br' is not supported.",
    ),
    "JSON before delegation": (BOBS, BROKEN, {}, 400, NO_JSON),
    "binding before delegation": (
        BOBS,
        {"foo": 1},
        {},
        400,
        "Invalid JSON payload received. Unknown name \"foo\" at 'message': Cannot find field.",
    ),
    "delegation before message": (BOBS, {}, {}, 403, DELEGATION),
    "delegation before header": (BOBS, raw(b"junk"), {}, 403, DELEGATION),
    "a NUL after me": ("/gmail/v1/users/me%00/messages/send", raw(LETTER), {}, 403, DELEGATION),
    "an alias": ("/gmail/v1/users/alice+x@example.test/messages/send", raw(LETTER), {}, 403, DELEGATION),
    "nothing to send": (SEND, {}, {}, 400, NO_RAW),
    "an empty body": (SEND, b"", {}, 400, NO_RAW),
    "an empty raw": (SEND, {"raw": ""}, {}, 400, NO_RAW),
    "payload is no source": (
        SEND,
        {"payload": {"headers": [{"name": "To", "value": "a@b.example"}]}},
        {},
        400,
        NO_RAW,
    ),
    "nobody to send to": (SEND, without_to(), {}, 400, "Recipient address required"),
    "recipients before thread": (SEND, without_to() | {"threadId": "1"}, {}, 400, "Recipient address required"),
    "a bad To": (SEND, raw(LETTER.replace(b"bob@", b"@")), {}, 400, "Invalid To header"),
    "a bad From": (SEND, raw(LETTER.replace(b"alice@", b"@")), {}, 400, "Invalid From header"),
    "too many recipients": (
        SEND,
        raw(b"To: a@b.example, b@b.example, c@b.example, d@b.example\r\n\r\n"),
        {},
        400,
        "Too many recipients: 4 distinct addresses, the limit is 3",
    ),
    "a bare carriage return": (
        SEND,
        raw(LETTER.replace(b"Hello\r\n", b"Hello\rBcc: eve@example.org\r\n")),
        {},
        400,
        "Invalid message: it holds a carriage return without a line feed",
    ),
    "a thread that is none": (SEND, raw(LETTER) | {"threadId": "xyz"}, {}, 400, "Invalid thread_id value"),
    "a thread that is not there": (
        SEND,
        raw(LETTER) | {"threadId": "1f"},
        {},
        404,
        "Requested entity was not found.",
    ),
    "a message over the limit": (
        SEND,
        raw(LETTER + b"x" * MAX_SIZE),
        {},
        413,
        f"Request payload size exceeds the limit: {MAX_SIZE} bytes.",
    ),
    "an upload over the limit": (
        UPLOAD,
        b"x" * (MAX_SIZE + 1),
        {"content_type": "message/rfc822"},
        413,
        f"Request payload size exceeds the limit: {MAX_SIZE} bytes.",
    ),
    "an upload of another type": (
        UPLOAD,
        LETTER,
        {"content_type": "text/plain"},
        400,
        "Media type 'text/plain' is not supported. Valid media types: [message/rfc822]",
    ),
    "an upload of no type": (
        UPLOAD,
        LETTER,
        {},
        400,
        "Media type 'application/octet-stream' is not supported. Valid media types: [message/rfc822]",
    ),
    "an empty upload": (UPLOAD, b"", {"content_type": "message/rfc822"}, 400, NO_RAW),
    "an upload for Bob": (
        UPLOAD.replace("/me/", "/bob@example.test/"),
        LETTER,
        {"content_type": "message/rfc822"},
        403,
        DELEGATION,
    ),
}


@pytest.mark.parametrize(("target", "body", "more", "code", "text"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_the_first_in_order_and_leaves_nothing(house, target, body, more, code, text):
    """Of all that is wrong the first in the order of gmail-wire.md 6.3 is told, and no row is left behind."""
    before, woken = house.rows(), house.woken
    answer = house.send(body, target, **more)
    assert (answer.code, answer.message.partition(" Expected ")[0]) == (code, text)
    assert (house.rows(), house.woken) == (before, woken)


UNKNOWN = {
    "unknown path": ("POST", "/gmail/v1/users/me/messages/sent"),
    "wrong verb": ("PUT", SEND),
    "trailing slash": ("POST", SEND + "/"),
    "empty segment": ("POST", "/gmail/v1/users//messages/send"),
    "octets that are no text": ("POST", "/gmail/v1/users/%FF/messages/send"),
    "markup": ("GET", "/<script>"),
    "the root": ("GET", "/"),
}


@pytest.mark.parametrize(("verb", "path"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_address_is_told_before_anything_else(house, verb, path):
    """No route means the HTML page 404, whoever asks and whatever the body."""
    for token in (None, "ya29.unknown", "send"):
        answer = house.ask(verb, path, BROKEN, token)
        assert answer.code == 404
        assert answer.headers[b"content-type"] == b"text/html; charset=UTF-8"
        assert b"<title>Error 404 (Not Found)!!1</title>" in answer.body
        assert b"<script>" not in answer.body
        assert b"www-authenticate" not in answer.headers


def test_the_matrix_of_people_scopes_and_mailboxes(house):
    """Only one's own mailbox with a sending scope takes mail; all other cells refuse and leave no row."""
    for person, other in (("", "bob"), ("bob's ", "alice")):
        for scope in ("send", "readonly"):
            before = house.rows()
            answer = house.send(
                raw(LETTER), f"/gmail/v1/users/{other}@example.test/messages/send", token=person + scope
            )
            assert answer.code == 403
            assert house.rows() == before


@pytest.mark.parametrize("user", ["me", "alice@example.test", "Alice%40Example.Test", "%6de"])
def test_a_send_leaves_one_row_of_each(house, user):
    """A send answers with exactly id, threadId and labelIds once its rows are there, and wakes the queue."""
    before, woken = house.rows(), house.woken
    answer = house.send(raw(LETTER), f"/gmail/v1/users/{user}/messages/send")
    assert answer.code == 200
    assert list(answer.json) == ["id", "threadId", "labelIds"]
    assert answer.json["labelIds"] == ["SENT"]
    assert [now - then for now, then in zip(house.rows(), before, strict=True)] == [1] * len(TABLES)
    assert house.woken == woken + 1


@pytest.mark.parametrize("prefix", ["/upload", "/resumable/upload"])
@pytest.mark.parametrize("query", ["?uploadType=media", "?upload_protocol=raw", ""])
def test_an_upload_is_a_send(house, prefix, query):
    """A message uploaded to either address is sent as it is."""
    answer = house.ask("POST", prefix + SEND + query, LETTER, content_type="Message/RFC822; charset=UTF-8")
    assert answer.code == 200
    stored = house.ask("GET", f"/gmail/v1/users/me/messages/{answer.json['id']}?format=raw", token="readonly").json
    assert base64.urlsafe_b64decode(stored["raw"]).endswith(LETTER)


def test_a_thread_is_joined(house):
    """A threadId of the account's own puts the message into that thread."""
    first = house.send(raw(LETTER)).json
    second = house.send(raw(LETTER) | {"thread_id": first["threadId"].upper()}).json
    assert second["threadId"] == first["threadId"] != second["id"]


def test_a_thread_of_another_is_not_there(house):
    """Bob's thread is as unknown to Alice as one that never was."""
    bobs = house.send(raw(LETTER), token="bob's send").json
    answer = house.send(raw(LETTER) | {"threadId": bobs["threadId"]})
    assert (answer.code, answer.message) == (404, "Requested entity was not found.")


READS = {
    "an id that is none": ("/gmail/v1/users/me/messages/send?format=raw", 400, "Invalid id value"),
    "an id of 64 bits": ("/gmail/v1/users/me/messages/8000000000000000?format=raw", 400, "Invalid id value"),
    "an id that is unknown": ("/gmail/v1/users/me/messages/1?format=raw", 404, "Requested entity was not found."),
    "no format asked": ("/gmail/v1/users/me/messages/1", 404, "Requested entity was not found."),
    "a format that is none": (
        "/gmail/v1/users/me/messages/1?format=thin",
        400,
        "Invalid value at 'format' (TYPE_ENUM), \"thin\"",
    ),
    "no results": ("/gmail/v1/users/me/messages?maxResults=0", 400, "Invalid maxResults"),
    "results beyond 31 bits": ("/gmail/v1/users/me/messages?maxResults=2147483648", 400, "Invalid maxResults"),
    "results in words": (
        "/gmail/v1/users/me/messages?maxResults=ten",
        400,
        "Invalid value at 'max_results' (TYPE_UINT32), \"ten\"",
    ),
    "all that is wrong": (
        "/gmail/v1/users/me/messages?maxResults=ten&foo=1",
        400,
        "Invalid value at 'max_results' (TYPE_UINT32), \"ten\"\n" + unbound("foo"),
    ),
    "a search": (
        "/gmail/v1/users/me/messages?q=from:me",
        400,
        "A search (the parameter q) is not served by this version.",
    ),
    "another's list": ("/gmail/v1/users/bob@example.test/messages", 403, DELEGATION),
}


@pytest.mark.parametrize(("target", "code", "text"), READS.values(), ids=READS)
def test_a_read_is_refused_with_googles_words(house, target, code, text):
    """Reading refuses what they cannot answer."""
    answer = house.ask("GET", target, token="readonly")
    assert (answer.code, answer.message) == (code, text)


def test_a_list_has_pages(house):
    """Ids come newest first; nextPageToken leads on and is absent on the last page."""
    for _ in range(3):
        house.send(raw(LETTER), token="bob's send")
    target, seen = "/gmail/v1/users/me/messages?maxResults=2", []
    page = house.ask("GET", target, token="bob's readonly").json
    seen += page["messages"]
    while "nextPageToken" in page:
        page = house.ask("GET", f"{target}&pageToken={page['nextPageToken']}", token="bob's readonly").json
        seen += page["messages"]
    ids = [one["id"] for one in seen]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == len(ids) >= 3


def test_of_a_repeated_number_the_last_counts(house):
    """The last of two values is read, and each must be one."""
    target = "/gmail/v1/users/me/messages?maxResults="
    assert house.ask("GET", target + "0&maxResults=5", token="readonly").code == 200
    assert house.ask("GET", target + "5&maxResults=0", token="readonly").code == 400
    assert house.ask("GET", target + "x&maxResults=5", token="readonly").code == 400


def test_a_list_is_of_all_labels_asked_for(house):
    """Labels that stand more than once must all be there."""
    house.send(raw(LETTER))
    listed = "/gmail/v1/users/me/messages?labelIds=SENT"
    assert "messages" in house.ask("GET", listed, token="readonly").json
    assert "messages" not in house.ask("GET", f"{listed}&labelIds=INBOX", token="readonly").json


SHAPED = {
    "a mask": ("?fields=labelIds", {}, b'{\n  "labelIds": [\n    "SENT"\n  ]\n}\n'),
    "a mask with a dollar sign": ("?$fields=labelIds", {}, b'{\n  "labelIds": [\n    "SENT"\n  ]\n}\n'),
    "a mask in a header": ("", {"x_goog_fieldmask": "labelIds"}, b'{\n  "labelIds": [\n    "SENT"\n  ]\n}\n'),
    "a mask and no white space": ("?fields=labelIds&prettyPrint=false", {}, b'{"labelIds":["SENT"]}'),
    "what is not there": ("?fields=snippet", {}, b"{}\n"),
    "another Content-Type": ("?fields=snippet&$ct=application/json", {"content_type": "text/plain"}, b"{}\n"),
    "a callback on POST": ("?fields=snippet&callback=cb", {}, b"{}\n"),
    "a bare question mark": ("?&fields=snippet", {}, b"{}\n"),
    "parameters without effect": ("?fields=snippet&userIp=1&quotaUser=x&uploadType=multipart", {}, b"{}\n"),
}


@pytest.mark.parametrize(("query", "headers", "body"), SHAPED.values(), ids=SHAPED)
def test_the_answer_is_shaped_as_asked(house, query, headers, body):
    """Mask and prettyPrint shape what a send answers; the message is sent all the same."""
    before = house.rows()
    answer = house.send(raw(LETTER), SEND + query, **headers)
    assert (answer.code, answer.body) == (200, body)
    assert house.rows() != before


def test_errors_are_shaped_by_xgafv_alone(house):
    """$.xgafv=2 leaves the member `errors` out; neither mask nor prettyPrint touches an error."""
    plain = house.send({}, SEND)
    assert list(plain.json["error"]) == ["code", "message", "errors", "status"]
    assert house.send({}, f"{SEND}?$.xgafv=1").body == plain.body
    assert house.send({}, f"{SEND}?prettyPrint=false&fields=id").body == plain.body
    without = house.send({}, f"{SEND}?$.xgafv=2").json["error"]
    assert without == {name: value for name, value in plain.json["error"].items() if name != "errors"}


LISTED = "/gmail/v1/users/me/messages"
WRAPPED = {
    "an answer": (f"{LISTED}?callback=cb&fields=nextPageToken", "readonly", b"// API callback\ncb({}\n);"),
    "without white space": (
        f"{LISTED}?callback=cb&fields=nextPageToken&prettyPrint=false",
        "readonly",
        b"// API callback\ncb({});",
    ),
    "no credential": (f"{LISTED}?callback=cb", None, b'// API callback\ncb({\n  "error": {\n    "code": 401,'),
    "a name that is none": (
        f"{LISTED}?callback=a-b",
        None,
        b'// API callback\na-b({\n  "error": {\n    "code": 400,',
    ),
    "xgafv before the name": (
        f"{LISTED}?callback=a-b&$.xgafv=9",
        None,
        b'// API callback\na-b({\n  "error": {\n    "code": 400,\n    "message": "Invalid query parameters. Inv',
    ),
}


@pytest.mark.parametrize(("target", "token", "beginning"), WRAPPED.values(), ids=WRAPPED)
def test_a_script_is_always_200(house, target, token, beginning):
    """On GET a callback wraps answers and errors alike; the code stands inside alone."""
    answer = house.ask("GET", target, token=token)
    assert (answer.code, answer.headers[b"content-type"]) == (200, b"text/javascript; charset=UTF-8")
    assert answer.body.startswith(beginning)
    assert answer.body.endswith(b");")


FORM = "application/x-www-form-urlencoded"


def test_a_get_may_come_as_a_post(house):
    """POST with X-HTTP-Method-Override is the GET it carries, and its form the query."""
    over = {"x_http_method_override": "GET", "content_type": FORM, "token": "readonly"}
    answer = house.ask("POST", LISTED, b"fields=nextPageToken&prettyPrint=false", **over)
    assert (answer.code, answer.body) == (200, b"{}")
    refused = house.ask("POST", LISTED, b"maxResults=0&callback=cb", **over)
    assert (refused.code, b"Invalid maxResults" in refused.body) == (200, True)
    assert house.ask("POST", SEND, x_http_method_override="PUT").code == 404
    assert house.ask("POST", LISTED, b"a" * 70_000, **over).code == 413


def test_a_token_in_the_query_counts_where_that_is_set(house, monkeypatch):
    """With token_in_query a send needs no header; without it the same request is a 401."""
    target = f"{SEND}?access_token={house.tokens['send']}"
    assert house.send(raw(LETTER), target, token=None).code == 401
    monkeypatch.setattr(house.face, "token_in_query", True)
    assert house.send(raw(LETTER), target, token=None).code == 200
    assert house.send(raw(LETTER), target.replace("access_", "oauth_"), token=None).code == 200
    assert house.send(raw(LETTER), target, token="ya29.unknown").code == 401


def test_pages_read_the_api_and_not_what_is_for_operators(house):
    """An origin is named on answers of the API, errors and unknown addresses too, and on no probe."""
    named = b"access-control-allow-origin"
    page = {"origin": "https://app.example"}
    assert house.send(raw(LETTER), **page).headers[named] == b"https://app.example"
    assert house.send({}, token=None, **page).headers[named] == b"https://app.example"
    assert house.ask("GET", "/nowhere", **page).headers[named] == b"https://app.example"
    for target in ("/healthz", "/readyz"):
        assert named not in house.ask("GET", target, **page).headers
    asked = page | {"access_control_request_method": "POST"}
    assert house.ask("OPTIONS", SEND, token=None, **asked).code == 200
    assert house.ask("OPTIONS", SEND, token=None).code == 404


def test_a_long_answer_is_compressed(house):
    """Who takes gzip and says so twice gets a long answer in gzip, the same inside."""
    for _ in range(20):
        house.send(raw(LETTER))
    plain = house.ask("GET", LISTED, token="readonly")
    packed = house.ask("GET", LISTED, token="readonly", accept_encoding="gzip", user_agent="x (gzip)")
    assert packed.headers[b"content-encoding"] == b"gzip"
    assert gzip.decompress(packed.body) == plain.body


def test_a_bug_is_told_to_the_operator_alone(house, monkeypatch, capsys):
    """What breaks is a 500 with nothing of the cause, and the log has the cause."""

    async def breaks(_call):
        raise RuntimeError("the cause")

    monkeypatch.setitem(asgi.ANSWERS, LIST, breaks)
    answer = house.ask("GET", "/gmail/v1/users/me/messages", token="readonly")
    assert (answer.code, answer.message) == (500, "Internal error encountered.")
    assert b"the cause" not in answer.body
    assert "the cause" in capsys.readouterr().out


def test_no_token_reaches_the_log(house, capsys):
    """Neither a good token nor a bad one is ever logged, in the header or in the query."""
    house.send(raw(LETTER))
    house.send(BROKEN)
    house.send({}, token="ya29.canary")
    house.send({}, f"{SEND}?access_token=ya29.canary", token=None)
    log = capsys.readouterr().out
    assert "refused" in log
    assert "canary" not in log
    assert house.tokens["send"] not in log


def test_probes_need_no_credential(house):
    """/healthz and /readyz answer anyone."""
    assert (house.ask("GET", "/healthz", token=None).code, house.ask("GET", "/readyz", token=None).code) == (
        200,
        200,
    )


def unavailable(house) -> Answer:
    """A send is refused as unavailable, and leaves nothing; also in the queue nothing has changed."""
    before = house.rows()
    answer = house.send(raw(LETTER))
    assert (answer.code, answer.message) == (503, "The service is currently unavailable.")
    assert house.rows() == before
    probe = house.ask("GET", "/readyz", token=None)
    assert probe.code == 503
    assert house.ask("GET", "/healthz", token=None).code == 200
    return probe


def test_below_the_floor_new_mail_waits_outside_and_delivery_goes_on(house, monkeypatch):
    """Without room new mail gets 503, readyz says why, and what delivery writes is still written."""
    monkeypatch.setattr(house.database.health, "floor", 1 << 62)
    assert "the floor is" in unavailable(house).json["why"]
    assert house.ask("GET", "/gmail/v1/users/me/messages", token="readonly").code == 200
    assert house.database.submit(lambda _: "written").result() == "written"
    monkeypatch.undo()
    assert house.ask("GET", "/readyz", token=None).code == 200


def test_latched_storage_takes_nothing(own_house):
    """After an input/output error new mail gets 503 until a restart, and what is queued stays."""
    own_house.send(raw(LETTER))
    own_house.database.health.latch("disk I/O error")
    assert "disk I/O error" in unavailable(own_house).json["why"]


def test_a_server_that_stops_takes_nothing(house, monkeypatch):
    """While stopping every method gets 503, whatever else is wrong; unknown addresses stay unknown."""
    monkeypatch.setattr(house.face, "draining", True)
    assert unavailable(house).json == {"status": "not ready", "why": "the server is stopping"}
    assert house.send(BROKEN, token=None).code == 503
    assert house.ask("GET", "/nowhere", token=None).code == 404
