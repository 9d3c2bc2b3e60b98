"""Uploads: the message beside the call, not in its JSON (gmail-wire.md section 4): media, multipart, resumable.

What is small is submitted at once; anything larger is stored as it comes, and never in memory as a whole.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from postroad import refusals
from postroad.oauth import accounts
from postroad.oauth.accounts import Account
from postroad.submission import PARSED_ON_LOOP, Accepted, Submission, thread_number
from postroad.uploads import ACTIVE, BATCH, FINAL, WEEK, MovedError, Upload, batches, new_id
from postroad.web import resumable
from postroad.web.bearer import refuse_others
from postroad.web.gmail.call import Call
from postroad.web.message_json import Sent, read
from postroad.web.multipart import MAX_METADATA, Related, boundary_of
from postroad.web.requests import Request
from postroad.web.responses import Response
from postroad.web.resumable import Asked, Protocol

Resource = Callable[[Accepted], Any]
Pieces = AsyncIterator[bytes | bytearray]
# Octets that an upload has in memory: a batch that is being stored, and what of it is read on meanwhile.
HELD = 2 * BATCH


async def author_of(submission: Submission, upload_id: str, now: int) -> Account:
    """Whose upload that is: its address is the credential of what follows its start (gmail-wire.md 4.4).

    Raises `NotFound`, and `CredentialInvalid` when the account was disabled since.
    """
    one = await submission.uploads.find(upload_id, now)
    account = await submission.database.read(lambda connection: accounts.by_id(connection, one.account_id))
    if account.disabled:
        raise refusals.CredentialInvalid(f"the account {account.address} is disabled")
    return account


async def answer(call: Call, resource: Resource) -> Response:
    """Answer a call with an upload, in whichever protocol; `resource` shows what was accepted."""
    request = call.request
    protocol = resumable.protocol_of(request.headers, call.parameters, request.media_type)
    if protocol is Protocol.RESUMABLE:
        return await (_go_on(call, resource) if call.parameters.upload_id else _start(call))
    if request.verb != call.route.method.verb:
        raise refusals.NotFound(f"{request.verb} is for uploads that have begun")
    accepted = await (_multipart(call) if protocol is Protocol.MULTIPART else _media(call))
    return call.answer(resource(accepted), resumable.named(new_id()))  # which nothing is found by (2.7)


async def _media(call: Call) -> Accepted:
    request, limit = call.request, call.submission.policy.max_size
    refuse_other_media(request.media_type)
    refuse_others(call.account, call.route.variables["userId"])
    if _is_small(request):
        return await _at_once(call, await request.body(limit), Sent(b""))
    return await _as_it_comes(call, request.streamed(limit, HELD), lambda: Sent(b""))


def _is_small(request: Request) -> bool:
    """Whether it is known beforehand that the body is nothing to speak of."""
    length = request.headers.get(b"content-length", b"")
    return length.isdigit() and int(length) <= PARSED_ON_LOOP and b"content-encoding" not in request.headers


async def _multipart(call: Call) -> Accepted:
    refuse_others(call.account, call.route.variables["userId"])
    related = Related(boundary_of(call.request.headers.get(b"content-type", b"")))

    async def media() -> Pieces:
        limit = _multipart_limit(call.submission.policy.max_size)
        async for octets in call.request.streamed(limit, HELD):
            if found := related.take(octets):
                yield found
        if found := related.end():
            yield found

    def metadata() -> Sent:
        """What stands in the first part, once the second is known to be a message."""
        refuse_other_media(related.media_type)
        return read(related.metadata)

    return await _as_it_comes(call, media(), metadata)


def _multipart_limit(max_size: int) -> int:
    """Octets of a body that holds a message of the largest size in lines of base64, and room for the rest."""
    return max_size // 2 * 3 + 2 * MAX_METADATA


async def _as_it_comes(call: Call, pieces: Pieces, metadata: Callable[[], Sent]) -> Accepted:
    """Submit what fits in one batch at once; store anything larger batch by batch."""
    coming = batches(pieces)
    first = await anext(coming, bytearray())
    sent = metadata()
    if len(first) < BATCH:
        return await _at_once(call, first, sent)
    uploads = call.submission.uploads
    _, one = await uploads.begin(call.owner, thread_id=thread_number(sent.thread), now=call.now)
    try:
        one = await uploads.receive(one, _before(first, coming))
        return await call.submission.submit_upload(call.account, one, call.now)
    except Exception:
        with suppress(refusals.Refusal):  # it expires in any case
            await uploads.cancel(one)
        raise


async def _before(first: bytearray, rest: AsyncIterator[bytearray]) -> Pieces:
    yield first
    async for batch in rest:
        yield batch


async def _at_once(call: Call, content: bytes | bytearray, sent: Sent) -> Accepted:
    if not content:
        raise refusals.RawMissing
    return await call.submission.submit(call.account, content, sent.thread, call.now)


async def _start(call: Call) -> Response:
    """Begin a resumable upload: the metadata is the body, the media is announced in the header."""
    request = call.request
    if media_type := resumable.announced_type(request.headers):
        refuse_other_media(media_type)
    total = resumable.announced_total(request.headers)
    body = await request.body(MAX_METADATA)
    sent = read(body if body.strip() != b"null" else bytearray())  # as PHP says that there is none
    refuse_others(call.account, call.route.variables["userId"])
    upload_id, _ = await call.submission.uploads.begin(
        call.owner, thread_id=thread_number(sent.thread), total=total, lasts=WEEK, now=call.now
    )
    return resumable.started(call.address, request.raw_path, call.parameters, upload_id)


async def _go_on(call: Call, resource: Resource) -> Response:
    """One request to an upload's own address: bring it on, and tell how far it is or what it became."""
    request, upload_id = call.request, call.parameters.upload_id
    uploads = call.submission.uploads
    asked = resumable.asked(request.verb, request.headers)
    one = await uploads.find(upload_id, call.now)
    if not one.belongs_to(call.owner):
        raise refusals.NotFound("the upload_id is another account's, or another program's")
    refuse_others(call.account, call.route.variables["userId"])
    try:
        one = await _brought_on(call, one, asked)
    except MovedError:
        one = await uploads.find(upload_id, call.now)
    if one.state != FINAL or one.gmail_id is None or one.thread_id is None:
        return resumable.told(one, upload_id, request.headers)
    accepted = Accepted(one.gmail_id, one.thread_id, one.labels)
    return call.answer(resource(accepted), resumable.final(upload_id))


