"""The ASGI application: finds the method, permits, calls, answers. Refusals become answers here and only here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from postroad import maillog, refusals
from postroad.database.engine import Database
from postroad.oauth.tokens import Tokens
from postroad.refusals import Refusal
from postroad.submission import Submission
from postroad.web import errors, requests
from postroad.web.bearer import permit
from postroad.web.exposition import Exposition
from postroad.web.gmail import ANSWERS
from postroad.web.gmail.call import Call
from postroad.web.methods import METHODS
from postroad.web.requests import Receive, Request
from postroad.web.responses import Response, Send, json_response
from postroad.web.transcoding import Route, Routes

_ROUTES = Routes(METHODS)
MAX_PARAMETERS = 100


@dataclass(slots=True)
class Face:
    """What answers HTTP requests. `clock` tells the time in milliseconds.

    `takes_mail`: false on a node that only relays, which answers probes alone. `draining` refuses new mail.
    """

    database: Database
    tokens: Tokens
    submission: Submission
    clock: Callable[[], int]
    exposition: Exposition | None = None
    takes_mail: bool = True
    draining: bool = False

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = requests.of(scope, receive)
        response = await self._answer(request, scope["query_string"])
        await response.send(send)

    async def _answer(self, request: Request, query: bytes) -> Response:
        if probe := {"/healthz": self._alive, "/readyz": self._ready}.get(request.path):
            return probe()
        if request.path == "/metrics" and self.exposition:
            return await self.exposition.answer(request)
        route = _ROUTES.match(request.verb, request.raw_path) if self.takes_mail else None
        if route is None:
            await request.drain()
            return errors.not_found(request.path)
        try:
            return await self._call(request, route, query)
        except Refusal as refusal:
            maillog.refused(refusal, request.path)
            await request.drain()
            return errors.refused(refusal, route.method)
        except Exception as error:  # noqa: BLE001 - a bug: the operator learns what, the client that
            maillog.broke_down(error)
            return errors.broken()

    async def _call(self, request: Request, route: Route, query: bytes) -> Response:
        """Permit, then call; in the order of checks of gmail-wire.md 6.3."""
        now = self.clock()
        if self.draining:
            raise refusals.Draining("the server is stopping")
        grant = await permit(self.tokens, request.headers.get(b"authorization"), route.method, now)
        call = Call(request, route, _first_of_each(query), grant.account, now, self.database, self.submission)
        return await ANSWERS[route.method](call)

    def _alive(self) -> Response:
        """The process runs."""
        return json_response({"status": "alive"})

    def _ready(self) -> Response:
        """New mail would be taken; else 503 and why."""
        try:
            self.database.health.refuse_unless_roomy(0)
            if self.draining:
                raise refusals.Draining("the server is stopping")
        except Refusal as refusal:
            return json_response({"status": "not ready", "why": refusal.why}, 503)
        return json_response({"status": "ready"})


def _first_of_each(query: bytes) -> dict[str, str]:
    """Of each query parameter the first; past a bound the rest is not read."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=None)[:MAX_PARAMETERS]
    return dict(reversed(pairs))
