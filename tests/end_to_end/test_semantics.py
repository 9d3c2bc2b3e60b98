"""What a send means, over a running server: threads on both sides, identifiers, authors, what is read back."""

import base64
import json
import time
from email.message import EmailMessage

import pytest
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build_from_document
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.errors import HttpError

from postroad.oauth.tokens import FRESH_SECONDS
from tests.running import running

ALICE, BOB = "alice@example.test", "bob@example.test"
MESSAGES = "/gmail/v1/users/me/messages"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A sandbox for the whole file."""
    with running(tmp_path_factory.mktemp("sandbox")) as started:
        yield started


@pytest.fixture(scope="module")
def tokens(server):
    """A token for everything, of each of the two who write to each other."""
    return {address: server.token(address, "gmail.send", "gmail.readonly") for address in (ALICE, BOB)}


def mail(server, token, *lines, **members):
    """Send a message of these header lines; what was answered."""
    raw = base64.urlsafe_b64encode("\n".join([*lines, "", "Hi"]).encode()).decode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return server.request("POST", f"{MESSAGES}/send", json.dumps({"raw": raw, **members}).encode(), headers)


def read(server, token, path):
    return server.request("GET", MESSAGES + path, headers={"Authorization": f"Bearer {token}"})


def received(server, token, subject):
    """The message in an INBOX with that Subject, once it is there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for one in read(server, token, "?labelIds=INBOX").json.get("messages", []):
            message = read(server, token, f"/{one['id']}?format=metadata").json
            if {"name": "Subject", "value": subject} in message["payload"]["headers"]:
                return message
        time.sleep(0.02)
    raise AssertionError(f"no {subject!r} has come\n{server.log}")


def field(message, name):
    """The value of the one header field of that name."""
    (value,) = [one["value"] for one in message["payload"]["headers"] if one["name"].lower() == name.lower()]
    return value


def test_an_answer_joins_the_thread_on_both_sides(server, tokens):
    """Bob's answer stands with Alice's message in his mailbox and in hers, by References and Subject alone."""
    first = mail(server, tokens[ALICE], f"To: {BOB}", "Subject: Plans").json
    at_bobs = received(server, tokens[BOB], "Plans")
    assert at_bobs["threadId"] == at_bobs["id"]
    answered = f"References: <elsewhere@far.example>\n {field(at_bobs, 'Message-ID')}"
    answer = mail(server, tokens[BOB], f"To: {ALICE}", "Subject: Re: Plans", answered).json
    assert answer["threadId"] == at_bobs["threadId"] != answer["id"]
    assert received(server, tokens[ALICE], "Re: Plans")["threadId"] == first["threadId"]
    other = mail(server, tokens[BOB], f"To: {ALICE}", "Subject: Something else", answered).json
    assert other["threadId"] == other["id"]
    late = received(server, tokens[ALICE], "Something else")
    assert late["threadId"] == late["id"]


def test_a_thread_asked_for_is_the_authors_alone(server, tokens):
    """`threadId` puts the author's copy there, whatever the Subject; the recipient's goes by its own headers."""
    first = mail(server, tokens[ALICE], f"To: {BOB}", "Subject: One").json
    asked = mail(server, tokens[ALICE], f"To: {BOB}", "Subject: Two", threadId=first["threadId"].upper()).json
    assert asked["threadId"] == first["threadId"]
    two = received(server, tokens[BOB], "Two")
    assert two["threadId"] == two["id"]


