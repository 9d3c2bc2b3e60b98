"""May this message go out, to whom, and as which octets? Tables of hostile messages, then properties.

Octets in, outcome out: the exact refusal; or delivered are the submitted lines, less those that go, below those
that are added.
"""

import asyncio
import json
from base64 import b64encode, urlsafe_b64encode
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from email import message_from_bytes
from email.policy import default as modern
from itertools import chain, product

import pytest
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from postroad.database import content as contents
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.database.schema import content, recipient
from postroad.mail.address import BadAddress, Mailbox, parse_address, parse_list
from postroad.mail.copies import with_insertions
from postroad.mail.envelope import LOCAL, Recipients
from postroad.mail.message import parse
from postroad.mail.threads import message_id_of
from postroad.oauth import accounts
from postroad.refusals import (
    BodyTooLarge,
    FieldsInvalid,
    InvalidHeader,
    RecipientMissing,
    Refusal,
    ThreadIdInvalid,
)
from postroad.submission import (
    MAX_KEPT_NAME,
    PARSED_ON_LOOP,
    Policy,
    Prepared,
    Submission,
    author_line,
    prepare,
    thread_number,
    without,
)
from postroad.web.message_json import read

AUTHOR = "alice@origin.example"
OWN_ADDRESSES = (AUTHOR, "sales@origin.example")
OWN_ID = "<019b7cd1e2a4f00d@mx.origin.example>"
BOB = "bob@d.example"
POLICY = Policy(
    hostname="mx.origin.example",
    from_policy="rewrite",
    bcc_transactions="single",
    max_size=36_700_160,
    max_recipients=500,
)
GMAIL_ID = 0x019B7CD1E2A4F00D
NOW = 1_767_323_045_678
RECEIVED = (
    b"Received: by mx.origin.example (Postroad) with HTTP id 019b7cd1e2a4f00d;\r\n"
    b" Fri, 02 Jan 2026 03:04:05 +0000\r\n"
)
MISSING = {
    b"from": b"From: alice@origin.example\r\n",
    b"date": b"Date: Fri, 02 Jan 2026 03:04:05 +0000\r\n",
    b"message-id": b"Message-ID: <019b7cd1e2a4f00d@mx.origin.example>\r\n",
    b"mime-version": b"MIME-Version: 1.0\r\n",
}
GOES = {b"bcc", b"resent-bcc", b"return-path", b"authentication-results"}


# What should happen, found without the package: lines are split, not offsets counted.


@dataclass(frozen=True)
class Sent:
    """Delivered exactly: to these; with this From line in the place of the submitted one, if any."""

    visible: tuple[str, ...] = (BOB,)
    blind: tuple[str, ...] = ()
    author: bytes | None = None


