"""The ASGI application: finds the method, permits, calls, answers. Refusals become answers here and only here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from postroad import maillog, refusals
from postroad.database.engine import Database
from postroad.oauth.tokens import Grant, Tokens
from postroad.refusals import FieldsInvalid, Refusal
from postroad.submission import Submission
from postroad.web import batch, cors, documents, errors, method_override, oauth, requests, system_parameters
from postroad.web.addresses import Addresses
from postroad.web.bearer import mailbox_of, presented, refuse_insufficient
from postroad.web.binding import bound
from postroad.web.compression import compressed
from postroad.web.exposition import Exposition
from postroad.web.gmail import ANSWERS, messages, uploads
from postroad.web.gmail.call import Call
from postroad.web.methods import METHODS
from postroad.web.oauth.context import OAuthContext
from postroad.web.partial_response import compiled
from postroad.web.proxies import Proxies
from postroad.web.quotas import Quotas
from postroad.web.requests import Receive, Request
from postroad.web.responses import Response, Send, json_response, script
from postroad.web.system_parameters import ABSENT, Parameters
from postroad.web.transcoding import Route, Routes

_ROUTES = Routes(METHODS)
_BATCHES, _DOCUMENTS = frozenset(batch.PATHS), frozenset(documents.PATHS)


@dataclass(slots=True)
class Face:
    """What answers HTTP requests. `clock` tells the time in milliseconds.

    `takes_mail`: false on a node that only relays, which answers probes alone. `token_in_query`: access tokens in
    the address are read, too. `oauth`: what its endpoints are given. `draining` refuses new mail.
    """

    database: Database
    tokens: Tokens
    submission: Submission
    clock: Callable[[], int]
    exposition: Exposition | None = None
    addresses: Addresses = field(default_factory=Addresses)
    quotas: Quotas = field(default_factory=Quotas)
    oauth: OAuthContext | None = None
    proxies: Proxies = field(default_factory=Proxies)
    takes_mail: bool = True
    token_in_query: bool = False
    draining: bool = False
    _for_operators: dict[str, batch.Ask] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Lay out what operators find, each at its address."""
        self._for_operators = {"/healthz": self._alive, "/readyz": self._ready}
        if self.exposition:
            self._for_operators["/metrics"] = self._metrics

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = self.proxies.behind(requests.of(scope, receive))
        try:
            if requests.names_host(scope):
                response = await self._answer(request, scope["query_string"])
            else:
                response = errors.malformed()
        except Exception as error:  # noqa: BLE001 - a bug in what is around the calls
            maillog.broke_down(error)
            response = errors.broken()
        if b"accept-encoding" in request.headers:
            response = await compressed(response, request.headers)
        await response.send(send)
        if request.unread:  # after the answer: who reads while he sends need not send to the end
            await request.drain()

    async def _answer(self, request: Request, query: bytes) -> Response:
        """Whatever is at the address; if it is for programs, pages of any origin may read it."""
        ask, for_programs = self._place(request)
        if not for_programs or b"origin" not in request.headers:
            return await ask(request, query)
        return cors.preflight(request) or cors.readable(await ask(request, query), request)

    def _place(self, request: Request) -> tuple[batch.Ask, bool]:
        """What answers at the address, and whether it is for programs: if nothing else does, one call."""
        if told := self._for_operators.get(request.path):
            return told, False
        if self.takes_mail:
            if self.oauth and (endpoint := oauth.endpoint_at(request.path)):
                return partial(oauth.answer, endpoint, context=self.oauth), endpoint.for_programs
            if request.path in _BATCHES and request.verb == "POST":
                return self._batch, True
            if request.path in _DOCUMENTS and request.verb == "GET":
                return self._document, True
        return self.answer, True

    async def _batch(self, request: Request, query: bytes) -> Response:
        """A batch of calls."""
        return await batch.answer(request, query, self.answer, batch.limit(self.submission.policy.max_size))

    async def _document(self, request: Request, query: bytes) -> Response:
        """A document about the calls."""
        root = self.addresses.root(request.headers.get(b"host"))
        return documents.answer(request, query, root, self.submission.policy.max_size)

    async def answer(self, request: Request, query: bytes) -> Response:
        """Answer one call of a method of the table, in the order of checks of gmail-wire.md 6.3."""
        verb = method_override.meant(request)
        route = _ROUTES.match(verb, request.raw_path) if self.takes_mail else None
        if route is None:
            return errors.not_found(request.path)
        parameters = ABSENT
        try:
            if verb != request.verb:
                query = await method_override.query_of(request, query)
            parameters = system_parameters.read(query, request.headers)
            system_parameters.refuse_illegal(parameters, verb)
            response = await self._call(request, route, parameters)
        except Refusal as refusal:
            maillog.refused(refusal, request.path)
            response = errors.refused(refusal, route.method, listed=parameters.lists_errors)
        except Exception as error:  # noqa: BLE001 - a bug: the operator learns what, the client that
            maillog.broke_down(error)
            response = errors.broken(listed=parameters.lists_errors)
        function = parameters.function(verb)
        return script(response, function) if function else response

    async def _call(self, request: Request, route: Route, parameters: Parameters) -> Response:
        """Permit, then bind the parameters, then call."""
        now = self.clock()
        if self.draining:
            raise refusals.Draining("the server is stopping")
        grant = await self._grant(request, route, parameters, now)
        system_parameters.refuse_other_formats(parameters)
        if parameters.content_type:
            request.headers = {**request.headers, b"content-type": parameters.content_type.encode()}
        call = Call(
            request,
            route,
            parameters,
            await self._bound(request, route, parameters) if parameters.own else {},
            compiled(parameters.fields, route.method.response),
            mailbox_of(grant),
            grant.scopes,
            grant.client_id,
            now,
            self.database,
            self.submission,
            self.addresses,
        )
        return await ANSWERS[route.method](call)

    async def _bound(self, request: Request, route: Route, parameters: Parameters) -> Mapping[str, Any]:
        """The method's own parameters. Raises `FieldsInvalid`, with what is wrong in the body if that is JSON."""
        try:
            return bound(parameters.own, route.method)
        except FieldsInvalid as misfits:
            if route.upload or not route.method.request:
                raise
            raise await messages.together(misfits, request, self.submission.policy.max_size) from None

    async def _grant(self, request: Request, route: Route, parameters: Parameters, now: int) -> Grant:
        """Who calls. The address of an upload that has begun is a credential by itself (gmail-wire.md 4.4)."""
        authorization = request.headers.get(b"authorization")
        continued = route.upload and parameters.upload_id
        if continued and authorization is None and not parameters.access_token:
            account = await uploads.author_of(self.submission, parameters.upload_id, now)
            return Grant(account, frozenset(route.method.scopes), now)
        credential = presented(authorization, parameters, in_query=self.token_in_query)
        grant = await self.tokens.check(credential, now)
        refuse_insufficient(grant, route.method)
        if not continued:  # the pieces of an upload are one call
            self.quotas.charge(grant.holder, grant.client_id, route.method.units, now)
        return grant

    async def _alive(self, _request: Request, _query: bytes) -> Response:
        """The process runs."""
        return json_response({"status": "alive"})

    async def _ready(self, _request: Request, _query: bytes) -> Response:
        """New mail would be taken; else 503 and why."""
        try:
            self.database.health.refuse_unless_roomy(0)
            if self.draining:
                raise refusals.Draining("the server is stopping")
        except Refusal as refusal:
            return json_response({"status": "not ready", "why": refusal.why}, 503)
        return json_response({"status": "ready"})

    async def _metrics(self, request: Request, _query: bytes) -> Response:
        """What is counted and measured here."""
        assert self.exposition  # noqa: S101 - else nobody asks here
        return await self.exposition.answer(request)
