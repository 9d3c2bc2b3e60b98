"""The session without I/O: replies meet their commands, and content is made safe, at every cut."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.mail.reply import Reply
from postroad.smtp import grammar
from postroad.smtp.protocol import (
    Answer,
    Command,
    ContentError,
    Dialogue,
    ProtocolError,
    ReplyReader,
    State,
    Transparency,
)
from tests.smtp_sink import CONTENT_ON_THE_WIRE

OK = b"250 2.0.0 Ok\r\n"
MAIL = grammar.mail(None, size=None, eight_bit=False, smtputf8=False)
RCPT = grammar.rcpt("a@b.test")
AUTH = b"AUTH LOGIN\r\n"


def read_all(octets):
    """All replies in these octets."""
    reader = ReplyReader()
    reader.feed(octets)
    return list(iter(reader.next_reply, None))


def begun(*lines, said=b""):
    """A dialogue after EHLO, with these lines sent and this received."""
    dialogue = Dialogue()
    dialogue.receive(b"220 mx\r\n")
    assert dialogue.next_answer().command is Command.BANNER
    dialogue.send(grammar.ehlo("me.test"))
    dialogue.receive(OK)
    assert dialogue.next_answer().command is Command.EHLO
    for line in lines:
        dialogue.send(line)
    dialogue.receive(said)
    return dialogue


def answers(dialogue):
    """What has been answered, as commands and codes."""
    return [(answer.command, answer.reply.code) for answer in iter(dialogue.next_answer, None)]


# Replies


def test_replies_are_put_together():
    """Several replies in one piece of octets come out one by one."""
    assert read_all(b"250-mx\r\n250-SIZE 5\r\n250 DSN\r\n550 5.1.1 no\r\n25") == [
        Reply(250, "", "mx\nSIZE 5\nDSN"),
        Reply(550, "5.1.1", "no"),
    ]


def test_a_status_belongs_to_its_reply_only():
    """A reply without an enhanced status code has none, whatever the reply before it had."""
    assert [reply.status for reply in read_all(b"550 5.1.1 no\r\n550 no\r\n")] == ["5.1.1", ""]


def test_bare_line_feed_ends_a_line():
    """A bare LF ends a reply line; a bare CR is only an unprintable character."""
    assert read_all(b"250-a\n250 b\rc\n") == [Reply(250, "", "a\nb\ufffdc")]


@pytest.mark.parametrize(
    ("octets", "fits"),
    [
        (b"250 " + b"x" * (4096 - 6) + b"\r\n", True),
        (b"250 " + b"x" * (4096 - 5) + b"\r\n", False),
        (b"250 " + b"x" * 10_000_000, False),
        (b"250-x\r\n" * 99 + b"250 x\r\n", True),
        (b"250-x\r\n" * 100 + b"250 x\r\n", False),
        (b"250-x\r\n" * 10_000, False),
        ((b"250-" + b"x" * 1996 + b"\r\n") * 8, True),
        ((b"250-" + b"x" * 1996 + b"\r\n") * 9, False),
        (b"250-a\r\n251 b\r\n", False),
        (b"250-a\r\n550 b\r\n", False),
        (b"junk\r\n", False),
        (b"\r\n", False),
        (b"199 x\r\n", False),
        (b"600 x\r\n", False),
    ],
)
def test_bounds_of_a_reply(octets, fits):
    """A line of 4096 octets, 100 lines and 16 KiB fit; more, a change of code, and junk are protocol errors."""
    if fits:
        read_all(octets)
    else:
        with pytest.raises(ProtocolError):
            read_all(octets)


@given(st.binary(max_size=300), st.integers(1, 9))
def test_octets_are_read_the_same_however_cut(octets, step):
    """Replies and protocol errors do not depend on the pieces in which octets arrive."""

    def outcome(pieces):
        reader, found = ReplyReader(), []
        for piece in pieces:
            reader.feed(piece)
            try:
                found += iter(reader.next_reply, None)
            except ProtocolError:
                return found, "error"
        return found, "open"

    octets = b"250-ok\r\n250 ok\r\n" + octets
    assert outcome([octets]) == outcome([octets[i : i + step] for i in range(0, len(octets), step)])


# The dialogue

WHOLE_SESSION = [
    ([], b"220-mx.test\r\n220 hello\r\n", [(Command.BANNER, 220)]),
    ([grammar.ehlo("me.test")], b"250-mx.test\r\n250-PIPELINING\r\n250 SIZE\n", [(Command.EHLO, 250)]),
    (
        [MAIL, RCPT, RCPT, grammar.DATA],
        b"250 2.1.0 Ok\r\n550-5.1.1 no\r\n550 5.1.1 never\r\n251 Ok\r\n354 go\r\n",
        [(Command.MAIL, 250), (Command.RCPT, 550), (Command.RCPT, 251), (Command.DATA, 354)],
    ),
    (["end"], b"250 2.0.0 queued\r\n", [(Command.CONTENT, 250)]),
    ([MAIL], b"450 4.7.1 later\r\n", [(Command.MAIL, 450)]),
    ([grammar.RSET], OK, [(Command.RSET, 250)]),
    ([grammar.NOOP], OK, [(Command.NOOP, 250)]),
    ([AUTH], b"334 VXNlcm5hbWU6\r\n", [(Command.AUTH, 334)]),
    (["respond"], b"334 \r\n", [(Command.AUTH, 334)]),
    (["respond"], b"235 2.7.0 welcome\r\n", [(Command.AUTH, 235)]),
    (
        [MAIL, RCPT, grammar.last_chunk(5)],
        b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.0.0 queued\r\n",
        [(Command.MAIL, 250), (Command.RCPT, 250), (Command.CONTENT, 250)],
    ),
    ([grammar.QUIT], b"221 2.0.0 bye\r\n", [(Command.QUIT, 221)]),
]
SERVER_OCTETS = sum(len(said) for _, said, _ in WHOLE_SESSION)


def say(dialogue, line):
    """A line, the end of data, or the response to a challenge."""
    match line:
        case "end":
            dialogue.end_content()
        case "respond":
            dialogue.respond()
        case _:
            dialogue.send(line)


@pytest.mark.parametrize("cut", range(SERVER_OCTETS))
def test_dialogue_and_its_twin(cut):
    """A session whose server octets are cut in two anywhere, or all in single octets, gives the same answers."""
    dialogue, position = Dialogue(), 0
    for lines, said, expected in WHOLE_SESSION:
        for line in lines:
            say(dialogue, line)
        at = min(max(cut - position, 0), len(said))
        pieces = [said[:at], said[at:]] if cut else [bytes([octet]) for octet in said]
        found = []
        for piece in pieces:
            dialogue.receive(piece)
            found += answers(dialogue)
        assert found == expected
        position += len(said)
    assert dialogue.state is State.CLOSED


@pytest.mark.parametrize(
    ("lines", "said", "before"),
    [
        ([], OK, 0),
        ([], b"junk\r\n", 0),
        ([MAIL], OK + OK, 1),
        ([MAIL, RCPT, grammar.DATA], OK + OK + b"250 what?\r\n", 2),
        ([MAIL], b"354 go\r\n", 0),
        ([MAIL, RCPT], OK + b"334 go\r\n", 1),
        ([MAIL, RCPT, grammar.DATA], OK + OK + b"354 go\r\n250 early\r\n", 3),
        ([MAIL, RCPT, grammar.DATA], OK + OK + b"354 go\r\n354 go\r\n", 3),
        ([grammar.STARTTLS], b"220 go\r\n250 injected\r\n", 0),
        ([grammar.STARTTLS], b"220 go\r\n2", 0),
        ([MAIL], b"250-x\r\n251 y\r\n", 0),
        ([AUTH], b"354 go\r\n", 0),
        ([MAIL, RCPT, grammar.last_chunk(5)], OK + OK + b"354 go\r\n", 2),
        ([MAIL, RCPT, grammar.DATA], OK + OK + b"334 go\r\n", 2),
    ],
)
def test_replies_out_of_turn(lines, said, before):
    """An unsolicited reply, a 3yz or 2yz out of turn, plaintext behind STARTTLS's 220: the session is over."""
    dialogue = begun(*lines, said=said)
    for _ in range(before):
        assert dialogue.next_answer()
    with pytest.raises(ProtocolError):
        dialogue.next_answer()
    assert dialogue.state is State.CLOSED
    assert dialogue.next_answer() is None


