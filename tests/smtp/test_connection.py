"""Sessions with a real socket: every stage, every reply, and every way to lose a server."""

import asyncio
import datetime as dt
import itertools
import ssl

import pytest
import trustme
from aiosmtpd.smtp import SMTP
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.smtp.connection import Connection
from postroad.smtp.session import Phase, SessionError, Timeouts
from tests.smtp_sink import (
    ALWAYS,
    EXTENSIONS,
    Dribble,
    Drop,
    Reset,
    Sink,
    Stall,
    assert_wire_invariants,
    running_sink,
)

QUICK = Timeouts(**dict.fromkeys(Timeouts.__dataclass_fields__, 5))
STALLED = Timeouts(**dict.fromkeys(Timeouts.__dataclass_fields__, 0.1) | {"connect": 5, "total": 5})
CONTENT = b"Subject: hello\r\n\r\n.dots.\r\n..\r\nend\r\n"
PATHS = ("one@b.test", "two@b.test", "three@b.test")
PLAIN = tuple(keyword for keyword in EXTENSIONS if keyword != "PIPELINING")


async def pieces(*octets):
    """Content as an async iterator."""
    for piece in octets:
        yield piece


async def nothing():
    """A mark that is durable at once."""


async def opened(sink, *, timeouts=QUICK, **options):
    """A session with the sink."""
    return await Connection.open("127.0.0.1", sink.port, hostname="me.test", timeouts=timeouts, **options)


async def send(connection, *, paths=PATHS[:1], content=None, reverse_path="me@a.test", mark=nothing, **needs):
    """One mail transaction."""
    needs = {"size": len(CONTENT), "eight_bit": False, "smtputf8": False} | needs
    content = pieces(CONTENT) if content is None else content
    return await connection.transact(reverse_path, paths, content, before_final_dot=mark, **needs)


def exchange(script=None, *, timeouts=QUICK, extensions=EXTENSIONS, body_offset=1, **options):
    """Open, send, quit; the sink and what became of the mail."""

    async def run():
        async with Sink(script, extensions=extensions, body_offset=body_offset) as sink:
            connection = await opened(sink, timeouts=timeouts)
            transaction = await send(connection, **options)
            await connection.quit()
        return sink, transaction

    return asyncio.run(run())


def failure(script=None, *, timeouts=QUICK, extensions=EXTENSIONS, server_tls=None, **options):
    """Open in vain; why."""

    async def run():
        async with Sink(script, extensions=extensions, tls=server_tls) as sink:
            with pytest.raises(SessionError) as failed:
                await opened(sink, timeouts=timeouts, **options)
        return sink, failed.value

    return asyncio.run(run())


def summary(transaction):
    """Codes and statuses, in the order of the recipients."""
    return [(reply.code, reply.status) for reply in transaction.replies.values()]


# The mail transaction, stage by stage (hardening.md 3.1)

SAID = {
    "2xx": "250 2.0.0 fine",
    "4xx": "450 4.2.0 later",
    "5xx": "550 5.1.1 never",
    "421": "421 4.3.2 closing",
    "3xx": "334 more",
    "junk": b"hello?\r\n",
    "mismatch": b"250-a\r\n550 b\r\n",
    "drop": Drop(),
    "half a reply": Drop(b"250 2.0"),
    "reset": Reset(),
    "stall": Stall(),
}
MEANS = {
    "4xx": (450, "4.2.0"),
    "5xx": (550, "5.1.1"),
    "421": (421, "4.3.2"),
    "3xx": (451, "4.5.0"),
    "junk": (451, "4.5.0"),
    "mismatch": (451, "4.5.0"),
}
TURNED_ROUND = {("DATA", "2xx"): (451, "4.5.0")}  # a 250 to DATA is out of turn


