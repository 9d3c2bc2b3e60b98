"""Logging in: what is said in which mechanism, to whom, and that no secret is to be read anywhere afterwards."""

import asyncio
import base64
import ssl

import pytest

from postroad.smtp.authentication import Login, mechanism
from postroad.smtp.connection import Connection
from postroad.smtp.session import Phase, SessionError
from tests.smtp.test_connection import QUICK, STALLED, send, summary
from tests.smtp_sink import EXTENSIONS, Drop, Sink, Stall, assert_wire_invariants

PASSWORD, TOKEN = "canary é w0rd", "ya29.canary-t0ken"
ME = Login("me@a.test", PASSWORD)
BOTH = Login("me@a.test", PASSWORD, TOKEN)
XOAUTH2 = f"user=me@a.test\x01auth=Bearer {TOKEN}\x01\x01".encode()
PLAIN = f"\0me@a.test\0{PASSWORD}".encode()


@pytest.fixture(scope="module")
def server_tls(authority):
    """A server's context with its certificate for mx.test."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("mx.test").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def client_tls(authority):
    """A context that trusts it."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize(
    ("offered", "login", "name"),
    [
        ({"PLAIN", "LOGIN", "XOAUTH2"}, ME, "PLAIN"),
        ({"LOGIN", "CRAM-MD5"}, ME, "LOGIN"),
        ({"PLAIN", "LOGIN", "XOAUTH2"}, BOTH, "XOAUTH2"),
        ({"PLAIN", "LOGIN"}, BOTH, "PLAIN"),
        ({"PLAIN", "LOGIN"}, Login("me", token=TOKEN), None),
        ({"XOAUTH2"}, ME, None),
        ({"GSSAPI", "EXTERNAL"}, BOTH, None),
        (set(), BOTH, None),
    ],
)
def test_the_best_of_what_is_offered_and_known(offered, login, name):
    """A token goes before a password, PLAIN before LOGIN; nothing else is spoken."""
    chosen = mechanism(offered, login)
    assert (chosen and chosen.name) == name


@pytest.mark.parametrize(
    ("offered", "login", "command", "responses"),
    [
        ("PLAIN", ME, b"AUTH PLAIN " + base64.b64encode(PLAIN), ()),
        ("LOGIN", Login("u", "p"), b"AUTH LOGIN", (b"dQ==", b"cA==")),
        ("XOAUTH2", BOTH, b"AUTH XOAUTH2 " + base64.b64encode(XOAUTH2), (b"",)),
        ("PLAIN", Login("u", "p" * 369), b"AUTH PLAIN " + base64.b64encode(b"\0u\0" + b"p" * 369), ()),
        ("PLAIN", Login("u", "p" * 370), b"AUTH PLAIN", (base64.b64encode(b"\0u\0" + b"p" * 370),)),
    ],
)
def test_what_is_said(offered, login, command, responses):
    """The first response stands in the command unless that makes the line too long (RFC 4954 section 4)."""
    assert mechanism({offered}, login).command() == (
        command + b"\r\n",
        tuple(line + b"\r\n" for line in responses),
    )


@pytest.mark.parametrize("text", ["a\0b", "a\x01b", "a\nb", "a\rb"])
def test_what_cannot_be_said_is_refused(text):
    """What would end a response, or a part of it, is a ValueError that does not repeat it."""
    for login in (("u", text), (text, "p"), ("u", "", text)):
        with pytest.raises(ValueError, match="control characters") as refused:
            Login(*login)
        assert text not in str(refused.value)
    with pytest.raises(ValueError, match="neither"):
        Login("u")


def test_a_login_is_not_shown():
    """What is printed of it, in a log or a traceback, has no secret in it."""
    assert "canary" not in repr(BOTH) + repr(mechanism({"PLAIN"}, BOTH)) + repr(mechanism({"XOAUTH2"}, BOTH))


def logged_in(login, *, script=None, auth="PLAIN LOGIN XOAUTH2", tls=None, client=None, timeouts=QUICK, **options):
    """Open, log in, send, quit; the sink, and what became of the mail or why there was no login."""

    async def run():
        async with Sink(script, extensions=(*EXTENSIONS, f"AUTH {auth}"), tls=tls, **options) as sink:
            connection = await Connection.open(
                "127.0.0.1",
                sink.port,
                hostname="me.test",
                server_hostname="mx.test",
                tls=client,
                implicit_tls=bool(options),
                timeouts=timeouts,
            )
            try:
                await connection.log_in(login)
                return sink, await send(connection)
            except SessionError as error:
                assert not connection.usable
                return sink, error
            finally:
                await connection.quit()

    sink, found = asyncio.run(run())
    for session in sink.sessions:
        assert_wire_invariants(session)
    told = repr(found) + str(found) + "\n".join(found.transcript)
    secrets = (PASSWORD, TOKEN, base64.b64encode(PLAIN).decode(), base64.b64encode(XOAUTH2).decode())
    assert not any(secret in told for secret in (*secrets, base64.b64encode(PASSWORD.encode()).decode()))
    return sink, found


