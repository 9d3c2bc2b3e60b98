"""THE TABLE: one row per API method. Routing and scope checks are derived from it."""

from dataclasses import dataclass

from postroad.oauth.scopes import FULL, SCOPES

_READ = (FULL, SCOPES["gmail.metadata"], SCOPES["gmail.modify"], SCOPES["gmail.readonly"])
# The four of Google's page of the method, and the add-on scope its discovery document also lists.
_SEND = (
    FULL,
    SCOPES["gmail.addons.current.action.compose"],
    SCOPES["gmail.compose"],
    SCOPES["gmail.modify"],
    SCOPES["gmail.send"],
)
_READ_ONE = (
    FULL,
    SCOPES["gmail.addons.current.message.action"],
    SCOPES["gmail.addons.current.message.metadata"],
    SCOPES["gmail.addons.current.message.readonly"],
    *_READ[1:],
)


@dataclass(frozen=True, slots=True)
class Method:
    """An API method. `rpc` is its name in error details; `upload` says whether media may carry the message.

    `units` are the quota units of one call; `scopes` in the order in which Google lists them, any one suffices.
    """

    id: str
    verb: str
    path: str
    rpc: str
    scopes: tuple[str, ...]
    units: int
    upload: bool = False


SEND = Method(
    id="gmail.users.messages.send",
    verb="POST",
    path="gmail/v1/users/{userId}/messages/send",
    rpc="SendMessage",
    scopes=_SEND,
    units=100,
    upload=True,
)
LIST = Method(
    id="gmail.users.messages.list",
    verb="GET",
    path="gmail/v1/users/{userId}/messages",
    rpc="ListMessages",
    scopes=_READ,
    units=5,
)
GET = Method(
    id="gmail.users.messages.get",
    verb="GET",
    path="gmail/v1/users/{userId}/messages/{id}",
    rpc="GetMessage",
    scopes=_READ_ONE,
    units=20,
)

METHODS = (SEND, LIST, GET)
