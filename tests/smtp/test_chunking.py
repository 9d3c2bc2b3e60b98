"""CHUNKING: a small message leaves in one go with its envelope; what every reply, and every loss, then means."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.smtp.connection import CHUNK_OCTETS
from postroad.smtp.session import Phase
from tests.smtp.test_connection import (
    CONTENT,
    PATHS,
    PLAIN,
    QUICK,
    SAID,
    STALLED,
    nothing,
    opened,
    pieces,
    send,
    summary,
)
from tests.smtp_sink import EXTENSIONS, Drop, Reset, Sink, assert_wire_invariants

CHUNKING = (*EXTENSIONS, "CHUNKING")
STAGES = ("MAIL", "RCPT", "DATA", "DOT")
OTHER = b"Subject: another\r\n\r\n"


def exchange(*contents, script=None, timeouts=QUICK, extensions=CHUNKING, mark=nothing, **options):
    """Open, send each content, quit; the sink and what became of each."""

    async def run():
        async with Sink(script, extensions=extensions) as sink:
            connection = await opened(sink, timeouts=timeouts)
            found = []
            for content in contents or ([CONTENT],):
                size = sum(map(len, content))
                needs = options | {"size": size, "content": pieces(*content), "mark": mark}
                found.append(await send(connection, **needs))
            await connection.quit()
        return sink, found

    sink, found = asyncio.run(run())
    for session in sink.sessions:
        assert_wire_invariants(session)
    return sink, found


def test_a_small_message_is_one_write():
    """Envelope and content leave together, and no dot is doubled."""
    sink, [transaction] = exchange()
    [session] = sink.sessions
    assert session.verbs == ["EHLO", "MAIL", "RCPT", "BDAT", "QUIT"]
    assert session.chunks == [CONTENT]
    assert transaction.transcript[-7:] == (
        *("> MAIL FROM:<me@a.test> SIZE=35", "> RCPT TO:<one@b.test>", "> BDAT 35 LAST"),
        *("> [35 octets of content]", "< 250 2.1.0 Ok", "< 250 2.1.5 Ok", "< 250 2.0.0 Ok: queued as 1"),
    )


def test_no_reply_is_waited_for():
    """A server that answers all of it only after BDAT is not waited for before."""
    silent = {("MAIL", 1): b"", ("RCPT", 1): b"", ("BDAT", 1): "250 2.1.0 Ok\n250 2.1.5 Ok\n250 2.0.0 Ok"}
    _, [transaction] = exchange(script=silent)
    assert summary(transaction) == [(250, "2.0.0")]


@pytest.mark.parametrize(
    ("extensions", "content"),
    [
        (EXTENSIONS, [CONTENT]),
        (("CHUNKING",), [CONTENT]),
        (CHUNKING, [b"x" * 62 + b"\r\n"] * (CHUNK_OCTETS // 64) + [b"\r\n"]),
    ],
    ids=["not offered", "without PIPELINING", "too large"],
)
def test_what_goes_by_data(extensions, content):
    """Where BDAT saves no round trip, or more would be held than a chunk, the content goes by DATA."""
    sink, [transaction] = exchange(content, extensions=extensions)
    assert summary(transaction) == [(250, "2.0.0")]
    assert sink.sessions[0].verbs == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    assert sink.messages[0].content == b"".join(content)


def test_a_session_that_was_idle_is_asked_first():
    """After the first message content waits for the envelope's replies: the server may be about to close."""
    sink, _ = exchange([CONTENT], [CONTENT])
    assert sink.sessions[0].verbs == ["EHLO", *("MAIL", "RCPT", "BDAT"), *("MAIL", "RCPT", "DATA"), "QUIT"]
    assert [message.content for message in sink.messages] == [CONTENT, CONTENT]


# As in test_connection, but what is lost after everything was sent is in doubt, wherever the replies end.
MEANS = {
    "2xx": (250, "2.0.0"),
    "4xx": (450, "4.2.0"),
    "5xx": (550, "5.1.1"),
    "421": (421, "4.3.2"),
    "3xx": (451, "4.5.0"),
    "junk": (451, "4.5.0"),
    "mismatch": (451, "4.5.0"),
}


@pytest.mark.parametrize("recipients", [1, 3])
@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DOT"])
def test_stages(stage, said, recipients):
    """Each stage times each thing a server can say: every recipient's fate, doubt, and the session's."""
    sink, [transaction] = exchange(
        script={(stage, 1): SAID[said]},
        timeouts=STALLED if said == "stall" else QUICK,
        paths=PATHS[:recipients],
    )
    means = MEANS.get(said, (451, "4.4.2"))
    alone = {"4xx": (250, "2.0.0"), "5xx": (250, "2.0.0"), "421": (451, "4.4.2")} if stage == "RCPT" else {}
    assert summary(transaction) == [means] + [alone.get(said, means)] * (recipients - 1)
    lost = means[0] in {421, 451}
    assert (transaction.loss is not None, transaction.reusable) == (lost, not lost)
    assert transaction.in_doubt == {path for path, reply in transaction.replies.items() if reply.code == 451}
    if means[0] == 250:
        assert [message.forward_paths for message in sink.messages] == [PATHS[:recipients]]


