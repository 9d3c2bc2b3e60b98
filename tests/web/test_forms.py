"""Forms: what is one is read, field by field; anything else is refused before it is used."""

import asyncio
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad import refusals
from postroad.web.forms import MAX_FIELDS, MAX_OCTETS, form_of, once, pairs
from postroad.web.requests import Request

FORM = b"application/x-www-form-urlencoded"


def request(body: bytes, media_type: bytes | None = FORM) -> Request:
    headers = {b"content-length": b"%d" % len(body)}
    if media_type is not None:
        headers[b"content-type"] = media_type

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    return Request("POST", "/token", b"/token", headers, receive, unread=bool(body))


def read(body: bytes, media_type: bytes | None = FORM, **limit: int):
    return asyncio.run(form_of(request(body, media_type), **limit))


def refused(act, *arguments, **more) -> refusals.Refusal:
    with pytest.raises(refusals.Refusal) as refusal:
        act(*arguments, **more)
    return refusal.value


READ = {
    "nothing": (b"", []),
    "a field": (b"a=b", [("a", "b")]),
    "the same name twice": (b"a=1&a=2", [("a", "1"), ("a", "2")]),
    "no value": (b"a=&b", [("a", ""), ("b", "")]),
    "a plus and a percent": (b"a=x+y%2Bz%3D", [("a", "x y+z=")]),
    "UTF-8 in percents": (b"%C3%A4=%C3%B6", [("ä", "ö")]),
    "UTF-8 as it is": ("ä=ö".encode(), [("ä", "ö")]),
    "a lone percent": (b"a=100%", [("a", "100%")]),
    "empty pairs": (b"&&a=b&", [("a", "b")]),
    "a semicolon parts nothing": (b"a=1;b=2", [("a", "1;b=2")]),
}


@pytest.mark.parametrize(("body", "fields"), READ.values(), ids=READ)
def test_a_form_is_its_fields_in_their_order(body, fields):
    """As the URL standard reads them, repeated ones and empty ones among them."""
    assert read(body) == fields


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=20))
def test_what_a_browser_writes_is_read(fields):
    """Whatever the fields are, but for NUL, they are read as they were written."""
    written = [(name.replace("\0", ""), text.replace("\0", "")) for name, text in fields]
    assert pairs(urlencode(written).encode()) == written


@pytest.mark.parametrize("media_type", [FORM + b"; charset=UTF-8", FORM.upper(), FORM + b" ;x"])
def test_the_type_may_have_parameters(media_type):
    """And be in any case of letters."""
    assert read(b"a=b", media_type) == [("a", "b")]


@pytest.mark.parametrize("media_type", [None, b"", b"application/json", b"text/plain", b"multipart/form-data"])
def test_another_type_is_no_form(media_type):
    """What pages of other origins may post without being asked is refused, as is JSON; no body has no type."""
    assert isinstance(refused(read, b"a=b", media_type), refusals.NotAForm)
    assert read(b"", media_type) == []


BAD = {
    "Latin-1 in percents": b"a=%E4",
    "Latin-1": b"a=\xe4",
    "half a surrogate": b"a=%ED%A0%80",
    "NUL in a value": b"a=%00",
    "NUL in a name": b"a%00=b",
    "NUL as it is": b"a=\0",
    "too many fields": b"&".join([b"a=b"] * (MAX_FIELDS + 1)),
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_what_cannot_be_meant_is_refused(body):
    """Nothing is guessed, and nothing reaches a database that cannot hold it."""
    assert isinstance(refused(read, body), refusals.NotAForm)


def test_a_form_is_bounded():
    """To the octet, before anything of it is read."""
    assert read(b"a=" + b"x" * (MAX_OCTETS - 2))
    assert isinstance(refused(read, b"a=" + b"x" * (MAX_OCTETS - 1)), refusals.BodyTooLarge)
    assert isinstance(refused(read, b"a=b", limit=2), refusals.BodyTooLarge)


def test_a_field_stands_once():
    """Where two would be read by two readers in two ways, neither is."""
    assert once([("a", "1"), ("b", "")]) == {"a": "1", "b": ""}
    assert isinstance(refused(once, [("a", "1"), ("b", ""), ("a", "1")]), refusals.NotAForm)