@pytest.mark.parametrize("recipients", [1, 3])
@pytest.mark.parametrize("extensions", [EXTENSIONS, PLAIN], ids=["pipelining", "one by one"])
@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "DOT"])
def test_stages(stage, said, extensions, recipients):
    """Each stage times each thing a server can say: every recipient's fate, doubt, and the session's."""
    sink, transaction = exchange(
        {(stage, 1): SAID[said]},
        timeouts=STALLED if said == "stall" else QUICK,
        extensions=extensions,
        paths=PATHS[:recipients],
    )
    means = TURNED_ROUND.get((stage, said)) or MEANS.get(said) or ((451, "4.4.2"), (250, "2.0.0"))[said == "2xx"]
    only_the_first = stage == "RCPT" and said in {"4xx", "5xx"}
    expected = [means] + [(250, "2.0.0") if only_the_first else means] * (recipients - 1)
    assert summary(transaction) == expected
    lost = means[0] in {421, 451}
    assert transaction.reusable == (not lost)
    assert (transaction.loss is not None) == lost
    assert transaction.in_doubt == (
        frozenset(PATHS[:recipients]) if lost and stage == "DOT" and said != "421" else set()
    )
    delivered = [path for path, (code, _) in zip(PATHS, expected, strict=False) if code == 250]
    assert [message.forward_paths for message in sink.messages] == ([tuple(delivered)] if delivered else [])
    for session in sink.sessions:
        assert_wire_invariants(session)


@pytest.mark.parametrize(
    ("stage", "said", "phase"),
    [
        ("MAIL", Drop(), "while waiting for the reply to MAIL FROM"),
        ("RCPT", Stall(), "while waiting for the reply to RCPT TO"),
        ("DATA", b"?\r\n", "while waiting for the reply to DATA"),
        ("DOT", Drop(), "while waiting for the reply to the end of data"),
    ],
)
def test_a_loss_names_its_phase(stage, said, phase):
    """The reply, the exception and the transcript of a loss name the command, and that it is we who say it."""
    _, transaction = exchange({(stage, 1): said}, timeouts=STALLED if said == Stall() else QUICK)
    (reply,) = transaction.replies.values()
    assert reply.ours
    assert phase in reply.text
    assert phase in str(transaction.loss)
    assert phase in transaction.transcript[-1]


def test_the_reply_lost_after_the_commit():
    """A message that was stored and not acknowledged is in doubt; one refused before is not."""
    script = {("RCPT", PATHS[1]): "550 5.1.1 no", ("DOT_AFTER_COMMIT", 1): Drop()}
    sink, transaction = exchange(script, paths=PATHS)
    assert summary(transaction) == [(451, "4.4.2"), (550, "5.1.1"), (451, "4.4.2")]
    assert transaction.in_doubt == {PATHS[0], PATHS[2]}
    assert len(sink.messages) == 1


@pytest.mark.parametrize("extensions", [EXTENSIONS, PLAIN], ids=["pipelining", "one by one"])
@pytest.mark.parametrize("data", [None, "354 go", "503 5.5.1 no", "451 4.3.0 later"])
def test_all_recipients_refused(extensions, data):
    """The replies to RCPT count; a 354 all the same is answered with a lone dot, and the session goes on."""
    marked = []

    async def mark():
        marked.append(1)

    script = {("RCPT", 1): "550 5.1.1 no", ("RCPT", 2): "450 4.2.0 later"}
    if data:
        script["DATA", 1] = data
        script["DOT", 1] = "554 5.5.1 nobody"
    sink, transaction = exchange(script, extensions=extensions, paths=PATHS[:2], mark=mark)
    assert summary(transaction) == [(550, "5.1.1"), (450, "4.2.0")]
    assert transaction.reusable
    assert not marked
    pipelining = extensions is EXTENSIONS
    assert sink.sessions[0].contents == ([b".\r\n"] if pipelining and data == "354 go" else [])
    assert ("DATA" in sink.sessions[0].verbs) == pipelining


def test_mail_refused_yet_content_wanted():
    """A server that refuses MAIL and wants content all the same gets a lone dot."""
    script = {("MAIL", 1): "550 5.7.1 no", ("RCPT", 1): "250 ok", ("DATA", 1): "354 go", ("DOT", 1): "250 ok"}
    sink, transaction = exchange(script)
    assert summary(transaction) == [(550, "5.7.1")]
    assert transaction.reusable
    assert sink.sessions[0].contents == [b".\r\n"]


def test_too_many_recipients():
    """552 to RCPT among accepted ones is transient and keeps its text."""
    _, transaction = exchange({("RCPT", 3): "552 5.5.3 that's enough"}, paths=PATHS)
    assert summary(transaction) == [(250, "2.0.0"), (250, "2.0.0"), (452, "4.5.3")]
    assert transaction.replies[PATHS[2]].text == "that's enough"


