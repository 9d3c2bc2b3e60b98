"""The rules that turn replies into the fate of each recipient."""

import pytest

from postroad.mail.reply import Reply
from postroad.smtp.grammar import Extensions
from postroad.smtp.protocol import Command
from postroad.smtp.session import Phase, SessionError, Timeouts
from postroad.smtp.transaction import Course, impossible

OK = Reply(250, "", "Ok")
GO = Reply(354, "", "go")
LATER = Reply(450, "4.2.0", "later")
NEVER = Reply(550, "5.1.1", "never")
LOST = Reply(451, "4.4.2", "lost")


def fates(mail, rcpts, data=None, content=None, *, lost=False):
    """The fates of two recipients, a and b, of which so much was answered."""
    course = Course(["a", "b"])
    course.hear(Command.MAIL, mail)
    for reply in rcpts:
        course.hear(Command.RCPT, reply)
    for command, reply in ((Command.DATA, data), (Command.CONTENT, content)):
        if reply:
            course.hear(command, reply)
    if lost:
        course.lose(SessionError(Phase.RCPT, LOST))
    return list(course.replies().values())


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((OK, [OK, OK], GO, OK), [OK, OK]),
        ((OK, [OK, NEVER], GO, OK), [OK, NEVER]),
        ((OK, [OK, NEVER], GO, LATER), [LATER, NEVER]),
        ((NEVER, [OK, LATER], NEVER), [NEVER, NEVER]),
        ((LATER, []), [LATER, LATER]),
        ((OK, [LATER, NEVER], Reply(503, "", "no recipients")), [LATER, NEVER]),
        ((OK, [LATER, NEVER], GO), [LATER, NEVER]),
        ((OK, [LATER, NEVER]), [LATER, NEVER]),
        ((OK, [OK, NEVER], LATER), [LATER, NEVER]),
    ],
)
def test_fates(said, expected):
    """MAIL's refusal is everybody's, RCPT's is one's own, DATA's and the content's are the others'."""
    assert fates(*said) == expected


@pytest.mark.parametrize("rcpts", [[], [NEVER], [OK]])
def test_a_loss_is_the_fate_of_the_undecided(rcpts):
    """A session that is lost leaves the refused refused."""
    assert fates(OK, rcpts, lost=True) == [rcpts[0] if rcpts == [NEVER] else LOST, LOST]


@pytest.mark.parametrize(
    ("reply", "other", "expected"),
    [
        (Reply(552, "", "too many"), OK, Reply(452, "4.5.3", "too many")),
        (Reply(552, "5.5.3", "too many"), OK, Reply(452, "4.5.3", "too many")),
        (Reply(552, "5.3.4", "too many"), OK, Reply(452, "4.3.4", "too many")),
        (Reply(552, "5.2.2", "full"), OK, Reply(552, "5.2.2", "full")),
        (Reply(552, "", "too many"), NEVER, Reply(552, "", "too many")),
        (Reply(550, "", "no"), OK, Reply(550, "", "no")),
    ],
)
def test_552_among_accepted_recipients(reply, other, expected):
    """552 to RCPT is 452 when another was accepted, unless it speaks of a full mailbox."""
    assert fates(OK, [reply, other], GO, OK)[0] == expected


BAD_PARAMETER = Reply(555, "5.5.4", "unsupported option")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((OK, OK, OK), ""),
        ((OK, BAD_PARAMETER, OK), "a"),
        ((OK, NEVER, Reply(501, "", "syntax")), "b"),
        ((OK, LATER, Reply(455, "", "not now")), "b"),
        ((Reply(504, "", "what?"),), "ab"),
        ((BAD_PARAMETER, Reply(503, "", "MAIL first"), Reply(503, "", "MAIL first")), "ab"),
        ((OK, BAD_PARAMETER), "a"),
        ((NEVER,), ""),
    ],
)
def test_whose_parameters_were_refused(said, expected):
    """By the codes of RFC 5321 sections 4.1.1.11 and 4.2.2, at MAIL and RCPT, and only if there were any."""
    for notifying in (True, False):
        course = Course(["a", "b"], notifying=notifying)
        for command, reply in zip([Command.MAIL, Command.RCPT, Command.RCPT], said, strict=False):
            course.hear(command, reply)
        assert course.parameters_refused == (tuple(expected) if notifying else ())


@pytest.mark.parametrize(
    ("needs", "status"),
    [
        ({"size": 101}, "5.3.4"),
        ({"size": 100}, None),
        ({"size": None}, None),
        ({"eight_bit": True}, "5.6.3"),
        ({"smtputf8": True}, "5.6.7"),
    ],
)
def test_impossible_mail(needs, status):
    """Mail that the server cannot take is refused by us, for good, and the text says who speaks."""
    reply = impossible(
        Extensions(size=True, size_limit=100), **{"size": 1, "eight_bit": False, "smtputf8": False} | needs
    )
    assert (reply and reply.status) == status
    assert reply is None or (reply.permanent and reply.ours)


def test_every_phase_has_its_time():
    """Each phase is given seconds, and the end of data the ten minutes of RFC 5321 section 4.5.3.2.6."""
    assert all(Timeouts().of(phase) > 0 for phase in Phase)
    assert Timeouts().of(Phase.DOT) == 600
