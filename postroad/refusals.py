"""Every way Postroad says no to an author; a class's docstring is its message.

A refusal carries `why`: one line for the operator's log that names the cause (which header, which scope).
It never names a secret. How a refusal looks on the wire is a table in `web/errors.py`.

    Refusal
    ├── CredentialMissing, CredentialInvalid                        who are you?
    ├── ScopeInsufficient, DelegationDenied                         you may not
    ├── RawMissing, BadBase64, BadJSON, UnknownMember, NotAMessage, WrongType   the request
    ├── IdInvalid, MaxResultsInvalid, NotFound, NotServed           what it asks for
    ├── UnsupportedMediaType, UnsupportedEncoding, BodyTooLarge, BodyTooSlow, BodyCutShort   its body
    ├── RecipientMissing, TooManyRecipients, InvalidHeader, InvalidMessage   the message
    ├── ThreadIdInvalid                                             its thread
    └── StorageUnhealthy, Draining                                  not now
"""


class Failure(Exception):  # noqa: N818 - the base of what a command tells in one line
    """An order of the operator that could not be carried out; `str()` says why and what to do."""


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not an error
    """Base of all refusals; `str()` is the message, its docstring filled with the keyword arguments."""

    def __init__(self, why: str = "", **fields: object) -> None:
        self.fields = fields
        super().__init__((self.__doc__ or "").format(**fields))
        self.why = why or str(self)


class CredentialMissing(Refusal):
    """Request is missing required authentication credential."""


class CredentialInvalid(Refusal):
    """Request had invalid authentication credentials."""


class ScopeInsufficient(Refusal):
    """Request had insufficient authentication scopes."""


class DelegationDenied(Refusal):
    """Delegation denied for {address}"""


class RawMissing(Refusal):
    """'raw' RFC822 payload message string or uploading message via /upload/* URL required"""


class RecipientMissing(Refusal):
    """Recipient address required"""


class InvalidHeader(Refusal):
    """Invalid {name} header"""


class InvalidMessage(Refusal):
    """Invalid message: {problem}"""


class TooManyRecipients(Refusal):
    """Too many recipients: {count} distinct addresses, the limit is {limit}"""


class BadBase64(Refusal):
    """Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed for {value}"""


class BadJSON(Refusal):
    """Invalid JSON payload received. {problem}"""


class UnknownMember(Refusal):
    """Invalid JSON payload received. Unknown name "{name}" at 'message': Cannot find field."""


class NotAMessage(Refusal):
    """Invalid JSON payload received. Unknown name "": Root element must be a message."""


class WrongType(Refusal):
    """{problem}"""


class UnsupportedMediaType(Refusal):
    """Media type '{media_type}' is not supported. Valid media types: [message/rfc822]"""


class BodyTooLarge(Refusal):
    """Request payload size exceeds the limit: {limit} bytes."""


class BodyTooSlow(Refusal):
    """The request body did not arrive in time."""


class BodyCutShort(Refusal):
    """The request body ended before it was complete."""


class ThreadIdInvalid(Refusal):
    """Invalid thread_id value"""


class IdInvalid(Refusal):
    """Invalid id value"""


class NotFound(Refusal):
    """Requested entity was not found."""


class NotServed(Refusal):
    """{what} is not served by this version."""


class StorageUnhealthy(Refusal):
    """The service is currently unavailable."""


class Draining(Refusal):
    """The service is currently unavailable."""


class UnsupportedEncoding(Refusal):
    """Content-Encoding '{encoding}' is not supported."""


class MaxResultsInvalid(Refusal):
    """Invalid maxResults"""
