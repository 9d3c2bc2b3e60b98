"""The transmitted form: a table of cases, properties judged by the standard library's parser, and torture."""

import base64
import contextlib
import email
import email.policy
import quopri
import re
import time
from email.message import Message

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.mail.transmission import (
    CannotTransmit,
    fold,
    foldable,
    headers_need_smtputf8,
    is_eight_bit,
    longest_line,
    quoted_printable,
    transmissible,
)

# The wire after DATA (hardening.md 2K): stuffed lines of at most 998 octets, then the lone dot.
WIRE = re.compile(rb"\A(?:(?:\.\.|[^.\r\n\0])[^\r\n\0]{0,997}\r\n|\r\n)*\.\r\n\Z")
UMLAUTS = "äöü€😀".encode()
HEADER = b"From: a@b\r\nMIME-Version: 1.0\r\n"


def unfolded(header: bytes) -> bytes:
    """Unfold as RFC 5322 section 2.2.3 says."""
    return re.sub(rb"\r\n(?=[ \t])", b"", header)


def on_the_wire(content: bytes) -> bytes:
    """Give the octets after DATA (RFC 5321 section 4.5.2)."""
    end = b"" if content.endswith(b"\r\n") else b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", content) + end + b".\r\n"


def leaves(message: Message) -> list[tuple[str, object]]:
    """Type and decoded octets of every leaf."""
    return [
        (part.get_content_type(), part.get_payload(decode=True))
        for part in message.walk()
        if not part.is_multipart()
    ]


def headers(message: Message) -> list[dict[str, str]]:
    """Every header section but its encoding fields, unfolded."""
    return [
        {
            name: unfolded(str(value).encode("utf-8", "surrogateescape")).strip()
            for name, value in part.items()
            if name.lower() not in ("content-transfer-encoding", "mime-version")
        }
        for part in message.walk()
    ]


def check(content: bytes, *, eight_bit: bool) -> bytes:
    """Return the transmitted form after the foreign judge found the same in it."""
    result = transmissible(content, eight_bit=eight_bit)
    assert longest_line(result) <= 998
    assert WIRE.match(on_the_wire(result))
    if not eight_bit:
        assert result.isascii()
    for policy in (email.policy.compat32, email.policy.default):
        before, after = (
            email.message_from_bytes(content, policy=policy),
            email.message_from_bytes(result, policy=policy),
        )
        assert leaves(after) == leaves(before)
        for old, new in zip(headers(before), headers(after), strict=True):
            assert new == {"Content-Type": new.get("Content-Type"), **old} or new == old
    assert transmissible(result, eight_bit=eight_bit) is result
    return result


def part(kind: bytes, encoding: bytes, body: bytes) -> bytes:
    """Write an entity."""
    label = b"Content-Transfer-Encoding: " + encoding + b"\r\n" if encoding else b""
    return b"Content-Type: " + kind + b"\r\n" + label + b"\r\n" + body


def mixed(*parts: bytes, boundary: bytes = b"b", kind: bytes = b"mixed", encoding: bytes = b"") -> bytes:
    """Write a multipart."""
    lines = b"".join(b"--" + boundary + b"\r\n" + each + b"\r\n" for each in parts)
    return part(
        b"multipart/" + kind + b'; boundary="' + boundary + b'"', encoding, lines + b"--" + boundary + b"--\r\n"
    )


# --- lines and octets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "octets"),
    [
        (b"", 0),
        (b"\r\n", 0),
        (b"a", 1),
        (b"a\r\n\r\nbcd\r\n", 3),
        (b"abc\r\nde", 3),
        (b"ab\r\ncde", 3),
        (b"a" * 998 + b"\r\nb", 998),
        (b"b\r\n" + b"a" * 5000, 5000),
    ],
)
def test_longest_line_table(content, octets):
    """The longest line is counted without its CRLF."""
    assert longest_line(content) == octets
    assert longest_line(bytearray(content)) == octets
    assert longest_line(content, at_least=octets + 1) == octets + 1


