"""Batches, discovery and quotas over a running server: Google's client unmodified, and raw requests."""

import base64
import contextlib
import io
import json
import re
from collections.abc import Iterator

import google.auth.credentials
import httplib2
import pytest
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.discovery import build
from googleapiclient.http import MediaIoBaseUpload

from tests.running import SEND, Answer, Server, running

ALICE, BOB = "alice@example.test", "bob@example.test"
MESSAGES = "/gmail/v1/users/me/messages"
LETTER = b"To: %b\r\nSubject: %b\r\n\r\nHello.\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """One sandbox for all of this file."""
    with running(tmp_path_factory.mktemp("batch")) as found:
        yield found


@pytest.fixture(scope="module")
def tokens(server) -> dict[str, str]:
    """Tokens by their owners, and one of Alice's that only reads."""
    return {ALICE: server.token(ALICE), BOB: server.token(BOB), "reads": server.token(ALICE, "gmail.readonly")}


def gmail(server: Server, token: str):
    """Google's client, built from the document of this server and nothing else."""
    url = f"{server.url}/$discovery/rest?version=v1"
    return build("gmail", "v1", discoveryServiceUrl=url, credentials=Credentials(token=token))


def raw(subject: str, to: str = "carol@example.test") -> dict[str, str]:
    return {"raw": base64.urlsafe_b64encode(LETTER % (to.encode(), subject.encode())).decode()}


def media(subject: str, **how) -> MediaIoBaseUpload:
    octets = LETTER % (b"carol@example.test", subject.encode())
    return MediaIoBaseUpload(io.BytesIO(octets), mimetype="message/rfc822", **how)


@pytest.mark.parametrize(
    "what",
    [
        {"body": raw("JSON")},
        {"media_body": media("media")},
        {"body": {}, "media_body": media("multipart")},
        {"media_body": media("resumable", resumable=True)},
    ],
    ids=["JSON", "media", "multipart", "resumable"],
)
def test_googles_client_built_from_our_document_sends(server, tokens, what):
    """In every way it has; nothing but the address of the document was given to it."""
    with gmail(server, tokens[ALICE]) as sender, gmail(server, tokens["reads"]) as reader:
        sent = sender.users().messages().send(userId="me", **what).execute()
        assert sent == {"id": sent["id"], "threadId": sent["id"], "labelIds": ["SENT"]}
        listed = reader.users().messages().list(userId="me", labelIds=["SENT"], maxResults=1).execute()
        assert [one["id"] for one in listed["messages"]] == [sent["id"]]
        got = reader.users().messages().get(userId="me", id=sent["id"], format="raw").execute()
        assert base64.urlsafe_b64decode(got["raw"]).endswith(b"Hello.\r\n")


class Renewable(google.auth.credentials.Credentials):
    """A worthless token, in whose place refreshing puts a good one."""

    def __init__(self, good: str) -> None:
        super().__init__()
        self.token = "ya29.worthless"
        self.good = good

    def refresh(self, request) -> None:
        self.token = self.good


SENT, SCOPES = ["SENT"], "Request had insufficient authentication scopes."
# Who asks, for which user, what; and the labels of what was sent, or the reason of a refusal.
CALLS = [
    ("alice", "me", raw("A"), SENT),
    ("bob", "me", raw("B"), SENT),
    ("alice", "bob@example.test", raw("C"), "Delegation denied for alice@example.test"),
    (
        "alice",
        "me",
        {"raw": base64.urlsafe_b64encode(b"Subject: D\r\n\r\n").decode()},
        "Recipient address required",
    ),
    ("reads", "me", raw("E"), SCOPES),
    ("late", "me", raw("F"), SENT),
    ("alice", "me", raw("G", ALICE), ["UNREAD", "SENT", "INBOX"]),
    ("bob", "alice%40example.test", raw("H"), "Delegation denied for bob@example.test"),
    ("bob", "bob@example.test", raw("I"), SENT),
    ("alice", "me", {"raw": raw("J")["raw"] + "!"}, "Invalid value at 'message.raw' (TYPE_BYTES)"),
]


def test_a_batch_of_a_hundred_with_failures_among_them(server, tokens):
    """Every call is answered for itself: sender and refusal are its own, and a 401 is repeated."""
    credentials = {
        "alice": Credentials(token=tokens[ALICE]),
        "bob": Credentials(token=tokens[BOB]),
        "reads": Credentials(token=tokens["reads"]),
        "late": Renewable(tokens[ALICE]),
    }
    answered: dict[int, object] = {}

    def note(number: str, response, error) -> None:
        answered[int(number)] = error.reason if error else response["labelIds"]

    with gmail(server, tokens["reads"]) as client, contextlib.closing(httplib2.Http()) as transport:
        batch = client.new_batch_http_request(callback=note)
        for number in range(100):
            who, user_id, body, _ = CALLS[number % 10]
            call = client.users().messages().send(userId=user_id, body=body)
            call.http = AuthorizedHttp(credentials[who], http=httplib2.Http())
            batch.add(call, request_id=str(number))
        batch.execute(http=transport)
    expected = {number: CALLS[number % 10][3] for number in range(100)}
    assert {number: found[: len(expected[number])] for number, found in answered.items()} == expected
    assert len(sent_by(server, tokens["reads"], "A", "F", "G")) == 30


