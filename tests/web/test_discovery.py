"""The discovery document against Google's own, as Google's Python client ships it."""

import json
from collections.abc import Iterator

import pytest
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build_from_document
from googleapiclient.discovery_cache import get_static_doc

from postroad.settings import Settings
from postroad.web import discovery
from postroad.web.methods import METHODS, SEND

ROOT = "https://mail.example.test:8587"
GOOGLES = json.loads(get_static_doc("gmail", "v1"))
OURS = discovery.document(ROOT, Settings().max_message_size)
# What is Google's own, or in our own words.
PROSE = {"description", "enumDescriptions", "deprecated", "annotations"}


def methods(resource: dict) -> Iterator[tuple[str, dict]]:
    for method in resource.get("methods", {}).values():
        yield method["id"], method
    for inner in resource.get("resources", {}).values():
        yield from methods(inner)


def facts(document):
    """A document without its prose."""
    if isinstance(document, dict):
        return {name: facts(value) for name, value in document.items() if name not in PROSE}
    return [facts(one) for one in document] if isinstance(document, list) else document


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.id)
def test_a_method_is_described_as_google_does(method):
    """Address, verb, parameters with their types and order, schemas, scopes and media: fact by fact."""
    assert facts(dict(methods(OURS))[method.id]) == facts(dict(methods(GOOGLES))[method.id])


@pytest.mark.parametrize("place", ["parameters", "schemas"])
def test_parameters_and_schemas_are_described_as_google_does(place):
    """Those that we serve, fact by fact."""
    assert facts(OURS[place]) == {name: facts(GOOGLES[place][name]) for name in OURS[place]}


def test_only_what_is_served_is_described():
    """One entry for each row of the table, in the same tree as Google's."""
    assert {one for one, _ in methods(OURS)} == {method.id for method in METHODS}
    assert OURS["resources"]["users"]["resources"]["messages"]["methods"].keys() == {"send", "list", "get"}


def test_the_head_is_googles_but_for_the_address():
    """Every member of Google's is there, and addresses are ours."""
    prose = {"description", "documentationLink", "icons", "ownerDomain", "ownerName", "revision", "title"}
    addresses = {"baseUrl", "mtlsRootUrl", "rootUrl"}
    nested = {"auth", "parameters", "schemas", "resources"}
    same = GOOGLES.keys() - prose - addresses - nested
    assert {name: OURS[name] for name in same} == {name: GOOGLES[name] for name in same}
    assert {OURS[name] for name in addresses} == {f"{ROOT}/"}
    assert OURS["auth"]["oauth2"]["scopes"].keys() == {scope for method in METHODS for scope in method.scopes}
    assert "google.com/" not in json.dumps({name: OURS[name] for name in OURS.keys() - {"auth", "resources"}})


@pytest.mark.parametrize("root", [ROOT, f"{ROOT}/"])
def test_googles_client_builds_itself_from_it(root):
    """It finds our address for calls, media and batches."""
    document = discovery.document(root, 100)
    with build_from_document(document, credentials=Credentials(token="x")) as gmail:
        call = gmail.users().messages().get(userId="me", id="a b", format="raw", fields="id")
        assert call.uri == f"{ROOT}/gmail/v1/users/me/messages/a%20b?format=raw&fields=id&alt=json"
        assert gmail.new_batch_http_request()._batch_uri == f"{ROOT}/batch"
        with pytest.raises(TypeError):
            gmail.users().messages().list(userId="me", format="raw")


def test_uploads_are_limited_as_the_server_limits_them():
    """The size is that of the setting."""
    limited = dict(methods(discovery.document(ROOT, 1234)))[SEND.id]
    assert limited["mediaUpload"]["maxSize"] == "1234"
