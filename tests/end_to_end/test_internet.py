"""Mail reaches any domain: a small Internet on loopback, of name server, mail servers and a real Postroad.

Every mail server listens on an address of its own and the same port; `relay_networks` permits all of the lab's
but one. Where the schedule would have mail wait for minutes, `queue retry` has it tried at once.
"""

import base64
import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any

import dkim
import pytest

from postroad.control.asking import ask
from postroad.domains.lookup import look_up
from postroad.settings import Settings
from tests.end_to_end.test_smart_host import fates
from tests.name_server import answering
from tests.opendkim import OpenDKIM
from tests.postfix import Postfix, running_postfix
from tests.running import POSTROAD, Server, running
from tests.smtp_sink import ALWAYS, Reset, Script, Sink, Stall, assert_wire_invariants, running_sink

ALICE = "alice@example.test"
MESSAGES = "/gmail/v1/users/me/messages"
# Of the lab's addresses, which are private to this machine, this one is not permitted.
FORBIDDEN = "127.0.0.99"
PERMITTED = "127.0.0.0/26,::1/128"
NAMES = {
    "postfix.test": "IN MX 10 mx.postfix.test.\nmx.postfix.test. IN A 127.0.0.1",
    "grey.test": "IN MX 10 mx.grey.test.\nmx.grey.test. IN A 127.0.0.2",
    "storm.test": "IN MX 10 mx1.storm.test.\nstorm.test. IN MX 20 mx2.storm.test.\n"
    "mx1.storm.test. IN A 127.0.0.3\nmx2.storm.test. IN A 127.0.0.4",
    "backup.test": "IN MX 10 dead.backup.test.\nbackup.test. IN MX 20 mx.backup.test.\n"
    "dead.backup.test. IN A 127.0.0.5\nmx.backup.test. IN A 127.0.0.6",
    "doubt.test": "IN MX 10 mx1.doubt.test.\ndoubt.test. IN MX 20 mx2.doubt.test.\n"
    "mx1.doubt.test. IN A 127.0.0.7\nmx2.doubt.test. IN A 127.0.0.8",
    "six.test": "IN MX 10 mx.six.test.\nmx.six.test. IN AAAA ::1",
    "bare.test": "IN A 127.0.0.9",
    "alias.test": "IN MX 10 name.alias.test.\nname.alias.test. IN CNAME mx.alias.test.\n"
    "mx.alias.test. IN A 127.0.0.10",
    "stall.test": "IN MX 10 mx.stall.test.\nmx.stall.test. IN A 127.0.0.11",
    "null.test": "IN MX 0 .",
    "private.test": f"IN MX 10 mx.private.test.\nmx.private.test. IN A {FORBIDDEN}",
    "ours.test": "IN MX 10 postroad.test.\npostroad.test. IN A 127.0.0.12",
}
ZONE = "".join(f"{name}. {records}\n" for name, records in NAMES.items())


