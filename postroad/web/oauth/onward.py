"""Where a browser goes on after a form: a path of this server, with the request in its query, and kept there."""

import re
from urllib.parse import urlencode

from postroad.oauth.errors import OAuthError
from postroad.web.forms import Pairs

AUTHORIZATION = "/o/oauth2/v2/auth"
_CHOICE = "select_account"
# Printable ASCII, and nothing that a browser takes for a host (hardening.md G13).
_OWN_PATH = re.compile(r"/(?!/)[\x21-\x5b\x5d-\x7e]*")
# Octets of the query of a request that a browser brings; every one may be percent-encoded in the path.
MAX_QUERY = 8 * 1024
_MAX_PATH = 3 * MAX_QUERY + 100
# And again in a form, with what somebody typed beside it.
MAX_FORM = 10 * MAX_QUERY


def own_path(text: str) -> str:
    """A path of this server. Raises `OAuthError` for anything else."""
    if len(text) > _MAX_PATH or not _OWN_PATH.fullmatch(text):
        raise OAuthError("invalid_request", "The form does not say where on this server to go on.")
    return text


def path_of(parameters: Pairs) -> str:
    """Where an authorization request is answered."""
    return f"{AUTHORIZATION}?{urlencode(parameters)}"


def without_choice(parameters: Pairs) -> Pairs:
    """A request as it goes on once an account is chosen: without what asks to choose one, or hints at another."""
    return _chosen(parameters, [word for word in _prompts(parameters) if word != _CHOICE])


def with_choice(parameters: Pairs) -> Pairs:
    """The same request for a person who wants to choose another account first."""
    return _chosen(parameters, [_CHOICE, *_prompts(parameters)])


def _prompts(parameters: Pairs) -> list[str]:
    return dict(parameters).get("prompt", "").split()


def _chosen(parameters: Pairs, prompts: list[str]) -> Pairs:
    others = [(name, text) for name, text in parameters if name not in ("prompt", "login_hint")]
    return [*others, ("prompt", " ".join(prompts))] if prompts else others
