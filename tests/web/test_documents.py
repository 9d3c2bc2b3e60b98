"""Where the documents are found, and where not."""

import asyncio
import json

import pytest

from postroad.web import documents
from postroad.web.asgi import Face
from postroad.web.requests import Request

ROOT = "https://mail.example.test"


def asked(path, query=b""):
    return documents.answer(Request("GET", path, path.encode(), {}, None, unread=False), query, ROOT, 100)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/$discovery/rest", b"version=v1"),
        ("/$discovery/rest", b""),
        ("/$discovery/rest", b"key=x&version=v1&prettyPrint=false"),
        ("/discovery/v1/apis/gmail/v1/rest", b""),
    ],
)
def test_the_discovery_document_has_two_addresses(path, query):
    """Both give the same, with our address in it."""
    response = asked(path, query)
    assert (response.code, response.media_type) == (200, b"application/json; charset=UTF-8")
    assert json.loads(response.body)["rootUrl"] == f"{ROOT}/"


def test_the_openapi_document_has_its_address():
    """Among what Gmail does not have."""
    assert json.loads(asked("/postroad/v1/openapi.json").body)["servers"] == [{"url": ROOT}]


SHAPED = {
    "a mask": (b"fields=name", 200, b'{\n  "name": "gmail"\n}\n'),
    "no indentation": (b"fields=name&prettyPrint=false", 200, b'{"name":"gmail"}'),
    "a script": (b"fields=name&callback=f", 200, b'// API callback\nf({\n  "name": "gmail"\n}\n);'),
    "a mask of nothing": (b"fields=nam", 400, b'{\n  "error": {\n    "code": 400,\n'),
    "no JSON": (b"alt=proto", 400, b'{\n  "error": {\n    "code": 400,\n'),
    "a shape of errors that there is not": (b"$.xgafv=3", 400, b'{\n  "error": {\n    "code": 400,\n'),
}


@pytest.mark.parametrize(("query", "code", "beginning"), SHAPED.values(), ids=SHAPED)
def test_a_document_is_shaped_as_asked(query, code, beginning):
    """The standard parameters hold for it as for any answer."""
    response = asked("/$discovery/rest", b"version=v1&" + query)
    assert (response.code, response.body[: len(beginning)]) == (code, beginning)


@pytest.mark.parametrize("query", [b"version=v2", b"version=v1&version=v3"])
def test_another_version_is_not_found(query):
    """There is one version of this API."""
    assert asked("/$discovery/rest", query).code == 404


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/$discovery/rest"),
        ("GET", "/postroad/v1/openapi.json"),
        ("POST", "/batch"),
        ("POST", "/batch/gmail/v1"),
    ],
)
def test_a_node_that_only_relays_has_none_of_it(verb, path):
    """It serves no method that could be described or batched."""
    face = Face(None, None, None, None, takes_mail=False)
    request = Request(verb, path, path.encode(), {}, None, unread=False)
    assert asyncio.run(face._answer(request, b"")).code == 404
