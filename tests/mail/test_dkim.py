"""DKIM signatures: judged by dkimpy and by Debian's libopendkim, message by message."""

import base64
import hashlib
import re
import time
import tracemalloc

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.mail import message
from postroad.mail.dkim import ED25519, LIFE, RSA, Covered, SigningKey, signatures
from postroad.mail.transmission import transmissible
from postroad.refusals import Refusal
from tests.opendkim import OpenDKIM

NOW = int(time.time())  # dkimpy looks at the clock by itself
GOOD = {"one": "", "two": ""}

PLAIN = b"From: me@a.test\r\nTo: you@b.test\r\nSubject: hello\r\n\r\nbody\r\n"


def covered(content: bytes, size: int = 1 << 20) -> Covered:
    read = Covered()
    for at in range(0, len(content), size):
        read.take(content[at : at + size])
    return read


def body_hash(body: bytes) -> bytes:
    return covered(b"From: me@a.test\r\n\r\n" + body).body_hash


class Judges:
    """Signs with a key of each kind, and asks both judges."""

    def __init__(self, folder):
        slow, quick = rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()
        self.keys = (
            SigningKey("a.test", "one", RSA, lambda octets: slow.sign(octets, padding.PKCS1v15(), SHA256)),
            SigningKey("a.test", "two", ED25519, quick.sign),
        )
        public = slow.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.records = {
            "one._domainkey.a.test": f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}",
            "two._domainkey.a.test": f"v=DKIM1; k=ed25519; p={encoded(quick.public_key().public_bytes_raw())}",
        }
        self.opendkim = OpenDKIM(folder, self.records, NOW)

    def signed(self, content: bytes) -> bytes:
        """The message as it arrives: the wire ends the last line where nobody has (RFC 5321 section 4.1.1.4)."""
        read = covered(content)
        end = b"" if content.endswith(b"\r\n") else b"\r\n"
        return signatures(read.header_section, read.body_hash, self.keys, NOW) + content + end

    def verdicts(self, content: bytes) -> dict[str, str]:
        return self.opendkim.verdicts(content)

    def dkimpy_agrees(self, content: bytes) -> bool:
        """Of the first signature, RSA; for the other it wants a library that is not here."""
        return dkimpy.verify(content, dnsfunc=lambda name, **_: self.records[name.decode().rstrip(".")].encode())


SHA256 = Prehashed(hashes.SHA256())


def encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


@pytest.fixture(scope="module")
def judges(tmp_path_factory):
    """Both judges and the keys whose records they know."""
    return Judges(tmp_path_factory.mktemp("opendkim"))


BODIES = {
    "the example of RFC 6376 section 3.4.5": (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),
    "no body": (b"", b""),
    "empty lines alone": (b"\r\n\r\n\r\n", b""),
    "white space alone": (b" \r\n\t\r\n  ", b""),
    "white space without a line end": (b" \t ", b""),
    "no last line end": (b"a", b"a\r\n"),
    "white space at the end without a line end": (b"a \t", b"a\r\n"),
    "empty lines first": (b"\r\n\r\na\r\n", b"\r\n\r\na\r\n"),
    "empty lines between": (b"a\r\n \r\n\t\r\n\r\nb\r\n", b"a\r\n\r\n\r\n\r\nb\r\n"),
    "very many empty lines between": (b"a" + b"\r\n" * 100_000 + b"b", b"a" + b"\r\n" * 100_000 + b"b\r\n"),
    "white space first": (b"\t  a\r\n", b" a\r\n"),
    "a run of white space": (b"a" + b" \t" * 500 + b"b\r\n", b"a b\r\n"),
    "octets over 127": (b"\xff \xa0 \r\n", b"\xff \xa0\r\n"),
    "form feed is no white space": (b"a \x0c \x0b\r\n", b"a \x0c \x0b\r\n"),
    "a lone dot": (b".\r\n", b".\r\n"),
}


@pytest.mark.parametrize(("body", "relaxed"), BODIES.values(), ids=BODIES)
def test_a_body_is_hashed_in_its_relaxed_form(body, relaxed):
    """Runs of white space are one space, none ends a line, and empty lines at the end do not count."""
    assert body_hash(body) == hashlib.sha256(relaxed).digest()


def test_the_body_of_the_example_has_its_published_hash():
    """The example of RFC 8463 appendix A has the bh= that stands there."""
    body = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
    assert encoded(body_hash(body)) == "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="


PIECES = st.sampled_from(
    [b" ", b"\t", b"  ", b"\r\n", b"\r\n\r\n", b"a", b"--b", b".", b"=20", b"\xc3\xa9", b"\xff"]
)
BODY = st.lists(PIECES, max_size=60).map(b"".join)


def plainly_relaxed(body: bytes) -> bytes:
    """RFC 6376 section 3.4.4, sentence by sentence."""
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