@given(st.lists(st.integers(0, 40), max_size=60), st.booleans())
def test_longest_line_agrees_with_split(lengths, closed):
    """Jumping over lines finds the same longest line as looking at each."""
    content = b"\r\n".join(b"x" * length for length in lengths) + b"\r\n" * closed
    assert longest_line(content) == max(map(len, content.split(b"\r\n")))


def test_eight_bit():
    """Octets over 127 make content 8-bit, in a header section a matter of SMTPUTF8."""
    assert is_eight_bit(b"a\xe4")
    assert is_eight_bit(bytearray(b"\xe4"))
    assert not is_eight_bit(b"a\x7f")
    assert is_eight_bit(b"a\xe4", start=1)
    assert not is_eight_bit(b"\xe4a", start=1)
    assert headers_need_smtputf8(b"Subject: \xc3\xa4\r\n")
    assert not headers_need_smtputf8(b"Subject: =?utf-8?q?=C3=A4?=\r\n")


# --- header sections --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "possible"),
    [
        (b"X: " + b"a" * 995 + b"\r\n", True),
        (b"X: " + b"a" * 996 + b"\r\n", True),
        (b"X:" + b"a" * 997 + b"\r\n", False),
        (b"X: " + b"a" * 997 + b"\r\n", True),
        (b"X: " + b"a" * 998 + b"\r\n", False),
        (b"X: " + b"ab " * 400 + b"\r\n", True),
        (b"X: a\r\n " + b"ab\t" * 400 + b"\r\n", True),
        (b"X: a" + b" " * 2000 + b"\r\n", False),
        (b"X: a\r\n" + b" " * 2000 + b"\r\n", False),
        (b"X: " + b"a " * 500_000 + b"\r\n", True),
    ],
)
def test_foldable_table(header, possible):
    """A line folds exactly if each word, with the white space before it, fits a line of its own."""
    assert foldable(header) is possible
    assert unfolded(fold(header)) == unfolded(header)


words = st.lists(st.sampled_from(["a", " ", "\t", "  ", "b" * 50, "c" * 500, "d" * 1100, "ä"]), max_size=40)


@given(words, st.integers(5, 998))
def test_folding_keeps_the_value_and_makes_no_blank_line(pieces, limit):
    """Unfolding gives back every octet, and no line of white space alone comes about."""
    header = ("X: y" + "".join(pieces) + "\r\nY: z\r\n").encode()
    result = fold(header, limit)
    assert unfolded(result) == header
    assert not any(line.isspace() for line in result.split(b"\r\n"))


def test_long_header_lines_are_folded_in_the_message_and_in_its_parts():
    """Folding reaches the header sections of parts and of enclosed messages."""
    references = b"References: " + b"<a@b> " * 400 + b"<c@d>\r\n"
    inner = references + part(b"text/plain", b"", b"hello\r\n")
    content = (
        references
        + HEADER
        + mixed(references + part(b"text/plain", b"", b"x"), part(b"message/rfc822", b"", inner))
    )
    assert unfolded(check(content, eight_bit=True)) == content


def test_a_long_word_in_a_header_cannot_be_transmitted():
    """A word of 1 000 octets in a part's header is refused, for it cannot be folded."""
    with pytest.raises(CannotTransmit, match="1026 octets"):
        transmissible(
            HEADER + mixed(b"Content-Description: ".replace(b" ", b"  ") + b"\r\n " + b"a" * 1025 + b"\r\n\r\nx"),
            eight_bit=True,
        )


# --- bodies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eight_bit", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"From: a@b\r\n",
        b"From: a@b\r\n\r\n",
        b"From: a@b\r\n\r\n.\r\n..\r\nFrom me\r\n",
        HEADER + part(b"text/plain", b"8bit", b"a" * 998 + b"\r\n"),
        HEADER + mixed(part(b"text/plain", b"binary", b"a"), encoding=b"binary"),
        HEADER + mixed(encoding=b"base64"),
        b"Content-Type: multipart/mixed\r\n\r\nno boundary\r\n",
        b"Content-Type: text/plain\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: x-odd\r\n\r\nhi\r\n",
    ],
)
def test_what_fits_is_returned_as_the_same_object(content, eight_bit):
    """Content in short 7-bit lines is not even copied, however odd its MIME."""
    assert transmissible(content, eight_bit=eight_bit) is content


