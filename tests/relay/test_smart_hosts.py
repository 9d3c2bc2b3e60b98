"""Smart hosts: where secrets are read, to whom they are said, and whose turn it is when that fails."""

import asyncio
import ssl
from dataclasses import replace
from functools import partial

import pytest
import structlog
import trustme

from postroad.mail.outcome import Delayed, Failed, Relayed
from postroad.relay.attempt import Relay
from postroad.relay.route import NextHop, fixed
from postroad.relay.security import Demand, opportunistic, verified
from postroad.relay.sessions import Sessions
from postroad.relay.smart_hosts import SECRET_OCTETS, Credentials, Secrets, demanding, name
from tests.relay.test_attempt import PLAIN, QUICK, Marks, errand
from tests.smtp_sink import ALWAYS, EXTENSIONS, Drop, Sink, assert_wire_invariants

OFFERED = (*EXTENSIONS, "AUTH PLAIN LOGIN XOAUTH2")
CHUNKING = (*EXTENSIONS, "CHUNKING")
SECRETS = Secrets(password="canary-w0rd")
ERRAND = errand()
ME = Credentials("me", "localhost", SECRETS)


@pytest.fixture(scope="module")
def server_tls(authority):
    """A server's context with its certificate for localhost."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def demand(authority, tmp_path_factory):
    """What is demanded of smart hosts, with that authority in `relay_ca_file`."""
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(file)
    strict = Demand(verified(str(file)), required=True, why="a test")
    return demanding(Demand(opportunistic()), strict)


def attempt(demand, *sinks, login=ME, errands=1, implicit_tls=False, errand=ERRAND):
    """Attempt errands by way of these smart hosts in their order; what was attempted, and the log."""

    async def run():
        for sink in sinks:
            await sink.__aenter__()
        hops = [NextHop("localhost", sink.port, implicit_tls, login) for sink in sinks]
        sessions = Sessions("here.test", QUICK)
        relay = Relay(sessions, fixed(*hops), demand)
        with structlog.testing.capture_logs() as log:
            found = [await relay.attempt(errand, Marks()) for _ in range(errands)]
        await sessions.close()
        for sink in sinks:
            await sink.__aexit__()
        return found, log

    found, log = asyncio.run(run())
    assert "canary" not in repr(found) + repr(log)
    return found, log


def outcomes(found):
    """Of the one recipient, each time."""
    return [type(one.outcomes["one@b.test"]) for one in found]


@pytest.mark.parametrize("implicit_tls", [False, True], ids=["STARTTLS", "implicit TLS"])
def test_one_login_serves_the_messages_of_a_session(demand, server_tls, implicit_tls):
    """Mail follows the login over verified TLS, and the next message finds the session logged in."""
    sink = Sink(extensions=OFFERED, tls=server_tls, implicit_tls=implicit_tls)
    found, _ = attempt(demand, sink, errands=2, implicit_tls=implicit_tls)
    assert outcomes(found) == [Relayed, Relayed]
    [session] = sink.sessions
    assert session.logins == [(b"PLAIN", b"\0me\0canary-w0rd")]
    assert [message.tls for message in session.messages] == [True, True]
    assert_wire_invariants(session)


@pytest.mark.parametrize("kind", ["no TLS", "STARTTLS refused", "certificate of nobody"])
def test_nobody_else_hears_a_secret(demand, server_tls, kind):
    """Without TLS, or with a certificate of somebody else, neither login nor mail is said; the mail waits."""
    stranger = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(stranger)
    sink = {
        "no TLS": Sink(extensions=OFFERED),
        "STARTTLS refused": Sink({("STARTTLS", ALWAYS): "454 4.7.0 no"}, extensions=OFFERED, tls=server_tls),
        "certificate of nobody": Sink(extensions=OFFERED, tls=stranger),
    }[kind]
    [found], _ = attempt(demand, sink)
    [outcome] = found.outcomes.values()
    assert (type(outcome), outcome.reply.status) == (Delayed, "4.7.5")
    assert {verb for session in sink.sessions for verb in session.verbs} <= {"EHLO", "STARTTLS", "QUIT"}


@pytest.mark.parametrize("said", ["535 5.7.8 bad credentials", "454 4.7.0 not now", "530 5.7.0 no"])
def test_a_refused_login_bounces_nothing(demand, server_tls, said):
    """The mail waits, the operator is told aloud, and the reply closes the gate of the destination for a while."""
    sink = Sink({("AUTH", ALWAYS): said}, extensions=OFFERED, tls=server_tls)
    [found], log = attempt(demand, sink)
    [outcome] = found.outcomes.values()
    assert (type(outcome), outcome.reply.code) == (Delayed, 421)
    assert said in outcome.reply.text
    [alarm] = [line for line in log if line["log_level"] == "error"]
    assert alarm["event"] == "login failed"
    assert said in alarm["cause"]


def test_a_lost_login_is_no_alarm(demand, server_tls):
    """A connection that breaks during it is as any other."""
    sink = Sink({("AUTH", ALWAYS): Drop()}, extensions=OFFERED, tls=server_tls)
    [found], log = attempt(demand, sink)
    assert [one.reply.status for one in found.outcomes.values()] == ["4.4.2"]
    assert not [line for line in log if line["log_level"] == "error"]


def test_a_secret_that_is_missing_is_told(demand, server_tls, tmp_path):
    """The mail waits, and reply and log name the file."""
    sink = Sink(extensions=OFFERED, tls=server_tls)
    file = str(tmp_path / "none")
    [found], log = attempt(demand, sink, login=Credentials("me", "localhost", Secrets(password_file=file)))
    [outcome] = found.outcomes.values()
    assert (type(outcome), outcome.reply.status) == (Delayed, "4.7.0")
    assert file in outcome.reply.text
    assert any(line["event"] == "login failed" and file in line["cause"] for line in log)


FAILING = {
    "banner": {("CONNECT", ALWAYS): "421 4.3.2 busy"},
    "refused for good": {("CONNECT", ALWAYS): "554 5.7.1 go away"},
    "lost": {("MAIL", ALWAYS): Drop()},
    "login": {("AUTH", ALWAYS): "535 5.7.8 no"},
}


@pytest.mark.parametrize("script", FAILING.values(), ids=FAILING)
def test_the_next_smart_host_takes_over(demand, server_tls, script):
    """When no session can be had with the first, or it is lost, the second gets the mail in the same attempt."""
    first = Sink(script, extensions=OFFERED, tls=server_tls)
    second = Sink(extensions=OFFERED, tls=server_tls)
    found, _ = attempt(demand, first, second)
    assert outcomes(found) == [Relayed]
    assert found[0].host == f"localhost:{second.port}"
    assert not first.messages


@pytest.mark.parametrize(
    ("said", "outcome"), [("550 5.7.1 never", Failed), ("451 4.3.0 later", Delayed)], ids=["5yz", "4yz"]
)
def test_an_answer_is_not_asked_for_again(demand, server_tls, said, outcome):
    """What the first smart host says about the mail itself stands; the second is not bothered with it."""
    first = Sink({("MAIL", ALWAYS): said}, extensions=OFFERED, tls=server_tls)
    second = Sink(extensions=OFFERED, tls=server_tls)
    found, _ = attempt(demand, first, second)
    assert outcomes(found) == [outcome]
    assert not second.sessions


def test_without_a_user_a_smart_host_is_as_before(demand):
    """No login, and TLS only where it is offered."""
    sink = Sink(extensions=OFFERED)
    found, _ = attempt(demand, sink, login=None)
    assert outcomes(found) == [Relayed]
    assert "AUTH" not in sink.sessions[0].verbs


def test_bdat_refused_though_offered_costs_no_attempt(demand):
    """The mail goes at once over a fresh session by DATA, and that server is never asked for BDAT again."""
    sink = Sink({("BDAT", 1): "502 5.5.1 what?", ("BDAT", 2): "502 5.5.1 what?"}, extensions=CHUNKING)
    found, _ = attempt(demand, sink, login=None, errands=2)
    assert outcomes(found) == [Relayed, Relayed]
    assert [message.content for message in sink.messages] == [PLAIN, PLAIN]
    asked = [any(line.startswith(b"BDAT") for line in session.commands) for session in sink.sessions]
    assert asked == [True, False]


def test_a_small_message_goes_by_one_bdat(demand):
    """Where CHUNKING is offered, the content arrives to the octet, dots and all."""
    sink = Sink(extensions=CHUNKING)
    found, _ = attempt(demand, sink, login=None)
    assert outcomes(found) == [Relayed]
    assert sink.sessions[0].chunks == [PLAIN]


def test_doubt_about_a_bdat_stays_with_its_host(demand):
    """A small message whose replies are all lost may have arrived: nobody else is asked in this attempt."""
    first, second = Sink({("MAIL", ALWAYS): Drop()}, extensions=CHUNKING), Sink(extensions=CHUNKING)
    [found], _ = attempt(demand, first, second, login=None)
    [outcome] = found.outcomes.values()
    assert (type(outcome), outcome.in_doubt) == (Delayed, True)
    assert not second.sessions


def test_doubt_does_not_bar_the_way_to_the_next_for_ever(demand):
    """After it a small message is said step by step, and when the first is lost again, the second is asked."""
    first, second = Sink({("MAIL", ALWAYS): Drop()}, extensions=CHUNKING), Sink(extensions=CHUNKING)
    doubtful = replace(errand(), in_doubt_host="somebody")
    [found], _ = attempt(demand, first, second, login=None, errand=doubtful)
    assert outcomes([found]) == [Relayed]
    assert [session.verbs[:4] for session in second.sessions] == [["EHLO", "MAIL", "RCPT", "DATA"]]


# Where secrets are


def password(tmp_path, text, user="me", host="mx.test"):
    """The password of that user in a file with that text."""
    file = tmp_path / "password"
    file.write_text(text)
    return Secrets(password_file=str(file)).password_of(user, host)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("s e cret\n", "s e cret"),
        ("secret", "secret"),
        ("you@mx.test two\nme@mx.test one\n", "one"),
        ("me@other.test two\nme@mx.test  one \n", "one"),
    ],
)
def test_a_file_holds_one_password_or_one_for_each(tmp_path, text, found):
    """One line is the password; of several, the one that begins with user and host."""
    assert password(tmp_path, text) == found


def test_a_password_that_is_not_there_is_no_other(tmp_path):
    """Nobody is told the password of another smart host; the error names who was looked for, and no secret."""
    with pytest.raises(ValueError, match=r"no line begins with me@mx\.test") as refused:
        password(tmp_path, "me@other.test canary\nyou@mx.test canary\n")
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("octets", [b"\xff", b"x" * (SECRET_OCTETS + 1)], ids=["not UTF-8", "too large"])
def test_a_file_that_holds_no_secret(tmp_path, octets):
    """ValueError, with its name."""
    file = tmp_path / "token"
    file.write_bytes(octets)
    with pytest.raises(ValueError, match="token: "):
        Secrets(token_file=str(file)).token()


def test_a_secret_is_read_each_time(tmp_path):
    """A token that somebody keeps fresh is the one that is said next."""
    file = tmp_path / "token"
    credentials = Credentials("me", "mx.test", Secrets(token_file=str(file)))
    for text in ("one\n", "two\n"):
        file.write_text(text)
        assert credentials().token == text.strip()


def test_no_secret_is_no_login():
    """ValueError, rather than an empty password."""
    with pytest.raises(ValueError, match="neither a password nor a token"):
        Credentials("me", "mx.test", Secrets())()


def test_secrets_are_not_shown():
    """What is printed of a next hop has no secret in it."""
    assert "canary" not in repr(NextHop("mx.test", 25, login=ME))


def test_a_list_of_smart_hosts_is_one_destination():
    """By its hosts and ports alone: what is one smart host now keeps its name when somebody logs in there."""
    hop = partial(NextHop, "a.test", 25)
    assert name([hop()]) == name([hop(implicit_tls=True, login=ME)]) == "a.test:25"
    assert name([hop(), NextHop("b.test", 587)]) == "a.test:25,b.test:587"