def test_unsolicited_before_the_first_command():
    """A second reply to nothing but the connection is unsolicited."""
    dialogue = Dialogue()
    dialogue.receive(b"220 mx\r\n250 mx\r\n")
    assert dialogue.next_answer().command is Command.BANNER
    with pytest.raises(ProtocolError, match="unsolicited"):
        dialogue.next_answer()


def test_server_closes_an_idle_session():
    """A 421 that answers nothing is an answer all the same, and the end."""
    dialogue = begun(said=b"421 4.4.2 idle too long\r\n250 ignored\r\n")
    assert dialogue.next_answer() == Answer(None, Reply(421, "4.4.2", "idle too long"))
    assert dialogue.state is State.CLOSED
    assert dialogue.next_answer() is None


def test_421_ends_a_pipelined_group():
    """A 421 answers its command; no answers to the commands behind it will come."""
    dialogue = begun(MAIL, RCPT, grammar.DATA, said=OK + b"421 bye\r\n")
    assert answers(dialogue) == [(Command.MAIL, 250), (Command.RCPT, 421)]
    assert dialogue.state is State.CLOSED


def test_early_refusal_of_content():
    """A refusal may come before the end of data, and the session cannot go on after it."""
    dialogue = begun(MAIL, RCPT, grammar.DATA, said=OK + OK + b"354 go\r\n552 5.3.4 too big\r\n")
    assert answers(dialogue)[-1] == (Command.CONTENT, 552)
    assert dialogue.state is State.CLOSED


