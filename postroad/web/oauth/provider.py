"""An external OpenID provider, asked over HTTP: within bounds of time and size, and nowhere but where it says."""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from joserfc.jwk import KeySet

from postroad.oauth import upstream
from postroad.oauth.upstream import Attempt, Identity, Metadata, UpstreamError

# Where the page to sign in leads to, for a sign-in there.
BEGIN = "/o/oauth2/upstream"
# Seconds for one answer, from the look-up of a name to the last octet.
TIMEOUT_SECONDS = 10
MAX_OCTETS = 256 * 1024
# Seconds that a provider's document and keys are kept.
FRESH_SECONDS = 3600
# When a token does not verify, the keys are asked for anew, but not more often than this.
AGAIN_SECONDS = 60
_AWAY = "The provider does not answer just now. Please try again in some minutes."


@dataclass(slots=True)
class Provider:
    """Somebody who says who people are; here we are its client. Without a secret we show none."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    _metadata: Metadata | None = field(default=None, init=False)
    _keys: KeySet | None = field(default=None, init=False)
    _metadata_at: float = field(default=0.0, init=False)
    _keys_at: float = field(default=0.0, init=False)

    @property
    def name(self) -> str:
        """What people know it by: its host."""
        return urlsplit(self.issuer).hostname or self.issuer

    def link(self, onward: str) -> str:
        """Where a sign-in there begins; afterwards the browser goes `onward`."""
        return f"{BEGIN}?{urlencode({'onward': onward})}"

    async def metadata(self) -> Metadata:
        """What it says of itself, at most an hour old. Raises `UpstreamError`."""
        if self._metadata is None or time.monotonic() - self._metadata_at > FRESH_SECONDS:
            document = await fetched("GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            self._metadata = upstream.metadata_of(self.issuer, document)
            self._metadata_at = time.monotonic()
        return self._metadata

    async def identity(self, code: str, attempt: Attempt, redirect_uri: str, now: int) -> Identity:
        """Who signed in there, for the code that the browser brought. Raises `UpstreamError`."""
        metadata = await self.metadata()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        form |= {"code_verifier": attempt.code_verifier, "client_id": self.client_id}
        headers = {}
        if self.client_secret and metadata.by_form:
            form["client_secret"] = self.client_secret
        elif self.client_secret:
            headers["Authorization"] = _basic(self.client_id, self.client_secret)
        answer = await fetched("POST", metadata.token_endpoint, form, headers)
        text = answer.get("id_token") if isinstance(answer, dict) else None
        return await self._verified(str(text), metadata, attempt.nonce, now)

    async def _verified(self, text: str, metadata: Metadata, nonce: str, now: int) -> Identity:
        """Who an ID token names; when it does not verify, once again with the newest keys."""
        keys, asked_at = await self._published(metadata, FRESH_SECONDS)
        try:
            return upstream.identity(text, keys, metadata, self.client_id, nonce, now)
        except UpstreamError:
            newest, again_at = await self._published(metadata, AGAIN_SECONDS)
            if again_at == asked_at:
                raise
        return upstream.identity(text, newest, metadata, self.client_id, nonce, now)

    async def _published(self, metadata: Metadata, fresh_seconds: int) -> tuple[KeySet, float]:
        """Its keys, not older than that, and when they were asked for."""
        if self._keys is None or time.monotonic() - self._keys_at > fresh_seconds:
            self._keys = upstream.key_set(await fetched("GET", metadata.jwks_uri))
            self._keys_at = time.monotonic()
        return self._keys, self._keys_at


def _basic(client_id: str, secret: str) -> str:
    """An Authorization field (RFC 6749 section 2.3.1)."""
    both = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(both.encode()).decode()}"


async def fetched(
    verb: str, url: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> Any:
    """The JSON there, of at most 256 KiB, within ten seconds; no redirect is followed. Raises `UpstreamError`."""
    import aiohttp  # noqa: PLC0415 - takes long, and few have a provider

    if not upstream.is_safe(url):
        raise UpstreamError(_AWAY, why=f"{url[:200]} is no https address")
    asked = {"Accept": "application/json", "Accept-Encoding": "identity"} | dict(headers or {})
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(verb, url, data=form, headers=asked, allow_redirects=False) as response,
        ):
            octets = bytearray()
            async for piece in response.content.iter_any():
                octets += piece
                if len(octets) > MAX_OCTETS:
                    raise UpstreamError(_AWAY, why=f"{url} answers with over {MAX_OCTETS} octets")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise UpstreamError(_AWAY, why=f"{url} does not answer: {type(error).__name__}") from None
    return _read(url, response.status, octets)


def _read(url: str, code: int, octets: bytearray) -> Any:
    try:
        found = json.loads(octets)
    except (ValueError, RecursionError):
        found = None
    if code == 200 and found is not None:
        return found
    error = str(found.get("error"))[:100] if isinstance(found, dict) else "no JSON"
    raise UpstreamError(_AWAY, why=f"{url} answers {code}: {error!r}")
