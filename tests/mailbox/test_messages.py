"""Messages of a mailbox: put, found, listed, read back."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from postroad.database import content as contents
from postroad.database.commit import insert
from postroad.mail.copies import Insertion
from postroad.mailbox import messages
from postroad.mailbox.messages import RECEIVED, SENT, SENT_TO_ONESELF, Stored

ME, OTHER = 1, 2
NOW = 1_700_000_000_000
CONTENT = b"From: me@a.test\r\nTo: you@b.test\r\n\r\nbody\r\n"
FACTS = {
    "size": 0,
    "header_size": 0,
    "longest_line": 0,
    "eight_bit": False,
    "utf8_header": False,
    "message_id": "",
}


@pytest.fixture
def connection(engine):
    """A writer's connection with one content, numbered 1, in a transaction that is undone."""
    with engine.connect() as opened, opened.begin() as transaction:
        insert(opened, contents.rows(1, ME, [CONTENT], FACTS))
        yield opened
        transaction.rollback()


def copy(gmail_id, account_id=ME, **options):
    values = {
        "thread_id": gmail_id,
        "content_id": 1,
        "insertions": (),
        "size": len(CONTENT),
        "internal_date": NOW,
        "labels": SENT,
    }
    return Stored(account_id=account_id, gmail_id=gmail_id, **values | options)


def put(connection, *copies):
    for one in copies:
        insert(connection, messages.rows(one))


def test_a_message_is_found_as_it_was_put(connection):
    """With its insertions, labels, thread and delivery."""
    bcc = Insertion(17, b"Bcc: \xff@b.test\r\n")
    stored = copy(
        9, thread_id=7, insertions=(bcc, Insertion(34, b"X: y\r\n")), queue_id=5, forward_path="you@b.test"
    )
    put(connection, stored)
    assert messages.find(connection, ME, 9) == stored


def test_a_message_is_its_owners_alone(connection):
    """The same number in another account's mailbox is another message, or none."""
    put(connection, copy(9))
    assert messages.find(connection, OTHER, 9) is None
    put(connection, copy(9, OTHER, labels=RECEIVED))
    assert messages.find(connection, ME, 9).labels == SENT
    assert set(messages.find(connection, OTHER, 9).labels) == set(RECEIVED)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, len(CONTENT)), st.binary(max_size=20)), max_size=4))
def test_the_owner_reads_the_content_and_its_insertions(connection, pairs):
    """Any insertions come back at their places, and what lies between is the stored content."""
    pairs.sort(key=lambda pair: pair[0])
    read = messages.octets(connection, copy(9, insertions=tuple(Insertion(*pair) for pair in pairs)))
    assert len(read) == len(CONTENT) + sum(len(octets) for _, octets in pairs)
    shift = 0
    for offset, octets in pairs:
        assert read[offset + shift : offset + shift + len(octets)] == octets
        read = read[: offset + shift] + read[offset + shift + len(octets) :]
    assert read == CONTENT


def test_pages_go_from_the_newest_to_the_oldest(connection):
    """Each page begins before the last one's end; none is left out and none is shown twice."""
    put(connection, *(copy(number) for number in range(1, 8)), copy(99, OTHER))
    seen, before = [], None
    while page := messages.page(connection, ME, before=before, limit=3):
        seen.append([one.gmail_id for one in page])
        before = seen[-1][-1]
    assert seen == [[7, 6, 5], [4, 3, 2], [1]]


def test_a_page_holds_only_what_has_all_labels(connection):
    """One label or several must all be there."""
    put(connection, copy(1), copy(2, labels=RECEIVED), copy(3, labels=SENT_TO_ONESELF))

    def listed(*labels):
        return [one.gmail_id for one in messages.page(connection, ME, before=None, limit=9, labels=labels)]

    assert listed() == [3, 2, 1]
    assert listed("SENT") == [3, 1]
    assert listed("INBOX", "UNREAD") == [3, 2]
    assert listed("INBOX", "SENT") == [3]
    assert listed("STARRED") == []


def test_a_thread_exists_while_a_message_is_in_it(connection):
    """In this mailbox, not in another."""
    put(connection, copy(9, thread_id=7))
    assert messages.thread_exists(connection, ME, 7)
    assert not messages.thread_exists(connection, ME, 9)
    assert not messages.thread_exists(connection, OTHER, 7)


def test_a_delivery_is_known_by_entry_and_recipient(connection):
    """Both must be the same, and the mailbox; the table itself refuses a second copy."""
    put(connection, copy(9, queue_id=5, forward_path="me@a.test"))
    assert messages.delivered(connection, ME, 5, "me@a.test")
    assert not messages.delivered(connection, ME, 6, "me@a.test")
    assert not messages.delivered(connection, ME, 5, "me+tag@a.test")
    assert not messages.delivered(connection, OTHER, 5, "me@a.test")
    with pytest.raises(IntegrityError):
        put(connection, copy(10, queue_id=5, forward_path="me@a.test"))


def test_copies_that_were_not_delivered_never_clash(connection):
    """The author's own copies have no delivery, and there may be many."""
    put(connection, copy(1), copy(2))
    assert len(messages.page(connection, ME, before=None, limit=9)) == 2
