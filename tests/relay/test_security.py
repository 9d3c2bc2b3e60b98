"""What every kind of broken STARTTLS means under every demand, judged by a recording server (hardening.md 2C6)."""

import asyncio
import re
import ssl

import pytest
from structlog.testing import capture_logs

from postroad.mail.outcome import Delayed, Relayed
from postroad.relay import security
from postroad.relay.attempt import Relay
from postroad.relay.dane import Association, Associations
from postroad.relay.demands import always, waived
from postroad.relay.route import NextHop, Route
from postroad.relay.security import Contexts, Demand, PolicyType, Result
from postroad.relay.sessions import Sessions
from tests.relay.certificates import HOST, ISSUED, chain, server, tlsa, trusting
from tests.relay.test_attempt import QUICK, Marks, errand
from tests.smtp_sink import ALWAYS, EXTENSIONS, Drop, Sink

CONTEXTS = Contexts(verified=trusting(security.verified()))
WHY = "the MTA-STS policy of a.test"


def vouching(*names):
    """DANE's demand, of whom these certificates are the right ones."""
    records = tuple(Association(*tlsa(3, 1, 1, chain(name)[0])) for name in names)
    associations = Associations(records, (HOST,))
    return Demand(CONTEXTS.dane, True, HOST, "DANE", PolicyType.DANE, associations=associations)


def by_level(level):
    """The operator's demand, on a server called as its certificate is."""
    return Demand(
        CONTEXTS.demand(level).context,
        required=level != "opportunistic",
        identity=HOST,
        why="a setting of this server",
    )


DEMANDS = {
    "opportunistic": by_level("opportunistic"),
    "required": by_level("required"),
    "verified": by_level("verified"),
    "testing": Demand(
        CONTEXTS.verified, identity=HOST, why=WHY, policy=PolicyType.STS, second=by_level("opportunistic")
    ),
    "testing, required": Demand(
        CONTEXTS.verified, identity=HOST, why=WHY, policy=PolicyType.STS, second=by_level("required")
    ),
    "enforce": Demand(CONTEXTS.verified, required=True, identity=HOST, why=WHY, policy=PolicyType.STS),
    "dane": vouching(*ISSUED),
    "dane, of another": vouching("next"),
}
DEMANDS |= {
    "enforce, waived": waived(DEMANDS["enforce"], DEMANDS["opportunistic"]),
    "dane, waived": waived(DEMANDS["dane"], DEMANDS["opportunistic"]),
    "dane, of another, waived": waived(DEMANDS["dane, of another"], DEMANDS["opportunistic"]),
    "dane, of another, waived, required": waived(DEMANDS["dane, of another"], DEMANDS["required"]),
}

INJECTED = b"220 2.0.0 go ahead\r\n250 injected\r\n"
ALERT = bytes((21, 3, 3, 0, 2, 2, 40))  # fatal, handshake_failure
BROKEN = {
    "plaintext behind the 220": {"script": {("STARTTLS", ALWAYS): INJECTED}},
    "garbage in the handshake": {"script": {("HANDSHAKE", ALWAYS): b"\x16\x03\x01garbage\r\n"}},
    "an alert in the handshake": {"script": {("HANDSHAKE", ALWAYS): ALERT}},
    "closed in the handshake": {"script": {("HANDSHAKE", ALWAYS): Drop()}},
    "454": {"script": {("STARTTLS", ALWAYS): "454 4.7.0 not now"}},
    "554": {"script": {("STARTTLS", ALWAYS): "554 5.7.0 never"}},
    "421": {"script": {("STARTTLS", ALWAYS): Drop(b"421 4.7.0 closing\r\n")}},
    "not offered": {"tls": None},
}
SERVERS = {
    "good": {"tls": server()},
    "of nobody known": {"tls": server("of nobody known")},
    "expired": {"tls": server("expired")},
    "for another name": {"tls": server("for another name")},
    "TLS 1.0": {"tls": server(old=True)},
}
# By server, what becomes of a message under each of the demands, in their order.
FATES = {"-": "delayed", "p": "plaintext", "e": "encrypted", "c": "certificate", "d": "dane"}
TABLE = {
    **dict.fromkeys(BROKEN, "p--p----ppp-"),
    "good": "eeccccd-cdee",
    "of nobody known": "ee-ee-d-edee",
    "expired": "ee-ee-d-edee",
    "for another name": "ee-ee-d-edee",
    "TLS 1.0": "e--e----eee-",
}
CASES = [
    (name, demand, FATES[letter])
    for name, letters in TABLE.items()
    for demand, letter in zip(DEMANDS, letters, strict=True)
]


