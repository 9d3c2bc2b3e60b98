"""One attempt against a recording server: sessions, forms, outcomes, and when doubt begins."""

import asyncio
import base64
import ssl
from contextlib import AsyncExitStack

import pytest
import trustme

from postroad.mail.envelope import Envelope
from postroad.mail.outcome import Content, Delayed, Errand, Failed, Relayed
from postroad.mail.reply import Reply
from postroad.relay.attempt import Relay, preferred
from postroad.relay.demands import always
from postroad.relay.route import CannotRouteError, NextHop, Route, Target
from postroad.relay.security import PLAINTEXT, Demand, opportunistic
from postroad.relay.sessions import Sessions
from postroad.smtp.session import Timeouts
from tests.smtp_sink import ALWAYS, EXTENSIONS, Drop, Reset, Sink, Stall, assert_wire_invariants

QUICK = Timeouts(**dict.fromkeys(Timeouts.__dataclass_fields__, 5))
HEADER = b"From: me@a.test\r\nTo: one@b.test\r\nSubject: hello\r\nMIME-Version: 1.0\r\n"
PLAIN = HEADER + b"\r\n.body\r\n"
EIGHT_BIT = HEADER + "Content-Type: text/plain; charset=utf-8\r\n\r\ngrün\r\n".encode()
LONG_LINE = HEADER + b"Content-Type: text/plain\r\n\r\n" + b"words " * 500 + b"\r\n"
LARGE = HEADER + b"\r\n" + (b"x" * 76 + b"\r\n") * 8000
SEVEN_BIT_SERVER = tuple(keyword for keyword in EXTENSIONS if keyword not in ("8BITMIME", "SMTPUTF8"))


def errand(*paths, octets=PLAIN, reverse_path="me@a.test"):
    """What the queue hands over, in chunks of 64 KiB."""

    async def chunks():
        for at in range(0, len(octets), 1 << 16):
            yield octets[at : at + (1 << 16)]

    header, _, body = octets.partition(b"\r\n\r\n")
    content = Content(
        content_id=7,
        size=len(octets),
        longest_line=max(map(len, octets.split(b"\r\n"))),
        eight_bit=not body.isascii(),
        utf8_header=not header.isascii(),
        tls_optional=b"TLS-Required: No" in header,
        chunks=chunks,
    )
    return Errand(5, Envelope(reverse_path, paths or ("one@b.test",)), content, None, 0)


async def until(condition):
    """Let everybody else on the loop have turns until it holds."""
    while not condition():  # noqa: ASYNC110 - a sink tells nobody what it has received
        await asyncio.sleep(0)


class Marks(list):
    """Notes the hosts that were marked."""

    async def __call__(self, host):
        self.append(host)


def relay_to(*ports, tls=None):
    """A relay whose route are these ports of this machine, in their order."""

    async def find():
        return Route(tuple(NextHop("127.0.0.1", port) for port in ports))

    return Relay(Sessions("here.test", QUICK), find, always(Demand(tls)))


def play(scenario, script=None, *, tls=None, server_tls=None, **options):
    """Play a scenario with a relay and a sink; the sink, whose wire is checked."""

    async def run():
        async with Sink(script, tls=server_tls, **options) as sink, asyncio.timeout(20):
            relay = relay_to(sink.port, tls=tls)
            await scenario(relay, sink)
            await relay.sessions.close()
        return sink

    sink = asyncio.run(run())
    for session in sink.sessions:
        assert_wire_invariants(session)
    return sink


def attempt(*errands, marks=None, **options):
    """Attempt the errands one after another; the sink and what was attempted."""
    found = []

    async def scenario(relay, _sink):
        found.extend(
            [await relay.attempt(one, Marks() if marks is None else marks) for one in errands or [errand()]]
        )

    return play(scenario, **options), found


def test_a_message_arrives_and_its_reply_is_kept():
    """Envelope and octets are the sender's; host, outcome and conversation are for the record."""
    marks = Marks()
    sink, [attempted] = attempt(marks=marks)
    [message] = sink.messages
    assert (message.reverse_path, message.forward_paths, message.content) == ("me@a.test", ("one@b.test",), PLAIN)
    assert attempted.outcomes == {"one@b.test": Relayed(Reply(250, "2.0.0", "Ok: queued as 1"))}
    assert attempted.host == f"127.0.0.1:{sink.port}"
    assert marks == [attempted.host]
    assert "> RCPT TO:<one@b.test>\n" in attempted.conversation


