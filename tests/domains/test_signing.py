"""The signer: what the relay sends is signed once for each content, or not sent."""

import asyncio
import time
from contextlib import closing

import pytest

from postroad.database.engine import Database
from postroad.domains import records, register
from postroad.domains.signing import REMEMBERED, SERVE_MS, Signer, form_of
from postroad.mail.dkim import CannotSign
from postroad.mail.outcome import Content
from postroad.sealing import Sealing
from tests.opendkim import OpenDKIM

NOW = int(time.time()) * 1000  # seconds without a fraction, as in a signature
SEALING = Sealing(b"k" * 32)
PLAIN = b"From: Me <me@a.test>\r\nTo: you@b.test\r\nSubject: hello\r\n\r\nbody\r\n"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A database with the sending domains a.test and c.test."""
    opened = Database(tmp_path_factory.mktemp("database"), floor=0)
    for name in ("a.test", "c.test"):
        opened.submit(lambda connection, name=name: register.add(connection, name, SEALING, NOW)).result()
    yield opened
    opened.close()


@pytest.fixture
def published(database, tmp_path):
    """libopendkim, with the records of the domains."""
    domains = database.submit(register.everyone).result()
    found = [record for one in domains for record in records.records(one, records.Host("mx.test"), NOW)]
    return OpenDKIM(tmp_path, {record.name: record.value for record in found}, NOW // 1000)


class Reading:
    """A stored content, and how often it was read."""

    def __init__(self, octets: bytes, chunk: int = 1 << 18, *, content_id: int = 1, eight_bit: bool = False):
        self.times = 0
        self.octets = octets
        self.chunk = chunk
        self.content = Content(content_id, len(octets), 998, eight_bit, False, False, self._chunks)

    async def _chunks(self):
        self.times += 1
        for at in range(0, len(self.octets), self.chunk):
            yield self.octets[at : at + self.chunk]


async def octets_of(content: Content) -> bytes:
    return b"".join([chunk async for chunk in content.chunks()])


def signed(database, reading: Reading, *, clock=lambda: NOW, sealing=SEALING) -> bytes:
    """The content as it is sent, whose size is what was said."""

    async def sign() -> bytes:
        content = await Signer(database, sealing, clock).signed(reading.content)
        octets = await octets_of(content)
        assert content.size == len(octets)
        return octets

    return asyncio.run(sign())


CONTENTS = {
    "small": (PLAIN, 1 << 18),
    "octet by octet": (PLAIN, 1),
    "without a body": (b"From: me@a.test\r\nSubject: x\r\n", 1 << 18),
    "large": (PLAIN + b"line of text \r\n" * 100_000, 1 << 18),
    "a header section over many chunks": (b"X-A: b\r\n" * 900 + PLAIN, 1 << 10),
    "from a domain below": (PLAIN.replace(b"a.test", b"news.a.test"), 1 << 18),
    "of two authors": (PLAIN.replace(b"me@a.test>", b"me@a.test>, you@c.test"), 1 << 18),
}


@pytest.mark.parametrize(("octets", "chunk"), CONTENTS.values(), ids=CONTENTS)
def test_what_is_sent_verifies(database, published, octets, chunk):
    """Content of a sending domain is sent behind two good signatures of that domain, and otherwise as it is."""
    sent = signed(database, Reading(octets, chunk))
    assert sent.endswith(octets)
    assert b"d=a.test;" in sent
    assert list(published.verdicts(sent).values()) == ["", ""]


UNSIGNED = {
    "of another domain": PLAIN.replace(b"a.test", b"b.test"),
    "of the domain above": PLAIN.replace(b"me@a.test", b"me@test.example"),
    "of a host without a dot": PLAIN.replace(b"me@a.test", b"mailer-daemon@localhost"),
    "of nobody": PLAIN.replace(b"From", b"X-From"),
}


@pytest.mark.parametrize("octets", UNSIGNED.values(), ids=UNSIGNED)
def test_other_domains_mail_is_sent_as_it_is(database, octets):
    """Where the author's domain has no key nothing is added."""
    assert signed(database, Reading(octets)) == octets


def test_a_large_unsigned_message_is_not_read_to_its_end(database):
    """That nobody signs is known after the header section."""
    pieces = []

    async def chunks():
        for piece in (UNSIGNED["of another domain"], b"never\r\n"):
            pieces.append(piece)
            yield piece

    content = Content(1, 0, 998, False, False, False, chunks)
    asyncio.run(Signer(database, SEALING, lambda: NOW).signed(content))
    assert len(pieces) == 1


def test_what_is_begun_is_signed_once(database):
    """Who asks later gets the signatures that were begun; they are made together."""

    async def sign() -> None:
        signer = Signer(database, SEALING, lambda: NOW)
        await signer.signed(Reading(PLAIN, content_id=9).content)  # now it knows that there are keys
        some = [Reading(PLAIN, content_id=number) for number in range(3)]
        for reading in some:
            signer.begin(reading.content)
        for reading in some:
            await octets_of(await signer.signed(reading.content))
            assert reading.times == 2

    asyncio.run(sign())


