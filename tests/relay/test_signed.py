"""What the relay sends is signed in the form in which it is sent."""

import asyncio
import time

import pytest

from postroad.database.engine import Database
from postroad.domains import records, register
from postroad.domains.signing import Signer
from postroad.mail.outcome import Delayed
from postroad.relay.attempt import Relay
from postroad.relay.demands import always
from postroad.relay.route import NextHop, Route
from postroad.relay.security import Demand
from postroad.relay.sessions import Sessions
from postroad.sealing import Sealing
from tests.opendkim import OpenDKIM
from tests.relay.test_attempt import EIGHT_BIT, LARGE, LONG_LINE, PLAIN, QUICK, SEVEN_BIT_SERVER, Marks, errand
from tests.smtp_sink import EXTENSIONS, Sink

NOW = int(time.time()) * 1000
KEY = b"k" * 32


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A database with the sending domain a.test."""
    opened = Database(tmp_path_factory.mktemp("database"), floor=0)
    opened.submit(lambda connection: register.add(connection, "a.test", Sealing(KEY), NOW)).result()
    yield opened
    opened.close()


def sent(database, octets, *, key=KEY, extensions=EXTENSIONS):
    """What became of a message, and what arrived of it."""

    async def run():
        async with Sink(extensions=extensions) as sink, asyncio.timeout(20):

            async def find():
                return Route((NextHop("127.0.0.1", sink.port),))

            sign = Signer(database, Sealing(key), lambda: NOW).signed
            relay = Relay(Sessions("here.test", QUICK), find, always(Demand(None)), sign)
            attempted = await relay.attempt(errand(octets=octets), Marks())
            await relay.sessions.close()
            return attempted.outcomes["one@b.test"], [message.content for message in sink.messages]

    return asyncio.run(run())


@pytest.mark.parametrize("extensions", [EXTENSIONS, SEVEN_BIT_SERVER], ids=["8-bit", "7-bit"])
@pytest.mark.parametrize("octets", [PLAIN, EIGHT_BIT, LONG_LINE, LARGE, PLAIN[:-2]])
def test_what_arrives_verifies(database, tmp_path, octets, extensions):
    """Whatever form a message was given for its server, both signatures are good on the other side."""
    domain = database.submit(lambda connection: register.named(connection, "a.test")).result()
    published = {one.name: one.value for one in records.records(domain, records.Host("mx.test"), NOW)}
    _, [content] = sent(database, octets, extensions=extensions)
    assert list(OpenDKIM(tmp_path, published, NOW // 1000).verdicts(content).values()) == ["", ""]


def test_without_its_key_mail_waits(database):
    """A key that does not open delays the mail of its domain, of which nothing is sent."""
    outcome, arrived = sent(database, PLAIN, key=b"l" * 32)
    assert isinstance(outcome, Delayed)
    assert (outcome.reply.status, arrived) == ("4.3.5", [])
