"""The discovery document of the methods served: Google's format and names, words and address of our own.

Google's clients build themselves from it (gmail-wire.md 1.1, 8.8).
"""

from typing import Any

from postroad.oauth.scopes import FULL, SCOPES
from postroad.web.methods import METHODS, Method
from postroad.web.schemas import SCHEMAS, STANDARD, Field

# Where clients ask for it: by the host of the API, and by that of all of Google's (gmail-wire.md 1.2).
PATHS = ("/$discovery/rest", "/discovery/v1/apis/gmail/v1/rest")
VERSION = "v1"
_PROTOCOLS = {"resumable": "/resumable/upload/", "simple": "/upload/"}


def document(root: str, max_size: int) -> dict[str, Any]:
    """The document for clients that reach us at `root` (an absolute URL), with messages of `max_size` octets."""
    root = root.rstrip("/") + "/"
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": "gmail:v1",
        "name": "gmail",
        "canonicalName": "Gmail",
        "version": VERSION,
        "revision": "0",
        "title": "Postroad",
        "description": "Sends mail by the methods of the Gmail API.",
        "protocol": "rest",
        "rootUrl": root,
        "mtlsRootUrl": root,
        "baseUrl": root,
        "basePath": "",
        "servicePath": "",
        "batchPath": "batch",
        "fullyEncodeReservedExpansion": True,
        "auth": {"oauth2": {"scopes": _scopes()}},
        "parameters": {one.name: {"location": "query"} | _described(one) for one in STANDARD},
        "schemas": {name: _schema(name, fields) for name, fields in SCHEMAS.items()},
        "resources": _resources(max_size),
    }


def _scopes() -> dict[str, Any]:
    """Every scope that one of the methods takes, with a word about it."""
    taken = {scope for method in METHODS for scope in method.scopes}
    short = {scope: name for name, scope in SCOPES.items()}
    return {one: {"description": "All of Gmail." if one == FULL else f"{short[one]}."} for one in sorted(taken)}


def _resources(max_size: int) -> dict[str, Any]:
    """The methods in the tree that their names make: gmail.users.messages.send is users, messages, send."""
    root: dict[str, Any] = {}
    for method in METHODS:
        _, *collections, name = method.id.split(".")
        node = root
        for collection in collections:
            node = node.setdefault("resources", {}).setdefault(collection, {})
        node.setdefault("methods", {})[name] = _method(method, max_size)
    tree: dict[str, Any] = root["resources"]
    return tree


def _method(method: Method, max_size: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": method.id,
        "description": method.about,
        "httpMethod": method.verb,
        "path": method.path,
        "flatPath": method.path,
        "parameters": {one.name: _parameter(one, method) for one in method.parameters},
        "parameterOrder": list(method.variables),
        "scopes": list(method.scopes),
    }
    for side, schema in (("request", method.request), ("response", method.response)):
        row |= {side: {"$ref": schema}} if schema else {}
    return row | (_media(method, max_size) if method.upload else {})


def _media(method: Method, max_size: int) -> dict[str, Any]:
    protocols = {name: {"multipart": True, "path": prefix + method.path} for name, prefix in _PROTOCOLS.items()}
    return {
        "supportsMediaUpload": True,
        "mediaUpload": {"accept": ["message/*"], "maxSize": str(max_size), "protocols": protocols},
    }


def _parameter(parameter: Field, method: Method) -> dict[str, Any]:
    in_path = {"location": "path", "required": True}
    return (in_path if parameter.name in method.variables else {"location": "query"}) | _described(parameter)


def _described(field: Field) -> dict[str, Any]:
    """What a parameter is, in the words of discovery."""
    said: dict[str, Any] = {"description": field.about} | field.members()
    if field.choices:
        said["enumDescriptions"] = [meaning for _, meaning in field.choices]
    if field.repeated:
        said["repeated"] = True
    return said | ({"default": field.default} if field.default else {})


def _schema(name: str, fields: tuple[Field, ...]) -> dict[str, Any]:
    return {"id": name, "type": "object", "properties": {one.name: _property(one) for one in fields}}


def _property(field: Field) -> dict[str, Any]:
    item = {"$ref": field.kind} if field.schema else field.members()
    return {"description": field.about} | ({"type": "array", "items": item} if field.repeated else item)