@pytest.mark.parametrize("said", ["250 2.0.0 Ok", "451 no", "500 what?", "421 bye", Drop(), Stall(), b"?\r\n"])
def test_rset_decides_on_the_session_only(said):
    """After a refused transaction the session is reusable if RSET is taken; the fate stays what it was."""
    _, transaction = exchange({("MAIL", 1): "450 4.2.0 later", ("RSET", 1): said}, timeouts=STALLED)
    assert summary(transaction) == [(450, "4.2.0")]
    assert transaction.reusable == (said == "250 2.0.0 Ok")
    assert transaction.loss is None


@pytest.mark.parametrize("said", ["221 bye", "500 what?", "421 bye", Drop(), Reset(), Stall(), b"?\r\n"])
def test_quit_changes_nothing(said):
    """Whatever happens to QUIT, nothing is raised and the mail stays delivered."""
    sink, transaction = exchange({("QUIT", 1): said}, timeouts=STALLED)
    assert summary(transaction) == [(250, "2.0.0")]
    assert len(sink.messages) == 1


def test_a_tarpit_is_left():
    """A reply in single octets is given the time of one reply, not of one octet."""
    _, transaction = exchange({("MAIL", 1): Dribble("250 2.1.0 Ok", 0.05)}, timeouts=STALLED)
    assert transaction.loss.phase is Phase.MAIL
    assert "timed out" in transaction.loss.reply.text


def test_a_transaction_has_a_total_cap():
    """Replies that each come in time are cut short by the cap on the whole, which is not in doubt."""
    timeouts = Timeouts(mail=5, rcpt=5, total=0.1)
    script = {("RCPT", ALWAYS): Dribble("250 2.1.5 Ok", 0.004)}
    paths = [f"{n}@b.test" for n in range(50)]
    _, transaction = exchange(script, timeouts=timeouts, paths=paths)
    assert transaction.loss.phase is Phase.RCPT
    assert not transaction.in_doubt


def test_the_cap_spares_the_end_of_data():
    """The reply to the end of data has its full time even when the cap on the transaction has passed."""
    timeouts = Timeouts(total=0.1)
    _, transaction = exchange({("DOT_AFTER_COMMIT", 1): Dribble("250 2.0.0 Ok", 0.02)}, timeouts=timeouts)
    assert summary(transaction) == [(250, "2.0.0")]


# Content

BIG = 40 * 1024 * 1024  # more than the sockets between two ends hold
BLOCK = (b"x" * 998 + b"\r\n") * 256