def test_eight_bit_header_octets_stay():
    """Raw UTF-8 in the message's own header section is left to SMTPUTF8, also where the body changes."""
    content = b"Subject: \xc3\xa4\r\n\r\nhi\r\n"
    assert transmissible(content, eight_bit=False) is content
    changed = transmissible(content + UMLAUTS, eight_bit=False)
    assert changed.startswith(b"Subject: \xc3\xa4\r\n")
    assert changed.count(b"\xc3\xa4") == 1


@pytest.mark.parametrize("length", [998, 999, 1000, 4000, 10**6])
@pytest.mark.parametrize("character", [b"a", "ä".encode(), "😀".encode()])
def test_lengths_at_the_limit(length, character):
    """A line of 998 octets passes where 8BITMIME is, one of 999 does not."""
    line = (character * length)[-length:]
    content = HEADER + part(b"text/plain; charset=utf-8", b"8bit", line + b"\r\nsecond\r\n")
    result = check(content, eight_bit=True)
    assert (result is content) == (length == 998)
    check(content, eight_bit=False)


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n\r\n"])
@pytest.mark.parametrize("length", [999, 4000, 10**6])
def test_long_base64_lines_are_wrapped(length, end):
    """Base64 in lines of 4 000 octets, or in one of a million, leaves in lines of 76 with the same octets."""
    body = base64.b64encode(bytes(range(256)) * 4000)[: length // 4 * 4 + 4] + end
    result = check(HEADER + part(b"application/pdf", b"BASE64", body), eight_bit=True)
    assert longest_line(result.partition(b"\r\n\r\n")[2]) == 76
    assert result.endswith(b"\r\n") == bool(end)


def test_only_the_offending_part_changes():
    """Every other octet of the message stays as it was."""
    good = part(b"text/plain; charset=utf-8", b"8bit", b"caf\xc3\xa9 \r\n")
    bad = part(b"application/pdf; name=x", b"Base64", b"QUJD" * 1000)
    wrapped = b"\r\n".join([b"QUJD" * 19] * 52 + [b"QUJD" * 12])
    content = HEADER + mixed(good, bad, good, encoding=b"8bit")
    assert check(content, eight_bit=True) == content.replace(b"QUJD" * 1000, wrapped)


def test_containers_promise_no_more_than_their_parts_hold():
    """A multipart's 8bit label becomes 7bit with its parts; a binary one 8bit, where that may stay."""
    text = part(b"text/plain; charset=utf-8", b"8bit", UMLAUTS * 100)
    content = HEADER + mixed(text, part(b"message/rfc822", b"8bit", HEADER + text), encoding=b"8bit")
    assert b"8bit" not in check(content, eight_bit=False)
    content = HEADER + mixed(part(b"text/plain", b"binary", b"a" * 999), encoding=b"binary")
    assert b'boundary="b"\r\nContent-Transfer-Encoding: 8bit\r\n' in check(content, eight_bit=True)


@pytest.mark.parametrize(
    ("body", "charset"),
    [(b"a" * 999, b"us-ascii"), (UMLAUTS, b"utf-8"), (b"caf\xe9", b"unknown-8bit")],
)
def test_a_message_without_mime_gets_the_fields_that_give_the_encoding_a_meaning(body, charset):
    """An encoded plain message says MIME-Version, its type and its encoding."""
    result = check(b"From: a@b\r\n\r\n" + body + b"\r\n", eight_bit=False)
    assert result.startswith(
        b"From: a@b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset="
        + charset
        + b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    )


def test_a_container_that_claims_an_encoding_is_read_as_everyone_reads_it():
    """A multipart labelled base64 is walked, for its label is void (RFC 2045 section 6.4)."""
    assert check(HEADER + mixed(LONG, encoding=b"base64"), eight_bit=True).count(b"base64") == 1


@pytest.mark.parametrize("encoding", [b"8bit", b"quoted-printable"])
@pytest.mark.parametrize("width", range(69, 80))
def test_no_line_break_of_ours_makes_a_delimiter(encoding, width):
    """Text that reads like a delimiter never comes to begin a line."""
    text = part(b"text/plain", encoding, b"x" * width + b"--b\r\n" + b"---b---" * 1000 + b"\r\n-- \r\n")
    assert check(HEADER + mixed(text, b"\r\nlast"), eight_bit=True).count(b"\r\n--b") == 3


def test_a_part_without_header_gets_an_encoding_alone():
    """Of a part's header nothing but the encoding changes, be it empty."""
    result = check(HEADER + mixed(b"\r\n" + UMLAUTS), eight_bit=False)
    assert b"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4" in result


def test_parts_of_a_digest_are_messages():
    """A part of multipart/digest without a type is a message (RFC 2046 section 5.1.5)."""
    result = check(HEADER + mixed(b"\r\nSubject: x\r\n\r\n" + UMLAUTS, kind=b"digest"), eight_bit=False)
    assert b"\r\nSubject: x\r\nMIME-Version: 1.0\r\n" in result


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [
        (b"text/html", b"quoted-printable"),
        (b"TEXT / x-odd; a=b", b"quoted-printable"),
        (b"text", b"quoted-printable"),
        (b"application/json", b"base64"),
        (b"image/svg+xml (a picture)", b"base64"),
        (b"message/global-delivery-status", b"base64"),
    ],
)
def test_text_becomes_quoted_printable_and_other_types_base64(kind, encoding):
    """The type of a part decides its new encoding."""
    result = transmissible(HEADER + part(kind, b"8bit", UMLAUTS + b"\r\n"), eight_bit=False)
    assert b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n" in result
    assert result.isascii()


