"""The way out as the settings name it: which smart host a sender's mail goes to, and with which login."""

import asyncio
import ssl
from contextlib import closing
from itertools import product

import pytest
import trustme

from postroad import outgoing
from postroad.database.engine import Database
from postroad.mail.outcome import Delayed, Failed, Relayed
from postroad.queue.shaping import reached
from postroad.relay.attempt import unsigned
from postroad.settings import CAPTURE, SettingError, Settings
from tests.name_server import answering
from tests.postfix import free_port
from tests.relay.test_attempt import Marks, errand
from tests.smtp_sink import EXTENSIONS, running_sink

OFFERED = (*EXTENSIONS, "AUTH PLAIN")


def way_out(database=None, **values):
    """The way out by these settings."""
    return outgoing.of(Settings(hostname="here.test", **values), unsigned, database, lambda: 0)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """An empty one, for the policies of domains."""
    with closing(Database(tmp_path_factory.mktemp("outgoing"), floor=0)) as opened:
        yield opened


def attempt(way, *errands, destination=None):
    """Try errands, as the queue would, or for that destination; what was attempted."""

    async def run():
        found = []
        for one in errands:
            here = destination or way.destination(one.envelope.reverse_path, one.envelope.forward_paths[0])
            found.append(await way.attempt_for(here)(one, Marks()))
        await way.sessions.close()
        return found

    return asyncio.run(run())


ZONE = """
b.test. IN MX 10 mx.b.test.
mx.b.test. IN A 127.0.0.1
c.test. IN MX 10 mx.c.test.
mx.c.test. IN A 127.0.0.1
"""


def by_exchange(port, name_server):
    """The settings by which all mail servers are on that port of this machine."""
    dns = ":".join(map(str, name_server))
    return {"relay_port": port, "relay_networks": "127.0.0.0/8", "dns": dns}


def outcomes(attempts):
    """The kinds of all outcomes, in order."""
    return [type(outcome) for attempted in attempts for outcome in attempted.outcomes.values()]


def test_captured_mail_has_no_way_out():
    """Nothing leaves the machine."""
    assert way_out(relay=CAPTURE) is None


@pytest.mark.parametrize(
    ("relay", "destination"),
    [
        ("smtp://mx.test:2525", "mx.test:2525"),
        ("smtp://mx.test", "mx.test:25"),
        ("smtps://mx.test", "mx.test:465"),
        ("smtp://me@mx.test:587", "mx.test:587"),
        ("smtp://one.test,smtps://two.test", "one.test:25,two.test:465"),
        ("mx", "b.test"),
    ],
)
def test_destinations(relay, destination):
    """A list of smart hosts is one, by hosts and ports; without any, a domain is one."""
    assert way_out(relay=relay, relay_password="x").destination("me@a.test", "one@b.test") == destination


@pytest.mark.parametrize(
    ("by_sender", "destination"),
    [
        ("c.test=smtp://mx.test", "mx.test:25"),
        ("C.Test=smtps://mx.test", "mx.test:465"),
        ("c.test=smtp://one.test,c.test=smtps://two.test", "one.test:25,two.test:465"),
        ("c.test=smtp://me@mx.test:587", "me@mx.test:587"),
        ("c.test=smtp://me@one.test,c.test=smtp://two.test", "me@one.test:25,two.test:25"),
        ("a.test=smtp://mx.test,c.test=smtp://mx.test", "mx.test:25"),
        ("a.test=smtp://you@mx.test,c.test=smtp://me@mx.test", "me@mx.test:25"),
        ("c.test=smtp://you@usual.test", "usual.test:25"),
        ("c.test=smtp://me@usual.test", "me@usual.test:25"),
        ("c.test=smtp://you@usual.test,c.test=smtp://mx.test", "you@usual.test:25,mx.test:25"),
    ],
)
def test_destinations_by_sender(by_sender, destination):
    """Those of a sender's domain are one, whoever receives; with another login they are another."""
    way = way_out(relay="smtp://you@usual.test", relay_by_sender=by_sender, relay_password="x")
    assert way.destination("me@c.test", "one@b.test") == way.destination("you@c.test", "c@c.test") == destination
    for sender in ("me@b.test", "me@sub.c.test", None):
        assert way.destination(sender, "one@c.test") == "usual.test:25"


@pytest.mark.parametrize("relay", ["usual", "mx"])
def test_mail_goes_by_the_senders_domain(database, relay):
    """A sender whose domain has a smart host goes there, everybody else and every report by the usual way."""
    with running_sink() as usual, running_sink() as other, answering(ZONE) as name_server:
        way = way_out(
            database,
            relay=f"smtp://127.0.0.1:{usual.port}" if relay == "usual" else "mx",
            relay_by_sender=f"c.test=smtp://127.0.0.1:{other.port}",
            **by_exchange(usual.port, name_server),
        )
        senders = ("me@a.test", "me@c.test", "me@sub.c.test", None)
        found = attempt(way, *[errand(reverse_path=sender) for sender in senders])
    assert outcomes(found) == [Relayed] * 4
    assert [message.reverse_path for message in usual.messages] == ["me@a.test", "me@sub.c.test", None]
    assert [message.reverse_path for message in other.messages] == ["me@c.test"]


