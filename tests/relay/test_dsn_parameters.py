"""What a next hop that offers DSN is asked to report (RFC 3461), and what becomes of mail it refuses for that."""

import re

import pytest

from postroad.mail.outcome import Delayed, Failed, Relayed
from tests.relay.test_attempt import Marks, attempt, errand, play
from tests.smtp_sink import ALWAYS, EXTENSIONS, Drop, Reset

DSN = (*EXTENSIONS, "DSN")
AT_ONCE = (*DSN, "CHUNKING")
REFUSED = "555 5.5.4 unsupported option"


def envelopes(sink):
    """MAIL and RCPT lines of all sessions, without SIZE."""
    lines = [line.decode().strip() for session in sink.sessions for line in session.commands]
    return [re.sub(r" SIZE=\d+", "", line) for line in lines if line.startswith(("MAIL", "RCPT"))]


def fates(attempted):
    """Outcome and code, by recipient."""
    return {path: (type(one), one.reply.code) for path, one in attempted.outcomes.items()}


MAIL, RCPT = "MAIL FROM:<me@a.test>", "RCPT TO:<one@b.test>"
NAMED = f"{MAIL} RET=HDRS ENVID=0000000000000005"
NOTIFYING = f"{RCPT} NOTIFY=FAILURE ORCPT=rfc822;one@b.test"
ENVELOPES = {
    "offered": (errand(), DSN, [NAMED, NOTIFYING]),
    "offered with CHUNKING": (errand(), AT_ONCE, [NAMED, NOTIFYING]),
    "offered step by step": (errand(), ("DSN",), [NAMED, NOTIFYING]),
    "not offered": (errand(), EXTENSIONS, [MAIL, RCPT]),
    "from the null reverse-path": (
        errand(reverse_path=None),
        DSN,
        ["MAIL FROM:<>", f"{RCPT} NOTIFY=NEVER ORCPT=rfc822;one@b.test"],
    ),
    "beyond ASCII": (
        errand("grün@b.test"),
        DSN,
        [
            f"{MAIL} SMTPUTF8 RET=HDRS ENVID=0000000000000005",
            r"RCPT TO:<grün@b.test> NOTIFY=FAILURE ORCPT=utf-8;gr\x{FC}n@b.test",
        ],
    ),
}


@pytest.mark.parametrize(("one", "extensions", "expected"), ENVELOPES.values(), ids=ENVELOPES)
def test_what_is_asked_for(one, extensions, expected):
    """Of failures a report that names queue id and recipient, of a report's own none; of others nothing."""
    sink, [attempted] = attempt(one, extensions=extensions)
    assert envelopes(sink) == expected
    assert {type(outcome) for outcome in attempted.outcomes.values()} == {Relayed}


def test_each_recipient_is_named_in_its_own_command_alone():
    """Who reads one RCPT learns nothing of the others."""
    sink, _ = attempt(errand("one@b.test", "two@b.test"), extensions=DSN)
    _, first, second = envelopes(sink)
    assert ("two" not in first, "one" not in second) == (True, True)


@pytest.mark.parametrize("extensions", [DSN, AT_ONCE, ("DSN",)], ids=["pipelining", "at once", "step by step"])
@pytest.mark.parametrize("code", [455, 501, 504, 555])
@pytest.mark.parametrize("stage", ["MAIL", "RCPT"])
def test_a_server_that_refuses_its_parameters_gets_none(stage, code, extensions):
    """The mail goes at once without them, and so does the next; each recipient has one copy."""
    script = {(stage, 1): f"{code} 5.5.4 what?"}
    sink, found = attempt(errand(), errand(), script=script, extensions=extensions)
    assert [fates(one) for one in found] == [{"one@b.test": (Relayed, 250)}] * 2
    assert len(sink.messages) == 2
    assert [line for line in envelopes(sink) if not line.startswith("MAIL")][-2:] == [RCPT, RCPT]
    assert f"< {code}" not in found[1].conversation


def test_only_the_refused_are_asked_again():
    """Whose RCPT was taken has the message already, and gets no other; the conversation shows both."""
    script = {("RCPT", 1): REFUSED}
    sink, [attempted] = attempt(errand("one@b.test", "two@b.test"), script=script, extensions=DSN)
    assert fates(attempted) == {"one@b.test": (Relayed, 250), "two@b.test": (Relayed, 250)}
    assert [message.forward_paths for message in sink.messages] == [("two@b.test",), ("one@b.test",)]
    assert attempted.conversation.count("> MAIL") == 2


def test_a_recipient_that_is_refused_anyway_fails():
    """It was not the parameters: the other mail of this hop keeps them."""
    script = {("RCPT", "no@b.test"): "501 5.1.3 bad address"}
    sink, found = attempt(errand("no@b.test"), errand(), script=script, extensions=DSN)
    assert [fates(one) for one in found] == [{"no@b.test": (Failed, 501)}, {"one@b.test": (Relayed, 250)}]
    assert envelopes(sink)[-1] == NOTIFYING
    assert len(envelopes(sink)) == 6


def test_a_refusal_without_parameters_is_final():
    """Nothing is tried twice where DSN was not offered."""
    sink, [attempted] = attempt(script={("RCPT", ALWAYS): REFUSED})
    assert fates(attempted) == {"one@b.test": (Failed, 555)}
    assert envelopes(sink) == [MAIL, RCPT]


LOST = {
    "the others' content": ({("RCPT", 1): REFUSED, ("DOT", 1): Reset()}, (Relayed, 250), (Delayed, 451)),
    "the second try": (
        {("RCPT", 1): REFUSED, ("MAIL", 2): Drop(), ("MAIL", 3): Drop()},
        (Delayed, 451),
        (Relayed, 250),
    ),
    "the second try, in doubt": ({("RCPT", 1): REFUSED, ("DOT", 2): Drop()}, (Delayed, 451), (Relayed, 250)),
}


@pytest.mark.parametrize(("script", "refused", "other"), LOST.values(), ids=LOST)
def test_a_loss_on_the_way_costs_nobody_the_mail(script, refused, other):
    """Who has it keeps it, nobody has two, and the rest waits for the next attempt."""
    sink, [attempted] = attempt(errand("one@b.test", "two@b.test"), script=script, extensions=DSN)
    assert fates(attempted) == {"one@b.test": refused, "two@b.test": other}
    relayed = sorted(path for message in sink.messages for path in message.forward_paths)
    assert relayed == sorted(path for path, fate in fates(attempted).items() if fate[0] is Relayed)


def test_what_is_remembered_is_of_one_extension():
    """A server that takes no DSN parameters is still believed in its CHUNKING."""
    found = []

    async def scenario(relay, sink):
        await relay.attempt(errand(), Marks())
        [hop] = (await relay.find()).hops
        found.append(relay.sessions.believes(hop, "DSN"))
        found.append(relay.sessions.believes(hop, "CHUNKING"))

    play(scenario, {("RCPT", 1): REFUSED}, extensions=DSN)
    assert found == [False, True]
