"""Encoded words in header fields, decoded for people to read and for comparing (RFC 2047).

The result must never come near a header field again: it may hold anything. Linear, unlike `email.header`.
"""

import binascii
import re

# RFC 2047 section 2: encoded-word = "=?" charset "?" encoding "?" encoded-text "?="; 75 characters at most, which
# not everybody knows.
_WORD = r"=\?([!-<>@-~]{1,40})\?([bBqQ])\?([!->@-~]{0,1000})\?="
_ONE = re.compile(_WORD)
_RUN = re.compile(rf"{_WORD}(?:\s+{_WORD})*")


def decoded(text: str) -> str:
    """The text with its encoded words decoded; those that cannot be stay, and no lone surrogate comes out."""
    # Section 6.2: white space between two encoded words is not shown.
    return _RUN.sub(lambda run: "".join(map(_decoded, _ONE.finditer(run[0]))), text)


def _decoded(word: re.Match[str]) -> str:
    charset, encoding, encoded = word.groups()
    try:
        octets = _OCTETS[encoding.lower()](encoded.encode())
        characters = octets.decode(charset.partition("*")[0], "replace")  # RFC 2231 section 5: charset*language
    except (binascii.Error, LookupError, ValueError):
        return word[0]
    return characters.encode(errors="replace").decode()


def _base64(encoded: bytes) -> bytes:
    return binascii.a2b_base64(encoded + b"=" * (-len(encoded) % 4))


def _q(encoded: bytes) -> bytes:
    return binascii.a2b_qp(encoded, header=True)


_OCTETS = {"b": _base64, "q": _q}