async def big():
    """Content that does not fit into the sockets."""
    for _ in range(BIG // len(BLOCK)):
        yield BLOCK


@pytest.mark.parametrize("hang_up", [Drop, Reset])
def test_early_refusal_of_content(hang_up):
    """A server that refuses content half-way and closes is heard before the broken pipe is."""
    marked = []

    async def mark():
        marked.append(1)

    script = {("BODY", 1): hang_up(b"552 5.3.4 too big\r\n")}
    _, transaction = exchange(script, content=big(), body_offset=2_000_000, mark=mark)
    assert not marked
    # A reset may destroy what was said before it; then, and only then, it is a loss.
    assert summary(transaction) in ([(552, "5.3.4")], [(451, "4.4.2")][: hang_up is Reset])
    assert not transaction.reusable
    assert not transaction.in_doubt


def test_early_refusal_from_another_thread():
    """The early refusal is heard as well when the server does not share our event loop."""

    async def run(port):
        connection = await Connection.open("127.0.0.1", port, hostname="me.test", timeouts=QUICK)
        transaction = await send(connection, content=big())
        connection.abort()
        return transaction

    for offset in (1, 100_000, 3_000_000):
        with running_sink({("BODY", 1): Drop(b"552 5.3.4 too big\r\n")}, body_offset=offset) as sink:
            assert summary(asyncio.run(run(sink.port))) == [(552, "5.3.4")]


@pytest.mark.parametrize(
    ("said", "status"),
    [(Drop(), "4.4.2"), (Stall(), "4.4.2"), (b"250 2.0.0 Ok\r\n", "4.5.0"), (Drop(b"421 4.3.2 bye\r\n"), "4.3.2")],
)
def test_losses_within_content(said, status):
    """A drop, a stall, an acceptance too early or a 421 within the content is transient and not in doubt."""
    sink, transaction = exchange({("BODY", 1): said}, content=big(), timeouts=STALLED)
    assert [reply.status for reply in transaction.replies.values()] == [status]
    assert transaction.loss.phase is Phase.BLOCK
    assert not transaction.in_doubt
    assert not sink.messages


@pytest.mark.parametrize(
    ("said", "status", "lost"),
    [(b"354 go\r\n250 2.0.0 Ok\r\n", "4.5.0", True), (b"354 go\r\n552 5.3.4 too big\r\n", "5.3.4", False)],
)
@pytest.mark.parametrize("extensions", [EXTENSIONS, PLAIN], ids=["pipelining", "one by one"])
def test_content_judged_together_with_the_354(said, status, lost, extensions):
    """An acceptance that comes with the 354 is not believed, a refusal is; neither gets an end of data."""
    sink, transaction = exchange({("DATA", 1): said}, extensions=extensions)
    assert [reply.status for reply in transaction.replies.values()] == [status]
    assert (transaction.loss is not None) == lost
    assert not transaction.in_doubt
    assert not transaction.reusable
    assert not sink.messages


@pytest.mark.parametrize("octets", [b"a\nb\r\n", b"a\rb\r\n", b"a\0\r\n", b"x" * 999, b"a\r"])
def test_content_that_would_break_the_wire(octets):
    """It is refused by us for good, and the session ends without an end of data."""
    sink, transaction = exchange(content=pieces(b"a\r\n", octets))
    assert summary(transaction) == [(554, "5.6.0")]
    assert transaction.replies[PATHS[0]].ours
    assert not transaction.reusable
    assert not sink.messages
    assert not sink.sessions[0].contents


@pytest.mark.parametrize("content", [b"", b".", b"a", b"\r\n", b"..\r\n.\r\n.", b"a\r\n" * 100_000, b"." * 998])
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_content_arrives_as_it_was(content, step):
    """Content arrives to the octet, but for the line end that may be missing."""
    if len(content) // step > 1000:
        step = 70_001
    cut = (content[i : i + step] for i in range(0, len(content), step))
    sink, _ = exchange(content=pieces(*cut))
    ended = content if not content or content.endswith(b"\r\n") else content + b"\r\n"
    assert [message.content for message in sink.messages] == [ended]
    assert_wire_invariants(sink.sessions[0])


@given(
    st.lists(st.text(alphabet=".a\té", max_size=4).map(str.encode), max_size=30).map(b"\r\n".join),
    st.integers(1, 40),
)
@settings(max_examples=40, deadline=None)
def test_any_content_arrives_as_it_was(content, step):
    """Content of any lines in any pieces keeps the wire's invariant and arrives to the octet."""
    sink, _ = exchange(content=pieces(*(content[i : i + step] for i in range(0, len(content), step))))
    ended = content if not content or content.endswith(b"\r\n") else content + b"\r\n"
    assert sink.messages[0].content == ended
    assert_wire_invariants(sink.sessions[0])


# The mark before the final dot


def test_the_mark_is_made_before_the_end_of_data():
    """When the mark is made, the server has no end of data yet; afterwards it has one message."""

    async def run():
        async with Sink() as sink:
            connection = await opened(sink)
            seen = []

            async def mark():
                for _ in range(20):
                    await asyncio.sleep(0)
                seen.append((len(sink.messages), bytes(sink.sessions[0].received[-5:])))

            for content in (CONTENT, b"y" * 998 + b"\r\n" + CONTENT * 5000):
                await send(connection, content=pieces(content), mark=mark)
            await connection.quit()
        return seen, sink

    seen, sink = asyncio.run(run())
    assert [count for count, _ in seen] == [0, 1]
    assert all(tail != b"\r\n.\r\n" for _, tail in seen)
    assert len(sink.messages) == 2


def test_a_mark_that_fails_keeps_the_dot_back():
    """What the mark raises is raised again, and the server has no message."""

    class DiskFullError(Exception):
        pass

    async def mark():
        raise DiskFullError

    async def run():
        async with Sink() as sink:
            connection = await opened(sink)
            with pytest.raises(DiskFullError):
                await send(connection, mark=mark)
            assert not connection.usable
            await connection.quit()
        return sink

    assert not asyncio.run(run()).messages


def test_content_that_fails_keeps_the_dot_back():
    """What the content raises is raised again, an OSError too, and the server has no message."""

    async def torn():
        yield b"a\r\n"
        raise OSError("disk")

    async def run():
        async with Sink() as sink:
            connection = await opened(sink)
            with pytest.raises(OSError, match="disk"):
                await send(connection, content=torn())
            assert not connection.usable
        return sink

    assert not asyncio.run(run()).messages


def test_a_cancelled_transaction_ends_the_session():
    """Cancellation passes through and leaves no session behind."""

    async def run():
        async with Sink({("MAIL", 1): Stall()}) as sink:
            connection = await opened(sink)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await send(connection)
            assert not connection.usable
            await connection.quit()

    asyncio.run(run())


# What is said


def test_the_envelope_is_one_write_with_pipelining():
    """With PIPELINING all commands arrive together, and no content before the 354."""
    sink, _ = exchange(paths=PATHS)
    assert sink.sessions[0].commands == [
        b"EHLO me.test\r\n",
        b"MAIL FROM:<me@a.test> SIZE=35\r\n",
        *(f"RCPT TO:<{path}>\r\n".encode() for path in PATHS),
        b"DATA\r\n",
        b"QUIT\r\n",
    ]


def test_no_reply_is_waited_for_twice_with_pipelining():
    """A server that answers the group only after DATA is not waited for before."""
    script = {("MAIL", 1): b"", ("RCPT", 1): b"", ("DATA", 1): "250 2.1.0 Ok\n250 2.1.5 Ok\n354 go"}
    _, transaction = exchange(script)
    assert summary(transaction) == [(250, "2.0.0")]


@pytest.mark.parametrize(
    ("extensions", "needs", "mail"),
    [
        ((), {}, b"MAIL FROM:<me@a.test>\r\n"),
        (EXTENSIONS, {"size": None}, b"MAIL FROM:<me@a.test>\r\n"),
        (EXTENSIONS, {"reverse_path": None}, b"MAIL FROM:<> SIZE=35\r\n"),
        (EXTENSIONS, {"eight_bit": True}, b"MAIL FROM:<me@a.test> SIZE=35 BODY=8BITMIME\r\n"),
        (EXTENSIONS, {"smtputf8": True}, b"MAIL FROM:<me@a.test> SIZE=35 SMTPUTF8\r\n"),
    ],
)
def test_parameters_of_mail(extensions, needs, mail):
    """Parameters are sent when they are needed and offered."""
    sink, transaction = exchange(extensions=extensions, **needs)
    assert sink.sessions[0].commands[1] == mail
    assert summary(transaction) == [(250, "2.0.0")]


@pytest.mark.parametrize(
    ("extensions", "needs", "status"),
    [
        (("SIZE 34",), {}, "5.3.4"),
        (("SIZE",), {"eight_bit": True}, "5.6.3"),
        (("8BITMIME",), {"smtputf8": True, "paths": ["é@b.test"]}, "5.6.7"),
    ],
)
def test_mail_that_the_server_cannot_take(extensions, needs, status):
    """It is refused by us, for good, without a word to the server, and the session stays usable."""
    sink, transaction = exchange(extensions=extensions, **needs)
    (reply,) = transaction.replies.values()
    assert (reply.permanent, reply.status) == (True, status)
    assert transaction.reusable
    assert sink.sessions[0].verbs == ["EHLO", "QUIT"]


@pytest.mark.parametrize("paths", [[], ["a@b.test"] * 2, ["a@b.test", "x\r\nRSET"], ["é@b.test"]])
def test_recipients_that_cannot_be_sent(paths):
    """ValueError, before a single octet is sent."""

    async def run():
        async with Sink() as sink:
            connection = await opened(sink)
            with pytest.raises(ValueError, match=r"forward-paths|mailbox"):
                await send(connection, paths=paths)
            assert connection.usable
            await connection.quit()
        return sink

    assert asyncio.run(run()).sessions[0].verbs == ["EHLO", "QUIT"]


def test_transcript_of_a_transaction():
    """The transcript holds the opening and this transaction, the content only by its size."""
    _, transaction = exchange(
        {("RCPT", 2): "550-5.1.1 no\n550 5.1.1 never"}, paths=PATHS[:2], extensions=("PIPELINING",)
    )
    assert transaction.transcript[1:] == (
        *("< 220 sink.test ESMTP", "> EHLO me.test", "< 250-sink.test", "< 250 PIPELINING"),
        *("> MAIL FROM:<me@a.test>", "> RCPT TO:<one@b.test>", "> RCPT TO:<two@b.test>", "> DATA"),
        *("< 250 2.1.0 Ok", "< 250 2.1.5 Ok", "< 550-5.1.1 no", "< 550 5.1.1 never", "< 354 go ahead"),
        *("> [35 octets of content]", "> .", "< 250 2.0.0 Ok: queued as 1"),
    )


# The session


def test_a_session_is_reused():
    """Messages follow each other on one session, a refused one among them."""

    async def run():
        async with Sink({("RCPT", 2): "550 5.1.1 no"}) as sink:
            connection = await opened(sink)
            found = [summary(await send(connection)) for _ in range(3)]
            await connection.quit()
        return sink, found

    sink, found = asyncio.run(run())
    assert found == [[(250, "2.0.0")], [(550, "5.1.1")], [(250, "2.0.0")]]
    assert len(sink.messages) == 2
    (session,) = sink.sessions
    assert session.verbs == ["EHLO", *["MAIL", "RCPT", "DATA"] * 2, "RSET", *["MAIL", "RCPT", "DATA"], "QUIT"]


@pytest.mark.parametrize(
    ("said", "code", "status"),
    [
        (Drop(b"250 2.0.0 Ok\r\n421 4.4.2 idle\r\n"), 421, "4.4.2"),
        (Drop(b"250 2.0.0 Ok\r\n"), 451, "4.4.2"),
        (b"250 2.0.0 Ok\r\n250 2.0.0 twice\r\n", 451, "4.5.0"),
    ],
)
def test_an_idle_session_that_the_server_ended(said, code, status):
    """The message before is delivered, the session is not usable, and the next mail is told why, transiently."""

    async def run():
        async with Sink({("DOT", 1): said}) as sink:
            connection = await opened(sink)
            first = await send(connection)
            async with asyncio.timeout(5):
                while connection.usable:  # noqa: ASYNC110 - what it waits for is the socket's, not ours
                    await asyncio.sleep(0)
            second = await send(connection)
            third = await send(connection)
            await connection.quit()
        return first, second, third

    first, second, third = asyncio.run(run())
    assert summary(first) == [(250, "2.0.0")]
    assert summary(second) == [(code, status)]
    assert second.loss.phase is Phase.IDLE
    assert summary(third) == [(451, "4.4.2")]
    assert not second.in_doubt
    assert not third.reusable


@pytest.mark.parametrize("stage", ["CONNECT", "EHLO"])
@pytest.mark.parametrize(
    ("said", "code", "status"),
    [
        ("421 4.3.2 closing", 421, "4.3.2"),
        ("450 4.7.1 later", 450, "4.7.1"),
        ("554 5.7.1 not you", 554, "5.7.1"),
        (b"junk\r\n", 451, "4.5.0"),
        ("354 what", 451, "4.5.0"),
        (b"250-" * 5000, 451, "4.5.0"),
        (b"250-x\r\n" * 101, 451, "4.5.0"),
        (Drop(), 451, "4.4.2"),
        (Stall(), 451, "4.4.2"),
    ],
)
def test_openings_that_fail(stage, said, code, status):
    """A refused, lost or senseless opening is a SessionError with the server's reply or a transient one."""
    _, error = failure({(stage, 1): said}, timeouts=STALLED)
    assert (error.reply.code, error.reply.status) == (code, status)
    assert error.phase is {"CONNECT": Phase.BANNER, "EHLO": Phase.EHLO}[stage]
    assert not error.in_doubt
    assert error.transcript[0].startswith("= connected to 127.0.0.1")


@pytest.mark.parametrize("code", [500, 502, 504])
def test_a_server_without_ehlo(code):
    """HELO follows, and no extension is used."""
    sink, transaction = exchange({("EHLO", 1): f"{code} 5.5.1 what?"})
    assert summary(transaction) == [(250, "2.0.0")]
    assert sink.sessions[0].commands[1:3] == [b"HELO me.test\r\n", b"MAIL FROM:<me@a.test>\r\n"]


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "a" * 70 + ".test"])
def test_a_server_that_is_not_there(host):
    """A refused connection and a name without an address are a transient SessionError."""

    async def run():
        async with Sink() as sink:
            port = sink.port
        with pytest.raises(SessionError) as failed:
            await Connection.open(host, port, hostname="me.test", timeouts=QUICK)
        return failed.value

    error = asyncio.run(run())
    assert (error.reply.code, error.reply.status, error.phase) == (451, "4.4.1", Phase.CONNECT)


