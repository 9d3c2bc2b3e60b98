"""The lines that a submission adds: what is missing, and the one Received."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import compress, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.mail.added import lines
from postroad.mail.message import parse

NOW = 1_767_323_045_678
DATE = "Fri, 02 Jan 2026 03:04:05 +0000"
RECEIVED = f"Received: by mx.x.example (Postroad) with HTTP id 0123456789abcdef;\r\n {DATE}\r\n"
MISSING = {
    "From": "From: alice@x.example\r\n",
    "Date": f"Date: {DATE}\r\n",
    "Message-ID": "Message-ID: <0123456789abcdef@mx.x.example>\r\n",
    "MIME-Version": "MIME-Version: 1.0\r\n",
}


def added(submitted: str, author: str = "alice@x.example", now: int = NOW) -> list[str]:
    made = lines(
        parse(submitted.encode()), author=author, hostname="mx.x.example", queue_id="0123456789abcdef", now=now
    )
    return re.findall(r"\S.*\r\n(?:[ \t].*\r\n)*", made.decode())


@pytest.mark.parametrize(
    "present",
    [tuple(compress(MISSING, chosen)) for chosen in product((0, 1), repeat=4)],
    ids=lambda names: "+".join(names) or "none",
)
@pytest.mark.parametrize("spelled", [str, str.upper, str.lower], ids=["as is", "upper", "lower"])
def test_what_is_missing_is_added(present, spelled):
    """From, Date, Message-ID and MIME-Version are added when the message lacks them, below a Received."""
    header = "".join(f"{spelled(name)}: x\n" for name in present)
    assert added(f"To: a\n{header}\n") == [
        RECEIVED,
        *(line for name, line in MISSING.items() if name not in present),
    ]


@pytest.mark.parametrize("name", MISSING)
def test_an_empty_field_is_not_missing(name):
    """A field that stands there without a value is not added a second time."""
    assert MISSING[name] not in added(f"To: a\n{name}:\n\n")
    assert MISSING[name] not in added(f"To: a\n{name}:\n \n\n")


@pytest.mark.parametrize("name", MISSING)
def test_fields_of_the_body_do_not_count(name):
    """What looks like a field below the empty line leaves the field missing."""
    assert MISSING[name] in added(f"To: a\nX-{name}: x\nResent-{name}: x\n\n{name}: x\n")


def test_received_is_always_added():
    """The Received line stands on top even when the message brings its own."""
    assert added("Received: by elsewhere; today\nTo: a\n\n")[0] == RECEIVED


def test_an_author_of_another_script_is_written_in_utf_8():
    """An author's address beyond ASCII is added as UTF-8."""
    assert "From: jürgen@x.example\r\n" in added("To: a\n\n", author="jürgen@x.example")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 253_402_300_799_999))
def test_added_dates_mean_now(now):
    """The dates that are added name the second of the submission, to the end of the year 9999."""
    second = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=now // 1000)
    received, _, date, *_ = added("To: a\n\n", now=now)
    assert parsedate_to_datetime(date.removeprefix("Date: ").strip()) == second
    assert parsedate_to_datetime(received.partition(";")[2].strip()) == second


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*MISSING, "Subject", "To", "X"]), unique=True))
def test_a_completed_message_lacks_nothing(names):
    """With the added lines on top, a message has each of the four fields exactly once, and needs no more."""
    submitted = "X-First: 1\r\n" + "".join(f"{name}: x\r\n" for name in names) + "\r\nbody"
    whole = "".join(added(submitted)) + submitted
    completed = parse(whole.encode())
    assert [len(completed.bodies(name.lower().encode())) for name in MISSING] == [1, 1, 1, 1]
    assert added(whole) == [RECEIVED]
    assert all(len(line) <= 78 for line in "".join(added(submitted)).split("\r\n"))
