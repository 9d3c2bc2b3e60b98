"""Boundaries and heads of parts, as clients and nobody else writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.web import part_heads
from postroad.web.part_heads import NotAFieldError

BOUNDARIES = {
    "plain": (b"multipart/mixed; boundary=b", b"b"),
    "quoted": (b'multipart/mixed; boundary="a b"', b"a b"),
    "quoted pairs": (rb'multipart/mixed; boundary="a\"b"', b'a"b'),
    "other parameters": (b'multipart/related; type="application/json"; boundary=b; x=y', b"b"),
    "another case": (b"multipart/related;BOUNDARY=b", b"b"),
    "white space": (b"multipart/related; boundary = b", b"b"),
    "a space at its end": (b'multipart/related; boundary="b "', b"b"),
    "none": (b"multipart/related", b""),
    "an empty one": (b"multipart/related; boundary=", b""),
    "an empty one in quotes": (b'multipart/related; boundary=""', b""),
    "two": (b"multipart/related; boundary=a; boundary=b", b""),
    "an open quote": (b'multipart/related; boundary="b', b""),
    "far behind": (b"multipart/related;" + b" " * 1024 + b"boundary=b", b""),
}


@pytest.mark.parametrize(("content_type", "boundary"), BOUNDARIES.values(), ids=BOUNDARIES)
def test_a_content_type_names_one_boundary(content_type, boundary):
    """Quoted or not; none and several are none."""
    assert part_heads.boundary_of(content_type) == boundary


HEADS = {
    "CRLF": (b"A: b\r\nC:d\r\n", [(b"a", b"b"), (b"c", b"d")]),
    "LF": (b"A: b\nC: d", [(b"a", b"b"), (b"c", b"d")]),
    "folded": (b"Content-ID:\r\n <a + 1>", [(b"content-id", b"<a + 1>")]),
    "a space before the colon": (b"A : b", [(b"a", b"b")]),
    "twice": (b"A: b\na: c", [(b"a", b"b"), (b"a", b"c")]),
    "empty": (b"", []),
    "octets over 127": (b"A: \xe4", [(b"a", b"\xe4")]),
}


@pytest.mark.parametrize(("head", "fields"), HEADS.values(), ids=HEADS)
def test_a_head_is_its_fields(head, fields):
    """In their order, unfolded, names in lower case."""
    assert list(part_heads.fields(part_heads.lines(head))) == fields


@pytest.mark.parametrize("head", [b"A", b": a", b"A b: c", b"A: b\0", b"A: b\rC: d", b"\xe4: a", b" A: b"])
def test_what_is_no_field_is_refused(head):
    """No colon, no name, or control characters."""
    with pytest.raises(NotAFieldError):
        list(part_heads.fields(part_heads.lines(head)))


@given(st.binary(max_size=60))
def test_any_octets_are_fields_or_none(head):
    """Names are in lower case and values without line breaks, whatever comes."""
    try:
        found = list(part_heads.fields(part_heads.lines(head)))
    except NotAFieldError:
        return
    assert all(name and name == name.lower() for name, _ in found)
    assert not any(octet in value for _, value in found for octet in (b"\r", b"\n"))
