"""Redirect URIs: equal or not, but for the port of a loopback address; and which ones nobody may have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.oauth import redirects
from postroad.oauth.redirects import DESKTOP, BadRedirectError, checked, matches

WEB = "https://app.example.com/callback"
LOOPBACK = "http://127.0.0.1:8080/callback"
# Another character that looks like "a", and "app" with it as ToASCII has it.
CYRILLIC_A = "\u0430"

# What is asked by whoever wants the code of a client with `WEB` (hardening.md G1).
FOREIGN_TO_WEB = {
    "nothing": "",
    "a prefix of it": "https://app.example.com/",
    "its origin": "https://app.example.com",
    "its parent": "https://app.example.com/call",
    "a suffix": WEB + "s",
    "a slash behind": WEB + "/",
    "a page below": WEB + "/evil",
    "a host that begins so": "https://app.example.com.evil.test/callback",
    "a host that ends so": "https://evil-app.example.com/callback",
    "a host below": "https://evil.app.example.com/callback",
    "another host": "https://evil.test/callback",
    "the scheme in upper case": "HTTPS://app.example.com/callback",
    "the scheme in both": "Https://app.example.com/callback",
    "the host in upper case": "https://APP.example.com/callback",
    "the path in upper case": "https://app.example.com/Callback",
    "without TLS": "http://app.example.com/callback",
    "no scheme": "//app.example.com/callback",
    "a path alone": "/callback",
    "another scheme": "ftp://app.example.com/callback",
    "javascript": "javascript://app.example.com/callback%0aalert(1)",
    "data": "data:text/html,https://app.example.com/callback",
    "a query": WEB + "?next=https://evil.test",
    "an empty query": WEB + "?",
    "a fragment": WEB + "#evil",
    "an empty fragment": WEB + "#",
    "a fragment with @": WEB + "#@evil.test/",
    "climbing": "https://app.example.com/callback/../evil",
    "climbing and back": "https://app.example.com/x/../callback",
    "a dot": "https://app.example.com/./callback",
    "climbing, encoded": "https://app.example.com/callback/%2e%2e/evil",
    "climbing, encoded in upper case": "https://app.example.com/callback/%2E%2E/evil",
    "climbing, half encoded": "https://app.example.com/callback/.%2e/evil",
    "climbing, the slash encoded": "https://app.example.com/callback/..%2fevil",
    "climbing, encoded twice": "https://app.example.com/callback/%252e%252e/evil",
    "climbing, encoded twice in upper case": "https://app.example.com/callback/%252E%252E/evil",
    "climbing, encoded three times": "https://app.example.com/callback/%25252e%25252e/evil",
    "climbing with a parameter": "https://app.example.com/callback/..;/evil",
    "a letter encoded": "https://app.example.com/%63allback",
    "two slashes": "https://app.example.com//callback",
    "a user": "https://evil@app.example.com/callback",
    "a user and password": "https://user:password@app.example.com/callback",
    "the host as user": "https://app.example.com@evil.test/callback",
    "the host and port as user": "https://app.example.com:443@evil.test/callback",
    "the host as user, encoded": "https://app.example.com%40evil.test/callback",
    "a backslash for the slash": "https://app.example.com\\callback",
    "a backslash before @": "https://app.example.com\\@evil.test/callback",
    "a foreign host, a backslash": "https://evil.test\\.app.example.com/callback",
    "a backslash, encoded": "https://evil.test%5c.app.example.com/callback",
    "backslashes for //": "https:\\\\app.example.com/callback",
    "a tab in the host": "https://app.exam\tple.com/callback",
    "a newline behind": WEB + "\n",
    "a newline in front": "\n" + WEB,
    "CR LF and a header": WEB + "\r\nLocation: https://evil.test",
    "CR LF, encoded": WEB + "%0d%0aLocation:%20https://evil.test",
    "a NUL behind": WEB + "\0",
    "a NUL, encoded": WEB + "%00",
    "a space behind": WEB + " ",
    "a space in front": " " + WEB,
    "a no-break space behind": WEB + "\u00a0",
    "a zero-width space": WEB + "\u200b",
    "the port that is meant": "https://app.example.com:443/callback",
    "another port": "https://app.example.com:8443/callback",
    "an empty port": "https://app.example.com:/callback",
    "a dot behind the host": "https://app.example.com./callback",
    "its twin in Cyrillic": f"https://{CYRILLIC_A}pp.example.com/callback",
    "the twin's A-label": "https://xn--pp-6kc.example.com/callback",
    "a full-width dot": "https://app\uff0eexample.com/callback",
    "a full-width slash": "https://app.example.com\uff0fcallback",
    "the registered one in a query": f"https://evil.test/?{WEB}",
    "two in one": f"{WEB} {WEB}",
    "two with a comma": f"{WEB},https://evil.test",
    "a wildcard": "https://*.example.com/callback",
    "a port in a client of the web": "http://localhost:3000/callback",
    "very long": WEB + "x" * 100_000,
}


def test_the_list_is_long():
    """At least sixty ways of asking for another's code are tried."""
    assert len(FOREIGN_TO_WEB) >= 60