def test_the_null_reverse_path_is_empty():
    """A DSN is sent from <>."""
    sink, _ = attempt(errand(reverse_path=None))
    assert sink.messages[0].reverse_path is None
    assert any(line.startswith(b"MAIL FROM:<>") for line in sink.sessions[0].commands)


def test_each_recipient_has_an_outcome_of_its_own():
    """By the reply to its own RCPT, or by that to the content."""
    script = {("RCPT", "no@b.test"): "550 5.1.1 no", ("RCPT", "late@b.test"): "450 4.2.1 later"}
    sink, [attempted] = attempt(errand("no@b.test", "one@b.test", "late@b.test"), script=script)
    assert {path: type(outcome) for path, outcome in attempted.outcomes.items()} == {
        "no@b.test": Failed,
        "one@b.test": Relayed,
        "late@b.test": Delayed,
    }
    assert sink.messages[0].forward_paths == ("one@b.test",)


REFUSALS = {
    "the banner, for now": ({("CONNECT", ALWAYS): "421 4.3.2 busy"}, Delayed),
    "the banner": ({("CONNECT", ALWAYS): "554 5.7.1 go away"}, Failed),
    "no banner": ({("CONNECT", ALWAYS): Drop()}, Delayed),
    "MAIL, for now": ({("MAIL", ALWAYS): "451 4.3.0 later"}, Delayed),
    "MAIL": ({("MAIL", ALWAYS): "550 5.7.1 not you"}, Failed),
    "DATA, for now": ({("DATA", ALWAYS): "451 4.3.0 later"}, Delayed),
    "the content": ({("DOT", ALWAYS): "554 5.6.0 spam"}, Failed),
    "the content, for now": ({("DOT", ALWAYS): "452 4.3.1 full"}, Delayed),
}


