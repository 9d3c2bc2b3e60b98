"""No blind recipient is seen by anybody but the author, anywhere in a running server."""

import re
import sqlite3
from contextlib import closing

from tests.running import running
from tests.smtp_sink import assert_wire_invariants, running_sink
from tests.test_submission import BCC

REFUSED = 7  # every so many spellings the server refuses the blind recipient, so that a report is made


def letters() -> list[tuple[bytes, list[str]]]:
    """A message for each spelling, and the canaries it is blind-copied to; the third word is mailed to nobody."""
    found = []
    for number, (_, text, _) in enumerate(BCC):
        words = [f"canary-{number}-a-x", f"canary-{number}-b-x", f"canary-{number}-c-x"]
        header = f"To: bob-{number}@visible.example\nCc: carol@example.test\nSubject: x\n{text.format(*words)}\n"
        found.append((f"{header}\nHi.\n".encode(), [word for word in words[:2] if word in header]))
    return found


def canaries_in(octets: bytes) -> set[str]:
    return {match.decode() for match in re.findall(rb"canary-\d+-[abc]-x", octets)}


def rows(database, query: str) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def test_a_blind_recipient_is_seen_in_its_own_transaction_and_by_its_author_alone(tmp_path):
    """For every spelling of Bcc: one RCPT of its own, the author's copy and reports; no other octet tells."""
    sent = letters()
    refusals = {
        ("RCPT", f"{word}@s.example"): "550 5.1.1 nobody here"
        for number, (_, words) in enumerate(sent)
        for word in words
        if number % REFUSED == 0
    }
    with running_sink(refusals) as sink, running(tmp_path, "--relay", f"smtp://127.0.0.1:{sink.port}") as server:
        token = server.token()
        for content, _ in sent:
            answer = server.send(content, token)
            assert answer.code == 200, answer.message
            assert canaries_in(answer.body) == set()
        server.drained(60)
        seen_by_carol = server.inbox("carol@example.test")
        reports = server.inbox("alice@example.test")
        log = server.log
    expected = {word for _, words in sent for word in words}
    assert_one_transaction_each(sink, expected)
    assert len(seen_by_carol) == len(sent)
    assert canaries_in(b"".join(seen_by_carol)) == set()
    assert all(len(canaries_in(report)) == 1 for report in reports)
    assert len(reports) >= len(sent) // REFUSED
    assert canaries_in(log.encode()) == set()
    assert_stored_for_the_author_alone(tmp_path / "postroad.sqlite3")


def assert_one_transaction_each(sink, expected: set[str]) -> None:
    """Each canary stands in one RCPT, alone in its mail transaction, and in no content."""
    paths = []
    for session in sink.sessions:
        assert_wire_invariants(session)
        transactions = b"".join(session.commands).split(b"MAIL FROM")[1:]
        for commands in transactions:
            found = canaries_in(commands)
            assert not found or commands.count(b"RCPT TO") == 1
            paths += found
        assert canaries_in(b"".join(session.contents)) == set()
    assert sorted(paths) == sorted(expected)


DELIVERED = "SELECT octets FROM content_chunk JOIN queue_entry USING (content_id) WHERE reverse_path IS NOT NULL"
OTHERS = "SELECT insertions FROM message JOIN account USING (account_id) WHERE address <> 'alice@example.test'"
ATTEMPTS = """
    SELECT group_concat(forward_path), conversation
    FROM attempt JOIN recipient USING (queue_id) GROUP BY attempt_id
"""


def assert_stored_for_the_author_alone(database) -> None:
    """In the database, a canary is in the author's copy and reports, and in its own queue rows."""
    for (octets,) in rows(database, DELIVERED) + rows(database, OTHERS):
        assert canaries_in(octets) == set()
    for paths, conversation in rows(database, ATTEMPTS):
        found = canaries_in(conversation.encode())
        assert found <= canaries_in(paths.encode())
        assert len(found) <= 1
