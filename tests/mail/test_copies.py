"""What is delivered and what the author keeps: the same octets but for the lines listed here."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.mail.copies import Copies, Insertion, copies, with_insertions
from postroad.mail.message import parse

ADDED = b"Received: by mx\r\nDate: today\r\n"
GOES = ["Bcc", "bcc", "BCC", "bCc", "Resent-Bcc", "RESENT-BCC", "Return-Path", "Authentication-Results"]
STAYS = [
    *["To", "Cc", "From", "Sender", "X-Bcc", "Bcc-", "Bccc", "BC", "Resent-To", "Resent-Cc", "Resent-From"],
    *["Received", "DKIM-Signature", "Content-Length", "Delivered-To", "X-Return-Path", "Errors-To"],
    "ARC-Authentication-Results",
]

# (submitted, delivered, what the author's copy has beyond it), all below the added lines
MADE = [
    (b"To: a\r\n\r\nbody", b"To: a\r\n\r\nbody", []),
    (b"To: a\r\n\r\n", b"To: a\r\n\r\n", []),
    (b"To: a\r\n", b"To: a\r\n", []),
    (b"To: a\nX: b\n\nbody\n.", b"To: a\r\nX: b\r\n\r\nbody\r\n.", []),
    (b"Bcc: c\r\nTo: a\r\n\r\nbody", b"To: a\r\n\r\nbody", [(0, b"Bcc: c\r\n")]),
    (b"To: a\r\nBcc: c\r\n\r\nbody", b"To: a\r\n\r\nbody", [(7, b"Bcc: c\r\n")]),
    (b"To: a\r\nBcc: c\r\nX: b\r\n", b"To: a\r\nX: b\r\n", [(7, b"Bcc: c\r\n")]),
    (b"Bcc: c\r\n\r\nbody", b"\r\nbody", [(0, b"Bcc: c\r\n")]),
    (b"Bcc: c\n", b"", [(0, b"Bcc: c\r\n")]),
    (b"Bcc: c,\n d,\n\te\nTo: a\n\n", b"To: a\r\n\r\n", [(0, b"Bcc: c,\r\n d,\r\n\te\r\n")]),
    (b"Bcc:\r\n c\r\n \r\nTo: a\r\n\r\n", b"To: a\r\n\r\n", [(0, b"Bcc:\r\n c\r\n \r\n")]),
    (
        b"Return-Path: <r>\r\nBcc: c\r\nTo: a\r\nBCC: d\r\nResent-Bcc: e\r\nX: b\r\n\r\nBcc: body\r\n",
        b"To: a\r\nX: b\r\n\r\nBcc: body\r\n",
        [(0, b"Return-Path: <r>\r\n"), (0, b"Bcc: c\r\n"), (7, b"BCC: d\r\n"), (7, b"Resent-Bcc: e\r\n")],
    ),
]

names = st.sampled_from(["Bcc", "To", "From", "Resent-Bcc", "X-A", "Return-Path", "Authentication-Results"])
bodies = st.lists(st.text("ab ,\t\u2028", max_size=5), min_size=1, max_size=3).map("\n ".join)
fields = st.lists(st.tuples(names, bodies), min_size=1, max_size=8)


def delivered(made: Copies) -> bytes:
    return made.header_section + bytes(made.rest)


@pytest.mark.parametrize("added", [b"", ADDED], ids=["nothing added", "lines added"])
@pytest.mark.parametrize(("submitted", "expected", "beyond"), MADE)
def test_two_copies_are_made(submitted, expected, beyond, added):
    """The delivered copy lacks what only the author may see; the author's copy has it where it stood."""
    made = copies(parse(submitted), added, None)
    assert delivered(made) == added + expected
    assert made.insertions == tuple(Insertion(len(added) + offset, octets) for offset, octets in beyond)
    crlf = submitted.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert with_insertions(delivered(made), made.insertions) == added + crlf
    assert (made.size, made.authors_size) == (len(added) + len(expected), len(added) + len(crlf))


