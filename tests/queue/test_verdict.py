"""What becomes of a recipient: outcome, age and what earlier attempts left behind."""

import pytest

from postroad.mail.outcome import Attempted, Delayed, Failed, Relayed
from postroad.mail.reply import Reply
from postroad.queue import schedule, store
from postroad.queue.schedule import DAY, HOUR, MINUTE
from postroad.queue.verdict import judge, unreported, verdict

ACCEPTED = 1_700_000_000_000
OK = Reply(250, "2.0.0", "Ok")
LATER = Reply(450, "4.2.0", "greylisted")
NEVER = Reply(550, "5.1.1", "no such user")
EXPIRED = Reply(450, "4.4.7", "not delivered within five days; the last reply was: 450 4.2.0 greylisted")
LOST = Reply(451, "4.4.2", "lost")
QUEUED, RELAYED, FAILED = store.QUEUED, store.RELAYED, store.FAILED


def waiting(path="you@b.test", **facts):
    """A recipient at its first attempt, but for `facts`."""
    earlier = {"attempts": 0, "notices": 0, "in_doubt_at": None, "in_doubt_host": None}
    return store.Waiting(path, **earlier | facts)


DOUBTED = {"attempts": 1, "in_doubt_at": ACCEPTED, "in_doubt_host": "mx.test"}
CASES = {
    # outcome, age, earlier -> state, reply, in doubt
    "relayed": (Relayed(OK), 0, {}, RELAYED, OK, False),
    "relayed, after doubt": (Relayed(OK), HOUR, DOUBTED, RELAYED, OK, False),
    "relayed, too late": (Relayed(OK), 6 * DAY, {}, RELAYED, OK, False),
    "failed": (Failed(NEVER), 0, {}, FAILED, NEVER, False),
    "failed, after doubt": (Failed(NEVER), HOUR, DOUBTED, FAILED, NEVER, False),
    "delayed": (Delayed(LATER), 0, {}, QUEUED, LATER, False),
    "delayed, in doubt": (Delayed(LOST, in_doubt=True), 0, {}, QUEUED, LOST, True),
    "delayed, after doubt": (Delayed(LATER), HOUR, DOUBTED, QUEUED, LATER, True),
    "delayed, again in doubt": (Delayed(LOST, in_doubt=True), HOUR, DOUBTED, QUEUED, LOST, True),
    "delayed, almost too late": (Delayed(LATER), 5 * DAY - 1, {}, QUEUED, LATER, False),
    "delayed, too late": (Delayed(LATER), 5 * DAY, {}, FAILED, EXPIRED, False),
    "delayed in doubt, too late": (Delayed(LATER, in_doubt=True), 5 * DAY, DOUBTED, FAILED, EXPIRED, False),
    "delayed, before its time": (Delayed(LATER), -365 * DAY, {}, QUEUED, LATER, False),
}


@pytest.mark.parametrize(("outcome", "age", "earlier", "state", "reply", "in_doubt"), CASES.values(), ids=CASES)
def test_outcome_age_and_doubt_decide(outcome, age, earlier, state, reply, in_doubt):
    """Only a success or a failure ends the wait before five days; doubt stays until then."""
    now = ACCEPTED + age
    found = verdict(waiting(**earlier), outcome, accepted_at=ACCEPTED, started_at=now, now=now, chance=0)
    assert (found.state, found.reply, found.in_doubt) == (state, reply, in_doubt)


@pytest.mark.parametrize(("attempts", "pause"), [(0, 1), (1, 5), (4, 30), (7, 240), (30, 240)])
def test_a_delayed_recipient_is_due_again_by_the_schedule(attempts, pause):
    """The pause follows the number of tries, counted from the end of this one."""
    found = verdict(
        waiting(attempts=attempts),
        Delayed(LATER),
        accepted_at=ACCEPTED,
        started_at=ACCEPTED,
        now=ACCEPTED + 7,
        chance=0,
    )
    assert found.due_at == ACCEPTED + 7 + pause * MINUTE


