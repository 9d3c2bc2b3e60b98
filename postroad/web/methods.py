"""THE TABLE: one row per API method.

Routing, scope checks, parameters, quotas, discovery and OpenAPI are derived from it.
"""

import re
from dataclasses import dataclass

from postroad.oauth.scopes import FULL, SCOPES
from postroad.web.schemas import Field

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
# Of those, the ones that show more than header fields (gmail-wire.md 8.2).
SHOW_CONTENT = frozenset(_READ_ONE) - {
    SCOPES["gmail.metadata"],
    SCOPES["gmail.addons.current.message.metadata"],
}


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """An API method: a row, compared by identity. `rpc` is its name in error details.

    `scopes` are in the order in which Google lists them, any one suffices; `units` are quota units of one call;
    `request` and `response` name schemas; `parameters` are those of path and query; `upload` says whether media
    may carry the message.
    """

    id: str
    about: str
    verb: str
    path: str
    rpc: str
    scopes: tuple[str, ...]
    units: int
    response: str
    request: str = ""
    parameters: tuple[Field, ...] = ()
    upload: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the parameters in the path, in their order."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))

    @property
    def query(self) -> tuple[Field, ...]:
        """The parameters that are not in the path."""
        return tuple(one for one in self.parameters if one.name not in self.variables)


_USER_ID = Field("userId", "Address of the account, or `me`: whose token it is.", default="me")
_ID = Field("id", "Identifier of the message.")

SEND = Method(
    id="gmail.users.messages.send",
    about="Sends a message to the addresses in its To, Cc and Bcc.",
    verb="POST",
    path="gmail/v1/users/{userId}/messages/send",
    rpc="SendMessage",
    scopes=_SEND,
    units=100,
    request="Message",
    response="Message",
    parameters=(_USER_ID,),
    upload=True,
)
LIST = Method(
    id="gmail.users.messages.list",
    about="Lists the messages of a mailbox.",
    verb="GET",
    path="gmail/v1/users/{userId}/messages",
    rpc="ListMessages",
    scopes=_READ,
    units=5,
    response="ListMessagesResponse",
    parameters=(
        Field("includeSpamTrash", "Also what is in SPAM and TRASH.", "boolean", default="false"),
        Field("labelIds", "Only messages that carry all of these labels.", repeated=True),
        Field("maxResults", "How many at most, up to 500.", "integer", "uint32", default="100"),
        Field("pageToken", "The nextPageToken of the page before."),
        Field("q", "Only messages that this search finds."),
        _USER_ID,
    ),
)
GET = Method(
    id="gmail.users.messages.get",
    about="Gives one message.",
    verb="GET",
    path="gmail/v1/users/{userId}/messages/{id}",
    rpc="GetMessage",
    scopes=_READ_ONE,
    units=20,
    response="Message",
    parameters=(
        Field(
            "format",
            "How much of it.",
            default="full",
            choices=(
                ("minimal", "Identifiers and labels."),
                ("full", "Also the tree of its parts with their content."),
                ("raw", "Identifiers and labels, and the message as octets."),
                ("metadata", "Identifiers and labels, and its header fields."),
            ),
        ),
        _ID,
        Field("metadataHeaders", "With format=metadata: these header fields alone.", repeated=True),
        _USER_ID,
    ),
)

ATTACHMENT = Method(
    id="gmail.users.messages.attachments.get",
    about="Gives the content of one file of a message.",
    verb="GET",
    path="gmail/v1/users/{userId}/messages/{messageId}/attachments/{id}",
    rpc="GetAttachment",
    scopes=tuple(scope for scope in _READ_ONE if scope in SHOW_CONTENT),
    units=5,
    response="MessagePartBody",
    parameters=(
        Field("id", "The attachmentId of the file."),
        Field("messageId", "Identifier of the message."),
        _USER_ID,
    ),
)
PROFILE = Method(
    id="gmail.users.getProfile",
    about="Tells whose mailbox it is, and how much it holds.",
    verb="GET",
    path="gmail/v1/users/{userId}/profile",
    rpc="GetProfile",
    scopes=(FULL, SCOPES["gmail.compose"], *_READ[1:]),
    units=1,
    response="Profile",
    parameters=(_USER_ID,),
)
_READ_SETTINGS = (FULL, SCOPES["gmail.modify"], SCOPES["gmail.readonly"], SCOPES["gmail.settings.basic"])
LIST_SEND_AS = Method(
    id="gmail.users.settings.sendAs.list",
    about="Lists the addresses that may stand in From.",
    verb="GET",
    path="gmail/v1/users/{userId}/settings/sendAs",
    rpc="ListSendAs",
    scopes=_READ_SETTINGS,
    units=1,
    response="ListSendAsResponse",
    parameters=(_USER_ID,),
)
GET_SEND_AS = Method(
    id="gmail.users.settings.sendAs.get",
    about="Gives one of the addresses that may stand in From.",
    verb="GET",
    path="gmail/v1/users/{userId}/settings/sendAs/{sendAsEmail}",
    rpc="GetSendAs",
    scopes=_READ_SETTINGS,
    units=1,
    response="SendAs",
    parameters=(Field("sendAsEmail", "The address asked about."), _USER_ID),
)

METHODS = (SEND, LIST, GET, ATTACHMENT, PROFILE, LIST_SEND_AS, GET_SEND_AS)
