"""Messages of a mailbox: put, found, listed, read back."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from postroad.database import content as contents
from postroad.database.rows import insert
from postroad.mail.copies import Insertion
from postroad.mail.threads import Ancestry
from postroad.mailbox import messages
from postroad.mailbox.messages import RECEIVED, SENT, SENT_TO_ONESELF, Stored, Totals
from tests.content_kit import FACTS

ME, OTHER = 1, 2
NOW = 1_700_000_000_000
CONTENT = b"From: me@a.test\r\nTo: you@b.test\r\n\r\nbody\r\n"
LONG = b"X: " + b"a" * 300_000 + b"\r\n\r\n" + b"body" * 100_000


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


def letter(connection, content_id, message_id, subject="Hi", account_id=ME, **options):
    """A message with a content of its own; its thread is named after it unless told otherwise."""
    section = f"Received: by mx\r\nSubject: {subject}\r\nMessage-ID: {message_id}\r\n".encode()
    facts = FACTS._replace(header_size=len(section), message_id=message_id)
    insert(connection, contents.rows(content_id, account_id, [section, b"\r\nbody"], facts))
    put(connection, copy(content_id, account_id, content_id=content_id, **options))


ANSWERED = {
    "the message it names": (("<a@x>",), "hi", 10),
    "by a Subject answered before": (("<b@x>",), "hi", 11),
    "the nearest that is here": (("<none@x>", "<b@x>", "<a@x>"), "hi", 11),
    "not by another Subject": (("<c@x>",), "hi", None),
    "the next, where the nearest has another Subject": (("<c@x>", "<a@x>"), "hi", 10),
    "the thread it is in, not its number": (("<d@x>",), "hi", 77),
    "not one of another mailbox": (("<other@x>",), "hi", None),
    "not one unknown": (("<none@x>",), "hi", None),
    "of two of one name the newest": (("<twice@x>",), "hi", 16),
}


def test_an_answer_joins_the_thread_of_what_it_answers(connection):
    """The nearest message of this mailbox that is named and has the same Subject has the thread."""
    letter(connection, 10, "<a@x>")
    letter(connection, 11, "<b@x>", "Re: Hi")
    letter(connection, 12, "<c@x>", "Something else")
    letter(connection, 13, "<d@x>", thread_id=77)
    letter(connection, 14, "<other@x>", account_id=OTHER)
    letter(connection, 15, "<twice@x>")
    letter(connection, 16, "<twice@x>")
    joined = {
        case: messages.thread_answered(connection, ME, Ancestry(message_ids, subject))
        for case, (message_ids, subject, _) in ANSWERED.items()
    }
    assert joined == {case: thread_id for case, (_, _, thread_id) in ANSWERED.items()}


def test_a_report_joins_whatever_its_subject(connection):
    """Where the Subject does not matter, the name of what is answered suffices."""
    letter(connection, 10, "<a@x>")
    assert messages.thread_answered(connection, ME, Ancestry(("<a@x>",), "Failure"), any_subject=True) == 10


def test_a_message_id_in_mass_is_looked_at_in_part(connection):
    """However many contents have one Message-ID, the newest few are looked at."""
    for number in range(10, 10 + messages.NAMESAKES + 1):
        letter(connection, number, "<a@x>", account_id=OTHER if number > 10 else ME)
    assert messages.thread_answered(connection, ME, Ancestry(("<a@x>",), "hi")) is None
    assert messages.thread_answered(connection, OTHER, Ancestry(("<a@x>",), "hi")) == 10 + messages.NAMESAKES


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


def test_totals_are_of_one_mailbox(connection):
    """Messages and threads are counted, the newest is told; of an empty mailbox there is none."""
    assert messages.totals(connection, ME) == Totals(0, 0, None)
    for one in (copy(1), copy(2, thread_id=1), copy(5), copy(9, OTHER)):
        insert(connection, messages.rows(one))
    assert messages.totals(connection, ME) == Totals(3, 2, 5)


@pytest.mark.parametrize("octets", [0, 2, 1000])
def test_a_content_begins_with_its_header_section(connection, octets):
    """So much of the body follows it as was asked for, and is there."""
    header, _, body = LONG.partition(b"\r\n\r\n")
    insert(connection, contents.rows(2, ME, [LONG], FACTS._replace(header_size=len(header) + 2)))
    begun = messages.beginning(connection, copy(7, content_id=2), octets)
    assert begun == header + b"\r\n\r\n" + body[:octets]
