"""Google's client for Node, unmodified: what it sends, and what it makes of the answers."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.conftest import missing_judge, program
from tests.running import running
from tests.smtp_sink import running_sink

HERE = Path(__file__).parent.parent / "node"
MESSAGE = "To: bob@example.org\r\nSubject: Grüße\r\n\r\n.\r\nHello from Node.\r\n".encode()


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the client said of each of its requests, and the contents that arrived at the sink."""
    node = program("node")
    if not (HERE / "node_modules").is_dir():
        missing_judge("@googleapis/gmail", "run `npm ci` in tests/node")
    with (
        running_sink() as sink,
        running(tmp_path_factory.mktemp("node"), "--relay", f"smtp://127.0.0.1:{sink.port}") as server,
    ):
        command = [node, HERE / "send.mjs", server.url, server.token()]
        run = subprocess.run(command, input=MESSAGE, check=True, capture_output=True, timeout=60)
        answers = json.loads(run.stdout)
        accepted = [one for one in answers.values() if one.get("status") == 200]
        yield answers, [one.content for one in sink.wait_for(len(accepted))]


@pytest.mark.parametrize("way", ["json", "media", "multipart"])
def test_nodes_client_sends(told, way):
    """JSON, a stream as media, and a stream with metadata are each answered with id, threadId and labelIds."""
    answer = told[0][way]
    assert answer["status"] == 200, answer
    assert answer["data"].keys() == {"id", "threadId", "labelIds"}
    assert answer["data"]["labelIds"] == ["SENT"]


def test_the_thread_travels_beside_the_media(told):
    """The metadata of a multipart upload puts the message into the thread of the first one."""
    answers, _ = told
    assert answers["json"]["data"]["id"] == answers["json"]["data"]["threadId"]
    assert answers["multipart"]["data"]["threadId"] == answers["json"]["data"]["threadId"]
    assert answers["multipart"]["data"]["id"] != answers["json"]["data"]["id"]


def test_what_node_streamed_arrives_octet_by_octet(told):
    """Each content at the sink ends with the submitted octets."""
    _, contents = told
    assert [content.endswith(MESSAGE) for content in contents] == [True, True, True]


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("refused", "Recipient address required"),
        ("other media", "Media type 'text/plain' is not supported. Valid media types: [message/rfc822]"),
    ],
)
def test_nodes_client_understands_a_refusal(told, way, message):
    """Its error has our code and our text."""
    answer = told[0][way]
    assert (int(answer["code"]), answer["message"]) == (400, message)
