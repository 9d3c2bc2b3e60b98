"""A message as a tree of parts."""

import email.policy
import time
from email import message_from_bytes
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.mail.mime import MAX_DEPTH, MAX_PARTS, Part, headers, tree


def lines(*text: str) -> bytes:
    return "\r\n".join(text).encode()


def outline(part: Part) -> tuple:
    """What a part is, without its fields: its id, type, body, and the parts in it."""
    return (part.part_id, part.media_type, part.body, *map(outline, part.parts))


MIXED = ("Content-Type: multipart/mixed; boundary=b", "")
TREES = {
    "plain": (lines("Subject: x", "", "Hi", ""), ("", "text/plain", b"Hi\r\n")),
    "no body": (lines("Subject: x", ""), ("", "text/plain", b"")),
    "no fields": (lines("", "Hi"), ("", "text/plain", b"Hi")),
    "nothing": (b"", ("", "text/plain", b"")),
    "base64": (lines("Content-Transfer-Encoding: BASE64", "", "SGk=", ""), ("", "text/plain", b"Hi")),
    "base64 that is none": (lines("Content-Transfer-Encoding: base64", "", "SGkxx"), ("", "text/plain", b"SGkxx")),
    "quoted-printable": (
        lines("Content-Transfer-Encoding: quoted-printable", "", "=48i=", "!"),
        ("", "text/plain", b"Hi!"),
    ),
    "a type": (lines("content-type: TEXT/html; charset=utf-8", "", ""), ("", "text/html", b"")),
    "a type that is none": (lines("Content-Type: what?", "", ""), ("", "text/plain", b"")),
    "two parts": (
        lines(*MIXED, "preamble", "--b", "", "1", "--b ", "Content-Type: a/b", "", "2", "--b--", "epilogue"),
        ("", "multipart/mixed", b"", ("0", "text/plain", b"1"), ("1", "a/b", b"2")),
    ),
    "a part of a part": (
        lines(
            *MIXED, "--b", 'Content-Type: multipart/x; boundary="b b"', "", "--b b", "", "1", "--b b--", "--b--"
        ),
        ("", "multipart/mixed", b"", ("0", "multipart/x", b"", ("0.0", "text/plain", b"1"))),
    ),
    "a boundary that begins another": (
        lines(*MIXED, "--b", "", "--bb", "--b--"),
        ("", "multipart/mixed", b"", ("0", "text/plain", b"--bb")),
    ),
    "empty parts": (
        lines(*MIXED, "--b", "--b", "", "--b--"),
        ("", "multipart/mixed", b"", ("0", "text/plain", b""), ("1", "text/plain", b"")),
    ),
    "never closed": (
        lines(*MIXED, "--b", "", "1", "--b", "", "2"),
        ("", "multipart/mixed", b"", ("0", "text/plain", b"1"), ("1", "text/plain", b"2")),
    ),
    "no delimiter": (lines(*MIXED, "text"), ("", "multipart/mixed", b"text")),
    "no boundary": (lines("Content-Type: multipart/mixed", "", "text"), ("", "multipart/mixed", b"text")),
    "a field without an end": (lines("Content-Type: text/html"), ("", "text/html", b"")),
    "a message within": (
        lines(*MIXED, "--b", "Content-Type: message/rfc822", "", "To: a", "", "1", "--b--"),
        ("", "multipart/mixed", b"", ("0", "message/rfc822", b"To: a\r\n\r\n1")),
    ),
}


@pytest.mark.parametrize(("content", "expected"), TREES.values(), ids=TREES)
def test_a_message_is_a_tree_of_parts(content, expected):
    """Each part has its place, its type, and its decoded body; what is no MIME is shown as it stands."""
    assert outline(tree(content)) == expected


FILENAMES = {
    'attachment; filename="a b.pdf"': "a b.pdf",
    "attachment; filename*=UTF-8''gr%C3%BC%C3%9Fe.txt": "grüße.txt",
    'attachment; filename="=?UTF-8?Q?gr=C3=BC=C3=9Fe?="': "grüße",
    "attachment; filename*0=a; filename*1=b": "ab",
    "inline": "",
    "attachment; filename*=nonsense''a": "a",
    r"attachment; filename*=unicode_escape''%5Cud800": "?",
}


@pytest.mark.parametrize(("disposition", "filename"), FILENAMES.items())
def test_a_file_has_its_name(disposition, filename):
    """In any of the spellings in use (RFC 2183, RFC 2231, RFC 2047)."""
    assert tree(lines(f"Content-Disposition: {disposition}", "", "")).filename == filename


