"""The report as people and programs read it, and against replies that want to be more than text."""

import email
import email.policy
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import Message

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.mail import dsn
from postroad.mail.dsn import Fate, Original, report
from postroad.mail.reply import Reply
from postroad.mail.transmission import longest_line, transmissible

# The wire after DATA (hardening.md 2K).
WIRE = re.compile(rb"\A(?:(?:\.\.|[^.\r\n\0])[^\r\n\0]{0,997}\r\n|\r\n)*\.\r\n\Z")
NOW = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
ORIGINAL = Original(
    message_id="<1@example.test>",
    subject="Lunch",
    header_section=b"From: alice@example.test\r\nTo: bob@example.com\r\nSubject: Lunch\r\n",
    arrived=NOW - timedelta(hours=4),
    queue_id="q1f",
)
FAILED = Fate("bob@example.com", "failed", Reply(550, "5.1.1", "No such user\nSorry"), "mx.example.com", NOW, None)
DELAYED = Fate(
    "carol@example.net", "delayed", Reply(451, "4.4.1", "connection timed out"), "", NOW, NOW + timedelta(days=4)
)


def written(*fates: Fate, original: Original = ORIGINAL, reverse_path: str = "alice@example.test") -> bytes:
    """Write a report and check what holds for all of them."""
    content = report(
        original,
        fates,
        reverse_path=reverse_path,
        hostname="mail.example.test",
        message_id="<2@mail.example.test>",
        now=NOW,
    )
    assert WIRE.match(re.sub(rb"(?m)^\.", b"..", content) + b".\r\n")
    return content


