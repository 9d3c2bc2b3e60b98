"""A request's JSON body: what is read of it, and the exact answer to everything else."""

import base64
import contextlib
import json
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postroad import refusals
from postroad.refusals import Refusal
from postroad.web.message_json import MAX_VIOLATIONS, Sent, _plain, _read, read

NO_JSON = "Invalid JSON payload received. "
BAD_RAW = "Invalid value at 'message.raw' (TYPE_BYTES), "

READ = {
    "empty body": (b"", b"", ""),
    "empty object": (b"{}", b"", ""),
    "white space around": (b' \t\r\n{ "raw" : "QQ" } \n', b"A", ""),
    "byte-order mark": (b'\xef\xbb\xbf{"raw":"QQ"}', b"A", ""),
    "raw null": (b'{"raw":null}', b"", ""),
    "raw empty": (b'{"raw":""}', b"", ""),
    "raw white space": (b'{"raw":" "}', b"", ""),
    "padded with two": (b'{"raw":"QQ=="}', b"A", ""),
    "padded with one": (b'{"raw":"QUI="}', b"AB", ""),
    "whole quanta": (b'{"raw":"QUJD"}', b"ABC", ""),
    "not padded, one octet": (b'{"raw":"QQ"}', b"A", ""),
    "not padded, two octets": (b'{"raw":"QUI"}', b"AB", ""),
    "URL-safe alphabet": (b'{"raw":"-_-_"}', b"\xfb\xff\xbf", ""),
    "standard alphabet": (b'{"raw":"+/+/"}', b"\xfb\xff\xbf", ""),
    "both alphabets": (b'{"raw":"+_-/"}', b"\xfb\xff\xbf", ""),
    "bits after the last octet": (b'{"raw":"QR=="}', b"A", ""),
    "spaces between": (b'{"raw":" Q U J D "}', b"ABC", ""),
    "line ends between": (rb'{"raw":"QU\r\nJD\n"}', b"ABC", ""),
    "white space in the padding": (rb'{"raw":"QQ=\n="}', b"A", ""),
    "escaped padding": (rb'{"raw":"QQ\u003d\u003D"}', b"A", ""),
    "escaped solidus": (rb'{"raw":"\/w=="}', b"\xff", ""),
    "escaped plus, as .NET writes it": (rb'{"raw":"\u002Bw=="}', b"\xfb", ""),
    "escaped name": (rb'{"\u0072aw":"QQ"}', b"A", ""),
    "thread": (b'{"raw":"QQ","threadId":"18f85d2eb6adb232"}', b"A", "18f85d2eb6adb232"),
    "thread in upper case": (b'{"threadId":"18F85D2EB6ADB232"}', b"", "18F85D2EB6ADB232"),
    "thread of 63 bits": (b'{"threadId":"7fffffffffffffff"}', b"", "7fffffffffffffff"),
    "thread by its proto name": (b'{"thread_id":"1f"}', b"", "1f"),
    "thread null": (b'{"threadId":null}', b"", ""),
    "thread empty": (b'{"threadId":""}', b"", ""),
    "output-only labelIds": (b'{"labelIds":["INBOX","Label_7"],"raw":"QQ"}', b"A", ""),
    "output-only labelIds of a wrong kind": (b'{"labelIds":5,"raw":"QQ"}', b"A", ""),
    "output-only strings": (b'{"id":"x","snippet":"\xc3\xa4 &lt;","raw":"QQ"}', b"A", ""),
    "output-only numbers": (b'{"historyId":"1","internalDate":2,"sizeEstimate":1e999,"raw":"QQ"}', b"A", ""),
    "output-only payload": (b'{"payload":{"headers":[{"name":"To","value":"a@b"}]},"raw":"QQ"}', b"A", ""),
    "output-only proto names": (b'{"label_ids":[],"size_estimate":1,"raw":"QQ"}', b"A", ""),
    "labels of classification": (b'{"classificationLabelValues":[{"labelId":"x"}],"raw":"QQ"}', b"A", ""),
    "everything null": (b'{"id":null,"payload":null,"labelIds":null,"raw":"QQ"}', b"A", ""),
    "raw's name in a value": (b'{"snippet":"\\"raw\\":\\"Qg\\"","raw":"QQ"}', b"A", ""),
    "names twice below the root": (b'{"payload":{"raw":"Qg","raw":"Qw"},"raw":"QQ"}', b"A", ""),
    "500 levels": (b'{"payload":' + b"[" * 500 + b"]" * 500 + b',"raw":"QQ"}', b"A", ""),
    "a number of 100000 digits": (b'{"sizeEstimate":' + b"1" * 100_000 + b',"raw":"QQ"}', b"A", ""),
}

