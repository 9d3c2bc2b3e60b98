"""A whole server among domains that demand TLS, and servers that do not give it."""

import json
import ssl
import time
from contextlib import closing, contextmanager

import pytest

from tests.end_to_end.test_smart_host import hang_up
from tests.name_server import answering
from tests.policy_host import answer, policy, running_host
from tests.relay.certificates import AUTHORITY, chain, server, tlsa
from tests.running import running
from tests.smtp_sink import running_sink
from tests.torture.judge import make_due, read

HOLDS_FOR_ALL = """
_mta-sts.enforced.test. 60 IN TXT "v=STSv1; id=1;"
mta-sts.enforced.test. 60 IN A 127.0.0.1
_mta-sts.testing.test. 60 IN TXT "v=STSv1; id=1;"
mta-sts.testing.test. 60 IN A 127.0.0.1
mx.a.test. 60 IN A 127.0.0.1
mx.wrong.test. 60 IN A 127.0.0.1
mx.lost.test. 60 IN A 127.0.0.1
mx.plain.test. 60 IN A 127.0.0.1
enforced.test. 60 IN MX 10 mx.a.test.
testing.test. 60 IN MX 10 mx.a.test.
right.test. 60 IN MX 10 mx.a.test.
wrong.test. 60 IN MX 10 mx.wrong.test.
lost.test. 60 IN MX 10 mx.lost.test.
required.test. 60 IN MX 10 mx.plain.test.
plain.test. 60 IN MX 10 mx.plain.test.
"""
SILENT = {"EHLO", "STARTTLS", "QUIT"}


def records(port: int) -> str:
    """The zone, with the TLSA records of this port."""
    named = {"mx.a.test": chain("good")[0], "mx.wrong.test": chain("next")[0]}
    fields = {host: tlsa(3, 1, 1, certificate) for host, certificate in named.items()}
    lines = [
        f"_{port}._tcp.{host}. 60 IN TLSA {' '.join(map(str, numbers))} {data.hex()}"
        for host, (*numbers, data) in fields.items()
    ]
    return HOLDS_FOR_ALL + "\n".join(lines)


