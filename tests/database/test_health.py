"""Whether storage is trusted, and whether it has room."""

import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError, OperationalError

from postroad import refusals
from postroad.database.health import Health, says_unread

FULL = 13


def error(code, kind=OperationalError):
    cause = sqlite3.OperationalError(f"error {code}")
    cause.sqlite_errorcode = code
    return kind("INSERT", {}, cause)


LATCHING = {
    "IOERR": 10,
    "IOERR_FSYNC": 10 | 4 << 8,
    "IOERR_WRITE": 10 | 3 << 8,
    "CORRUPT": 11,
    "CORRUPT_INDEX": 11 | 3 << 8,
    "CANTOPEN": 14,
    "NOTADB": 26,
}


@pytest.mark.parametrize("code", LATCHING.values(), ids=LATCHING)
def test_a_bad_disk_latches(tmp_path, code):
    """What says that the disk or the file is bad ends the trust, extended code or not."""
    health = Health(tmp_path, 0)
    assert isinstance(health.translate(error(code)), refusals.StorageUnhealthy)
    assert not health.trusted
    with pytest.raises(refusals.StorageUnhealthy) as refused:
        health.refuse_unless_trusted()
    assert str(refused.value) == "The service is currently unavailable."
    assert f"error {code}" in refused.value.why
    assert "restart" in refused.value.why


def test_a_full_disk_is_a_refusal_and_no_more(tmp_path):
    """SQLITE_FULL passes as soon as there is room."""
    health = Health(tmp_path, 0)
    assert isinstance(health.translate(error(FULL)), refusals.StorageUnhealthy)
    health.refuse_unless_trusted()


@pytest.mark.parametrize(
    "other",
    [error(19, IntegrityError), error(5), error(1), ValueError("mine"), refusals.Draining(), KeyError()],
    ids=["constraint", "busy", "SQL", "ours", "refusal", "bug"],
)
def test_any_other_error_stays_itself(tmp_path, other):
    """What says nothing about the disk is handed on as it is."""
    health = Health(tmp_path, 0)
    assert health.translate(other) is other
    assert health.trusted


def test_the_first_cause_is_kept(tmp_path):
    """What follows from a failure does not hide it from the operator."""
    health = Health(tmp_path, 0)
    health.latch("the first")
    health.latch("the second")
    assert health.cause == "the first"


def test_mail_is_taken_down_to_the_floor(tmp_path, monkeypatch):
    """A message is refused when it would leave less than the floor free; one octet less is taken."""
    health = Health(tmp_path, 1000)
    monkeypatch.setattr(Health, "free", lambda _: 1500)
    health.refuse_unless_roomy(500)
    with pytest.raises(refusals.StorageUnhealthy, match="currently unavailable") as refused:
        health.refuse_unless_roomy(501)
    assert "1500 octets free" in refused.value.why


class Disk(Health):
    """A disk with so many octets free, which counts how often it is looked at, and its clock."""

    def __init__(self, free, floor):
        super().__init__(Path(), floor, clock=lambda: self.now)
        self.left, self.now, self.looks = free, 0.0, 0

    def free(self):
        self.looks += 1
        return self.left

    def takes(self, size):
        """Whether there is room; then it is used."""
        with suppress(refusals.StorageUnhealthy):
            self.refuse_unless_roomy(size)
            self.left -= size
            return True
        return False


MEGA = 1_000_000
# What happens after a first octet was taken, and how often the disk is looked at for it.
LOOKS = [
    ([(0, 4000)] * 250, 0),
    ([(0.049, 4000)], 0),
    ([(0.05, 4000)], 1),
    ([(0.03, 0), (0.03, 0), (0.03, 0), (0.03, 0)], 2),
    ([(0, 5 * MEGA)], 1),
    ([(0, 5 * MEGA), (0, 4000)], 1),
    ([(0, 5 * MEGA), (0, 5 * MEGA)], 2),
    ([(0, 1 << 20)], 0),
    ([(0, (1 << 20) + 1)], 1),
]


@pytest.mark.parametrize(("needs", "looks"), LOOKS)
def test_the_disk_is_looked_at_now_and_then(needs, looks):
    """Every 50 ms, and for a large need always."""
    disk = Disk(10**12, 1000)
    assert disk.takes(1)
    for later, size in needs:
        disk.now += later
        assert disk.takes(size)
    assert disk.looks == 1 + looks


@given(
    st.integers(0, 20 * MEGA),
    st.lists(st.tuples(st.floats(0, 0.1), st.one_of(st.integers(0, 9000), st.integers(0, 9 * MEGA)))),
)
def test_what_is_taken_is_what_there_is_room_for(free, needs):
    """Looking now and then decides as looking always would, as long as nobody else writes."""
    disk = Disk(free, 1000)
    for later, size in needs:
        disk.now += later
        roomy = disk.left - size >= 1000
        assert disk.takes(size) == roomy


def test_what_was_promised_is_not_promised_again():
    """It counts before it is written, too, until the next look."""
    disk = Disk(9000, 1000)
    disk.refuse_unless_roomy(4000)
    disk.refuse_unless_roomy(4000)
    assert disk.looks == 1
    disk.refuse_unless_roomy(1)
    assert disk.looks == 2


def test_others_may_fill_a_disk_for_a_moment():
    """What other programs took is seen with the next look; space that was made is seen at once."""
    disk = Disk(1000 + MEGA, 1000)
    assert disk.takes(4000)
    disk.left = 1000
    assert disk.takes(4000)
    disk.now += 0.05
    assert not disk.takes(4000)
    disk.left = 5000
    assert disk.takes(4000)
    assert not disk.takes(1)


def test_the_disk_of_a_server_is_its_own_care():
    """Where there is no folder, there is always room."""
    Health(None, 10**18).refuse_unless_roomy(10**18)


def test_no_room_helps_a_bad_disk(tmp_path):
    """A latched storage takes nothing, whatever is free."""
    health = Health(tmp_path, 0)
    health.latch("bad")
    with pytest.raises(refusals.StorageUnhealthy):
        health.refuse_unless_roomy(0)


def test_free_is_what_the_file_system_says(tmp_path):
    """A folder that is there has some octets free."""
    assert Health(tmp_path, 0).free() > 0


VERDICTS = {
    "ok": False,
    "Tree 29 page 29: unable to get the page. error code=8458": True,
    "Tree 3 page 4: btreeInitPage() returns error code 11": False,
    "Page 7: unable to get the page. error code=11": False,
    "row 3 missing from index ix_recipient_due": False,
}


@pytest.mark.parametrize(("verdict", "unread"), VERDICTS.items())
def test_a_page_that_cannot_be_read_is_told_from_one_that_is_wrong(verdict, unread):
    """Of what SQLite's check finds, a code of SQLITE_IOERR alone is the disk's."""
    assert says_unread(verdict) == unread