@given(BODY, st.integers(1, 9))
def test_pieces_of_any_size_make_the_same_hash(body, size):
    """However a message is cut, its header section and the hash of its body are the same."""
    read = covered(b"From: me@a.test\r\n\r\n" + body, size)
    assert read.header_section == b"From: me@a.test\r\n"
    assert read.body_hash == hashlib.sha256(plainly_relaxed(body)).digest()


@pytest.mark.parametrize("filling", [b"\r\n", b" ", b"\t", b" \r\n", b"a  ", b"abcdefg\t \r\n"])
def test_a_large_body_is_never_in_memory(filling):
    """What is held of 8 MiB that come in chunks stays under 1 MiB, whatever they are."""
    chunk = filling * ((256 << 10) // len(filling))
    tracemalloc.start()
    try:
        read = covered(b"From: me@a.test\r\n\r\n")
        for _ in range(32):
            read.take(chunk)
        read.take(b"end")
        read.body_hash  # noqa: B018 - its work counts too
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


MESSAGES = {
    "plain": PLAIN,
    "no body and no empty line": b"From: me@a.test\r\nSubject: x\r\n",
    "no body": b"From: me@a.test\r\nSubject: x\r\n\r\n",
    "empty lines at the end": PLAIN + b"\r\n \r\n\t\r\n\r\n",
    "the last line has no end": PLAIN + b"end",
    "empty fields": b"From: me@a.test\r\nSubject:\r\nTo: \r\nCc:\t\r\nX:\r\n\r\nbody\r\n",
    "a folded field": b"From: me@a.test\r\nSubject: a\r\n\tb\r\n  c \r\n\r\nbody\r\n",
    "white space in a field's empty line": b"From: me@a.test\r\nSubject: a\r\n \r\n\t\r\n b\r\n\r\nbody\r\n",
    "a field that begins on its second line": b"From:\r\n me@a.test\r\nSubject:\r\n\tx\r\n\r\nbody\r\n",
    "no white space after the colon": b"From:me@a.test\r\nSubject:x\r\n\r\nbody\r\n",
    "names in any case": b"FROM: me@a.test\r\nsUBJECT: x\r\nmime-VERSION: 1.0\r\n\r\nbody\r\n",
    "octets over 127": "From: Å <me@a.test>\r\nSubject: grüße\u00a0x\u2003y\u0085\r\n\r\nbödy\r\n".encode(),
    "a body that is not UTF-8": PLAIN + b"\xff\xfe \xa0\r\n",
    "several of one name": b"To: a@b.test\r\nCc: x@b.test\r\nTo: c@b.test\r\nto:\r\n" + PLAIN,
    "a long line": b"From: me@a.test\r\nReferences:" + b" <1234567890@a.test>" * 45 + b"\r\n\r\n" + b"x " * 499,
    "a field over many lines": b"From: me@a.test\r\nTo: a@b.test" + b",\r\n c@b.test" * 2000 + b"\r\n\r\nbody\r\n",
    "a signature of another": b"DKIM-Signature: v=1; a=rsa-sha256; d=b.test; s=x; h=from; bh=YQ==; b=YQ==\r\n"
    + PLAIN,
    "a list's fields": b"List-Unsubscribe: <https://a.test/>\r\nList-Unsubscribe-Post: x\r\n" + PLAIN,
    "sixty of one name": b"To: a@b.test\r\n" * 60 + PLAIN,
    "a colon in a field": b"From: me@a.test\r\nSubject: : a : b ;=\r\n\r\nbody\r\n",
    "lines that begin with dots": PLAIN + b".\r\n..\r\n.a\r\n",
    "in its 7-bit form": transmissible(
        b"From: me@a.test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xa9 \r\n",
        eight_bit=False,
    ),
}


@pytest.mark.parametrize("content", MESSAGES.values(), ids=MESSAGES)
def test_a_signed_message_verifies(judges, content):
    """Both judges find both signatures good, and what was signed is what `message.parse` lets through."""
    message.parse(content)
    signed = judges.signed(content)
    message.parse(signed)
    assert judges.verdicts(signed).items() >= GOOD.items()
    assert judges.dkimpy_agrees(signed)


VALUE = st.lists(
    st.sampled_from(["", "a", "B@c.test", " ", "\t", "\r\n ", "\r\n\t", ";", ":", "=", "é", "\u2028", "%"]),
    max_size=9,
).map("".join)
NAME = st.sampled_from(
    [
        "From",
        "TO",
        "cc",
        "Subject",
        "Date",
        "Message-ID",
        "In-Reply-To",
        "Content-type",
        "List-Id",
        "X-a",
        "Received",
    ]
)


@given(st.lists(st.tuples(NAME, VALUE), max_size=9), BODY, st.sampled_from([b"\n", b"\r\n"]))
@settings(max_examples=150, deadline=None)
def test_whatever_is_accepted_can_be_signed(judges, fields, body, line_end):
    """Any message that `message.parse` accepts verifies once signed, with whatever line ends it came."""
    head = "".join(f"{name}: {value}\r\n" for name, value in (*fields, ("From", "me@a.test"))).encode()
    try:
        content = message.parse((head + b"\r\n" + body).replace(b"\r\n", line_end)).content
    except Refusal:
        return
    signed = judges.signed(content)
    assert judges.verdicts(signed) == GOOD
    assert judges.dkimpy_agrees(signed)


NEVER_ADDED = [
    *("From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "In-Reply-To", "References"),
    *("MIME-Version", "Content-Type", "Content-Transfer-Encoding", "List-Unsubscribe"),
]


@pytest.mark.parametrize("name", NEVER_ADDED)
@pytest.mark.parametrize("place", ["above", "below"])
def test_a_field_that_is_added_breaks_the_signatures(judges, name, place):
    """Nobody can put a second From, or a first Cc, into a signed message (RFC 6376 section 8.15)."""
    content = b"List-Unsubscribe: <https://a.test/>\r\n" + PLAIN
    signed = judges.signed(content)
    added = f"{name}: evil@a.test\r\n".encode()
    head, body = signed.split(b"\r\n\r\n", 1)
    forged = added + signed if place == "above" else head + b"\r\n" + added + b"\r\n" + body
    assert set(judges.verdicts(signed).values()) == {""}
    assert "" not in judges.verdicts(forged).values()
    assert not judges.dkimpy_agrees(forged)


CHANGES = {
    "another author": (b"me@a.test", b"we@a.test"),
    "a field taken away": (b"Subject: hello\r\n", b""),
    "an empty field taken for none": (b"Subject: hello", b"Subject: "),
    "another body": (b"body", b"bodY"),
    "more of a body": (b"body\r\n", b"body\r\n.\r\n"),
    "a later expiry": (f"x={NOW + LIFE}".encode(), f"x={NOW + LIFE + 1}".encode()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_changed_breaks_the_signatures(judges, change):
    """No covered octet can be changed."""
    forged = judges.signed(PLAIN).replace(*change)
    assert "" not in judges.verdicts(forged).values()
    assert not judges.dkimpy_agrees(forged)


UNTOUCHED = {
    "a trace field on top": lambda signed: b"Received: by mx.b.test; now\r\n" + signed,
    "a mailing list's own": lambda signed: b"List-Id: <l.b.test>\r\nSender: l@b.test\r\n" + signed,
    "another fold": lambda signed: signed.replace(b"Subject: hello", b"Subject:\r\n\t  hello  "),
    "empty lines at the end": lambda signed: signed + b"\r\n\r\n",
}


@pytest.mark.parametrize("change", UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_happens_on_the_way_leaves_the_signatures_good(judges, change):
    """Trace fields, other folds and white space at the end of lines do no harm."""
    signed = change(judges.signed(PLAIN))
    assert judges.verdicts(signed) == GOOD
    assert judges.dkimpy_agrees(signed)


@pytest.mark.parametrize("content", MESSAGES.values(), ids=MESSAGES)
def test_lines_are_short(judges, content):
    """No line of a signature has 78 columns or more, however many fields it covers."""
    added = judges.signed(content).partition(content)[0]
    assert added.endswith(b"\r\n")
    assert max(map(len, added.split(b"\r\n"))) < 78


def tags(field: message.Field) -> dict[str, str]:
    pairs = (tag.split("=", 1) for tag in field.text.split(";"))
    return {name.strip(): "".join(value.split()) for name, value in pairs}


def test_the_tags_of_a_signature(judges):
    """Each key has its own field, alike but for its names and what it signed; the same again at the same time."""
    found = [one for one in message.parse(judges.signed(PLAIN)).fields if one.key == b"dkim-signature"]
    one, two = map(tags, found)
    assert (one.pop("a"), one.pop("s")) == ("rsa-sha256", "one")
    assert (two.pop("a"), two.pop("s")) == ("ed25519-sha256", "two")
    assert one.pop("b") != two.pop("b")
    names = (
        "from:from:to:to:cc:subject:subject:date:message-id:reply-to:in-reply-to:references"
        ":mime-version:content-type:content-transfer-encoding"
    )
    rest = {"v": "1", "c": "relaxed/relaxed", "d": "a.test", "t": str(NOW), "x": str(NOW + LIFE)}
    assert one == two == rest | {"h": names, "bh": encoded(hashlib.sha256(b"body\r\n").digest())}
    assert judges.signed(PLAIN) == judges.signed(PLAIN)


def test_without_a_key_nothing_is_added():
    """No key, no field."""
    assert signatures(b"From: me@a.test\r\n", b"", (), NOW) == b""


def test_a_signature_that_cannot_be_made_leaves_no_half(judges):
    """When one key fails there are no signatures at all, so that nothing goes out half signed."""

    def broken(_):
        raise RuntimeError("no key")

    keys = (*judges.keys, SigningKey("a.test", "three", RSA, broken))
    with pytest.raises(RuntimeError, match="no key"):
        signatures(b"From: me@a.test\r\n", b"", keys, NOW)
