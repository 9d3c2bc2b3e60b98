"""Who is told what: DSNs and delay notices."""

import email
import email.policy

import pytest
from sqlalchemy import select

from postroad.database import content as contents
from postroad.database.schema import recipient
from postroad.mail.envelope import LOCAL, Envelope
from postroad.mail.outcome import Delayed, Failed, Relayed
from postroad.mail.reply import ours
from postroad.queue.schedule import DAY, HOUR, MINUTE
from postroad.queue.settlement import settle
from tests.queue_kit import IDENTIFIERS, LATER, NEVER, NOW, OK, accept, all_alike, claim, judged

# As `submission` stores it: what is delivered holds no Bcc.
ORIGINAL = b"".join(
    [
        b"Received: by here.test\r\nFrom: me@a.test\r\nTo: to@b.test\r\n",
        b"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <m@a.test>\r\n\r\nthe body\r\n",
    ]
)


@pytest.fixture
def connection(engine):
    """A writer's connection, in a transaction that is undone."""
    with engine.connect() as opened, opened.begin() as transaction:
        yield opened
        transaction.rollback()


def reports(connection, now):
    """The reports that wait in the queue, taken out of it: envelope, destination, parsed content."""
    found = [one for one in claim(connection, now=now) if one.reverse_path is None]
    return [
        (
            one.envelope,
            one.destination,
            email.message_from_bytes(contents.whole(connection, one.content_id), policy=email.policy.default),
        )
        for one in found
    ]


def settled(connection, claimed, outcome, now, host="mx.test"):
    outcomes = outcome if isinstance(outcome, dict) else all_alike(claimed, outcome)
    assert settle(connection, [judged(claimed, outcomes, now, host)], IDENTIFIERS, "here.test") == [True]


def groups(report):
    """The recipients' groups of fields in a report's second part."""
    return report.get_payload(1).get_payload()[1:]


def test_a_failure_is_reported_to_the_author(connection):
    """To the reverse-path, here, from the null reverse-path, with the server's words and the original's header."""
    accept(connection, ("to@b.test",), octets=ORIGINAL)
    [mine] = claim(connection)
    settled(connection, mine, Failed(NEVER), NOW)
    [(envelope, destination, report)] = reports(connection, NOW)
    assert (envelope, destination) == (Envelope(None, ("me@a.test",)), LOCAL)
    assert report["From"].addresses[0].addr_spec == "mailer-daemon@here.test"
    assert (report["To"], report["Auto-Submitted"]) == ("me@a.test", "auto-replied")
    assert report["In-Reply-To"] == "<m@a.test>"
    assert report.get_content_type() == "multipart/report"
    [group] = groups(report)
    assert (group["Final-Recipient"], group["Action"], group["Status"]) == ("rfc822; to@b.test", "failed", "5.1.1")
    assert (group["Remote-MTA"], group["Diagnostic-Code"]) == ("dns; mx.test", "smtp; 550 5.1.1 no such user")
    returned = report.get_payload(2).get_content()
    assert returned.encode() == ORIGINAL.split(b"\r\n\r\n")[0] + b"\r\n"


def test_only_the_failed_are_named(connection):
    """One report for one attempt, about those that failed in it; the others are not mentioned."""
    accept(connection, ("a@b.test", "b@b.test", "c@b.test", "d@b.test"))
    [mine] = claim(connection)
    outcomes = {
        "a@b.test": Failed(NEVER),
        "b@b.test": Relayed(OK),
        "c@b.test": Delayed(LATER),
        "d@b.test": Failed(NEVER),
    }
    settled(connection, mine, outcomes, NOW)
    [(_, _, report)] = reports(connection, NOW)
    assert [group["Final-Recipient"] for group in groups(report)] == ["rfc822; a@b.test", "rfc822; d@b.test"]
    assert b"b@b.test" not in bytes(report)
    assert b"c@b.test" not in bytes(report)


def test_a_blind_recipients_report_names_only_that_one(connection):
    """Nor does anybody else's report name a blind one, and none holds a Bcc field."""
    accept(connection, ("to@b.test",), ("blind@b.test",), ("blind2@b.test",), octets=ORIGINAL)
    for mine in claim(connection):
        settled(connection, mine, Failed(NEVER), NOW)
    found = {groups(report)[0]["Final-Recipient"]: bytes(report) for _, _, report in reports(connection, NOW)}
    assert set(found) == {"rfc822; to@b.test", "rfc822; blind@b.test", "rfc822; blind2@b.test"}
    assert b"blind" not in found["rfc822; to@b.test"]
    assert b"blind2@" not in found["rfc822; blind@b.test"]
    assert b"blind@" not in found["rfc822; blind2@b.test"]
    assert not any(b"\nbcc:" in octets.lower() for octets in found.values())