@pytest.mark.parametrize("options", [{}, {"implicit_tls": True}], ids=["STARTTLS", "implicit TLS"])
@pytest.mark.parametrize(
    ("auth", "said"),
    [
        ("PLAIN", (b"PLAIN", PLAIN)),
        ("LOGIN", (b"LOGIN", b"me@a.test", PASSWORD.encode())),
        ("XOAUTH2", (b"XOAUTH2", XOAUTH2)),
    ],
)
def test_a_login_over_verified_tls(server_tls, client_tls, auth, said, options):
    """User and secret arrive, mail follows, and the transcript shows the mechanism alone."""
    sink, transaction = logged_in(BOTH, auth=auth, tls=server_tls, client=client_tls, **options)
    assert summary(transaction) == [(250, "2.0.0")]
    [session] = sink.sessions
    assert session.logins == [said]
    assert session.verbs.count("STARTTLS") == (not options)
    assert f"> AUTH {auth} ..." in transaction.transcript
    assert sink.messages[0].tls


def test_no_secret_is_said_in_plaintext():
    """Without TLS there is no AUTH: the mail waits."""
    sink, error = logged_in(BOTH)
    assert (error.phase, error.reply.code, error.reply.status) == (Phase.AUTH, 421, "4.7.0")
    assert sink.sessions[0].verbs == ["EHLO"]


def test_no_secret_is_said_to_nobody_knows_whom(server_tls):
    """Nor over TLS with a server whose certificate nobody looked at."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sink, error = logged_in(BOTH, tls=server_tls, client=context)
    assert (error.reply.code, error.reply.status) == (421, "4.7.0")
    assert sink.sessions[0].verbs == ["EHLO", "STARTTLS", "EHLO"]


def test_what_was_offered_before_tls_is_not_believed(server_tls, client_tls):
    """Mechanisms are those of the EHLO over TLS."""
    script = {("EHLO", 2): "250-sink.test\n250 AUTH GSSAPI"}
    sink, error = logged_in(BOTH, script=script, tls=server_tls, client=client_tls)
    assert "offered: GSSAPI" in error.reply.text
    assert sink.sessions[0].verbs == ["EHLO", "STARTTLS", "EHLO"]


@pytest.mark.parametrize(
    ("said", "code", "status"),
    [
        ("535 5.7.8 bad credentials", 421, "4.7.8"),
        (f"535 5.7.8 {PASSWORD} is wrong", 421, "4.7.8"),
        ("535 5.7.8 " + base64.b64encode(PLAIN).decode(), 421, "4.7.8"),
        ("530 must change it", 421, "4.7.8"),
        ("504 5.5.4 unknown", 421, "4.7.8"),
        ("454 4.7.0 not now", 421, "4.7.0"),
        ("454 not now", 421, "4.7.0"),
        ("334 eyJzdGF0dXMiOiI0MDEifQ==", 451, "4.4.2"),
        ("354 go", 451, "4.5.0"),
        ("421 4.3.2 closing", 421, "4.3.2"),
        (Drop(), 451, "4.4.2"),
        (Stall(), 451, "4.4.2"),
    ],
)
def test_logins_that_fail(server_tls, client_tls, said, code, status):
    """Whatever is said, the mail waits; a refused login is as good as nobody there, whatever its class."""
    _, error = logged_in(ME, script={("AUTH", 1): said}, tls=server_tls, client=client_tls, timeouts=STALLED)
    if said == "334 eyJzdGF0dXMiOiI0MDEifQ==":  # a challenge too many: there is nothing to say to it
        code, status = 421, "4.7.0"
    assert (error.phase, error.reply.code, error.reply.status) == (Phase.AUTH, code, status)
    assert not error.in_doubt


def test_a_token_that_has_expired(server_tls, client_tls):
    """XOAUTH2 tells why in a challenge; the response to it is empty, and the refusal follows."""
    script = {("AUTH", 1): "334 eyJzdGF0dXMiOiI0MDEifQ=="}
    sink, error = logged_in(BOTH, script=script, tls=server_tls, client=client_tls)
    assert (error.reply.code, error.reply.status) == (421, "4.7.8")
    assert sink.sessions[0].logins[-1] == (b"\r\n",)
