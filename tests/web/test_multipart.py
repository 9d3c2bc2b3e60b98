"""multipart/related as every client writes it, in any pieces; and what is refused."""

import base64

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from postroad import refusals
from postroad.web import multipart
from postroad.web.multipart import MAX_BOUNDARY, MAX_HEAD, MAX_METADATA, MAX_PREAMBLE, Related, boundary_of

JSON = b'{"threadId": "18f85d2eb6adb232"}'
MEDIA = b"To: bob@example.org\r\nSubject: parts\r\n\r\nbody with --b and \xff\r\n--\r\n"
LF_MEDIA = MEDIA.replace(b"\r\n", b"\n")
UUID = b"3c1f0e1a-6a6f-4a0e-9d6b-0a4a3b1c2d3e"


def lines(*each, end=b"\r\n"):
    return end.join(each)


# What each client of gmail-wire.md 4.3 writes: its Content-Type, its body, and the media it means.
CLIENTS = {
    "Python": (
        b'multipart/related; boundary="===============7330845974216740156=="',
        lines(
            b"--===============7330845974216740156==",
            b"Content-Type: application/json",
            b"MIME-Version: 1.0",
            b"",
            JSON,
            b"--===============7330845974216740156==",
            b"Content-Type: message/rfc822",
            b"MIME-Version: 1.0",
            b"Content-Transfer-Encoding: binary",
            b"",
            LF_MEDIA,
            b"--===============7330845974216740156==--",
            b"",
            end=b"\n",
        ),
        LF_MEDIA,
    ),
    "Node": (
        b"multipart/related; boundary=" + UUID,
        lines(
            b"--" + UUID,
            b"content-type: application/json",
            b"",
            JSON,
            b"--" + UUID,
            b"content-type: message/rfc822",
            b"",
            MEDIA,
            b"--" + UUID + b"--",
        ),
        MEDIA,
    ),
    "Go": (
        b"multipart/related; boundary=a8f9c0",
        lines(
            b"--a8f9c0",
            b"Content-Type: application/json",
            b"",
            b"{}\n",
            b"--a8f9c0",
            b"Content-Type: message/rfc822",
            b"",
            MEDIA,
            b"--a8f9c0--",
            b"",
        ),
        MEDIA,
    ),
    "PHP": (
        b"multipart/related; boundary=1729508012",
        lines(
            b"--1729508012",
            b"Content-Type: application/json; charset=UTF-8",
            b"",
            JSON,
            b"--1729508012",
            b"Content-Type: message/rfc822",
            b"Content-Transfer-Encoding: base64",
            b"",
            base64.b64encode(MEDIA),
            b"--1729508012--",
        ),
        MEDIA,
    ),
    "Java": (
        b"multipart/related; boundary=__END_OF_PART__" + UUID + b"__",
        lines(
            b"--__END_OF_PART__" + UUID + b"__",
            b"Content-Length: 32",
            b"Content-Type: application/json; charset=UTF-8",
            b"content-transfer-encoding: binary",
            b"",
            JSON,
            b"--__END_OF_PART__" + UUID + b"__",
            b"Content-Type: message/rfc822",
            b"content-transfer-encoding: binary",
            b"",
            MEDIA,
            b"--__END_OF_PART__" + UUID + b"__--",
            b"",
        ),
        MEDIA,
    ),
    "FlowCrypt": (
        b"multipart/related; boundary=this_is_it",
        lines(
            b"--this_is_it",
            b"Content-Type: application/json; charset=UTF-8",
            b"Content-Transfer-Encoding: base64",
            b"",
            base64.b64encode(JSON),
            b"--this_is_it",
            b"Content-Type: message/rfc822",
            b"Content-Transfer-Encoding: base64",
            b"",
            base64.encodebytes(MEDIA),
            b"--this_is_it--",
            end=b"\n",
        ),
        MEDIA,
    ),
}


def read(content_type, body, sizes=(1 << 20,)):
    """Metadata, media type and media of a body that comes in pieces of these sizes, over and over."""
    related = Related(boundary_of(content_type))
    media, at, turn = b"", 0, 0
    while at < len(body):
        size = sizes[turn % len(sizes)]
        media += related.take(body[at : at + size])
        at, turn = at + size, turn + 1
    media += related.end()
    return bytes(related.metadata), related.media_type, media


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("client", CLIENTS)
def test_each_client_is_read(client, size):
    """Whatever its boundary, line ends and encodings, and however it is cut, the media is what was meant."""
    content_type, body, media = CLIENTS[client]
    metadata = b"{}\n" if client == "Go" else JSON
    assert read(content_type, body, (size,)) == (metadata, "message/rfc822", media)


