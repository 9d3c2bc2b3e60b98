"""The front of a running server, by the octets: addresses, hosts, parameters, scripts, pages, compression."""

import base64
import gzip
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from tests.running import Server, running

SEND = "POST /gmail/v1/users/me/messages/send"
LIST = "GET /gmail/v1/users/me/messages"
LETTER = json.dumps(
    {"raw": base64.urlsafe_b64encode(b"To: bob@example.org\r\nSubject: Hello\r\n\r\nHello.\r\n").decode()}
)
PAGE = "https://app.example"
SENT = '{\n  "id": "'
JSON, SCRIPT, HTML = (f"{one}; charset=UTF-8" for one in ("application/json", "text/javascript", "text/html"))


@dataclass(frozen=True)
class Answer:
    """What came back, as it came."""

    code: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        return [value for own, value in self.headers if own == name]


@dataclass(frozen=True)
class Front:
    """A running server and a token that may do all that is asked here."""

    server: Server
    token: str

    def ask(self, line: str, body: str | bytes = b"", **headers: str) -> Answer:
        """One request on a connection of its own; `{token}` in it stands for the token."""
        octets = body.encode() if isinstance(body, str) else body
        fields = {"Host": "localhost", "Connection": "close"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        if octets:
            fields["Content-Length"] = str(len(octets))
        head = f"{line} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        address = urlsplit(self.server.url)
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(head.replace("{token}", self.token).encode() + b"\r\n" + octets)
            return _answer(b"".join(iter(lambda: connection.recv(65536), b"")))


def _answer(octets: bytes) -> Answer:
    head, _, body = octets.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = [(name.lower(), value.strip()) for name, _, value in (one.partition(":") for one in fields)]
    if ("transfer-encoding", "chunked") in headers:
        body = b"".join(_chunks(body))
    return Answer(int(line.split(" ")[1]), headers, body)


def _chunks(octets: bytes) -> Iterator[bytes]:
    size, _, octets = octets.partition(b"\r\n")
    while length := int(size, 16):
        yield octets[:length]
        size, _, octets = octets[length + 2 :].partition(b"\r\n")


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    """One sandbox for the whole file."""
    with running(tmp_path_factory.mktemp("front")) as server:
        yield Front(server, server.token("alice@example.test", "gmail.send", "gmail.readonly"))


@dataclass(frozen=True)
class Row:
    """A request and its answer: how the body begins, and how it ends."""

    line: str
    begins: str
    ends: str = "\n}\n"
    body: str = LETTER
    headers: dict[str, str] = field(default_factory=dict)
    code: int = 200
    media_type: str = JSON


def error(code: int, message: str) -> str:
    return f'{{\n  "error": {{\n    "code": {code},\n    "message": "{message}",\n'


BEARER = "Bearer {token}"
ANYONE = {"Authorization": ""}
NO_PAGE = {"begins": "<!DOCTYPE html>\n", "ends": "not found on this server.\n", "code": 404, "media_type": HTML}
NO_RAW = "'raw' RFC822 payload message string or uploading message via /upload/* URL required"
ROWS = {
    "a send": Row(SEND, SENT),
    "a bare question mark": Row(f"{SEND}?", SENT),
    "to Google's name": Row(SEND, SENT, headers={"Host": "gmail.googleapis.com"}),
    "to Google's old name": Row(SEND, SENT, headers={"Host": "www.googleapis.com"}),
    "to an unknown name": Row(SEND, SENT, headers={"Host": "mail.example.net:99"}),
    "an address as user": Row("POST /gmail/v1/users/alice%40example.test/messages/send", SENT),
    "Go's parameters": Row(f"{SEND}?alt=json&prettyPrint=false", '{"id":"', '"labelIds":["SENT"]}'),
    "a mask": Row(f"{SEND}?fields=labelIds", '{\n  "labelIds": [\n    "SENT"\n  ]\n}\n'),
    "an unknown parameter": Row(
        f"{SEND}?userid=bob",
        error(
            400,
            r"Invalid JSON payload received. Unknown name \"userid\": Cannot bind query parameter. "
            "Field 'userid' could not be found in request message.",
        ),
        code=400,
    ),
    "an unknown field": Row(f"{SEND}?fields=foo", error(400, "Request contains an invalid argument."), code=400),
    "errors of version two": Row(
        f"{SEND}?$.xgafv=2", error(400, NO_RAW) + '    "status": "INVALID_ARGUMENT"\n  }\n}\n', body="{}", code=400
    ),
    "a version of errors that is none": Row(
        f"{SEND}?$.xgafv=9",
        error(400, "Invalid query parameters. Invalid value '9' for system query parameter : $.xgafv"),
        headers=ANYONE,
        code=400,
    ),
    "a script": Row(
        f"{LIST}?callback=cb&fields=nextPageToken", "// API callback\ncb({}\n);", ");", "", media_type=SCRIPT
    ),
    "a script with an error": Row(
        f"{LIST}?callback=cb",
        '// API callback\ncb({\n  "error": {\n    "code": 401,\n',
        "\n}\n);",
        "",
        ANYONE,
        media_type=SCRIPT,
    ),
    "a GET in a POST": Row(
        "POST /gmail/v1/users/me/messages",
        "{}",
        "{}",
        "fields=nextPageToken&prettyPrint=false",
        {"X-HTTP-Method-Override": "GET", "Content-Type": "application/x-www-form-urlencoded"},
    ),
    "an unknown address": Row("GET /gmail/v1/users/me/nothing?$.xgafv=9&callback=cb", headers=ANYONE, **NO_PAGE),
    "another verb": Row("PATCH /gmail/v1/users/me/messages/send", **NO_PAGE),
    "a slash behind": Row(f"{SEND}/", **NO_PAGE),
    "a token in the query": Row(
        f"{SEND}?access_token={{token}}",
        '{\n  "error": {\n    "code": 401,\n    "message": "Request is missing required',
        headers=ANYONE,
        code=401,
    ),
    "a preflight": Row(
        "OPTIONS /gmail/v1/users/me/messages/send",
        "",
        "",
        "",
        ANYONE | {"Origin": PAGE, "Access-Control-Request-Method": "POST"},
        media_type="text/html",
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_request_and_its_answer(front, row):
    """Each request of the table has its answer to the octet, with the headers of Google's front end."""
    named = {"Authorization": BEARER} | row.headers
    answer = front.ask(row.line, row.body, **{name.replace("-", "_"): value for name, value in named.items()})
    text = answer.body.decode()
    assert (answer.code, answer.header("content-type")) == (row.code, [row.media_type])
    assert (text[: len(row.begins)], text.endswith(row.ends)) == (row.begins, True)
    assert answer.header("vary") == ["Origin", "X-Origin", "Referer"]
    assert answer.header("x-content-type-options") == ["nosniff"]


def test_a_page_reads_answers_of_the_api_alone(front):
    """A page of any origin may read what it was answered, not what is for operators."""
    answer = front.ask(SEND, "{}", Authorization=BEARER, Origin=PAGE)
    assert (answer.code, answer.header("access-control-allow-origin")) == (400, [PAGE])
    metrics = front.ask("GET /metrics", Origin=PAGE)
    assert (metrics.code, metrics.header("access-control-allow-origin")) == (200, [])


def test_a_long_answer_comes_in_gzip_to_who_says_so_twice(front):
    """Accept-Encoding and User-Agent together ask for gzip; one alone does not."""
    for _ in range(12):
        front.ask(SEND, LETTER, Authorization=BEARER)
    plain = front.ask(LIST, Authorization=BEARER, Accept_Encoding="gzip")
    packed = front.ask(LIST, Authorization=BEARER, Accept_Encoding="gzip", User_Agent="client (gzip)")
    assert (plain.header("content-encoding"), packed.header("content-encoding")) == ([], ["gzip"])
    assert gzip.decompress(packed.body) == plain.body


@pytest.mark.parametrize(
    ("host", "root"),
    [
        ("localhost:9000", "http://localhost:9000/"),
        ("gmail.googleapis.com", "https://gmail.googleapis.com/"),
        ("evil.example", None),
    ],
)
def test_addresses_in_answers_begin_with_a_known_name(front, host, root):
    """Discovery tells the client to stay where it came from, if that name is known, else where the server is."""
    document = json.loads(front.ask("GET /$discovery/rest?version=v1", Host=host).body)
    assert document["rootUrl"] == (root or f"{front.server.url}/")


def test_no_token_of_an_address_is_in_the_log(front):
    """The log tells the path of a refused request, and nothing of its query."""
    front.ask(f"{SEND}?access_token=ya29.canary&oauth_token=ya29.canary", LETTER)
    front.ask(f"{LIST}?access_token=ya29.canary&callback=a-b")
    front.ask("GET /nowhere?access_token=ya29.canary")
    assert "/gmail/v1/users/me/messages/send" in front.server.log
    assert "canary" not in front.server.log
    assert front.token not in front.server.log


def test_a_token_in_the_query_is_read_where_that_is_set(tmp_path):
    """With --token-in-query a send needs no header, and still nothing of it is logged."""
    with running(tmp_path, "--token-in-query", "true") as server:
        front = Front(server, server.token())
        assert front.ask(f"{SEND}?access_token={{token}}", LETTER).code == 200
        assert front.ask(f"{SEND}?oauth_token={{token}}", "{}").code == 400
        assert front.ask(f"{SEND}?access_token=ya29.canary", LETTER).code == 401
        assert front.token not in server.log
        assert "canary" not in server.log
