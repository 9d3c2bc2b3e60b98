"""The orders by their names."""

from postroad.orders.table import ORDERS, QUESTIONS
from tests.test_cli import COMMANDS


def test_every_order_is_asked_for_by_its_words():
    """The orders are those of the command line."""
    words = {" ".join(words) for words in COMMANDS} - {"dev", "serve", "backup"}
    assert ORDERS.keys() | QUESTIONS.keys() == words
