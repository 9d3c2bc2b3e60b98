"""A running server counts what it does, and forgets in the background what is over its time."""

import time
from contextlib import closing

from sqlalchemy import update

from postroad.database import content as contents
from postroad.database.engine import Database
from postroad.database.rows import insert
from postroad.database.schema import recipient
from postroad.mail.envelope import Envelope
from postroad.queue import store
from postroad.retention import DAY
from tests import content_kit
from tests.running import running

OLD = int(time.time() * 1000) - 40 * DAY
FACTS = content_kit.FACTS._replace(size=17, header_size=15, longest_line=998, message_id="<m@a.test>")


def test_what_a_server_did_is_in_its_metrics(tmp_path):
    """One message accepted and delivered here, one request refused; over real HTTP, from this machine."""
    with running(tmp_path) as server:
        token = server.token()
        assert server.send(b"To: bob@example.org\n\nHello.\n", token).code == 200
        assert server.send(b"Subject: to nobody\n\nHello.\n", token).code == 400
        server.drained()
        text = server.request("GET", "/metrics").body.decode()
    for line in (
        "postroad_accepted_messages_total 1.0",
        "postroad_accepted_recipients_total 1.0",
        'postroad_refused_requests_total{answer="RecipientMissing"} 1.0',
        'postroad_tried_recipients_total{outcome="relayed"} 1.0',
        "postroad_attempt_seconds_count 1.0",
        'postroad_queue_recipients{state="due"} 0.0',
        "postroad_storage_trusted 1.0",
    ):
        assert line in text.splitlines()


def test_metrics_ask_for_the_token_that_is_set(tmp_path):
    """With `metrics_token` even this machine must show it."""
    with running(tmp_path, "--metrics-token", "secret") as server:
        assert server.request("GET", "/metrics").code == 401
        assert server.request("GET", "/metrics", headers={"Authorization": "Bearer secret"}).code == 200


def test_a_server_forgets_by_itself(tmp_path):
    """An entry settled 40 days ago goes soon after the start; `keep_settled_days` of 0 keeps it."""
    number = OLD << 20
    with closing(Database(tmp_path, floor=0)) as database:
        database.submit(
            lambda connection: insert(connection, contents.rows(number, 1, [b"x" * 17], FACTS))
        ).result()
        rows = store.put(number, 1, number, [Envelope(None, ("b@b.test",))], lambda _: "local", OLD)
        settle = update(recipient).values(state="relayed", settled_at=OLD)
        database.submit(lambda connection: connection.execute(settle) and None, rows).result()
    with running(tmp_path, "--keep-settled-days", "0") as server:
        assert len(server.queue()) == 1
    with running(tmp_path) as server:
        deadline = time.monotonic() + 30
        while server.queue() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.queue() == []
