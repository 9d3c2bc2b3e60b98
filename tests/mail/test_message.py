"""What is a message, octet by octet, and what is none; then what holds for any octets."""

from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postroad.mail import message
from postroad.mail.message import fields_of, parse, unfolded, with_crlf
from postroad.refusals import InvalidHeader, InvalidMessage, Refusal

T = TypeVar("T")

MALFORMED = "header line {} is not of the form 'name: value'"
CR = "it holds a carriage return without a line feed"
NUL = "it holds a NUL octet"
CONTROL = "its header section holds a control character"
CHARSET = "its header section is neither US-ASCII nor UTF-8"
OPEN = "its last header line has no line end"
TOO_LONG = "its header section is over 262144 octets"
TOO_MANY = "it has 1001 header fields, the limit is 1000"

# (submitted, the same lines ended by CRLF)
LINES = [
    (b"", b""),
    (b"a", b"a"),
    (b"\n", b"\r\n"),
    (b"\r\n", b"\r\n"),
    (b"a\nb\n", b"a\r\nb\r\n"),
    (b"a\r\nb\r\n", b"a\r\nb\r\n"),
    (b"a\nb\r\nc", b"a\r\nb\r\nc"),
    (b"a\r\nb\nc", b"a\r\nb\r\nc"),
    (b"\n\r\n\n", b"\r\n\r\n\r\n"),
    (b".\n..\n", b".\r\n..\r\n"),
    (b"\xff\n\x0b\x85\n", b"\xff\r\n\x0b\x85\r\n"),
]

# (submitted, why it is refused)
NOT_LINES = [
    (b"a\rb", CR),
    (b"\r", CR),
    (b"a\r", CR),
    (b"a\r\r\n", CR),
    (b"a\n\rb\n", CR),
    (b"\r\n.\r\r\n", CR),
    (b"a\0b", NUL),
    (b"\0", NUL),
    (b"\r\n\0.\r\n", NUL),
    (b"\r\0", NUL),
]

# (header lines and what follows, the fields as (name, body))
READ = [
    (b"A: b\r\n", [(b"A", b" b")]),
    (b"A: b\r\n\r\n", [(b"A", b" b")]),
    (b"A: b\r\n\r\nC: d\r\n", [(b"A", b" b")]),
    (b"A:\r\n\r\n", [(b"A", b"")]),
    (b"A:b\r\nC:d\r\n\r\n", [(b"A", b"b"), (b"C", b"d")]),
    (b"A: b\r\n c\r\n\td\r\nE: f\r\n\r\n", [(b"A", b" b\r\n c\r\n\td"), (b"E", b" f")]),
    (b"A:\r\n b\r\n\r\n", [(b"A", b"\r\n b")]),
    (b"A: b\r\n \r\nC: d\r\n\r\n", [(b"A", b" b\r\n "), (b"C", b" d")]),
    (b"A: b: c\r\n\r\n", [(b"A", b" b: c")]),
    (b"A:: b\r\n\r\n", [(b"A", b": b")]),
    (b"!#-9;<=>?@Z[\\]^_`a{|}~: b\r\n\r\n", [(b"!#-9;<=>?@Z[\\]^_`a{|}~", b" b")]),
    (b"a: 1\r\nA: 2\r\n\r\n", [(b"a", b" 1"), (b"A", b" 2")]),
    ("A: ü\u2028\x85\x7f\r\n\r\n".encode(), [(b"A", " ü\u2028\x85\x7f".encode())]),
    (b"A: b\r\n\r\n\xff\x0b\x1f.\r\n.", [(b"A", b" b")]),
]

