"""Sessions with next hops: kept a while, with TLS when that works, and none where it is required and does not."""

import asyncio
import ssl
from functools import partial

import pytest
import trustme

from postroad.relay import sessions as module
from postroad.relay.route import NextHop
from postroad.relay.security import PLAINTEXT, Demand, opportunistic
from postroad.relay.sessions import Sessions
from postroad.smtp.session import Phase, SessionError, Timeouts
from tests.smtp_sink import ALWAYS, Drop, Reset, Sink

QUICK = Timeouts(**dict.fromkeys(Timeouts.__dataclass_fields__, 5))


class With:
    """Sessions, as far as they are with one hop under one demand."""

    def __init__(self, hop, demand):
        sessions = Sessions("here.test", QUICK)
        self.fresh = partial(sessions.fresh, hop, demand)
        self.kept = partial(sessions.kept, hop, demand)
        self.keep = partial(sessions.keep, hop, demand)
        self.tidy, self.close = sessions.tidy, sessions.close


def sessions_with(sink, *, tls=None, required=False):
    return With(NextHop("127.0.0.1", sink.port), Demand(tls, required=required, why="a test"))


@pytest.fixture(scope="module")
def server_tls():
    """A server's context that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("mx.test").configure_cert(context)
    return context


def play(scenario, script=None, **options):
    """Play a scenario with a sink; the sink."""

    async def run():
        async with Sink(script, **options) as sink, asyncio.timeout(20):
            await scenario(sink)
        return sink

    return asyncio.run(run())


async def until(condition):
    """Let everybody else on the loop have turns until it holds."""
    while not condition():  # noqa: ASYNC110 - a sink tells nobody what it has received
        await asyncio.sleep(0)


async def quitted(sink, count):
    """Wait until so many sessions have said goodbye."""
    await until(lambda: sum("QUIT" in session.verbs for session in sink.sessions) >= count)


def test_a_kept_session_is_used_again():
    """What was kept last is given first, once."""

    async def scenario(sink):
        sessions = sessions_with(sink)
        assert sessions.kept() is None
        first, second = await sessions.fresh(), await sessions.fresh()
        sessions.keep(first)
        sessions.keep(second)
        assert [sessions.kept(), sessions.kept(), sessions.kept()] == [second, first, None]
        sessions.keep(first)
        sessions.keep(second)
        await sessions.close()

    assert len(play(scenario).sessions) == 2


def test_a_session_idle_for_too_long_is_not_used(monkeypatch):
    """It is ended instead."""

    async def scenario(sink):
        sessions = sessions_with(sink)
        sessions.keep(await sessions.fresh())
        monkeypatch.setattr(module, "IDLE_SECONDS", 0)
        assert sessions.kept() is None

    play(scenario)


@pytest.mark.parametrize("end", [Drop(), Reset(), Drop(b"421 4.4.2 idle\r\n")], ids=["closed", "reset", "421"])
def test_a_session_that_the_server_ended_is_not_used(end):
    """When the end has been seen, nobody gets it."""

    async def scenario(sink):
        sessions = sessions_with(sink)
        session = await sessions.fresh()
        session._wire.write(b"NOOP\r\n")
        await until(lambda: not session.usable)
        sessions.keep(session)
        assert sessions.kept() is None

    play(scenario, {("NOOP", 1): end})


def test_tidying_says_goodbye_to_the_idle_alone(monkeypatch):
    """Those idle for too long get their QUIT, the others are kept."""

    async def scenario(sink):
        sessions = sessions_with(sink)
        old, young = await sessions.fresh(), await sessions.fresh()
        now = module.time.monotonic()
        monkeypatch.setattr(module.time, "monotonic", lambda: now)
        sessions.keep(old)
        now += module.IDLE_SECONDS
        sessions.keep(young)
        await sessions.tidy()
        await quitted(sink, 1)
        assert not old.usable
        assert sessions.kept() is young
        await young.quit()

    play(scenario)


def test_closing_says_goodbye_to_everybody():
    """Every idle session gets its QUIT, and none is left."""

    async def scenario(sink):
        sessions = sessions_with(sink)
        for session in [await sessions.fresh() for _ in range(3)]:
            sessions.keep(session)
        await sessions.close()
        await quitted(sink, 3)
        assert sessions.kept() is None

    play(scenario)


def test_sessions_of_another_hop_or_demand_are_not_given():
    """A session is for whom it was opened, secured as it was demanded then."""

    async def scenario(sink):
        sessions, hop = Sessions("here.test", QUICK), NextHop("127.0.0.1", sink.port)
        session = await sessions.fresh(hop, PLAINTEXT)
        sessions.keep(hop, PLAINTEXT, session)
        assert sessions.kept(hop, Demand(opportunistic())) is None
        assert sessions.kept(NextHop("localhost", sink.port), PLAINTEXT) is None
        assert sessions.kept(hop, PLAINTEXT) is session
        await session.quit()

    play(scenario)


def test_tls_is_used_with_whoever_offers_it(server_tls):
    """Opportunistic: an unknown certificate for another name is better than none."""

    async def scenario(sink):
        sessions = sessions_with(sink, tls=opportunistic())
        session = await sessions.fresh()
        assert session.tls.version() in ("TLSv1.2", "TLSv1.3")
        await session.quit()

    play(scenario, tls=server_tls)


BROKEN_TLS = {
    "refused for now": {("STARTTLS", 1): "454 4.7.0 not now"},
    "refused": {("STARTTLS", 1): "502 5.5.1 not here"},
    "closed": {("STARTTLS", 1): Drop()},
    "closed during the handshake": {("HANDSHAKE", 1): Drop()},
    "nonsense in the handshake": {("HANDSHAKE", 1): b"220 hello\r\n"},
}


@pytest.mark.parametrize("script", BROKEN_TLS.values(), ids=BROKEN_TLS)
def test_broken_tls_is_done_without(server_tls, script):
    """Where nobody demands TLS, a server that cannot do what it offers is met again in plaintext."""

    async def scenario(sink):
        sessions = sessions_with(sink, tls=opportunistic())
        session = await sessions.fresh()
        assert session.usable
        assert session.tls is None
        await session.quit()

    sink = play(scenario, script, tls=server_tls)
    assert [session.verbs[:2] for session in sink.sessions] == [["EHLO", "STARTTLS"], ["EHLO", "QUIT"]]


@pytest.mark.parametrize("stage", ["CONNECT", "EHLO"])
def test_any_other_failure_is_not_tried_again(server_tls, stage):
    """A server that does not want to talk is not asked twice in one attempt."""

    async def scenario(sink):
        with pytest.raises(SessionError) as failed:
            await sessions_with(sink, tls=opportunistic()).fresh()
        assert failed.value.reply.code == 421
        assert failed.value.phase in (Phase.BANNER, Phase.EHLO)

    assert len(play(scenario, {(stage, ALWAYS): "421 4.3.2 busy"}, tls=server_tls).sessions) == 1


@pytest.mark.parametrize("script", [*BROKEN_TLS.values(), None], ids=[*BROKEN_TLS, "not offered"])
def test_required_tls_is_never_done_without(server_tls, script):
    """Where it is demanded, a server that offers none or cannot do it gets nothing in plaintext after EHLO."""

    async def scenario(sink):
        with pytest.raises(SessionError) as failed:
            await sessions_with(sink, tls=opportunistic(), required=True).fresh()
        assert not failed.value.reply.success

    sink = play(scenario, script, tls=None if script is None else server_tls)
    [session] = sink.sessions
    assert set(session.verbs) <= {"EHLO", "STARTTLS", "QUIT"}