# TLS


@pytest.fixture(scope="module")
def client_tls(authority):
    """A context that trusts it."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def server_context(authority, name="mx.test"):
    """A server's context with a certificate for that name."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


def test_mail_over_tls(authority, client_tls):
    """STARTTLS, a second EHLO, and content of all sizes; the transcript names version and cipher."""

    async def run():
        async with Sink(tls=server_context(authority)) as sink:
            connection = await opened(sink, tls=client_tls, server_hostname="mx.test")
            assert connection.tls.version() == "TLSv1.3"
            transactions = [await send(connection, content=pieces(CONTENT * n)) for n in (1, 100_000)]
            await connection.quit()
        return sink, transactions

    sink, transactions = asyncio.run(run())
    assert [summary(transaction) for transaction in transactions] == [[(250, "2.0.0")]] * 2
    assert [message.content for message in sink.messages] == [CONTENT, CONTENT * 100_000]
    assert all(message.tls for message in sink.messages)
    assert sink.sessions[0].verbs[:4] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]
    assert any(line.startswith("= TLSv1.3 TLS_") for line in transactions[0].transcript)


def test_early_refusal_over_tls(authority, client_tls):
    """An early refusal of content is heard through TLS too, where the server goes on reading."""

    async def run():
        script = {("BODY", 1): b"552 5.3.4 too big\r\n"}
        async with Sink(script, tls=server_context(authority)) as sink:
            connection = await opened(sink, tls=client_tls, server_hostname="mx.test")
            transaction = await send(connection, content=big())
            await connection.quit()
        return sink, transaction

    sink, transaction = asyncio.run(run())
    assert summary(transaction) == [(552, "5.3.4")]
    assert not sink.messages


