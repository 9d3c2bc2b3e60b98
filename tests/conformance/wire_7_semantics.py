"""Section 7: what is sent, to whom, and what the author's copy says."""

from tests.conformance.wire import (
    ALICE,
    BAD_THREAD,
    JSON,
    LIST,
    NO_ENTITY,
    NO_RECIPIENT,
    SENT,
    TO_ONESELF,
    Ask,
    Row,
    Want,
    get,
    letter,
    message,
    ok,
    post,
    resource,
    row,
    send,
)

IN_FIRST = ok({"id": "{{id}}", "threadId": "{{message}}", "labelIds": ["SENT"]})
HELLO = b"Hello.\r\n"


def copy(*content: bytes, lacks: tuple[bytes, ...] = ()) -> tuple[Ask, Want]:
    """The author's own copy of what was just sent."""
    return get(LIST + "/{{id}}?format=raw"), Want(200, content=content, lacks=lacks)


def kept(
    section: str, fact: str, ask: Ask, *content: bytes, lacks: tuple[bytes, ...] = (), differs: str = ""
) -> Row:
    return Row(section, fact, ((ask, SENT), copy(*content, lacks=lacks)), differs)


def to_bob(*lines: str | bytes, body: bytes = HELLO) -> Ask:
    return send("To: bob@example.test", *lines, body=body)


def in_thread(thread: str, *lines: str) -> Ask:
    return post(message(letter("To: bob@example.test", *lines), threadId=thread))


PASSED = {
    "Subject": "Subject: Hello",
    "a Subject of encoded-words": "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=",
    "a Subject in UTF-8": "Subject: Grüße",
    "a folded Subject": "Subject: one\r\n two",
    "a long Subject": "Subject: " + "word " * 150,
    "Reply-To": "Reply-To: carol@example.test",
    "In-Reply-To": "In-Reply-To: <a@example.test>",
    "References": "References: <a@example.test> <b@example.test>",
    "Sender": "Sender: alice@example.test",
    "X-Own": "X-Own: 1",
    "List-Unsubscribe": "List-Unsubscribe: <https://example.test/u>",
    "a name in lower case": "x-own: 1",
    "no space behind the colon": "X-Own:1",
    "Auto-Submitted": "Auto-Submitted: auto-generated",
    "Content-Type": "Content-Type: text/plain; charset=utf-8",
    "a display name in encoded-words": "Cc: =?utf-8?q?J=C3=B6rg?= <joerg@example.test>",
    "a quoted display name": 'Cc: "Last, First" <first@example.test>',
    "a comment": "Cc: carol@example.test (Carol)",
    "a quoted local part": 'Cc: "a b"@example.test',
    "an internationalised domain": "Cc: carol@bücher.example",
    "an internationalised local part": "Cc: jörg@example.test",
    "a group": "Cc: Friends: carol@example.test, dave@example.test;",
}
BODIES = {
    "HTML alone": (("Content-Type: text/html",), b"<p>Hello.</p>\r\n"),
    "both forms": (
        ("Content-Type: multipart/alternative; boundary=b",),
        b"--b\r\nContent-Type: text/plain\r\n\r\nA\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>B\r\n--b--\r\n",
    ),
    "PGP/MIME": (
        ('Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=b',),
        b"--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--b--\r\n",
    ),
    "multipart/signed": (("Content-Type: multipart/signed; boundary=b",), b"--b\r\n\r\nHello.   \r\n--b--\r\n"),
    "8-bit text": (
        ("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"),
        "Grüße\r\n".encode(),
    ),
    "lines of dots": ((), b".\r\n..\r\n...\r\n"),
    "no last line end": ((), b"Hello."),
    "no body": ((), b""),
    "white space at line ends": ((), b"Hello. \t\r\n"),
    "a multipart that never ends": (("Content-Type: multipart/mixed; boundary=b",), b"--b\r\n\r\nHello.\r\n"),
    "a Bcc line in the body": ((), b"Bcc: carol@example.test\r\n"),
    "an attachment of an executable": (
        ("Content-Type: application/octet-stream; name=a.exe", "Content-Disposition: attachment; filename=a.exe"),
        b"MZ\r\n",
    ),
}
REFUSED = {
    "a bare CR in a header": letter("To: bob@example.test", "Subject: x\rBcc: e@example.test"),
    "a NUL in a header": letter("To: bob@example.test", "Subject: a\0b"),
    "a NUL in the body": letter("To: bob@example.test", body=b"a\0b"),
    "a bare CR in the body": letter("To: bob@example.test", body=b"a\rb"),
    "a control character in a header": letter("To: bob@example.test", "Subject: a\x0bBcc: e@example.test"),
    "Bcc before a space": letter("To: bob@example.test", "Bcc : e@example.test"),
    "Bcc before a tab": letter("To: bob@example.test", "Bcc\t: e@example.test"),
    "a line that is no header": letter("To: bob@example.test", "garbage", "Bcc: e@example.test"),
    "an mbox line": letter("From bob Mon Jan  1 00:00:00 2026", "To: bob@example.test"),
    "a space in front of the first line": letter(" To: bob@example.test", "To: bob@example.test"),
    "an empty line in front": b"\r\n" + letter("To: bob@example.test"),
    "two Subjects": letter("To: bob@example.test", "Subject: a", "Subject: b"),
    "two Dates": letter(
        "To: bob@example.test", "Date: Fri, 02 Jan 2026 03:04:05 +0000", "Date: Fri, 02 Jan 2026 03:04:05 +0000"
    ),
    "two Froms": letter("To: bob@example.test", f"From: {ALICE}", f"From: {ALICE}"),
    "two Message-IDs": letter(
        "To: bob@example.test", "Message-ID: <a@example.test>", "Message-ID: <b@example.test>"
    ),
    "octets in a header that are no UTF-8": letter("To: bob@example.test", b"Subject: \xff"),
    "an empty header name": letter("To: bob@example.test", ": x"),
    "51 Received lines": letter(
        *["Received: by a.example; Fri, 02 Jan 2026 03:04:05 +0000"] * 51, "To: bob@example.test"
    ),
    "1 001 header lines": letter("To: bob@example.test", *["X: y"] * 1000),
    "a header section of 300 kB": letter("To: bob@example.test", *["X: " + "y" * 500] * 600),
}

