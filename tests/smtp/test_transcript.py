"""What people read of a session is short enough to keep and ends with what decided it."""

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
