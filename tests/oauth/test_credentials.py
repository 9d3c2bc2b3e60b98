"""Tokens, codes and secrets: random, and kept as hashes."""

import hashlib
import re

import pytest

from postroad.oauth import credentials

PREFIXES = [credentials.ACCESS, credentials.REFRESH, credentials.CODE, credentials.SECRET]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_credential_looks_like_googles_and_is_never_the_same(prefix):
    """It begins as Google's and holds 256 random bits."""
    made = {credentials.fresh(prefix) for _ in range(20)}
    assert len(made) == 20
    assert all(re.fullmatch(re.escape(prefix) + "[A-Za-z0-9_-]{43}", text) for text in made)


def test_a_credential_is_found_by_its_hash():
    """What is kept is its SHA-256."""
    assert credentials.digest("ya29.x") == hashlib.sha256(b"ya29.x").digest()
