"""Signing in with Postroad: ID tokens over real HTTP, judged by Google's own library."""

import json
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from google.auth.transport.requests import Request
from google.oauth2 import id_token

from postroad.serving import free_address
from tests.end_to_end.browsing import Browsing
from tests.running import running

BACK = "http://localhost:4711/"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A sandbox under the name of Google's issuer, the only one that Google's library takes."""
    _, port = free_address("127.0.0.1", 0)
    flags = ("--public-url", "https://accounts.google.com", "--listen", f"127.0.0.1:{port}")
    with running(tmp_path_factory.mktemp("server"), *flags) as found:
        yield replace(found, url=f"http://127.0.0.1:{port}")


def tokens(server, client, *scopes):
    """What a client gets after Alice chose her account; in the sandbox she allowed it all before."""
    asked = {"response_type": "code", "client_id": client["client_id"], "redirect_uri": BACK, "nonce": "n-1"}
    browser = Browsing(stops_at=BACK)
    page = browser.get(f"{server.url}/o/oauth2/v2/auth?{urlencode(asked | {'scope': ' '.join(scopes)})}")
    page = browser.send(page, 0, ("address", "alice@example.test"))
    code = parse_qs(urlsplit(page.url).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
    form |= {name: client[name] for name in ("client_id", "client_secret")}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return server.request("POST", "/token", urlencode(form).encode(), headers).json


def test_googles_library_believes_us(server, monkeypatch):
    """`verify_oauth2_token` fetches our certificates and takes our ID token; for another client it does not."""
    monkeypatch.setattr(id_token, "_GOOGLE_OAUTH2_CERTS_URL", f"{server.url}/oauth2/v1/certs")
    client = json.loads((server.data / "client_secret.json").read_text())["installed"]
    text = tokens(server, client, "openid", "email")["id_token"]
    claims = id_token.verify_oauth2_token(text, Request(), client["client_id"])
    assert (claims["iss"], claims["email"]) == ("https://accounts.google.com", "alice@example.test")
    assert (claims["nonce"], claims["email_verified"]) == ("n-1", True)
    with pytest.raises(ValueError, match="audience"):
        id_token.verify_oauth2_token(text, Request(), "another")


def test_userinfo_names_the_same_person(server):
    """The subject of userinfo is that of the ID token, which keys from the document verify."""
    client = json.loads((server.data / "client_secret.json").read_text())["installed"]
    given = tokens(server, client, "openid", "email")
    told = server.request("GET", "/v1/userinfo", headers={"Authorization": f"Bearer {given['access_token']}"}).json
    document = server.request("GET", "/.well-known/openid-configuration").json
    keys = urlsplit(document["jwks_uri"]).path
    assert len(server.request("GET", keys).json["keys"]) == 1
    claims = id_token.verify_token(given["id_token"], Request(), certs_url=f"{server.url}/oauth2/v1/certs")
    assert (told["sub"], told["email"]) == (claims["sub"], claims["email"])