NOTICES = {
    # age, notices had -> notices, told
    "young": (HOUR, 0, 0, False),
    "four hours": (4 * HOUR, 0, 1, True),
    "four hours, told": (5 * HOUR, 1, 1, False),
    "a day": (DAY, 1, 2, True),
    "a day, never told": (DAY, 0, 2, True),
    "a day, told": (2 * DAY, 2, 2, False),
    "a clock gone back": (HOUR, 2, 2, False),
    "given up": (5 * DAY, 1, 1, False),
}


@pytest.mark.parametrize(("age", "had", "notices", "told"), NOTICES.values(), ids=NOTICES)
def test_a_late_recipient_is_reported_once_an_age(age, had, notices, told):
    """One notice when four hours have passed, one when a day has, none twice, none with the failure."""
    now = ACCEPTED + age
    found = verdict(waiting(notices=had), Delayed(LATER), accepted_at=ACCEPTED, started_at=now, now=now, chance=0)
    assert (found.notices, found.delayed) == (notices, told)


def test_a_try_begun_in_time_is_not_the_last():
    """What counts is when the try began: one that lasts beyond the fifth day is followed by another."""
    found = verdict(
        waiting(),
        Delayed(LATER),
        accepted_at=ACCEPTED,
        started_at=ACCEPTED + 5 * DAY - 1,
        now=ACCEPTED + 6 * DAY,
        chance=0,
    )
    assert found.state == QUEUED
    assert found.due_at > ACCEPTED + 6 * DAY


def claimed(*recipients):
    return store.Claim(
        1, 2, 3, 4, "b.test", "me@a.test", ACCEPTED, 0, 0, False, False, False, "<m@a.test>", recipients
    )


def test_every_recipient_has_its_own_verdict_and_jitter():
    """A claim's recipients are judged one by one; chance is drawn anew for each."""
    chances = iter([0, 0.5, 0.5])
    outcomes = {"a@b.test": Delayed(LATER), "b@b.test": Delayed(LATER), "c@b.test": Relayed(OK)}
    judged = judge(
        claimed(*map(waiting, outcomes)),
        Attempted("mx.test", outcomes, ""),
        started_at=ACCEPTED,
        ended_at=ACCEPTED,
        chance=lambda: next(chances),
    )
    assert [one.due_at - ACCEPTED for one in judged.verdicts] == [MINUTE, round(1.1 * MINUTE), 0]
    assert [one.state for one in judged.verdicts] == [QUEUED, QUEUED, RELAYED]


def test_a_judgement_without_reports_keeps_what_was_relayed():
    """What nobody need be told of stands; the failed and the late are left for another try, doubt included."""
    now = ACCEPTED + 4 * HOUR
    outcomes = {"ok@b.test": Relayed(OK), "no@b.test": Failed(NEVER), "late@b.test": Delayed(LATER, in_doubt=True)}
    recipients = waiting("ok@b.test"), waiting("no@b.test", **DOUBTED), waiting("late@b.test")
    judged = judge(
        claimed(*recipients), Attempted("mx.test", outcomes, ""), started_at=now, ended_at=now, chance=lambda: 0
    )
    relayed, failed, late = unreported(judged, chance=lambda: 0).verdicts
    assert relayed == judged.verdicts[0]
    assert (failed.state, failed.due_at, failed.in_doubt) == (QUEUED, now + 5 * MINUTE, True)
    assert (late.state, late.due_at, late.in_doubt, late.delayed) == (QUEUED, now + MINUTE, True, False)


def test_no_pause_is_longer_than_the_longest():
    """What the store takes for a clock gone back is never a pause of ours."""
    found = schedule.next_try(99, ACCEPTED, ACCEPTED, 0.999_999)
    assert found - ACCEPTED <= schedule.LONGEST_PAUSE