# (submitted, why it is refused)
UNREADABLE = [
    (b"", OPEN),
    (b"A: b", OPEN),
    (b"A: b\r\nC: d", OPEN),
    (b"A", OPEN),
    (b"\r\n", "it begins with an empty line"),
    (b"\r\nA: b\r\n\r\n", "it begins with an empty line"),
    (b"\r\n\r\nbody", "it begins with an empty line"),
    (b" A: b\r\n\r\n", "its first line begins with white space"),
    (b"\tA: b\r\n\r\n", "its first line begins with white space"),
    (b" \r\nA: b\r\n\r\n", "its first line begins with white space"),
    (b"From x Mon Jan  1 00:00:00 2026\r\nA: b\r\n\r\n", MALFORMED.format(1)),
    (b">From x\r\nA: b\r\n\r\n", MALFORMED.format(1)),
    (b"A\r\n\r\n", MALFORMED.format(1)),
    (b": b\r\n\r\n", MALFORMED.format(1)),
    (b"A : b\r\n\r\n", MALFORMED.format(1)),
    (b"A\t: b\r\n\r\n", MALFORMED.format(1)),
    (b"A\r\n : b\r\n\r\n", MALFORMED.format(1)),
    (b"A\r\n b: c\r\n\r\n", MALFORMED.format(1)),
    (b"A b: c\r\n\r\n", MALFORMED.format(1)),
    (b"A\x7fb: c\r\n\r\n", MALFORMED.format(1)),
    ("Ä: b\r\n\r\n".encode(), MALFORMED.format(1)),
    ("\ufeffA: b\r\n\r\n".encode(), MALFORMED.format(1)),
    (b"A: b\r\ngarbage\r\nC: d\r\n\r\n", MALFORMED.format(2)),
    (b"A: b\r\n c\r\n d\r\ngarbage\r\nE: f\r\n\r\n", MALFORMED.format(4)),
    (b"A: \xe9\r\n\r\n", CHARSET),
    (b"A: \x85\r\n\r\n", CHARSET),
    (b"A\xe9: b\r\n\r\n", CHARSET),
    (b"A: \xed\xa0\x80\r\n\r\n", CHARSET),
    (b"A: \xc3\r\n \xbc\r\n\r\n", CHARSET),
]

ONCE = ["From", "Sender", "Date", "Subject", "Message-ID"]
OFTEN = ["To", "Cc", "Bcc", "Received", "Reply-To", "Content-Type", "X-Other"]

newlines = st.sampled_from([b"\n", b"\r\n"])
pieces = st.lists(
    st.one_of(
        st.sampled_from(
            [b"A:", b"b: ", b" ", b"\t", b"\n", b"\r\n", b"\r\n\r\n", b"\r", b"\0", b"\xe9", b":", b"From"]
        ),
        st.text("Aü \u2028", max_size=3).map(str.encode),
    ),
    max_size=30,
).map(b"".join)
octets = st.one_of(st.binary(max_size=80), pieces)


def outcome(submitted: bytes, read: Callable[[bytes], T] = parse) -> T | Refusal:
    """The message, or what else is read from these octets, or why it is none."""
    try:
        return read(submitted)
    except Refusal as refusal:
        return refusal


@pytest.mark.parametrize(("submitted", "expected"), LINES)
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_lines_end_with_crlf(submitted, expected, kind):
    """LF becomes CRLF once; nothing else changes, and a last line without an end gets none."""
    assert with_crlf(kind(submitted)) == expected


def test_crlf_lines_are_not_copied():
    """A message whose lines end with CRLF already is handed on itself."""
    submitted = b"A: b\r\n\r\nbody"
    assert with_crlf(submitted) is submitted


@pytest.mark.parametrize(("submitted", "problem"), NOT_LINES)
def test_doubtful_line_ends_are_refused(submitted, problem):
    """A bare CR or a NUL is refused wherever it stands, header or body."""
    for octets in (submitted, b"A: b\r\n\r\n" + submitted, b"A: b\n\n" + submitted):
        with pytest.raises(InvalidMessage) as refused:
            with_crlf(octets)
        assert str(refused.value) == f"Invalid message: {problem}"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@settings(max_examples=40, deadline=None)
@given(lines=st.lists(st.tuples(st.binary(max_size=9), newlines), max_size=12))
def test_slices_do_not_show(size, lines):
    """Converted in slices of any size, a message is what it is converted at once."""
    submitted = b"".join(line.translate(None, b"\r\n\0") + end for line, end in lines)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(message, "_SLICE", size)
        assert with_crlf(submitted) == submitted.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@pytest.mark.parametrize("size", [1, 2, message._SLICE])
@settings(max_examples=60, deadline=None)
@given(submitted=st.text("\r\n\0a", max_size=12).map(str.encode))
def test_line_ends_are_judged_in_slices_as_in_one(size, submitted):
    """A message is refused exactly when a NUL or a CR without LF is counted in it, however it is sliced."""
    lone = submitted.count(b"\r") - submitted.count(b"\r\n")
    problem = NUL if b"\0" in submitted else CR
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(message, "_SLICE", size)
        found = outcome(submitted, with_crlf)
    if lone or b"\0" in submitted:
        assert str(found) == f"Invalid message: {problem}"
    else:
        assert found == submitted.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@pytest.mark.parametrize(("submitted", "expected"), READ)