@pytest.mark.parametrize(
    "line",
    [
        b"=41" * 400,
        b"a" + b"=41" * 400,
        b"aa" + b"=41" * 400 + b"=",
        b"a" * 5000 + b"=",
        b"a b\t" * 500,
        b"a" * 2000 + b"   ",
        b"=E4" * 999 + b"\xe4" * 999,
    ],
)
def test_long_quoted_printable_lines_are_softly_broken(line):
    """Soft line breaks never cut an escape, and leave what ends the line as it was."""
    content = HEADER + part(b"text/plain", b"quoted-printable", b"first\r\n" + line + b"\r\nlast =\r\nline \r\n")
    result = check(content, eight_bit=False)
    assert b"\r\nfirst\r\n" in result
    assert result.endswith(b"\r\nlast =\r\nline \r\n")


@given(
    st.lists(st.sampled_from([b"a", b" ", b"\t", b"=", b".", b"\r\n", b"\x7f", b"\xc3\xa4", b"a" * 73, b"b" * 76]))
)
def test_quoted_printable_is_what_others_decode(pieces):
    """Both decoders of the standard library give back every octet of lines no longer than 76."""
    body = b"".join(pieces)
    encoded = quoted_printable(body)
    assert longest_line(encoded) <= 76
    assert not re.search(rb"[ \t](\r\n|\Z)", encoded)
    assert quopri.decodestring(encoded) == body
    assert (
        email.message_from_bytes(part(b"text/plain", b"quoted-printable", encoded)).get_payload(decode=True)
        == body
    )


# --- what is refused --------------------------------------------------------------------------------------

LONG = part(b"text/plain", b"", b"a" * 999)


