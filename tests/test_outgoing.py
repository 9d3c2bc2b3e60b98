"""The way out as the settings name it: which smart host a sender's mail goes to, and with which login."""

import asyncio
import ssl

import pytest
import trustme

from postroad import outgoing
from postroad.mail.outcome import Relayed
from postroad.relay.attempt import unsigned
from postroad.settings import CAPTURE, SettingError, Settings
from tests.relay.test_attempt import Marks, errand
from tests.smtp_sink import EXTENSIONS, running_sink

OFFERED = (*EXTENSIONS, "AUTH PLAIN")


def way_out(**values):
    """The way out by these settings."""
    return outgoing.of(Settings(hostname="here.test", **values), unsigned, None, lambda: 0)


def attempt(way, *errands):
    """Try errands, as the queue would; the outcomes of their one recipient."""

    async def run():
        found = []
        for one in errands:
            [path] = one.envelope.forward_paths
            attempted = await way.attempt_for(way.destination(path))(one, Marks())
            found.append(attempted.outcomes[path])
        await way.sessions.close()
        return found

    return asyncio.run(run())


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
    assert way_out(relay=relay, relay_password="x").destination("one@b.test") == destination


def test_mail_goes_by_the_senders_domain():
    """A sender whose domain has a smart host goes there, everybody else and every report by the usual way."""
    with running_sink() as usual, running_sink() as other:
        way = way_out(
            relay=f"smtp://127.0.0.1:{usual.port}", relay_by_sender=f"c.test=smtp://127.0.0.1:{other.port}"
        )
        senders = ("me@a.test", "me@c.test", "me@sub.c.test", None)
        outcomes = attempt(way, *[errand(reverse_path=sender) for sender in senders])
    assert {type(one) for one in outcomes} == {Relayed}
    assert [message.reverse_path for message in usual.messages] == ["me@a.test", "me@sub.c.test", None]
    assert [message.reverse_path for message in other.messages] == ["me@c.test"]


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
        assert [type(one) for one in attempt(way, errand())] == [Relayed]
    assert sink.sessions[-1].logins == [(b"PLAIN", b"\0me\0s3cret")]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"relay": "smtp://me@mx.test"}, "relay_password_file: me cannot log in at mx.test: there is neither"),
        ({"relay": "smtp://me@mx.test", "relay_password_file": "/none"}, "relay_password_file: .*/none"),
        ({"relay": "smtp://me@mx.test", "relay_token_file": "/none"}, "relay_password_file: .*/none"),
        ({"relay": "smtp://mx.test", "relay_ca_file": "/none"}, "relay_ca_file: /none"),
    ],
)
def test_what_lacks_is_told_at_the_start(values, text):
    """A login without a secret, and files that are not there, are refused before any mail waits for them."""
    with pytest.raises(SettingError, match=text):
        way_out(**values)
