"""The OpenAPI document: sound in itself, and derived from the method table."""

import json
import re
from collections.abc import Iterator

import pytest

from postroad.web import openapi
from postroad.web.methods import METHODS, SEND
from postroad.web.schemas import STANDARD
from postroad.web.transcoding import UPLOAD_PREFIXES

DOCUMENT = openapi.document("https://mail.example.test/")
OPERATIONS = {
    operation["operationId"]: (path, verb, operation)
    for path, item in DOCUMENT["paths"].items()
    for verb, operation in item.items()
}


def references(node) -> Iterator[str]:
    if isinstance(node, dict):
        yield from ([node["$ref"]] if "$ref" in node else [])
        node = list(node.values())
    for inner in node if isinstance(node, list) else []:
        yield from references(inner)


def found(reference: str):
    node = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        node = node[name]
    return node


def test_the_head_says_what_it_is():
    """Version, title and address."""
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"]["title"] == "Postroad"
    assert DOCUMENT["servers"] == [{"url": "https://mail.example.test"}]


def test_every_reference_leads_somewhere():
    """No dangling one; and names of components are of the characters allowed there."""
    assert all(found(one) for one in references(DOCUMENT))
    names = [name for component in DOCUMENT["components"].values() for name in component]
    assert [name for name in names if not re.fullmatch(r"[a-zA-Z0-9._-]+", name)] == []


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.id)
def test_every_method_is_an_operation(method):
    """With its address, its parameters in their places, the standard ones, and any one of its scopes."""
    path, verb, operation = OPERATIONS[method.id]
    assert (path, verb) == (f"/{method.path}", method.verb.lower())
    parameters = [found(one["$ref"]) if "$ref" in one else one for one in operation["parameters"]]
    places = {one["name"]: one["in"] for one in parameters}
    assert places == {one.name: "query" for one in (*method.query, *STANDARD)} | dict.fromkeys(
        method.variables, "path"
    )
    assert all(one.get("required", False) == (one["in"] == "path") for one in parameters)
    assert [alternative["bearer"] for alternative in operation["security"]] == [[scope] for scope in method.scopes]


def test_uploads_are_operations_of_their_own():
    """One for each address, with the message itself as the body."""
    for prefix in UPLOAD_PREFIXES:
        (operation,) = (one for path, _, one in OPERATIONS.values() if path == f"/{prefix}{SEND.path}")
        assert operation["requestBody"]["content"].keys() == {"message/rfc822"}


def test_a_default_has_the_type_of_its_parameter():
    """A number is a number there, and a truth a truth."""
    parameters = {
        one["name"]: one["schema"]
        for _, _, row in OPERATIONS.values()
        for one in row["parameters"]
        if "name" in one
    }
    assert parameters["maxResults"] == {"type": "integer", "format": "uint32", "default": 100}
    assert parameters["includeSpamTrash"] == {"type": "boolean", "default": False}
    assert parameters["labelIds"] == {"type": "array", "items": {"type": "string"}}
    assert parameters["format"]["enum"] == ["minimal", "full", "raw", "metadata"]
    assert json.dumps(DOCUMENT)