def test_what_was_offered_in_plaintext_is_forgotten(authority, client_tls):
    """Extensions are those of the second EHLO."""

    async def run():
        script = {("EHLO", 2): "250-sink.test\n250 SIZE 5"}
        async with Sink(script, tls=server_context(authority)) as sink:
            connection = await opened(sink, tls=client_tls, server_hostname="mx.test")
            await connection.quit()
        return connection.extensions

    offered = asyncio.run(run())
    assert (offered.pipelining, offered.starttls, offered.size_limit) == (False, False, 5)


def test_no_tls_unless_both_want_it(authority, client_tls):
    """Without a context, or without STARTTLS in the reply to EHLO, the session is in plaintext and says so."""

    async def run(server, client):
        async with Sink(tls=server) as sink:
            connection = await opened(sink, tls=client)
            assert connection.tls is None
            await connection.quit()
        return sink.sessions[0].verbs

    assert asyncio.run(run(None, client_tls)) == ["EHLO", "QUIT"]
    assert asyncio.run(run(server_context(authority), None)) == ["EHLO", "QUIT"]


@pytest.mark.parametrize(
    ("injected", "status"),
    [
        (b"220 go\r\n250 injected\r\n", "4.5.0"),
        (b"220 go\r\n250-injected\r\n250 SIZE 1\r\n250 Ok\r\n" * 10, "4.5.0"),
        (b"220 go\r\n2", "4.5.0"),
        (b"220-go\r\n220 on\r\n\0", "4.5.0"),
    ],
)
def test_plaintext_behind_the_reply_to_starttls(authority, client_tls, injected, status):
    """Octets that somebody put behind the 220 drop the session; nothing is sent and nothing believed."""
    sink, error = failure(
        {("STARTTLS", 1): injected},
        server_tls=server_context(authority),
        tls=client_tls,
        server_hostname="mx.test",
    )
    assert error.reply.status == status
    assert error.phase in {Phase.STARTTLS, Phase.HANDSHAKE}
    assert sink.sessions[0].verbs == ["EHLO", "STARTTLS"]


