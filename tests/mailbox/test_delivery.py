"""Local delivery: one copy each, however often it is tried."""

import asyncio
from contextlib import closing
from itertools import groupby

import pytest

from postroad.database import content as contents
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.mail.envelope import Envelope
from postroad.mail.outcome import Content, Errand, Failed, Relayed
from postroad.mailbox import messages
from postroad.mailbox.delivery import DELIVERED, DISABLED, NO_MAILBOX, LocalDelivery
from postroad.oauth import accounts
from tests import content_kit

NOW = 1_700_000_000_000
CONTENT = b"From: me@a.test\r\nTo: you@b.test\r\n\r\nbody\r\n"
FACTS = content_kit.FACTS._replace(size=len(CONTENT), header_size=34, longest_line=16)
IDENTIFIERS = Identifiers()
MAILBOXES = {"bob@here.test": 1, "carol@here.test": 2, "off@here.test": DISABLED}


@pytest.fixture
def database(tmp_path, database_url):
    """A database with one content, numbered 7."""
    with closing(Database(tmp_path, floor=0, url=database_url)) as opened:
        asyncio.run(opened.insert(contents.rows(7, 9, [CONTENT], FACTS)))
        yield opened


def known(_connection, address, _now):
    """Two mailboxes, one that is disabled, and no others."""
    return MAILBOXES.get(address, NO_MAILBOX)


def captured(connection, address, now):
    """Every address has a mailbox."""
    return accounts.capture(connection, address, now).account_id


async def unwanted(_host):
    """A mark that nobody should make."""
    raise AssertionError("nothing is ever in doubt here")


def deliver(database, *paths, mailboxes=known, queue_id=5, reverse_path="me@a.test", content_id=7):
    """The outcomes of one attempt."""
    facts = FACTS._asdict()
    del facts["header_size"], facts["message_id"]
    content = Content(content_id=content_id, chunks=lambda: None, **facts)
    errand = Errand(queue_id, Envelope(reverse_path, paths), content, None, NOW)
    delivery = LocalDelivery(database, IDENTIFIERS, mailboxes, lambda: NOW + 1)
    attempted = asyncio.run(delivery.attempt(errand, unwanted))
    assert attempted.host == ""
    return attempted.outcomes


def inbox(database, account_id):
    """What a mailbox holds, newest first."""
    return database.look(lambda connection: messages.page(connection, account_id, before=None, limit=99))


def octets(database, stored):
    return database.look(lambda connection: messages.octets(connection, stored))


def test_a_recipient_gets_a_copy(database):
    """Unread in the inbox, in a thread of its own, dated by its delivery, with a Return-Path on top."""
    assert deliver(database, "bob@here.test") == {"bob@here.test": Relayed(DELIVERED)}
    [stored] = inbox(database, 1)
    assert set(stored.labels) == {"INBOX", "UNREAD"}
    assert (stored.thread_id, stored.internal_date) == (stored.gmail_id, NOW + 1)
    assert octets(database, stored) == b"Return-Path: <me@a.test>\r\n" + CONTENT
    assert stored.size == len(octets(database, stored))


@pytest.mark.parametrize(
    ("reverse_path", "line"),
    [(None, "Return-Path: <>"), ("grün@a.test", "Return-Path: <grün@a.test>")],
    ids=["null", "international"],
)
def test_the_return_path_is_the_reverse_path(database, reverse_path, line):
    """The null one is written as such, an international one in UTF-8."""
    deliver(database, "bob@here.test", reverse_path=reverse_path)
    [stored] = inbox(database, 1)
    assert octets(database, stored).split(b"\r\n")[0] == line.encode()
    assert stored.size == len(octets(database, stored))


def content(database, content_id, *lines):
    """Another content, with these header lines."""
    section = "".join(f"{line}\r\n" for line in ("Received: x", *lines)).encode()
    facts = FACTS._replace(header_size=len(section), message_id=f"<{content_id}@a.test>")
    asyncio.run(database.insert(contents.rows(content_id, 9, [section, b"\r\nbody"], facts)))


def threads(database, account_id):
    """How many messages each thread of a mailbox holds, the newest first."""
    return [len(list(group)) for _, group in groupby(one.thread_id for one in inbox(database, account_id))]


@pytest.mark.parametrize(
    ("subject", "reverse_path", "expected"),
    [
        ("Re: Hello", "me@a.test", [2]),
        ("Something else", "me@a.test", [1, 1]),
        ("Delivery Status Notification (Failure)", None, [2]),
    ],
)
def test_an_answer_stands_with_what_it_answers(database, subject, reverse_path, expected):
    """By its References and its Subject; a report, which has a Subject of its own, by its References."""
    content(database, 20, "Subject: Hello")
    content(database, 21, f"Subject: {subject}", "References: <1@far.test>", " <20@a.test>")
    deliver(database, "bob@here.test", content_id=20)
    deliver(database, "bob@here.test", "carol@here.test", content_id=21, queue_id=6, reverse_path=reverse_path)
    assert threads(database, 1) == expected
    assert threads(database, 2) == [1]


def test_each_recipient_has_an_outcome_of_its_own(database):
    """A mailbox that is not there or disabled fails for good and takes nobody along."""
    assert deliver(database, "bob@here.test", "nobody@here.test", "off@here.test", "carol@here.test") == {
        "bob@here.test": Relayed(DELIVERED),
        "nobody@here.test": Failed(NO_MAILBOX),
        "off@here.test": Failed(DISABLED),
        "carol@here.test": Relayed(DELIVERED),
    }
    assert [len(inbox(database, number)) for number in (1, 2)] == [1, 1]


def test_a_delivery_repeated_after_a_crash_makes_no_second_copy(database):
    """The same entry and recipient have one copy, and are told that it was delivered."""
    for _ in range(3):
        assert deliver(database, "bob@here.test") == {"bob@here.test": Relayed(DELIVERED)}
    assert len(inbox(database, 1)) == 1


def test_another_entry_or_another_recipient_is_another_copy(database):
    """The same message sent twice arrives twice; two addresses of one mailbox get a copy each."""
    deliver(database, "bob@here.test")
    deliver(database, "bob@here.test", queue_id=6)
    deliver(database, "robert@here.test", mailboxes=lambda *_: 1)
    assert len(inbox(database, 1)) == 3


def test_a_delivery_after_some_makes_up_the_rest(database):
    """Where a part was delivered before, the others get theirs."""
    deliver(database, "bob@here.test")
    deliver(database, "bob@here.test", "carol@here.test")
    assert [len(inbox(database, number)) for number in (1, 2)] == [1, 1]


def test_all_recipients_are_one_transaction(database):
    """An attempt that breaks down in the middle delivers to nobody, and can be repeated."""

    def broken(connection, address, now):
        if address == "carol@here.test":
            raise RuntimeError("mine")
        return known(connection, address, now)

    with pytest.raises(RuntimeError, match="mine"):
        deliver(database, "bob@here.test", "carol@here.test", mailboxes=broken)
    assert inbox(database, 1) == []


def test_captured_mail_makes_its_mailbox(database):
    """Where mail is captured every address has a mailbox from its first message on, and only one."""
    for queue_id in (5, 6):
        deliver(database, "Anyone@Far.test", mailboxes=captured, queue_id=queue_id)
    found = database.look(lambda connection: accounts.find(connection, "anyone@far.test"))
    assert found.captured
    assert len(inbox(database, found.account_id)) == 2
