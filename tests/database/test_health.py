"""Whether storage is trusted, and whether it has room."""

import sqlite3

import pytest
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