def test_a_421_to_one_recipient_leaves_the_others_in_doubt():
    """A server that says it, reads on and takes the message has it for the others; for that one it has not."""
    sink, [transaction] = exchange(script={("RCPT", PATHS[1]): "421 4.3.2 busy"}, paths=PATHS)
    assert summary(transaction) == [(451, "4.4.2"), (421, "4.3.2"), (451, "4.4.2")]
    assert transaction.in_doubt == {PATHS[0], PATHS[2]}
    assert [message.forward_paths for message in sink.messages] == [(PATHS[0], PATHS[2])]


def test_a_loss_leaves_the_refused_refused():
    """Who was refused before the loss is not in doubt; who was accepted is."""
    script = {("RCPT", PATHS[1]): "550 5.1.1 no", ("DOT_AFTER_COMMIT", 1): Reset()}
    sink, [transaction] = exchange(script=script, paths=PATHS)
    assert summary(transaction) == [(451, "4.4.2"), (550, "5.1.1"), (451, "4.4.2")]
    assert transaction.in_doubt == {PATHS[0], PATHS[2]}
    assert len(sink.messages) == 1


@pytest.mark.parametrize(
    ("extensions", "stages"),
    [(CHUNKING, ("MAIL", "RCPT", "DOT")), (EXTENSIONS, STAGES), (PLAIN, STAGES)],
    ids=["one write", "pipelining", "one by one"],
)
@pytest.mark.parametrize("said", ["450 4.2.0 later", "550 5.1.1 no"])
def test_nothing_carries_over(extensions, stages, said):
    """After a refusal at any stage RSET follows, and the next message has its own recipients and content alone."""
    for stage in stages:
        script = {(stage, 1): said}
        sink, [first, second] = exchange([CONTENT], [OTHER], script=script, extensions=extensions)
        assert summary(first) == [(int(said[:3]), said[4:9])]
        assert summary(second) == [(250, "2.0.0")]
        [session] = sink.sessions
        assert session.verbs[-5:] == ["RSET", "MAIL", "RCPT", "DATA", "QUIT"]
        [message] = sink.messages
        assert (message.forward_paths, message.content) == (PATHS[:1], OTHER)


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_bdat_refused_though_offered(code):
    """The session ends at once, as the content may have been taken for commands; the mail is not in doubt."""
    sink, [transaction] = exchange(script={("BDAT", 1): f"{code} 5.5.1 what?"})
    assert summary(transaction) == [(451, "4.5.0")]
    assert transaction.loss.phase is Phase.BDAT
    assert not transaction.in_doubt
    assert not transaction.reusable
    assert not sink.messages


def test_the_mark_is_made_before_anything_is_sent():
    """With all of it under way at once, doubt begins before the first octet."""
    seen = []

    async def run():
        async with Sink(extensions=CHUNKING) as sink:
            connection = await opened(sink)

            async def mark():
                seen.append(list(sink.sessions[0].verbs))

            await send(connection, mark=mark)
            await connection.quit()

    asyncio.run(run())
    assert seen == [["EHLO"]]


@pytest.mark.parametrize("octets", [b"a\nb\r\n", b"a\rb\r\n", b"a\0\r\n", b"x" * 999, b"a\r"])
def test_content_that_would_break_the_wire(octets):
    """It is refused by us for good before a word is said, although BDAT could carry it; the session goes on."""
    sink, [first, second] = exchange([b"a\r\n", octets], [CONTENT])
    assert summary(first) == [(554, "5.6.0")]
    assert summary(second) == [(250, "2.0.0")]
    assert sink.sessions[0].verbs[:3] == ["EHLO", "RSET", "MAIL"]
    assert len(sink.messages) == 1


def test_content_that_fails_is_not_sent():
    """What the content raises is raised again, and nothing of the message was said."""

    async def torn():
        yield b"a\r\n"
        raise OSError("disk")

    async def run():
        async with Sink(extensions=CHUNKING) as sink:
            connection = await opened(sink)
            with pytest.raises(OSError, match="disk"):
                await send(connection, content=torn())
            assert not connection.usable
        return sink

    assert asyncio.run(run()).sessions[0].verbs == ["EHLO"]


@given(
    st.lists(st.text(alphabet=".a\té", max_size=4).map(str.encode), max_size=30).map(b"\r\n".join),
    st.integers(1, 40),
)
@settings(max_examples=40, deadline=None)
def test_any_content_arrives_as_it_was(content, step):
    """Content of any lines in any pieces arrives to the octet, but for the line end that may be missing."""
    sink, _ = exchange([content[i : i + step] for i in range(0, len(content), step)])
    ended = content if not content or content.endswith(b"\r\n") else content + b"\r\n"
    assert sink.messages[0].content == ended
    assert sink.sessions[0].chunks == [ended]


def test_a_drop_within_the_content_is_in_doubt():
    """Who sees all replies lost cannot know how far the server came."""
    _, [transaction] = exchange(script={("BDAT", 1): Drop()})
    assert transaction.in_doubt == {PATHS[0]}
