"""Quota units: a bucket for each user and each project, filled in a minute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad import refusals
from postroad.web import quotas
from postroad.web.methods import METHODS, SEND
from postroad.web.quotas import MINUTE_MS, Quotas, spend

NOW = 1_790_000_000_000
USER = 6000  # Google's, of a user each minute (gmail-wire.md section 10)


@pytest.mark.parametrize(
    ("full_at", "units", "each_minute", "left"),
    [
        (NOW, 100, 6000, (NOW + 1000, 0)),
        (NOW - 5000, 100, 6000, (NOW + 1000, 0)),
        (NOW + 1000, 100, 6000, (NOW + 2000, 0)),
        (NOW + 59_000, 100, 6000, (NOW + 60_000, 0)),
        (NOW + 59_001, 100, 6000, (NOW + 59_001, 1)),
        (NOW + 60_000, 100, 6000, (NOW + 60_000, 1000)),
        (NOW, 100, 50, (NOW + 120_000, 0)),
        (NOW + 1, 100, 50, (NOW + 1, 1)),
        (NOW + 365 * 86_400_000, 100, 6000, (NOW + MINUTE_MS, 1000)),
    ],
)
def test_a_bucket_is_spent(full_at, units, each_minute, left):
    """It holds a minute's worth, never more; a call that costs more than that needs a full one."""
    assert spend(full_at, units, each_minute, NOW) == left


spendings = st.lists(st.tuples(st.integers(0, 90_000), st.sampled_from([1, 5, 20, 100])), max_size=60)


@given(spendings, st.sampled_from([100, 250, 6000]))
def test_no_more_is_spent_than_a_full_bucket_and_what_came_in(calls, each_minute):
    """In whatever rhythm; and after the wait that a refusal tells, the same call is taken."""
    now, full_at, taken = NOW, float(NOW), 0
    for pause, units in calls:
        now += pause
        full_at, wait = spend(full_at, units, each_minute, now)
        taken += 0 if wait else units
        assert taken <= each_minute + (now - NOW) / MINUTE_MS * each_minute + 1e-6
        assert not wait or spend(full_at, units, each_minute, now + int(wait) + 1)[1] == 0


def charged(counted: Quotas, user: str, now: int) -> bool:
    try:
        counted.charge(user, None, SEND.units, now)
    except (refusals.UserQuotaExceeded, refusals.ProjectQuotaExceeded):
        return False
    return True


def test_a_user_sends_sixty_times_a_minute():
    """As Google allows; one a second is always taken, and other users do not suffer."""
    counted = Quotas(USER)
    assert [charged(counted, "alice@example.test", NOW) for _ in range(62)] == [True] * 60 + [False] * 2
    assert charged(counted, "bob@example.test", NOW)
    assert not charged(counted, "alice@example.test", NOW + 999)
    assert all(charged(counted, "alice@example.test", NOW + 1000 * second) for second in range(1, 100))


PROGRAM = "123456789012-" + "x" * 32 + ".apps.googleusercontent.com"


def test_a_program_has_units_of_its_own():
    """What a user spends by one program is not taken from another's; tokens of no program share theirs."""
    counted = Quotas(100, 300)
    for client_id in (None, PROGRAM, "1000000000000000001"):
        counted.charge("alice", client_id, 100, NOW)
        with pytest.raises(refusals.UserQuotaExceeded):
            counted.charge("alice", client_id, 1, NOW)
        counted.charge("bob", client_id, 100, NOW)
        counted.charge("carol", client_id, 100, NOW)
        with pytest.raises(refusals.ProjectQuotaExceeded):
            counted.charge("dave", client_id, 1, NOW)


@pytest.mark.parametrize(
    ("client_id", "number"),
    [(None, "0"), (PROGRAM, "123456789012"), ("1000000000000000001", "1000000000000000001")],
)
def test_a_refusal_names_the_programs_project(client_id, number):
    """Its number is what a client_id begins with, as at Google."""
    counted = Quotas(100)
    counted.charge("alice", client_id, 100, NOW)
    with pytest.raises(refusals.UserQuotaExceeded) as refused:
        counted.charge("alice", client_id, 100, NOW)
    assert str(refused.value).endswith(f" for consumer 'project_number:{number}'.")


def test_all_users_together_are_limited():
    """What the project's limit refuses is not taken from the user, either."""
    counted = Quotas(200, 300)
    assert [charged(counted, user, NOW) for user in ("alice", "alice", "bob", "bob")] == [True] * 3 + [False]
    assert charged(counted, "bob", NOW + 20_000)


def test_no_limit_counts_nothing():
    """A server of one's own has none unless it is set."""
    counted = Quotas()
    assert all(charged(counted, "alice", NOW) for _ in range(1000))
    assert counted._full_at == {}


@pytest.mark.parametrize(
    ("counted", "refusal", "name"),
    [
        (Quotas(USER), refusals.UserQuotaExceeded, "Units per minute per user"),
        (Quotas(0, USER), refusals.ProjectQuotaExceeded, "Units per minute"),
    ],
)
def test_a_refusal_tells_whose_limit_and_when_to_come_back(counted, refusal, name):
    """In Google's words; the operator's line names the account or the project."""
    while charged(counted, "alice@example.test", NOW):
        pass
    with pytest.raises(refusal) as refused:
        counted.charge("alice@example.test", None, SEND.units, NOW)
    assert str(refused.value) == (
        f"Quota exceeded for quota metric 'Total Query Cost' and limit '{name}'"
        " of service 'gmail.googleapis.com' for consumer 'project_number:0'."
    )
    assert refused.value.fields["retry_after"] == 1
    assert "has spent its 6000 units" in refused.value.why


def test_full_buckets_are_forgotten(monkeypatch):
    """Users who have been quiet for a minute take no memory; those who have not are still counted."""
    monkeypatch.setattr(quotas, "SWEPT_FROM", 10)
    counted = Quotas(USER)
    for number in range(1000):
        charged(counted, f"user{number}", NOW + number * 100)
        assert len(counted._full_at) <= 21
    assert [charged(counted, "user999", NOW + 99_900) for _ in range(60)] == [True] * 59 + [False]


def test_every_method_costs_something():
    """The costs are those of Google's table."""
    assert {method.id.removeprefix("gmail.users."): method.units for method in METHODS} == {
        "messages.send": 100,
        "messages.list": 5,
        "messages.get": 20,
        "messages.attachments.get": 5,
        "getProfile": 1,
        "settings.sendAs.list": 1,
        "settings.sendAs.get": 1,
    }
