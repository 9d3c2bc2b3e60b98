"""What describes the API to programs: the discovery document and the OpenAPI document, at their addresses."""

from typing import Any

from postroad import maillog
from postroad.refusals import Refusal
from postroad.web import discovery, errors, openapi, system_parameters
from postroad.web.partial_response import cut
from postroad.web.requests import Request
from postroad.web.responses import Response, json_response, script
from postroad.web.system_parameters import ABSENT

PATHS = (*discovery.PATHS, openapi.PATH)


def answer(request: Request, query: bytes, root: str, max_size: int) -> Response:
    """The document asked for, for clients that reach us at `root`; not found in another version than ours.

    It is an answer like any other: masked, indented and wrapped as the standard parameters say.
    """
    parameters = ABSENT
    try:
        parameters = system_parameters.read(query, request.headers)
        system_parameters.refuse_illegal(parameters, request.verb)
        system_parameters.refuse_other_formats(parameters)
        if (dict(parameters.own).get("version") or discovery.VERSION) != discovery.VERSION:
            return errors.not_found(request.path)
        document = cut(_document(request.path, root, max_size), parameters.fields)
        response = json_response(document, pretty=parameters.pretty)
    except Refusal as refusal:
        maillog.refused(refusal, request.path)
        response = errors.refused(refusal, None, listed=parameters.lists_errors)
    function = parameters.function(request.verb)
    return script(response, function) if function else response


def _document(path: str, root: str, max_size: int) -> dict[str, Any]:
    return openapi.document(root) if path == openapi.PATH else discovery.document(root, max_size)