def test_a_file_may_be_named_by_its_type():
    """Where the disposition names none, the name of Content-Type stands."""
    assert tree(lines('Content-Type: image/png; name="a.png"', "", "")).filename == "a.png"


def test_fields_are_read_as_people_write_them():
    """Names as written, values unfolded and decoded, in their order, repeated ones each."""
    section = lines("To: a@b,", " c@d", "SUBJECT:  =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=", "X-A:", "X-A: 2", "")
    assert headers(section) == (("To", "a@b, c@d"), ("SUBJECT", "Grüße"), ("X-A", ""), ("X-A", "2"))


def test_deep_multiparts_end_in_a_text():
    """Below the depth a multipart is not taken apart."""
    content = b"end"
    for level in range(MAX_DEPTH + 10):
        mark = str(level).encode()
        content = b"Content-Type: multipart/mixed; boundary=b%s\r\n\r\n--b%s\r\n" % (mark, mark) + content
        content += b"\r\n--b%s--" % mark
    part, depth = tree(content), 0
    while part.parts:
        (part,) = part.parts
        depth += 1
    assert depth == MAX_DEPTH
    assert b"end" in part.body


def test_many_parts_are_shown_in_part():
    """No more parts are shown than the bound, wherever they stand."""

    def count(part: Part) -> int:
        return 1 + sum(map(count, part.parts))

    flat = lines(*MIXED) + b"\r\n--b\r\n\r\n1" * (2 * MAX_PARTS)
    assert count(tree(flat)) == MAX_PARTS
    inner = lines("--b", "Content-Type: multipart/mixed; boundary=c", "") + b"\r\n--c\r\n\r\n1" * 30 + b"\r\n"
    assert count(tree(lines(*MIXED, "") + inner * MAX_PARTS)) <= MAX_PARTS + 1


@given(
    st.lists(
        st.sampled_from([*MIXED, "--b", "--b--", "--", "", "x", "Content-Disposition: a; filename*=x'y", "\t"])
    )
)
def test_any_octets_are_a_tree(pieces):
    """Nothing is raised, whatever stands where."""
    tree("\r\n".join(pieces).encode())


@given(st.binary(max_size=200))
def test_any_parameters_are_read(octets):
    """Whatever Content-Type and Content-Disposition hold."""
    value = octets.replace(b"\r", b"").replace(b"\n", b"")
    tree(b"Content-Type: multipart/x;" + value + b"\r\nContent-Disposition: x;" + value + b"\r\n\r\n--")


@pytest.mark.parametrize(
    "content",
    [
        b"Content-Type: multipart/x; boundary=b\r\n\r\n" + b"\r\n--b" * 400_000,
        b"Content-Type: multipart/x; boundary=b\r\n\r\n" + b"\r\n--bb" * 400_000,
        b"Content-Type: text/plain;" + b'a="' * 150_000 + b"\r\n\r\n",
        b"Content-Type: text/plain;" + b"a*0=b;" * 80_000 + b"\r\n\r\n",
        b"X" * 500_000,
        b"X:\r\n" * 100_000,
    ],
    ids=["delimiters", "near delimiters", "quotes", "continuations", "no colon", "fields"],
)
def test_hostile_messages_cost_little(content):
    """Two megabytes of the worst are read within a second."""
    began = time.process_time()
    tree(content)
    assert time.process_time() - began < 1


def test_the_standard_library_sees_the_same():
    """An ordinary message with an alternative and two files has the parts that `email` finds."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["Subject"] = "Grüße"
    message.set_content("Grüße\n")
    message.add_alternative("<p>Grüße</p>\n", subtype="html")
    message.add_attachment(bytes(range(256)), maintype="image", subtype="png", filename="grün.png")
    message.add_attachment("text\n", filename="a.txt")
    octets = message.as_bytes()

    def expected(part, part_id):
        inner = part.get_payload() if part.is_multipart() else []
        found = [expected(one, f"{part_id}.{number}".lstrip(".")) for number, one in enumerate(inner)]
        body = b"" if inner else part.get_payload(decode=True)
        return (part_id, part.get_content_type(), part.get_filename("") or "", body, *found)

    def seen(part):
        return (part.part_id, part.media_type, part.filename, part.body, *map(seen, part.parts))

    assert seen(tree(octets)) == expected(message_from_bytes(octets, policy=email.policy.SMTP), "")
