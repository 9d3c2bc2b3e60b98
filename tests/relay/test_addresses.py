"""Which addresses mail may be carried to."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.relay.addresses import permitted, public

# hardening.md 2F1; those that `is_global` takes for public come first.
NOT_PUBLIC = [
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "::127.0.0.1",
    "224.0.0.1",
    "fec0::1",
    "5f00::1",
    "3fff::1",
    "192.0.0.8",
    "192.88.99.1",
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "239.255.255.255",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "::",
    "::1",
    "fc00::1",
    "fdff::1",
    "fe80::1",
    "febf::1",
    "ff02::1",
    "::ffff:8.8.8.8",
    "::ffff:127.0.0.1",
    "::8.8.8.8",
    "64:ff9b::808:808",
    "2001::1",
    "2001:db8::1",
    "2002:808:808::1",
    "100::1",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "172.15.0.1",
    "172.32.0.1",
    "192.167.0.1",
    "2606:4700::1",
    "2a00:1450::1",
]


@pytest.mark.parametrize("literal", NOT_PUBLIC)
def test_special_addresses_are_not_public(literal):
    """What the registries keep for other purposes is nobody's mail server."""
    assert not public(ip_address(literal))


@pytest.mark.parametrize("literal", PUBLIC)
def test_other_addresses_are_public(literal):
    """Their neighbours are."""
    assert public(ip_address(literal))


@given(st.ip_addresses())
def test_nothing_private_is_public(address):
    """What Python knows to be private, reserved, multicast, loopback or link-local never passes."""
    known = address.is_private or address.is_multicast or address.is_reserved or address.is_link_local
    assert not (public(address) and known)


def test_the_operator_may_allow_a_network():
    """An allow-list opens what it names and nothing beside it."""
    allowed = [ip_network("127.0.0.0/30"), ip_network("fd00::/8")]
    assert permitted(ip_address("127.0.0.2"), allowed)
    assert permitted(ip_address("fd00::5"), allowed)
    assert not permitted(ip_address("127.0.0.4"), allowed)
    assert not permitted(ip_address("10.0.0.1"), allowed)
    assert permitted(ip_address("8.8.8.8"), allowed)
