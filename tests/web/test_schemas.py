"""The tables of fields against Google's own discovery document, as Google's Python client ships it."""

import json

import pytest
from googleapiclient.discovery_cache import get_static_doc

from postroad.web.methods import METHODS
from postroad.web.schemas import SCHEMAS, STANDARD

DOCUMENT = json.loads(get_static_doc("gmail", "v1"))


def described(schema: dict) -> tuple[str, str, bool]:
    """Kind, format and whether repeated, as a `Field` has them."""
    repeated = schema.get("type") == "array"
    one = schema["items"] if repeated else schema
    return one.get("$ref") or one["type"], one.get("format", ""), repeated


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_has_googles_fields(name):
    """Their names, types, formats and repetition are those of Google's document."""
    theirs = DOCUMENT["schemas"][name]["properties"]
    assert {one.name: (one.kind, one.format, one.repeated) for one in SCHEMAS[name]} == {
        field: described(schema) for field, schema in theirs.items()
    }


def test_every_schema_that_is_named_is_there():
    """Those of methods and of fields; and no other is kept."""
    methods = {name for method in METHODS for name in (method.request, method.response) if name}
    fields = {one.kind for schema in SCHEMAS.values() for one in schema} - {"string", "integer", "boolean"}
    assert methods | fields == SCHEMAS.keys()


def test_the_standard_parameters_are_googles():
    """Their names, types, values and defaults are those of Google's document."""
    assert {one.name: (one.kind, [name for name, _ in one.choices], one.default) for one in STANDARD} == {
        name: (theirs["type"], theirs.get("enum", []), theirs.get("default", ""))
        for name, theirs in DOCUMENT["parameters"].items()
    }


def test_the_words_are_our_own():
    """No description is Google's."""
    ours = {one.about for schema in SCHEMAS.values() for one in schema} | {one.about for one in STANDARD}
    ours |= {one.about for method in METHODS for one in (method, *method.parameters)}
    ours |= {meaning for method in METHODS for one in method.parameters for _, meaning in one.choices}
    theirs = json.dumps(DOCUMENT)
    assert [text for text in ours if json.dumps(text)[1:-2] in theirs and len(text) > 20] == []