def test_starttls_forgets_the_greeting():
    """After the 220 to STARTTLS only EHLO, HELO and QUIT may follow."""
    dialogue = begun(grammar.STARTTLS, said=b"220 go\r\n")
    assert answers(dialogue) == [(Command.STARTTLS, 220)]
    with pytest.raises(RuntimeError, match="out of turn"):
        dialogue.send(MAIL)
    dialogue.send(grammar.ehlo("me.test"))
    dialogue.receive(OK)
    assert answers(dialogue) == [(Command.EHLO, 250)]


@pytest.mark.parametrize(
    "lines",
    [
        [RCPT],
        [grammar.DATA],
        [MAIL, MAIL],
        [MAIL, grammar.DATA, RCPT],
        [grammar.STARTTLS, MAIL],
        [MAIL, grammar.STARTTLS],
        [grammar.RSET, MAIL],
        [grammar.QUIT, grammar.NOOP],
        [grammar.last_chunk(5)],
        [MAIL, grammar.last_chunk(5), RCPT],
        [MAIL, grammar.last_chunk(5), grammar.DATA],
        [AUTH, MAIL],
        [MAIL, AUTH],
    ],
)
def test_commands_out_of_turn(lines):
    """A command of ours that is not due is a bug, and raises before it can be sent."""
    dialogue = begun(*lines[:-1])
    with pytest.raises(RuntimeError, match="out of turn"):
        dialogue.send(lines[-1])


def test_idle_and_pending():
    """A session is idle between mail transactions; half an octet of an unsolicited reply is seen at once."""
    assert not Dialogue().idle
    dialogue = begun()
    assert (dialogue.idle, dialogue.pending) == (True, False)
    dialogue.receive(b"4")
    assert dialogue.pending
    dialogue.send(MAIL)
    assert not dialogue.idle


def test_a_challenge_has_one_response_and_nothing_else():
    """Until it is given no command may follow, and without a challenge there is none to give."""
    dialogue = begun(AUTH, said=b"334 \r\n")
    assert answers(dialogue) == [(Command.AUTH, 334)]
    assert not dialogue.idle
    with pytest.raises(RuntimeError, match="out of turn"):
        dialogue.send(MAIL)
    dialogue.respond()
    with pytest.raises(RuntimeError, match="no challenge"):
        dialogue.respond()


@pytest.mark.parametrize("said", [b"250 2.0.0 Ok\r\n", b"550 5.7.1 no\r\n", b"450 4.2.0 later\r\n"])
def test_a_chunk_ends_the_transaction(said):
    """Whatever is said to it, RSET or another transaction may follow."""
    dialogue = begun(MAIL, RCPT, grammar.last_chunk(5), said=OK + OK + said)
    assert [command for command, _ in answers(dialogue)] == [Command.MAIL, Command.RCPT, Command.CONTENT]
    assert dialogue.idle
    dialogue.send(grammar.RSET)


def test_content_ends_once_it_was_asked_for():
    """The end of data without a 354 is a bug, and raises."""
    with pytest.raises(RuntimeError, match="no content"):
        begun(MAIL).end_content()


# Transparency

