"""Policy files from a real HTTPS server, which is good, broken or hostile."""

import asyncio
import gzip
import ssl
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postroad.relay.policy_file import MOST_OCTETS, PolicyFiles
from postroad.relay.resolver import Resolver
from postroad.relay.security import Result, verified
from postroad.relay.sts import NoPolicyError, Policy
from tests.name_server import answering
from tests.policy_host import POLICY, PolicyHost, answer, policy
from tests.relay.certificates import AUTHORITY, STRANGER, trusting
from tests.relay.test_addresses import NOT_PUBLIC

LOOPBACK = [ip_network("127.0.0.0/8")]
TEXT = POLICY.format(mode="enforce", mx="mx.a.test")
ZONE = """
mta-sts.a.test. 60 IN A 127.0.0.1
mta-sts.b.test. 60 IN CNAME hosting.test.
hosting.test. 60 IN A 127.0.0.1
"""


@pytest.fixture(scope="module")
def name_server():
    """One for all."""
    with answering(ZONE) as address:
        yield address


@pytest.fixture(scope="module")
def context():
    """The client's."""
    return trusting(verified())


def server_context(authority=AUTHORITY, name="mta-sts.a.test"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, "mta-sts.b.test" if name == "mta-sts.a.test" else "x.test").configure_cert(context)
    return context


GOOD = server_context()


def fetched(name_server, context, says, *, domain="a.test", tls=GOOD, allowed=LOOPBACK, patience=5.0, **options):
    """The policy, or the result and the host's bookkeeping."""

    async def run():
        async with PolicyHost(tls, says, **options) as host, asyncio.timeout(20):
            files = PolicyFiles(Resolver(name_server, lifetime=2.0), context, allowed, host.port, patience)
            try:
                return await files.fetch(domain), host
            except NoPolicyError as error:
                return error.result, host

    return asyncio.run(run())


@pytest.mark.parametrize("domain", ["a.test", "b.test"])
def test_a_policy_is_fetched(name_server, context, domain):
    """By one request for the well-known file, over an alias, too."""
    found, host = fetched(name_server, context, policy(), domain=domain)
    assert found == Policy("enforce", 86400, ("mx.a.test",))
    [request] = host.requests
    assert request.startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\n")
    assert f"\r\nHost: mta-sts.{domain}:{host.port}\r\n".encode() in request


FETCH, INVALID, WEBPKI = Result.STS_POLICY_FETCH_ERROR, Result.STS_POLICY_INVALID, Result.STS_WEBPKI_INVALID
HUGE = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {10 << 30}\r\n\r\n{TEXT}".encode()
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
ELSEWHERE = "Location: /policy.txt\r\n"
ANSWERS = {
    "404": (answer(TEXT, status="404 Not Found"), FETCH),
    "500": (answer(TEXT, status="500 Oh"), FETCH),
    "204": (answer("", status="204 No Content"), FETCH),
    "a redirect": (answer(TEXT, status="301 Moved Permanently", more=ELSEWHERE), FETCH),
    "a temporary redirect": (answer(TEXT, status="307 Temporary Redirect", more=ELSEWHERE), FETCH),
    "a page": (answer(TEXT, kind="text/html"), FETCH),
    "no type": (answer(TEXT).replace(b"Content-Type", b"X"), FETCH),
    "too large": (answer(TEXT + "x: " + "y" * MOST_OCTETS), FETCH),
    "cut short": (answer(TEXT)[:-1], FETCH),
    "garbage": (b"\0\xff" * 100, FETCH),
    "nothing": (b"", FETCH),
    "a header that has no end": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, FETCH),
    "a line that has no end": (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000, FETCH),
    "a bad chunk": (CHUNKED + b"zz\r\n", FETCH),
    "compressed": (answer(gzip.compress(TEXT.encode()), more="Content-Encoding: gzip\r\n"), INVALID),
    "not UTF-8": (answer(b"\xff" + TEXT.encode()), INVALID),
    "no policy": (answer("hello"), INVALID),
    "another version": (answer(TEXT.replace("STSv1", "STSv2")), INVALID),
    "empty": (answer(""), INVALID),
}


@pytest.mark.parametrize(("says", "result"), ANSWERS.values(), ids=ANSWERS)
def test_what_is_no_policy_file_is_none(name_server, context, says, result):
    """Only that file is asked for, again if the host hung up; no redirect is followed (RFC 8461 section 3.3)."""
    found, host = fetched(name_server, context, says)
    assert found is result
    assert {request.split()[1] for request in host.requests} == {b"/.well-known/mta-sts.txt"}
    assert host.connected == (1 if says else 2)


SLOW = {
    "ten gigabytes": (HUGE, {"endless": bytes(65_536)}),
    "endless chunks": (CHUNKED, {"endless": b"5\r\nx: yz\r\n" * 1000}),
    "an endless head": (b"HTTP/1.1 200 OK\r\n", {"endless": b"X: y\r\n" * 1000}),
    "a body that stops": (answer(TEXT)[:-5], {"stall": True, "patience": 0.3}),
    "no answer": (b"", {"stall": True, "patience": 0.3}),
}


@pytest.mark.parametrize(("says", "options"), SLOW.values(), ids=SLOW)
def test_what_has_no_end_is_left(name_server, context, says, options):
    """After 64 KiB or the time for it."""
    assert fetched(name_server, context, says, **options)[0] is FETCH


CERTIFICATES = {
    "of an authority that nobody knows": (STRANGER, "mta-sts.a.test"),
    "for another name": (AUTHORITY, "a.test"),
    "for all names elsewhere": (AUTHORITY, "*.b.test"),
}


@pytest.mark.parametrize(("authority", "name"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_a_bad_certificate_gives_no_policy(name_server, context, authority, name):
    """And the request is not even made."""
    found, host = fetched(name_server, context, policy(), tls=server_context(authority, name))
    assert (found, host.requests) == (WEBPKI, [])


def test_an_address_that_is_not_public_is_not_connected_to(context):
    """Each special address, as mail is not carried there either (hardening.md 2F1)."""
    zone = "\n".join(
        f"mta-sts.v{n}.test. 60 IN {'AAAA' if ':' in literal else 'A'} {ip_address(literal).exploded}"
        for n, literal in enumerate(NOT_PUBLIC)
    )

    async def run(address):
        async with PolicyHost(GOOD, policy()) as host, asyncio.timeout(20):
            files = PolicyFiles(Resolver(address), context, (), host.port)
            for n in range(len(NOT_PUBLIC)):
                with pytest.raises(NoPolicyError, match="no public address"):
                    await files.fetch(f"v{n}.test")
            return host.connected

    with answering(zone) as address:
        assert asyncio.run(run(address)) == 0


@pytest.mark.parametrize("domain", ["no.such.test", "x" * 64 + ".test", "x." * 120 + "test"], ids=len)
def test_a_name_without_an_address_gives_no_policy(name_server, context, domain):
    """Nor does one that is too long with its prefix."""
    assert fetched(name_server, context, policy(), domain=domain)[0] is FETCH


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(says=st.one_of(st.binary(), st.binary().map(answer), st.binary().map(CHUNKED.__add__)))
def test_any_octets_give_no_policy(name_server, context, says):
    """A hostile host is told apart from none by nothing."""
    assert fetched(name_server, context, says, patience=1.0)[0] in (FETCH, INVALID)
