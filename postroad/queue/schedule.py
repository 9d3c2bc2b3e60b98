"""When to try again, when to warn the author, when to give up: pure rules (RFC 5321 section 4.5.4.1).

All times are milliseconds. Tries fall at about 0, 1, 6, 16, 31 and 61 minutes, so that a greylist of 15
minutes is met by the fourth; then the pauses double up to four hours, until five days have passed.
"""

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

PAUSES = tuple(minutes * MINUTE for minutes in (1, 5, 10, 15, 30, 60, 120, 240))
# Added to each pause, at most; so that what failed together does not come back together.
JITTER = 0.2
# Nothing waits longer than this: a due time further off was set by a clock that has since gone back.
LONGEST_PAUSE = round(PAUSES[-1] * (1 + JITTER))
GIVE_UP_AFTER = 5 * DAY
# Ages at which the author is told that a recipient is still waiting.
NOTICES = (4 * HOUR, 24 * HOUR)


def next_try(attempts: int, accepted_at: int, now: int, chance: float) -> int:
    """When to try again after `attempts` tries (1 or more); `chance` in [0, 1) draws the jitter.

    Never later than the moment to give up, so that the last try falls there.
    """
    pause = PAUSES[min(attempts, len(PAUSES)) - 1]
    due = now + round(pause * (1 + JITTER * chance))
    last = accepted_at + GIVE_UP_AFTER
    return min(due, last) if now < last else due


def gives_up(accepted_at: int, tried_at: int) -> bool:
    """Whether a try that began at `tried_at` was the last one.

    It asks when the try began: after a clock's leap everything is tried once more before it expires.
    """
    return tried_at - accepted_at >= GIVE_UP_AFTER


def notices_due(accepted_at: int, now: int) -> int:
    """How many delay notices a recipient that still waits should have had by now."""
    return sum(now - accepted_at >= age for age in NOTICES)
