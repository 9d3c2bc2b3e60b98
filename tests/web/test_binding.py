"""Query parameters and the fields they are bound to (gmail-wire.md 2.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.refusals import FieldsInvalid
from postroad.web.binding import bound
from postroad.web.methods import GET, LIST, METHODS, SEND

BOUND = {
    "nothing": (SEND, (), {}),
    "a text": (LIST, (("pageToken", "a"),), {"pageToken": "a"}),
    "an empty text": (LIST, (("q", ""),), {"q": ""}),
    "a number": (LIST, (("maxResults", "007"),), {"maxResults": 7}),
    "the largest": (LIST, (("maxResults", "4294967295"),), {"maxResults": 4294967295}),
    "the last of several": (LIST, (("maxResults", "1"), ("maxResults", "2")), {"maxResults": 2}),
    "the proto's spelling": (LIST, (("max_results", "3"),), {"maxResults": 3}),
    "all of a repeated one": (LIST, (("labelIds", "B"), ("label_ids", "A")), {"labelIds": ("B", "A")}),
    "true": (LIST, (("includeSpamTrash", "T"),), {"includeSpamTrash": True}),
    "false": (LIST, (("includeSpamTrash", "No"),), {"includeSpamTrash": False}),
    "a choice": (GET, (("format", "raw"),), {"format": "raw"}),
    "a choice in capitals": (GET, (("format", "MINIMAL"),), {"format": "minimal"}),
    "names of fields": (
        GET,
        (("metadataHeaders", "To"), ("metadataHeaders", "Cc")),
        {"metadataHeaders": ("To", "Cc")},
    ),
}


@pytest.mark.parametrize(("method", "own", "values"), BOUND.values(), ids=BOUND)
def test_a_parameter_is_bound_to_its_field(method, own, values):
    """Values have their field's type; of repeats of one value the last counts."""
    assert bound(own, method) == values


def unknown(name: str) -> str:
    return (
        f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
        f"Field '{name}' could not be found in request message."
    )


MESSAGE = (
    'Invalid JSON payload received. Unknown name "message": Cannot bind query parameter. '
    "'message' is a message type. Parameters can only be bound to primitive types."
)
REFUSED = {
    "an unknown name": (SEND, (("foo", "1"),), [("", unknown("foo"))]),
    "the name of nothing": (SEND, (("", "1"),), [("", unknown(""))]),
    "another case": (LIST, (("maxresults", "1"),), [("", unknown("maxresults"))]),
    "another method's": (SEND, (("maxResults", "1"),), [("", unknown("maxResults"))]),
    "what the path says": (SEND, (("userId", "me"),), [("", unknown("userId"))]),
    "the body": (SEND, (("message", "1"),), [("", MESSAGE)]),
    "a field of the body": (SEND, (("raw", "QQ"),), [("", unknown("raw"))]),
    "a nested one": (SEND, (("message.raw", "QQ"),), [("", unknown("message.raw"))]),
    "a body where there is none": (LIST, (("message", "1"),), [("", unknown("message"))]),
    "a long name": (SEND, (("x" * 5000, "1"),), [("", unknown("x" * 64))]),
    "no number": (
        LIST,
        (("maxResults", "ten"),),
        [("max_results", "Invalid value at 'max_results' (TYPE_UINT32), \"ten\"")],
    ),
    "a negative one": (
        LIST,
        (("maxResults", "-1"),),
        [("max_results", "Invalid value at 'max_results' (TYPE_UINT32), \"-1\"")],
    ),
    "digits beyond ASCII": (
        LIST,
        (("maxResults", "\u0661"),),
        [("max_results", "Invalid value at 'max_results' (TYPE_UINT32), \"\u0661\"")],
    ),
    "one beyond 32 bits": (
        LIST,
        (("maxResults", "4294967296"),),
        [("max_results", "Invalid value at 'max_results' (TYPE_UINT32), \"4294967296\"")],
    ),
    "no boolean": (
        LIST,
        (("includeSpamTrash", "maybe"),),
        [("include_spam_trash", "Invalid value at 'include_spam_trash' (TYPE_BOOL), \"maybe\"")],
    ),
    "no choice": (
        GET,
        (("format", "thin"),),
        [("format", "Invalid value at 'format' (TYPE_ENUM), \"thin\"")],
    ),
    "each repeat is looked at": (
        LIST,
        (("maxResults", "ten"), ("maxResults", "1")),
        [("max_results", "Invalid value at 'max_results' (TYPE_UINT32), \"ten\"")],
    ),
    "all at once": (
        LIST,
        (("foo", "1"), ("maxResults", ""), ("q", "x")),
        [("", unknown("foo")), ("max_results", "Invalid value at 'max_results' (TYPE_UINT32), \"\"")],
    ),
}


@pytest.mark.parametrize(("method", "own", "violations"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_bound_is_refused_at_once(method, own, violations):
    """All that does not fit is told, one violation each, joined by line feeds in the message."""
    with pytest.raises(FieldsInvalid) as refused:
        bound(own, method)
    assert [(one.field, one.description) for one in refused.value.violations] == violations
    assert str(refused.value) == "\n".join(description for _, description in violations)


@given(st.lists(st.tuples(st.text(), st.text()), max_size=9), st.sampled_from(METHODS))
def test_any_names_and_values_are_bound_or_refused(own, method):
    """No text breaks the binding, and what is bound has a field."""
    try:
        values = bound(own, method)
    except FieldsInvalid:
        return
    assert values.keys() <= {field.name for field in method.query}