def test_the_header_section_ends_where_the_empty_line_begins():
    """The two pieces of the delivered copy meet between the last field and the empty line."""
    made = copies(parse(b"To: a\r\nBcc: b\r\n\r\nbody"), b"X: y\r\n", None)
    assert (made.header_section, bytes(made.rest)) == (b"X: y\r\nTo: a\r\n", b"\r\nbody")
    assert bytes(copies(parse(b"To: a\r\n"), b"", None).rest) == b""


@pytest.mark.parametrize("name", GOES)
def test_fields_that_are_never_delivered(name):
    """Bcc, Resent-Bcc, Return-Path and Authentication-Results go, in any case."""
    made = copies(parse(f"To: a\n{name}: canary\n\n".encode()), b"", None)
    assert delivered(made) == b"To: a\r\n\r\n"
    assert [insertion.octets for insertion in made.insertions] == [f"{name}: canary\r\n".encode()]


@pytest.mark.parametrize("name", STAYS)
def test_every_other_field_is_delivered(name):
    """Whatever else a field is called, it stays as it was written."""
    submitted = f"{name}:x ,\r\n\ty \r\nX: y\r\n\r\n".encode()
    made = copies(parse(submitted), b"", None)
    assert (delivered(made), made.insertions) == (submitted, ())


@pytest.mark.parametrize("name", ["From", "FROM", "from"])
def test_a_new_author_takes_the_place_of_the_old(name):
    """A rewritten From stands where the submitted one stood, folds and all, in both copies."""
    submitted = f"To: a\nBcc: b\n{name}: Some\n one\n <x@y>\nX-From: z\nBcc: c\n\nFrom: body\n".encode()
    made = copies(parse(submitted), ADDED, b"From: me@x.example\r\n")
    assert delivered(made) == ADDED + b"To: a\r\nFrom: me@x.example\r\nX-From: z\r\n\r\nFrom: body\r\n"
    assert with_insertions(delivered(made), made.insertions) == (
        ADDED + b"To: a\r\nBcc: b\r\nFrom: me@x.example\r\nX-From: z\r\nBcc: c\r\n\r\nFrom: body\r\n"
    )


@pytest.mark.parametrize(
    ("content", "insertions", "expected"),
    [
        (b"", [], b""),
        (b"abc", [], b"abc"),
        (b"abc", [(0, b"1")], b"1abc"),
        (b"abc", [(3, b"1")], b"abc1"),
        (b"abc", [(1, b"1"), (1, b"2"), (2, b"3")], b"a12b3c"),
        (b"", [(0, b"1"), (0, b"2")], b"12"),
    ],
)
def test_insertions_stand_at_their_offsets(content, insertions, expected):
    """Octets are inserted at offsets of the content, in order."""
    assert with_insertions(content, [Insertion(*insertion) for insertion in insertions]) == expected


@settings(max_examples=150, deadline=None)
@given(
    fields=fields.filter(lambda some: sum(name == "From" for name, _ in some) < 2),
    body=st.binary(max_size=30),
    added=st.sampled_from([b"", ADDED, 2 * ADDED]),
    author=st.sampled_from([None, b"From: me@x.example\r\n"]),
)
def test_nothing_but_listed_lines_differs(fields, body, added, author):
    """The copies of any message are its lines, less those that go, below the added ones."""
    lines = [f"{name}:{text}\n".replace("\n", "\r\n").encode() for name, text in fields]
    rest = b"\r\n" + body.translate(None, b"\r\n\0")
    kept = [author if author and name == "From" else line for line, (name, _) in zip(lines, fields, strict=True)]
    seen = [line for line, (name, _) in zip(kept, fields, strict=True) if name not in GOES]
    made = copies(parse(b"".join(lines) + rest), added, author)
    assert delivered(made) == b"".join([added, *seen, rest])
    assert with_insertions(delivered(made), made.insertions) == b"".join([added, *kept, rest])
    assert made.authors_size == len(b"".join([added, *kept, rest]))
