"""The parts of a batch: what four client libraries write, what they want to read, and what is refused."""

import base64
import contextlib
import json
import re
from email import message_from_bytes
from time import process_time

import pytest
from googleapiclient.http import BatchHttpRequest
from hypothesis import given
from hypothesis import strategies as st

from postroad import refusals
from postroad.web.parts import MAX_BOUNDARY, MAX_HEAD, frame, parse
from postroad.web.responses import JSON, Response

MIXED = b"multipart/mixed; boundary=b"
RAW = base64.urlsafe_b64encode(b"To: bob@example.org\r\n\r\nHello.\r\n").decode()
SENT = json.dumps({"raw": RAW}).encode()
PATH = b"/gmail/v1/users/me/messages/send"
PART = b"--b\r\nContent-Type: application/http\r\nContent-ID: <1>\r\n\r\n%b\r\n"
END = b"--b--\r\n"
GET = b"GET /x HTTP/1.1\r\n\r\n"

# What each library writes, as gmail-wire.md 5.2 describes it: Content-Type, body, Content-ID.
PYTHON = (
    b'multipart/mixed; boundary="===============7330845974216740156=="',
    b"--===============7330845974216740156==\n"
    b"Content-Type: application/http\nMIME-Version: 1.0\nContent-Transfer-Encoding: binary\n"
    b"Content-ID: <b29c5de2-0db4-490b-b421-6a51b598bd22 + 1>\n\n"
    b"POST " + PATH + b"?alt=json HTTP/1.1\nContent-Type: application/json\nMIME-Version: 1.0\n"
    b"accept: application/json\nauthorization: Bearer ya29.a\nHost: mail.example.test\n"
    b"content-length: %d\n\n%b\n" % (len(SENT), SENT) + b"--===============7330845974216740156==--\n",
    b"<b29c5de2-0db4-490b-b421-6a51b598bd22 + 1>",
)
RUBY = (
    b"multipart/mixed; boundary=RubyApiBatchRequest",
    b"--RubyApiBatchRequest\r\nContent-Type: application/http\r\nContent-Id: <7a1d+0>\r\n"
    b"Content-Length: 999\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    b"POST " + PATH + b"? HTTP/1.1\r\nContent-Type: application/json\r\nAuthorization: Bearer ya29.a\r\n"
    b"Host: mail.example.test\r\n\r\n" + SENT + b"\r\n--RubyApiBatchRequest--\r\n\r\n",
    b"<7a1d+0>",
)
PHP = (
    b"multipart/mixed; boundary=2113429012",
    b"--2113429012\nContent-Type: application/http\nContent-Transfer-Encoding: binary\nMIME-Version: 1.0\n"
    b"Content-ID: response-7\n\nPOST " + PATH + b" HTTP/1.1\r\ncontent-type: application/json\r\n"
    b"X-Php-Expected-Class: Message\r\nauthorization: Bearer ya29.a\r\n\r\n" + SENT + b"\n\n--2113429012--",
    b"response-7",
)
JAVA = (
    b"multipart/mixed; boundary=__END_OF_PART__0f2e__",
    b"--__END_OF_PART__0f2e__\r\nContent-Length: 4711\r\nContent-Type: application/http\r\ncontent-id: 1\r\n"
    b"content-transfer-encoding: binary\r\n\r\nPOST https://gmail.googleapis.com" + PATH + b"\r\n"
    b"Accept-Encoding: gzip\r\nAuthorization: Bearer ya29.a\r\nContent-Type: application/json; charset=UTF-8\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(SENT), SENT) + b"\r\n--__END_OF_PART__0f2e__--\r\n",
    b"1",
)


@pytest.mark.parametrize("written", [PYTHON, RUBY, PHP, JAVA], ids=["Python", "Ruby", "PHP", "Java"])
def test_what_a_library_writes_is_read(written):
    """Line ends, a missing version, an absolute address and a wrong length do not matter."""
    content_type, body, content_id = written
    (part,) = parse(bytearray(body), content_type)
    assert part.content_id == content_id
    assert (part.call.verb, part.call.path) == ("POST", PATH)
    assert part.call.headers[b"authorization"] == b"Bearer ya29.a"
    assert bytes(part.call.body).rstrip() == SENT


