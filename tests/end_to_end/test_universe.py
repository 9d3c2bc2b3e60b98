"""A universe of one's own: Google's client is told a domain, and asks gmail.DOMAIN by TLS."""

import base64
import json
import socket
import subprocess
from urllib.parse import urlsplit

import httplib2
import pytest
import trustme
from google.oauth2 import credentials, service_account
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from tests.running import POSTROAD, running

UNIVERSE = "universe.test"
ALICE = "alice@example.test"
SEND = "https://www.googleapis.com/auth/gmail.send"
LETTER = b"To: alice@example.test\r\nSubject: From elsewhere\r\n\r\nHello.\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Who certifies the server, as a file."""
    made = trustme.CA()
    folder = tmp_path_factory.mktemp("certificates")
    made.cert_pem.write_to_path(folder / "authority.pem")
    issued = made.issue_cert(f"gmail.{UNIVERSE}")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(folder / "cert.pem", append=bool(number))
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, authority):
    """A server in that universe, with Alice's account."""
    folder = tmp_path_factory.mktemp("server")
    subprocess.run([POSTROAD, "account", "add", ALICE, "--data", folder], check=True, capture_output=True)
    tls = ("--tls-cert", str(authority / "cert.pem"), "--tls-key", str(authority / "key.pem"))
    with running(folder, "--relay", "capture", "--universe-domain", UNIVERSE, *tls, command="serve") as found:
        yield found


@pytest.fixture
def gmail(server, authority, monkeypatch):
    """Google's client in that universe, whose names all lead to the server, with some credentials."""
    here = ("127.0.0.1", urlsplit(server.url).port)

    class Led(socket.socket):
        """Connects here, whatever name it was given."""

        def connect(self, _address):
            super().connect(here)

    found = (socket.AF_INET, socket.SOCK_STREAM, 0, "", here)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [found])
    monkeypatch.setattr(socket, "socket", Led)

    def client(own):
        http = AuthorizedHttp(own, httplib2.Http(ca_certs=str(authority / "authority.pem"), timeout=30))
        return build("gmail", "v1", http=http, client_options={"universe_domain": UNIVERSE})

    return client


def send(service):
    body = {"raw": base64.urlsafe_b64encode(LETTER).decode()}
    return service.users().messages().send(userId="me", body=body).execute()


def test_a_person_sends_in_a_universe(server, gmail):
    """With credentials of that universe Google's client sends through gmail.DOMAIN."""
    own = credentials.Credentials(server.token(ALICE), universe_domain=UNIVERSE)
    with gmail(own) as service:
        assert service._baseUrl == f"https://gmail.{UNIVERSE}/"
        assert set(send(service)["labelIds"]) == {"SENT", "INBOX", "UNREAD"}


def test_a_service_account_signs_its_own_tokens_in_a_universe(server, gmail):
    """It is known by them, and acts for nobody: Gmail wants a mailbox (gmail-wire.md 8.6)."""
    made = server.command("service-account", "add", "robot", "--scope", "gmail.send", "--out", "-")
    info = json.loads(made) | {"universe_domain": UNIVERSE}
    own = service_account.Credentials.from_service_account_info(info, scopes=[SEND])
    with gmail(own) as service, pytest.raises(HttpError) as refused:
        send(service)
    assert (refused.value.status_code, refused.value.reason) == (400, "Precondition check failed.")
    assert "acts for no account" in server.log