def attempted(demand, script=None, *, tls=SERVERS["good"]["tls"], **options):
    """The outcome, the attempt, the sink and the log of one message."""

    async def run():
        async with Sink(script, tls=tls, **options) as sink, asyncio.timeout(20):

            async def find():
                return Route((NextHop("127.0.0.1", sink.port),))

            relay = Relay(Sessions("here.test", QUICK), find, always(demand))
            tried = await relay.attempt(errand(), Marks())
            await relay.sessions.close()
            return tried, sink

    with capture_logs() as logged:
        tried, sink = asyncio.run(run())
    [outcome] = tried.outcomes.values()
    return outcome, tried, sink, logged


@pytest.mark.parametrize(("name", "demand", "fate"), CASES, ids=lambda one: one)
def test_no_demand_is_met_by_less(name, demand, fate):
    """Relayed over what is demanded or better; else delayed, and not an octet of the mail has left."""
    outcome, tried, sink, logged = attempted(DEMANDS[demand], **(BROKEN | SERVERS)[name])
    if fate == "delayed":
        assert isinstance(outcome, Delayed)
        assert (outcome.reply.status, outcome.reply.ours) == ("4.7.5", True)
        assert f"= {outcome.reply.text}".removeprefix("= Postroad: ") in tried.conversation
        assert sink.messages == []
        assert {verb for session in sink.sessions for verb in session.verbs} <= {"EHLO", "STARTTLS", "QUIT"}
    else:
        assert isinstance(outcome, Relayed)
        assert [message.tls for message in sink.messages] == [fate != "plaintext"]
        assert [line["assurance"] for line in logged if line["event"] == "secured"] == [fate]


@pytest.mark.parametrize("demand", [name for name in DEMANDS if "of another" not in name])
def test_what_was_offered_in_plaintext_does_not_count(demand):
    """Whoever is between may have said it: under TLS the server is asked anew (RFC 3207 section 4.2)."""
    script = {("EHLO", 1): "250-sink.test\n250-SIZE 10\n250-STARTTLS\n250 8BITMIME"}
    outcome, _, sink, _ = attempted(DEMANDS[demand], script)
    assert isinstance(outcome, Relayed)
    [session] = sink.sessions
    assert session.verbs[:4] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]
    assert b"SIZE=" in session.commands[3]
    assert EXTENSIONS[0] == "PIPELINING"


RESULTS = {
    "good": "success",
    "not offered": "starttls-not-supported",
    "of nobody known": "certificate-not-trusted",
    "expired": "certificate-expired",
    "for another name": "certificate-host-mismatch",
    "TLS 1.0": "validation-failure",
    "454": "validation-failure",
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_counted_and_its_cause_told(name, monkeypatch):
    """In RFC 8460's words, under enforce and testing alike; the reply says cause and cure."""
    counted = []
    monkeypatch.setattr(
        "postroad.relay.sessions.maillog.session",
        lambda host, policy, result, cause="": counted.append((policy, result)),
    )
    for demand in ("enforce", "testing"):
        outcome, *_ = attempted(DEMANDS[demand], **(BROKEN | SERVERS)[name])
        assert counted[0] == ("sts", RESULTS[name])
        counted.clear()
        if isinstance(outcome, Delayed):
            assert WHY in outcome.reply.text
            assert "its operator can mend that" in outcome.reply.text


def test_mismatched_records_are_counted():
    """A certificate that the TLSA records do not name is their word against the server's."""
    outcome, _, _, logged = attempted(DEMANDS["dane, of another"])
    assert [(line["policy"], line["result"]) for line in logged] == [("tlsa", "tlsa-invalid")]
    assert "not the one that its TLSA records name" in outcome.reply.text


@pytest.mark.parametrize("name", ["dane", "encrypted", "verified"])
def test_what_is_demanded_is_a_safe_version(name):
    """TLS 1.2 at least (RFC 8996), whatever the machine's default."""
    assert getattr(CONTEXTS, name).minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("result", list(security._CAUSES))
def test_a_complaint_is_one_sentence(result):
    """Without a word of the library that found it."""
    said = security.complaint(result, DEMANDS["enforce"])
    assert re.fullmatch(r"[A-Za-z ',.;-]+", said)


def test_what_nobody_demands_waits_for_nobody():
    """Where less will do, the log does not say that the mail waits."""
    said = {name: security.complaint(Result.STARTTLS_NOT_SUPPORTED, one) for name, one in DEMANDS.items()}
    waiting = {name for name, text in said.items() if text.endswith(", the mail waits")}
    assert waiting == {"required", "verified", "enforce", "dane", "dane, of another"}
    assert security.complaint(Result.STARTTLS_NOT_SUPPORTED, Demand()).endswith("; nobody demands it")


def test_any_other_error_is_a_failure():
    """What OpenSSL says beyond the words of RFC 8460 is none of them."""
    assert security.failure(None) is Result.VALIDATION_FAILURE
    odd = ssl.SSLCertVerificationError()
    odd.verify_code = 9999
    assert security.failure(odd) is Result.VALIDATION_FAILURE