def test_what_another_process_signed_is_taken_while_it_is_fresh(database):
    """Its signatures stand before the content in that form, for as long as our own would serve; then we sign."""

    async def sign(age) -> tuple[bytes, int]:
        signer, reading = Signer(database, SEALING, lambda: NOW), Reading(PLAIN)
        signer.take(form_of(reading.content), NOW - age, b"X-Signed: elsewhere\r\n")
        await signer.signed(Reading(PLAIN, content_id=9).content)  # now it knows that there are keys
        signer.begin(reading.content)
        content = await signer.signed(reading.content)
        return (await octets_of(content))[:8], reading.times

    assert asyncio.run(sign(0)) == (b"X-Signed", 1)
    assert asyncio.run(sign(SERVE_MS - 1)) == (b"X-Signed", 1)
    assert asyncio.run(sign(SERVE_MS)) == (b"DKIM-Sig", 2)
    assert asyncio.run(sign(-1)) == (b"DKIM-Sig", 2)


def test_without_any_key_no_message_is_looked_at(tmp_path):
    """Where no domain has a key, mail is sent as it is and not read before."""

    async def sign() -> None:
        with closing(Database(tmp_path, floor=0)) as database:
            signer, reading = Signer(database, SEALING, lambda: NOW), Reading(PLAIN)
            signer.begin(reading.content)
            assert await signer.signed(reading.content) is reading.content
            assert reading.times == 0

    asyncio.run(sign())


def test_signatures_travel_with_the_first_octets(database):
    """A small message that is signed is still one piece, and a large one has no piece more."""

    async def pieces(reading: Reading) -> int:
        content = await Signer(database, SEALING, lambda: NOW).signed(reading.content)
        return len([piece async for piece in content.chunks()])

    assert [asyncio.run(pieces(Reading(PLAIN, chunk))) for chunk in (1 << 18, 16)] == [1, -(-len(PLAIN) // 16)]


def test_a_content_is_signed_once(database):
    """Transactions at once and later share the signatures of a form; another form has its own."""

    async def sign() -> None:
        signer = Signer(database, SEALING, lambda: NOW)
        plain, eight_bit = Reading(PLAIN), Reading(PLAIN, eight_bit=True)
        many = await asyncio.gather(*(signer.signed(plain.content) for _ in range(20)))
        many.append(await signer.signed(plain.content))
        assert len({await octets_of(one) for one in many}) == 1
        assert plain.times == 1 + len(many)
        await signer.signed(eight_bit.content)
        assert eight_bit.times == 1

    asyncio.run(sign())


@pytest.mark.parametrize(("later", "times"), [(3_599_999, 1), (3_600_000, 2), (-1, 2)])
def test_signatures_serve_an_hour(database, later, times):
    """After an hour, or when the clock was set back, a content is signed anew."""
    now = NOW

    async def sign() -> None:
        nonlocal now
        signer, reading = Signer(database, SEALING, lambda: now), Reading(PLAIN)
        await signer.signed(reading.content)
        now += later
        await signer.signed(reading.content)
        assert reading.times == times

    asyncio.run(sign())


def test_what_is_remembered_is_bounded(database):
    """The oldest signatures are forgotten for new ones."""

    async def sign() -> None:
        signer = Signer(database, SEALING, lambda: NOW)
        first = Reading(UNSIGNED["of another domain"], content_id=0)
        await signer.signed(first.content)
        for number in range(1, REMEMBERED):
            await signer.signed(Reading(UNSIGNED["of another domain"], content_id=number).content)
        await signer.signed(first.content)
        assert first.times == 1
        await signer.signed(Reading(PLAIN, content_id=REMEMBERED).content)
        await signer.signed(first.content)
        assert first.times == 2

    asyncio.run(sign())


def test_nothing_goes_out_unsigned_because_a_key_does_not_open(database):
    """A wrong sealing key stops the mail of a sending domain, and lets that of others pass."""
    with pytest.raises(CannotSign, match=r"mail from a\.test cannot be signed: a secret in the database"):
        signed(database, Reading(PLAIN), sealing=Sealing(b"l" * 32))
    assert signed(database, Reading(UNSIGNED["of another domain"]), sealing=Sealing(b"l" * 32))


def test_a_failure_is_not_remembered(database):
    """What could not be read is signed when it can be."""
    broken = True

    async def chunks():
        if broken:
            raise OSError("no disk")
        yield PLAIN

    async def sign() -> None:
        nonlocal broken
        signer = Signer(database, SEALING, lambda: NOW)
        content = Content(1, len(PLAIN), 998, False, False, False, chunks)
        with pytest.raises(OSError, match="no disk"):
            await signer.signed(content)
        broken = False
        assert (await signer.signed(content)).size > len(PLAIN)

    asyncio.run(sign())


def test_who_gives_up_does_not_stop_the_others(database):
    """A transaction that is cancelled while a content is being signed leaves the work to those that wait."""

    async def sign() -> None:
        signer, reading = Signer(database, SEALING, lambda: NOW), Reading(PLAIN)
        first, second = (asyncio.create_task(signer.signed(reading.content)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).size > len(PLAIN)
        assert reading.times == 1

    asyncio.run(sign())


def test_a_rotation_holds_within_a_second(database):
    """Keys are taken for those of the database for a second."""
    now = NOW

    async def sign() -> None:
        nonlocal now
        signer = Signer(database, SEALING, lambda: now)
        octets = PLAIN.replace(b"a.test", b"c.test")
        before = await octets_of(await signer.signed(Reading(octets, content_id=1).content))
        await database.commit(lambda connection: register.rotate(connection, "c.test", SEALING, NOW, days=0))
        now += 1000
        after = await octets_of(await signer.signed(Reading(octets, content_id=2).content))
        assert b"s=rsa-" in before
        assert (
            before.partition(b" s=")[2].partition(b";")[0] + b"-2" == after.partition(b" s=")[2].partition(b";")[0]
        )

    asyncio.run(sign())
