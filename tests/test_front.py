"""What the process in front does for the relay: it signs what will be sent, before its rows are handed over."""

import asyncio
import os
import time
from contextlib import closing

import pytest

from postroad.database.beside import Handing
from postroad.database.channel import pair
from postroad.database.engine import Database
from postroad.database.health import Health
from postroad.database.keeper import Count, Signed, read
from postroad.domains import register
from postroad.domains.signing import Signer
from postroad.front import _signing
from postroad.mail.outcome import Content
from postroad.sealing import Sealing

NOW = time.time_ns() // 1_000_000
SEALING, OTHER = Sealing(b"k" * 32), Sealing(b"o" * 32)
LETTER = b"From: me@%b\r\nTo: you@b.test\r\nSubject: hello\r\n\r\nbody\r\n"
SIGNED = {
    # domain of the author, the key by which keys are opened -> how many signatures the keeper hears of
    "of a sending domain": (b"a.test", SEALING, 2),
    "of another": (b"c.test", SEALING, 0),
    "by keys that do not open": (b"a.test", OTHER, 0),
}


def content_of(octets: bytes) -> Content:
    async def chunks():
        yield octets

    return Content(7, len(octets), 998, False, False, False, chunks)


@pytest.mark.parametrize(("domain", "sealing", "count"), SIGNED.values(), ids=SIGNED)
def test_what_the_front_can_sign_its_keeper_hears_of(tmp_path, monkeypatch, domain, sealing, count):
    """In the form in which it is stored; of what it cannot sign nothing is said, and no harm done."""
    monkeypatch.setattr(os, "_exit", lambda _: None)
    ours, theirs = pair()

    async def scenario(database):
        handing = Handing(Health(None, 0))
        await handing.begin(theirs.rows)
        await _signing(Signer(database, sealing, lambda: NOW), handing)(lambda: content_of(LETTER % domain))
        asking = asyncio.create_task(handing.counted())
        heard = await asyncio.to_thread(read, ours.rows)
        while not isinstance(heard[-1], Count):
            heard += await asyncio.to_thread(read, ours.rows)
        ours.rows.send([(heard[-1].number, [])])
        await asking
        handing._transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return heard[:-1]

    with closing(ours), closing(theirs), closing(Database(tmp_path, floor=0)) as database:
        database.submit(lambda connection: register.add(connection, "a.test", SEALING, NOW)).result()
        heard = asyncio.run(scenario(database))
    assert [(type(one), one.form, one.fields.count(b"DKIM-Signature:")) for one in heard] == (
        [(Signed, (7, 998, False), count)] if count else []
    )
