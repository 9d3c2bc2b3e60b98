"""Identifiers: distinct, ascending, and read as Gmail reads them."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.database.identifiers import Identifiers, number_of, text_of

NOW = 1_700_000_000_000


def test_identifiers_of_many_threads_are_distinct():
    """8 threads at the same millisecond never meet."""
    identifiers, found = Identifiers(), []

    def take():
        found.extend([identifiers.next(NOW) for _ in range(2000)])

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 16_000


@given(st.lists(st.integers(0, 1 << 43), min_size=2))
def test_identifiers_ascend_whatever_the_clock_does(times):
    """A clock set back does not make them descend."""
    identifiers = Identifiers()
    found = [identifiers.next(now) for now in times]
    assert found == sorted(set(found))


def test_an_identifier_holds_its_time_and_fits():
    """Its upper bits are milliseconds; it stays under 2^63 until the year 2248."""
    assert Identifiers().next(NOW) >> 20 == NOW
    assert Identifiers().next((1 << 43) - 1) < 1 << 63


def test_two_processes_rarely_meet():
    """The lower bits are chance: a second maker says something else."""
    assert {Identifiers().next(NOW) for _ in range(3)} != {Identifiers().next(NOW)}


@given(st.integers(0, (1 << 63) - 1))
def test_text_and_number_are_each_other(number):
    """16 lower-case hexadecimal digits, read back in any case and with leading zeros."""
    text = text_of(number)
    assert len(text) == 16
    assert {number_of(text), number_of(text.upper()), number_of("000" + text)} == {number}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "g",
        "0x10",
        "0X10",
        "+1",
        "-1",
        " 1",
        "1 ",
        "1\n",
        "1_0",
        "1.0",
        "\u0663",
        "\uff11",
        "8" + 15 * "0",
        "0" * 65,
        "me",
    ],
    ids=ascii,
)
def test_what_is_no_identifier_is_none(text):
    """Signs, blanks, underscores, prefixes, other digits and numbers of 2^63 and more are refused."""
    assert number_of(text) is None
