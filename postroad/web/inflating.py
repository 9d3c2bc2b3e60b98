"""Compressed bodies: gzip (RFC 1952), inflated as it comes and never more than a piece at a time."""

import zlib
from collections.abc import Iterator

from postroad import refusals

# Octets that one step inflates at most: a bomb is noticed by its size long before it is in memory.
PIECE = 64 * 1024
# Members of one body. Writers that cut their output make one of each 64 KiB; an empty one costs us a new window.
MEMBERS = 1000
# zlib.h, inflateInit2: a window of 2^15 octets, inside a gzip header and trailer.
_GZIP = 16 + 15


def most(limit: int) -> int:
    """Octets that `limit` octets may take compressed: what does not shrink grows, by 5 octets in 16 KiB or so."""
    return limit + limit // 256 + 1024


class Inflating:
    """Turns the octets of gzip members into theirs. Raises `BadCompression` for all else, also behind the last."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._begun = 0
        self._within = False

    def pieces(self, octets: bytes) -> Iterator[bytes]:
        """What `octets` go on with; some of it may be empty."""
        full = False
        while octets or full:
            if not self._within:
                self._begin()
            piece = self._inflated(octets)
            full = len(piece) == PIECE
            octets = self._member.unconsumed_tail
            if self._member.eof:
                self._within, full, octets = False, False, self._member.unused_data
            yield piece

    def end(self) -> None:
        """No more will come. Raises `BadCompression` in the midst of a member."""
        if self._within:
            raise refusals.BadCompression("the gzip body ends within a member")

    def _begin(self) -> None:
        self._begun += 1
        if self._begun > MEMBERS:
            raise refusals.BadCompression(f"the gzip body has more than {MEMBERS} members")
        self._member = zlib.decompressobj(_GZIP)
        self._within = True

    def _inflated(self, octets: bytes) -> bytes:
        try:
            return self._member.decompress(octets, PIECE)
        except zlib.error as error:
            raise refusals.BadCompression(f"gzip: {error}") from None