@pytest.mark.parametrize(
    ("content_id", "line"),
    [
        (b"<b29c + 1>", b"Content-ID: <response-b29c + 1>\r\n"),
        (b"<7a1d+0>", b"Content-ID: <response-7a1d+0>\r\n"),
        (b"key", b"Content-ID: response-key\r\n"),
        (b"1", b"Content-ID: response-1\r\n"),
        (b"", b""),
    ],
)
def test_an_answer_names_its_call_as_the_client_did(content_id, line):
    """`response-` is put before the name, within angle brackets if there are any; and every octet is as agreed."""
    answered = Response(200, JSON, b'{\n  "id": "a"\n}\n', ((b"x-own", b"1"),))
    assert frame([(content_id, answered)], b"batch_x") == (
        b"--batch_x\r\nContent-Type: application/http\r\n" + line + b"\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\n"
        b"Vary: Origin\r\nVary: X-Origin\r\nVary: Referer\r\nX-Own: 1\r\n\r\n"
        b'{\n  "id": "a"\n}\n\r\n--batch_x--\r\n'
    )


ANSWERS = [
    Response(200, JSON, '{\n  "snippet": "Grüße\r\n--batch_x"\n}\n'.encode()),
    Response(401, JSON, b'{\n  "error": {}\n}\n', ((b"www-authenticate", b'Bearer realm="x"'),)),
    Response(404, b"text/html; charset=UTF-8", b"<p>\n\n</p>"),
]


def as_python(octets, boundary):
    """Its own code, but for the transport."""
    batch = BatchHttpRequest(batch_uri="http://127.0.0.1/batch")
    head = b"content-type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n"
    for part in message_from_bytes(head + octets).get_payload():
        assert part["Content-ID"].startswith("<response-")
        response, content = batch._deserialize_response(part.get_payload(decode=True).decode())
        yield batch._header_to_id(part["Content-ID"]), response.status, content.encode()


def as_ruby(octets, boundary):
    """Cut at the delimiters; what is asked of the Content-ID is this expression."""
    for part in octets.split(b"--" + boundary)[1:-1]:
        head, inner_head, body = part.removesuffix(b"\r\n").split(b"\r\n\r\n", 2)
        number = re.search(rb"Content-ID: <response-.*\+ ?(\d+)>", head)[1].decode()
        yield number, int(inner_head.split(b" ")[1]), body


def as_php(octets, boundary):
    """Head and body around the first empty line of what follows a part's head."""
    for part in octets.strip().split(b"--" + boundary):
        if part.strip() not in (b"", b"--"):
            head, rest = part.lstrip().split(b"\r\n\r\n", 1)
            inner_head, body = rest.split(b"\r\n\r\n", 1)
            number = head.split(b"Content-ID: ")[1].split(b"\r\n")[0].strip(b"<>").split(b"+ ")[1].decode()
            yield number, int(inner_head.split(b" ")[1]), body.removesuffix(b"\r\n")


def as_java(octets, boundary):
    """Line by line; the Content-ID is ignored, so that the order alone tells which call is answered."""
    lines = iter(octets.splitlines(keepends=True))
    assert next(lines).rstrip() == b"--" + boundary
    number = 0
    for line in lines:
        if line == b"\r\n":
            number += 1
            code = int(next(lines).split(b" ")[1])
            while next(lines) != b"\r\n":
                pass
            body = b""
            while not (line := next(lines)).startswith(b"--" + boundary):
                body += line
            yield str(number), code, body.removesuffix(b"\r\n")


@pytest.mark.parametrize("read", [as_python, as_ruby, as_php, as_java])
def test_each_library_reads_its_answers(read):
    """Statuses and bodies come out as they went in, in the order of the calls."""
    octets = frame([(b"<b29c + %d>" % number, one) for number, one in enumerate(ANSWERS, 1)], b"batch_other")
    found = list(read(octets, b"batch_other"))
    assert [(number, int(code)) for number, code, _ in found] == [("1", 200), ("2", 401), ("3", 404)]
    assert [body.strip() for _, _, body in found] == [one.body.strip() for one in ANSWERS]