@pytest.mark.parametrize("asked", FOREIGN_TO_WEB.values(), ids=FOREIGN_TO_WEB)
def test_what_only_resembles_a_redirect_uri_is_another(asked):
    """Nothing is folded, decoded, resolved, cut or matched by pattern, of whatever kind the client is."""
    registered = (WEB, "http://localhost/callback")
    assert not matches(registered, asked, loopback=False)
    if "a port in" not in asked and not asked.startswith("http://localhost"):
        assert not matches(registered, asked, loopback=True)


def test_a_redirect_uri_is_itself():
    """What was registered is matched, whichever of several it is."""
    assert matches((LOOPBACK, WEB), WEB, loopback=False)
    assert matches((WEB, LOOPBACK), LOOPBACK, loopback=False)
    assert matches((WEB + "?a=%20b",), WEB + "?a=%20b", loopback=True)


SAME_BUT_THE_PORT = {
    "the port registered": LOOPBACK,
    "another": "http://127.0.0.1:49152/callback",
    "none": "http://127.0.0.1/callback",
    "the least": "http://127.0.0.1:1/callback",
    "the last": "http://127.0.0.1:65535/callback",
}


@pytest.mark.parametrize("asked", SAME_BUT_THE_PORT.values(), ids=SAME_BUT_THE_PORT)
def test_the_port_of_an_installed_client_is_free(asked):
    """On the loopback interface an installed client takes what port there is; a web client does not."""
    assert matches((LOOPBACK,), asked, loopback=True)
    assert matches((LOOPBACK,), asked, loopback=False) == (asked == LOOPBACK)


FOREIGN_TO_LOOPBACK = {
    "localhost": "http://localhost:8080/callback",
    "the other loopback address": "http://[::1]:8080/callback",
    "another loopback address": "http://127.0.0.2:8080/callback",
    "in fewer numbers": "http://127.1:8080/callback",
    "in one number": "http://2130706433:8080/callback",
    "in octal": "http://0177.0.0.1:8080/callback",
    "mapped into IPv6": "http://[::ffff:127.0.0.1]:8080/callback",
    "any address": "http://0.0.0.0:8080/callback",
    "with TLS": "https://127.0.0.1:8080/callback",
    "the scheme in upper case": "HTTP://127.0.0.1:8080/callback",
    "another path": "http://127.0.0.1:8080/other",
    "no path": "http://127.0.0.1:8080",
    "a slash behind": "http://127.0.0.1:8080/callback/",
    "climbing": "http://127.0.0.1:8080/x/../callback",
    "climbing, encoded": "http://127.0.0.1:8080/x/%2e%2e/callback",
    "a query": "http://127.0.0.1:8080/callback?a=b",
    "a fragment": "http://127.0.0.1:8080/callback#a",
    "a newline behind": "http://127.0.0.1:8080/callback\n",
    "port zero": "http://127.0.0.1:0/callback",
    "a port with a zero before": "http://127.0.0.1:08080/callback",
    "a port too high": "http://127.0.0.1:65536/callback",
    "a port of many digits": "http://127.0.0.1:" + "9" * 5000 + "/callback",
    "an empty port": "http://127.0.0.1:/callback",
    "a port with a sign": "http://127.0.0.1:+80/callback",
    "a port in other digits": "http://127.0.0.1:\u0668\u0660/callback",
    "a port and a user": "http://127.0.0.1:80@evil.test/callback",
    "a user": "http://evil.test@127.0.0.1:8080/callback",
    "a host that begins so": "http://127.0.0.1.evil.test:8080/callback",
    "a backslash": "http://127.0.0.1:8080\\@evil.test/callback",
}


@pytest.mark.parametrize("asked", FOREIGN_TO_LOOPBACK.values(), ids=FOREIGN_TO_LOOPBACK)
def test_only_the_port_of_a_loopback_redirect_is_free(asked):
    """Host, path and query are as registered."""
    assert not matches((LOOPBACK,), asked, loopback=True)


# What Google's libraries ask for, where the file of a Desktop client has `http://localhost`.
OF_LIBRARIES = {
    "google-auth-oauthlib": "http://localhost:8080/",
    "the same without a slash": "http://localhost:8080",
    "the same at another address": "http://127.0.0.1:41231/",
    "@google-cloud/local-auth": "http://localhost:3000/oauth2callback",
    "the quickstart in Go": "http://localhost",
    "LocalServerReceiver in Java": "http://localhost:8888/Callback",
    "over IPv6": "http://[::1]:9000/",
}


@pytest.mark.parametrize("asked", OF_LIBRARIES.values(), ids=OF_LIBRARIES)
def test_googles_libraries_get_their_codes(asked):
    """An installed client that was registered without a redirect URI may use those of Google's libraries."""
    assert matches(checked((), "installed"), asked, loopback=True)


