"""What describes the API to programs: the discovery document and the OpenAPI document, at their addresses."""

from urllib.parse import parse_qsl

from postroad.web import discovery, errors, openapi
from postroad.web.requests import Request
from postroad.web.responses import Response, json_response

PATHS = (*discovery.PATHS, openapi.PATH)


def answer(request: Request, query: bytes, root: str, max_size: int) -> Response:
    """The document asked for, for clients that reach us at `root`; not found in another version than ours."""
    if dict(parse_qsl(query.decode("latin-1"))).get("version", discovery.VERSION) != discovery.VERSION:
        return errors.not_found(request.path)
    if request.path == openapi.PATH:
        return json_response(openapi.document(root))
    return json_response(discovery.document(root, max_size))
