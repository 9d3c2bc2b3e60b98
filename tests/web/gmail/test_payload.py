"""The payload of a Message, to the member."""

import pytest

from postroad.mail.mime import tree
from postroad.web.gmail import payload

PLAIN = tree(b"To: a@b.example\r\nSubject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\r\nHi\xff\r\n")
MIXED = tree(
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n1\r\n--b\r\n"
    b'Content-Type: a/b; name="f.b"\r\nContent-Transfer-Encoding: base64\r\n\r\nAP8=\r\n--b--\r\n'
)


def test_a_plain_message_is_one_part():
    """Its data is padded base64url, its size that of the decoded octets, its filename always there."""
    assert payload.full(PLAIN, str) == {
        "partId": "",
        "mimeType": "text/plain",
        "filename": "",
        "headers": [{"name": "To", "value": "a@b.example"}, {"name": "Subject", "value": "Grüße"}],
        "body": {"size": 5, "data": "SGn_DQo="},
    }


def test_a_container_has_parts_and_no_data():
    """Its body has the size 0; the parts are numbered, and what they hold is decoded."""
    shown = payload.full(MIXED, "token of {}".format)
    assert (shown["mimeType"], shown["body"]) == ("multipart/mixed", {"size": 0})
    assert [(one["partId"], one["filename"], one["body"]) for one in shown["parts"]] == [
        ("0", "", {"size": 1, "data": "MQ=="}),
        ("1", "f.b", {"attachmentId": "token of 1", "size": 2}),
    ]


def test_metadata_is_the_header_fields_asked_for():
    """All of them, or those named in any case of letters; none is an absent list."""
    everything = payload.full(PLAIN, str)["headers"]
    assert payload.metadata(PLAIN, ()) == {"mimeType": "text/plain", "headers": everything}
    assert payload.metadata(PLAIN, ("subject", "X-None")) == {"mimeType": "text/plain", "headers": everything[1:]}
    assert payload.metadata(PLAIN, ("Message-ID",)) == {"mimeType": "text/plain"}


FILES = {
    "a file of text": (b'text/plain; name="a.txt"', b"x", True),
    "an image without a name": (b"image/png", b"x", True),
    "a message": (b"message/rfc822", b"x", True),
    "an empty file": (b'a/b; name="a"', b"", False),
    "text": (b"text/html", b"x", False),
}


@pytest.mark.parametrize(("media_type", "body", "fetched"), FILES.values(), ids=FILES)
def test_files_are_fetched_by_themselves(media_type, body, fetched):
    """What has a name, or is no text, has an attachmentId in the place of its octets."""
    shown = payload.full(tree(b"Content-Type: " + media_type + b"\r\n\r\n" + body), str)["body"]
    assert ("attachmentId" in shown, "data" in shown) == (fetched, bool(body) and not fetched)
    assert shown["size"] == len(body)
