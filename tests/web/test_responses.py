"""Answers to the byte (gmail-wire.md 2.6, 2.7)."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.web.responses import JSON, Response, json_response, script, serialise

SERIALISED = {
    "an object": ({"id": "18f", "labelIds": ["SENT"]}, '{\n  "id": "18f",\n  "labelIds": [\n    "SENT"\n  ]\n}\n'),
    "nothing": ({}, "{}\n"),
    "an empty list": ({"a": []}, '{\n  "a": []\n}\n'),
    "numbers and words": ({"a": 1, "b": True, "c": None}, '{\n  "a": 1,\n  "b": true,\n  "c": null\n}\n'),
    "markup": ({"a": "<b>&'"}, '{\n  "a": "\\u003cb\\u003e&\'"\n}\n'),
    "letters stay": ({"a": "äßЖ漢😀"}, '{\n  "a": "äßЖ漢😀"\n}\n'),
    "spaces stay": ({"a": "\xa0\u3000"}, '{\n  "a": "\xa0\u3000"\n}\n'),
    "what JSON escapes": ({"a": '"\\\b\f\n\r\t\x01/'}, '{\n  "a": "\\"\\\\\\b\\f\\n\\r\\t\\u0001/"\n}\n'),
    "delete and C1": ({"a": "\x7f\x80\x9f"}, '{\n  "a": "\\u007f\\u0080\\u009f"\n}\n'),
    "a soft hyphen": ({"a": "\xad"}, '{\n  "a": "\\u00ad"\n}\n'),
    "what shows as nothing": (
        {"a": "\u200b\u200d\u2060\ufeff\ufff9"},
        '{\n  "a": "\\u200b\\u200d\\u2060\\ufeff\\ufff9"\n}\n',
    ),
    "what turns the text round": ({"a": "\u202e\u200f\u206a"}, '{\n  "a": "\\u202e\\u200f\\u206a"\n}\n'),
    "line separators": ({"a": "\u2028\u2029"}, '{\n  "a": "\\u2028\\u2029"\n}\n'),
    "as Unicode 4.0 had it": ({"a": "\u17b4\u061c\u180e"}, '{\n  "a": "\\u17b4\u061c\u180e"\n}\n'),
    "isolates of later versions": ({"a": "\u2066\u2069"}, '{\n  "a": "\u2066\u2069"\n}\n'),
    "tags are two units": ({"a": "\U000e0001\U000e007f"}, '{\n  "a": "\\udb40\\udc01\\udb40\\udc7f"\n}\n'),
    "musical signs are two units": ({"a": "\U0001d173"}, '{\n  "a": "\\ud834\\udd73"\n}\n'),
    "names too": ({"<": 1}, '{\n  "\\u003c": 1\n}\n'),
    "brackets in a string": ({"a": '{"b":[1,2]}'}, '{\n  "a": "{\\"b\\":[1,2]}"\n}\n'),
}


@pytest.mark.parametrize(("value", "text"), SERIALISED.values(), ids=SERIALISED)
def test_json_is_written_as_google_writes_it(value, text):
    """Two spaces, one line feed at the end, UTF-8, and Google's choice of what is escaped."""
    assert serialise(value).decode() == text


@given(st.dictionaries(st.text(), st.text() | st.integers(-(2**63), 2**63) | st.lists(st.text())))
def test_what_is_written_reads_back(value):
    """However it is escaped, another JSON reader gets the same value."""
    assert json.loads(serialise(value)) == value


def sent(response: Response) -> list[dict]:
    events = []

    async def send(event):
        events.append(event)

    asyncio.run(response.send(send))
    return events


def test_an_answer_is_sent_with_googles_headers():
    """Every answer carries the headers of Google's front end, each Vary on a line of its own."""
    start, body = sent(json_response({"a": 1}, 403, ((b"www-authenticate", b"Bearer"),)))
    assert start["type"] == "http.response.start"
    assert start["status"] == 403
    assert start["headers"] == (
        (b"content-type", b"application/json; charset=UTF-8"),
        (b"vary", b"Origin"),
        (b"vary", b"X-Origin"),
        (b"vary", b"Referer"),
        (b"server", b"ESF"),
        (b"cache-control", b"private"),
        (b"x-xss-protection", b"0"),
        (b"x-frame-options", b"SAMEORIGIN"),
        (b"x-content-type-options", b"nosniff"),
        (b"www-authenticate", b"Bearer"),
    )
    assert body == {"type": "http.response.body", "body": b'{\n  "a": 1\n}\n'}


def test_an_answer_is_200_in_json_by_default():
    """A JSON answer without further words is a 200."""
    response = json_response({})
    assert (response.code, response.media_type, response.headers) == (200, JSON, ())


COMPACT = {
    "an object": ({"id": "18f", "labelIds": ["SENT"]}, '{"id":"18f","labelIds":["SENT"]}'),
    "nothing": ({}, "{}"),
    "markup": ({"a": "<b>"}, '{"a":"\\u003cb\\u003e"}'),
    "letters stay": ({"a": "ä😀"}, '{"a":"ä😀"}'),
}


@pytest.mark.parametrize(("value", "text"), COMPACT.values(), ids=COMPACT)
def test_what_is_not_pretty_has_no_white_space(value, text):
    """Without indentation there is no space and no line feed; the escapes are the same."""
    assert serialise(value, pretty=False).decode() == text


SCRIPTS = {
    "a name": ("cb", "cb"),
    "a path of names": ("$.a[0]", "$.a[0]"),
    "quotes": ('a"b', 'a\\"b'),
    "a line end": ("a\nb", "a\\nb"),
    "a line separator": ("a\u2028b", "a\\u2028b"),
    "markup": ("</script>", "\\u003c/script\\u003e"),
}


@pytest.mark.parametrize(("function", "called"), SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_calls_the_function_with_the_answer(function, called):
    """JSONP is 200 whatever was answered, a comment before it, the octets unchanged inside."""
    response = script(json_response({"a": 1}, 404, ((b"x", b"y"),)), function)
    assert response.code == 200
    assert response.media_type == b"text/javascript; charset=UTF-8"
    assert response.headers == ((b"x", b"y"),)
    assert response.body.decode() == f'// API callback\n{called}({{\n  "a": 1\n}}\n);'