def test_plaintext_after_the_client_hello(authority, client_tls):
    """Octets put in just before the handshake are no TLS and end it."""
    script = {("HANDSHAKE", 1): b"250 injected\r\n"}
    _, error = failure(script, server_tls=server_context(authority), tls=client_tls, server_hostname="mx.test")
    assert error.reply.status in {"4.5.0", "4.7.5"}


@pytest.mark.parametrize(
    ("script", "phase"),
    [
        ({("STARTTLS", 1): "454 4.7.0 not now"}, Phase.STARTTLS),
        ({("STARTTLS", 1): "554 5.7.0 never"}, Phase.STARTTLS),
        ({("STARTTLS", 1): Drop()}, Phase.STARTTLS),
        ({("STARTTLS", 1): Stall()}, Phase.STARTTLS),
        ({("HANDSHAKE", 1): Drop()}, Phase.HANDSHAKE),
        ({("HANDSHAKE", 1): Reset()}, Phase.HANDSHAKE),
        ({("HANDSHAKE", 1): Stall()}, Phase.HANDSHAKE),
    ],
)
def test_tls_that_cannot_be_started(authority, client_tls, script, phase):
    """A refused, dropped or stalled start of TLS is transient, 4.7.5, and leaves the choice to the caller."""
    _, error = failure(
        script, timeouts=STALLED, server_tls=server_context(authority), tls=client_tls, server_hostname="mx.test"
    )
    assert (error.phase, error.reply.code, error.reply.status) == (phase, 451, "4.7.5")


