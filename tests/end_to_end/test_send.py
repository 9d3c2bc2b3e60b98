"""One send, all the way: Google's client in front; a sink of ours, aiosmtpd and Postfix behind."""

import base64
import contextlib
import io
import json
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build_from_document
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseUpload

from postroad.serving import free_address
from tests.running import Server, running
from tests.smtp_sink import assert_wire_invariants, running_sink


@pytest.fixture
def gmail():
    """Makes Google's client, unmodified, for a server and a token; the root address also moves uploads."""
    with contextlib.ExitStack() as stack:

        def client(server: Server, token: str):
            document = json.loads(get_static_doc("gmail", "v1")) | {"rootUrl": f"{server.url}/"}
            return stack.enter_context(build_from_document(document, credentials=Credentials(token=token)))

        yield client


def letter(**headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in ({"To": "bob@example.org", "Subject": "Hello"} | headers).items():
        message[name] = value
    message.set_content("Hello,\n.\n..\nthis is Alice.\n")
    message.add_attachment(bytes(range(256)) * 40, maintype="application", subtype="zip", filename="a.zip")
    return message


def raw(message: EmailMessage) -> dict[str, str]:
    return {"raw": base64.urlsafe_b64encode(message.as_bytes()).decode()}


@pytest.fixture
def relayed(tmp_path):
    """A server, a token of Alice's, and the sink it relays to."""
    with running_sink() as sink, running(tmp_path, "--relay", f"smtp://127.0.0.1:{sink.port}") as server:
        yield server, server.token(), sink


def test_googles_client_sends_and_a_mail_server_receives(relayed, gmail):
    """The answer holds id, threadId and labelIds; the sink has the submitted bytes, without Bcc."""
    server, token, sink = relayed
    message = letter(Cc="carol@example.net", Bcc="dave@example.com")
    sent = gmail(server, token).users().messages().send(userId="me", body=raw(message)).execute()
    assert sent == {"id": sent["id"], "threadId": sent["id"], "labelIds": ["SENT"]}
    received = sink.wait_for(2)
    assert {path for one in received for path in one.forward_paths} == {
        "bob@example.org",
        "carol@example.net",
        "dave@example.com",
    }
    submitted = message.as_bytes().replace(b"\n", b"\r\n").replace(b"Bcc: dave@example.com\r\n", b"")
    for one in received:
        assert one.reverse_path == "alice@example.test"
        assert one.content.endswith(submitted)
        assert b"dave" not in one.content
    for session in sink.sessions:
        assert_wire_invariants(session)


def test_a_simple_upload_is_sent_as_it_is(relayed, gmail):
    """Media uploaded by Google's client arrives octet by octet, below the lines Postroad adds."""
    server, token, sink = relayed
    octets = letter().as_bytes().replace(b"\n", b"\r\n")
    media = MediaIoBaseUpload(io.BytesIO(octets), mimetype="message/rfc822")
    sent = gmail(server, token).users().messages().send(userId="me", media_body=media).execute()
    assert sent["labelIds"] == ["SENT"]
    (received,) = sink.wait_for(1)
    assert received.content.endswith(octets)


def test_the_senders_own_copy_keeps_bcc(relayed, gmail):
    """The SENT copy is the added lines and the submitted bytes, Bcc in its place."""
    server, token, _ = relayed
    message = letter(Bcc="dave@example.com")
    sent = gmail(server, token).users().messages().send(userId="me", body=raw(message)).execute()
    reader = gmail(server, server.token("alice@example.test", "gmail.readonly"))
    stored = reader.users().messages().get(userId="me", id=sent["id"], format="raw").execute()
    copy = base64.urlsafe_b64decode(stored["raw"])
    submitted = message.as_bytes().replace(b"\n", b"\r\n")
    assert copy.endswith(submitted)
    added = copy.removesuffix(submitted).decode()
    assert [line.split(":")[0] for line in added.splitlines() if line[0] != " "] == [
        "Received",
        "From",
        "Date",
        "Message-ID",
    ]
    assert stored["sizeEstimate"] == len(copy)


def test_googles_client_understands_a_refusal(relayed, gmail):
    """An error's reason reads as Gmail's, and nothing is queued."""
    server, token, _ = relayed
    message = letter()
    del message["To"]
    with pytest.raises(HttpError) as refused:
        gmail(server, token).users().messages().send(userId="me", body=raw(message)).execute()
    assert (refused.value.status_code, refused.value.reason) == (400, "Recipient address required")
    assert server.queue() == []


def test_mail_to_oneself_is_one_message_with_three_labels(relayed, gmail):
    """Mail to the author alone is stored once and never queued."""
    server, token, _ = relayed
    sent = (
        gmail(server, token)
        .users()
        .messages()
        .send(userId="me", body=raw(letter(To="Alice@Example.Test")))
        .execute()
    )
    assert sent["labelIds"] == ["UNREAD", "SENT", "INBOX"]
    assert server.queue() == []
    assert len(server.inbox("alice@example.test")) == 1


def test_captured_mail_reaches_a_mailbox_for_every_address(tmp_path, gmail):
    """In the sandbox any recipient has a mailbox, and a token reads it."""
    with running(tmp_path) as server:
        token = server.token()
        gmail(server, token).users().messages().send(
            userId="me", body=raw(letter(To="who@ever.example", Bcc="hidden@example.org"))
        ).execute()
        server.drained()
        for address in ("who@ever.example", "hidden@example.org"):
            (message,) = server.inbox(address)
            assert message.startswith(b"Return-Path: <alice@example.test>\r\n")
            assert b"hidden" not in message


class Recorder:
    """What aiosmtpd hands over."""

    def __init__(self):
        self.contents = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd calls it so
        self.contents.append(envelope.content)
        return "250 2.0.0 taken"


def test_aiosmtpd_receives_what_was_sent(tmp_path, gmail):
    """A foreign server reads the same content that was submitted."""
    recorder, message = Recorder(), letter()
    _, port = free_address("127.0.0.1", 0)
    controller = Controller(recorder, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        with running(tmp_path, "--relay", f"smtp://127.0.0.1:{port}") as server:
            gmail(server, server.token()).users().messages().send(userId="me", body=raw(message)).execute()
            server.drained()
    finally:
        controller.stop()
    (content,) = recorder.contents
    assert content.endswith(message.as_bytes().replace(b"\n", b"\r\n"))