SMUGGLING = [
    b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n.\r", b"\r\n.\n", b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\n\n.\r\n", b"\r\n.\r\n\n", b"\r\n\r.\r\n",
]  # fmt: skip
COMMANDS = b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<victim@x.test>\r\nDATA\r\n"
LINES = st.lists(st.text(alphabet=".ab \té", max_size=5).map(str.encode), max_size=8).map(b"\r\n".join)
ANY_BODY = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\0", b"x" * 499]), max_size=12).map(
    b"".join
)


def encoded(pieces):
    """The pieces as they go on the wire, with the end of data."""
    transparency = Transparency()
    return b"".join([transparency.encode(piece) for piece in pieces]) + transparency.finish()


def reference(content):
    """Dot doubling as section 4.5.2 words it, line by line; ContentError as section 2.3.8 and 4.5.3.1.6 do."""
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    lines = content.split(b"\r\n")[:-1]
    if any(len(line) > 998 or re.search(rb"[\r\n\0]", line) for line in lines):
        raise ContentError
    return b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines) + b".\r\n"


def outcome(encode, argument):
    """What `encode` gives, or that it refuses."""
    try:
        return encode(argument)
    except ContentError:
        return "refused"


@given(LINES)
@settings(deadline=None)
def test_good_content_at_every_cut(content):
    """Content of good lines goes out as the reference says, wherever it is cut in two, and in single octets."""
    expected = reference(content)
    assert CONTENT_ON_THE_WIRE.match(expected)
    for cut in range(len(content) + 1):
        assert encoded([content[:cut], content[cut:]]) == expected
    assert encoded([bytes([octet]) for octet in content]) == expected


@given(ANY_BODY)
@settings(deadline=None)
def test_any_content_at_every_cut(content):
    """Any content is refused or sent exactly as the reference does, wherever it is cut in two."""
    expected = outcome(reference, content)
    for cut in range(len(content) + 1):
        assert outcome(encoded, [content[:cut], content[cut:]]) == expected
    assert outcome(encoded, [bytes([octet]) for octet in content]) == expected


@given(st.lists(ANY_BODY, max_size=6))
def test_what_is_let_through_keeps_the_invariant(pieces):
    """Whatever is not refused is `(line CRLF)*` with doubled dots and one end of data."""
    wire = outcome(encoded, pieces)
    assert wire == "refused" or CONTENT_ON_THE_WIRE.match(wire)


@pytest.mark.parametrize("sequence", SMUGGLING)
@pytest.mark.parametrize("behind", [b"", COMMANDS])
def test_smuggled_ends_of_data_are_refused(sequence, behind):
    """No spelling of a false end of data passes, at any cut."""
    content = b"Subject: x\r\n\r\nhello" + sequence + behind
    for cut in range(len(content) + 1):
        assert outcome(encoded, [content[:cut], content[cut:]]) == "refused"


def test_a_true_end_of_data_is_doubled():
    """The real end of data in content is content: its dot is doubled."""
    assert encoded([b"a\r\n.\r\n" + COMMANDS]) == b"a\r\n..\r\n" + COMMANDS + b".\r\n"


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"", b".\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"..\r\n", b"...\r\n.\r\n"),
        (b"\r\n", b"\r\n.\r\n"),
        (b"." * 998 + b"\r\n", b"." * 999 + b"\r\n.\r\n"),
    ],
)
def test_dots_and_ends(content, wire):
    """Leading dots are doubled, a missing last line end is added, and nothing else changes."""
    assert encoded([content]) == wire


@pytest.mark.parametrize("length", [997, 998, 999, 1000, 1_000_000])
@pytest.mark.parametrize("before", [b"", b"a\r\n", b"a\r\n" * 500])
@pytest.mark.parametrize("behind", [b"", b"\r\n", b"\r\nb\r\n" * 500])
@pytest.mark.parametrize("step", [1_100_000, 1000, 998, 333])
def test_line_length(length, before, behind, step):
    """A line of 998 octets passes and one of 999 does not, wherever it stands and however it is cut."""
    content = before + b"x" * length + behind
    wire = outcome(encoded, [content[i : i + step] for i in range(0, len(content), step)])
    assert (wire == "refused") == (length > 998)


def test_octets_are_counted():
    """Content is counted as it was given, without doubled dots and the end of data."""
    transparency = Transparency()
    transparency.encode(b".a\r\n")
    transparency.encode(b"")
    transparency.finish()
    assert transparency.octets == 4