@pytest.mark.parametrize(
    "content",
    [
        HEADER + mixed(LONG, kind=b"signed"),
        HEADER + part(b"(a (b) c) multipart/mixed; boundary=b", b"", b"--b\r\n" + LONG),
        HEADER + mixed(mixed(LONG, boundary=b"c"), kind=b"signed"),
        HEADER + part(b"message/partial; id=1", b"", b"a" * 999),
        HEADER + part(b"message/delivery-status", b"", b"a" * 999),
        HEADER + part(b"message/rfc822", b"quoted-printable", b"a: b\r\n\r\n" + b"a" * 999),
        HEADER + part(b"text/plain", b"base64", b"no base64! " * 999),
        HEADER + part(b"text/plain", b"x-uuencode", b"a" * 999),
        HEADER + part(b"text/plain", b"quoted-printable", b"=xx" * 999),
        HEADER + part(b"text/plain", b"quoted-printable", b"a" * 999 + b"=="),
        HEADER + part(b"text/plain", b"quoted-printable", b"a=\xe4" + b"a" * 999),
        HEADER + mixed(part(b"image/png", b"base64", b"QUJD" * 19 + b"--b" + b"QUJD" * 999)),
        HEADER + part(b"text/plain", b"quoted-printable", b"a" + b" " * 2000),
        HEADER + b"Content-Transfer-Encoding: 8bit\r\n" + part(b"text/plain", b"7bit", b"a" * 999),
        HEADER + b"Content-Type: text/html\r\n" + LONG,
        HEADER + part(b"multipart/mixed", b"", b"--b\r\n" + LONG),
        HEADER + part(b'multipart/mixed; boundary=""', b"", b"--\r\n" + LONG),
        HEADER + part(b'multipart/mixed; boundary=" "', b"", b"--\r\n" + LONG),
        HEADER + part(b"multipart/mixed; boundary=b; boundary=c", b"", b"--b\r\n" + LONG),
        HEADER + part(b"multipart/mixed; boundary=b", b"", b"--c\r\n" + LONG),
        HEADER + part(b"multipart/mixed; boundary=b", b"", b"a" * 999 + b"\r\n--b\r\n\r\nx\r\n--b--\r\n"),
        HEADER + mixed(b"\r\nx") + b"a" * 999,
        HEADER + mixed(b"\r\nx") + b"--b" + b" " * 2000,
        HEADER + mixed(b"no header here but " + b"words " * 400),
        HEADER + mixed(b"no header here\r\n\r\n" + b"a" * 999),
        HEADER + mixed(b" : x\r\n\r\n" + b"a" * 999),
        HEADER + mixed(part(b"message/rfc822", b"", b"no header\r\n\r\n" + b"a" * 999)),
    ],
)
def test_what_cannot_be_changed_safely_is_refused(content):
    """What may not be altered, or may be read in two ways, is refused and never cut."""
    with pytest.raises(CannotTransmit):
        transmissible(content, eight_bit=True)


def test_eight_bit_headers_of_parts_cannot_be_seven_bit():
    """Raw UTF-8 in a part's header has no 7-bit form."""
    content = HEADER + mixed(b"Content-Description: \xc3\xa4\r\n\r\nx")
    assert transmissible(content, eight_bit=True) is content
    with pytest.raises(CannotTransmit, match="8-bit"):
        transmissible(content, eight_bit=False)


# --- boundaries -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        b"; boundary=b",
        b'; boundary="b"',
        b';boundary = "b" ; x=y',
        b'; BOUNDARY="\\b"',
        b'; boundary="b "',
        b'; x="; boundary=c"; boundary=b',
        b'; (a "comment; boundary=c) boundary=b (another)',
        b";\r\n\tboundary=b",
    ],
)
def test_boundary_spellings(parameters):
    """A boundary is found quoted, unquoted, folded and behind comments."""
    content = HEADER + b"Content-Type: multipart/mixed" + parameters + b"\r\n\r\n--b\r\n" + LONG + b"\r\n--b--\r\n"
    assert b"quoted-printable" in transmissible(content, eight_bit=True)


