"""Postroad signs people in at another Postroad, its OpenID provider."""

import contextlib
import json
import subprocess

import pytest

from tests.end_to_end.browsing import Browsing
from tests.running import POSTROAD, running

ALICE, BOB = "alice@example.test", "bob@example.test"


def register(provider) -> dict[str, str]:
    """The other server as a client of the provider; on loopback its port may be any."""
    place = "http://127.0.0.1/o/oauth2/upstream/callback"
    return json.loads(provider.command("client", "add", "Mail", "--redirect-uri", place))["installed"]


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    """A sandbox: people choose who they are."""
    with running(tmp_path_factory.mktemp("provider")) as found:
        yield found


@pytest.fixture(scope="module")
def client(provider):
    return register(provider)


@contextlib.contextmanager
def serving(folder, issuer, client):
    """A server with Alice's account, which has no password."""
    folder.mkdir()
    lines = {
        "oidc_issuer": issuer,
        "oidc_client_id": client["client_id"],
        "oidc_client_secret": client["client_secret"],
    }
    settings = "".join(f"{name} = {json.dumps(text)}\n" for name, text in lines.items())
    (folder / "postroad.toml").write_text(settings)
    subprocess.run([POSTROAD, "account", "add", ALICE, "--data", folder], check=True, capture_output=True)
    with running(folder, "--relay", "capture", command="serve") as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory, provider, client):
    with serving(tmp_path_factory.mktemp("server") / "data", provider.url, client) as found:
        yield found


def signs_in(server, address, browser=None):
    """From a page that asks to sign in, by way of the provider, to where the browser ends."""
    browser = browser or Browsing()
    page = browser.get(f"{server.url}/device?user_code=BBBB-BBBB")
    assert "Sign in with 127.0.0.1" in page.text
    page = browser.get(page.link("/o/oauth2/upstream"))
    page = browser.send(page, 0, ("address", address))
    return browser.send(page, 0, ("decision", "allow")) if "wants to use your account" in page.text else page


def test_who_signs_in_there_is_signed_in_here(server):
    """And goes on where she began; the second time she is known by her subject."""
    for _ in range(2):
        page = signs_in(server, ALICE)
        assert page.url == f"{server.url}/device?user_code=BBBB-BBBB"
        assert "Connect a device" in page.text
        assert ALICE in page.text


def test_who_has_no_account_here_is_told(server):
    """Nobody gets one by signing in elsewhere; the page to sign in says why, and the log whom to ask."""
    page = signs_in(server, BOB)
    assert page.url.startswith(f"{server.url}/o/oauth2/upstream/callback?")
    assert page.code == 403
    assert "There is no account here for you" in page.text
    assert "names an address that is no account here" in server.log


def test_an_answer_is_taken_once_and_by_its_browser(server):
    """Who follows the way back again, or in another browser, is not signed in (login CSRF, RFC 9700 4.7)."""
    browser = Browsing(stops_at=f"{server.url}/o/oauth2/upstream/callback")
    back = signs_in(server, ALICE, browser)
    stranger = Browsing()
    assert stranger.get(back.url).code == 403
    browser.stops_at = "nowhere:"
    assert browser.get(back.url).code == 403
    assert "Sign in with" in stranger.get(f"{server.url}/device").text


def test_who_refuses_there_is_told_here(server):
    """Cancel leads back to the page to sign in."""
    browser = Browsing()
    page = browser.get(browser.get(f"{server.url}/device").link("/o/oauth2/upstream"))
    page = browser.send(page, 0, ("address", "carol@example.test"))
    page = browser.send(page, 0, ("decision", "cancel"))
    assert (page.code, "You were not signed in there" in page.text) == (403, True)


def test_a_wrong_secret_signs_nobody_in(tmp_path, provider, client):
    """The provider refuses the code; the log says so without telling the secret."""
    wrong = client | {"client_secret": "GOCSPX-canary"}
    with serving(tmp_path / "data", provider.url, wrong) as server:
        page = signs_in(server, ALICE)
        assert (page.code, "does not answer just now" in page.text) == (403, True)
        assert "'invalid_client'" in server.log
        assert "canary" not in server.log
