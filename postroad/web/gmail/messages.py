"""users.messages: send; and so much of list and get as shows what was sent and captured."""

import re
from functools import partial
from typing import Any

import pybase64

from postroad import refusals
from postroad.database.identifiers import number_of, text_of
from postroad.mailbox import messages as mailbox
from postroad.mailbox.messages import Stored
from postroad.submission import unless_small
from postroad.web.bearer import refuse_others
from postroad.web.gmail.call import Call
from postroad.web.message_json import Sent, read
from postroad.web.responses import Response, json_response
from postroad.web.uploads import refuse_other_media

PAGE = 100
LARGEST_PAGE = 500


async def send(call: Call) -> Response:
    """users.messages.send: the answer holds exactly id, threadId and labelIds (gmail-wire.md 3.4)."""
    sent = await _sent(call)
    if not sent.raw:
        raise refusals.RawMissing
    accepted = await call.submission.submit(call.account, sent.raw, sent.thread_id, call.now)
    return json_response(
        {
            "id": text_of(accepted.gmail_id),
            "threadId": text_of(accepted.thread_id),
            "labelIds": accepted.labels,
        }
    )


async def _sent(call: Call) -> Sent:
    """What to send. The mailbox's owner is checked after the body was read, as Google does (gmail-wire.md 6.3)."""
    limit = call.submission.policy.max_size
    if call.route.upload:
        refuse_other_media(call.request)
        sent = Sent(await call.request.body(limit), None)
    else:
        body = await call.request.body(_json_limit(limit))
        sent = await unless_small(len(body), read, body)
    refuse_others(call.account, call.route.variables["userId"])
    return sent


def _json_limit(max_size: int) -> int:
    """Octets of a JSON body that holds a message of the largest size in base64, and room for the rest."""
    return max_size // 3 * 4 + 64 * 1024


async def listing(call: Call) -> Response:
    """users.messages.list: ids, newest first; maxResults, pageToken and labelIds are read."""
    refuse_others(call.account, call.route.variables["userId"])
    limit = _max_results(call.query.get("maxResults", str(PAGE)))
    label = call.query.get("labelIds")
    found = await call.database.read(
        partial(
            mailbox.page,
            account_id=call.account.account_id,
            before=number_of(call.query.get("pageToken", "")),
            limit=limit + 1,
            labels=(label,) if label else (),
        )
    )
    page: dict[str, Any] = {}
    if shown := found[:limit]:
        page["messages"] = [{"id": text_of(one.gmail_id), "threadId": text_of(one.thread_id)} for one in shown]
    if len(found) > limit:
        page["nextPageToken"] = text_of(shown[-1].gmail_id)
    return json_response(page | {"resultSizeEstimate": len(found)})


def _max_results(text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or not 0 < int(text) < 1 << 31:
        raise refusals.MaxResultsInvalid
    return min(int(text), LARGEST_PAGE)


async def get(call: Call) -> Response:
    """users.messages.get: formats minimal and raw."""
    refuse_others(call.account, call.route.variables["userId"])
    gmail_id = number_of(call.route.variables["id"])
    if gmail_id is None:
        raise refusals.IdInvalid
    wanted = call.query.get("format", "full").lower()
    if wanted not in ("minimal", "raw"):
        raise refusals.NotServed(what=f"format={wanted}")
    stored = await call.database.read(partial(mailbox.find, account_id=call.account.account_id, gmail_id=gmail_id))
    if stored is None:
        raise refusals.NotFound(f"{call.account.address} has no message {text_of(gmail_id)}")
    resource = _resource(stored)
    if wanted == "raw":
        octets = await call.database.read(partial(mailbox.octets, stored=stored))
        resource["raw"] = pybase64.urlsafe_b64encode(octets).decode()
    return json_response(resource)


def _resource(stored: Stored) -> dict[str, Any]:
    return {
        "id": text_of(stored.gmail_id),
        "threadId": text_of(stored.thread_id),
        "labelIds": stored.labels,
        "sizeEstimate": stored.size,
        "internalDate": str(stored.internal_date),
    }