TWICE = NO_JSON + 'The name "{}" stands twice.'
UNKNOWN = NO_JSON + "Unknown name \"{}\" at 'message': Cannot find field."
NO_ROOT = NO_JSON + 'Unknown name "": Root element must be a message.'
NO_BASE64 = BAD_RAW + 'Base64 decoding failed for "{}"'
NO_LIST = NO_JSON + "Unknown name \"{}\" at 'message': Proto field is not repeating, cannot start list."
NO_OBJECT = "Invalid value at 'message' ({}), Starting an object on a scalar field"
NO_CHARACTER = NO_JSON + "JSON is malformed: invalid character (byte {})."
NO_NAME = NO_JSON + "JSON is malformed: object keys must be strings (byte 1)."
CUT = NO_JSON + "Input data was truncated."
DEEP = NO_JSON + "Message too deep. Max recursion depth reached."
NO_UTF8 = NO_JSON + "It is not UTF-8."

REFUSED = {
    "junk in base64": (b'{"raw":"QU!D"}', refusals.FieldsInvalid, NO_BASE64.format("QU!D")),
    "junk in the last quantum": (b'{"raw":"QUJDQ!=="}', refusals.FieldsInvalid, NO_BASE64.format("QUJDQ!==")),
    "not base64 at all": (
        b'{"raw":"To: b@c.example"}',
        refusals.FieldsInvalid,
        NO_BASE64.format("To: b@c.example"),
    ),
    "letters beyond ASCII": (b'{"raw":"\xc3\xa4"}', refusals.FieldsInvalid, NO_BASE64.format("ä")),
    "an escaped NUL": (rb'{"raw":"QQ\u0000"}', refusals.FieldsInvalid, NO_BASE64.format("QQ\0")),
    "data after padding": (b'{"raw":"QQ==QkJC"}', refusals.FieldsInvalid, NO_BASE64.format("QQ==QkJC")),
    "data after padding and a line": (
        rb'{"raw":"QQ==\nQkJC"}',
        refusals.FieldsInvalid,
        NO_BASE64.format("QQ==\nQkJC"),
    ),
    "one octet, half padded": (b'{"raw":"QQ="}', refusals.FieldsInvalid, NO_BASE64.format("QQ=")),
    "too much padding": (b'{"raw":"QUI=="}', refusals.FieldsInvalid, NO_BASE64.format("QUI==")),
    "padding of nothing": (b'{"raw":"QUJD="}', refusals.FieldsInvalid, NO_BASE64.format("QUJD=")),
    "padding alone": (b'{"raw":"="}', refusals.FieldsInvalid, NO_BASE64.format("=")),
    "a quantum of padding": (b'{"raw":"===="}', refusals.FieldsInvalid, NO_BASE64.format("====")),
    "a quantum of one": (b'{"raw":"QUJDQ"}', refusals.FieldsInvalid, NO_BASE64.format("QUJDQ")),
    "a long bad value is shown cut": (
        b'{"raw":"' + b"A" * 99 + b'!"}',
        refusals.FieldsInvalid,
        NO_BASE64.format("A" * 64 + "..."),
    ),
    "raw a number": (b'{"raw":1}', refusals.FieldsInvalid, BAD_RAW + "1"),
    "raw a boolean": (b'{"raw":true}', refusals.FieldsInvalid, BAD_RAW + "true"),
    "raw a list": (b'{"raw":["QQ"]}', refusals.FieldsInvalid, NO_LIST.format("raw")),
    "raw an object": (b'{"raw":{}}', refusals.FieldsInvalid, NO_OBJECT.format("raw")),
    "thread a number": (
        b'{"threadId":123}',
        refusals.FieldsInvalid,
        "Invalid value at 'message.thread_id' (TYPE_STRING), 123",
    ),
    "thread a number of 100000 digits": (
        b'{"threadId":' + b"1" * 100_000 + b"}",
        refusals.FieldsInvalid,
        "Invalid value at 'message.thread_id' (TYPE_STRING), " + "1" * 64,
    ),
    "thread an object": (b'{"thread_id":{}}', refusals.FieldsInvalid, NO_OBJECT.format("threadId")),
    "a number a list": (b'{"sizeEstimate":[1]}', refusals.FieldsInvalid, NO_LIST.format("sizeEstimate")),
    "a number an object": (b'{"historyId":{}}', refusals.FieldsInvalid, NO_OBJECT.format("historyId")),
    "id a number": (b'{"id":5}', refusals.FieldsInvalid, "Invalid value at 'message.id' (TYPE_STRING), 5"),
    "unknown member": (b'{"raw":"QQ","foo":1}', refusals.FieldsInvalid, UNKNOWN.format("foo")),
    "unknown member null": (b'{"foo":null}', refusals.FieldsInvalid, UNKNOWN.format("foo")),
    "another case": (b'{"Raw":"QQ"}', refusals.FieldsInvalid, UNKNOWN.format("Raw")),
    "empty name": (b'{"":1}', refusals.FieldsInvalid, UNKNOWN.format("")),
    "the request's own field": (b'{"message":{"raw":"QQ"}}', refusals.FieldsInvalid, UNKNOWN.format("message")),
    "a long unknown name is shown cut": (
        b'{"' + b"x" * 9999 + b'":1}',
        refusals.FieldsInvalid,
        UNKNOWN.format("x" * 64),
    ),
    "a name twice": (b'{"raw":"QQ","raw":"Qg"}', refusals.BadJSON, TWICE.format("raw")),
    "a name twice, the same value": (b'{"raw":"QQ","raw":"QQ"}', refusals.BadJSON, TWICE.format("raw")),
    "a name twice, null first": (b'{"raw":null,"raw":"QQ"}', refusals.BadJSON, TWICE.format("raw")),
    "a name twice, once escaped": (rb'{"raw":"QQ","\u0072aw":"QQ"}', refusals.BadJSON, TWICE.format("raw")),
    "a name twice, spelled in both ways": (
        b'{"thread_id":"1","threadId":"1"}',
        refusals.BadJSON,
        TWICE.format("threadId"),
    ),
    "a name twice behind a number that begins alike": (
        b'{"sizeEstimate":12,"raw":"QQ","raw":"Qg","sizeEstimate":1}',
        refusals.BadJSON,
        TWICE.format("sizeEstimate"),
    ),
    "a fraction that begins alike": (
        b'{"sizeEstimate":1.5,"raw":"QQ","raw":"Qg","sizeEstimate":1}',
        refusals.BadJSON,
        TWICE.format("sizeEstimate"),
    ),
    "root a list": (b"[]", refusals.FieldsInvalid, NO_ROOT),
    "root a string": (b'"x"', refusals.FieldsInvalid, NO_ROOT),
    "root a number": (b"1", refusals.FieldsInvalid, NO_ROOT),
    "root null": (b"null", refusals.FieldsInvalid, NO_ROOT),
    "100000 lists": (b"[" * 100_000, refusals.FieldsInvalid, NO_ROOT),
    "100000 levels": (b'{"payload":' + b"[" * 100_000, refusals.BadJSON, DEEP),
    "100000 levels in an unknown member": (b'{"foo":' + b'{"a":' * 100_000, refusals.BadJSON, DEEP),
    "NaN": (b'{"sizeEstimate":NaN}', refusals.BadJSON, NO_CHARACTER.format(16)),
    "NaN in an unknown member": (b'{"foo":NaN}', refusals.BadJSON, NO_CHARACTER.format(7)),
    "Infinity": (b'{"payload":{"a":-Infinity}}', refusals.BadJSON, NO_CHARACTER.format(17)),
    "half a pair of surrogates": (rb'{"snippet":"\ud800"}', refusals.BadJSON, CUT),
    "half a pair in raw": (rb'{"raw":"\ud800"}', refusals.BadJSON, CUT),
    "half a pair in the thread": (rb'{"threadId":"\ud800"}', refusals.BadJSON, CUT),
    "half a pair in a name": (rb'{"\ud800":1}', refusals.BadJSON, CUT),
    "an octet that is not UTF-8": (b'{"raw":"\xff"}', refusals.BadJSON, NO_UTF8),
    "not UTF-8 in the thread": (b'{"threadId":"\xff"}', refusals.BadJSON, NO_UTF8),
    "not UTF-8 in what is read past": (b'{"snippet":"\xff"}', refusals.BadJSON, NO_UTF8),
    "not UTF-8 in an escaped value": (b'{"raw":"\\n\xff"}', refusals.BadJSON, NO_UTF8),
    "not UTF-8 in a name": (b'{"\xff":1}', refusals.BadJSON, NO_UTF8),
    "a surrogate as octets": (b'{"snippet":"\xed\xa0\x80"}', refusals.BadJSON, NO_UTF8),
    "an overlong NUL": (b'{"snippet":"\xc0\x80"}', refusals.BadJSON, NO_UTF8),
    "UTF-16": ('{"raw":"QQ"}'.encode("utf-16"), refusals.BadJSON, NO_UTF8),
    "UTF-16 without a mark": ('{"raw":"QQ"}'.encode("utf-16-le"), refusals.BadJSON, NO_NAME),
    "a byte-order mark alone": (b"\xef\xbb\xbf", refusals.BadJSON, CUT),
    "two byte-order marks": (b"\xef\xbb\xbf\xef\xbb\xbf{}", refusals.BadJSON, NO_CHARACTER.format(0)),
    "white space alone": (b" \n", refusals.BadJSON, CUT),
    "cut in a value": (b'{"raw":"QQ', refusals.BadJSON, CUT),
    "cut after a name": (b'{"raw"', refusals.BadJSON, CUT),
    "cut before the end": (b'{"raw":"QQ"', refusals.BadJSON, CUT),
    "data after the end": (
        b'{"raw":"QQ"}{}',
        refusals.BadJSON,
        NO_JSON + "JSON is malformed: trailing characters (byte 13).",
    ),
    "NUL after the end": (
        b"{}\0",
        refusals.BadJSON,
        NO_JSON + "JSON is malformed: trailing characters (byte 3).",
    ),
    "single quotes": (b"{'raw':'QQ'}", refusals.BadJSON, NO_NAME),
    "a bare name": (b'{raw:"QQ"}', refusals.BadJSON, NO_NAME),
    "a trailing comma": (
        b'{"raw":"QQ",}',
        refusals.BadJSON,
        NO_JSON + "JSON is malformed: trailing comma in object (byte 12).",
    ),
    "a line end in a string": (b'{"raw":"Q\nQ"}', refusals.BadJSON, NO_CHARACTER.format(9)),
    "a form": (b"raw=QQ", refusals.BadJSON, NO_CHARACTER.format(0)),
    "a message": (b"To: b@c.example\r\n\r\nHi", refusals.BadJSON, NO_CHARACTER.format(0)),
}