@pytest.mark.parametrize("outcome", [Failed(NEVER), Delayed(LATER)], ids=["failed", "expired"])
def test_a_report_is_never_answered_by_another(connection, outcome):
    """Mail with the null reverse-path fails in silence (RFC 5321 section 4.5.5)."""
    accept(connection, ("gone@b.test",), reverse_path=None)
    [mine] = claim(connection, now=NOW + 5 * DAY)
    settled(connection, mine, outcome, NOW + 5 * DAY)
    assert reports(connection, NOW + 9 * DAY) == []


def test_late_mail_is_reported_after_4_and_24_hours(connection):
    """Five days of greylisting: two notices that say until when, then the failure."""
    accept(connection, ("late@b.test",))
    now, told = NOW, []
    while True:
        found = [one for one in claim(connection, now=now) if one.reverse_path is not None]
        if not found:
            break
        settled(connection, found[0], Delayed(LATER), now)
        told += [(now - NOW, report) for _, _, report in reports(connection, now)]
        now = max(now + MINUTE, min((row.due_at for row in _waiting(connection)), default=now))
    (first, notice), (second, again), (last, failure) = told
    assert 4 * HOUR <= first < 9 * HOUR
    assert DAY <= second < DAY + 5 * HOUR
    assert last == 5 * DAY
    for late in (notice, again):
        [group] = groups(late)
        assert (group["Action"], group["Status"]) == ("delayed", "4.2.0")
        assert email.utils.parsedate_to_datetime(group["Will-Retry-Until"]).timestamp() * 1000 == NOW + 5 * DAY
    [group] = groups(failure)
    assert (group["Action"], group["Status"], group["Will-Retry-Until"]) == ("failed", "4.4.7", None)
    assert "greylisted" in str(group["Diagnostic-Code"])


def _waiting(connection):
    question = select(recipient.c.due_at).where(recipient.c.state == "queued", recipient.c.destination != LOCAL)
    return connection.execute(question).all()


def test_failure_and_delay_are_two_reports(connection):
    """Who failed and who is late, in the same attempt, are told apart."""
    accept(connection, ("no@b.test", "late@b.test"))
    now = NOW + 4 * HOUR
    [mine] = claim(connection, now=now)
    settled(connection, mine, {"no@b.test": Failed(NEVER), "late@b.test": Delayed(LATER)}, now)
    found = {report["Subject"]: groups(report)[0]["Final-Recipient"] for _, _, report in reports(connection, now)}
    assert found == {
        "Delivery Status Notification (Failure)": "rfc822; no@b.test",
        "Delivery Status Notification (Delay)": "rfc822; late@b.test",
    }


def test_nothing_good_is_reported(connection):
    """Neither a relayed recipient nor one that is young and delayed makes a report."""
    accept(connection, ("a@b.test", "b@b.test"))
    [mine] = claim(connection)
    settled(connection, mine, {"a@b.test": Relayed(OK), "b@b.test": Delayed(LATER)}, NOW)
    assert reports(connection, NOW) == []


def test_our_own_words_are_not_put_into_a_servers_mouth(connection):
    """A reply that no server gave names no remote MTA."""
    accept(connection, ("to@b.test",))
    [mine] = claim(connection)
    settled(connection, mine, Failed(ours(554, "5.6.3", "cannot be sent")), NOW)
    [(_, _, report)] = reports(connection, NOW)
    [group] = groups(report)
    assert (group["Remote-MTA"], group["Status"]) == (None, "5.6.3")


def test_the_original_may_have_a_long_header(connection):
    """A header section over one stored row is returned whole."""
    header = b"From: me@a.test\r\nTo: to@b.test\r\n" + b"".join(
        b"X-%d: %s\r\n" % (at, b"x" * 900) for at in range(400)
    )
    assert len(header) > contents.CHUNK
    accept(connection, ("to@b.test",), octets=header + b"\r\nbody\r\n")
    [mine] = claim(connection)
    settled(connection, mine, Failed(NEVER), NOW)
    [(_, _, report)] = reports(connection, NOW)
    assert report.get_payload(2).get_content().encode() == header
