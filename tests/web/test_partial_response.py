"""Field masks: their grammar, and what they leave (gmail-wire.md 2.5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.refusals import MaskInvalid
from postroad.web.partial_response import MAX_LENGTH, compiled, cut, masked
from postroad.web.schemas import SCHEMAS

MESSAGE = {
    "id": "1f",
    "threadId": "1e",
    "labelIds": ["SENT", "INBOX"],
    "payload": {
        "mimeType": "multipart/mixed",
        "headers": [{"name": "To", "value": "a"}, {"name": "Cc", "value": "b"}],
        "parts": [{"partId": "0", "body": {"size": 3}}, {"partId": "1", "parts": []}],
    },
}
PAGE = {"messages": [{"id": "1", "threadId": "1"}, {"id": "2"}], "resultSizeEstimate": 2}

MASKED = {
    "nothing asked": ("", MESSAGE),
    "all": ("*", MESSAGE),
    "one field": ("id", {"id": "1f"}),
    "two": ("id,threadId", {"id": "1f", "threadId": "1e"}),
    "in the resource's order": ("threadId,id", {"id": "1f", "threadId": "1e"}),
    "a list": ("labelIds", {"labelIds": ["SENT", "INBOX"]}),
    "what is absent": ("raw", {}),
    "a trailing comma": ("id,", {"id": "1f"}),
    "commas alone": (",,", MESSAGE),
    "twice": ("id,id", {"id": "1f"}),
    "a path": ("payload/mimeType", {"payload": {"mimeType": "multipart/mixed"}}),
    "a path with dots": ("payload.mimeType", {"payload": {"mimeType": "multipart/mixed"}}),
    "through a list": ("payload/headers/name", {"payload": {"headers": [{"name": "To"}, {"name": "Cc"}]}}),
    "a group": (
        "id,payload(mimeType,headers/value)",
        {"id": "1f", "payload": {"mimeType": "multipart/mixed", "headers": [{"value": "a"}, {"value": "b"}]}},
    ),
    "a group in a group": (
        "payload(parts(partId,body(size)))",
        {"payload": {"parts": [{"partId": "0", "body": {"size": 3}}, {"partId": "1"}]}},
    ),
    "a group behind a path": ("payload/parts(partId)", {"payload": {"parts": [{"partId": "0"}, {"partId": "1"}]}}),
    "a group with a trailing comma": (
        "payload(mimeType,),id",
        {"id": "1f", "payload": {"mimeType": "multipart/mixed"}},
    ),
    "all of a field": ("payload/*", {"payload": MESSAGE["payload"]}),
    "a field of all": ("*/mimeType", {"payload": {"mimeType": "multipart/mixed"}}),
    "the whole before its part": ("payload,payload/mimeType", {"payload": MESSAGE["payload"]}),
    "the part before its whole": ("payload/mimeType,payload", {"payload": MESSAGE["payload"]}),
    "nothing of the elements": ("payload/parts/filename", {"payload": {"parts": [{}, {}]}}),
}


@pytest.mark.parametrize(("mask", "left"), MASKED.values(), ids=MASKED)
def test_a_mask_leaves_what_it_names(mask, left):
    """Paths, groups and wildcards choose fields; lists are looked through."""
    found = masked(MESSAGE, compiled(mask, "Message"))
    assert found == left
    assert list(found) == list(left)


def test_a_list_method_has_fields_of_its_own():
    """A mask is read against the method's response."""
    mask = compiled("messages/id,nextPageToken", "ListMessagesResponse")
    assert masked(PAGE, mask) == {"messages": [{"id": "1"}, {"id": "2"}]}


UNKNOWN = {
    "a field": ("foo", "foo"),
    "one of two": ("id,foo", "foo"),
    "the first is told": ("bar,foo", "bar"),
    "a field inside": ("payload/foo", "payload.foo"),
    "in a group": ("payload(mimeType,foo/bar)", "payload.foo.bar"),
    "inside a scalar": ("id/foo", "id.foo"),
    "inside a list of scalars": ("labelIds/x", "labelIds.x"),
    "all inside a scalar": ("id/*", "id.*"),
    "of all": ("*/foo", "*.foo"),
    "beside the whole": ("payload,payload/foo", "payload.foo"),
    "another case": ("ID", "ID"),
    "a space": (" id", " id"),
    "the other spelling": ("thread_id", "thread_id"),
    "no name": ("/", "/"),
    "a dangling slash": ("payload/", "payload/"),
    "two slashes": ("payload//parts", "payload//parts"),
    "an empty group": ("payload()", "payload()"),
    "an open group": ("payload(mimeType", "payload(mimeType"),
    "a group that was not opened": ("id)", "id)"),
    "a name behind a group": ("payload(mimeType)id", "payload(mimeType)id"),
    "a group of nothing": ("(id)", "(id)"),
    "a wildcard within a name": ("i*", "i*"),
    "too deep": ("/".join(["payload", *["parts"] * 50]), ".".join(["payload", *["parts"] * 50])[:256]),
    "too long": ("id," * 2000, ("id," * 2000)[:256]),
}


