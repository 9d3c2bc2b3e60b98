"""Inflating by steps: none makes more than a piece."""

import gzip

from hypothesis import given
from hypothesis import strategies as st

from postroad.web.inflating import PIECE, Inflating


@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=3), st.integers(1, 5000))
def test_no_piece_is_larger_than_a_piece(sizes, step):
    """However much a few octets make, each piece is bounded and together they are all of it."""
    octets = b"".join(gzip.compress(bytes(size), mtime=0) for size in sizes)
    inflating = Inflating()
    pieces = [piece for at in range(0, len(octets), step) for piece in inflating.pieces(octets[at : at + step])]
    inflating.end()
    assert sum(map(len, pieces)) == sum(sizes)
    assert max(map(len, pieces)) <= PIECE
