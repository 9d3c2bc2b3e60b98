"""How much at once, and whose turn it is: pure rules. What is stored of a gate is in schema.py.

A destination is where mail for a recipient goes. Each has a gate: so many mail transactions at once, none for
a while after it could not be reached. Within a destination accounts take turns, so that who has much waiting
delays nobody who has little.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import NamedTuple

from postroad.mail.envelope import LOCAL
from postroad.mail.outcome import Attempted, Delayed
from postroad.mail.reply import Reply

# The pause after a destination could not be reached, in milliseconds: doubled each time, up to the longest.
FIRST_PAUSE = 1_000
LONGEST_PAUSE = 300_000
# How long mail that is due waits behind a closed gate before its time counts as a try: so that authors hear of
# the delay and, after five days, of the failure, although only a few of their messages knocked.
PATIENCE = 3_600_000
# Recipients of one mail transaction at most (RFC 5321 section 4.5.3.1.8).
RECIPIENTS_PER_CLAIM = 100
# How many accounts a claim passes by, at most, when it looks for those whose turn it is.
ACCOUNTS_PER_LOOK = 64
# The cap of a destination to which, by order, nothing goes.
SUSPENDED = 0
# RFC 3463 section 3.5: no answer from host, bad connection; and the reply that ends sessions (RFC 5321 3.8).
_UNREACHED = ("4.4.1", "4.4.2")
_NOT_AVAILABLE = 421


@dataclass(frozen=True, slots=True)
class Limits:
    """Mail transactions at once: to `each` next hop by all nodes; by one node to all next hops, and here.

    By one node to a next hop that has not answered yet: `first`, and one more for each answer. So many may be
    claimed `ahead` for each next hop, to be ready when a mail transaction ends, by a node that is the only one.
    """

    each: int = 20
    node: int = 200
    local: int = 32
    first: int = 2
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Gate:
    """What is remembered of a destination; `reply` is that of the last failure to reach it."""

    destination: str
    cap: int | None = None
    failures: int = 0
    next_try: int | None = None
    turn: int = 0
    reply: Reply | None = None


def room(gate: Gate, limits: Limits, *, in_flight: int, now: int) -> int:
    """How many mail transactions more this destination may have; one at a time while it has to prove itself."""
    if gate.cap == SUSPENDED or (gate.next_try is not None and now < gate.next_try):
        return 0
    if gate.failures or gate.cap is not None:
        return max((1 if gate.failures else gate.cap or 0) - in_flight, 0)
    ahead = 0 if gate.destination == LOCAL else limits.ahead
    return max(usual(gate.destination, limits) + ahead - in_flight, 0)


def usual(destination: str, limits: Limits) -> int:
    """Mail transactions at once with a destination of which nothing is known."""
    return limits.local if destination == LOCAL else limits.each


def ages(gate: Gate, in_flight: int) -> bool:
    """Whether mail behind a gate without room grows old: not while one knocks, nor by an operator's order."""
    return gate.reply is not None and not in_flight and gate.cap != SUSPENDED


def share(destination: str, running: Mapping[str, int], limits: Limits, *, left: int, answers: int) -> int:
    """How many of this node's slots a destination may take now, of the `left` ones.

    Deliveries here have slots of their own. Of the others it is half, so that something is left for the next
    destination, whoever stalls; and who has never answered gets but a few, as it may be one of many that stall.
    """
    if destination == LOCAL:
        return max(limits.local - running.get(LOCAL, 0), 0)
    earned = limits.first + answers - running.get(destination, 0)
    return max(min((left + 1) // 2, earned), 0)


def left(running: Mapping[str, int], limits: Limits) -> int:
    """How many of a node's slots for next hops are free; less than none when they have become fewer."""
    return limits.node - sum(count for other, count in running.items() if other != LOCAL)


def reached(attempted: Attempted) -> bool | None:
    """Whether the destination answered; `None` when nobody was asked."""
    if not attempted.host:
        return None
    return not all(isinstance(one, Delayed) and _unreached(one.reply) for one in attempted.outcomes.values())


def _unreached(reply: Reply) -> bool:
    return reply.code == _NOT_AVAILABLE or (reply.ours and reply.status in _UNREACHED)


def pause(failures: int) -> int:
    """How long to leave a destination alone after `failures` (1 or more) in a row."""
    return min(FIRST_PAUSE << min(failures - 1, 16), LONGEST_PAUSE)


def counts(gate: Gate, started_at: int) -> bool:
    """Whether a failure to reach it, of an attempt begun at `started_at`, makes the pause longer.

    What was under way together fails together: that is one failure. Only a try after the pause is the next.
    """
    return gate.next_try is None or started_at >= gate.next_try


class Candidate(NamedTuple):
    """A due recipient."""

    queue_id: int
    forward_path: str
    account_id: int
    envelope: int


def rotated(found: Iterable[Candidate], turn: int) -> list[Candidate]:
    """The accounts after `turn` first; within an account as they were."""
    return sorted(found, key=lambda one: (one.account_id <= turn, one.account_id))


def choose(found: Iterable[Candidate], transactions: int) -> list[Candidate]:
    """Recipients of up to `transactions` mail transactions, the accounts in the order found taking turns.

    Few recipients each: about `RECIPIENTS_PER_CLAIM` in all, and at most that many in one mail transaction.
    """
    chosen: list[Candidate] = []
    for one in _by_turns(found)[:transactions]:
        if len(chosen) >= RECIPIENTS_PER_CLAIM:
            break
        chosen += one[:RECIPIENTS_PER_CLAIM]
    return chosen


def _by_turns(found: Iterable[Candidate]) -> list[Sequence[Candidate]]:
    """One mail transaction of each account, then another of each that has one, and so on."""
    accounts: dict[int, dict[tuple[int, int], list[Candidate]]] = defaultdict(lambda: defaultdict(list))
    for one in dict.fromkeys(found):
        accounts[one.account_id][one.queue_id, one.envelope].append(one)
    rounds = zip_longest(*(envelopes.values() for envelopes in accounts.values()))
    return [one for one in chain.from_iterable(rounds) if one]


def left_off(passed: Sequence[tuple[int, int | None]], served: Collection[int], turn: int) -> int:
    """The account after which the next look goes on; 0, before all, when it came to the end.

    `passed` are the accounts looked at, in order, each with what it has due, if anything.
    """
    for account_id, due in passed:
        if due is not None and account_id not in served:
            return turn
        turn = account_id
    return turn if len(passed) == ACCOUNTS_PER_LOOK else 0