@pytest.mark.parametrize(("script", "outcome"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_everybodys(script, outcome):
    """Each recipient gets the one reply; 4yz delays, 5yz fails, and an answer is never in doubt."""
    _, [attempted] = attempt(errand("one@b.test", "two@b.test"), script=script)
    assert set(attempted.outcomes) == {"one@b.test", "two@b.test"}
    assert {type(one) for one in attempted.outcomes.values()} == {outcome}
    assert not any(getattr(one, "in_doubt", False) for one in attempted.outcomes.values())


def test_a_host_that_does_not_answer_delays():
    """Nobody listens: everyone is delayed, and nobody is in doubt."""

    async def run():
        async with Sink() as sink:
            pass
        return await relay_to(sink.port).attempt(errand(), marks)

    marks = Marks()
    [outcome] = asyncio.run(run()).outcomes.values()
    assert (type(outcome), outcome.in_doubt, outcome.reply.status) == (Delayed, False, "4.4.1")
    assert outcome.reply.ours
    assert marks == []


def test_the_next_message_takes_the_same_session():
    """Three messages, one EHLO; a refused one in between does not cost the session."""
    sink, found = attempt(*[errand() for _ in range(3)], script={("MAIL", 2): "451 4.3.0 later"})
    [session] = sink.sessions
    assert session.verbs.count("EHLO") == 1
    assert [type(one.outcomes["one@b.test"]) for one in found] == [Relayed, Delayed, Relayed]


ENDED_WHILE_IDLE = {
    "closed": Drop(),
    "reset": Reset(),
    "421": "421 4.4.2 idle for too long",
    "421 and closed": Drop(b"421 4.4.2 idle for too long\r\n"),
}


@pytest.mark.parametrize("end", ENDED_WHILE_IDLE.values(), ids=ENDED_WHILE_IDLE)
@pytest.mark.parametrize("extensions", [EXTENSIONS, ()], ids=["pipelining", "step by step"])
def test_a_kept_session_that_was_ended_costs_no_attempt(end, extensions):
    """The message goes at once over a fresh session, and nobody hears of it."""
    sink, found = attempt(errand(), errand(), script={("MAIL", 2): end}, extensions=extensions)
    assert [type(one.outcomes["one@b.test"]) for one in found] == [Relayed, Relayed]
    assert [len(session.messages) for session in sink.sessions] == [1, 1]


def test_a_session_ended_after_its_message_costs_no_attempt():
    """A server that closes behind its 250 has the message; the next one takes a fresh session."""
    script = {("DOT_AFTER_COMMIT", 1): Drop(b"250 2.0.0 Ok\r\n")}
    sink, found = attempt(errand(), errand(), script=script)
    assert [type(one.outcomes["one@b.test"]) for one in found] == [Relayed, Relayed]
    assert len(sink.messages) == 2


def test_a_fresh_session_that_is_lost_is_not_tried_again():
    """Only what was kept may have been ended by idleness: the second loss delays."""
    sink, found = attempt(errand(), errand(), script={("MAIL", 2): Drop(), ("MAIL", 3): Drop()})
    assert [type(one.outcomes["one@b.test"]) for one in found] == [Relayed, Delayed]
    assert len(sink.sessions) == 2


def test_a_kept_session_lost_later_is_not_tried_again():
    """Once MAIL was answered the session was alive, and the loss is the message's own."""
    sink, found = attempt(errand(), errand(), script={("RCPT", 2): Drop()})
    assert type(found[1].outcomes["one@b.test"]) is Delayed
    assert len(sink.sessions) == 1


@pytest.fixture(scope="module")
def server_tls():
    """A server's context that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("mx.test").configure_cert(context)
    return context


@pytest.mark.parametrize("broken", [False, True], ids=["works", "broken"])
def test_tls_is_used_when_it_works(server_tls, broken):
    """Offered and working, it carries the message; broken, the message goes in plaintext, in the same attempt."""
    script = {("HANDSHAKE", 1): Drop()} if broken else {}
    sink, [attempted] = attempt(script=script, tls=opportunistic(), server_tls=server_tls)
    assert isinstance(attempted.outcomes["one@b.test"], Relayed)
    assert sink.messages[0].tls is not broken


def test_over_long_lines_are_encoded():
    """A text of 3000 octets in a line goes out in short lines and means the same."""
    sink, [attempted] = attempt(errand(octets=LONG_LINE))
    assert isinstance(attempted.outcomes["one@b.test"], Relayed)
    header, _, body = sink.messages[0].content.partition(b"\r\n\r\n")
    assert b"Content-Transfer-Encoding: quoted-printable" in header
    assert body.replace(b"=\r\n", b"").replace(b"=20", b" ") == b"words " * 500 + b"\r\n"
    assert max(map(len, sink.messages[0].content.split(b"\r\n"))) <= 998


def test_eight_bit_text_goes_as_it_is_where_it_may():
    """With 8BITMIME not an octet is changed, and MAIL says so."""
    sink, _ = attempt(errand(octets=EIGHT_BIT))
    assert sink.messages[0].content == EIGHT_BIT
    assert "BODY=8BITMIME" in sink.messages[0].parameters


def test_eight_bit_text_is_encoded_for_an_old_server():
    """Without 8BITMIME the wire is 7-bit, MAIL says nothing, and SIZE is that of what is sent."""
    sink, [attempted] = attempt(errand(octets=EIGHT_BIT), extensions=SEVEN_BIT_SERVER)
    assert isinstance(attempted.outcomes["one@b.test"], Relayed)
    [message] = sink.messages
    assert message.content.isascii()
    assert b"gr=C3=BCn" in message.content
    assert message.parameters == f"SIZE={len(message.content)}"


def test_a_message_that_cannot_be_encoded_fails_and_keeps_the_session():
    """A signed part may not be changed: the recipient fails with 5.6.3, the next message goes out."""
    signed = HEADER + (
        b'Content-Type: multipart/signed; boundary="x"\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\n\xc3\xbc\r\n'
        b"--x\r\nContent-Type: application/pgp-signature\r\n\r\nnone\r\n--x--\r\n"
    )
    sink, [failed, relayed] = attempt(errand(octets=signed), errand(), extensions=SEVEN_BIT_SERVER)
    outcome = failed.outcomes["one@b.test"]
    assert (type(outcome), outcome.reply.status, outcome.reply.ours) == (Failed, "5.6.3", True)
    assert isinstance(relayed.outcomes["one@b.test"], Relayed)
    assert len(sink.sessions) == 1


INTERNATIONAL = {
    "header": {"octets": "Subject: grün\r\n".encode() + PLAIN},
    "reverse-path": {"reverse_path": "grün@a.test"},
}


@pytest.mark.parametrize("options", INTERNATIONAL.values(), ids=INTERNATIONAL)
def test_international_mail_needs_smtputf8(options):
    """With it the mail goes as it is; without it, it fails with 5.6.7, and MAIL is not said."""
    sink, [attempted] = attempt(errand(**options))
    assert isinstance(attempted.outcomes["one@b.test"], Relayed)
    assert "SMTPUTF8" in sink.messages[0].parameters
    sink, [attempted] = attempt(errand(**options), extensions=("PIPELINING", "8BITMIME"))
    outcome = attempted.outcomes["one@b.test"]
    assert (type(outcome), outcome.reply.status) == (Failed, "5.6.7")
    assert "MAIL" not in sink.sessions[0].verbs


def test_an_international_recipient_needs_smtputf8():
    """An address that is not ASCII makes the transaction an SMTPUTF8 one."""
    sink, _ = attempt(errand("grün@b.test"))
    assert sink.messages[0].forward_paths == ("grün@b.test",)
    assert "SMTPUTF8" in sink.messages[0].parameters


def test_an_international_recipient_is_refused_alone():
    """Without SMTPUTF8 one address that is not ASCII fails with 5.6.7, and costs nobody else the message."""
    sink, [attempted] = attempt(errand("grün@b.test", "one@b.test"), extensions=("PIPELINING", "8BITMIME"))
    refused, relayed = attempted.outcomes["grün@b.test"], attempted.outcomes["one@b.test"]
    assert (type(refused), refused.reply.status, refused.reply.ours) == (Failed, "5.6.7", True)
    assert isinstance(relayed, Relayed)
    assert [message.forward_paths for message in sink.messages] == [("one@b.test",)]


def test_a_message_too_large_for_the_server_is_not_sent():
    """A declared SIZE below the message's fails with 5.3.4 before MAIL."""
    sink, [attempted] = attempt(errand(octets=LARGE), extensions=("SIZE 1000",))
    assert attempted.outcomes["one@b.test"].reply.status == "5.3.4"
    assert "MAIL" not in sink.sessions[0].verbs


LOSSES = {
    "at MAIL": ({("MAIL", 1): Drop()}, False),
    "at RCPT": ({("RCPT", 1): Reset()}, False),
    "at DATA": ({("DATA", 1): Drop()}, False),
    "within the content": ({("BODY", 1): Reset()}, False),
    "at the dot": ({("DOT", 1): Drop()}, True),
    "after the message was taken": ({("DOT_AFTER_COMMIT", 1): Drop()}, True),
    "within the last reply": ({("DOT_AFTER_COMMIT", 1): Drop(b"250 2.0")}, True),
}


@pytest.mark.parametrize(("script", "in_doubt"), LOSSES.values(), ids=LOSSES)
def test_doubt_begins_with_the_dot(script, in_doubt):
    """A loss before it is safe to repeat; after it the server may have the message, and that is noted."""
    marks = Marks()
    _, [attempted] = attempt(errand(octets=LARGE), script=script, body_offset=200_000, marks=marks)
    [outcome] = attempted.outcomes.values()
    assert (type(outcome), outcome.in_doubt) == (Delayed, in_doubt)
    assert len(marks) == in_doubt


def test_only_those_who_wait_for_the_last_reply_are_in_doubt():
    """A recipient refused before is not."""
    script = {("RCPT", "late@b.test"): "450 4.2.1 later", ("DOT", 1): Drop()}
    _, [attempted] = attempt(errand("late@b.test", "one@b.test"), script=script)
    assert {path: one.in_doubt for path, one in attempted.outcomes.items()} == {
        "late@b.test": False,
        "one@b.test": True,
    }


def test_the_mark_is_made_after_the_content_and_before_its_end():
    """While the mark is being made the server has all but a tail of the content, and no end of data."""
    seen = []

    async def scenario(relay, sink):
        async def mark(_host):
            await until(lambda: len(sink.sessions[0].received) > len(LARGE) - 2 * (1 << 16))
            seen.append((list(sink.sessions[0].contents), list(sink.messages)))

        await relay.attempt(errand(octets=LARGE), mark)

    sink = play(scenario)
    assert seen == [([], [])]
    assert sink.messages[0].content == LARGE


@pytest.mark.parametrize("octets", [PLAIN, LARGE], ids=["short", "large"])
def test_without_the_mark_no_dot_is_sent(octets):
    """What the mark raises ends the session before the end of data, and is raised again."""

    class LostError(Exception):
        pass

    async def scenario(relay, sink):
        async def mark(_host):
            raise LostError

        with pytest.raises(LostError):
            await relay.attempt(errand(octets=octets), mark)
        assert not any(relay.sessions._idle.values())
        await relay.attempt(errand(), Marks())

    sink = play(scenario)
    broken, fresh = sink.sessions
    assert (broken.contents, broken.messages, len(fresh.messages)) == ([], [], 1)
    assert b"\r\n.\r\n" not in broken.unfinished


def test_nothing_is_marked_when_nothing_is_sent():
    """With nobody left to receive it, the content is not sent and nobody is in doubt."""
    marks = Marks()
    attempt(script={("RCPT", ALWAYS): "550 5.1.1 no"}, marks=marks)
    assert marks == []


def test_a_cancelled_attempt_ends_its_session():
    """Cut off in the middle, it leaves no session behind that others could get."""

    async def scenario(relay, sink):
        task = asyncio.create_task(relay.attempt(errand(), Marks()))
        await until(lambda: sink.sessions and "DATA" in sink.sessions[0].verbs)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not any(relay.sessions._idle.values())

    assert play(scenario, {("DATA", 1): Stall()}).messages == []


def test_content_that_breaks_down_ends_the_session():
    """When the content cannot be read to its end, no end of data is sent, and the error is the queue's."""

    async def broken():
        yield PLAIN
        raise LookupError("mine")

    async def scenario(relay, _sink):
        one = errand()
        object.__setattr__(one.content, "chunks", broken)
        with pytest.raises(LookupError, match="mine"):
            await relay.attempt(one, Marks())
        assert not any(relay.sessions._idle.values())

    sink = play(scenario)
    assert (sink.messages, sink.sessions[0].contents) == ([], [])


def test_any_octets_arrive_as_they_were():
    """Dots, blanks and base64 in large content: what the server takes is what the author sent."""
    body = base64.encodebytes(bytes(range(256)) * 400).replace(b"\n", b"\r\n") + b".\r\n..\r\n.x\r\n \r\n"
    sink, _ = attempt(errand(octets=HEADER + b"\r\n" + body))
    assert sink.messages[0].content == HEADER + b"\r\n" + body


def hops(*scripts, one=None):
    """One errand along a route of as many sinks as there are scripts; the sinks and what was attempted."""

    async def run():
        async with AsyncExitStack() as stack, asyncio.timeout(20):
            sinks = [await stack.enter_async_context(Sink(script, body_offset=200_000)) for script in scripts]
            relay = relay_to(*(sink.port for sink in sinks))
            attempted = await relay.attempt(one or errand("one@b.test", "two@b.test"), Marks())
            await relay.sessions.close()
        return sinks, attempted

    return asyncio.run(run())


BUSY, AWAY = {("CONNECT", ALWAYS): "421 4.3.2 busy"}, {("CONNECT", ALWAYS): "554 5.7.1 go away"}
NEXT = {
    "no banner": {("CONNECT", ALWAYS): Drop()},
    "a banner that refuses for now": BUSY,
    "a banner that refuses": AWAY,
    "EHLO lost": {("EHLO", ALWAYS): Drop(), ("HELO", ALWAYS): Drop()},
    "MAIL lost": {("MAIL", ALWAYS): Drop()},
    "RCPT lost": {("RCPT", ALWAYS): Reset()},
    "DATA lost": {("DATA", ALWAYS): Drop()},
    "content lost": {("BODY", ALWAYS): Reset()},
}


@pytest.mark.parametrize("script", NEXT.values(), ids=NEXT)
def test_the_next_hop_is_asked_when_one_is_lost(script):
    """Before the end of data a loss costs nothing: the same attempt goes on with the next hop."""
    (first, second), attempted = hops(script, None, one=errand("one@b.test", "two@b.test", octets=LARGE))
    assert {type(one) for one in attempted.outcomes.values()} == {Relayed}
    assert (first.messages, len(second.messages)) == ([], 1)
    assert attempted.host == f"127.0.0.1:{second.port}"
    assert f":{first.port}" in attempted.conversation
    assert f":{second.port}" in attempted.conversation


STAYS = {
    "MAIL refused for now": ({("MAIL", ALWAYS): "451 4.3.0 later"}, Delayed),
    "MAIL refused": ({("MAIL", ALWAYS): "550 5.7.1 no"}, Failed),
    "recipients refused for now": ({("RCPT", ALWAYS): "450 4.2.0 greylisted"}, Delayed),
    "content refused": ({("DOT", ALWAYS): "554 5.6.0 spam"}, Failed),
    "the last reply lost": ({("DOT_AFTER_COMMIT", ALWAYS): Drop()}, Delayed),
}


@pytest.mark.parametrize(("script", "outcome"), STAYS.values(), ids=STAYS)
def test_the_next_hop_is_not_asked_after_an_answer_or_in_doubt(script, outcome):
    """A reply is the domain's word; and who may have the message gets no rival (hardening.md 3.3)."""
    (_, second), attempted = hops(script, None)
    assert {type(one) for one in attempted.outcomes.values()} == {outcome}
    assert second.sessions == []


def test_the_next_hop_gets_those_who_are_left():
    """Who was refused for good before the loss stays refused and is not asked for again."""
    script = {("RCPT", "one@b.test"): "550 5.1.1 no", ("DATA", ALWAYS): Drop()}
    (_, second), attempted = hops(script, None)
    assert {path: type(one) for path, one in attempted.outcomes.items()} == {
        "one@b.test": Failed,
        "two@b.test": Relayed,
    }
    assert second.messages[0].forward_paths == ("two@b.test",)


@pytest.mark.parametrize(
    ("scripts", "outcome"),
    [((BUSY, AWAY), Delayed), ((AWAY, BUSY), Delayed), ((AWAY, AWAY), Failed), ((BUSY, BUSY), Delayed)],
)
def test_only_unanimous_refusals_are_final(scripts, outcome):
    """As long as one hop may change its mind, the mail waits (hardening.md 3.1)."""
    _, attempted = hops(*scripts)
    assert {type(one) for one in attempted.outcomes.values()} == {outcome}


def test_the_host_in_doubt_is_first():
    """It may have the message already, and can see that this is its copy."""
    one, two, three = Target("a.test", "8.8.8.8"), Target("b.test", "8.8.4.4"), Target("c.test", "9.9.9.9")
    assert preferred((one, two, three), str(two)) == [two, one, three]
    assert preferred((one, two, three), None) == [one, two, three]


def test_the_checked_address_is_connected_to():
    """A host is never looked up a second time, when its answer may be another (hardening.md 2F2)."""

    async def run():
        async with Sink() as sink, asyncio.timeout(20):

            async def find():
                return Route((Target("nowhere.invalid", "127.0.0.1", sink.port),))

            relay = Relay(Sessions("here.test", QUICK), find)
            attempted = await relay.attempt(errand(), Marks())
            await relay.sessions.close()
        return sink, attempted

    sink, attempted = asyncio.run(run())
    assert isinstance(attempted.outcomes["one@b.test"], Relayed)
    assert attempted.host == f"nowhere.invalid[127.0.0.1]:{sink.port}"


@pytest.mark.parametrize(("code", "outcome"), [(451, Delayed), (550, Failed)])
def test_no_route_is_everybodys_outcome(code, outcome):
    """Nobody was asked, so no host is named, and the destination's gate learns nothing."""

    async def find():
        raise CannotRouteError(code, "4.4.3", "no way")

    marks = Marks()
    attempted = asyncio.run(Relay(Sessions("here.test", QUICK), find).attempt(errand(), marks))
    assert (attempted.host, marks) == ("", [])
    assert {type(one) for one in attempted.outcomes.values()} == {outcome}


def test_a_relay_without_a_demand_speaks_plainly():
    """It is the caller that knows what security a hop needs."""
    relay = Relay(Sessions("here.test", QUICK), None)
    assert asyncio.run(relay.demand(Route(()), NextHop("mx.test", 25), errand().content)) is PLAINTEXT