@dataclass
class Lab:
    """What runs, and the records that `domain add` printed for Alice's domain."""

    server: Server
    postfix: Postfix
    name_server: tuple[str, int]
    records: dict[str, str]
    token: str = ""
    _sinks: list[Sink] = field(default_factory=list)
    _running: ExitStack = field(default_factory=ExitStack)

    def sink(self, host: str, script: Script | None = None) -> Sink:
        """A mail server at this address, until the test is over."""
        address = (host, self.postfix.port)
        self._sinks.append(self._running.enter_context(running_sink(script, address=address)))
        return self._sinks[-1]

    def tidy(self) -> None:
        """Stop the mail servers of a test; their wire was in order."""
        self._running.close()
        sessions = [session for sink in self._sinks for session in sink.sessions]
        self._sinks.clear()
        for session in sessions:
            assert_wire_invariants(session)

    def send(self, *paths: str) -> str:
        """Send to them; the queue id."""
        content = f"From: Alice <{ALICE}>\nTo: {', '.join(paths)}\nSubject: far\n\n.dots\n\nand more\n".encode()
        answer = self.server.send(content, self.token)
        assert answer.code == 200, answer.body
        return answer.json["id"]

    def fate(self, id_: str) -> tuple[str, int, bool]:
        """State, reply code and doubt of the only recipient after the first attempt."""
        (found,) = fates(self.server, id_).values()
        return found

    def retried(self, id_: str) -> list[dict]:
        """Have it tried now; the attempts so far, once there is one more."""
        before = len(self.shown(id_)["attempts"])
        self._order("queue retry", queue_id=id_, recipient=None)
        deadline = time.monotonic() + 10
        while len(attempts := self.shown(id_)["attempts"]) == before:
            assert time.monotonic() < deadline
        return attempts

    def shown(self, id_: str) -> dict:
        return self._order("queue show", queue_id=id_)

    def _order(self, name: str, **arguments: str | None) -> Any:
        """As the command does, over the server's socket."""
        return ask(Settings(data=str(self.server.data)), name, arguments, int(time.time() * 1000))

    def inbox(self) -> list[bytes]:
        """Every message in Alice's INBOX."""
        headers = {"Authorization": f"Bearer {self.token}"}
        listed = self.server.request("GET", f"{MESSAGES}?labelIds=INBOX&maxResults=500", headers=headers).json
        paths = [f"{MESSAGES}/{one['id']}?format=raw" for one in listed.get("messages", [])]
        answers = [self.server.request("GET", path, headers=headers).json for path in paths]
        return [base64.urlsafe_b64decode(answer["raw"]) for answer in answers]

    def report(self, domain: str) -> str:
        """The status in the report on a recipient of that domain, once Alice has it."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for report in self.inbox():
                parts = message_from_bytes(report).get_payload()
                recipient = parts[1].get_payload()[1]
                if recipient["Final-Recipient"].endswith(f"@{domain}"):
                    return recipient["Status"]
        raise AssertionError(f"no report on {domain}")


@contextmanager
def started(folder: Path) -> Iterator[Lab]:
    """The lab without sinks."""
    data = folder / "data"
    data.mkdir()
    command = (POSTROAD, "domain", "add", "example.test", "--json", "--data", data)
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    records = {one["name"]: one["value"] for one in found}
    strings = {
        name: " ".join(f'"{part}"' for part in re.findall(".{1,255}", value)) for name, value in records.items()
    }
    zone = ZONE + "".join(f"{name}. IN TXT {value}\n" for name, value in strings.items())
    with running_postfix() as postfix, answering(zone) as name_server:
        flags = {
            "--relay": "mx",
            "--relay-port": str(postfix.port),
            "--relay-networks": PERMITTED,
            "--dns": ":".join(map(str, name_server)),
            "--hostname": "postroad.test",
            "--drain-seconds": "0",
        }
        with running(data, *(word for flag in flags.items() for word in flag)) as server:
            yield Lab(server, postfix, name_server, records, server.token(ALICE, "gmail.send", "gmail.readonly"))


@pytest.fixture(scope="module")
def whole_lab(tmp_path_factory):
    """One lab for all tests."""
    with started(tmp_path_factory.mktemp("internet")) as lab:
        yield lab


@pytest.fixture
def lab(whole_lab):
    """The lab; the test's own mail servers go when it is over."""
    yield whole_lab
    whole_lab.tidy()


def test_a_stranger_gets_signed_mail(lab, tmp_path):
    """Postfix, found by MX, has the mail; libopendkim and dkimpy verify it by what the DNS publishes."""
    assert lab.fate(lab.send("bob@postfix.test")) == ("relayed", 250, False)
    content = lab.postfix.delivered(1)[-1].replace(b"\n", b"\r\n")
    verdicts = OpenDKIM(tmp_path, lab.records, int(time.time())).verdicts(content)
    assert [(selector.partition("-")[0], verdict) for selector, verdict in verdicts.items()] == [
        ("rsa", ""),
        ("ed25519", ""),
    ]
    look = look_up(lab.name_server)

    def ask(name: bytes, timeout: int = 5) -> bytes:
        return look(name.decode(), "TXT")[0].encode()

    assert dkim.verify(content, dnsfunc=ask)
    assert not dkim.verify(content.replace(b"and more", b"and less"), dnsfunc=ask)


def test_a_greylisted_message_comes_again_as_it_was(lab):
    """450 and then 250: one copy, by the same envelope both times."""
    sink = lab.sink("127.0.0.2", {("RCPT", 1): "450 4.2.0 greylisted, come back"})
    id_ = lab.send("bob@grey.test")
    assert lab.fate(id_) == ("queued", 450, False)
    assert [one["outcome"] for one in lab.retried(id_)] == ["1 delayed", "1 relayed"]
    commands = [line for session in sink.sessions for line in session.commands]
    envelopes = [line for line in commands if line[:4] in (b"MAIL", b"RCPT")]
    assert (len(envelopes), envelopes[:2], len(sink.messages)) == (4, envelopes[2:], 1)