def crlf(submitted: bytes) -> bytes:
    return submitted.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def fields(submitted: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The name (in lower case) and the lines of each field, and everything else."""
    found: list[tuple[bytes, bytes]] = []
    *whole, last = crlf(submitted).split(b"\r\n")
    lines = [line + b"\r\n" for line in whole] + [last]
    for number, line in enumerate(lines):
        if line == b"\r\n":
            return found, b"".join(lines[number:])
        if line[:1] in (b" ", b"\t"):
            name, before = found.pop()
            found.append((name, before + line))
        else:
            found.append((line.partition(b":")[0].lower(), line))
    return found, b""


def expected(submitted: bytes, author: bytes | None) -> tuple[bytes, bytes]:
    """The delivered copy and the author's."""
    found, rest = fields(submitted)
    present = {name for name, _ in found}
    top = [RECEIVED, *(line for name, line in MISSING.items() if name not in present)]
    kept = [(name, replaced(name, lines, author)) for name, lines in found]
    seen = [lines for name, lines in kept if name not in GOES]
    return b"".join([*top, *seen, rest]), b"".join([*top, *(lines for _, lines in kept), rest])


def replaced(name: bytes, lines: bytes, author: bytes | None) -> bytes:
    """What stands in the place of a field: `author` for From, and for a Message-ID that is none one that is."""
    if name == b"message-id" and not message_id_of(lines.partition(b":")[2].decode()):
        return MISSING[b"message-id"]
    return author if author and name == b"from" else lines


def delivered(prepared: Prepared) -> bytes:
    return prepared.copies.header_section + bytes(prepared.copies.rest)


def judge(submitted: bytes, author: str = AUTHOR, **policy: object) -> Prepared | Refusal:
    """What becomes of a message; anything raised but a refusal is a bug."""
    try:
        return prepare((author,), submitted, replace(POLICY, **policy), GMAIL_ID, NOW)
    except Refusal as refusal:
        return refusal


def refused(why: str) -> str:
    return f"InvalidMessage: Invalid message: {why}"


def in_words(refusal: Refusal) -> str:
    return f"{type(refusal).__name__}: {refusal}"


def assert_sent_exactly(prepared: Prepared, submitted: bytes, author: bytes | None) -> None:
    theirs, own = expected(submitted, author)
    assert delivered(prepared) == theirs
    assert with_insertions(theirs, prepared.copies.insertions) == own
    assert (prepared.copies.size, prepared.copies.authors_size) == (len(theirs), len(own))
    assert bytes(prepared.copies.rest)[:2] in (b"", b"\r\n")


def assert_outcome(submitted: bytes, outcome: Sent | str, **policy: object) -> None:
    found = judge(submitted, **policy)
    if isinstance(outcome, str):
        assert isinstance(found, Refusal)
        assert in_words(found) == outcome
        return
    assert isinstance(found, Prepared), in_words(found)
    assert found.recipients == Recipients(outcome.visible, outcome.blind)
    assert_sent_exactly(found, submitted, outcome.author)


def letter(*lines: str | bytes, body: bytes = b"Hi.\r\n", end: bytes = b"\r\n") -> bytes:
    """A message of these header lines."""
    header = [line.encode() if isinstance(line, str) else line for line in lines]
    return b"".join(line + end for line in [*header, b""]) + body


def to_bob(*lines: str | bytes, body: bytes = b"Hi.\r\n", end: bytes = b"\r\n") -> bytes:
    """A message to Bob with these further header lines."""
    return letter(f"To: {BOB}", *lines, body=body, end=end)


CR = refused("it holds a carriage return without a line feed")
NUL = refused("it holds a NUL octet")
CONTROL = refused("its header section holds a control character")
CHARSET = refused("its header section is neither US-ASCII nor UTF-8")
LEADING_SPACE = refused("its first line begins with white space")
LEADING_LINE = refused("it begins with an empty line")
SECTION = refused("its header section is over 262144 octets")
UNFOLDABLE = refused("a header line over 998 octets has no white space to fold at")
OPEN = refused("its last header line has no line end")
NAME = refused("a header field's name is over 255 octets")
C0 = sorted({*range(1, 32)} - {*b"\t\r\n"})
NOBODY = "RecipientMissing: Recipient address required"


def line(number: int) -> str:
    return refused(f"header line {number} is not of the form 'name: value'")


def header(name: str) -> str:
    return f"InvalidHeader: Invalid {name} header"


def crowd(size: int, name: str = "r") -> tuple[str, ...]:
    return tuple(f"{name}{number}@d.example" for number in range(size))


def long_list(name: str, some: tuple[str, ...]) -> str:
    return f"{name}: " + ",\r\n ".join(some)


def too_many(count: int) -> str:
    return f"TooManyRecipients: Too many recipients: {count} distinct addresses, the limit is 500"


def section_of(size: int, end: bytes) -> bytes:
    """A message whose header section has that many octets."""
    lines = b"To: bob@d.example\r\n" + (b"X: " + b"y" * 495 + b"\r\n") * 523
    return lines + b"X: " + b"y" * (size - len(lines) - 5) + b"\r\n" + end


def nested(kind: str, depth: int) -> bytes:
    if kind == "multipart":
        opening = "".join(
            f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in range(depth)
        )
        return to_bob()[:-7] + opening.encode() + b"\r\nHi.\r\n"
    return to_bob()[:-7] + b"Content-Type: message/rfc822\r\n\r\n" * depth + b"\r\nHi.\r\n"


def multipart(content_type: str, body: str, *more: str) -> bytes:
    return to_bob(f"Content-Type: {content_type}", *more, body=body.replace("\n", "\r\n").encode())


MAIL = "--b\nContent-Type: text/plain\n\nHi.\n--b\nContent-Type: text/html\n\n<p>Hi.\n--b--\n"
EVIL = f"Bcc: {BOB}"
LABELS = "".join(letter * 63 + "." for letter in "bcd")
THREE = ("To", "Cc", "Bcc")
TWICE = [
    ("From", AUTHOR),
    ("Sender", AUTHOR),
    ("Date", "Fri, 02 Jan 2026 03:04:05 +0000"),
    ("Subject", "Hello"),
    ("Message-ID", "<1@origin.example>"),
]

# (short id, submitted octets, outcome)
MESSAGES: list[tuple[str, bytes, Sent | str]] = [
    ("A1 bare CR in a header", to_bob(f"Subject: x\r{EVIL}"), CR),
    ("A1 bare CR in the last header line", to_bob("Subject: x\r"), CR),
    ("A1 CR CR LF", to_bob("Subject: x\r\r\nX: y"), CR),
    ("A1 LF CR", to_bob("Subject: x\n\rX: y"), CR),
    ("A1 bare CR before the empty line", b"To: bob@d.example\r\n\r\r\nHi.", CR),
    ("A1 bare CR in the body", to_bob(body=b"a\r.\r\nb"), CR),
    ("A2 LF alone", to_bob("Subject: x", "X: a\n b", end=b"\n", body=b"a\n\n.\nb\n"), Sent()),
    ("A2 LF alone, no body", to_bob("Subject: x", end=b"\n", body=b""), Sent()),
    ("A2 LF alone, no line end at the end", to_bob("Subject: x", end=b"\n", body=b"a\nb"), Sent()),
    ("A3 LF in a CRLF header", to_bob("Subject: x\nX: y\n z\r\n\tw\nZ: v"), Sent()),
    ("A3 CRLF header, LF body", to_bob("Subject: x", body=b"a\nb\r\nc\n"), Sent()),
    ("A3 LF header, CRLF body", to_bob("Subject: x", end=b"\n", body=b"a\r\nb\nc\r\n"), Sent()),
    ("A3 LF CRLF ends the header", b"To: bob@d.example\n\r\nBcc: x\n", Sent()),
    ("A3 CRLF LF ends the header", b"To: bob@d.example\r\n\nBcc: x\n", Sent()),
    ("A4 NUL in a value", to_bob("Subject: x\0y"), NUL),
    ("A4 NUL in a name", to_bob("Sub\0ject: x"), NUL),
    ("A4 NUL first", b"\0" + to_bob(), NUL),
    ("A4 NUL in the body", to_bob(body=b"a\0b"), NUL),
    ("A4 NUL in an 8bit body", to_bob("Content-Transfer-Encoding: 8bit", body=b"\xff\0"), NUL),
    *((f"A5 {octet:#04x}", to_bob(f"Subject: x{chr(octet)}{EVIL}"), CONTROL) for octet in C0),
    ("A5 TAB", to_bob(f"Subject: x\t{EVIL}"), Sent()),
    ("A5 DEL", to_bob(f"Subject: x\x7f{EVIL}"), Sent()),
    ("A5 U+0085", to_bob(f"Subject: x\x85{EVIL}"), Sent()),
    ("A5 octet 0x85", to_bob(b"Subject: x\x85Bcc: y"), CHARSET),
    ("A5 U+2028", to_bob(f"Subject: x\u2028{EVIL}"), Sent()),
    ("A5 U+2029", to_bob(f"Subject: x\u2029{EVIL}"), Sent()),
    ("A5 U+2028 in a display name", b"To: x\xe2\x80\xa8y <bob@d.example>\r\n\r\n", Sent()),
    ("A5 controls in the body", to_bob(body=bytes(range(1, 9)) + b"\x0b\x0c\x1c\x1d\x1e\x85\r\n"), Sent()),
    ("A6 encoded line break in Subject", to_bob("Subject: =?UTF-8?Q?y=0D=0ABcc:_evil@e.example?="), Sent()),
    ("A6 encoded line break in base64", to_bob("Subject: =?UTF-8?B?DQpCY2M6IGVAZS5leGFtcGxl?="), Sent()),
    ("A6 encoded line break in a display name", letter("To: =?u?q?=0D=0ABcc=3A_e?= <bob@d.example>"), Sent()),
    ("A6 encoded word with a colon", letter("To: =?u?q?=0D=0ABcc:_e?= <bob@d.example>"), header("To")),
    ("A6 encoded line break in a parameter", to_bob("Content-Type: text/plain; name*=utf-8''%0D%0ABcc:e"), Sent()),
    ("A7 space before the colon", to_bob(f"Bcc : {BOB}"), line(2)),
    ("A7 TAB before the colon", to_bob(f"Bcc\t: {BOB}"), line(2)),
    ("A7 fold before the colon", to_bob(f"Bcc\r\n : {BOB}"), line(2)),
    ("A7 fold in the name", to_bob(f"B\r\n cc: {BOB}"), line(2)),
    ("A7 mbox line", to_bob(">From x", EVIL), line(2)),
    ("A7 garbage line", to_bob("garbage", EVIL), line(2)),
    ("A7 garbage line after a fold", to_bob("X: a\r\n b\r\n c", "garbage", EVIL), line(5)),
    ("A7 NUL in the name", to_bob(b"B\0cc: e@e.example"), NUL),
    ("A7 octet in the name", to_bob(b"Bcc\xe9: e@e.example"), CHARSET),
    ("A7 letter in the name", to_bob("Bccé: e@e.example"), line(2)),
    ("A7 homoglyph in the name", to_bob("B\u0441\u0441: e@e.example"), line(2)),
    ("A7 zero width space before the name", to_bob("\u200bBcc: e@e.example"), line(2)),
    ("A7 full-width colon", to_bob("Bcc\uff1a e@e.example"), line(2)),
    ("A7 byte-order mark", b"\xef\xbb\xbf" + to_bob(), line(1)),
    ("A7 space in the name", to_bob("B cc: e@e.example"), line(2)),
    ("A7 name alone", to_bob("Bcc"), line(2)),
    ("A8 leading empty line", b"\r\n" + to_bob(), LEADING_LINE),
    ("A8 leading LF", b"\n" + to_bob(end=b"\n"), LEADING_LINE),
    ("A8 two leading empty lines", b"\r\n\r\n" + to_bob(), LEADING_LINE),
    ("A8 leading space", b" " + to_bob(), LEADING_SPACE),
    ("A8 leading TAB", b"\t" + to_bob(), LEADING_SPACE),
    ("A8 leading white line", b" \r\n" + to_bob(), LEADING_SPACE),
    ("A8 mbox line first", b"From x Mon Jan  1 00:00:00 2026\r\n" + to_bob(), line(1)),
    ("A8 quoted mbox line first", b">From x Mon Jan  1 00:00:00 2026\r\n" + to_bob(), line(1)),
    *((f"A9 two {name}", to_bob(f"{name}: {text}", f"{name}: {text}"), header(name)) for name, text in TWICE),
    *((f"A9 {name} and {name.upper()}", to_bob(f"{name}: {text}", "X: y", f"{name.upper()}:"), header(name))
      for name, text in TWICE),
    ("A9 two To", to_bob("To: carol@d.example, bob@d.example"), Sent((BOB, "carol@d.example"))),
    ("A9 two Cc", to_bob("Cc: c@d.example", "CC: d@d.example"), Sent((BOB, "c@d.example", "d@d.example"))),
    ("A9 two Bcc", to_bob("Bcc: c@d.example", "BCC: d@d.example"), Sent((BOB,), ("c@d.example", "d@d.example"))),
    ("A9 second To unreadable", to_bob("To: x"), header("To")),
    ("A9 From in the body", to_bob(f"From: {AUTHOR}", body=b"From: e@e.example\r\n"), Sent()),
    ("A10 space before a second From", b" From: e@e.example\r\n" + to_bob(f"From: {AUTHOR}"), LEADING_SPACE),
    ("A10 indented From under From", to_bob(f"From: {AUTHOR}", " From: e@e.example"), header("From")),
    ("A10 indented From under To", b"To: bob@d.example\r\n From: e@e.example\r\n\r\n", header("To")),
    ("A10 indented From under Subject", to_bob("Subject: x", " From: e@e.example"), Sent()),
    ("A10 space before its colon", to_bob(f"From: {AUTHOR}", "From : e@e.example"), line(3)),
    ("A10 fold before its colon", to_bob(f"From: {AUTHOR}", "From\r\n : e@e.example"), line(3)),
    ("A11 two people", to_bob(f"From: {AUTHOR}, e@e.example"), header("From")),
    ("A11 two people, both the author", to_bob(f"From: A <{AUTHOR}>, ALICE@Origin.example"), Sent()),
    ("A11 text after the address", to_bob("From: <alice@origin.example>e@e.example"), header("From")),
    ("A11 source route", to_bob(f"From: <@r.example,@s.example:{AUTHOR}>"), header("From")),
    ("A11 escaped comma", to_bob(r"From: alice\,e@origin.example"), header("From")),
    ("A11 encoded-word address", to_bob("From: =?u?q?alice=40origin.example?="), header("From")),
    ("A11 encoded-word local part", to_bob("From: =?u?q?alice?=@origin.example"), header("From")),
    ("A11 address as display name", to_bob(f"From: {AUTHOR} <e@e.example>"), header("From")),
    ("A11 quoted address as display name", to_bob(f'From: "e@e.example" <{AUTHOR}>'), Sent()),
    ("A11 two angle addresses", to_bob(f"From: <{AUTHOR}><e@e.example>"), header("From")),
    ("A11 group of the author", to_bob(f"From: g: {AUTHOR};"), Sent()),
    ("A11 group with another", to_bob(f"From: g: {AUTHOR}, e@e.example;"), header("From")),
    ("A11 empty group", to_bob("From: g:;"), header("From")),
    ("A12 another user", to_bob("From: eve@origin.example"), Sent(author=b"From: alice@origin.example\r\n")),
    ("A12 another domain", to_bob("FROM: E <e@e.example>"), Sent(author=b"From: E <alice@origin.example>\r\n")),
    ("A12 subdomain", to_bob("From: alice@a.origin.example"), Sent(author=b"From: alice@origin.example\r\n")),
    ("A13 long words", to_bob("Subject: " + "x" * 1500), UNFOLDABLE),
    ("A13 foldable, a thousand words", to_bob("Subject:" + " word" * 1000), Sent()),
    ("A13 over 78", to_bob("Subject: " + "x" * 100), Sent()),
    *((f"A13 {size}, no space", to_bob("X:" + "y" * (size - 2)), Sent()) for size in (997, 998)),
    *((f"A13 {size}, no space", to_bob("X:" + "y" * (size - 2)), UNFOLDABLE) for size in (999, 1000, 100_000)),
    *((f"A13 {size}, space", to_bob("X: " + "y" * (size - 3)), Sent()) for size in (997, 998, 999, 1000)),
    ("A13 fold line of 998", to_bob("X: y\r\n " + "z" * 997), Sent()),
    ("A13 fold line of 999", to_bob("X: y\r\n " + "z" * 998), UNFOLDABLE),
    ("A13 a million, no space", to_bob("X:" + "y" * 999_998), SECTION),
    ("A13 a million, spaces", to_bob("X:" + " y" * 499_999), SECTION),
    ("A13 over-long lines of what goes", to_bob("Return-Path:" + "y" * 2000), Sent()),
    *((f"A14 body line of {size}", to_bob(body=b"y" * size + b"\r\n"), Sent()) for size in (998, 999, 1_000_000)),
    ("A14 base64 line of 4000", to_bob("Content-Transfer-Encoding: base64", body=b"QUJD" * 1000), Sent()),
    ("A15 262,144 octets", section_of(262_144, b"\r\nHi."), Sent()),
    ("A15 262,144 octets, no body", section_of(262_144, b""), Sent()),
    ("A15 262,145 octets", section_of(262_145, b"\r\nHi."), SECTION),
    ("A15 262,145 octets, no body", section_of(262_145, b""), SECTION),
    ("A15 no empty line", to_bob(b"X: " + b"y" * 300_000)[:-7], SECTION),
    ("A15 1000 fields", to_bob(*["X: y"] * 999), Sent()),
    ("A15 1001 fields", to_bob(*["X: y"] * 1000), refused("it has 1001 header fields, the limit is 1000")),
    ("A15 empty name", to_bob(": x"), line(2)),
    ("A15 name of 255", to_bob("X" * 255 + ": y"), Sent()),
    ("A15 name of 256", to_bob("X" * 256 + ": y"), NAME),
    ("A15 name of 10,000", to_bob("X" * 10_000 + ": y"), NAME),
    ("A16 UTF-8 in Subject", to_bob("Subject: Grüße 😀"), Sent()),
    ("A16 UTF-8 in a display name", "To: Jürgen <bob@d.example>\r\n\r\n".encode(), Sent()),
    ("A16 UTF-8 in an address", "To: jürgen@d.example\r\n\r\n".encode(), Sent(("jürgen@d.example",))),
    ("A16 Latin-1 in Subject", to_bob(b"Subject: Gr\xfc\xdfe"), CHARSET),
    ("A16 Latin-1 in a display name", b"To: J\xfcrgen <bob@d.example>\r\n\r\n", CHARSET),
    ("A16 a character cut by a fold", to_bob(b"Subject: \xc3\r\n \xbc"), CHARSET),
    ("A16 surrogate", to_bob(b"Subject: \xed\xa0\x80"), CHARSET),
    ("A16 Latin-1 in the body", to_bob(body=b"Gr\xfc\xdfe\r\n"), Sent()),
    ("A17 500 distinct", letter(*(long_list(name, crowd(500)) for name in THREE * 2)), Sent(crowd(500))),
    ("A17 501 distinct", letter(*(long_list(name, crowd(500)) for name in THREE), "Bcc: x@d.eu"), too_many(501)),
    ("A17 200 + 200 + 100",
     letter(long_list("To", crowd(200)), long_list("Cc", crowd(200, "s")), long_list("Bcc", crowd(100, "t"))),
     Sent(crowd(200) + crowd(200, "s"), crowd(100, "t"))),
    ("A17 19,000", letter(long_list("To", tuple(f"{number}@d.eu" for number in range(19_000)))), too_many(19_000)),
    ("A17 100,000", long_list("To", crowd(100_000)).encode() + b"\r\n\r\n", SECTION),
    ("A18 no recipient field", b"Subject: x\r\n\r\nTo: bob@d.example\r\n", NOBODY),
    ("A18 empty fields", b"To:\r\nCc: \r\nBcc:\r\n \r\n\r\n", NOBODY),
    ("A18 undisclosed recipients", b"To: undisclosed-recipients:;\r\n\r\n", NOBODY),
    ("A18 undisclosed recipients and a Bcc", letter("To: undisclosed-recipients:;", EVIL), Sent((), (BOB,))),
    ("A18 empty Cc and Bcc", to_bob("Cc:", "Bcc:"), Sent()),
    ("A18 only a comment", b"To: (bob@d.example)\r\n\r\n", NOBODY),
    ("A18 only Resent-To", b"Resent-To: bob@d.example\r\nReply-To: bob@d.example\r\n\r\n", NOBODY),
    ("A19 group", b"To: g: a@d.example, c@d.example;\r\n\r\n", Sent(("a@d.example", "c@d.example"))),
    ("A19 groups between", letter("To: a@d.eu, g:;, h: b@d.eu;, c@d.eu"), Sent(("a@d.eu", "b@d.eu", "c@d.eu"))),
    ("A19 nested group", b"To: g: h: bob@d.example;;\r\n\r\n", header("To")),
    ("A19 unclosed group", b"To: g: bob@d.example\r\n\r\n", header("To")),
    ("A19 semicolon for a comma", b"To: bob@d.example;c@d.example\r\n\r\n", header("To")),
    ("A19 semicolon at the end", b"To: bob@d.example;\r\n\r\n", header("To")),
    ("A20 address in a comment", b"To: bob@d.example(<x@evil.example>)\r\n\r\n", Sent()),
    ("A20 comment in place of a domain's dot", b"To: bob@d(<x@evil.example>)\r\n\r\n", header("To")),
    ("A20 50 comments deep", b"To: " + b"(" * 50 + b")" * 50 + b"bob@d.example\r\n\r\n", Sent()),
    ("A20 51 comments deep", b"To: " + b"(" * 51 + b")" * 51 + b"bob@d.example\r\n\r\n", header("To")),
    ("A20 1,000 comments deep", b"To: " + b" (" * 1000 + b" )" * 1000 + b"bob@d.example\r\n\r\n", header("To")),
    ("A20 16,000 open comments", b"To: bob@d.example " + b" (" * 16_000 + b"\r\n\r\n", header("To")),
    ("A20 deep comments in Subject", to_bob("Subject:" + " (" * 16_000), Sent()),
    ("A21 no boundary", multipart("multipart/mixed", MAIL), Sent()),
    ("A21 empty boundary", multipart('multipart/mixed; boundary=""', MAIL), Sent()),
    ("A21 unclosed boundary", multipart("multipart/mixed; boundary=b", MAIL.removesuffix("--b--\n")), Sent()),
    ("A21 boundary that never stands", multipart("multipart/mixed; boundary=c", MAIL), Sent()),
    ("A21 prefix of another", multipart("multipart/mixed; boundary=b", MAIL + MAIL.replace("b", "bb")), Sent()),
    ("A21 boundary of 2,048", multipart(f"multipart/mixed;\r\n boundary={'b ' * 1024}", MAIL), Sent()),
    ("A21 quotes in the boundary", multipart(r'multipart/mixed; boundary="b\"b"', MAIL), Sent()),
    ("A21 trailing space in the boundary", multipart('multipart/mixed; boundary="b "', MAIL), Sent()),
    ("A21 two Content-Types", multipart("multipart/mixed; boundary=b", MAIL, "Content-Type: text/plain"), Sent()),
    ("A21 two encodings", to_bob("Content-Transfer-Encoding: base64", "content-transfer-encoding: 7bit"), Sent()),
    ("A21 signed", multipart("multipart/signed; boundary=b; micalg=sha-256; protocol=x/y", MAIL), Sent()),
    *((f"A22 {depth} multiparts deep", nested("multipart", depth), Sent()) for depth in (100, 500, 10_000)),
    *((f"A22 {depth} messages deep", nested("message", depth), Sent()) for depth in (100, 500, 10_000)),
    ("A22 100,000 parts", multipart("multipart/mixed; boundary=b", "--b\n\nx\n" * 100_000 + "--b--\n"), Sent()),
    ("A24 no octets", b"", OPEN),
    ("A24 no header section", b"\r\n\r\nHi.\r\n", LEADING_LINE),
    ("A24 cut in the header", b"To: bob@d.example\r\nSubject: x", OPEN),
    ("A24 cut before the empty line", b"To: bob@d.example\r\n", Sent()),
    ("A24 no body", b"To: bob@d.example\r\n\r\n", Sent()),
    ("A26 Content-Length", to_bob("Content-Length: 5"), Sent()),
    ("A26 Return-Path", to_bob("Return-Path: <e@e.example>"), Sent()),
    ("A26 two Return-Paths around", b"return-path: <>\r\n" + to_bob("RETURN-PATH:\r\n <x>"), Sent()),
    ("A26 A-R", to_bob("Authentication-Results: mx; spf=pass", "AUTHENTICATION-RESULTS: x"), Sent()),
    ("A26 DKIM-Signature", to_bob("DKIM-Signature: v=1; h=bcc"), Sent()),
    ("A26 Received, 50", to_bob(*["Received: x"] * 50), Sent()),
    ("A26 Received, 51", to_bob(*["Received: x"] * 51), refused("it has over 50 Received fields: a mail loop")),
]  # fmt: skip

# (short id, the text of the JSON field `raw`, the octets it means or None)
RAW = to_bob(body=b"Hi.\xfb\xff\r\n")
ENCODED = urlsafe_b64encode(RAW).decode()
RAWS: list[tuple[str, str, bytes | None]] = [
    ("A23 padded", ENCODED, RAW),
    ("A23 unpadded", ENCODED.rstrip("="), RAW),
    ("A23 standard alphabet", b64encode(RAW).decode(), RAW),
    ("A23 white space", "\r\n ".join(ENCODED[at : at + 7] for at in range(0, len(ENCODED), 7)), RAW),
    ("A23 junk", ENCODED[:8] + "!" + ENCODED[8:], None),
    ("A23 junk at the end", ENCODED.rstrip("=") + "*", None),
    ("A23 letters beyond ASCII", ENCODED[:8] + "ä" + ENCODED[8:], None),
    ("A23 data after the padding", urlsafe_b64encode(RAW + b"x" * (-len(RAW) % 3 + 1)).decode() + "QkJC", None),
    ("A23 padding inside", "QQ==" + ENCODED, None),
    ("A23 too much padding", ENCODED.rstrip("=") + "===", None),
    ("A23 one character too many", ENCODED.rstrip("=")[: len(ENCODED) // 4 * 4 - 4] + "Q", None),
]


@pytest.mark.parametrize(("submitted", "outcome"), [row[1:] for row in MESSAGES], ids=[row[0] for row in MESSAGES])
def test_a_message_goes_out_exactly_or_not_at_all(submitted, outcome):
    """A message is delivered meaning what its octets say, or refused in these words."""
    assert_outcome(submitted, outcome)


@pytest.mark.parametrize(("text", "octets"), [row[1:] for row in RAWS], ids=[row[0] for row in RAWS])
def test_raw_is_decoded_whole_or_not_at_all(text, octets):
    """Base64 of either alphabet is the message it encodes; what a lenient decoder would skip is refused."""
    body = bytearray(json.dumps({"raw": text}).encode())
    if octets is None:
        with pytest.raises(FieldsInvalid):
            read(body)
    else:
        assert_outcome(bytes(read(body).raw), Sent())
        assert read(body).raw == octets


# (short id, a field body, the addresses it means or None)
LISTS: list[tuple[str, str, tuple[str, ...] | None]] = [
    ("B1 quoted local part", '"a b"@d.example', ('"a b"@d.example',)),
    ("B1 SMTPUTF8", "ü@d.example", ("ü@d.example",)),
    ("B1 dots", "a..b@d.example", None),
    ("B1 no local part", "@d.example", None),
    ("B1 no domain", "a@", None),
    ("B1 two at signs", "a@b@d.example", None),
    ("B1 obsolete local part", "a . b@d.example", None),
    ("B2 escaped quote", r'"a\"b"@d.example', (r'"a\"b"@d.example',)),
    ("B2 address in quotes", '"a@evil.example"@d.example', ('"a@evil.example"@d.example',)),
    ("B2 needless quotes", '"a.b"@d.example', ("a.b@d.example",)),
    ("B3 encoded word as local part", "=?utf-8?q?x=40evil.example=3E?=@d.example", None),
    ("B3 encoded word in angle brackets", "A <=?utf-8?q?x?=@d.example>", None),
    ("B3 encoded word in quotes", '"=?utf-8?q?x?="@d.example', None),
    ("B3 encoded word as domain", "a@=?utf-8?q?d?=.example", None),
    ("B3 encoded address", "=?utf-8?q?a=40d.example?=", None),
    ("B3 encoded word as display name", "=?utf-8?q?x=40evil.example?= <a@d.example>", ("a@d.example",)),
    ("B4 address before angle brackets", "attacker@evil.example <victim@d.example>", None),
    ("B4 address against angle brackets", "victim@d.example<attacker@evil.example>", None),
    ("B4 two angle addresses", "<a@d.example><b@d.example>", None),
    ("B4 address after angle brackets", "<a@d.example> b@d.example", None),
    ("B5 space", "a b@d.example", None),
    ("B5 TAB in quotes", '"a\tb"@d.example', None),
    ("B5 DEL", "a\x7fb@d.example", None),
    ("B5 U+0085", "a\x85b@d.example", None),
    ("B5 greater-than", "a>b@d.example", None),
    ("B5 a parameter", "<a@d.example> SIZE=1", None),
    ("B5 a parameter within", "<a@d.example NOTIFY=NEVER>", None),
    ("B5 folded address", "a@\r\n d.example", ("a@d.example",)),
    ("B5 folded local part", "a\r\n b@d.example", None),
    ("B6 local part of 64", "a" * 64 + "@d.example", ("a" * 64 + "@d.example",)),
    ("B6 local part of 65", "a" * 65 + "@d.example", None),
    ("B6 label of 63", f"a@{'d' * 63}.example", (f"a@{'d' * 63}.example",)),
    ("B6 label of 64", f"a@{'d' * 64}.example", None),
    ("B6 path of 256", f"a@{LABELS}{'d' * 60}", (f"a@{LABELS}{'d' * 60}",)),
    ("B6 path of 257", f"a@{LABELS}{'d' * 61}", None),
    ("B7 IDN", "a@bücher.example", ("a@xn--bcher-kva.example",)),
    ("B7 ideographic dot", "a@b\u3002example", ("a@b.example",)),
    ("B7 upper-case sharp s", "a@STRA\u1e9eE.example", ("a@xn--strae-oqa.example",)),
    ("B7 mixed script", "a@p\u0430ypal.example", ("a@xn--pypal-4ve.example",)),
    ("B7 joiner without context", "a@a\u200db.example", None),
    ("B7 invalid A-label", "a@xn--a.example", None),
    ("B8 IPv4 literal", "a@[127.0.0.1]", None),
    ("B8 IPv6 literal", "a@[IPv6:::1]", None),
    ("B8 bare IPv4", "a@127.0.0.1", None),
    ("B8 localhost", "a@localhost", None),
    ("B8 no dot", "a@host", None),
    ("B8 trailing dot", "a@d.example.", None),
    ("B9 option", "-oQ/tmp@d.example", ("-oQ/tmp@d.example",)),
    ("B9 pipe", "|cmd@d.example", ("|cmd@d.example",)),
    ("B9 path", '"../x"@d.example', ('"../x"@d.example',)),
    ("B9 format", "%s@d.example", ("%s@d.example",)),
    ("B9 shell", "`id`@d.example", ("`id`@d.example",)),
    ("B10 twice", "a@d.example, A <a@D.Example>", ("a@d.example",)),
    ("B10 case of the local part", "a@d.example, A@d.example", ("a@d.example", "A@d.example")),
    ("B10 tag", "a+t@d.example, a@d.example", ("a+t@d.example", "a@d.example")),
    ("B10 dots", "a.b@d.example, ab@d.example", ("a.b@d.example", "ab@d.example")),
]


@pytest.mark.parametrize(("body", "addresses"), [row[1:] for row in LISTS], ids=[row[0] for row in LISTS])
def test_recipients_are_exactly_those_written(body, addresses):
    """To, Cc and Bcc mean exactly the addresses they name, or the message is refused by the field's name."""
    for name in THREE:
        outcome = Sent((), addresses or ()) if name == "Bcc" else Sent(addresses or ())
        assert_outcome(letter(f"{name}: {body}", "Subject: x"), outcome if addresses else header(name))


@pytest.mark.parametrize(("body", "addresses"), [row[1:] for row in LISTS], ids=[row[0] for row in LISTS])
def test_an_author_is_read_as_strictly(body, addresses):
    """What is refused as a recipient is refused as From; one other person becomes the author."""
    found = judge(to_bob(f"From: {body}"))
    if addresses is None or "," in body:
        assert in_words(found) == header("From")
    else:
        assert f"<{AUTHOR}>\r\n".encode() in delivered(found) or f"From: {AUTHOR}\r\n".encode() in delivered(found)
        assert addresses[0].encode() not in delivered(found)


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        (["Bcc: bob@d.example"], Sent()),
        (["Bcc: bob@D.EXAMPLE", "Cc: Bob <bob@d.example>"], Sent()),
        (["Bcc: Bob@d.example"], Sent((BOB,), ("Bob@d.example",))),
        (["Bcc: bob+tag@d.example"], Sent((BOB,), ("bob+tag@d.example",))),
        (["Bcc: b.ob@d.example"], Sent((BOB,), ("b.ob@d.example",))),
        (["Cc: c@d.example", "Bcc: c@d.example, e@d.example"], Sent((BOB, "c@d.example"), ("e@d.example",))),
        (["Bcc: alice@origin.example"], Sent((BOB,), (AUTHOR,))),
    ],
)
def test_a_recipient_counts_once(lines, outcome):
    """An address in To and in Bcc counts as To; only the domain's case is nothing (B10)."""
    assert_outcome(to_bob(*lines), outcome)
    assert_outcome(letter(*reversed([f"To: {BOB}", *lines])), outcome)


# (what stands in From, the line that takes its place, or None when it may stand) under `rewrite`
ME = b"From: alice@origin.example\r\n"
OWN = [
    AUTHOR,
    "ALICE@origin.example",
    "Alice@ORIGIN.Example",
    f"Alice L. <{AUTHOR}>",
    f"=?utf-8?q?Alice?=\r\n <{AUTHOR}>",
    f'"bob@d.example" <{AUTHOR}>',
    f"{AUTHOR} (Alice)",
    '"alice"@origin.example',
    f"Alices: {AUTHOR}, Alice@origin.example;",
    f"{AUTHOR},\r\n Alice <{AUTHOR}>",
    "alice@ORIGIN\u3002example",
]
ABSENT = ["", " ", "\r\n ", "me", "ME", "  me\t", "\r\n me"]
FOREIGN = [
    ("eve@d.example", ME),
    ("<eve@d.example>", ME),
    ("alice@d.example", ME),
    ("alice+tag@origin.example", ME),
    ("al.ice@origin.example", ME),
    ("alice@\u043erigin.example", ME),
    ("al\u0131ce@origin.example", ME),
    ("eve@d.example (Eve)", ME),
    ("(Eve) Eve (the other) <eve@d.example>", b"From: Eve <alice@origin.example>\r\n"),
    ("Eve <eve@d.example>", b"From: Eve <alice@origin.example>\r\n"),
    ("Eve\r\n\tof  Eden\r\n <eve@d.example>", b"From: Eve of Eden <alice@origin.example>\r\n"),
    ('"Eve, E." <eve@d.example>', b'From: "Eve, E." <alice@origin.example>\r\n'),
    (r'"E\"v\\e" <eve@d.example>', rb'From: "E\"v\\e" <alice@origin.example>' + b"\r\n"),
    ('"" <eve@d.example>', b'From: "" <alice@origin.example>\r\n'),
    ("=?utf-8?q?=0D=0ABcc=3A_e?= <eve@d.example>", b"From: =?utf-8?q?=0D=0ABcc=3A_e?= <alice@origin.example>\r\n"),
    ("Ève <eve@d.example>", "From: Ève <alice@origin.example>\r\n".encode()),
    ("E\u2028ve <eve@d.example>", "From: E\u2028ve <alice@origin.example>\r\n".encode()),
    ("Alice <alice@d.example>", b"From: Alice <alice@origin.example>\r\n"),
    ("Eves: eve@d.example;", ME),
    ("e " * (MAX_KEPT_NAME // 2 - 1) + "ee <eve@d.example>",
     b"From: " + b"e " * (MAX_KEPT_NAME // 2 - 1) + b"ee <alice@origin.example>\r\n"),
    ("e " * (MAX_KEPT_NAME // 2 - 1) + "eee <eve@d.example>", ME),
    ("ü" * (MAX_KEPT_NAME // 2) + " <eve@d.example>",
     ("From: " + "ü" * (MAX_KEPT_NAME // 2) + " <alice@origin.example>\r\n").encode()),
    ("ü" * (MAX_KEPT_NAME // 2) + "e <eve@d.example>", ME),
]  # fmt: skip
NEVER = [
    f"{AUTHOR}, eve@d.example",
    f"eve@d.example, {AUTHOR}",
    "eve@d.example, eve@e.example",
    "Both: alice@origin.example, eve@d.example;",
    "Alice",
    '"me"',
    "<me>",
    "Me <me>",
    "me, eve@d.example",
    f"Alice {AUTHOR}",
    f"<{AUTHOR}",
    f"{AUTHOR} eve@d.example",
    f"<@d.example:{AUTHOR}>",
    "alice@localhost",
    "nobody:;",
    "(nobody)",
    ",",
]


def author_field(body: str) -> bytes:
    return to_bob("Subject: x", f"fRoM:{body}", "X: y")


@pytest.mark.parametrize("policy", ["rewrite", "refuse"])
def test_a_missing_author_is_the_account(policy):
    """Without a From the account's own is added."""
    assert_outcome(to_bob(), Sent(), from_policy=policy)
    assert ME in delivered(judge(to_bob(), from_policy=policy))


@pytest.mark.parametrize("policy", ["rewrite", "refuse"])
@pytest.mark.parametrize("body", ABSENT)
def test_an_empty_author_is_the_account(body, policy):
    """An empty From, and the word me, become the account's own address where they stand."""
    assert_outcome(author_field(body), Sent(author=ME), from_policy=policy)


@pytest.mark.parametrize("policy", ["rewrite", "refuse"])
@pytest.mark.parametrize("body", OWN)
def test_an_authors_own_spelling_stands(body, policy):
    """The account's own address stands as it was written, in any case, with any name, even twice."""
    assert_outcome(author_field(body), Sent(), from_policy=policy)


@pytest.mark.parametrize(("body", "line"), FOREIGN)
def test_anothers_address_is_rewritten_or_refused(body, line):
    """Another's address becomes the account's under the name given; under `refuse` the message is refused."""
    assert_outcome(author_field(body), Sent(author=line))
    assert_outcome(author_field(body), header("From"), from_policy="refuse")


@pytest.mark.parametrize("policy", ["rewrite", "refuse"])
@pytest.mark.parametrize("body", NEVER)
def test_an_unclear_author_is_refused(body, policy):
    """From that names several people, nobody, or cannot be read is refused under either policy."""
    assert_outcome(author_field(body), header("From"), from_policy=policy)


def test_an_authors_other_address_stands():
    """An alias is kept as it was written, alone or beside the account's address, which takes any other's place."""
    for body in ("Sales <SALES@origin.example>", f"sales@origin.example, {AUTHOR}"):
        assert author_line(parse(to_bob(f"From: {body}")), OWN_ADDRESSES, "refuse") is None
    line = author_line(parse(to_bob("From: Eve <eve@d.example>")), OWN_ADDRESSES, "rewrite")
    assert line == f"From: Eve <{AUTHOR}>\r\n".encode()
    with pytest.raises(InvalidHeader) as foreign:
        author_line(parse(to_bob("From: eve@d.example")), OWN_ADDRESSES, "refuse")
    assert foreign.value.why == f"From is not {AUTHOR} or sales@origin.example"


def test_a_kelvin_sign_is_no_k():
    """An account does not pass for its neighbour by a letter that folds to the same one."""
    found = judge(to_bob("From: \u212aate@origin.example"), author="kate@origin.example")
    assert b"\r\nFrom: kate@origin.example\r\n" in delivered(found)


@pytest.mark.parametrize("author", ['"a b"@origin.example', "jürgen@origin.example", "a@xn--bcher-kva.example"])
def test_any_account_can_be_an_author(author):
    """Whatever its address looks like, an account's From is added, recognised and written in another's place."""
    line = f"From: {author}\r\n".encode()
    assert line in delivered(judge(to_bob(), author=author))
    assert author_line(parse(to_bob(f"From: A <{author}>")), (author,), "refuse") is None
    assert author_line(parse(to_bob("From: eve@d.example")), (author,), "rewrite") == line


@pytest.mark.parametrize(
    ("submitted", "longest", "eight_bit", "utf8_header"),
    [
        (to_bob(), 998, False, False),
        (to_bob(body=b"y" * 998), 998, False, False),
        (to_bob(body=b"y" * 999), 999, False, False),
        (to_bob(body=b"y" * 999 + b"\r\n" + b"y" * 70_000 + b"\n"), 70_000, False, False),
        (to_bob("X: " + "y z" * 400), 1203, False, False),
        (to_bob(body=b"\x80"), 998, True, False),
        (to_bob(body=b"x" * 70_000 + b"\xff"), 70_001, True, False),
        (to_bob("Subject: ü"), 998, False, True),
        (to_bob("Bcc: ü <a@d.example>", "Return-Path: ü"), 998, False, False),
        (to_bob("From: ü <eve@d.example>"), 998, False, True),
    ],
)
def test_facts_are_stored_with_a_message(submitted, longest, eight_bit, utf8_header):
    """The facts that decide how a message may travel are those of the delivered copy."""
    found = judge(submitted)
    assert max(found.body.longest_line, 998) == longest
    assert (found.body.eight_bit, found.utf8_header) == (eight_bit, utf8_header)


@pytest.mark.parametrize(
    ("lines", "optional"),
    [
        ((), False),
        (("TLS-Required: No",), True),
        (("tls-required:no ",), True),
        (("TLS-Required:\r\n NO",), True),
        (("TLS-Required: Yes",), False),
        (("TLS-Required: No (really)",), False),
        (("TLS-Required:",), False),
        (("X-TLS-Required: No",), False),
        (("TLS-Required: No", "TLS-Required: No"), False),
        (("TLS-Required: No", "TLS-Required: Yes"), False),
    ],
)
def test_tls_is_optional_where_the_author_says_so(lines, optional):
    """By one header field with that one value (RFC 8689 section 3), which is delivered with the message."""
    found = judge(to_bob(*lines))
    assert found.tls_optional is optional
    assert all(line.encode() in delivered(found) for line in lines)


def test_an_author_beyond_ascii_makes_a_header_beyond_ascii():
    """The added From counts when a header section is asked for octets over 127."""
    assert judge(to_bob(), author="jürgen@origin.example").utf8_header


@pytest.mark.parametrize(
    ("lines", "message_id"),
    [
        ([], OWN_ID),
        (["Message-ID: <1@d.example>"], "<1@d.example>"),
        (["message-id:\r\n <1@d.example>\r\n "], "<1@d.example>"),
        (["Message-ID: <1@d.example> (mine)"], "<1@d.example>"),
        (["Message-ID: what ever"], OWN_ID),
        (["Message-ID:"], OWN_ID),
        (["Message-ID:\r\n "], OWN_ID),
        (["Message-ID: <1@d.example> <2@d.example>"], OWN_ID),
        (["Message-ID:\r\n <" + "1" * 980 + "@d.example>"], OWN_ID),
    ],
)
def test_the_message_id_known_is_the_one_delivered(lines, message_id):
    """What is kept as a message's Message-ID is the one that its recipients see: the author's if it is valid."""
    found = judge(to_bob(*lines))
    assert found.message_id == message_id == parse(delivered(found)).text(b"message-id").removesuffix(" (mine)")


def test_a_message_has_a_largest_size():
    """A message of the largest size goes out; one octet more is refused, whatever it holds (A24)."""
    submitted = to_bob(body=b"y\n" * 500)
    assert_outcome(submitted, Sent(), max_size=len(submitted))
    too_large = f"BodyTooLarge: {BodyTooLarge(limit=len(submitted) - 1)}"
    assert_outcome(submitted, too_large, max_size=len(submitted) - 1)
    assert_outcome(bytes(len(submitted)), too_large, max_size=len(submitted) - 1)
    assert "limit: 36700160 bytes" in str(judge(bytes(POLICY.max_size + 1)))


@pytest.mark.parametrize(
    ("visible", "blind", "others", "to_oneself"),
    [
        ((BOB,), (), ((BOB,), ()), False),
        ((BOB, AUTHOR), (), ((BOB,), ()), True),
        ((BOB,), ("ALICE@origin.example",), ((BOB,), ()), True),
        ((AUTHOR,), ("Alice@origin.example",), ((), ()), True),
        (("alice+tag@origin.example",), (), (("alice+tag@origin.example",), ()), False),
        (("Sales@Origin.example",), (BOB,), ((), (BOB,)), True),
        ((), (BOB,), ((), (BOB,)), False),
    ],
)
def test_a_letter_to_oneself_is_told_apart(visible, blind, others, to_oneself):
    """The author's own addresses, in any case, are taken from the recipients of either kind."""
    assert without(Recipients(visible, blind), OWN_ADDRESSES) == (Recipients(*others), to_oneself)


# Bcc. {0} and {1} are canaries: local parts that must be mailed to and never be seen; {2} must be neither.
# LF stands for the line end, whichever it is. The third column: the recipients, where they are not both canaries.

PLAIN = ("{0}@s.example",)
BCC: list[tuple[str, str, tuple[str, ...]]] = [
    ("as usual", "Bcc: {0}@s.example", PLAIN),
    ("lower case", "bcc: {0}@s.example", PLAIN),
    ("upper case", "BCC: {0}@s.example", PLAIN),
    ("mixed case", "bCc: {0}@s.example", PLAIN),
    ("no space", "Bcc:{0}@s.example", PLAIN),
    ("TAB", "Bcc:\t{0}@s.example", PLAIN),
    ("spaces around", "Bcc:    {0}@s.example \t ", PLAIN),
    ("2,000 spaces", "Bcc:" + " " * 2000 + "{0}@s.example", PLAIN),
    ("angle brackets", "Bcc: <{0}@s.example>", PLAIN),
    ("display name", "Bcc: Some One <{0}@s.example>", PLAIN),
    ("dotted display name", "Bcc: Some O. One <{0}@s.example>", PLAIN),
    ("quoted display name", 'Bcc: "One, Some" <{0}@s.example>', PLAIN),
    ("address as display name", 'Bcc: "{2}@s.example" <{0}@s.example>', PLAIN),
    ("Bcc as display name", 'Bcc: "Bcc: {2}" <{0}@s.example>', PLAIN),
    ("escapes in the display name", r'Bcc: "\"{2}\\" <{0}@s.example>', PLAIN),
    ("encoded word", "Bcc: =?utf-8?q?{2}=40s.example?= <{0}@s.example>", PLAIN),
    ("encoded word in base64", "Bcc: =?utf-8?b?DQpUbzogeA==?= <{0}@s.example>", PLAIN),
    ("UTF-8 display name", "Bcc: Jürgen <{0}@s.example>", PLAIN),
    ("line separator in the display name", "Bcc: x\u2028y\x85z <{0}@s.example>", PLAIN),
    ("comment after", "Bcc: {0}@s.example ({2}@s.example)", PLAIN),
    ("comment before", "Bcc: (<{2}@s.example>,) {0}@s.example", PLAIN),
    ("comments around the at", "Bcc: {0}(a)@(b)s.example", PLAIN),
    ("comments in comments", "Bcc: (a (b (c)) {2}) {0}@s.example", PLAIN),
    ("escapes in a comment", r"Bcc: (\) {2}) {0}@s.example", PLAIN),
    ("spaces around the at", "Bcc: {0} @ s.example", PLAIN),
    ("two", "Bcc: {0}@s.example, {1}@s.example", ()),
    ("two, no space", "Bcc: {0}@s.example,{1}@s.example", ()),
    ("empty elements", "Bcc: ,, {0}@s.example,,{1}@s.example,(x),", ()),
    ("group", "Bcc: g: {0}@s.example, {1}@s.example;", ()),
    ("quoted group", 'Bcc: "g; {2}": <{0}@s.example>;, {1}@s.example', ()),
    ("empty group beside", "Bcc: g:;, {0}@s.example, h: {1}@s.example;", ()),
    ("folded at once", "Bcc:\n {0}@s.example", PLAIN),
    ("folded with TAB", "Bcc:\n\t{0}@s.example", PLAIN),
    ("folded list", "Bcc: {0}@s.example,\n {1}@s.example", ()),
    ("list folded with TAB", "Bcc:{0}@s.example,\n\t\t{1}@s.example", ()),
    ("folded name", "Bcc: Some\n One\n\t<{0}@s.example>", PLAIN),
    ("folded quotes", 'Bcc: "Some\n One" <{0}@s.example>', PLAIN),
    ("folded comment", "Bcc: (some\n one: {2})\n {0}@s.example", PLAIN),
    ("folded at the at", "Bcc: {0}\n @\n s.example", PLAIN),
    ("folded like a field", "Bcc: x\n : {0}@s.example\n ;", PLAIN),
    ("white lines", "Bcc:\n \n\t\n {0}@s.example\n  \n ", PLAIN),
    ("repeated", "Bcc: {0}@s.example\nBCC: {1}@s.example", ()),
    ("repeated, apart", "Bcc: {0}@s.example\nX: y\n z\nbcc: {1}@s.example", ()),
    ("empty, then not", "Bcc:\nBcc: {0}@s.example", PLAIN),
    ("not, then empty", "Bcc: {0}@s.example\nbcc: \n ", PLAIN),
    ("the same twice", "Bcc: {0}@s.example, x <{0}@S.Example>\nBcc: {0}@s.example", PLAIN),
    ("quoted local part", 'Bcc: "{0}"@s.example', PLAIN),
    ("local part that needs quotes", 'Bcc: "{0} x"@s.example', ('"{0} x"@s.example',)),
    ("tagged", "Bcc: {0}+tag@s.example", ("{0}+tag@s.example",)),
    ("UTF-8 local part", "Bcc: {0}ü@s.example", ("{0}ü@s.example",)),
    ("upper-case domain", "Bcc: {0}@S.EXAMPLE", PLAIN),
    ("IDN", "Bcc: {0}@bücher.example", ("{0}@xn--bcher-kva.example",)),
    ("Resent-Bcc beside", "Resent-Bcc: {2}@s.example\nBcc: {0}@s.example", PLAIN),
    ("Resent-Bcc in other case", "Bcc: {0}@s.example\nRESENT-bcc:{2}@s.example", PLAIN),
    ("Resent-Bcc folded", "resent-bcc:\n {2}@s.example,\n\t{2}x@s.example\nBcc: {0}@s.example", PLAIN),
    ("Resent-Bcc repeated", "Resent-Bcc: {2}@s.example\nResent-Bcc:\nResent-Bcc: {2}\nBcc: {0}@s.example", PLAIN),
    ("Resent-Bcc unreadable", "Resent-Bcc: <<{2}@s.example\nBcc: {0}@s.example", PLAIN),
]

# Spellings of which servers make different things: no field, a body, another address.
NO_BCC = [
    *["Bcc : {0}@s.example", "Bcc\t: {0}@s.example", "Bcc\n : {0}@s.example", "B\n cc: {0}@s.example"],
    *["Bcc\n\t: {0}@s.example", "Bcc \n: {0}@s.example", "Bcc", "Bcc {0}@s.example", "Bcc= {0}@s.example"],
    *["Bcc\n{0}@s.example", "B cc: {0}@s.example", ": {0}@s.example", "Resent-Bcc : {0}@s.example"],
    *[">From x\nBcc: {0}@s.example", "From x\nBcc: {0}@s.example", "garbage\nBcc: {0}@s.example"],
    *["B\0cc: {0}@s.example", "Bcc\0: {0}@s.example", "Bcc:\0{0}@s.example", "Bcc: {0}@s.example\0"],
    *["Bcc\udce9: {0}@s.example", "Bccé: {0}@s.example", "B\u0441c: {0}@s.example", "\ufeffBcc: {0}@s.example"],
    *[
        "\u200bBcc: {0}@s.example",
        "Bcc\u200b: {0}@s.example",
        "Bcc\u00a0: {0}@s.example",
        "Bcc\uff1a {0}@s.example",
    ],
    *["X: y\rBcc: {0}@s.example", "Bcc\r: {0}@s.example", "Bcc:\r{0}@s.example", "Bcc: {0}@s.example\r\r"],
    *["X: y\x0bBcc: {0}@s.example", "Bcc\x0b: {0}@s.example", "Bcc:\x0c{0}@s.example", "\x1cBcc: {0}@s.example"],
    *["Bcc: {0}", "Bcc: {0}@localhost", "Bcc: {0}@[127.0.0.1]", "Bcc: <{0}@s.example", "Bcc: {0}@s.example>"],
    *[
        "Bcc: {0}@s.example {1}@s.example",
        "Bcc: {0}@s.example;{1}@s.example",
        "Bcc: {0}@s.example\n {1}@s.example",
    ],
    *["Bcc: {0}@s.example <{1}@s.example>", "Bcc: <@r.example:{0}@s.example>", "Bcc: g: {0}@s.example"],
    *['Bcc: "{0}@s.example', "Bcc: ({0}@s.example", "Bcc: {0}@s.example (", "Bcc: =?utf-8?q?{0}=40s.example?="],
    *[
        "Bcc: =?utf-8?q?{0}?=@s.example",
        "Bcc: {0} .x@s.example",
        "Bcc: {0}@s.example\x7f",
        "Bcc: {0}@s\udce9.example",
    ],
    *["Bcc: {0}@s.example, x", "Bcc: {0}@s.example\nBcc: <", "Bcc: Bcc: {0}@s.example", "Bcc:: {0}@s.example"],
]

CANARIES = ("canary-a7f3", "canary-b91c", "decoy-c05e")
PLACES = ["{}\nTo: bob@d.example\nSubject: x", "To: bob@d.example\n{}\nSubject: x", "To: bob@d.example\n{}", "{}"]
NEWLINES = ["\n", "\r\n"]
ENDS = ["\n\nHi.\n", "\n\n", "\n"]


def written(text: str, newline: str) -> bytes:
    """These lines as octets; a lone surrogate stands for an octet that is no UTF-8."""
    return text.format(*CANARIES).replace("\n", newline).encode(errors="surrogateescape")


def assert_kept_secret(found: Prepared, secrets: tuple[str, ...] = CANARIES) -> None:
    """No secret is in the delivered octets; the author's copy has all that the message had."""
    assert not [secret for secret in secrets if secret.encode() in delivered(found)]
    assert b"bcc:" not in found.copies.header_section.lower()


@pytest.mark.parametrize(("text", "blind"), [row[1:] for row in BCC], ids=[row[0] for row in BCC])
def test_a_blind_recipient_is_served_and_not_seen(text, blind):
    """However Bcc is written and wherever it stands, its recipients get the mail and no delivered octet tells."""
    paths = tuple(path.format(*CANARIES) for path in blind or ("{0}@s.example", "{1}@s.example"))
    for place, end, newline in product(PLACES, ENDS, NEWLINES):
        submitted = written(place.replace("{}", text) + end, newline)
        found = judge(submitted)
        assert isinstance(found, Prepared), in_words(found)
        assert found.recipients == Recipients((BOB,) if "bob" in place else (), paths)
        assert_kept_secret(found)
        assert_sent_exactly(found, submitted, None)


@pytest.mark.parametrize("text", NO_BCC, ids=ascii)
def test_a_doubtful_bcc_is_refused(text):
    """A Bcc that servers would read differently stops the message, and the refusal does not repeat it."""
    for place, end, newline in product(PLACES, [*ENDS, ""], NEWLINES):
        found = judge(written(place.replace("{}", text) + end, newline))
        assert isinstance(found, Refusal)
        assert in_words(found).startswith(("InvalidMessage: ", "InvalidHeader: Invalid Bcc header"))
        assert not [secret for secret in CANARIES if secret in f"{found} {found.why} {found.fields}"]


@pytest.mark.parametrize("fold", ["\n ", "\n\t", "\r\n ", "\r\n \r\n\t"])
def test_a_bcc_folded_anywhere_keeps_its_secret(fold):
    """Folded at any octet, a Bcc either still names its recipients, unseen, or the message is refused."""
    text = 'Bcc: "S, O" <canary-a7f3@s.example>, (x) One <canary-b91c@s.example>'
    outcomes = Counter()
    for place, at in product(PLACES, range(1, len(text) + 1)):
        found = judge(place.replace("{}", text[:at] + fold + text[at:]).encode() + b"\n\nHi.\n")
        outcomes[isinstance(found, Prepared)] += 1
        if isinstance(found, Prepared):
            assert found.recipients.blind == ("canary-a7f3@s.example", "canary-b91c@s.example")
            assert_kept_secret(found)
    assert min(outcomes.values()) > 50


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("newline", NEWLINES, ids=["LF", "CRLF"])
def test_a_bcc_cut_anywhere_keeps_its_secret(place, newline):
    """A message cut at any octet is refused, or sent to the recipients that stand there whole."""
    whole = written(place.replace("{}", "Bcc: {0}@s.example,\n {1}@s.example") + "\n\nHi.\n", newline)
    for size in range(len(whole)):
        found = judge(whole[:size])
        if isinstance(found, Prepared):
            paths = (f"{canary}@s.example" for canary in CANARIES)
            assert found.recipients.blind == tuple(path for path in paths if path.encode() in whole[:size])
            assert_kept_secret(found)
        else:
            assert in_words(found) in (OPEN, CR, NOBODY)


def test_what_is_no_bcc_is_delivered():
    """What only looks like Bcc, one below the empty line and one in a forwarded message are the author's text."""
    submitted = to_bob("X-Bcc: x@s.example", "Bccc: y@s.example", body=b"Bcc: z@s.example\r\n")
    assert_outcome(submitted, Sent())
    assert_outcome(to_bob("Content-Type: message/rfc822", body=to_bob("Bcc: z@s.example")), Sent())
    assert_outcome(to_bob("Subject: x\r\n Bcc: z@s.example"), Sent())


# Properties.

newlines = st.sampled_from(NEWLINES)
spaces = st.sampled_from(["", " ", "\t", "  ", "\n ", "\n\t", "\n \n "])
bcc_names = st.sampled_from(["Bcc", "bcc", "BCC", "bCC"])
mailboxes = st.sampled_from(
    [
        "{}@s.example",
        "<{}@s.example>",
        "Some One <{}@s.example>",
        '"One, Some" <{}@s.example>',
        "=?utf-8?q?x=40y?= <{}@s.example>",
        "(a (comment,)) {}@s.example",
        "{}@s.example (<x@y.example>)",
        "g: {}@s.example;",
        "{} @ S.Example",
        '"{}"@s.example',
        "Jürgen <{}@s.example>",
    ]
)  # fmt: skip


@st.composite
def address_fields(draw) -> tuple[bytes, dict[str, set[str]]]:
    """A message whose To, Cc and Bcc fields are spelled in every way, and the addresses each of them names."""
    named: dict[str, set[str]] = {"to": set(), "cc": set(), "bcc": set()}
    lines = [
        "Subject: x\n",
        *draw(st.lists(st.just("Resent-Bcc: canary-no <canary-none@s.example>\n"), max_size=1)),
    ]
    for name in draw(st.lists(st.one_of(bcc_names, st.sampled_from(["To", "Cc", "cc"])), min_size=1, max_size=5)):
        locals_ = draw(st.lists(st.integers(0, 12).map("canary-{:02}x".format), max_size=4))
        named[name.lower()] |= {f"{local}@s.example" for local in locals_}
        elements = [draw(spaces) + draw(mailboxes).format(local) + draw(spaces) for local in locals_]
        lines.append(f"{name}:{','.join(elements)}\n")
    text = "".join(draw(st.permutations(lines))) + "\nHi.\n"
    whole = "".join(line + draw(newlines) for line in text.split("\n")[:-1])
    return whole.encode(), named


@settings(max_examples=150, deadline=None)
@given(address_fields())
def test_blind_recipients_are_neither_seen_nor_lost(message):
    """Every Bcc address is mailed to, or counts as visible if also in To or Cc; of the others no octet tells."""
    submitted, named = message
    visible = named["to"] | named["cc"]
    found = judge(submitted)
    if not visible | named["bcc"]:
        assert in_words(found) == NOBODY
        return
    assert set(found.recipients.visible) == visible
    assert set(found.recipients.blind) == named["bcc"] - visible
    assert len(found.recipients) == len(visible | named["bcc"])
    hidden = (*(path.partition("@")[0] for path in named["bcc"] - visible), "canary-no")
    assert_kept_secret(found, hidden)
    assert_sent_exactly(found, submitted, None)


names = st.one_of(
    st.sampled_from(
        ["Subject", "Bcc", "bcc", "Resent-Bcc", "Return-Path", "return-path", "Authentication-Results"]
    ),
    st.sampled_from(
        ["Date", "Message-ID", "MIME-Version", "Received", "DKIM-Signature", "Content-Type", "Sender"]
    ),
    st.text("AbZ09-_!~", min_size=1, max_size=6),
)
texts = st.lists(st.text(' \txX:;,<@>"ü\u2028\x85\x7f', max_size=8), min_size=1, max_size=3).map("\n ".join)
froms = st.sampled_from(
    [None, AUTHOR, "me", "", "Eve <eve@d.example>", f"A\n <{AUTHOR}>", "\n eve@d.example\n (x)"]
)


@st.composite
def messages(draw) -> tuple[bytes, bytes | None]:
    """A message of arbitrary fields, mostly fit to be sent, and the From line that should replace its own."""
    lines = [
        f"{name}:{'' if name.lower() == 'bcc' else text}\n"
        for name, text in draw(st.lists(st.tuples(names, texts), max_size=8))
    ]
    author = draw(froms)
    lines += [f"To: {BOB}\n"] + ([] if author is None else [f"From: {author}\n"])
    header_section = "".join(draw(st.permutations(lines)))
    ended = "".join(line + draw(newlines) for line in header_section.split("\n")[:-1]).encode()
    body = draw(st.one_of(st.none(), st.binary(max_size=40), st.just(b".\n..\r\n\n")))
    if body is not None:
        ended += draw(newlines).encode() + body.translate(None, b"\0").replace(b"\r\n", b"\n").replace(b"\r", b"")
    new = {
        "me": ME,
        "": ME,
        "\n eve@d.example\n (x)": ME,
        "Eve <eve@d.example>": b"From: Eve <alice@origin.example>\r\n",
    }
    return ended, new.get(author)


@settings(max_examples=200, deadline=None)
@given(messages())
def test_any_message_goes_out_exactly_or_not_at_all(message):
    """Delivered are the submitted lines less those that go, below those added, and the author keeps them all."""
    submitted, author = message
    found = judge(submitted)
    if isinstance(found, Refusal):
        assert in_words(found).startswith("InvalidHeader: ")  # a field that stands twice
        return
    assert_sent_exactly(found, submitted, author)
    assert found.recipients == Recipients((BOB,), ())


tokens = st.one_of(
    st.sampled_from([b"To:", b"Bcc:", b"Cc: ", b"From:", b"Subject: ", b"Bcc", b"Date:", b"Return-Path:", b"me"]),
    st.sampled_from(
        [b" ", b"\t", b"\n", b"\r\n", b"\r\n", b"\r\n\r\n", b"\r", b"\n ", b"\r\n\t", b"\0", b"\x0b", b"\x85"]
    ),
    st.sampled_from(
        [b"a@b.example", b"<c@d.example>", b"e@f", AUTHOR.encode(), b"g:", b";", b",", b'"', b"(", b")"]
    ),
    st.sampled_from([b"<", b">", b"\\", b"@", b":", b"=?u?q?x?=", "ü".encode(), b"\xe9", b"x" * 999]),
    st.binary(max_size=4),
)
valid = [
    to_bob(
        f"From: {AUTHOR}",
        "Subject: x\r\n y",
        "Bcc: A <a@d.example>,\r\n g: b@d.example;",
        body=b"Hi.\r\n\r\n.\r\n",
    ),
    to_bob('From: "E" <eve@d.example>', "Cc:", "Return-Path: <x>", end=b"\n", body=b"Hi.\n"),
]


@st.composite
def mutations(draw) -> bytes:
    """A good message with some octets cut out and some tokens put in."""
    octets = draw(st.sampled_from(valid))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(octets)))
        octets = octets[:at] + draw(tokens) + octets[at + draw(st.integers(0, 3)) :]
    return octets


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.lists(tokens, max_size=25).map(b"".join), mutations()))
@example(b"From:\r\nTo:a@b.example\r\n")
@example(b"From: \xc2\xa0\r\nTo:a@b.example\r\n")
def test_any_octets_are_sent_exactly_or_refused(submitted):
    """Whatever octets arrive, the answer is a refusal or exact copies, and never another exception."""
    found = judge(submitted)
    event(type(found).__name__)
    if isinstance(found, Prepared):
        assert_sent_exactly(found, submitted, author_line(parse(submitted), OWN_ADDRESSES, "rewrite"))
        assert len({*found.recipients.visible, *found.recipients.blind}) == len(found.recipients) > 0
        assert all(parse_address(path) == path for path in chain(found.recipients.visible, found.recipients.blind))
        parse(delivered(found))


words = st.sampled_from(
    ["Eve", "E.", "of", '"x, y"', r'"\"z\\"', "=?utf-8?q?x=40y?=", "Jürgen", "\u2028", "(c)", '""']
)


@settings(max_examples=80, deadline=None)
@given(st.lists(words, max_size=5), st.lists(st.sampled_from([" ", "\t", "\r\n ", "  "]), min_size=5, max_size=5))
def test_a_rewritten_author_keeps_the_name(name, gaps):
    """A rewritten From reads back as one mailbox: the account's address under the name the author wrote."""
    body = "".join(map("".join, zip(name, gaps, strict=False)))
    try:
        (person,) = parse_list(f"{body}<eve@d.example>".encode())
    except BadAddress:
        assume(False)  # a name may begin with "E." only after a word
    line = author_line(parse(to_bob(f"From: {body}<eve@d.example>")), OWN_ADDRESSES, "rewrite")
    assert parse_list(line.removeprefix(b"From: ").removesuffix(b"\r\n")) == (
        Mailbox(person.display_name, AUTHOR),
    )


def at_once(name: str, body: bytes) -> bytes:
    """A header section of nearly the largest size, of one field with that body, over and over."""
    line = b"\r\n " + body * (900 // len(body))
    return f"{name}:".encode() + line * (250_000 // len(line)) + b"\r\n\r\n"


ATTACKS = [
    *[
        b"(",
        b")",
        b"()",
        b"((a)",
        b"(a)a",
        b"(\\",
        b'"',
        b'" ',
        b'"a"a ',
        b'\\"',
        b'"\\',
        b"\\",
        b"<",
        b">",
        b"<>",
        b"[",
    ],
    *[
        b",",
        b";",
        b":",
        b"a:",
        b"a:;,",
        b"g:a@b.example,",
        b"a ",
        b"a.",
        b"a" * 900,
        b" ",
        b"\t",
        b"=?",
        b"=?u?q?x",
    ],
    *[b"@", b"a@", b"a@(", b"a@b.", b"a@b.example ", b"a@b.example,", b"<a@b.example>,", b"xn--"],
    *["ü".encode(), "a@ü.".encode()],
]


@pytest.mark.parametrize("body", ATTACKS, ids=ascii)
def test_the_largest_attacks_are_answered(body):
    """A header section full of what makes other readers quadratic or recursive is sent exactly, or refused."""
    submitted = to_bob()[: len(BOB) + 6] + at_once("Bcc", body)
    found = judge(submitted)
    if isinstance(found, Prepared):
        assert_sent_exactly(found, submitted, None)
    else:
        assert in_words(found) == header("Bcc")


# The standard library's parser as a second opinion.

clean = [
    *[
        "a@x.example",
        "Some One <b@x.example>",
        '"Q, R" <c@x.example>',
        "d@X.Example (note)",
        "B@x.example",
        "r+t@x.eu",
    ],
    *[
        "g: e@x.example, f@x.example;",
        "undisclosed:;",
        '"h i"@x.example',
        '"p"@x.example',
        r'"\"q\\" <q@x.example>',
    ],
    *[
        "(c) k@x.example",
        "J. R. <l@x.example>",
        "=?utf-8?q?m?= <n@x.example>",
        "(a (b)) <o@x.example> (c)",
        "s @ x.example",
    ],
]
faulty = [
    *["x", ";", "<", '"', "(", ")", "@", "\\", "g:", ".", "", "t@x", "<@r:p@x.example>", "u..v@x.example"],
    *["=?utf-8?q?o=40y?=@x.example", "y@z.example <w@x.example>", "<w@x.example", "w@x.example>"],
]
elements = st.sampled_from(clean * 4 + faulty)
separators = st.sampled_from([", ", ",", ",\r\n ", ",\r\n\t", ", ", ", ", ", ,", " ", "", ";"])


@st.composite
def address_lists(draw) -> str:
    some = draw(st.lists(st.tuples(elements, separators), max_size=4))
    return "".join(chain.from_iterable(some))[: -len(some[-1][1]) or None] if some else ""


def second_opinion(submitted: bytes) -> set[str] | None:
    """The canonical addresses that the standard library finds; None when it finds any fault."""
    found = message_from_bytes(submitted, policy=modern)
    try:
        parsed = [field for name in THREE for field in found.get_all(name, [])]
        if found.defects or any(field.defects for field in parsed):
            return None
        return {parse_address(address.addr_spec) for field in parsed for address in field.addresses}
    except Exception:  # noqa: BLE001 - it raises IndexError and others at what it cannot read
        return None


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["To", "Cc", "Bcc", "bcc", "TO"]), address_lists()), min_size=1, max_size=3)
)
def test_two_parsers_agree_on_clean_messages(lists):
    """Where Postroad and the standard library both find a message clean, they find the same recipients."""
    submitted = letter("Subject: x", *(f"{name}: {text}" for name, text in lists))
    found, theirs = judge(submitted), second_opinion(submitted)
    event(f"{type(found).__name__}, {'clean' if theirs is not None else 'faulty'}")
    if theirs is not None and isinstance(found, Prepared):
        assert {*found.recipients.visible, *found.recipients.blind} == theirs
    if theirs is not None and isinstance(found, RecipientMissing):
        assert theirs == set()


@pytest.mark.parametrize(
    ("thread", "number"),
    [
        ("", None),
        ("1f", 0x1F),
        ("001F", 0x1F),
        ("18f85d2eb6adb232", 0x18F85D2EB6ADB232),
        ("7" + "f" * 15, 2**63 - 1),
    ],
)
def test_a_thread_is_a_number(thread, number):
    """Upper case and leading zeros are as good; nothing is no thread."""
    assert thread_number(thread) == number


@pytest.mark.parametrize(
    "thread", ["8" + "0" * 15, "-1", "0x1f", " 1f", "1_f", "thread-f:17", "FMfcgzQ", "1" * 65]
)
def test_any_other_thread_is_refused(thread):
    """What stands on the page of a message is no thread of the API."""
    with pytest.raises(ThreadIdInvalid, match="Invalid thread_id value") as refused:
        thread_number(thread)
    assert thread[:64] in refused.value.why


def test_sender_and_recipients_decide_on_destinations(tmp_path):
    """The route is asked once, with the account's address and everyone who receives, blind ones too."""
    asked = []

    async def route(reverse_path, forward_paths):
        asked.append((reverse_path, forward_paths))
        return lambda path: f"{reverse_path} to {path}"

    with closing(Database(tmp_path, floor=0)) as database:
        alice = database.submit(
            lambda connection: accounts.add(connection, AUTHOR, administrator=False, now=NOW)
        ).result()
        submission = Submission(database, Identifiers(), POLICY, route, lambda: None)
        submitted = to_bob("From: Eve <eve@d.example>", "Bcc: c@c.example")
        asyncio.run(submission.submit(alice, submitted, "", NOW))
        found = database.look(
            lambda connection: connection.execute(select(recipient.c.destination)).scalars().all()
        )
    assert asked == [(AUTHOR, [BOB, "c@c.example"])]
    assert sorted(found) == [f"{AUTHOR} to {BOB}", f"{AUTHOR} to c@c.example"]


GOES_OUT = {
    # recipients, octets of the body -> whether it is made ready
    "to somebody elsewhere": ("you@out.example", 9, True),
    "to somebody here": ("you@d.example", 9, False),
    "to both": ("you@d.example, you@out.example", 9, True),
    "to oneself": (AUTHOR, 9, False),
    "of many octets": ("you@out.example", PARSED_ON_LOOP, False),
}


@pytest.mark.parametrize(("to", "size", "ready"), GOES_OUT.values(), ids=GOES_OUT)
def test_what_will_be_relayed_is_made_ready_as_it_will_be_found(tmp_path, to, size, ready):
    """Before it is stored, and with the very octets and facts that are stored; mail for here is not."""
    seen = []

    async def route(reverse_path, forward_paths):
        return lambda path: "out" if path.endswith("@out.example") else LOCAL

    async def make_ready(will_be_stored):
        one = will_be_stored()
        octets = b"".join([chunk async for chunk in one.chunks()])
        stored = database.look(lambda connection: connection.execute(select(content)).all())
        seen.append((one.content_id, one.size, one.longest_line, one.eight_bit, octets, stored))

    with closing(Database(tmp_path, floor=0)) as database:
        alice = database.submit(
            lambda connection: accounts.add(connection, AUTHOR, administrator=False, now=NOW)
        ).result()
        submission = Submission(database, Identifiers(), POLICY, route, lambda: None, make_ready)
        submitted = f"To: {to}\r\n\r\n".encode() + b"\xff" * size
        accepted = asyncio.run(submission.submit(alice, submitted, "", NOW))
        whole = database.look(lambda connection: contents.whole(connection, accepted.gmail_id))
        [row] = database.look(lambda connection: connection.execute(select(content)).all())
    found = (row.content_id, row.size, row.longest_line, row.eight_bit, whole, [])
    assert seen == ([found] if ready else [])


class Numbers(Identifiers):
    """Identifiers that are known beforehand."""

    def __init__(self, *numbers):
        self.numbers = iter(numbers)

    def next(self, now):
        return next(self.numbers)


def test_a_number_that_another_node_took_is_not_taken_again(tmp_path):
    """A message whose number is taken gets another, twice; then it is not accepted."""

    async def route(reverse_path, forward_paths):
        return lambda path: "d.example"

    def submit(*numbers):
        submission = Submission(database, Numbers(*numbers), POLICY, route, lambda: None)
        return asyncio.run(submission.submit(alice, to_bob("Subject: x"), "", NOW)).gmail_id

    with closing(Database(tmp_path, floor=0)) as database:
        alice = database.submit(
            lambda connection: accounts.add(connection, AUTHOR, administrator=False, now=NOW)
        ).result()
        assert submit(7) == 7
        assert submit(7, 8) == 8
        assert submit(7, 8, 9) == 9
        with pytest.raises(IntegrityError):
            submit(7, 8, 9, 10)