def old(context):
    """The context, ending with TLS 1.1."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")
    return context


@pytest.mark.parametrize("fault", ["self-signed", "name", "expired", "old"])
def test_certificates_that_are_refused(authority, client_tls, fault):
    """A certificate that a strict context refuses is a transient SessionError, 4.7.5, of the handshake."""
    server = {
        "self-signed": lambda: server_context(trustme.CA()),
        "name": lambda: server_context(authority, "other.test"),
        "expired": lambda: expired(authority),
        "old": lambda: old(server_context(authority)),
    }[fault]()
    _, error = failure(server_tls=server, tls=client_tls, server_hostname="mx.test")
    assert (error.phase, error.reply.status) == (Phase.HANDSHAKE, "4.7.5")


@pytest.mark.parametrize("name", [".mx.test", "mx..test", "a" * 70 + ".test"])
def test_a_server_name_that_is_none(authority, client_tls, name):
    """A name that no certificate can have is a failed handshake, not a crash."""
    _, error = failure(server_tls=server_context(authority), tls=client_tls, server_hostname=name)
    assert (error.phase, error.reply.status) == (Phase.HANDSHAKE, "4.7.5")


def expired(authority):
    """A server's context whose certificate has ended."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    authority.issue_cert("mx.test", not_after=long_ago).configure_cert(context)
    return context


# A foreign judge


class Mailbox:
    """Keeps what aiosmtpd received."""

    def __init__(self):
        self.envelopes = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        """Take it."""
        self.envelopes.append(envelope)
        return "250 2.0.0 Ok"


def test_aiosmtpd_understands_us(authority, client_tls):
    """The receiver aiosmtpd gets envelope and content as sent, in plaintext and over TLS, on reused sessions."""
    contents = [CONTENT, b"", "é\r\n".encode(), b".\r\n..\r\n", (b"." * 900 + b"\r\n") * 100]

    async def run(tls):
        mailbox = Mailbox()
        context = server_context(authority) if tls else None
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(mailbox, hostname="judge.test", enable_SMTPUTF8=True, tls_context=context, loop=loop),
            *("127.0.0.1", 0),
        )
        port = server.sockets[0].getsockname()[1]
        connection = await Connection.open(
            "127.0.0.1", port, hostname="me.test", tls=tls, server_hostname="mx.test", timeouts=QUICK
        )
        for content in contents:
            result = await send(connection, content=pieces(content), paths=PATHS, eight_bit=True, smtputf8=True)
            assert [reply.code for reply in result.replies.values()] == [250] * 3
        await connection.quit()
        server.close()
        await server.wait_closed()
        return mailbox.envelopes

    for tls in (None, client_tls):
        envelopes = asyncio.run(run(tls))
        assert [envelope.original_content for envelope in envelopes] == contents
        assert {tuple(envelope.rcpt_tos) for envelope in envelopes} == {PATHS}
        assert {envelope.mail_from for envelope in envelopes} == {"me@a.test"}


def test_the_sink_on_a_thread():
    """The kit serves plain code too: several sessions at once, and waiting for what they send."""

    async def run(port):
        async def one():
            connection = await Connection.open("127.0.0.1", port, hostname="me.test", timeouts=QUICK)
            await send(connection)
            await connection.quit()

        await asyncio.gather(*(one() for _ in itertools.repeat(None, 5)))

    with running_sink() as sink:
        asyncio.run(run(sink.port))
        assert [message.content for message in sink.wait_for(5)] == [CONTENT] * 5
        for session in sink.sessions:
            assert_wire_invariants(session)