@pytest.mark.parametrize(
    ("content_type", "body", "problem"),
    [
        (b"multipart/mixed", PART % GET + END, "The Content-Type is not multipart/mixed with a boundary."),
        (
            b"multipart/related; boundary=b",
            PART % GET + END,
            "The Content-Type is not multipart/mixed with a boundary.",
        ),
        (b"", PART % GET + END, "The Content-Type is not multipart/mixed with a boundary."),
        (MIXED + b"b" * MAX_BOUNDARY, b"", f"The boundary is longer than {MAX_BOUNDARY} octets."),
        (MIXED, b"", "Missing end boundary in multipart body."),
        (MIXED, PART % GET, "Missing end boundary in multipart body."),
        (MIXED, PART % GET + b"--b-- x", "Missing end boundary in multipart body."),
        (MIXED, PART % GET + b"x--b--", "Missing end boundary in multipart body."),
        (MIXED, b"--b\n" + b"\n--bx" * 1000 + b"\n--b--", "Too many lines begin like the boundary."),
        (MIXED, END, "The batch holds no request."),
    ],
)
def test_what_is_no_batch_is_refused(content_type, body, problem):
    """Without boundary, end or call there is no answer in parts."""
    with pytest.raises(refusals.BatchMalformed) as refused:
        parse(bytearray(body), content_type)
    assert str(refused.value) == f"Failed to parse batch request, error: {problem}"


@pytest.mark.parametrize("preamble", [b"", b"This is a batch.\r\n"])
@pytest.mark.parametrize("count", [101, 250])
def test_more_than_a_hundred_calls_are_refused(count, preamble):
    """The refusal tells how many there were; a hundred are taken."""
    with pytest.raises(refusals.TooManyCalls) as refused:
        parse(bytearray(preamble + PART % GET * count + END), MIXED)
    assert str(refused.value) == f"Inner request count exceeds the limit. Received: {count}, Limit: 100"
    assert len(parse(bytearray(preamble + (PART % GET) * 100 + END), MIXED)) == 100


@pytest.mark.parametrize(
    ("inner", "refusal"),
    [
        (b"", refusals.BatchMalformed),
        (b"GET", refusals.BatchMalformed),
        (b"GET /a b HTTP/1.1\r\n\r\n", refusals.BatchMalformed),
        (b"GET / HTTP/1.1 x\r\n\r\n", refusals.BatchMalformed),
        (b"GET HTTP/1.1\r\n\r\n", refusals.BatchMalformed),
        (b"GET x HTTP/1.1\r\n\r\n", refusals.BatchMalformed),
        (b"GET / FTP/1.1\r\n\r\n", refusals.BatchMalformed),
        (b"GET / HTTP/1.1\r\nno field\r\n\r\n", refusals.BatchMalformed),
        (b"GET / HTTP/1.1\r\nA: a\rB: b\r\n\r\n", refusals.BatchMalformed),
        (b"GET / HTTP/1.1\r\nA: a\0b\r\n\r\n", refusals.BatchMalformed),
        (b"GET / HTTP/1.1\r\nA:" + b" a" * MAX_HEAD + b"\r\n\r\n", refusals.BatchMalformed),
        (b"POST /x HTTP/1.1\r\nContent-Encoding: gzip\r\n\r\n", refusals.UnsupportedEncoding),
        (b"POST /batch HTTP/1.1\r\n\r\n", refusals.NotInBatch),
        (b"POST /b%61tch/gmail/v1 HTTP/1.1\r\n\r\n", refusals.NotInBatch),
        (b"POST http://mail.example.test/batch HTTP/1.1\r\n\r\n", refusals.NotInBatch),
        (b"POST /upload/gmail/v1/users/me/messages/send HTTP/1.1\r\n\r\n", refusals.NotInBatch),
        (b"POST /resumable/upload/gmail/v1/users/me/messages/send HTTP/1.1\r\n\r\n", refusals.NotInBatch),
    ],
)
def test_a_bad_call_harms_no_other(inner, refusal):
    """What is wrong with one part stays in it; it keeps its Content-ID, and the next call is read."""
    bad, good = parse(bytearray(PART % inner + PART % GET + END), MIXED)
    assert (bad.content_id, type(bad.call)) == (b"<1>", refusal)
    assert good.call.path == b"/x"


