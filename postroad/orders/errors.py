"""How an order fails."""

from postroad.refusals import Failure


class OrderError(Failure):
    """An order that was refused or failed; the text says why."""