@given(st.text(max_size=30), st.integers(1, 65535))
def test_a_path_is_matched_character_by_character(path, port):
    """A loopback redirect is matched at any port by the path that it was registered with and by no other."""
    registered = (f"http://localhost/{path}",)
    assert matches(registered, f"http://localhost:{port}/{path}", loopback=True)
    assert not matches(registered, f"http://localhost:{port}/{path}x", loopback=True)


ALLOWED = [
    ("web", WEB),
    ("web", "https://app.example.com"),
    ("web", "https://app.example.com:8443/back?fixed=1"),
    ("web", "http://localhost:3000/oauth2callback"),
    ("web", "http://127.0.0.1/back"),
    ("web", "http://[::1]:8080/back"),
    ("web", "https://[2001:db8::1]/back"),
    ("installed", "http://localhost"),
    ("installed", "https://app.example.com/claimed"),
    ("installed", "com.example.app:/oauth2redirect"),
    ("installed", "com.googleusercontent.apps.123-abc:/oauth2redirect"),
]


@pytest.mark.parametrize(("kind", "uri"), ALLOWED)
def test_a_client_may_have_it(kind, uri):
    """TLS, the loopback interface, and for installed clients a scheme that is a domain name turned round."""
    assert checked([uri], kind) == (uri,)


REFUSED = [
    ("web", "http://app.example.com/callback", "http is for the loopback interface alone"),
    ("web", "http://localhost.evil.test/", "http is for the loopback interface alone"),
    ("web", "http://127.0.0.1.evil.test/", "http is for the loopback interface alone"),
    ("installed", "http://app.example.com/callback", "http is for the loopback interface alone"),
    ("installed", "http://localhost:99999/", "not a URI"),
    ("web", "javascript:alert(1)", "the scheme 'javascript' is not allowed"),
    ("installed", "javascript:alert(1)", "the scheme 'javascript' is not allowed"),
    ("installed", "JavaScript:alert(1)", "a scheme in lower case"),
    ("installed", "data:text/html,x", "the scheme 'data' is not allowed"),
    ("installed", "vbscript:x", "the scheme 'vbscript' is not allowed"),
    ("installed", "file:///etc/passwd", "the scheme 'file' is not allowed"),
    ("installed", "about:blank", "the scheme 'about' is not allowed"),
    ("installed", "blob:https://app.example.com/x", "the scheme 'blob' is not allowed"),
    ("installed", "myapp:/back", "the scheme 'myapp' is not allowed"),
    ("installed", "urn:ietf:wg:oauth:2.0:oob", "the scheme 'urn' is not allowed"),
    ("web", "com.example.app:/back", "the scheme 'com.example.app' is not allowed"),
    ("web", WEB + "#fragment", "without fragment"),
    ("web", WEB + "#", "without fragment"),
    ("web", "https://user@app.example.com/", "names a user"),
    ("web", "https://@app.example.com/", "names a user"),
    ("web", "https://app.example.com/a/../b", "climbs"),
    ("web", "https://app.example.com/%2e%2E/b", "climbs"),
    ("web", "https://APP.example.com/", "host in lower case"),
    ("web", "https:///callback", "host in lower case"),
    ("web", "https:app.example.com", "host in lower case"),
    ("web", "HTTPS://app.example.com/", "a scheme in lower case"),
    ("web", "//app.example.com/", "a scheme in lower case"),
    ("web", "/callback", "a scheme in lower case"),
    ("web", "", "not a URI"),
    ("web", "https://app.example.com/a b", "not a URI"),
    ("web", "https://app.example.com\\@evil.test/", "not a URI"),
    ("web", WEB + "\n", "not a URI"),
    ("web", f"https://{CYRILLIC_A}pp.example.com/", "not a URI"),
    ("web", "https://app.example.com:port/", "not a URI"),
    ("web", "https://[::1/", "not a URI"),
    ("web", "https://app.example.com/" + "x" * 2048, "not a URI"),
]


@pytest.mark.parametrize(("kind", "uri", "problem"), REFUSED, ids=lambda text: text[:40])
def test_nobody_may_have_it(kind, uri, problem):
    """A redirect that runs script, leaves in the clear, or can be read in two ways is not registered."""
    with pytest.raises(BadRedirectError, match=problem):
        checked([uri], kind)


def test_a_web_client_needs_a_place():
    """Without a redirect URI a web client is not registered."""
    with pytest.raises(BadRedirectError, match="needs a redirect URI"):
        checked([], "web")


def test_there_is_an_end_to_redirect_uris():
    """A client has so many and no more; the same one twice is one."""
    many = [f"{WEB}/{number}" for number in range(redirects.MAX_REGISTERED)]
    assert checked([*many, *many], "web") == tuple(many)
    with pytest.raises(BadRedirectError, match="at most"):
        checked([*many, WEB], "web")


def test_what_libraries_use_may_be_registered():
    """The redirect URIs of Desktop clients pass their own check; the first is the one in Google's files."""
    assert checked(DESKTOP, "installed") == DESKTOP
    assert DESKTOP[0] == "http://localhost"