def test_a_destination_alone_decides():
    """What waits for the smart host of a sender goes there, whoever sent it, and what waits elsewhere does not."""
    with running_sink() as usual, running_sink() as other:
        way = way_out(
            relay=f"smtp://127.0.0.1:{usual.port}", relay_by_sender=f"c.test=smtp://127.0.0.1:{other.port}"
        )
        places = {f"127.0.0.1:{usual.port}": usual, f"127.0.0.1:{other.port}": other, "gone.test:25": usual}
        for (place, sink), sender in product(places.items(), ("me@a.test", "me@c.test")):
            assert outcomes(attempt(way, errand(reverse_path=sender), destination=place)) == [Relayed]
            assert sink.messages.pop().reverse_path == sender
    assert usual.messages == other.messages == []


@pytest.mark.parametrize("destination", ["gone.test:25", "me@gone.test:587", "one.test:25,two.test:465"])
def test_by_exchange_a_name_of_smart_hosts_is_no_domain(database, destination):
    """Mail that waits for smart hosts which are unknown here goes to each recipient's own servers."""
    one = errand("one@b.test", "two@nowhere.test", "three@c.test", "four@b.test")
    with running_sink() as sink, answering(ZONE) as name_server:
        way = way_out(database, relay="mx", **by_exchange(sink.port, name_server))
        [attempted] = attempt(way, one, destination=destination)
    assert {path: type(outcome) for path, outcome in attempted.outcomes.items()} == {
        "one@b.test": Relayed,
        "two@nowhere.test": Failed,
        "three@c.test": Relayed,
        "four@b.test": Relayed,
    }
    assert attempted.outcomes["two@nowhere.test"].reply.status == "5.1.2"
    assert attempted.host.startswith("mx.")
    assert "nowhere.test" in attempted.conversation
    assert [message.forward_paths for message in sink.messages] == [
        ("one@b.test", "four@b.test"),
        ("three@c.test",),
    ]


def test_by_exchange_nobody_reached_is_no_answer(database):
    """Mail for unknown smart hosts whose recipients' servers are all away waits, and its gate closes."""
    with answering(ZONE) as name_server:
        way = way_out(database, relay="mx", **by_exchange(free_port(), name_server))
        [attempted] = attempt(way, errand("one@b.test", "two@c.test"), destination="gone.test:25")
    assert outcomes([attempted]) == [Delayed, Delayed]
    assert reached(attempted) is False


@pytest.mark.parametrize(
    ("changed", "anew"),
    [
        ({}, False),
        ({"relay": "mx"}, True),
        ({"relay_by_sender": ""}, True),
        ({"relay_by_sender": "c.test=smtp://other.test"}, True),
        ({"relay_by_sender": "b.test=smtp://mx.test"}, True),
        ({"relay_by_sender": "C.test=smtp://mx.test:25"}, False),
        ({"relay_user": "me"}, True),
        ({"hostname": "there.test", "relay_tls": "required"}, False),
    ],
)
def test_what_decides_destinations_is_known_again(changed, anew):
    """It is another when `relay` is, or what becomes of `relay_by_sender`, and at no other time."""
    values = {"relay": "smtp://usual.test", "relay_by_sender": "c.test=smtp://mx.test", "relay_password": "x"}
    before, after = (
        outgoing.decided_by(settings, outgoing.of(settings, unsigned, None, lambda: 0))
        for settings in (Settings(**values), Settings(**values | changed))
    )
    assert (before != after) is anew


def test_captured_mail_is_known_by_its_one_word():
    """Others read it: nothing is added to `capture`."""
    assert outgoing.decided_by(Settings(relay=CAPTURE), None) == CAPTURE


def test_a_login_as_the_settings_have_it(tmp_path):
    """User in the address, password and authority in files: mail goes over TLS from the start, logged in."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "password").write_text("s3cret\n")
    with running_sink(extensions=OFFERED, tls=context, implicit_tls=True) as sink:
        way = way_out(
            relay=f"smtps://me@localhost:{sink.port}",
            relay_password_file=str(tmp_path / "password"),
            relay_ca_file=str(tmp_path / "ca.pem"),
        )
        assert outcomes(attempt(way, errand())) == [Relayed]
    assert sink.sessions[-1].logins == [(b"PLAIN", b"\0me\0s3cret")]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"relay": "smtp://me@mx.test"}, "relay_password_file: me cannot log in at mx.test: there is neither"),
        ({"relay": "smtp://me@mx.test", "relay_password_file": "/none"}, "relay_password_file: .*/none"),
        ({"relay": "smtp://me@mx.test", "relay_token_file": "/none"}, "relay_password_file: .*/none"),
        ({"relay": "smtp://mx.test", "relay_ca_file": "/none"}, "relay_ca_file: /none"),
        (
            {"relay": "smtp://mx.test:465", "relay_by_sender": "c.test=smtps://mx.test"},
            "relay_by_sender: mx.test:465 is named in two ways",
        ),
        (
            {"relay": "mx", "relay_by_sender": "b.test=smtp://mx.test:465,c.test=smtps://mx.test"},
            "relay_by_sender: mx.test:465 is named in two ways",
        ),
    ],
)
def test_what_lacks_is_told_at_the_start(values, text):
    """A login without a secret, and files that are not there, are refused before any mail waits for them."""
    with pytest.raises(SettingError, match=text):
        way_out(**values)