SENDING = [
    *(
        kept("7.1", f"passed through: {fact}", to_bob(line), line.encode() + b"\r\n")
        for fact, line in PASSED.items()
    ),
    *(
        kept(
            "7.2",
            f"left as it is: {fact}",
            to_bob(*lines, body=octets),
            b"\r\n\r\n" + octets,
            differs="**Bodies are not rewritten.**" if fact in ("HTML alone", "both forms", "PGP/MIME") else "",
        )
        for fact, (lines, octets) in BODIES.items()
    ),
    kept("7.1", "Bcc stays in the author's copy", send("Bcc: carol@example.test"), b"Bcc: carol@example.test\r\n"),
    kept(
        "7.1",
        "Bcc beside To stays in the author's copy",
        to_bob("Bcc: carol@example.test"),
        b"Bcc: carol@example.test\r\n",
    ),
    kept(
        "7.1",
        "Cc and Bcc behind Content-Type count",
        to_bob("Content-Type: text/plain", "Cc: carol@example.test"),
        b"Cc: carol@example.test\r\n",
    ),
    kept("7.1", "a missing From is added", to_bob(), f"From: {ALICE}\r\n".encode()),
    kept(
        "7.1",
        "From: me is the account's own address",
        to_bob("From: me"),
        ALICE.encode(),
        lacks=(b"From: me\r\n",),
    ),
    kept(
        "7.1",
        "an own From stays as it is",
        to_bob(f'From: "Alice A." <{ALICE}>'),
        f'From: "Alice A." <{ALICE}>\r\n'.encode(),
    ),
    kept(
        "7.1",
        "a strange From is replaced, with 200",
        to_bob("From: Mallory <mallory@evil.example>"),
        b"alice@example.test>\r\n",
        lacks=(b"<mallory@evil.example>\r\n",),
    ),
    kept("7.1", "MIME-Version is added", to_bob(), b"MIME-Version: 1.0\r\n"),
    kept("7.1", "Date is added", to_bob(), b"\r\nDate: "),
    kept(
        "7.1",
        "a Date of the author's is kept",
        to_bob("Date: Fri, 02 Jan 2026 03:04:05 +0100"),
        b"Date: Fri, 02 Jan 2026 03:04:05 +0100\r\n",
        differs="**Date is kept**",
    ),
    kept("7.1", "Message-ID is added", to_bob(), b"\r\nMessage-ID: <"),
    kept(
        "7.1",
        "a Message-ID of the author's is kept",
        to_bob("Message-ID: <own@example.test>"),
        b"Message-ID: <own@example.test>\r\n",
        differs="**Message-ID is kept**",
    ),
    kept(
        "7.1",
        "a folded Message-ID is kept",
        to_bob("Message-ID:\r\n <own2@example.test>"),
        b"Message-ID:\r\n <own2@example.test>\r\n",
        differs="**Message-ID is kept**",
    ),
    kept(
        "7.1",
        "Received names no client",
        to_bob(),
        b"Received: by ",
        lacks=(b"HTTPREST", b"127.0.0.1"),
        differs="**Received names no client and no project.**",
    ),
    row(
        "7.3",
        "duplicates are one recipient",
        send("To: bob@example.test, Bob <bob@EXAMPLE.test>, bob@example.test"),
        SENT,
    ),
    row("7.3", "an empty group is nobody", send("To: undisclosed-recipients:;"), NO_RECIPIENT),
    row(
        "7.3",
        "an empty group beside a recipient",
        send("To: undisclosed-recipients:;", "Bcc: bob@example.test"),
        SENT,
    ),
    row("7.3", "a plus-tag is an address of its own", send("To: bob+tag@example.test"), SENT),
    row("7.3", "to oneself, domain in upper case", send("To: alice@EXAMPLE.TEST"), TO_ONESELF),
    row(
        "7.4",
        "a threadId joins",
        in_thread(
            "{{message}}",
            "Subject: Re: First",
            "References: <first@example.test>",
            "In-Reply-To: <first@example.test>",
        ),
        IN_FIRST,
    ),
    row(
        "7.4",
        "a threadId joins whatever the Subject",
        in_thread("{{message}}", "Subject: Something else"),
        IN_FIRST,
    ),
    row("7.4", "a threadId joins without References", in_thread("{{message}}", "Subject: First"), IN_FIRST),
    row(
        "7.4",
        "References and the same Subject join",
        to_bob("Subject: Re: First", "References: <first@example.test>", "In-Reply-To: <first@example.test>"),
        IN_FIRST,
    ),
    row(
        "7.4",
        "In-Reply-To and the same Subject join",
        to_bob("Subject: RE: first", "In-Reply-To: <first@example.test>"),
        IN_FIRST,
    ),
    row(
        "7.4",
        "References with another Subject do not join",
        to_bob("Subject: Second", "References: <first@example.test>"),
        SENT,
    ),
    row("7.4", "the same Subject alone does not join", to_bob("Subject: Re: First"), SENT),
    row(
        "7.4",
        "References to nothing known do not join",
        to_bob("Subject: First", "References: <unknown@example.test>"),
        SENT,
    ),
    row(
        "7.4",
        "a thread of another mailbox is not seen",
        Ask(
            "POST",
            to_bob().target,
            ("Authorization: Bearer {{bob}}", "Content-Type: application/json"),
            message(letter("To: carol@example.test", "Subject: Re: First", "References: <first@example.test>")),
        ),
        SENT,
    ),
    row("7.4", "a threadId that is none", in_thread("zzz"), BAD_THREAD),
    row("7.4", "a threadId of nobody's", in_thread("18f85d2eb6adb232"), NO_ENTITY),
    Row(
        "7.7",
        "the same message twice is two messages",
        tuple(
            (to_bob("Message-ID: <twice@example.test>"), ok(resource("SENT", of=name))) for name in ("id", "other")
        ),
    ),
    *(
        row(
            "7.1",
            f"malformed: {fact}",
            post(message(content)),
            Want(
                400,
                headers=JSON,
                members={"error/errors/0/reason": "invalidArgument", "error/status": "INVALID_ARGUMENT"},
            ),
            differs="**Malformed header lines are refused**"
            if fact in ("Bcc before a space", "Bcc before a tab", "a line that is no header")
            else "",
        )
        for fact, content in REFUSED.items()
    ),
]

ROWS: list[Row] = SENDING
