"""What people read of a session is short enough to keep and ends with what decided it."""

import re

from hypothesis import given
from hypothesis import strategies as st

from postroad.mail.reply import Reply
from postroad.smtp.transcript import CHARACTERS, LINES, Transcript


def test_lines_of_a_conversation():
    """Commands, replies and notes each have their mark; a reply of two lines is two lines."""
    transcript = Transcript(["= before"])
    transcript.sent(b"RCPT TO:<\xc3\xa9@b.test>\r\n")
    transcript.received(Reply(550, "5.1.1", "no\nsuch user"))
    transcript.received(Reply(250, "", ""))
    transcript.note("lost")
    assert transcript.lines() == (
        *("= before", "> RCPT TO:<é@b.test>", "< 550-5.1.1 no", "< 550 5.1.1 such user"),
        *("< 250", "= lost"),
    )


def test_the_middle_of_a_long_conversation_is_left_out():
    """However much is said, beginning and end stay and the bounds hold."""
    for text in ("x", "x" * 300, "x" * 5000):
        transcript = Transcript()
        transcript.note("first")
        for _ in range(1000):
            transcript.received(Reply(250, "2.1.5", text))
        transcript.note("last")
        lines = transcript.lines()
        assert (lines[0], lines[-1]) == ("= first", "= last")
        assert any("left out" in line for line in lines)
        assert len(lines) <= LINES
        assert sum(map(len, lines)) <= CHARACTERS + 100


@given(
    st.integers(0, 450), st.sampled_from([0, 50, 90, 1100]), st.integers(0, 450), st.sampled_from([0, 50, 1100])
)
def test_what_is_left_out_is_counted(short, size, more, other):
    """Beginning, end and the number of lines between them are those of the whole conversation."""
    transcript = Transcript()
    notes = ["x" * (number % (size + 1)) for number in range(short)] + ["y" * other] * more
    for note in notes:
        transcript.note(note)
    said = [f"= {note}"[: CHARACTERS // 16] for note in notes]
    lines = list(transcript.lines())
    gaps = [at for at, line in enumerate(lines) if "left out" in line]
    head, tail = (lines[: gaps[0]], lines[gaps[0] + 1 :]) if gaps else (lines, [])
    left_out = int(re.findall(r"\d+", lines[gaps[0]])[0]) if gaps else 0
    assert head == said[: len(head)]
    assert tail == said[len(said) - len(tail) :]
    assert len(head) + left_out + len(tail) == len(said)