def test_a_storm_of_421_over_two_hosts_costs_no_copy(lab):
    """Both hosts turn it away at every stage, try after try; in the end one of them has it, once."""
    hosts = [
        lab.sink("127.0.0.3", {("CONNECT", 1): "421 busy", ("MAIL", 1): "421 busy", ("DOT", 1): "421 4.3.2 busy"}),
        lab.sink("127.0.0.4", {("EHLO", 1): "421 busy", ("RCPT", 1): "421 busy", ("DATA", 1): "421 busy"}),
    ]
    id_ = lab.send("bob@storm.test")
    assert lab.fate(id_) == ("queued", 421, False)
    for _ in range(6):
        attempts = lab.retried(id_)
        if attempts[-1]["outcome"] == "1 relayed":
            break
    assert {one["outcome"] for one in attempts[:-1]} == {"1 delayed"}
    assert sum(len(host.messages) for host in hosts) == 1
    assert all(not host.script.keys() - _reached(host) for host in hosts), "the storm was not gone through"


def _reached(sink: Sink) -> set[tuple[str, int]]:
    """Which stage was reached how often, each time."""
    return {(stage, time_) for stage, times in sink._reached.items() for time_ in range(1, times + 1)}


def test_what_is_in_doubt_is_not_given_to_the_next_host(lab):
    """The first host takes the mail and is gone before its 250: the next try is there, the second is not asked."""
    first, second = lab.sink("127.0.0.7", {("DOT_AFTER_COMMIT", 1): Reset()}), lab.sink("127.0.0.8")
    id_ = lab.send("bob@doubt.test")
    assert lab.fate(id_) == ("queued", 451, True)
    assert len(first.messages) == 1
    _, again = lab.retried(id_)
    assert (again["outcome"], again["after_in_doubt"]) == ("1 relayed", True)
    assert again["host"].startswith("mx1.doubt.test[127.0.0.7]")
    assert len({one.content for one in first.messages}) == 1
    assert second.sessions == []


REACHED = {
    "backup.test": "127.0.0.6",  # its first host is dead
    "six.test": "::1",  # has an address of IPv6 alone
    "bare.test": "127.0.0.9",  # has no MX
    "alias.test": "127.0.0.10",  # its MX is a CNAME
}


def test_every_kind_of_domain_is_reached(lab):
    """By a second MX, over IPv6 alone, by its own address without MX, by the name that a CNAME leads to."""
    sinks = {domain: lab.sink(host) for domain, host in REACHED.items()}
    ids = [lab.send(f"bob@{domain}") for domain in REACHED]
    assert [lab.fate(id_) for id_ in ids] == [("relayed", 250, False)] * len(ids)
    for domain, sink in sinks.items():
        assert [one.forward_paths for one in sink.messages] == [(f"bob@{domain}",)]


UNREACHABLE = {
    "null.test": (556, "5.1.10"),  # says that it takes no mail
    "nowhere.test": (550, "5.1.2"),  # does not exist
    "private.test": (550, "5.4.4"),  # is on a network that is not permitted
    "ours.test": (554, "5.4.6"),  # would come back to us
}


def test_who_cannot_be_reached_is_reported_with_the_reason(lab):
    """At once and for good, by a DSN with the status of RFC 3463 that says why; and nobody was connected to."""
    forbidden, ours = lab.sink(FORBIDDEN), lab.sink("127.0.0.12")
    ids = {domain: lab.send(f"bob@{domain}") for domain in UNREACHABLE}
    for domain, (code, status) in UNREACHABLE.items():
        assert lab.fate(ids[domain]) == ("failed", code, False), domain
        assert lab.report(domain) == status
    assert (forbidden.sessions, ours.sessions) == ([], [])


def test_a_domain_that_stalls_holds_up_nobody_else(lab):
    """One message to many domains: all others have it while one's server says nothing."""
    stalling = lab.sink("127.0.0.11", {("CONNECT", ALWAYS): Stall()})
    sinks = [lab.sink(host) for host in REACHED.values()]
    paths = [f"carl@{domain}" for domain in ("stall.test", *REACHED, "null.test", "postfix.test")]
    id_ = lab.send(*paths)
    deadline = time.monotonic() + 10
    while True:
        found = {one["forward_path"]: one for one in lab.shown(id_)["recipients"]}
        states = {path: one["state"] for path, one in found.items()}
        if list(states.values()).count("queued") == 1:
            break
        assert time.monotonic() < deadline, states
    assert (states.pop("carl@stall.test"), found["carl@stall.test"]["claimed"]) == ("queued", True)
    assert states.pop("carl@null.test") == "failed"
    assert set(states.values()) == {"relayed"}
    assert [len(sink.messages) for sink in sinks] == [1] * len(sinks)
    assert len(stalling.sessions) == 1