async def _brought_on(call: Call, one: Upload, asked: Asked) -> Upload:
    """The upload after this request; unchanged when it has ended before, or the octets leave a gap."""
    uploads = call.submission.uploads
    if one.state != ACTIVE:
        return one
    if asked.command == "cancel":
        await uploads.cancel(one)
        return await uploads.find(call.parameters.upload_id, call.now)
    one = resumable.agreed(one, asked)
    if asked.command == "append":
        offset = one.received if asked.offset is None else asked.offset
        if offset > one.received:
            return one
        one = await uploads.receive(one, _fresh(call.request, one, asked, uploads.max_size))
    if resumable.ends(one, asked):
        accepted = await call.submission.submit_upload(call.account, one, call.now)
        return replace(
            one, state=FINAL, gmail_id=accepted.gmail_id, thread_id=accepted.thread_id, labels=accepted.labels
        )
    return one


async def _fresh(request: Request, one: Upload, asked: Asked, limit: int) -> Pieces:
    """The octets of the body that the upload does not have yet.

    Raises `UploadInvalid` for more than were announced, `BodyCutShort` for fewer than the request says, or, of
    a request that is the last, for fewer than are there.
    """
    offset = one.received if asked.offset is None else asked.offset
    most = min(limit if one.total is None else one.total - offset, limit if asked.length is None else asked.length)
    skipped = one.received - offset
    came = 0
    async for octets in request.streamed(limit, HELD):
        fresh = octets[max(skipped - came, 0) :]
        came += len(octets)
        if came > most:
            raise refusals.UploadInvalid(
                f"over {most} octets came", problem="More octets came than were announced."
            )
        if fresh:
            yield fresh
    least = asked.length if asked.length is not None else skipped * asked.last
    if came < least:
        raise refusals.BodyCutShort(f"{came} of {least} octets came")


def refuse_other_media(media_type: str) -> None:
    """Let a message pass. Raises `UnsupportedMediaType` for any other type."""
    if not media_type.startswith("message/"):
        raise refusals.UnsupportedMediaType(media_type=media_type or "application/octet-stream")