@pytest.mark.parametrize(
    ("part", "refusal"),
    [
        (b"--b\r\nContent-Type: text/plain\r\n\r\n" + GET + b"\r\n", refusals.BatchMalformed),
        (b"--b\r\nno field\r\n\r\n" + GET + b"\r\n", refusals.BatchMalformed),
        (b"--b\r\n", refusals.BatchMalformed),
    ],
)
def test_a_part_that_is_no_request_is_refused(part, refusal):
    """A part's own head is looked at, too."""
    (found,) = parse(bytearray(part + END), MIXED)
    assert type(found.call) is refusal


@pytest.mark.parametrize(
    ("inner", "path", "query"),
    [
        (b"GET /x HTTP/1.1", b"/x", b""),
        (b"GET /x?a=b%20c&d", b"/x", b"a=b%20c&d"),
        (b"\r\n\nGET   /x?   HTTP/1.1  \r\n\r\n", b"/x", b""),
        (b"GET https://gmail.googleapis.com HTTP/1.1\n\n", b"/", b""),
        (b"GET https://gmail.googleapis.com?a=b HTTP/1.1\n\n", b"/", b"a=b"),
        (b"GET http://[::1]:8587/x?a=http://y HTTP/1.0\n\n", b"/x", b"a=http://y"),
    ],
)
def test_a_request_line_is_read(inner, path, query):
    """Path and query are as they were written; host and version do not count."""
    (part,) = parse(bytearray(PART % inner + END), MIXED)
    assert (part.call.verb, part.call.path, part.call.query) == ("GET", path, query)


def test_a_folded_content_id_is_unfolded():
    """Python folds a long one where a space is, and wants it back with the space."""
    body = b"--b\nContent-Type: application/http\nContent-ID: <b29c\n + long>\n\nGET /x HTTP/1.1\n\n--b--\n"
    (part,) = parse(bytearray(body), MIXED)
    assert part.content_id == b"<b29c + long>"


tokens = st.text("abcXYZ019-_", min_size=1, max_size=12).map(str.encode)
calls = st.tuples(
    st.sampled_from(["GET", "POST", "PUT"]),
    tokens,
    st.dictionaries(
        tokens.map(bytes.lower), st.text("a b;=/\xe9", max_size=9).map(lambda text: text.strip().encode("latin-1"))
    ),
    st.binary(max_size=60).filter(lambda body: b"--b" not in body),
)


@given(st.lists(calls, min_size=1, max_size=5), st.sampled_from([b"\r\n", b"\n"]))
def test_every_call_is_read_as_it_was_written(written, end):
    """Verb, path, fields and every octet of the body, whatever ends the lines."""
    body = bytearray()
    for verb, path, headers, octets in written:
        fields = b"".join(name + b": " + value + end for name, value in headers.items())
        body += b"--b" + end + b"Content-Type: application/http" + end * 2
        body += verb.encode() + b" /" + path + b" HTTP/1.1" + end + fields + end + octets + b"\r\n"
    found = [part.call for part in parse(body + b"--b--", MIXED)]
    assert [(one.verb, one.path[1:], one.headers, bytes(one.body)) for one in found] == written


@pytest.mark.parametrize(
    "octets",
    [
        b"\n--b" * 300_000,
        b"--b\n" + b"\n--b " * 200_000,
        b"--b\n" + b"\r\n" * 500_000,
        b"--b\nA: " + b" " * 1_000_000,
        b"--b\n\nGET " + b"/" * 1_000_000,
        b"--b\n\nGET /" + b"?" * 20_000 + b" x y",
        b"--b\n\nGET / HTTP/1.1\nA" + b" " * 30_000,
    ],
)
def test_parsing_takes_time_in_proportion(octets):
    """A megabyte of any of these is read or refused in less than a second."""
    began = process_time()
    for end in (b"", b"\n--b--"):
        with contextlib.suppress(refusals.Refusal):
            parse(bytearray(octets + end), MIXED)
    assert process_time() - began < 1


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_no_octets_break_the_parser(octets, content_type):
    """Whatever comes is parts or a refusal."""
    for type_ in (content_type, MIXED):
        try:
            found = parse(bytearray(b"--b\n" + octets + b"\n--b--"), type_)
        except (refusals.BatchMalformed, refusals.TooManyCalls):
            continue
        assert found
