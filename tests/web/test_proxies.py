"""Proxies speak for who asked them; nobody else speaks for anybody."""

import pytest

from postroad.settings import SettingError, Settings
from postroad.web.proxies import Proxies
from postroad.web.requests import Request

OURS = "10.0.0.2, 10.1.0.0/16, fd00::/8"


def peer(peer: str, forwarded_for: str | None, behind_proxy: str = OURS) -> str:
    headers = {} if forwarded_for is None else {b"x-forwarded-for": forwarded_for.encode("latin-1")}
    request = Request("GET", "/", b"/", headers, None, unread=False, peer=peer)
    return Proxies(Settings(behind_proxy=behind_proxy).proxies).behind(request).peer


@pytest.mark.parametrize(
    ("from_", "said", "asks"),
    [
        ("10.0.0.2", "203.0.113.9", "203.0.113.9"),
        ("10.1.7.7", "203.0.113.9", "203.0.113.9"),
        ("::ffff:10.0.0.2", "203.0.113.9", "203.0.113.9"),
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("10.0.0.2", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.2", "203.0.113.9,10.1.0.4 , 10.0.0.2", "203.0.113.9"),
        ("10.0.0.2", "10.1.0.5, 10.1.0.4", "10.1.0.5"),
        ("10.0.0.2", "198.51.100.1, not an address", "10.0.0.2"),
        ("10.0.0.2", "", "10.0.0.2"),
        ("10.0.0.2", "203.0.113.9:4711", "10.0.0.2"),
        ("10.0.0.2", "1.1.1.1, " * 1000 + "203.0.113.9", "203.0.113.9"),
        ("10.0.0.2", None, "10.0.0.2"),
    ],
)
def test_a_proxy_says_who_asked_it(from_, said, asks):
    """The last that is no proxy of ours: what stands before it, he may have written himself."""
    assert peer(from_, said) == asks


@pytest.mark.parametrize("from_", ["203.0.113.7", "10.0.0.3", "127.0.0.1", "::1", "", "unknown"])
def test_anybody_else_speaks_for_himself(from_):
    """Whatever he says of whom he forwards for (hardening.md G14)."""
    assert peer(from_, "198.51.100.1") == from_


def test_without_proxies_nobody_is_believed():
    """As the setting is left."""
    assert peer("127.0.0.1", "198.51.100.1", "") == "127.0.0.1"


@pytest.mark.parametrize("behind_proxy", ["proxy.example", "10.0.0.0/33", "10.0.0.2;10.0.0.3", "10.0.0"])
def test_a_proxy_is_named_by_address(behind_proxy):
    """A name would be whatever a resolver says at the time."""
    with pytest.raises(SettingError, match=r"^behind_proxy: "):
        _ = Settings(behind_proxy=behind_proxy).proxies


def test_which_host_and_scheme_it_was_is_not_read():
    """So it cannot be forged: URLs are made from settings alone."""
    forged = {b"x-forwarded-for": b"203.0.113.9", b"x-forwarded-host": b"evil.test", b"x-forwarded-proto": b"http"}
    request = Request("GET", "/", b"/", forged | {b"host": b"mail.test"}, None, unread=False, peer="10.0.0.2")
    seen = Proxies(Settings(behind_proxy=OURS).proxies).behind(request)
    assert seen.headers[b"host"] == b"mail.test"