def sent_by(server: Server, token: str, *subjects: str) -> list[str]:
    """The subjects among these that the account has sent, once for each message."""
    headers = {"Authorization": f"Bearer {token}"}
    listed = server.request("GET", f"{MESSAGES}?labelIds=SENT&maxResults=500", headers=headers).json
    gets = [f"GET {MESSAGES}/{one['id']}?format=raw".encode() for one in listed["messages"][:100]]
    answers = batched(server, [part(get) for get in gets], headers)
    raws = [json.loads(answer.split(b"\r\n\r\n", 2)[2])["raw"] for answer in answers]
    found = [re.search(rb"^Subject: (.*?)\r", base64.urlsafe_b64decode(one), re.MULTILINE) for one in raws]
    return [one[1].decode() for one in found if one and one[1].decode() in subjects]


def part(inner: bytes, content_id: bytes = b"1") -> bytes:
    return b"Content-Type: application/http\r\nContent-ID: " + content_id + b"\r\n\r\n" + inner + b"\r\n\r\n"


def post(server: Server, parts: list[bytes], headers: dict[str, str], path: str = "/batch") -> Answer:
    body = b"".join(b"--b\r\n" + one + b"\r\n" for one in parts) + b"--b--\r\n"
    return server.request("POST", path, body, headers | {"Content-Type": "multipart/mixed; boundary=b"})


def batched(server: Server, parts: list[bytes], headers: dict[str, str], path: str = "/batch") -> list[bytes]:
    """The parts of the answer."""
    answer = post(server, parts, headers, path)
    assert answer.code == 200, answer.body
    boundary = answer.headers["content-type"].removeprefix("multipart/mixed; boundary=").encode()
    return answer.body.split(b"--" + boundary)[1:-1]


@pytest.mark.parametrize("path", ["/batch", "/batch/gmail/v1", "/batch?prettyPrint=false"])
def test_inner_calls_are_answered_in_order(server, tokens, path):
    """Absolute addresses and the outer credential hold inside; what is not a method is Google's page of a 404."""
    inner = [
        b"GET https://gmail.googleapis.com/gmail/v1/users/me/messages?maxResults=1&fields=resultSizeEstimate",
        b"GET /gmail/v1/users/me/messages/nonsense HTTP/1.1",
        b"GET /metrics HTTP/1.1",
        b"POST /batch HTTP/1.1",
        b"GET /gmail/v1/users/me/messages HTTP/1.1\r\nAuthorization: Bearer ya29.worthless",
    ]
    parts = [part(one, b"<call + %d>" % number) for number, one in enumerate(inner)]
    found = batched(server, parts, {"Authorization": f"Bearer {tokens['reads']}"}, path)
    assert [re.search(rb"<response-call \+ (\d)>\r\n\r\nHTTP/1.1 (\d+)", one).groups() for one in found] == [
        (b"0", b"200"),
        (b"1", b"400"),
        (b"2", b"404"),
        (b"3", b"400"),
        (b"4", b"401"),
    ]
    assert found[0].split(b"\r\n\r\n")[2].startswith(b'{"result' if "pretty" in path else b'{\n  "result')
    assert b"<title>Error 404 (Not Found)!!1</title>" in found[2]


def test_a_batch_without_a_credential_is_each_calls_affair(server, tokens):
    """Those that bring one are answered, the others are asked for it."""
    own = b"GET %b?fields=resultSizeEstimate HTTP/1.1\r\nauthorization: Bearer %b"
    asks = own % (MESSAGES.encode(), tokens["reads"].encode())
    found = batched(server, [part(asks), part(b"GET " + MESSAGES.encode())], {})
    assert [re.search(rb"HTTP/1.1 (\d+)", one)[1] for one in found] == [b"200", b"401"]
    assert b"Www-Authenticate: Bearer realm=" in found[1]


def test_a_hundred_and_one_are_refused(server, tokens):
    """As a whole, in Google's words."""
    answer = post(server, [part(b"GET /x")] * 101, {"Authorization": f"Bearer {tokens['reads']}"})
    assert answer.code == 400
    assert answer.message == "Inner request count exceeds the limit. Received: 101, Limit: 100"


def test_a_page_of_another_origin_may_batch(server):
    """The answer to the whole batch says so; the parts need not."""
    answer = post(server, [part(b"GET /x")], {"Origin": "https://app.example.test"})
    assert answer.headers["access-control-allow-origin"] == "https://app.example.test"
    assert b"access-control" not in answer.body.lower()


def test_quotas_are_counted_where_they_are_set(tmp_path):
    """Three sends in a minute, then 429 with the time to wait; calls in a batch count one by one."""
    with running(tmp_path, "--user-quota", "300") as server:
        token = server.token()
        letter = LETTER % (b"carol@example.test", b"Hello")
        assert server.send(letter, token).code == 200
        inner = b"POST %b HTTP/1.1\r\nContent-Type: application/json\r\n\r\n%b"
        call = part(inner % (SEND.encode(), json.dumps(raw("B")).encode()))
        found = batched(server, [call] * 4, {"Authorization": f"Bearer {token}"})
        codes = sorted(re.search(rb"HTTP/1.1 (\d+)", one)[1] for one in found)
        assert codes == [b"200", b"200", b"429", b"429"]
        refused = server.upload(letter, token)
        assert refused.code == 429
        assert refused.json["error"]["errors"][0]["reason"] == "rateLimitExceeded"
        assert 1 <= int(refused.headers["Retry-After"]) <= 20
        assert server.send(letter, server.token(BOB)).code == 200
