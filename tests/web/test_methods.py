"""The method table against Google's own discovery document, as Google's Python client ships it."""

import json
from collections.abc import Iterator

import pytest
from googleapiclient.discovery_cache import get_static_doc

from postroad.settings import Settings
from postroad.web.gmail import ANSWERS
from postroad.web.methods import METHODS, SEND
from postroad.web.transcoding import UPLOAD_PREFIXES

DOCUMENT = json.loads(get_static_doc("gmail", "v1"))


def described(resource: dict) -> Iterator[tuple[str, dict]]:
    for method in resource.get("methods", {}).values():
        yield method["id"], method
    for inner in resource.get("resources", {}).values():
        yield from described(inner)


GOOGLES = dict(described(DOCUMENT))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.id)
def test_a_row_agrees_with_google(method):
    """Verb, path, scopes and upload of a row are those of Google's document."""
    theirs = GOOGLES[method.id]
    assert method.verb == theirs["httpMethod"]
    assert DOCUMENT["servicePath"] + theirs["path"] == method.path
    assert set(method.scopes) == set(theirs["scopes"])
    assert list(method.scopes) == theirs["scopes"]
    assert method.upload == theirs.get("supportsMediaUpload", False)


def test_uploads_have_googles_addresses_and_limit():
    """Both upload addresses and the size limit are Google's."""
    upload = GOOGLES[SEND.id]["mediaUpload"]
    addresses = {protocol["path"] for protocol in upload["protocols"].values()}
    assert addresses == {f"/{prefix}{SEND.path}" for prefix in UPLOAD_PREFIXES}
    assert int(upload["maxSize"]) == Settings().max_message_size
    assert upload["accept"] == ["message/*"]


def test_every_row_is_unique_and_answered():
    """No two rows have one name or one address, and each has a function that answers."""
    assert len({method.id for method in METHODS}) == len(METHODS)
    assert len({(method.verb, method.path) for method in METHODS}) == len(METHODS)
    assert ANSWERS.keys() == set(METHODS)
