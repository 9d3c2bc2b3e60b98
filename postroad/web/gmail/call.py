"""One permitted call of a method: what an answer is made from."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from postroad.database.engine import Database
from postroad.oauth.accounts import Account
from postroad.submission import Submission
from postroad.uploads import Owner
from postroad.web.addresses import Addresses
from postroad.web.partial_response import Mask, masked
from postroad.web.requests import Request
from postroad.web.responses import Header, Response, json_response
from postroad.web.system_parameters import Parameters
from postroad.web.transcoding import Route


class Call(NamedTuple):
    """A call by `account` within `scopes`, at `now` (milliseconds), by the program `client_id`, if that is known.

    `parameters` are the standard ones, `query` the method's own with their values, `mask` what is wanted of the
    answer. It is a tuple, as one is made for each request: a frozen dataclass of as many fields takes four times
    as long.
    """

    request: Request
    route: Route
    parameters: Parameters
    query: Mapping[str, Any]
    mask: Mask | None
    account: Account
    scopes: frozenset[str]
    client_id: str | None
    now: int
    database: Database
    submission: Submission
    addresses: Addresses

    @property
    def owner(self) -> Owner:
        """Whose an upload is that this call begins or goes on with."""
        return Owner(self.account.account_id, self.client_id)

    @property
    def address(self) -> str:
        """What absolute URLs in the answer begin with: scheme, host and port, no slash behind."""
        return self.addresses.root(self.request.headers.get(b"host"))

    def answer(self, resource: Any, headers: tuple[Header, ...] = ()) -> Response:
        """The resource as the client wants it: 200, masked, pretty or not."""
        return json_response(masked(resource, self.mask), headers=headers, pretty=self.parameters.pretty)


Answer = Callable[[Call], Awaitable[Response]]