@pytest.mark.parametrize("inner", [b"bb", b"b-", b"b--", b"b-b", b"b" + b"x" * 2047, b"a b"])
def test_boundaries_that_are_prefixes_of_each_other(inner):
    """Only a whole line is a delimiter, so the boundary `b` does not end a part within `bb`."""
    text = part(b"text/plain; charset=utf-8", b"", b"--bc\r\n--\r\n" + UMLAUTS + b"\r\n--b-\r\n--bbb--\r\n.")
    content = HEADER + mixed(text, mixed(text, text, boundary=inner), text)
    if len(inner) > 900 or inner == b"b--":  # the line is too long; it closes the outer multipart
        with pytest.raises(CannotTransmit):
            transmissible(content, eight_bit=False)
    else:
        check(content, eight_bit=False)


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n--b \t\r\n\r\nx\r\n--b-- \r\nepilogue\r\n--b\r\n"])
def test_missing_delimiters(end):
    """A part whose close-delimiter is missing goes on to the end of its parent (RFC 2046 section 5.1.2)."""
    inner = part(b"multipart/mixed; boundary=c", b"", b"preamble\r\n--c\r\n" + LONG)
    check(HEADER + part(b"multipart/mixed; boundary=b", b"", b"--b\r\n" + inner + end), eight_bit=False)


# --- properties -------------------------------------------------------------------------------------------

lines = st.sampled_from(
    [
        *[
            b"",
            b".",
            b"..",
            b"From me",
            b"--b",
            b"--",
            b"a ",
            b"\t",
            b"=",
            b"=3D",
            b"--bbbb--",
            b"\xff\xfe",
            UMLAUTS,
        ],
        *[b"x" * width + b"--one" for width in range(70, 80)],
        *[b"a" * 998, b"b" * 999, b"c " * 900, UMLAUTS * 300, b"." * 999, b"=41" * 400],
    ]
)
bodies = st.lists(lines, max_size=6).map(b"\r\n".join)
plain = st.builds(
    part,
    st.sampled_from([b"text/plain", b"text/html; charset=utf-8", b"application/x"]),
    st.sampled_from([b"", b"8bit", b"binary"]),
    bodies,
)
encoded64 = st.builds(
    lambda octets, width, junk: part(
        b"image/png",
        b"base64",
        junk + b"\r\n".join(base64.b64encode(octets)[i : i + width] for i in range(0, len(octets) * 2, width)),
    ),
    st.binary(min_size=1, max_size=30).map(lambda octets: octets * 100),
    st.sampled_from([76, 998, 1000, 4000]),
    st.sampled_from([b"", b" \t", b"\r\n"]),
)
quoted = st.lists(lines, max_size=6).map(
    lambda each: b"\r\n".join(quopri.encodestring(line).replace(b"=\n", b"") for line in each)
)
encoded_text = st.builds(part, st.just(b"text/plain"), st.just(b"quoted-printable"), quoted)


def enclosed(children):
    """Draw a multipart or a message around drawn entities."""
    return st.builds(
        lambda inner, boundary, kind, encoding: mixed(
            *[each for each in inner if b"--" + boundary not in each] or [b"\r\nx"],
            boundary=boundary,
            kind=kind,
            encoding=encoding,
        ),
        st.lists(children, min_size=1, max_size=3),
        st.sampled_from([b"one", b"one-", b"one--", b"onetwo", b"two", b"=_x y"]),
        st.sampled_from([b"mixed", b"alternative", b"report"]),
        st.sampled_from([b"", b"8bit", b"binary"]),
    ) | st.builds(lambda inner: part(b"message/rfc822", b"", HEADER + inner), children)


messages = st.recursive(plain | encoded64 | encoded_text, enclosed, max_leaves=6).map(
    lambda entity: b"Subject: " + b"word " * 250 + b"\r\n" + HEADER + entity + b"\r\n"
)


@settings(max_examples=150, deadline=None)
@given(messages, st.booleans())
def test_the_foreign_judge_finds_the_same_message(content, eight_bit):
    """Every leaf decodes to the same octets and every header unfolds to the same value, in lines that pass."""
    check(content, eight_bit=eight_bit)


soup = st.lists(
    st.sampled_from(
        [b"\r\n", b"--b", b"--b--", b"Content-Type: multipart/mixed; boundary=b\r\n", b"\r\n\r\n", b" "]
    )
    | st.sampled_from(
        [
            b"Content-Type: message/rfc822\r\n",
            b"Content-Transfer-Encoding: base64\r\n",
            b"\xe4",
            b"x: y\r\n",
            b"a" * 999,
        ]
    )
)


