"""/metrics: who may see it, and that it answers when storage does not."""

import asyncio
import contextlib

import pytest

from postroad import refusals
from postroad.database.engine import Database
from postroad.web import exposition
from postroad.web.exposition import Exposition
from postroad.web.requests import Request

NOW = 1_790_000_000_000


@pytest.fixture
def database(tmp_path):
    with contextlib.closing(Database(tmp_path, floor=0)) as opened:
        yield opened


def answer(database, peer="127.0.0.1", headers=None, **access):
    request = Request("GET", "/metrics", b"/metrics", headers or {}, None, unread=False, peer=peer)
    return asyncio.run(Exposition(database, lambda: NOW, **access).answer(request))


HERE = ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")
ELSEWHERE = ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "0.0.0.0", "", "unix:")


@pytest.mark.parametrize("peer", HERE)
def test_this_machine_is_served(database, peer):
    """Without a token a peer on loopback gets the metrics."""
    found = answer(database, peer)
    assert found.code == 200
    assert b"postroad_queue_recipients" in found.body


@pytest.mark.parametrize("peer", ELSEWHERE)
def test_another_machine_is_not(database, peer):
    """Without a token nobody else gets them."""
    assert answer(database, peer).code == 403


@pytest.mark.parametrize("header", [b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip"])
def test_a_proxy_here_does_not_make_its_clients_local(database, header):
    """A loopback peer that asks for somebody else is as somebody else."""
    assert answer(database, headers={header: b"127.0.0.1"}).code == 403


HOSTS = {
    b"localhost:8587": 200,
    b"LocalHost": 200,
    b"127.0.0.1:8587": 200,
    b"127.0.1.1": 200,
    b"[::1]:8587": 200,
    b"": 200,
    b"evil.example:8587": 403,
    b"localhost.evil.example": 403,
    b"127.0.0.1.evil.example": 403,
    b"localhost@evil.example": 403,
    b"127.0.0.1:8587\n": 403,
}


@pytest.mark.parametrize(("host", "code"), HOSTS.items())
def test_a_page_that_names_this_machine_its_own_is_not_this_machine(database, host, code):
    """A peer here is served when it asks for this machine by a local name, not by a page's."""
    assert answer(database, headers={b"host": host}).code == code


def test_behind_a_proxy_a_token_is_needed(database):
    """Where proxies are named in the settings, a loopback peer proves nothing."""
    assert answer(database, loopback=False).code == 403
    shown = {b"authorization": b"Bearer secret"}
    assert answer(database, loopback=False, token="secret", headers=shown).code == 200


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (b"Bearer secret", 200),
        (b"bearer  secret", 200),
        (b"Bearer Secret", 401),
        (b"Bearer secre", 401),
        (b"Bearer ", 401),
        (b"Basic secret", 401),
        (b"Bearer \xff", 401),
        (None, 401),
    ],
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.1"])
def test_with_a_token_it_alone_counts(database, peer, authorization, code):
    """With a token, whoever shows it is served, from anywhere; nobody else is, from here neither."""
    headers = {} if authorization is None else {b"authorization": authorization}
    found = answer(database, peer, headers, token="secret")
    assert found.code == code
    assert b"secret" not in found.body


def test_it_answers_when_storage_does_not(database, monkeypatch):
    """After a failure of storage the metrics say so; what waits cannot be asked and is left out."""

    def fail(_connection, _now):
        raise refusals.StorageUnhealthy

    monkeypatch.setattr(exposition, "depth", fail)
    database.health.latch("EIO")
    found = answer(database)
    assert found.code == 200
    assert b"postroad_storage_trusted 0.0" in found.body
    assert b"postroad_queue_recipients" not in found.body