def test_fields_are_found(submitted, expected):
    """Fields are found as written, folds and empty bodies included, and what follows the empty line is body."""
    found = parse(submitted)
    assert [(field.name, field.body) for field in found.fields] == expected
    assert parse(submitted.replace(b"\r\n", b"\n")) == found


@pytest.mark.parametrize(("submitted", "problem"), UNREADABLE)
def test_header_section_of_doubtful_meaning_is_refused(submitted, problem):
    """What no two mail programs read alike is refused, and the refusal names the line."""
    for octets in (submitted, submitted.replace(b"\r\n", b"\n")):
        with pytest.raises(InvalidMessage) as refused:
            parse(octets)
        assert str(refused.value) == f"Invalid message: {problem}"


@pytest.mark.parametrize("control", [*range(1, 9), 11, 12, *range(14, 32)], ids=hex)
def test_control_characters_in_the_header_section_are_refused(control):
    """Every C0 control but TAB, CR and LF is refused in the header section and kept in the body."""
    for where in ("A{}: b", "A: b{}Bcc: c", "A: b\r\n {}c", "{}A: b"):
        text = where.format(chr(control)).encode()
        assert str(outcome(text + b"\r\n\r\n")) == f"Invalid message: {CONTROL}"
        assert parse(b"A: b\r\n\r\n" + text).content.endswith(text)


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\nbody\r\n", b"\r\n" + b"x" * 300_000], ids=len)
@pytest.mark.parametrize(
    ("size", "allowed"), [(262_143, True), (262_144, True), (262_145, False), (262_146, False)]
)
def test_header_section_has_a_limit(end, size, allowed):
    """262,144 octets of header lines are read, with a body and without; one more is refused."""
    section = (b"X: " + b"y" * 495 + b"\r\n") * 500
    section += b"X: " + b"y" * (size - len(section) - 5) + b"\r\n"
    assert len(section) == size
    found = outcome(section + end)
    assert found.header_size == size if allowed else str(found) == f"Invalid message: {TOO_LONG}"


@pytest.mark.parametrize("tail", [b"", b"\r\n", b"y"], ids=["no end", "one line", "text"])
def test_a_line_without_end_is_not_searched_for_ever(tail):
    """A megabyte without an empty line is refused for its size."""
    found = outcome(b"X: " + b"y" * 1_000_000 + tail)
    assert str(found) == f"Invalid message: {TOO_LONG}"


def test_fields_are_counted():
    """A thousand fields are read, whatever their folds; one more is refused."""
    assert len(parse(b"X: y\r\n z\r\n" * 1000 + b"\r\n").fields) == 1000
    assert str(outcome(b"X:\r\n" * 1001)) == f"Invalid message: {TOO_MANY}"


def test_field_names_are_bounded():
    """A name of 255 octets is read, one of 256 is refused."""
    assert parse(b"X" * 255 + b": y\r\n").fields[0].name == b"X" * 255
    for size in (256, 10_000):
        assert (
            str(outcome(b"X" * size + b": y\r\n")) == "Invalid message: a header field's name is over 255 octets"
        )


def test_fifty_received_fields_are_no_loop():
    """Fifty Received fields pass, the fifty-first tells of a mail loop."""
    assert len(parse(b"Received: x\r\nRECEIVED: x\r\n" * 25).fields) == 50
    looping = outcome(b"received: x\r\n" * 51)
    assert str(looping) == "Invalid message: it has over 50 Received fields: a mail loop"


@pytest.mark.parametrize("name", ONCE)
def test_what_stands_once_is_not_repeated(name):
    """A field that RFC 5322 allows once is refused twice, whatever its case or value."""
    for second in (name, name.upper(), name.lower()):
        with pytest.raises(InvalidHeader) as refused:
            parse(f"{name}: x\r\nTo: y\r\n{second}:\r\n\r\n".encode())
        assert str(refused.value) == f"Invalid {name} header"
        assert refused.value.why == f"{name} stands twice"
    assert len(parse(f"{name}: x\r\n\r\n{name}: x\r\n".encode()).fields) == 1


