"""The OpenAPI 3.1 document of the methods served, for clients that are not Google's."""

import json
from typing import Any

from postroad.web.methods import METHODS, Method
from postroad.web.schemas import SCHEMAS, STANDARD, Field
from postroad.web.transcoding import UPLOAD_PREFIXES

PATH = "/postroad/v1/openapi.json"
_JSON = "application/json"
_ERROR = "Error"
_BEARER = "bearer"
# gmail-wire.md 6.1.
_ERROR_SCHEMA = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "status"],
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "errors": {"type": "array", "items": {"type": "object"}},
                "status": {"type": "string"},
                "details": {"type": "array", "items": {"type": "object"}},
            },
        }
    },
}


def document(root: str) -> dict[str, Any]:
    """The document for clients that reach us at `root`, an absolute URL."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Postroad",
            "description": "Sends mail by the methods of the Gmail API.",
            "version": "v1",
        },
        "servers": [{"url": root.rstrip("/")}],
        "paths": _paths(),
        "components": {
            "schemas": {name: _schema(fields) for name, fields in SCHEMAS.items()} | {_ERROR: _ERROR_SCHEMA},
            "parameters": {_component(one): _parameter(one, place="query") for one in STANDARD},
            "securitySchemes": {_BEARER: {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for method in METHODS:
        body = {_JSON: {"schema": _reference(method.request)}} if method.request else {}
        paths.setdefault(f"/{method.path}", {})[method.verb.lower()] = _operation(method, method.id, body)
        if method.upload:
            media = {"message/rfc822": {"schema": {"type": "string", "contentMediaType": "message/rfc822"}}}
            for prefix in UPLOAD_PREFIXES:
                operation = _operation(method, f"{prefix.replace('/', '.')}{method.id}", media)
                paths.setdefault(f"/{prefix}{method.path}", {})[method.verb.lower()] = operation
    return paths


def _operation(method: Method, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """One operation; any one of the method's scopes suffices."""
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": method.about,
        "parameters": [
            *(
                _parameter(one, place="path" if one.name in method.variables else "query")
                for one in method.parameters
            ),
            *({"$ref": f"#/components/parameters/{_component(one)}"} for one in STANDARD),
        ],
        "responses": {
            "200": {"description": "Done.", "content": {_JSON: {"schema": _reference(method.response)}}},
            "default": {"description": "Refused.", "content": {_JSON: {"schema": _reference(_ERROR)}}},
        },
        "security": [{_BEARER: [scope]} for scope in method.scopes],
    }
    return operation | ({"requestBody": {"content": body}} if body else {})


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _component(parameter: Field) -> str:
    """Its name among the components, where no dollar sign may stand."""
    return parameter.name.removeprefix("$.")


def _parameter(parameter: Field, *, place: str) -> dict[str, Any]:
    schema = _shape(parameter)
    if parameter.default:
        schema["default"] = parameter.default if parameter.kind == "string" else json.loads(parameter.default)
    row = {"name": parameter.name, "in": place, "description": parameter.about, "schema": schema}
    return row | ({"required": True} if place == "path" else {})


def _schema(fields: tuple[Field, ...]) -> dict[str, Any]:
    return {"type": "object", "properties": {one.name: {"description": one.about} | _shape(one) for one in fields}}


def _shape(field: Field) -> dict[str, Any]:
    item = _reference(field.kind) if field.schema else field.members()
    return {"type": "array", "items": item} if field.repeated else dict(item)
