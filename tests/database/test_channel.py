"""What passes between two processes of ours: whole, in order, however the kernel cuts it."""

import threading
from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.database.channel import KERNEL_OCTETS, Incoming, packed, pair

SECONDS = 10  # to wait for what must come
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=20) | st.binary(max_size=300),
    lambda some: st.lists(some, max_size=3) | st.tuples(some, some),
    max_leaves=5,
)


@pytest.fixture
def ends():
    """Both ends of both channels."""
    ours, theirs = pair()
    with closing(ours), closing(theirs):
        yield ours, theirs


@given(values=st.lists(VALUES, max_size=5), data=st.data())
def test_values_come_whole_and_in_order_however_they_are_cut(values, data):
    """Wherever a packet ends, in a size, in a value or behind several: they are heeded as they were sent."""
    octets = b"".join(map(packed, values))
    cuts = data.draw(st.lists(st.integers(0, len(octets)), max_size=8).map(sorted))
    heeded = []
    incoming = Incoming(heeded.append)
    for start, end in pairwise([0, *cuts, len(octets)]):
        incoming.feed(octets[start:end])
    assert heeded == values


@given(value=VALUES)
def test_a_value_is_heeded_with_its_last_octet(value):
    """Octet by octet: nothing before the last one, and nothing is left for the next value to stumble over."""
    heeded = []
    incoming = Incoming(heeded.append)
    for _ in range(2):
        for octet in packed(value)[:-1]:
            incoming.feed(bytes([octet]))
        assert heeded == []
        incoming.feed(packed(value)[-1:])
        assert heeded == [value]
        heeded.clear()


@given(values=st.lists(VALUES, max_size=5))
def test_what_one_end_sends_the_other_receives(values):
    """Both ways, and by both channels, each its own."""
    for sender, receiver in (pair(), pair()[::-1]):
        with closing(sender), closing(receiver):
            for value in values:
                sender.rows.send(value)
                sender.statements.send([value])
            assert [receiver.statements.receive() for _ in values] == [[value] for value in values]
            assert [receiver.rows.receive() for _ in values] == values


def test_what_many_threads_send_is_not_mixed_up(ends):
    """Values that are larger than what the kernel takes at once come whole, those of one thread in their order."""
    ours, theirs = ends
    large = KERNEL_OCTETS // 4

    def send(name):
        for number in range(4):
            ours.rows.send((name, number, bytes([name]) * large))

    threads = [threading.Thread(target=send, args=[name]) for name in range(4)]
    for thread in threads:
        thread.start()
    received = [theirs.rows.receive() for _ in range(16)]
    for thread in threads:
        thread.join(SECONDS)
    assert all(octets == bytes([name]) * large for name, _, octets in received)
    for name in range(4):
        assert [number for by, number, _ in received if by == name] == [0, 1, 2, 3]


@pytest.mark.parametrize("sent", [b"", packed("value")[:2], packed("value")[:-1]], ids=["none", "size", "value"])
def test_the_end_of_the_other_process_is_heard(ends, sent):
    """Between values or in the midst of one, nobody waits for what cannot come."""
    ours, theirs = ends
    theirs.rows.end.sendall(sent)
    theirs.close()
    with pytest.raises(EOFError):
        ours.rows.receive()


def test_nothing_is_sent_to_a_process_that_is_gone(ends):
    """Who sends is told, and no signal ends it."""
    ours, theirs = ends
    theirs.close()
    with pytest.raises(OSError, match="pipe"):
        ours.statements.send("value")
