"""Quota units per minute, of each user of each project and of each project (gmail-wire.md section 10).

The rule is the generic cell rate algorithm: of a bucket only the instant is kept at which it will be full again.
Each process counts for itself.
"""

import math
from dataclasses import dataclass

from postroad import refusals
from postroad.refusals import Refusal

MINUTE_MS = 60_000
# From so many buckets on, those that are full again, and so say nothing, are forgotten now and then.
SWEPT_FROM = 10_000
# That of tokens of no client: those of the command line.
PROJECT = "0"


def spend(full_at: float, units: int, each_minute: int, now: int) -> tuple[float, float]:
    """Take `units` from a bucket that holds `each_minute` and fills in a minute; times are in milliseconds.

    Returns when it will be full again, and how long to wait: 0 when it held enough, else nothing was taken. More
    than a bucket ever holds is taken from a full one. A clock that leaps back costs at most a minute.
    """
    cost = units * MINUTE_MS / each_minute
    full_at = min(max(full_at, now), now + MINUTE_MS)
    wait = max(full_at + cost - now - max(cost, MINUTE_MS), 0)
    return (full_at if wait else full_at + cost), wait


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit: units each minute, Google's name for it, and how it refuses."""

    units: int
    name: str
    refusal: type[Refusal]

    def refuse(self, whose: str, project: str, wait: float) -> None:
        """Raise the refusal, which tells after how many seconds another try would do."""
        raise self.refusal(
            f"{whose} has spent its {self.units} units of this minute",
            limit=f"'{self.name}' of service 'gmail.googleapis.com' for consumer 'project_number:{project}'.",
            retry_after=math.ceil(wait / 1000),
        )


class Quotas:
    """What every user has left in a project, and every project; a limit of 0 units is none.

    A project is a client: its number is what the client_id begins with, as at Google.
    """

    def __init__(self, user_units: int = 0, project_units: int = 0) -> None:
        self._user = Limit(user_units, "Units per minute per user", refusals.UserQuotaExceeded)
        self._project = Limit(project_units, "Units per minute", refusals.ProjectQuotaExceeded)
        self._limited = bool(user_units or project_units)
        self._full_at: dict[str, float] = {}
        self._swept_at = SWEPT_FROM

    def charge(self, user: str, client_id: str | None, units: int, now: int) -> None:
        """Take `units` from the buckets of `user` in the client's project and of the project, or from neither.

        Raises `UserQuotaExceeded`, `ProjectQuotaExceeded`.
        """
        if not self._limited:
            return
        project = client_id.partition("-")[0] if client_id else PROJECT
        spent: dict[str, float] = {}
        for whose, limit in ((f"{user} in {project}", self._user), (f"project {project}", self._project)):
            if limit.units:
                spent[whose], wait = spend(self._full_at.get(whose, now), units, limit.units, now)
                if wait:
                    limit.refuse(whose, project, wait)
        self._full_at |= spent
        if len(self._full_at) > self._swept_at:
            self._full_at = {whose: full_at for whose, full_at in self._full_at.items() if full_at > now}
            self._swept_at = max(SWEPT_FROM, 2 * len(self._full_at))
