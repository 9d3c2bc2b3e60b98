"""One permitted call of a method: what an answer is made from."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from postroad.database.engine import Database
from postroad.oauth.accounts import Account
from postroad.submission import Submission
from postroad.web.requests import Request
from postroad.web.responses import Response
from postroad.web.transcoding import Route


@dataclass(frozen=True, slots=True)
class Call:
    """A call by `account`, at `now` (milliseconds); `query` holds the first of each query parameter."""

    request: Request
    route: Route
    query: Mapping[str, str]
    account: Account
    now: int
    database: Database
    submission: Submission


Answer = Callable[[Call], Awaitable[Response]]
