"""users.messages.attachments.get: one file of a message."""

import re
from collections.abc import Iterator
from functools import partial

import pybase64

from postroad import refusals
from postroad.database.identifiers import number_of, text_of
from postroad.mail.mime import Part, tree
from postroad.mailbox import messages as mailbox
from postroad.submission import unless_small
from postroad.web.bearer import refuse_others
from postroad.web.gmail.call import Call
from postroad.web.responses import Response

# Which message, and which of its parts: mime.py nests them 50 levels deep, of up to four digits each.
_TOKEN = re.compile("([0-9a-f]{16}):([0-9.]{0,250})")
_MAX_LENGTH = 400


def token(gmail_id: int, part_id: str) -> str:
    """The attachmentId of a part."""
    return pybase64.urlsafe_b64encode(f"{text_of(gmail_id)}:{part_id}".encode()).decode()


async def get(call: Call) -> Response:
    """users.messages.attachments.get: the token says which message; that of the path is not looked at (3.3).

    Raises `AttachmentInvalid`.
    """
    refuse_others(call.account, call.route.variables["userId"])
    gmail_id, part_id = _meant(call.route.variables["id"])
    stored = await call.database.read(partial(mailbox.find, account_id=call.account.account_id, gmail_id=gmail_id))
    if stored is None:
        raise refusals.AttachmentInvalid(f"{call.account.address} has no message {text_of(gmail_id)}")
    content = await call.database.read(partial(mailbox.octets, stored=stored))
    root = await unless_small(len(content), tree, content)
    part = next((one for one in _each(root) if one.part_id == part_id), None)
    if part is None:
        raise refusals.AttachmentInvalid(f"message {text_of(gmail_id)} has no part {part_id!r}")
    return call.answer({"size": len(part.body), "data": pybase64.urlsafe_b64encode(part.body).decode()})


def _meant(text: str) -> tuple[int, str]:
    """The message and the part that a token names. Raises `AttachmentInvalid`."""
    try:
        decoded = pybase64.b64decode(text[:_MAX_LENGTH].encode(), altchars=b"-_", validate=True)
    except ValueError:
        decoded = b""
    match = _TOKEN.fullmatch(decoded.decode("latin-1"))
    gmail_id = number_of(match[1]) if match else None
    if match is None or gmail_id is None:
        raise refusals.AttachmentInvalid(f"attachmentId {text[:64]!r} is none of ours")
    return gmail_id, match[2]


def _each(part: Part) -> Iterator[Part]:
    yield part
    for one in part.parts:
        yield from _each(one)