def read(content: bytes) -> tuple[Message, str, list[Message], bytes]:
    """Let the foreign judge take a report apart: the whole, the text, the groups of fields, the headers."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    text, status, headers = message.get_payload()
    groups = status.get_payload()
    if status.get_content_type() == "message/global-delivery-status":
        blocks = content.split(b"--" + message.get_boundary().encode())[2].strip().split(b"\r\n\r\n")[1:]
        groups = [email.message_from_bytes(block, policy=email.policy.default) for block in blocks]
    raw_headers = headers.get_payload(decode=True)
    assert [part.get_content_type() for part in (text, headers)] == ["text/plain", "text/rfc822-headers"]
    assert not message.defects
    return message, text.get_content(), groups, raw_headers


def fields(group: Message) -> dict[str, str]:
    """Give the fields of one group, each of which may stand but once."""
    assert len(set(group.keys())) == len(group.keys())
    return {name: str(value) for name, value in group.items()}


def test_a_failure_is_told_to_people_and_programs():
    """A report holds what RFC 3464 asks for, a text that names all of it, and the given header section."""
    content = written(FAILED)
    message, text, groups, headers = read(content)
    assert content.isascii()
    assert longest_line(content) <= 78
    assert [(name, message[name]) for name in message if name != "Content-Type"] == [
        ("From", "Mail Delivery Subsystem <mailer-daemon@mail.example.test>"),
        ("To", "alice@example.test"),
        ("Subject", "Delivery Status Notification (Failure)"),
        ("Date", "Sun, 22 Nov 2026 13:00:00 +0000"),
        ("Message-ID", "<2@mail.example.test>"),
        ("In-Reply-To", "<1@example.test>"),
        ("References", "<1@example.test>"),
        ("Auto-Submitted", "auto-replied"),
        ("MIME-Version", "1.0"),
    ]
    assert [fields(group) for group in groups] == [
        {
            "Reporting-MTA": "dns; mail.example.test",
            "Arrival-Date": "Sun, 22 Nov 2026 09:00:00 +0000",
            "X-Postroad-Queue-ID": "q1f",
        },
        {
            "Final-Recipient": "rfc822; bob@example.com",
            "Action": "failed",
            "Status": "5.1.1",
            "Remote-MTA": "dns; mx.example.com",
            "Diagnostic-Code": "smtp; 550 5.1.1 No such user Sorry",
            "Last-Attempt-Date": "Sun, 22 Nov 2026 13:00:00 +0000",
        },
    ]
    for said in (
        "bob@example.com",
        "mx.example.com said: 550 5.1.1 No such user Sorry",
        "Lunch",
        "stopped trying",
    ):
        assert said in text
    assert headers == ORIGINAL.header_section


def test_a_delay_says_until_when_we_try():
    """A delay is announced as one, with its last date, and a reply of our own is no SMTP diagnostic."""
    message, text, groups, _ = read(written(DELAYED))
    assert message["Subject"] == "Delivery Status Notification (Delay)"
    assert fields(groups[1]) == {
        "Final-Recipient": "rfc822; carol@example.net",
        "Action": "delayed",
        "Status": "4.4.1",
        "Diagnostic-Code": "x-postroad; 451 4.4.1 connection timed out",
        "Last-Attempt-Date": "Sun, 22 Nov 2026 13:00:00 +0000",
        "Will-Retry-Until": "Thu, 26 Nov 2026 13:00:00 +0000",
    }
    for said in ("carol@example.net", "No server was reached", "until Thu, 26 Nov 2026", "You need not".lower()):
        assert said in text


def test_one_report_on_both():
    """A failure beside a delay makes it a failure report; every recipient has a group of its own."""
    message, text, groups, _ = read(written(DELAYED, FAILED))
    assert message["Subject"] == "Delivery Status Notification (Failure)"
    assert [group["Action"] for group in groups] == [None, "delayed", "failed"]
    assert text.index("bob@") < text.index("carol@")


@pytest.mark.parametrize(
    ("action", "code", "status", "expected"),
    [
        ("failed", 550, "5.1.1", "5.1.1"),
        ("failed", 550, "", "5.0.0"),
        ("failed", 451, "4.4.7", "4.4.7"),
        ("failed", 550, "4.2.2", "5.2.2"),
        ("failed", 250, "2.1.5", "5.1.5"),
        ("failed", 599, "5.999.999", "5.999.999"),
        ("failed", 550, "5.1.1 x", "5.0.0"),
        ("failed", 550, "5.1.1000", "5.0.0"),
        ("failed", 550, "5.\u0661.1", "5.0.0"),
        ("delayed", 451, "4.7.1", "4.7.1"),
        ("delayed", 451, "5.7.1", "4.7.1"),
        ("delayed", 550, "", "4.0.0"),
    ],
)
def test_status_fits_the_action(action, code, status, expected):
    """The class of Status follows the action and the reply code, whatever the enhanced code claims."""
    assert replace(FAILED, action=action, reply=Reply(code, status, "")).status == expected


@pytest.mark.parametrize(
    "message_id",
    [
        "",
        "1@example.test",
        "<1>",
        "<<1@example.test>>",
        "<a@b> <c@d>",
        "<a@b>\r\nBcc: x@y",
        "<ä@b>",
        f"<{'a' * 1000}@b>",
    ],
)
def test_only_a_well_formed_message_id_is_referred_to(message_id):
    """In-Reply-To and References are left out rather than written wrong."""
    message = read(written(FAILED, original=replace(ORIGINAL, message_id=message_id)))[0]
    assert "In-Reply-To" not in message
    assert "References" not in message
    assert "Bcc" not in message


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Subject: Grüße"),
        ("=?utf-8?q?x=0D=0ABcc:_e@e?=", "Subject: x Bcc: e@e"),
        ("=?no-such?q?x?=", "Subject: =?no-such?q?x?="),
        ("=?utf-8?b?x?=", "Subject: =?utf-8?b?x?="),
        ("äöü \u202eevil", "Subject: äöü evil"),
    ],
)
def test_the_subject_is_readable(subject, shown):
    """The subject is decoded for people, and harmless."""
    content = written(FAILED, original=replace(ORIGINAL, subject=subject))
    message, text, _, _ = read(content)
    assert shown in text
    assert content.isascii()
    assert "Bcc" not in message


def test_addresses_outside_ascii_make_the_report_global():
    """A recipient outside ASCII is named in UTF-8 (RFC 6533); the report still has a 7-bit form."""
    content = written(replace(FAILED, forward_path="jörg@exämple.net"), DELAYED)
    _, text, groups, _ = read(content)
    assert [group.get("Final-Recipient") for group in groups] == [
        None,
        "utf-8; jörg@exämple.net",
        "rfc822; carol@example.net",
    ]
    assert "jörg@exämple.net" in text
    assert transmissible(content, eight_bit=True) is content
    assert transmissible(content, eight_bit=False).isascii()
    assert "To: jörg@exämple.net\r\n".encode() in written(FAILED, reverse_path="jörg@exämple.net")


@pytest.mark.parametrize(
    "header_section",
    [
        b"",
        b"Subject: \xc3\xa4\r\n",
        b"References: " + b"<a@b> " * 300 + b"\r\n",
        b"X: a \r\n .\r\nY: =20\r\n",
        b"X:" + b"a" * 996 + b"\r\n",
        b"X:" + b"a" * 997 + b"\r\n",
    ],
)
def test_the_header_section_comes_back_octet_by_octet(header_section):
    """The third part decodes to exactly the given octets, in 7-bit lines."""
    content = written(FAILED, original=replace(ORIGINAL, header_section=header_section))
    assert read(content)[3] == header_section
    assert content.isascii()


def test_the_boundary_is_in_no_part():
    """The boundary is the same for the same report, and another when a part contains it."""
    content = written(FAILED)
    assert content == written(FAILED)
    boundary = read(content)[0].get_boundary()
    hostile = replace(FAILED, reply=Reply(550, "5.0.0", f"--{boundary}--"))
    other = written(hostile, original=replace(ORIGINAL, header_section=f"X: --{boundary}\r\n".encode()))
    assert read(other)[0].get_boundary() != boundary
    assert len(read(other)[2]) == 2


HOSTILE = [
    "\r\n.\r\nMAIL FROM:<e@e>\r\n",
    "\n\nAction: delivered\n\nFinal-Recipient: rfc822; secret@example",
    "\r\nBcc: secret@example\r\n\r\nbody",
    "\0\x01\x1b[31m\x7f\x85\u2028Bcc: e@e\u2029\x0bX: y\x0c\x1c\x1d\x1eZ: z",
    "--=_\r\n--=_--\r\n",
    "x" * 10_240,
    "word " * 2048,
    "Ü" * 16_384,
    "\u202etxt.exe\ud800",
    ".",
    "From me",
    " " * 5000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_reply_stays_text(text):
    """No reply makes a header field, a field group, a part or an end of data (hardening.md 2C, C2)."""
    for remote_mta in ("mx.example.com", f"mx{text}"[:255]):
        content = written(replace(FAILED, reply=Reply(550, "5.7.1", text), remote_mta=remote_mta), DELAYED)
        message, _, groups, headers = read(content)
        assert content.isascii()
        assert "Bcc" not in message
        assert [sorted(fields(group)) for group in groups[1:]] == [
            sorted(fields(group)) for group in read(written(FAILED, DELAYED))[2][1:]
        ]
        assert headers == ORIGINAL.header_section


foreign = st.text(max_size=60) | st.sampled_from(HOSTILE) | st.text(alphabet="\r\n.-=_ :aä\0\u2028", max_size=200)
replies = st.builds(
    Reply, st.integers(200, 599), st.sampled_from(["", "5.1.1", "4.2.0"]) | st.text(max_size=9), foreign
)
moments = st.none() | st.just(NOW)
paths = st.sampled_from(["bob@example.com", '"a  b"@example.com', '"--=_"@example.com', "jörg@example.com"])
fates = st.builds(
    Fate, paths, st.sampled_from(["failed", "delayed"]), replies, foreign.map(lambda t: t[:255]), moments, moments
)
originals = st.builds(Original, foreign, foreign, st.just(ORIGINAL.header_section), st.just(NOW), st.just("q"))


@settings(max_examples=80, deadline=None)
@given(originals, st.lists(fates, min_size=1, max_size=4))
def test_any_report_is_well_formed(original, judged):
    """Whatever was said, a report has its three parts, one group for each fate in order, and lines that pass."""
    message, _, groups, headers = read(written(*judged, original=original))
    assert set(message.keys()) <= {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "In-Reply-To",
        "References",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    }
    assert [group["Final-Recipient"].partition("; ")[2] for group in groups[1:]] == [
        fate.forward_path for fate in judged
    ]
    assert [fields(group)["Action"] for group in groups[1:]] == [fate.action for fate in judged]
    assert all(fields(group)["Status"][0] in "45" for group in groups[1:])
    assert headers == ORIGINAL.header_section


def test_five_hundred_recipients():
    """A report on as many recipients as a message may have names each of them."""
    many = [replace(FAILED, forward_path=f"r{number}@example.com") for number in range(500)]
    _, text, groups, _ = read(written(*many))
    assert len(groups) == 501
    assert all(f"    r{number}@example.com" in text for number in range(500))


def test_advice_fits_the_failure():
    """Every subject of RFC 3463 and none has words on what to do."""
    for digit in "01234567":
        text = read(written(replace(FAILED, reply=Reply(550, f"5.{digit}.0", "no"))))[1]
        assert dsn._ADVICE.get(digit, dsn._GENERAL_ADVICE).split(";")[0] in " ".join(text.split())