@pytest.mark.parametrize(("body", "raw", "thread"), READ.values(), ids=READ)
def test_a_message_is_read(body, raw, thread):
    """Of a Message exactly the octets of raw and the thread are read."""
    assert read(bytearray(body)) == Sent(raw, thread)


@pytest.mark.parametrize(("body", "refusal", "text"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused(body, refusal, text):
    """Every other body has one refusal, with the text of gmail-wire.md."""
    with pytest.raises(Refusal) as refused:
        read(bytearray(body))
    assert (type(refused.value), str(refused.value)) == (refusal, text)


SEVERAL = {
    "two unknown": (
        b'{"foo":1,"raw":"QQ","bar":2}',
        [("message", UNKNOWN.format("foo")), ("message", UNKNOWN.format("bar"))],
    ),
    "one of each kind": (
        b'{"a":{"raw":[1,"]}"],"b":{}},"raw":"Q!","threadId":5,"id":[],"snippet":{}}',
        [
            ("message", UNKNOWN.format("a")),
            ("message.raw", NO_BASE64.format("Q!")),
            ("message.thread_id", "Invalid value at 'message.thread_id' (TYPE_STRING), 5"),
            ("message", NO_LIST.format("id")),
            ("message", NO_OBJECT.format("snippet")),
        ],
    ),
    "unknown ones of every kind": (
        rb'{"a":"\"}","b":[],"c":[{"x":[]}],"d":-1.5e3,"e":true,"f":null , "g" : {"g":"{"} ,"h":"" }',
        [("message", UNKNOWN.format(name)) for name in "abcdefgh"],
    ),
    "an unknown name twice": (b'{"foo":1,"foo":2}', [("message", UNKNOWN.format("foo"))] * 2),
    "more than are told": (
        b"{" + b",".join(b'"x%d":%d' % (number, number) for number in range(99)) + b"}",
        [("message", UNKNOWN.format(f"x{number}")) for number in range(MAX_VIOLATIONS)],
    ),
}


@pytest.mark.parametrize(("body", "violations"), SEVERAL.values(), ids=SEVERAL)
def test_all_that_is_wrong_is_told_at_once(body, violations):
    """Each member that does not fit is a violation of its own; the message joins them, one a line."""
    with pytest.raises(refusals.FieldsInvalid) as refused:
        read(bytearray(body))
    assert [(one.field, one.description) for one in refused.value.violations] == violations
    assert str(refused.value) == "\n".join(description for _, description in violations)


def test_the_log_is_told_which_member_and_not_what_it_holds():
    """`why` names the members; what was to be sent does not reach the log."""
    with pytest.raises(refusals.FieldsInvalid) as refused:
        read(bytearray(b'{"raw":"Subject: secret","foo":"secret","id":{"x":"secret"}}'))
    assert refused.value.why == "raw is not base64; a Message has no member 'foo'; id is an object"


def outcome(body: bytes) -> Sent | None:
    with contextlib.suppress(Refusal):
        return read(bytearray(body))
    return None


@given(st.binary())
@example(b'{"threadId":"\xff"}')
@example(b'{"raw":"\\\xff"}')
@example(b"\xef\xbb\xbf\xff")
def test_any_octets_have_an_answer(body):
    """Whatever the octets are, they are read or refused, and nothing else happens."""
    outcome(body)


NAMES = (
    b'"raw"',
    b'"threadId"',
    b'"thread_id"',
    b'"id"',
    b'"sizeEstimate"',
    b'"payload"',
    b'"foo"',
    rb'"\u0072aw"',
)
VALUES = (b'"QQ=="', b'"QUI"', b'"1f"', b'"\xff"', b'"\xc3\xa4"', b"null", b"1", b"12", b"1.5", b"true", b"NaN")
SIGNS = (b"{", b"}", b"[", b"]", b":", b",", b" ", b"\n", b'"', b"\\", b"\xef\xbb\xbf", b"\0")
PIECES = st.sampled_from(NAMES + VALUES + SIGNS)
MEMBERS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=4).map(
    lambda members: b"{" + b",".join(name + b":" + value for name, value in members) + b"}"
)


KNOWN = {"raw", "threadId", "id", "sizeEstimate", "payload"}


def members_of(body: bytes) -> dict[str, object]:
    """The members as `json` reads them. Raises `ValueError` for a name that stands twice, or is unknown."""
    objects: list[list[tuple[str, object]]] = []
    text = body.decode("utf-8-sig")
    root = json.loads(text, object_pairs_hook=lambda pairs: objects.append(pairs) or pairs, parse_constant=float)
    if not objects or root is not objects[-1]:
        raise ValueError("the root is no object")
    names = ["threadId" if name == "thread_id" else name for name, _ in objects[-1]]
    if len(set(names)) < len(names) or not KNOWN.issuperset(names) or b"NaN" in body:
        raise ValueError("not a Message, or one that two readers read differently")
    return dict(zip(names, (value for _, value in objects[-1]), strict=True))


def by_the_standard_library(body: bytes) -> Sent | None:
    """What `json` and `base64` make of a body; `None` where they or the rules of section 3.1 refuse."""
    try:
        members = members_of(body)
        texts = [members.get(name) or "" for name in ("raw", "threadId", "id")]
        if not all(isinstance(text, str) for text in texts):
            return None
        raw, thread = "".join(texts[0].split()), texts[1]
        padding = "" if "=" in raw else "=" * (-len(raw) % 4)
        octets = base64.b64decode(raw + padding, altchars="-_", validate=True)
        return Sent(octets, thread)
    except ValueError:
        return None


@given(st.one_of(MEMBERS, st.lists(PIECES, max_size=12).map(b"".join)))
@example(b'{"sizeEstimate":12,"raw":"QQ==","raw":"QUJD","sizeEstimate":1}')
@example(b'{"payload":{"raw":1,"raw":2},"raw":"QQ=="}')
def test_the_standard_library_reads_the_same(body):
    """What `json` refuses is refused; what is read of the rest is what `json` reads."""
    assert outcome(body) == (by_the_standard_library(body) if body else Sent(b""))


FORMS = {
    "URL-safe, padded": base64.urlsafe_b64encode,
    "URL-safe, not padded": lambda octets: base64.urlsafe_b64encode(octets).rstrip(b"="),
    "standard, padded": base64.b64encode,
    "standard, not padded": lambda octets: base64.b64encode(octets).rstrip(b"="),
    "in lines": lambda octets: base64.encodebytes(octets).replace(b"\n", rb"\r\n"),
    "escaped": lambda octets: b"".join(rb"\u%04x" % octet for octet in base64.b64encode(octets)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(octets=st.binary())
def test_base64_comes_back(form, octets):
    """Any octets in either alphabet, padded or not, come back as they were."""
    assert read(bytearray(b'{"raw":"' + form(octets) + b'"}')).raw == octets


@given(st.binary(min_size=1, max_size=9), st.integers(0, 20), st.sampled_from(b"!*.,:;=\x7f\xc3"))
def test_one_wrong_character_is_never_skipped(octets, at, wrong):
    """A character outside of the alphabets makes the whole value bad, wherever it stands."""
    characters = bytearray(base64.b64encode(octets).rstrip(b"="))
    characters[at % len(characters)] = wrong
    found = outcome(b'{"raw":"' + characters + b'"}')
    assert found is None or wrong == ord("=")
    if found is not None:
        assert characters.endswith(b"=")
        assert base64.b64decode(bytes(characters)) == found.raw


SPACE = st.sampled_from([b"", b" ", b"\r\n", b"\v"])
CHARACTERS = st.builds(
    lambda octets, tail: base64.b64encode(octets, b"-/").rstrip(b"=") + tail,
    st.binary(max_size=5),
    st.sampled_from([b"", b"", b"=", b"==", b"===", b"=A", b" ", b"\\n", b'"', b'","id":"x', b"\xe9"]),
)
ENDS = st.sampled_from([b'"}', b'" }\n', b'"\v}', b"}", b'"', b'"}}', b'"]', b'","id":"x"}', b'"}"'])


@settings(max_examples=500)
@given(SPACE, st.sampled_from([b"{", b"{", b"", b"{{", b'{"id":"x",']), SPACE, CHARACTERS, ENDS)
def test_the_short_way_reads_what_the_long_way_reads(around, begun, between, characters, end):
    """Of a body that holds nothing but raw, or nearly so, both make the same, or the short way leaves it."""
    body = bytearray(b"".join((around, begun, b'"raw"', between, b":", between, b'"', characters, end, around)))
    short = _plain(body)
    assert short is None or short == _read(body)


@pytest.mark.parametrize("form", list(FORMS.values())[:4], ids=list(FORMS)[:4])
@given(octets=st.binary())
def test_base64_without_anything_between_goes_the_short_way(form, octets):
    """In either alphabet, padded or not, as nearly all programs write it."""
    assert _plain(bytearray(b'{"raw": "' + form(octets) + b'"}\n')) == Sent(octets)


def peak_of(body: bytearray) -> int:
    """Octets in use at the worst moment of reading `body`, itself not counted."""
    tracemalloc.start()
    try:
        with contextlib.suppress(Refusal):
            read(body)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_message_of_the_largest_size_is_not_copied():
    """Decoding a body of 49 MB takes the room of what it decodes to, and not that of the body again."""
    body = bytearray(b'{"raw":"' + b"QUJD" * (36_700_160 // 3) + b'"}')
    assert len(read(body).raw) == 36_700_160 // 3 * 3
    assert peak_of(body) < 36_700_160 * 1.3 < len(body)


MEGABYTE = 1_000_000
COSTLY = {
    "a name": b'{"' + b"a" * MEGABYTE + b'":1}',
    "an escaped name": b'{"' + b"\\n" * (MEGABYTE // 2) + b'":1}',
    "many names": b"{" + b",".join(b'"%x":1' % number for number in range(MEGABYTE // 9)) + b"}",
    "white space in base64": b'{"raw":"' + b"Q " * (MEGABYTE // 2) + b'"}',
    "escaped white space in base64": b'{"raw":"' + b"\\n" * (MEGABYTE // 2) + b'"}',
    "white space before a name": b"{" + b" " * MEGABYTE + b'"raw":"QQ"}',
    "an unknown string": b'{"foo":"' + b"a" * MEGABYTE + b'"}',
    "unknown lists": b'{"foo":[' + b"[]," * (MEGABYTE // 3) + b"[]]}",
    "empty lists": b'{"payload":[' + b"[]," * (MEGABYTE // 3) + b"[]]}",
    "a thread": b'{"threadId":"' + b"1" * MEGABYTE + b'"}',
    "bad base64": b'{"raw":"' + b"!" * MEGABYTE + b'"}',
    "not UTF-8": b'{"snippet":"' + "ä".encode() * (MEGABYTE // 2) + b'\xff"}',
}


@pytest.mark.parametrize("body", COSTLY.values(), ids=COSTLY)
def test_no_body_costs_many_times_its_size(body):
    """Whatever a body holds, reading it takes at most the room of a few copies."""
    assert peak_of(bytearray(body)) < 6 * MEGABYTE
