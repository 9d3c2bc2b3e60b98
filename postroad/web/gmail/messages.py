"""users.messages: send; get; and so much of list as shows what was sent and captured."""

from collections.abc import Collection
from contextlib import suppress
from functools import partial
from typing import Any

import pybase64
from sqlalchemy import Connection

from postroad import refusals
from postroad.database.identifiers import number_of, text_of
from postroad.mail.mime import tree
from postroad.mailbox import messages as mailbox
from postroad.mailbox.messages import Stored
from postroad.refusals import FieldsInvalid, Refusal
from postroad.submission import Accepted, unless_small
from postroad.web.bearer import refuse_others
from postroad.web.gmail import attachments, payload, snippet, uploads
from postroad.web.gmail.call import Call
from postroad.web.message_json import read
from postroad.web.methods import SHOW_CONTENT
from postroad.web.requests import Request
from postroad.web.responses import Response

PAGE = 100
LARGEST_PAGE = 500
# Octets of a body that a snippet is looked for in.
SNIPPET_OF = 64 * 1024


async def send(call: Call) -> Response:
    """users.messages.send: the answer holds exactly id, threadId and labelIds (gmail-wire.md 3.4)."""
    if call.route.upload:
        return await uploads.answer(call, _accepted)
    body = await call.request.body(_json_limit(call.submission.policy.max_size))
    sent = await unless_small(len(body), read, body)
    del body  # it may be 49 MB, and is not needed beside what was decoded
    refuse_others(call.account, call.route.variables["userId"])  # only now, as Google does (gmail-wire.md 6.3)
    if not sent.raw:
        raise refusals.RawMissing("the JSON body has no raw, or an empty one")
    return call.answer(_accepted(await call.submission.submit(call.account, sent.raw, sent.thread, call.now)))


def _accepted(accepted: Accepted) -> dict[str, Any]:
    return {
        "id": text_of(accepted.gmail_id),
        "threadId": text_of(accepted.thread_id),
        "labelIds": accepted.labels,
    }


async def together(misfits: FieldsInvalid, request: Request, max_size: int) -> FieldsInvalid:
    """What does not fit in the query, and in the body of a send: Google tells both at once (gmail-wire.md 6.3).

    Of a body that is refused as a whole nothing is told.
    """
    with suppress(Refusal):
        body = await request.body(_json_limit(max_size))
        try:
            await unless_small(len(body), read, body)
        except FieldsInvalid as more:
            return misfits.together_with(more)
    return misfits


def _json_limit(max_size: int) -> int:
    """Octets of a JSON body that holds a message of the largest size in base64, and room for the rest."""
    return max_size // 3 * 4 + 64 * 1024


async def listing(call: Call) -> Response:
    """users.messages.list: ids, newest first; maxResults, pageToken and labelIds are read, a search is refused."""
    refuse_others(call.account, call.route.variables["userId"])
    limit = _max_results(call.query.get("maxResults", PAGE))
    if call.query.get("q"):
        if call.scopes.isdisjoint(SHOW_CONTENT):
            raise refusals.MetadataSearch
        raise refusals.NotServed(what="A search (the parameter q)")
    found = await call.database.read(
        partial(
            mailbox.page,
            account_id=call.account.account_id,
            before=number_of(call.query.get("pageToken", "")),
            limit=limit + 1,
            labels=call.query.get("labelIds", ()),
        )
    )
    page: dict[str, Any] = {}
    if shown := found[:limit]:
        page["messages"] = [{"id": text_of(one.gmail_id), "threadId": text_of(one.thread_id)} for one in shown]
    if len(found) > limit:
        page["nextPageToken"] = text_of(shown[-1].gmail_id)
    return call.answer(page | {"resultSizeEstimate": len(found)})


def _max_results(asked: int) -> int:
    if not 0 < asked < 1 << 31:
        raise refusals.MaxResultsInvalid(f"maxResults is {asked}")
    return min(asked, LARGEST_PAGE)


async def get(call: Call) -> Response:
    """users.messages.get, in all four formats."""
    refuse_others(call.account, call.route.variables["userId"])
    gmail_id = number_of(call.route.variables["id"])
    if gmail_id is None:
        raise refusals.IdInvalid(f"id {call.route.variables['id'][:64]!r} is no hexadecimal number under 2^63")
    wanted = call.query.get("format", "full")
    if wanted in ("full", "raw") and call.scopes.isdisjoint(SHOW_CONTENT):
        raise refusals.MetadataOnly(
            f"format={wanted} with {', '.join(sorted(call.scopes))}", format=wanted.upper()
        )
    stored = await call.database.read(partial(mailbox.find, account_id=call.account.account_id, gmail_id=gmail_id))
    if stored is None:
        raise refusals.NotFound(f"{call.account.address} has no message {text_of(gmail_id)}")
    names = call.query.get("metadataHeaders", ())
    shown = await call.database.read(lambda connection: _SHOWN[wanted](connection, stored, names))
    if not call.scopes.isdisjoint(SHOW_CONTENT):
        shown = {"snippet": await call.database.read(partial(_snippet, stored=stored))} | shown
    return call.answer(_resource(stored, shown))


def _snippet(connection: Connection, stored: Stored) -> str:
    return snippet.of(tree(mailbox.beginning(connection, stored, SNIPPET_OF)))


def _minimal(_connection: Connection, _stored: Stored, _names: Collection[str]) -> dict[str, Any]:
    return {}


def _raw(connection: Connection, stored: Stored, _names: Collection[str]) -> dict[str, Any]:
    return {"raw": pybase64.urlsafe_b64encode(mailbox.octets(connection, stored)).decode()}


def _full(connection: Connection, stored: Stored, _names: Collection[str]) -> dict[str, Any]:
    return {
        "payload": payload.full(
            tree(mailbox.octets(connection, stored)), partial(attachments.token, stored.gmail_id)
        )
    }


def _metadata(connection: Connection, stored: Stored, names: Collection[str]) -> dict[str, Any]:
    return {"payload": payload.metadata(tree(mailbox.header_section(connection, stored)), names)}


_SHOWN = {"minimal": _minimal, "raw": _raw, "full": _full, "metadata": _metadata}


def _resource(stored: Stored, shown: dict[str, Any]) -> dict[str, Any]:
    """The last change to a message is that it came: nothing here changes one."""
    return {
        "id": text_of(stored.gmail_id),
        "threadId": text_of(stored.thread_id),
        "labelIds": stored.labels,
        **shown,
        "sizeEstimate": stored.size,
        "historyId": str(stored.gmail_id),
        "internalDate": str(stored.internal_date),
    }
