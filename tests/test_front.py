"""The processes in front: how many there are, and what one does for the relay: it signs what will be sent."""

import asyncio
import os
import time
from contextlib import closing

import pytest

from postroad import front
from postroad.database.beside import Handing
from postroad.database.channel import pair
from postroad.database.engine import Database
from postroad.database.health import Health
from postroad.database.keeper import Count, Signed, read
from postroad.domains import register
from postroad.domains.signing import Signer
from postroad.front import _count, _signing, forked
from postroad.mail.outcome import Content
from postroad.sealing import Sealing
from postroad.settings import Settings

NOW = time.time_ns() // 1_000_000
SEALING, OTHER = Sealing(b"k" * 32), Sealing(b"o" * 32)
LETTER = b"From: me@%b\r\nTo: you@b.test\r\nSubject: hello\r\n\r\nbody\r\n"
SIGNED = {
    # domain of the author, the key by which keys are opened -> how many signatures the keeper hears of
    "of a sending domain": (b"a.test", SEALING, 2),
    "of another": (b"c.test", SEALING, 0),
    "by keys that do not open": (b"a.test", OTHER, 0),
}


COUNTS = {
    # settings beside the defaults -> how many fronts on a machine of one core, of two, of eight
    "usual": ({}, (1, 2, 2)),
    "as asked for": ({"fronts": 4}, (4, 4, 4)),
    "one where a user's quota is counted": ({"user_quota": 6000}, (1, 1, 1)),
    "one where a project's quota is counted": ({"project_quota": 6000}, (1, 1, 1)),
    "as asked for beside a quota": ({"user_quota": 6000, "fronts": 3}, (3, 3, 3)),
}


@pytest.mark.parametrize(("values", "counts"), COUNTS.values(), ids=COUNTS)
def test_how_many_fronts_there_are(monkeypatch, values, counts):
    """Two, unless the operator says another number; one where more are of no use, or would count wrong."""
    found = []
    for cores in (1, 2, 8):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        found.append(_count(Settings(**values)))
    assert tuple(found) == counts


def test_fronts_share_the_memory_for_bodies(monkeypatch):
    """Together they hold no more than one would alone."""
    given = []
    monkeypatch.setattr(front, "_fork", lambda settings, *_, **__: given.append(settings.body_memory) or Gone())
    with forked(Settings(fronts=3, body_memory=3_000_001), sandbox=False) as fronts:
        assert len(fronts) == 3
    assert given == [1_000_000] * 3


class Gone:
    """In the place of a child."""

    def close(self):
        """Nothing to close."""


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