def test_a_message_id_comes_back_as_clients_read_it(server, tokens):
    """Google's client asks for metadata and one header field; full shows the parts; a file is fetched."""
    message = EmailMessage()
    message["To"], message["Subject"] = BOB, "Grüße"
    message.set_content("Hello\n")
    message.add_attachment(b"\x00\xff", maintype="application", subtype="zip", filename="a.zip")
    document = json.loads(get_static_doc("gmail", "v1")) | {"rootUrl": f"{server.url}/"}
    with build_from_document(document, credentials=Credentials(token=tokens[ALICE])) as gmail:
        calls = gmail.users().messages()
        raw = base64.urlsafe_b64encode(message.as_bytes()).decode()
        sent = calls.send(userId="me", body={"raw": raw}).execute()
        one = {"userId": "me", "id": sent["id"]}
        found = calls.get(**one, format="metadata", metadataHeaders=["Message-Id", "Subject"]).execute()
        whole = calls.get(**one).execute()
        token = {"messageId": sent["id"], "id": whole["payload"]["parts"][1]["body"]["attachmentId"]}
        fetched = calls.attachments().get(userId="me", **token).execute()
        profile = gmail.users().getProfile(userId="me").execute()
        (send_as,) = gmail.users().settings().sendAs().list(userId="me").execute()["sendAs"]
    assert found["payload"]["mimeType"] == "multipart/mixed"
    assert field(found, "Subject") == "Grüße"
    assert field(found, "Message-ID").startswith(f"<{sent['id']}@")
    assert len(found["payload"]["headers"]) == 2
    text, file = whole["payload"]["parts"]
    assert base64.urlsafe_b64decode(text["body"]["data"]) == b"Hello\r\n"
    assert (file["filename"], file["body"]["size"], fetched) == ("a.zip", 2, {"size": 2, "data": "AP8="})
    assert profile["emailAddress"] == send_as["sendAsEmail"] == ALICE


def test_a_scope_of_metadata_shows_no_content(server, tokens):
    """With it, minimal and metadata are answered, raw and full are refused with Google's words."""
    sent = mail(server, tokens[ALICE], f"To: {BOB}", "Subject: secret").json
    token = server.token(ALICE, "gmail.metadata")
    for allowed in ("minimal", "metadata"):
        assert read(server, token, f"/{sent['id']}?format={allowed}").code == 200
    for content in ("raw", "full", "FULL"):
        answer = read(server, token, f"/{sent['id']}?format={content}")
        assert answer.code == 403
        assert answer.message == f"Metadata scope doesn't allow format {content.upper()}"


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("Message-ID: <mine@my.example>", "<mine@my.example>"),
        ("Message-ID:\n <folded@my.example>", "<folded@my.example>"),
        ("Message-ID: mine", None),
        ("Message-ID:", None),
        ("Message-ID: <" + "x" * 950 + "@my.example>", None),
        ("X-None: x", None),
    ],
)
def test_a_message_id_is_kept_when_it_is_one(server, tokens, line, kept):
    """A valid Message-ID stays; any other, and none, is ours: there is exactly one."""
    sent = mail(server, tokens[ALICE], f"To: {BOB}", line).json
    found = read(server, tokens[ALICE], f"/{sent['id']}?format=metadata&metadataHeaders=message-id").json
    message_id = field(found, "Message-ID")
    assert message_id == kept if kept else message_id.startswith(f"<{sent['id']}@")


@pytest.mark.parametrize(
    ("line", "author"),
    [
        ("X-None: x", ALICE),
        ("From:", ALICE),
        ("From: me", ALICE),
        ("From: Alice <Alice@Example.Test>", "Alice <Alice@Example.Test>"),
        ("From: The Boss <boss@example.com>", f"The Boss <{ALICE}>"),
        ("From: =?UTF-8?Q?B=C3=B6ss?= <boss@example.com>", f"Böss <{ALICE}>"),
    ],
)
def test_an_author_is_who_the_token_says(server, tokens, line, author):
    """Another's address becomes the author's own, under the name that was written; still 200."""
    answer = mail(server, tokens[ALICE], f"To: {BOB}", line)
    assert answer.code == 200
    found = read(server, tokens[ALICE], f"/{answer.json['id']}?format=metadata&metadataHeaders=From").json
    assert field(found, "From") == author


