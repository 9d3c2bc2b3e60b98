"""Batches: many calls in one request, each answered as if it came alone, in their order (gmail-wire.md 5)."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from postroad import maillog, refusals
from postroad.refusals import Refusal
from postroad.submission import unless_small
from postroad.web import errors, method_override
from postroad.web.parts import Inner, frame, parse
from postroad.web.requests import Receive, Request
from postroad.web.responses import Response

PATHS = ("/batch", "/batch/gmail/v1")
AT_ONCE = 8
# Octets of a batch beside those of its largest call: enough for a hundred calls of 160 KiB each.
ROOM = 16 * 1024 * 1024
# Once the answers have come to so many octets, no more is read for this batch.
MAX_ANSWERS = 64 * 1024 * 1024

# These fields concern the outer request or its connection alone; the others hold inside, too, but for Content-*.
_OUTER_FIELDS = frozenset(
    b"accept-encoding connection expect host keep-alive origin te trailer transfer-encoding upgrade"
    b" x-http-method-override".split()
)
_OUTER_PARAMETERS = frozenset((b"callback", b"ct"))  # ct stands for the outer Content-Type
_CREDENTIALS = frozenset((b"access_token", b"oauth_token"))
# An answer in a part is never compressed; and its body has come already.
_UNHEARD_INSIDE = frozenset((b"accept-encoding", b"content-length", b"transfer-encoding"))

Ask = Callable[[Request, bytes], Awaitable[Response]]


def limit(max_size: int) -> int:
    """Octets of a whole batch: one message of the largest size in base64, and room for the others."""
    return max_size // 3 * 4 + ROOM


async def answer(
    request: Request, query: bytes, ask: Ask, max_octets: int, max_answers: int = MAX_ANSWERS
) -> Response:
    """Answer a batch; `ask` answers one call of the method table, given its request and its query."""
    try:
        body = await request.body(max_octets)
        parts = await unless_small(len(body), parse, body, request.headers.get(b"content-type", b""))
    except Refusal as refusal:
        maillog.refused(refusal, request.path)
        return errors.refused(refusal, None)
    answers = await _Asking(request, query, ask, max_answers).all([part.call for part in parts])
    boundary = b"batch_" + secrets.token_urlsafe(24).encode()
    framed = frame([(part.content_id, one) for part, one in zip(parts, answers, strict=True)], boundary)
    return Response(200, b"multipart/mixed; boundary=" + boundary, framed)


@dataclass(slots=True)
class _Asking:
    """The calls of one batch under way, a few at once; `left` is how many octets their answers may yet have."""

    outer: Request
    query: bytes
    ask: Ask
    left: int

    async def all(self, calls: Sequence[Inner | Refusal]) -> list[Response]:
        """The answer to each, in their order."""
        answers: dict[int, Response] = {}
        waiting = iter(enumerate(calls))

        async def work() -> None:
            for number, call in waiting:
                answers[number] = await self._answer(call)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(calls))):
                group.create_task(work())
        return [answers[number] for number in range(len(calls))]

    async def _answer(self, call: Inner | Refusal) -> Response:
        try:
            return await self._asked(call)
        except Refusal as refusal:
            maillog.refused(refusal, self.outer.path)
            return errors.refused(refusal, None)

    async def _asked(self, call: Inner | Refusal) -> Response:
        """Once the answers are too many octets, reads are refused: what was sent must be told."""
        if isinstance(call, Refusal):
            raise call
        request, query = inside(call, self.outer, self.query)
        self._refuse_reads_past_limit(request)
        response = await self.ask(request, query)
        self.left -= len(response.body)
        self._refuse_reads_past_limit(request)
        return response

    def _refuse_reads_past_limit(self, request: Request) -> None:
        if self.left < 0 and method_override.meant(request) == "GET":
            raise refusals.AnswersTooLarge("the answers of this batch are more octets than one answer holds")


def inside(call: Inner, outer: Request, query: bytes) -> tuple[Request, bytes]:
    """The request and the query of a call, with what the outer request says for all of them.

    A call's own credential, wherever it has it, leaves no room for the outer one.
    """
    named = {_name(pair) for pair in call.query.split(b"&")}
    credential = b"authorization" in call.headers or not named.isdisjoint(_CREDENTIALS)
    kept_out = named | _OUTER_PARAMETERS | (_CREDENTIALS if credential else set())
    pairs = [call.query, *(pair for pair in query.split(b"&") if _name(pair) not in kept_out)]
    headers = {name: value for name, value in outer.headers.items() if _holds_inside(name, credential=credential)}
    headers |= {name: value for name, value in call.headers.items() if name not in _UNHEARD_INSIDE}
    request = Request(
        verb=call.verb,
        path=unquote(call.path.decode("latin-1")),
        raw_path=call.path,
        headers=headers | {b"content-length": b"%d" % len(call.body)},
        receive=_receiving(call.body),
        unread=bool(call.body),
        peer=outer.peer,
    )
    return request, b"&".join(filter(None, pairs))


def _holds_inside(name: bytes, *, credential: bool) -> bool:
    if name.startswith(b"content-") or name in _OUTER_FIELDS:
        return False
    return not (credential and name == b"authorization")


def _name(pair: bytes) -> bytes:
    """The parameter that a pair of a query names; `$fields` is `fields` (gmail-wire.md 2.1)."""
    return unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" ")).removeprefix(b"$")


def _receiving(body: memoryview) -> Receive:
    """The body, a view of the batch's, which is copied once, when it is read."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return receive
