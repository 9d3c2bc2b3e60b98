"""What absolute URLs begin with: never with what a stranger wrote into Host."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.settings import SANDBOX, Settings
from postroad.web.addresses import Addresses

HERE = Addresses("http://127.0.0.1:8587", Settings(hosts=SANDBOX["hosts"]).host_names, "http")
PUBLIC = "http://127.0.0.1:8587"

ROOTS = {
    "the listen address": (b"127.0.0.1:8587", "http://127.0.0.1:8587"),
    "a forwarded port": (b"localhost:9000", "http://localhost:9000"),
    "no port": (b"localhost", "http://localhost"),
    "IPv6": (b"[::1]:8587", "http://[::1]:8587"),
    "Google's name": (b"gmail.googleapis.com", "https://gmail.googleapis.com"),
    "Google's old name": (b"www.googleapis.com", "https://www.googleapis.com"),
    "Google's name with a port": (b"gmail.googleapis.com:8587", "https://gmail.googleapis.com:8587"),
    "in capitals": (b"Gmail.GoogleAPIs.com", "https://gmail.googleapis.com"),
    "accounts": (b"accounts.google.com", "https://accounts.google.com"),
    "none": (None, PUBLIC),
    "an empty one": (b"", PUBLIC),
    "a stranger's": (b"evil.example", PUBLIC),
    "one behind": (b"localhost.evil.example", PUBLIC),
    "one before": (b"evil.localhost", PUBLIC),
    "a user before": (b"localhost@evil.example", PUBLIC),
    "a path behind": (b"localhost/evil", PUBLIC),
    "a line end behind": (b"localhost\r\nx: y", PUBLIC),
    "a port that is none": (b"localhost:evil", PUBLIC),
    "a port and no name": (b":8587", PUBLIC),
    "two": (b"localhost, evil.example", PUBLIC),
    "a dot behind": (b"localhost.", PUBLIC),
    "octets": (b"\xff\xfe", PUBLIC),
}


@pytest.mark.parametrize(("host", "root"), ROOTS.values(), ids=ROOTS)
def test_a_url_begins_with_a_known_name_or_the_public_url(host, root):
    """A Host of the list is answered with itself, by https if it is Google's; any other with the public URL."""
    assert HERE.root(host) == root


@given(st.binary())
def test_without_a_list_no_host_is_believed(host):
    """Where no names are listed, every URL begins with the public one."""
    assert Addresses("https://mail.example.org").root(host) == "https://mail.example.org"


def test_a_server_with_a_certificate_says_https():
    """Where the server itself speaks TLS, its names are reached by TLS."""
    assert Addresses("https://a", frozenset({"localhost"}), "https").root(b"localhost:1") == "https://localhost:1"