def test_an_alias_is_the_accounts_own(server, tokens):
    """Its From stands, and mail to it is the account's, whoever sends it; it names no mailbox of its own."""
    alias = "sales@other.example"
    assert server.command("account", "alias", "add", ALICE, alias) == f"{ALICE} is also {alias}\n"
    time.sleep(FRESH_SECONDS)  # so long a token's account may be remembered as it was
    sent = mail(server, tokens[ALICE], f"To: {BOB}, {alias}", f"From: Sales <{alias}>", "Subject: Offer").json
    assert sent["labelIds"] == ["UNREAD", "SENT", "INBOX"]
    assert field(received(server, tokens[BOB], "Offer"), "From") == f"Sales <{alias}>"
    mail(server, tokens[BOB], f"To: {alias}", "Subject: Order")
    assert received(server, tokens[ALICE], "Order")["labelIds"] == ["UNREAD", "INBOX"]
    path = f"/gmail/v1/users/{alias}/messages/send"
    denied = server.request("POST", path, b"{}", {"Authorization": f"Bearer {tokens[ALICE]}"})
    assert (denied.code, denied.message) == (403, f"Delegation denied for {ALICE}")


CAUSES = {
    "a header": (("To: a@b.example", "From: <a@b"), {}, "Invalid From header", "From: "),
    "a header twice": (
        ("To: a@b.example", "Subject: 1", "Subject: 2"),
        {},
        "Invalid Subject header",
        "Subject stands",
    ),
    "a To": (("To: human@f",), {}, "Invalid To header", "To: domain without a dot"),
    "a name and address in one encoded word": (
        ("To: =?UTF-8?Q?Name_=3Ca=40b.example=3E?=",),
        {},
        "Invalid To header",
        "To: text without an address",
    ),
    "nobody": (("Subject: x",), {}, "Recipient address required", "To, Cc and Bcc name no address"),
    "an empty group": (
        ("To: undisclosed-recipients:;",),
        {},
        "Recipient address required",
        "To, Cc and Bcc name no address",
    ),
    "a thread": (("To: a@b.example",), {"threadId": "FMfcg"}, "Invalid thread_id value", "threadId 'FMfcg'"),
    "a thread that is not there": (
        ("To: a@b.example",),
        {"threadId": "1"},
        "Requested entity was not found.",
        f"{ALICE} has no thread 0000000000000001",
    ),
    "members": (
        ("To: a@b.example",),
        {"foo": 1, "bar": 2},
        (
            "Invalid JSON payload received. Unknown name \"foo\" at 'message': Cannot find field.\n"
            "Invalid JSON payload received. Unknown name \"bar\" at 'message': Cannot find field."
        ),
        "a Message has no member 'foo'; a Message has no member 'bar'",
    ),
}


@pytest.mark.parametrize(("lines", "members", "text", "why"), CAUSES.values(), ids=CAUSES)
def test_the_log_says_why(server, tokens, lines, members, text, why):
    """Beside each refusal one line of the log names the cause, and nothing of the message."""
    before = len(server.log)
    answer = mail(server, tokens[ALICE], *lines, **members)
    assert answer.message == text
    (line,) = [json.loads(line) for line in server.log[before:].splitlines() if '"refused"' in line]
    assert line["why"].startswith(why)
    assert tokens[ALICE] not in server.log


def test_a_delegate_is_denied_before_the_thread_is_looked_at(server, tokens):
    """Whose mailbox it is comes before what the thread says, and after what the JSON says (6.3)."""
    headers = {"Authorization": f"Bearer {tokens[ALICE]}"}
    path = f"/gmail/v1/users/{BOB}/messages/send"
    denied = server.request("POST", path, b'{"raw":"QQ","threadId":"x"}', headers)
    assert (denied.code, denied.message) == (403, f"Delegation denied for {ALICE}")
    unread = server.request("POST", path, b'{"raw":5}', headers)
    assert unread.code == 400


def test_googles_client_shows_every_violation(server, tokens):
    """The error's details list them one by one."""
    document = json.loads(get_static_doc("gmail", "v1")) | {"rootUrl": f"{server.url}/"}
    with (
        build_from_document(document, credentials=Credentials(token=tokens[ALICE])) as gmail,
        pytest.raises(HttpError) as refused,
    ):
        gmail.users().messages().send(userId="me", body={"foo": 1, "threadId": 7}).execute()
    (detail,) = refused.value.error_details
    assert [one["field"] for one in detail["fieldViolations"]] == ["message", "message.thread_id"]
