"""Every way Postroad says no to an author; a class's docstring is its message.

A refusal carries `why`: one line for the operator's log that names the cause (which header, which scope).
It never names a secret. How a refusal looks on the wire is a table in `web/errors.py`.

    Refusal
    ├── SystemParameterInvalid, CallbackInvalid, TooManyParameters  before anything else
    ├── CredentialMissing, CredentialInvalid, KeyIsNoCredential     who are you?
    ├── ScopeInsufficient, MetadataOnly, MetadataSearch, DelegationDenied   you may not
    │   MailboxMissing
    ├── FormatUnsupported, FormatInvalid, MaskInvalid               how to answer
    ├── RawMissing, BadJSON, FieldsInvalid                          the request
    ├── IdInvalid, AttachmentInvalid, MaxResultsInvalid, NotFound, NotServed   what it asks for
    ├── UnsupportedMediaType, UnsupportedEncoding, BadCompression   its body
    │   BodyTooLarge, BodyTooSlow, BodyCutShort
    ├── NotAForm                                                    a form
    ├── MalformedMultipart, UploadInvalid, UploadCancelled, TooManyUploads   an upload
    ├── BatchMalformed, TooManyCalls, NotInBatch, AnswersTooLarge   many at once
    ├── RecipientMissing, TooManyRecipients, InvalidHeader, InvalidMessage   the message
    ├── ThreadIdInvalid                                             its thread
    ├── UserQuotaExceeded, ProjectQuotaExceeded                     too often
    └── StorageUnhealthy, MemoryTaken, Draining                     not now
"""

from collections.abc import Sequence
from dataclasses import dataclass


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


class MetadataOnly(Refusal):
    """Metadata scope doesn't allow format {format}"""


class MetadataSearch(Refusal):
    """Metadata scope does not support 'q' parameter"""


class DelegationDenied(Refusal):
    """Delegation denied for {address}"""


class MailboxMissing(Refusal):
    """Precondition check failed."""


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


class BadJSON(Refusal):
    """Invalid JSON payload received. {problem}"""


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field of a request (google.rpc.BadRequest.FieldViolation); field "" is its root."""

    field: str
    description: str


class FieldsInvalid(Refusal):
    """{problems}"""

    def __init__(self, violations: Sequence[Violation], why: str = "") -> None:
        descriptions = [one.description for one in violations]
        super().__init__(why or "; ".join(descriptions), problems="\n".join(descriptions))
        self.violations = tuple(violations)

    def together_with(self, other: "FieldsInvalid") -> "FieldsInvalid":
        """What is wrong here, and then what is wrong there, as one."""
        return FieldsInvalid((*self.violations, *other.violations), f"{self.why}; {other.why}")


class UnsupportedMediaType(Refusal):
    """Media type '{media_type}' is not supported. Valid media types: [message/rfc822]"""


class BodyTooLarge(Refusal):
    """Request payload size exceeds the limit: {limit} bytes."""


class BodyTooSlow(Refusal):
    """The request body did not arrive in time."""


class BodyCutShort(Refusal):
    """The request body ended before it was complete."""


class BadCompression(Refusal):
    """The request body is not valid gzip."""


class MalformedMultipart(Refusal):
    """{problem}"""


class NotAForm(Refusal):
    """The request is not a form: {problem}"""


class UploadInvalid(Refusal):
    """{problem}"""


class UploadCancelled(Refusal):
    """The upload was cancelled."""


class TooManyUploads(Refusal):
    """Too many concurrent requests for user"""


class MemoryTaken(Refusal):
    """The service is currently unavailable."""


class ThreadIdInvalid(Refusal):
    """Invalid thread_id value"""


class IdInvalid(Refusal):
    """Invalid id value"""


class AttachmentInvalid(Refusal):
    """Invalid attachment token"""


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


class BatchMalformed(Refusal):
    """Failed to parse batch request, error: {problem}"""


class TooManyCalls(Refusal):
    """Inner request count exceeds the limit. Received: {count}, Limit: {limit}"""


class NotInBatch(Refusal):
    """Operation is not implemented, or supported, or enabled."""


class AnswersTooLarge(Refusal):
    """Response too large to return."""


class UserQuotaExceeded(Refusal):
    """Quota exceeded for quota metric 'Total Query Cost' and limit {limit}"""


class ProjectQuotaExceeded(Refusal):
    """Quota exceeded for quota metric 'Total Query Cost' and limit {limit}"""


class KeyIsNoCredential(Refusal):
    """API keys are not supported by this API."""


class SystemParameterInvalid(Refusal):
    """Invalid query parameters. Invalid value '{value}' for system query parameter : {name}"""


class CallbackInvalid(Refusal):
    """Invalid JSONP callback name: '{name}'; only alphabet, number, '_', '$', '.', '[' and ']' are allowed."""


class TooManyParameters(Refusal):
    """Invalid query parameters. There are more than {limit} of them."""


class FormatUnsupported(Refusal):
    """Unsupported alt type "{format}" for non byte stream request."""


class FormatInvalid(Refusal):
    """Invalid value "{format}" for query parameter 'alt'"""


class MaskInvalid(FieldsInvalid):
    """Request contains an invalid argument."""