@pytest.fixture(scope="module")
def policy_context():
    """Of the host of all policies."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("mta-sts.enforced.test", "mta-sts.testing.test").configure_cert(context)
    return context


@pytest.fixture
def trusted(tmp_path, monkeypatch):
    """Servers started from here trust our authority."""
    file = tmp_path / "authorities.pem"
    AUTHORITY.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


@contextmanager
def relaying(folder, sink, host, *, signed=False, command="dev"):
    """A server that finds its way by the zone."""
    bogus = [f"_{sink.port}._tcp.mx.lost.test"]
    with answering(records(sink.port), signed=signed, bogus=bogus) as (address, port):
        flags = {
            "--relay": "mx",
            "--dns": f"{address}:{port}",
            "--relay-networks": "127.0.0.0/8",
            "--relay-port": str(sink.port),
            "--sts-port": str(host.port),
            "--tls-required": "required.test",
            "--hostname": "here.test",
        }
        words = [word for flag in flags.items() for word in flag]
        with running(folder, *words, command=command) as one:
            yield one


def send(server, token, domain, *, field="Subject: secret"):
    """A message to somebody there, with that header field; its id."""
    message = f"To: bob@{domain}\r\n{field}\r\n\r\nsecret\r\n".encode()
    answer = server.send(message, token)
    assert answer.code == 200
    return answer.json["id"]


def tried(server, id_, *, until=lambda attempts, _state: attempts):
    """State, and status of the reply, of its one recipient once it was tried."""
    question = "SELECT attempts, state, reply_status FROM recipient WHERE queue_id = ?"
    deadline = time.monotonic() + 20
    with closing(read(server.data)) as connection:
        while time.monotonic() < deadline:
            [(attempts, *found)] = connection.execute(question, (int(id_, 16),)).fetchall()
            if until(attempts, found[0]):
                return tuple(found)
            time.sleep(0.003)
    raise AssertionError(f"not tried: {found}\n{server.log}")


def secured(server):
    """How each message was secured, by the log."""
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    return [(line["tls"], line["assurance"]) for line in lines if line["event"] == "secured"]


def test_a_downgraded_server_gets_nothing_until_it_mends(tmp_path, trusted, policy_context):
    """Under enforce nothing goes out in clear, nor after a restart and without the file; over TLS all does."""
    folder = tmp_path / "data"
    with running_sink() as sink, running_host(policy_context, policy()) as host:
        with relaying(folder, sink, host, command="serve") as one:
            one.command("account", "add", "alice@here.test")
            sent = send(one, one.token("alice@here.test"), "enforced.test")
            assert tried(one, sent) == ("queued", "4.7.5")
        host.says = answer("gone", status="404 Not Found")
        make_due(folder)
        with relaying(folder, sink, host, command="serve") as one:
            assert tried(one, sent, until=lambda attempts, _: attempts == 2) == ("queued", "4.7.5")
            assert {verb for session in sink.sessions for verb in session.verbs} <= SILENT
            assert b"secret" not in b"".join(bytes(session.received) for session in sink.sessions)
            sink.tls = server("good")
            one.command("queue", "retry", sent)
            assert [message.tls for message in sink.wait_for(1, 20)] == [True]
            assert tried(one, sent, until=lambda _, state: state == "relayed") == ("relayed", "2.0.0")
            assert secured(one) == [("TLSv1.3", "certificate")]
        assert len(host.requests) == 1


def test_an_author_may_waive_what_the_recipients_domain_demands(tmp_path, trusted, policy_context):
    """`TLS-Required: No` goes out in spite of enforce and of DANE, encrypted all the same; and not against us."""
    waived = ("enforced.test", "wrong.test", "lost.test")
    with (
        running_sink(tls=server("for another name")) as sink,
        running_host(policy_context, policy()) as host,
        relaying(tmp_path / "data", sink, host, signed=True) as one,
    ):
        token = one.token()
        for domain in waived:
            assert (domain, *tried(one, send(one, token, domain))) == (domain, "queued", "4.7.5")
            sent = send(one, token, domain, field="TLS-Required: No")
            assert (domain, *tried(one, sent)) == (domain, "relayed", "2.0.0")
        assert secured(one) == [("TLSv1.3", "encrypted")] * len(waived)
        assert [b"TLS-Required: No" in message.content for message in sink.messages] == [True] * len(waived)
        hang_up(sink)
        sink.tls = None
        sent = send(one, token, "required.test", field="TLS-Required: No")
        assert tried(one, sent) == ("queued", "4.7.5")


FATES = {
    # domain: state, and how it was secured or what delays, with TLS and without
    "right.test": (("relayed", "dane"), ("queued", "4.7.5")),
    "wrong.test": (("queued", "4.7.5"), ("queued", "4.7.5")),
    "lost.test": (("queued", "4.7.5"), ("queued", "4.7.5")),
    "required.test": (("relayed", "encrypted"), ("queued", "4.7.5")),
    "plain.test": (("relayed", "encrypted"), ("relayed", "plaintext")),
}


def test_each_domain_gets_what_it_demands(tmp_path, trusted, policy_context):
    """DANE, a lookup of it that fails, our own demand and none, each with a server that has TLS and without."""
    with running_sink() as sink, running_host(policy_context, policy("testing")) as host:
        with relaying(tmp_path / "data", sink, host, signed=True) as one:
            token = one.token()
            for number, tls in enumerate((server("good"), None)):
                hang_up(sink)  # a session that was kept is as secure as it was
                sink.tls = tls
                sent = {domain: send(one, token, domain) for domain in FATES}
                for domain, id_ in sent.items():
                    state, detail = FATES[domain][number]
                    assert (domain, *tried(one, id_)) == (domain, state, detail if state == "queued" else "2.0.0")
        relayed = [fates[number] for number in (0, 1) for fates in FATES.values() if fates[number][0] == "relayed"]
        assert sorted(assurance for _, assurance in secured(one)) == sorted(word for _, word in relayed)
        assert host.requests == []


def test_a_testing_policy_delays_nothing(tmp_path, trusted, policy_context):
    """Its failure is in the log and the figures, and the mail is relayed as well as it can be."""
    with (
        running_sink(tls=server("for another name")) as sink,
        running_host(policy_context, policy("testing")) as host,
    ):
        with relaying(tmp_path / "data", sink, host) as one:
            assert tried(one, send(one, one.token(), "testing.test")) == ("relayed", "2.0.0")
            figures = one.request("GET", "/metrics").body.decode()
        assert secured(one) == [("TLSv1.3", "encrypted")]
    assert 'postroad_tls_sessions_total{policy="sts",result="certificate-host-mismatch"} 1.0' in figures
    assert 'postroad_secured_messages_total{assurance="encrypted"} 1.0' in figures
