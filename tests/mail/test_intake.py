"""A message in pieces is read as the whole one is."""

import dataclasses
from itertools import pairwise

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postroad import refusals
from postroad.mail import intake, message
from postroad.mail.intake import Intake
from postroad.mail.message import MAX_HEADER_SECTION
from postroad.mail.transmission import LINE_LIMIT, is_eight_bit, longest_line

HEAD = b"To: bob@example.org\r\nSubject: pieces\r\n\r\n"
# What decides how a message is read, and enough else to stand between.
FRAGMENTS = st.sampled_from([b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"\0", b"\xc3\xa9", b"To: a@b.c", b"x"])
BODIES = st.lists(FRAGMENTS | st.just(b"y" * 600), max_size=12).map(b"".join)
MESSAGES = st.one_of(BODIES, BODIES.map(HEAD.__add__), BODIES.map(HEAD.replace(b"\r\n", b"\n").__add__))


def pieces(octets, cuts):
    """The octets cut at these places."""
    places = [0, *sorted(cut % (len(octets) + 1) for cut in cuts), len(octets)]
    return [octets[start:end] for start, end in pairwise(places)]


def taken(parts):
    """What intake makes of these pieces, storing and reading its state between them."""
    so_far, body = Intake(), b""
    for part in parts:
        so_far, more = intake.take(msgspec.msgpack.decode(msgspec.msgpack.encode(so_far), type=Intake), part)
        body += more
    return so_far, body


def from_the_whole(submitted):
    """The same facts, from the octets at once."""
    parsed = message.parse(submitted)
    rest = bytes(parsed.content[parsed.header_size :])
    longest = longest_line(parsed.content, at_least=LINE_LIMIT)
    return parsed.fields, bytes(parsed.content[: parsed.header_size]), rest, longest, is_eight_bit(rest)


def from_pieces(parts):
    so_far, body = taken(parts)
    parsed = intake.finished(so_far)
    rest = bytes(parsed.content[parsed.header_size :]) + body
    assert so_far.body_size == len(body)
    head = bytes(parsed.content[: parsed.header_size])
    return parsed.fields, head, rest, so_far.longest_line, so_far.eight_bit


def or_refusal(read, what):
    try:
        return read(what)
    except refusals.Refusal as refusal:
        return type(refusal), str(refusal)


@settings(max_examples=500)
@given(MESSAGES, st.lists(st.integers(0, 1 << 20), max_size=8))
@example(HEAD + b"line\r", [])
@example(HEAD + b"line\r\n", [len(HEAD) + 5])
@example(HEAD, [len(HEAD) - 1, len(HEAD) - 2, len(HEAD) - 3])
@example(b"", [])
@example(HEAD + b"x" * 999 + b"\r\ny", [len(HEAD) + 998, len(HEAD) + 1000])
def test_the_pieces_mean_what_the_whole_means(submitted, cuts):
    """Cut anywhere, the fields, the octets, the facts, or the refusal and its words, are those of the whole."""
    assert or_refusal(from_pieces, pieces(submitted, cuts)) == or_refusal(from_the_whole, submitted)


@settings(max_examples=30, deadline=None)
@given(st.integers(-4, 4), st.sampled_from([b"\n", b"\r\n"]), st.lists(st.integers(0, 1 << 20), max_size=3))
def test_the_header_section_has_the_same_bound(over, line_end, cuts):
    """Around 256 KiB of header section the pieces are taken, and refused, where the whole is."""
    field = b"Subject: " + b" x" * (MAX_HEADER_SECTION // 2) + b" " * 8
    head = field[: MAX_HEADER_SECTION + over - 2] + line_end
    for submitted in (head + line_end + b"body", head + b"A: b" * 5, head):
        assert or_refusal(from_pieces, pieces(submitted, cuts)) == or_refusal(from_the_whole, submitted)


@pytest.mark.parametrize("submitted", [HEAD + b"x" * 3_000_000, b"no header " * 300_000], ids=["body", "head"])
def test_what_is_kept_between_pieces_is_small(submitted):
    """Whatever comes, no more than a header section and a few numbers are kept."""
    so_far, _ = taken(pieces(submitted, range(0, len(submitted), 65_536)))
    assert len(msgspec.msgpack.encode(so_far)) <= min(len(submitted), MAX_HEADER_SECTION) + 300
    assert all(
        not isinstance(value, bytes) or name == "head" for name, value in dataclasses.asdict(so_far).items()
    )
