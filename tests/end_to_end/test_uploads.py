"""Uploads to a running server: Google's client, crashes between chunks, and what eight large ones cost."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from urllib.parse import urlsplit

import pytest
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build_from_document
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.http import MediaIoBaseUpload

from tests.end_to_end.test_memory import LARGEST, MEBIBYTE, largest
from tests.running import running

UPLOAD = "/upload/gmail/v1/users/me/messages/send"
CHUNK = 262_144
ALLOWED = 64 * MEBIBYTE
AT_ONCE = 8
LETTER = b"To: bob@example.org\nSubject: pieces\n\n" + b"A line of the body, neither long nor short.\n" * 30_000


def crlf(octets):
    return octets.replace(b"\n", b"\r\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One sandbox for all that only sends."""
    with running(tmp_path_factory.mktemp("uploads")) as found:
        yield found


@pytest.fixture(scope="module")
def token(server):
    """One that may send and read."""
    return server.token("alice@example.test", "gmail.send", "gmail.readonly")


def gmail(url, token):
    """Google's own client, unmodified; the root address also moves uploads."""
    document = json.loads(get_static_doc("gmail", "v1")) | {"rootUrl": f"{url}/"}
    return build_from_document(document, credentials=Credentials(token=token))


def begun(server, token, total=None):
    """A resumable upload; the path of its address."""
    headers = {"Authorization": f"Bearer {token}", "X-Upload-Content-Type": "message/rfc822"}
    headers |= {"X-Upload-Content-Length": str(total)} if total else {}
    answer = server.request("POST", f"{UPLOAD}?uploadType=resumable", b"{}", headers)
    assert answer.code == 200
    parts = urlsplit(answer.headers["Location"])
    return f"{parts.path}?{parts.query}"


def put(server, address, start, end, content=LETTER, verb="PUT", **headers):
    named = {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}"} | headers
    return server.request(verb, address, content[start:end], named)


@pytest.mark.parametrize(
    "media",
    [{"resumable": True, "chunksize": CHUNK}, {"resumable": True}, {"resumable": False}],
    ids=["resumable in chunks", "resumable at once", "in one request"],
)
@pytest.mark.parametrize("body", [None, {}], ids=["media", "metadata"])
def test_googles_client(server, token, media, body):
    """However it uploads, the message is the one that was sent, and the client has its id."""
    octets = MediaIoBaseUpload(BytesIO(LETTER), "message/rfc822", **media)
    with gmail(server.url, token) as service:
        answer = service.users().messages().send(userId="me", body=body, media_body=octets).execute()
        kept = service.users().messages().get(userId="me", id=answer["id"], format="raw").execute()
    assert set(answer) == {"id", "threadId", "labelIds"}
    assert base64.urlsafe_b64decode(kept["raw"]).endswith(crlf(LETTER))


def test_as_go_uploads(server, token):
    """POST in the place of PUT, no 308, an unknown total, and an end without octets."""
    address = begun(server, token)
    content = LETTER[: 2 * CHUNK]
    for start in (0, CHUNK):
        headers = {"Content-Range": f"bytes {start}-{start + CHUNK - 1}/*", "X-GUploader-No-308": "yes"}
        answer = server.request("POST", address, content[start : start + CHUNK], headers)
        assert (answer.code, answer.headers["X-Http-Status-Code-Override"]) == (200, "308")
        assert answer.headers["Range"] == f"bytes=0-{start + CHUNK - 1}"
    last = {"Content-Range": f"bytes */{len(content)}", "X-GUploader-No-308": "yes"}
    answer = server.request("POST", address, b"", last)
    assert (answer.code, answer.headers["X-Goog-Upload-Status"]) == (200, "final")
    assert answer.json["labelIds"] == ["SENT"]


def stored(server, address):
    """The octets that a status query says are there."""
    answer = server.request("PUT", address, b"", {"Content-Range": f"bytes */{len(LETTER)}"})
    assert answer.code == 308
    return int(answer.headers.get("Range", "bytes=0--1").rpartition("-")[2]) + 1


def test_an_upload_outlives_a_crash(tmp_path):
    """Killed between chunks, and in one, the server goes on from where it says; the last chunk sends once."""
    with running(tmp_path) as server:
        address = begun(server, server.token(), len(LETTER))
        assert put(server, address, 0, CHUNK).headers["Range"] == f"bytes=0-{CHUNK - 1}"
        server.kill()
    with running(tmp_path) as server:
        assert stored(server, address) == CHUNK
        connection = server.connect()
        connection.putrequest("PUT", address)
        connection.putheader("Content-Length", str(len(LETTER) - CHUNK))
        connection.putheader("Content-Range", f"bytes {CHUNK}-{len(LETTER) - 1}/{len(LETTER)}")
        connection.endheaders(LETTER[CHUNK : 4 * CHUNK])
        while stored(server, address) < 2 * CHUNK:
            pass
        server.kill()
        connection.close()
    with running(tmp_path) as server:
        start = stored(server, address)
        assert 2 * CHUNK <= start <= 4 * CHUNK
        ids = {put(server, address, start, len(LETTER)).json["id"] for _ in range(2)}
        server.kill()
    with running(tmp_path) as server:
        ids.add(put(server, address, start, len(LETTER)).json["id"])
        assert len(ids) == 1
        server.drained()
        assert [one.endswith(crlf(LETTER)) for one in server.inbox("bob@example.org")] == [True]


def test_eight_of_the_largest_at_once(tmp_path):
    """Eight uploads of 36 700 160 octets at once are accepted, and cost at most 64 MiB over idle."""
    content = largest(b"\n")
    assert len(content) == LARGEST
    with running(tmp_path) as server:
        token = server.token()
        assert server.upload(b"To: bob@example.org\n\nwarm up\n", token).code == 200
        server.drained()
        idle = server.forget_peak_memory()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            codes = list(threads.map(lambda _: server.upload(content, token).code, range(AT_ONCE)))
        cost = server.peak_memory() - idle
    assert codes == [200] * AT_ONCE
    assert cost <= ALLOWED
