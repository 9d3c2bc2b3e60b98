"""A real Postfix receives what Postroad relays."""

import re
from email import message_from_bytes

from tests.postfix import running_postfix
from tests.running import running

HEADER = b"To: bob@example.org\nSubject: through Postfix\nMIME-Version: 1.0\n"


def body_of(delivered: bytes) -> bytes:
    return delivered.partition(b"\n\n")[2]


def test_postfix_receives_the_message_it_was_sent(tmp_path):
    """Dots, eight-bit text and Bcc come out at the other side of Postfix as they should, over STARTTLS or not."""
    plain = b".\n..\nline\n.leading dot\n\nlast line without an end"
    eight_bit = "Grüße\n".encode() * 100
    with running_postfix() as postfix, running(tmp_path, "--relay", f"smtp://127.0.0.1:{postfix.port}") as server:
        token = server.token()
        assert server.send(HEADER + b"Bcc: hidden@example.net\n\n" + plain, token).code == 200
        assert server.send(HEADER + b"Content-Type: text/plain; charset=utf-8\n\n" + eight_bit, token).code == 200
        server.drained()
        delivered = postfix.delivered(3)
    assert sorted(map(body_of, delivered)) == sorted([plain + b"\n", plain + b"\n", eight_bit])
    assert sum(b"hidden" in one for one in delivered) == 1


# What Postfix takes and cannot deliver, and how its report calls that; it reads utf-8-addr-xtext (RFC 6533).
BOUNCED = {
    "a+b@bounced.example": "rfc822;a+b@bounced.example",
    '"a b=c"@bounced.example': 'rfc822;"a b=c"@bounced.example',
    "grün@bounced.example": "utf-8;grün@bounced.example",
}


def test_postfix_reports_as_it_was_asked_to(tmp_path):
    """It names our queue id and the addresses as they were, and returns the header section alone."""
    with running_postfix() as postfix, running(tmp_path, "--relay", f"smtp://127.0.0.1:{postfix.port}") as server:
        answer = server.send(f"To: {', '.join(BOUNCED)}\nSubject: x\n\nsecret\n".encode(), server.token())
        [report] = postfix.delivered(1)
    text = report.decode()
    assert re.findall("^Original-Envelope-Id: (.*)$", text, re.MULTILINE) == [answer.json["id"]]
    assert sorted(re.findall("^Original-Recipient: (.*)$", text, re.MULTILINE)) == sorted(BOUNCED.values())
    assert message_from_bytes(report).get_payload()[-1].get_content_type() == "message/global-headers"
    assert "secret" not in text


def test_what_postfix_refuses_comes_back_as_a_report(tmp_path):
    """A recipient that Postfix refuses makes a DSN in the author's INBOX; the other has the message."""
    with running_postfix() as postfix, running(tmp_path, "--relay", f"smtp://127.0.0.1:{postfix.port}") as server:
        content = b"To: bob@example.org, refused@example.org\nSubject: x\n\nx\n"
        assert server.send(content, server.token()).code == 200
        entries = server.drained()
        postfix.delivered(1)
        (report,) = server.inbox("alice@example.test")
    fates = {fate["forward_path"]: fate["state"] for entry in entries for fate in entry["recipients"]}
    assert fates == {
        "bob@example.org": "relayed",
        "refused@example.org": "failed",
        "alice@example.test": "relayed",
    }
    parts = message_from_bytes(report).get_payload()
    assert [part.get_content_type() for part in parts] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    recipient = parts[1].get_payload()[1]
    assert recipient["Final-Recipient"] == "rfc822; refused@example.org"
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.1.1")