@settings(max_examples=300, deadline=None)
@given(soup, st.booleans())
def test_any_body_is_transmissible_or_refused(pieces, eight_bit):
    """Whatever stands in a body, it leaves within the limits or is refused."""
    content = HEADER + b"".join(pieces).replace(b"\r\n\r\n\r\n", b"\r\n\r\n")
    try:
        result = transmissible(content, eight_bit=eight_bit)
    except CannotTransmit:
        return
    assert WIRE.match(on_the_wire(result))
    assert eight_bit or result.partition(b"\r\n\r\n")[2].isascii()


# --- torture ----------------------------------------------------------------------------------------------


def nested(depth: int, body: bytes) -> bytes:
    """Write a part within `depth` multiparts."""
    opened = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(depth)
    )
    return (
        HEADER + opened + b"\r\n" + body + b"".join(b"\r\n--b%d--" % i for i in reversed(range(depth))) + b"\r\n"
    )


def within(seconds: float, content: bytes) -> bytes:
    """Give the 7-bit form, which must not take longer."""
    start = time.perf_counter()
    try:
        return transmissible(content, eight_bit=False)
    finally:
        assert time.perf_counter() - start < seconds


@pytest.mark.parametrize("depth", [100, 500, 10_000])
@pytest.mark.parametrize("kind", ["multipart", "message"])
def test_deep_nesting_is_refused_only_where_something_must_change(depth, kind):
    """Depth costs nothing where nothing must change, and is refused beyond 50 where something must."""
    enclosing = b"Content-Type: message/rfc822\r\n\r\n" * depth
    good, bad = (
        (nested(depth, b"x"), nested(depth, UMLAUTS))
        if kind == "multipart"
        else (enclosing, enclosing + b"\r\n\xe4")
    )
    assert within(1, good) is good
    with pytest.raises(CannotTransmit, match="50 deep"):
        within(1, bad)


def test_fifty_levels_are_walked():
    """The deepest allowed part is still encoded."""
    assert b"=C3=A4" in within(1, nested(50, UMLAUTS))


def test_a_hundred_thousand_parts():
    """Parts cost linear time, every other one changed."""
    text = part(b"text/plain; charset=utf-8", b"8bit", "ä".encode())
    many = within(8, HEADER + mixed(*[text, b"\r\nx"] * 50_000))
    assert many.count(b"=C3=A4") == 50_000


@pytest.mark.parametrize(
    "content",
    [
        HEADER + part(b"multipart/mixed; boundary=b", b"", b"--b" * 300_000 + b"\xe4"),
        HEADER + part(b"multipart/mixed; boundary=b", b"", b"--bx\r\n" * 200_000 + b"\xe4"),
        HEADER + part(b"multipart/mixed; boundary=" + b"-" * 900, b"", b"-" * 1_000_000 + b"\xe4"),
        HEADER + part(b'text/plain; x="' + b'\\"' * 100_000, b"", b"\xe4"),
        HEADER + part(b"text/plain; " + b"(" * 100_000, b"", b"\xe4"),
        HEADER + part(b"text/plain; " + b"(\\" * 100_000, b"", b"\xe4"),
        HEADER + part(b"multipart/mixed" + b";a=" * 100_000, b"", b"\xe4"),
        HEADER + part(b"multipart/mixed; " + b" " * 200_000 + b"x", b"", b"\xe4"),
        HEADER + b"X: " + b" \t" * 200_000 + b"\r\n\r\n\xe4",
        HEADER + b"X:\r\n" + b" \t" * 200_000 + b"\r\n\r\n\xe4",
        HEADER + part(b"text/plain", b"quoted-printable", b"=" * 1_000_000),
        HEADER + part(b"text/plain", b"quoted-printable", b" " * 1_000_000 + b"\xe4"),
        HEADER + part(b"text/plain", b"quoted-printable", b"=41" * 300_000 + b"\xe4"),
    ],
)
def test_hostile_patterns_cost_linear_time(content):
    """No pattern backtracks: a megabyte of delimiters, quotes, comments, blanks or escapes takes no second."""
    with contextlib.suppress(CannotTransmit):
        assert within(2, content).isascii()
