"""The payload of a Message, to the member."""

from postroad.mail.mime import tree
from postroad.web.gmail import payload

PLAIN = tree(b"To: a@b.example\r\nSubject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\r\nHi\xff\r\n")
MIXED = tree(
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n1\r\n--b\r\n"
    b'Content-Type: a/b; name="f.b"\r\nContent-Transfer-Encoding: base64\r\n\r\nAP8=\r\n--b--\r\n'
)


def test_a_plain_message_is_one_part():
    """Its data is padded base64url, its size that of the decoded octets, its filename always there."""
    assert payload.full(PLAIN) == {
        "partId": "",
        "mimeType": "text/plain",
        "filename": "",
        "headers": [{"name": "To", "value": "a@b.example"}, {"name": "Subject", "value": "Grüße"}],
        "body": {"size": 5, "data": "SGn_DQo="},
    }


def test_a_container_has_parts_and_no_data():
    """Its body has the size 0; the parts are numbered, and what they hold is decoded."""
    shown = payload.full(MIXED)
    assert (shown["mimeType"], shown["body"]) == ("multipart/mixed", {"size": 0})
    assert [(one["partId"], one["filename"], one["body"]) for one in shown["parts"]] == [
        ("0", "", {"size": 1, "data": "MQ=="}),
        ("1", "f.b", {"size": 2, "data": "AP8="}),
    ]


def test_metadata_is_the_header_fields_asked_for():
    """All of them, or those named in any case of letters; none is an absent list."""
    everything = payload.full(PLAIN)["headers"]
    assert payload.metadata(PLAIN, ()) == {"mimeType": "text/plain", "headers": everything}
    assert payload.metadata(PLAIN, ("subject", "X-None")) == {"mimeType": "text/plain", "headers": everything[1:]}
    assert payload.metadata(PLAIN, ("Message-ID",)) == {"mimeType": "text/plain"}
