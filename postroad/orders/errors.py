"""How an order fails."""

from postroad.refusals import Failure, Refusal

# What is said no to, rather than went wrong.
REFUSED = (Failure, ValueError, LookupError, Refusal)


class OrderError(Failure):
    """An order that was refused or failed; the text says why."""


def why(error: Exception) -> str:
    """The line that tells who ordered; `error` is one of `REFUSED`."""
    return error.why if isinstance(error, Refusal) else str(error)
