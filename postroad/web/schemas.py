"""The fields of resources and the parameters of methods, as data: names and types of Gmail's, words of our own.

Field masks, the binding of query parameters, the discovery document and the OpenAPI document are derived from it.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a resource, or a parameter of a method.

    `kind` is a scalar of JSON or the name of a schema; `format` says what a scalar holds (integers of 64 bits and
    octets are strings). `choices` are the only values, each with its meaning; `default` is what its absence means.
    """

    name: str
    about: str
    kind: str = "string"
    format: str = ""
    repeated: bool = False
    default: str = ""
    choices: tuple[tuple[str, str], ...] = ()

    @property
    def schema(self) -> "tuple[Field, ...] | None":
        """The fields inside this one; `None` for a scalar."""
        return SCHEMAS.get(self.kind)

    def members(self) -> dict[str, Any]:
        """What discovery and OpenAPI say alike of one value of a scalar."""
        said = {"type": self.kind, "format": self.format, "enum": [name for name, _ in self.choices]}
        return {name: value for name, value in said.items() if value}


_CLASSIFICATION_FIELD = (
    Field("fieldId", "Identifier of a field of the label."),
    Field("selection", "Identifier of what was chosen in it."),
)
_CLASSIFICATION = (
    Field("fields", "Values of the label's fields.", "ClassificationLabelFieldValue", repeated=True),
    Field("labelId", "Identifier of the label."),
)
_MESSAGE = (
    Field(
        "classificationLabelValues",
        "Classification labels: taken, and without effect.",
        "ClassificationLabelValue",
        repeated=True,
    ),
    Field("historyId", "Identifier of the last change.", format="uint64"),
    Field("id", "Identifier of the message: 16 hexadecimal digits."),
    Field("internalDate", "When the message was accepted, in milliseconds since 1970.", format="int64"),
    Field("labelIds", "Labels that the message carries.", repeated=True),
    Field("payload", "The message as a tree of MIME parts.", "MessagePart"),
    Field("raw", "The whole message (RFC 5322) in base64url.", format="byte"),
    Field("sizeEstimate", "Octets of the message.", "integer", "int32"),
    Field("snippet", "The beginning of its text."),
    Field("threadId", "Identifier of the thread it belongs to, or is to belong to."),
)
_PART = (
    Field("body", "The content of the part.", "MessagePartBody"),
    Field("filename", "Name of the attached file; empty when there is none."),
    Field("headers", "Header fields of the part, in their order.", "MessagePartHeader", repeated=True),
    Field("mimeType", "Media type of the part."),
    Field("partId", "Its place in the tree: empty for the message itself, then 0, 1, 1.0 and so on."),
    Field("parts", "The parts of a multipart.", "MessagePart", repeated=True),
)
_PART_BODY = (
    Field("attachmentId", "Identifier under which the content is fetched when it is not in data."),
    Field("data", "The content, decoded, in base64url.", format="byte"),
    Field("size", "Octets of the content.", "integer", "int32"),
)
_PART_HEADER = (
    Field("name", "What stands before the colon."),
    Field("value", "What stands after it."),
)
_PAGE_OF_MESSAGES = (
    Field("messages", "Messages, newest first, each with id and threadId.", "Message", repeated=True),
    Field("nextPageToken", "What to ask the next page with; absent on the last one."),
    Field("resultSizeEstimate", "About how many there are in all.", "integer", "uint32"),
)

_PROFILE = (
    Field("emailAddress", "Address of the account."),
    Field("historyId", "Identifier of the last change to the mailbox.", format="uint64"),
    Field("messagesTotal", "How many messages it holds.", "integer", "int32"),
    Field("threadsTotal", "How many threads they make.", "integer", "int32"),
)
_PAGE_OF_SEND_AS = (Field("sendAs", "The addresses, that of the account first.", "SendAs", repeated=True),)
_SEND_AS = (
    Field("displayName", "Name beside the address; empty where none is set."),
    Field("isDefault", "Whether it stands in From when an author names none.", "boolean"),
    Field("isPrimary", "Whether it is the address of the account itself.", "boolean"),
    Field("replyToAddress", "Where answers are asked to go; empty where that is not set."),
    Field("sendAsEmail", "The address."),
    Field("signature", "Signature of programs with pages; nothing here appends it."),
    Field("smtpMsa", "A server of its own to send by; no address here has one.", "SmtpMsa"),
    Field("treatAsAlias", "Whether it is another name of the same person.", "boolean"),
    Field(
        "verificationStatus",
        "Whether its owner has agreed.",
        choices=(
            ("verificationStatusUnspecified", "Nothing is known."),
            ("accepted", "It may be used."),
            ("pending", "Not yet."),
        ),
    ),
)
_SMTP_MSA = (
    Field("host", "Name of the server."),
    Field("password", "Never told."),
    Field("port", "Its port.", "integer", "int32"),
    Field(
        "securityMode",
        "How the connection is protected.",
        choices=(
            ("securityModeUnspecified", "Nothing is said."),
            ("none", "Not at all."),
            ("ssl", "By TLS from its beginning."),
            ("starttls", "By STARTTLS."),
        ),
    ),
    Field("username", "Who signs in there."),
)

# By the name that a method's request or response, or another field's kind, refers to (gmail-wire.md 3.3).
SCHEMAS: dict[str, tuple[Field, ...]] = {
    "ClassificationLabelFieldValue": _CLASSIFICATION_FIELD,
    "ClassificationLabelValue": _CLASSIFICATION,
    "ListMessagesResponse": _PAGE_OF_MESSAGES,
    "ListSendAsResponse": _PAGE_OF_SEND_AS,
    "Message": _MESSAGE,
    "MessagePart": _PART,
    "MessagePartBody": _PART_BODY,
    "MessagePartHeader": _PART_HEADER,
    "Profile": _PROFILE,
    "SendAs": _SEND_AS,
    "SmtpMsa": _SMTP_MSA,
}

# Parameters that every method takes (gmail-wire.md 2.1).
STANDARD = (
    Field("$.xgafv", "Shape of errors.", choices=(("1", "With the member errors."), ("2", "Without it."))),
    Field("access_token", "Access token, where the server takes one in the address."),
    Field(
        "alt",
        "Format of the answer.",
        default="json",
        choices=(
            ("json", "JSON."),
            ("media", "The medium itself; no method here has one."),
            ("proto", "Protocol buffers; not served."),
        ),
    ),
    Field("callback", "Function of JavaScript to wrap the answer to a GET in."),
    Field("fields", "Which fields of the answer are wanted."),
    Field("key", "API key; not a credential here."),
    Field("oauth_token", "The same as access_token."),
    Field("prettyPrint", "Whether the answer is indented.", "boolean", default="true"),
    Field("quotaUser", "Any name of at most 40 characters; taken, and without effect."),
    Field("uploadType", "How a medium is uploaded: media, multipart or resumable."),
    Field("upload_protocol", "The same in newer words: raw, multipart or resumable."),
)