@pytest.mark.parametrize(("mask", "path"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_path_that_no_field_matches_is_refused(mask, path):
    """The answer names the whole mask and the path that was not found."""
    with pytest.raises(MaskInvalid) as refused:
        compiled(mask, "Message")
    assert str(refused.value) == "Request contains an invalid argument."
    (violation,) = refused.value.violations
    assert violation.field == mask[:256]
    assert (
        violation.description
        == f"Error expanding 'fields' parameter. Cannot find matching fields for path '{path}'."
    )


def paths(schema: str, depth: int):
    """Masks of fields that are there, nested as they are."""
    single = [st.just(field.name) for field in SCHEMAS[schema]]
    nested = [
        st.builds(f"{field.name}({{}})".format, paths(field.kind, depth - 1))
        for field in SCHEMAS[schema]
        if field.schema and depth
    ]
    return st.lists(st.one_of(*single, *nested, st.just("*")), min_size=1, max_size=3).map(",".join)


MASKS = paths("Message", 3)


def same(inner: object, outer: object) -> bool:
    """Whether nothing is in `inner` that is not in `outer`, in the same place."""
    if isinstance(inner, dict):
        return all(name in outer and same(value, outer[name]) for name, value in inner.items())
    if isinstance(inner, list):
        return len(inner) == len(outer) and all(map(same, inner, outer))
    return inner == outer


@given(MASKS)
def test_masking_twice_is_masking_once(text):
    """What a mask leaves, it leaves again; and it adds nothing."""
    mask = compiled(text, "Message")
    once = masked(MESSAGE, mask)
    assert masked(once, mask) == once
    assert same(once, MESSAGE)


@given(MASKS, MASKS)
def test_two_masks_together_leave_what_each_leaves(first, second):
    """A comma between masks is their union."""
    together = masked(MESSAGE, compiled(f"{first},{second}", "Message"))
    assert same(masked(MESSAGE, compiled(first, "Message")), together)
    assert same(masked(MESSAGE, compiled(second, "Message")), together)


@given(st.text("idpayloadparts,/.()* ", max_size=60) | st.text(max_size=20))
def test_any_text_is_a_mask_or_is_refused(text):
    """No text breaks the grammar."""
    try:
        mask = compiled(text, "Message")
    except MaskInvalid:
        return
    assert same(masked(MESSAGE, mask), MESSAGE)


def test_the_longest_mask_is_read_in_no_time():
    """A mask of the greatest length, of the deepest groups, is compiled or refused at once."""
    nested = "payload(" + "parts(" * 48 + "partId" + ")" * 49
    assert compiled(nested, "Message") is not None
    wide = ",".join(["payload/parts/parts/parts/parts/*"] * 100)
    assert compiled(wide[:MAX_LENGTH], "Message") is not None
    with pytest.raises(MaskInvalid):
        compiled("(" * MAX_LENGTH, "Message")


VALUE = {"a": {"b": [{"c": 1, "d": 2}, {"c": 3}], "e": "f"}, "g": ["h"], "i": {}}
CUT = {
    "nothing named": ("", VALUE),
    "a name": ("g", {"g": ["h"]}),
    "through a list": ("a/b/c", {"a": {"b": [{"c": 1}, {"c": 3}]}}),
    "a group": ("a(b/d,e),i", {"a": {"b": [{"d": 2}, {}], "e": "f"}, "i": {}}),
    "whatever there is": ("a/*/c", {"a": {"b": [{"c": 1}, {"c": 3}]}}),
}


@pytest.mark.parametrize(("mask", "left"), CUT.values(), ids=CUT)
def test_a_value_without_schema_is_cut_by_what_is_in_it(mask, left):
    """Its own names are its fields; lists are looked through."""
    assert cut(VALUE, mask) == left


@pytest.mark.parametrize("mask", ["z", "a/z", "g/h", "i/z", "a/e/f", "a("])
def test_what_is_not_in_a_value_is_no_field(mask):
    """A mask of what is not there is refused, as for a resource with a schema."""
    with pytest.raises(MaskInvalid):
        cut(VALUE, mask)
