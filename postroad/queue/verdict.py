"""What becomes of a recipient after an attempt: pure rules over the schedule."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from postroad.mail.outcome import Attempted, Delayed, Outcome, Relayed
from postroad.mail.reply import Reply
from postroad.queue import schedule, store

# RFC 3463 section 3.5: X.4.7, delivery time expired.
EXPIRED = "4.4.7"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one recipient: its state, when it is due again, and whether its author is told."""

    waiting: store.Waiting
    state: str
    due_at: int
    reply: Reply
    in_doubt: bool
    notices: int

    @property
    def delayed(self) -> bool:
        """Another delay notice is due."""
        return self.state == store.QUEUED and self.notices > self.waiting.notices


def verdict(
    waiting: store.Waiting, outcome: Outcome, *, accepted_at: int, started_at: int, now: int, chance: float
) -> Verdict:
    """Judge one outcome of an attempt that began at `started_at` and ended at `now`."""
    if isinstance(outcome, Delayed) and not schedule.gives_up(accepted_at, started_at):
        due = schedule.next_try(waiting.attempts + 1, accepted_at, now, chance)
        notices = max(schedule.notices_due(accepted_at, now), waiting.notices)
        in_doubt = outcome.in_doubt or waiting.in_doubt_at is not None
        return Verdict(waiting, store.QUEUED, due, outcome.reply, in_doubt, notices)
    state = store.RELAYED if isinstance(outcome, Relayed) else store.FAILED
    return Verdict(waiting, state, now, _final(outcome), in_doubt=False, notices=waiting.notices)


def _final(outcome: Outcome) -> Reply:
    if not isinstance(outcome, Delayed):
        return outcome.reply
    text = f"not delivered within five days; the last reply was: {outcome.reply}"
    return Reply(outcome.reply.code, EXPIRED, text)


@dataclass(frozen=True, slots=True)
class Judgement:
    """An attempt from `started_at` to `ended_at`, and what becomes of each recipient it was claimed for."""

    claimed: store.Claim
    attempted: Attempted
    verdicts: tuple[Verdict, ...]
    started_at: int
    ended_at: int


def judge(
    claimed: store.Claim, attempted: Attempted, *, started_at: int, ended_at: int, chance: Callable[[], float]
) -> Judgement:
    """Judge every recipient of a claim; `chance` draws each one's jitter."""
    verdicts = tuple(
        verdict(
            waiting,
            attempted.outcomes[waiting.forward_path],
            accepted_at=claimed.accepted_at,
            started_at=started_at,
            now=ended_at,
            chance=chance(),
        )
        for waiting in claimed.recipients
    )
    return Judgement(claimed, attempted, verdicts, started_at, ended_at)


def unreported(judged: Judgement, *, chance: Callable[[], float]) -> Judgement:
    """The same judgement as far as nobody is told: what calls for a report is left for another try.

    For a report that cannot be made, by a fault of ours: what was relayed is recorded all the same, or it
    would be sent again for ever.
    """

    def left(verdict: Verdict) -> Verdict:
        if verdict.state == store.RELAYED:
            return verdict
        waiting, claimed = verdict.waiting, judged.claimed
        due = schedule.next_try(waiting.attempts + 1, claimed.accepted_at, judged.ended_at, chance())
        in_doubt = verdict.in_doubt or waiting.in_doubt_at is not None
        return replace(verdict, state=store.QUEUED, due_at=due, in_doubt=in_doubt, notices=waiting.notices)

    return replace(judged, verdicts=tuple(map(left, judged.verdicts)))
