"""Codes that a person types: how they may be written, who may try how often, how many there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.oauth import device_codes, sign_ins
from postroad.oauth.device_codes import DeviceCode, plain, shown
from postroad.oauth.errors import OAuthError
from tests.oauth_kit import NOW, SEND


@pytest.fixture
def code(world):
    """A code that waits for somebody."""
    client, _ = world.client("installed")
    _, user_code = device_codes.issue(world.connection, client.client_id, (SEND,), NOW)
    return user_code


def typed(world, text, now=NOW):
    return device_codes.typed_by(world.connection, world.alice.account_id, text, now)


@given(st.text("BCDFGHJKLMNPQRSTVWXZ", min_size=8, max_size=8))
def test_a_code_is_read_as_it_is_shown(user_code):
    """Capitals and hyphen are for the eye alone."""
    for written in (shown(user_code), user_code, shown(user_code).lower(), f" {user_code[:4]} {user_code[4:]} "):
        assert plain(written) == user_code


@given(st.text(max_size=60))
def test_whatever_is_typed_is_looked_up_or_not(text):
    """Nothing comes of it but a text without spaces and hyphens, and not a long one."""
    assert len(plain(text)) <= 120
    assert "-" not in plain(text)


def test_a_code_is_found_by_who_types_it(world, code):
    """With the hyphen or without, in any case of letters."""
    for text in (code, code.lower(), code.replace("-", ""), f" {code} "):
        assert isinstance(typed(world, text), DeviceCode)


@pytest.mark.parametrize("text", ["", "BBBB-BBBB", "AAAA-AAAA", "x" * 100, "%", "ﬀﬀﬀﬀﬀﬀﬀﬀ"])
def test_another_code_is_not_found(world, code, text):
    """There is none, or it cannot be one."""
    assert typed(world, text) is None


def test_a_code_that_is_over_is_not_found(world, code):
    """After half an hour, or when somebody decided."""
    found = typed(world, code, NOW + 1_799_999)
    assert typed(world, code, NOW + 1_800_000) is None
    device_codes.deny(world.connection, found)
    assert device_codes.waiting(world.connection, code, NOW) is None


def test_who_guesses_has_to_wait(world, code):
    """After some wrong ones even the right one is not looked up for a while; who types it right never waits."""
    for _ in range(20):
        assert isinstance(typed(world, code), DeviceCode)
    for _ in range(device_codes.FREE_TRIES):
        assert typed(world, "BBBB-BBBB") is None
    assert typed(world, code) == sign_ins.FIRST_WAIT
    assert isinstance(typed(world, code, NOW + sign_ins.FIRST_WAIT), DeviceCode)
    assert typed(world, "BBBB-BBBB", NOW + sign_ins.FIRST_WAIT) is None
    assert typed(world, code, NOW + sign_ins.FIRST_WAIT) == 2 * sign_ins.FIRST_WAIT


def test_a_client_has_not_more_codes_than_enough(world, monkeypatch):
    """Who knows its number cannot fill the disk; when the old ones are over there is room again."""
    monkeypatch.setattr(device_codes, "MOST", 3)
    client, _ = world.client("installed")
    other, _ = world.client("installed")
    for _ in range(3):
        device_codes.issue(world.connection, client.client_id, (SEND,), NOW)
    with pytest.raises(OAuthError, match="rate_limit_exceeded"):
        device_codes.issue(world.connection, client.client_id, (SEND,), NOW)
    device_codes.issue(world.connection, other.client_id, (SEND,), NOW)
    device_codes.issue(world.connection, client.client_id, (SEND,), NOW + 1_800_000 + device_codes.KEPT)