def body_of(media=MEDIA, boundary=b"b", encoding=b"binary", end=b"\r\n"):
    heads = (b"Content-Type: application/json", b"Content-Type: message/rfc822\nContent-Transfer-Encoding: ")
    text = b"--%s\n%s\n\n{}\n--%s\n%s%s\n\n" % (boundary, heads[0], boundary, heads[1], encoding)
    return text.replace(b"\n", end) + media + b"%s--%s--%s" % (end, boundary, end)


FRAGMENTS = st.sampled_from([b"\r\n", b"\n", b"\r", b"--b", b"-", b"--", b"--bb", b" ", b"b", b"x", b"\0\xff"])


def quoted(octets):
    """Quoted-printable in which every octet is escaped, 20 a line."""
    escaped = [f"={octet:02X}".encode() for octet in octets]
    return b"=\r\n".join(b"".join(escaped[at : at + 20]) for at in range(0, len(escaped), 20))


ENCODINGS = {b"binary": bytes, b"base64": base64.encodebytes, b"quoted-printable": quoted}


@settings(max_examples=400)
@given(
    st.lists(FRAGMENTS, max_size=20).map(b"".join),
    st.sampled_from(sorted(ENCODINGS)),
    st.sampled_from([b"\n", b"\r\n"]),
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
def test_any_media_in_any_encoding_and_pieces_comes_out(media, encoding, end, sizes):
    """The octets of the media are exactly those that were put in, for every encoding and every cutting."""
    assume(not (encoding == b"binary" and end == b"\n" and media.endswith(b"\r")))  # that would be a CRLF
    boundary = b"b boundary that no media holds"
    body = body_of(ENCODINGS[encoding](media), boundary, encoding, end)
    assert read(b'multipart/related; boundary="%s"' % boundary, body, sizes)[2] == media


@settings(max_examples=300)
@given(
    st.lists(FRAGMENTS | st.just(b"Content-Type: message/rfc822"), max_size=20).map(b"".join),
    st.lists(st.integers(1, 20), min_size=1, max_size=4),
)
def test_pieces_change_nothing(noise, sizes):
    """Any octets are read, or refused, alike in one piece and in many."""
    for body in (noise, b"--b\nContent-Type: application/json\n\n{}\n" + noise, body_of(noise)):
        assert outcome(body, sizes) == outcome(body, (1 << 20,))


def outcome(body, sizes=(1 << 20,), content_type=b"multipart/related; boundary=b"):
    try:
        return read(content_type, body, sizes)
    except refusals.Refusal as refusal:
        return type(refusal), str(refusal)


MALFORMED = (refusals.MalformedMultipart, "Malformed multipart body.")
MISSING_END = (refusals.MalformedMultipart, "Missing end boundary in multipart body.")
HEAD = b"--b\r\nContent-Type: application/json\r\n\r\n{}\r\n"
GOOD = (b"{}", "message/rfc822", MEDIA)
BODIES = {
    "nothing": (b"", MISSING_END),
    "no end": (body_of()[:-7], MISSING_END),
    "only the end": (b"--b--", (refusals.MalformedMultipart, "Invalid multipart request with 0 mime parts.")),
    "one part": (HEAD + b"--b--", (refusals.MalformedMultipart, "Invalid multipart request with 1 mime parts.")),
    "a third part": (body_of()[:-5] + b"b\r\n\r\nthird\r\n--b--\r\n", MALFORMED),
    "the media first": (body_of().replace(b"application/json", b"message/rfc822"), MALFORMED),
    "a preamble": (b"For those without MIME.\r\n" + body_of(), GOOD),
    "an epilogue": (body_of() + b"The end.\r\n--b\r\n", GOOD),
    "padding after the boundary": (body_of().replace(b"--b\r\n", b"--b \t\r\n"), GOOD),
    "a boundary that goes on": (
        body_of(MEDIA + b"\r\n--bc\r\n"),
        (b"{}", "message/rfc822", MEDIA + b"\r\n--bc\r\n"),
    ),
    "an empty media": (body_of(b""), (b"{}", "message/rfc822", b"")),
    "an empty media without a line of its own": (
        HEAD + b"--b\r\nContent-Type: message/rfc822\r\n\r\n--b--",
        (b"{}", "message/rfc822", b""),
    ),
    "a media without a head": (HEAD + b"--b\r\n\r\nx\r\n--b--", (b"{}", "text/plain", b"x")),
    "a folded head": (
        HEAD + b"--b\r\nContent-Type:\r\n message/rfc822;\r\n\tname=x\r\n\r\nx\r\n--b--",
        (b"{}", "message/rfc822", b"x"),
    ),
    "a head that is none": (HEAD + b"--b\r\nno field\r\n\r\nx\r\n--b--", MALFORMED),
    "a type twice": (
        HEAD + b"--b\r\nContent-Type: message/rfc822\r\nCONTENT-TYPE: text/plain\r\n\r\nx\r\n--b--",
        MALFORMED,
    ),
    "an unknown encoding": (body_of(encoding=b"uuencode"), MALFORMED),
    "base64 cut short": (body_of(b"QUJ", encoding=b"base64"), MALFORMED),
    "base64 after its padding": (body_of(b"QQ==QkJC", encoding=b"base64"), MALFORMED),
    "base64 with other octets": (body_of(b"QU*C", encoding=b"base64"), MALFORMED),
    "quoted-printable without a line end": (body_of(b"x" * 70_000, encoding=b"quoted-printable"), MALFORMED),
    "a long preamble": (b"x" * (MAX_PREAMBLE + 50) + body_of(), MALFORMED),
    "a long head": (HEAD + b"--b\r\nX: " + b"x" * MAX_HEAD, MALFORMED),
    "long metadata": (
        HEAD[:-4] + b" " * (MAX_METADATA + 50),
        (refusals.BodyTooLarge, f"Request payload size exceeds the limit: {MAX_METADATA} bytes."),
    ),
}


@pytest.mark.parametrize("sizes", [(1 << 20,), (4096,), (1,)], ids=["whole", "pieces", "octets"])
@pytest.mark.parametrize(("body", "expected"), BODIES.values(), ids=BODIES)
def test_bodies(body, expected, sizes):
    """What two readers could read differently is refused with Google's words; the rest is read."""
    if sizes == (1,) and len(body) > 10_000:
        sizes = (997,)
    assert outcome(body, sizes) == expected


BOUNDARIES = {
    b"multipart/related; boundary=simple": b"simple",
    b'multipart/related; boundary="with space"': b"with space",
    b"Multipart/Related;BOUNDARY=x; type=text": b"x",
    b'multipart/related; type="application/json"; boundary="a\\"b"': b'a"b',
    b"multipart/related; boundary==_a": b"=_a",
    b"multipart/related; boundary=" + b"x" * MAX_BOUNDARY: b"x" * MAX_BOUNDARY,
    b"multipart/related; boundary=" + b"x" * (MAX_BOUNDARY + 1): "Malformed multipart body.",
    b"multipart/related": "Malformed multipart body.",
    b'multipart/related; boundary=""': "Malformed multipart body.",
    b"multipart/related; boundary=a; boundary=b": "Malformed multipart body.",
    b"application/json": "Bad content type.  Please use multipart.",
    b"": "Bad content type.  Please use multipart.",
}


@pytest.mark.parametrize(("content_type", "expected"), BOUNDARIES.items())
def test_the_boundary(content_type, expected):
    """It is named once, quoted or not, and is of 1 to 70 octets."""
    if isinstance(expected, bytes):
        assert boundary_of(content_type) == expected
        return
    with pytest.raises(refusals.MalformedMultipart) as refused:
        boundary_of(content_type)
    assert str(refused.value) == expected


def test_no_more_than_a_delimiter_is_held_back():
    """While the media comes, nothing of it stays."""
    related = Related(b"b")
    related.take(body_of()[: -len(MEDIA) - 9])
    for _ in range(100):
        related.take(b"x" * 10_000 + b"\r\n--")
        assert len(related._buffer) < 10


def test_many_near_delimiters_take_linear_time():
    """A megabyte of lines that begin as a delimiter does is read in one pass."""
    body = body_of(b"\r\n--bx" * 200_000)
    assert len(read(b"multipart/related; boundary=b", body, (65_536,))[2]) == 1_200_000


def test_every_decoder_ends_empty():
    """A decoder without octets has none to give."""
    for decoder in (multipart.Plain(), multipart.Base64(), multipart.QuotedPrintable()):
        assert decoder.take(b"") + decoder.end() == b""
