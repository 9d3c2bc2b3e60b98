"""A name server on loopback, over UDP and TCP, that answers from a zone, fails, or stays silent.

With `signed` it is one that validates: its answers are authentic, but those about the names in `unsigned`;
questions about the names in `bogus` fail.
"""

import contextlib
import socket
import threading
from collections.abc import Collection, Iterator

from dnslib import RCODE, RR, DNSRecord
from dnslib.server import BaseResolver, DNSLogger, DNSServer

from tests.postfix import free_port

QUIET = DNSLogger(log="", logf=lambda _: None)


class _Zone(BaseResolver):
    """The records of a zone file by name; CNAMEs are followed."""

    def __init__(self, text: str, failing: int, authentic: dict[str, bool], bogus: Collection[str]) -> None:
        self._records = RR.fromZone(text)
        self._failing = failing
        self._authentic = authentic
        self._bogus = bogus

    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
        answer = request.reply()
        name, kind = request.q.qname, request.q.qtype
        plain = str(name).rstrip(".").lower()
        answer.header.ad = self._authentic.get(plain, self._authentic[""])
        answer.header.rcode = RCODE.SERVFAIL if plain in self._bogus else self._failing
        if plain in self._bogus:
            return answer
        known = [record for record in self._records if record.rname == name]
        for record in known:
            if record.rtype == 5:
                answer.add_answer(record)
                known = [other for other in self._records if other.rname == record.rdata.label]
        answer.add_answer(*(record for record in known if record.rtype == kind))
        if not known and not self._failing:
            answer.header.rcode = RCODE.NXDOMAIN
        return answer


@contextlib.contextmanager
def answering(
    zone: str,
    *,
    failing: int = RCODE.NOERROR,
    silent: bool = False,
    signed: bool = False,
    unsigned: Collection[str] = (),
    bogus: Collection[str] = (),
) -> Iterator[tuple[str, int]]:
    """Its address while it runs."""
    authentic = {"": signed} | dict.fromkeys(unsigned, False)
    address = ("127.0.0.1", free_port())
    with contextlib.ExitStack() as stack:
        if silent:
            deaf = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            deaf.bind(address)
            yield address
            return
        for tcp in (False, True):
            server = DNSServer(_Zone(zone, failing, authentic, bogus), *address, tcp=tcp, logger=QUIET).server
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            for step in (thread.join, server.server_close, server.shutdown):
                stack.callback(step)  # the last is called first
        yield address