@pytest.mark.parametrize("name", OFTEN)
def test_what_may_stand_often_is_kept(name):
    """Any other field may be repeated; all of them are found, in order."""
    found = parse(f"{name}: 1\r\nX: y\r\n{name.upper()}: 2\r\n{name.lower()}: 3\r\n\r\n".encode())
    assert [unfolded(body) for body in found.bodies(name.lower().encode())] == ["1", "2", "3"]
    assert found.text(name.lower().encode()) == "1"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", ""),
        (" ", ""),
        ("x", "x"),
        (" \t x \t ", "x"),
        ("\r\n x", "x"),
        (" a\r\n b\r\n\tc", "a b\tc"),
        (" a\r\n \r\n b", "a  b"),
        (" ü\u3000", "ü\u3000"),
    ],
)
def test_text_is_unfolded(body, text):
    """A field's text is its body without folds and without ASCII white space around it."""
    found = parse(f"Name:{body}\r\n\r\n".encode())
    assert found.text(b"name") == unfolded(found.body(b"name")) == text


def test_a_missing_field_is_no_field():
    """Of a field that does not stand there, there is no first one, and its text is empty."""
    found = parse(b"A: b\r\n\r\nC: d\r\n")
    assert found.body(b"c") is None
    assert found.text(b"c") == ""
    assert list(found.bodies(b"c")) == []


def line_by_line(section: bytes) -> list[tuple[bytes, bytes]] | str:
    """What `fields_of` finds, found the slow way; or which line is none of a field."""
    found: list[tuple[bytes, bytes]] = []
    for number, line in enumerate(section.split(b"\r\n")[:-1], 1):
        name, colon, body = line.partition(b":")
        if found and line[:1] in (b" ", b"\t"):
            found[-1] = (found[-1][0], found[-1][1] + b"\r\n" + line)
        elif name and colon and all(32 < octet < 127 for octet in name):
            found.append((name, body))
        else:
            return MALFORMED.format(number)
    return found


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("aB: \tü\x7f~!", max_size=5).map(str.encode), min_size=1, max_size=6))
def test_fields_are_those_that_are_read_line_by_line(lines):
    """All fields found at once are those found one line after the other, or the same line is refused."""
    section = b"Name: body\r\n" + b"".join(line + b"\r\n" for line in lines if line)
    found, expected = outcome(section, fields_of), line_by_line(section)
    if isinstance(expected, str):
        assert str(found) == f"Invalid message: {expected}"
    else:
        assert [(field.key, field.name, field.body) for field in found] == [
            (name.lower(), name, body) for name, body in expected
        ]


@settings(max_examples=200, deadline=None)
@given(octets)
@example(b"A:\n\n")
@example(b"A:\r\n\r")
@example(b"\xc2\x85:")
def test_any_octets_are_a_message_or_a_refusal(submitted):
    """Fields tile the header section without a gap, or the octets are refused: nothing else is raised."""
    found = outcome(submitted)
    if isinstance(found, Refusal):
        return
    assert found.content == submitted.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    section = found.content[: found.header_size]
    assert b"".join(field.name + b":" + field.body + b"\r\n" for field in found.fields) == section
    assert b"".join(section[field.start : field.end] for field in found.fields) == section
    assert found.content[found.header_size :][:2] in (b"", b"\r\n")
    assert fields_of(section) == found.fields
    assert all(field.text == field.text.strip(" \t") for field in found.fields)


@settings(max_examples=100, deadline=None)
@given(
    fields=st.lists(
        st.tuples(
            st.text("AbZ09-_!~<>", min_size=1, max_size=6),
            st.lists(st.text(" \tx:ü\u2028", max_size=6), min_size=1, max_size=3),
        ),
        min_size=1,
        max_size=6,
    ),
    body=st.binary(max_size=40),
    ends=st.lists(newlines, min_size=30, max_size=30),
)
def test_what_was_written_is_what_is_found(fields, body, ends):
    """Any well-formed fields, folded and ended as their author liked, are found with name and body intact."""
    lines = [f"{name}:" + "\n ".join(parts) + "\n" for name, parts in fields]
    written = "".join(lines).encode().split(b"\n")[:-1]
    body = body.translate(None, b"\r\0")
    submitted = b"".join(line + end for line, end in zip(written, ends, strict=False)) + b"\n" + body
    found = parse(submitted)
    assert [(field.name.decode(), field.body.decode()) for field in found.fields] == [
        (name, "\r\n ".join(parts)) for name, parts in fields
    ]
    assert found.content[found.header_size :] == b"\r\n" + body.replace(b"\n", b"\r\n")
