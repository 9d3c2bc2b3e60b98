"""Other verbs inside POST (gmail-wire.md 1.4)."""

import asyncio

import pytest

from postroad import refusals
from postroad.web import requests
from postroad.web.method_override import MAX_QUERY, meant, query_of

FORM = "application/x-www-form-urlencoded"


def request(verb="POST", body=b"", **headers):
    events = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return events.pop()

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    length = [(b"content-length", b"%d" % len(body))] if body else []
    scope = {"method": verb, "path": "/x", "raw_path": b"/x", "headers": named + length, "http_version": "1.1"}
    return requests.of(scope, receive)


MEANT = {
    "no header": ("POST", None, "POST"),
    "GET in POST": ("POST", "GET", "GET"),
    "in lower case": ("POST", " get ", "GET"),
    "PUT in POST": ("POST", "PUT", "PUT"),
    "POST in POST": ("POST", "POST", "POST"),
    "an empty one": ("POST", "", "POST"),
    "nothing known": ("POST", "BREW", "BREW"),
    "POST in GET": ("GET", "POST", "GET"),
    "DELETE in PUT": ("PUT", "DELETE", "PUT"),
}


@pytest.mark.parametrize(("verb", "header", "found"), MEANT.values(), ids=MEANT)
def test_post_alone_carries_other_verbs(verb, header, found):
    """X-HTTP-Method-Override counts on POST, and nowhere else."""
    headers = {} if header is None else {"x_http_method_override": header}
    assert meant(request(verb, **headers)) == found


QUERIES = {
    "a form": (b"", b"q=a&x=b", FORM, b"q=a&x=b"),
    "a form after a query": (b"alt=json", b"q=a", FORM, b"alt=json&q=a"),
    "an empty form": (b"alt=json", b"", FORM, b"alt=json"),
    "with a charset": (b"", b"q=a", f"{FORM}; charset=UTF-8", b"q=a"),
    "another body": (b"alt=json", b'{"q": 1}', "application/json", b"alt=json"),
}


@pytest.mark.parametrize(("query", "body", "media_type", "whole"), QUERIES.values(), ids=QUERIES)
def test_a_form_is_the_rest_of_the_query(query, body, media_type, whole):
    """The form of an overridden GET is read as if it stood in the address."""
    assert asyncio.run(query_of(request(body=body, content_type=media_type), query)) == whole


def test_a_form_is_bounded():
    """A form longer than a request's head could be is refused."""
    with pytest.raises(refusals.BodyTooLarge):
        asyncio.run(query_of(request(body=b"a" * (MAX_QUERY + 1), content_type=FORM), b""))
