"""What the commands write, Google's own libraries use; what they take back holds within a second."""

import io
import json
import time

import pytest
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials

from postroad.oauth.tokens import FRESH_SECONDS
from tests.running import running

MESSAGE = b"To: bob@example.org\r\nSubject: Hello\r\n\r\nHello.\r\n"
SEND = "https://www.googleapis.com/auth/gmail.send"
OWNER = "robot@example.org"
# So many, and each process that answers has had some.
CONNECTIONS = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server, not a sandbox, with one account."""
    data = tmp_path_factory.mktemp("commands")
    with running(data, "--relay", "capture", command="serve") as found:
        found.command("account", "add", OWNER)
        yield found


def written(server, *words: str) -> dict:
    """The file that a command writes."""
    return json.loads(server.command(*words, "--out", "-"))


def by_refresh(server, *words: str) -> Credentials:
    file = written(server, "credentials", OWNER, "--scope", "gmail.send", *words)
    assert file["token_uri"] == f"{server.url}/token"
    return Credentials.from_authorized_user_info(file).with_token_uri(file["token_uri"])


def by_key(file: dict) -> service_account.Credentials:
    return service_account.Credentials.from_service_account_info(file, scopes=[SEND], subject=OWNER)


def sent(server, credentials) -> int:
    """The code of a send with a fresh token of these credentials."""
    credentials.refresh(Request())
    return server.upload(MESSAGE, credentials.token).code


def refused_within_a_second(server, token: str) -> bool:
    """Whether a token that was good is refused everywhere, once no process may remember what it permitted."""
    time.sleep(FRESH_SECONDS)
    return {server.upload(MESSAGE, token).code for _ in range(CONNECTIONS)} == {401}


def test_a_refresh_token_holds_until_it_is_revoked(server):
    """What `credentials` writes sends; after `account revoke` neither it nor its access tokens do."""
    credentials = by_refresh(server)
    assert sent(server, credentials) == 200
    server.command("account", "revoke", OWNER, "--client", credentials.client_id)
    assert refused_within_a_second(server, credentials.token)
    with pytest.raises(RefreshError, match="invalid_grant"):
        credentials.refresh(Request())


@pytest.mark.parametrize("flags", [(), ("--public",)], ids=["with a secret", "public"])
def test_a_client_that_is_removed_takes_its_tokens_along(server, tmp_path, flags):
    """Credentials for a registered client send; after `client remove` they do not."""
    file = tmp_path / "client_secret.json"
    server.command("client", "add", "CRM", "--out", str(file), *flags)
    credentials = by_refresh(server, "--client", str(file))
    assert sent(server, credentials) == 200
    server.command("client", "remove", credentials.client_id)
    with pytest.raises(RefreshError, match="invalid_client"):
        credentials.refresh(Request())
    assert refused_within_a_second(server, credentials.token)


def test_a_disabled_account_sends_again_when_it_is_enabled(server):
    """While it is disabled its credentials are refused; then they go on."""
    credentials = by_refresh(server)
    assert sent(server, credentials) == 200
    server.command("account", "disable", OWNER)
    assert refused_within_a_second(server, credentials.token)
    server.command("account", "enable", OWNER)
    assert sent(server, credentials) == 200


def test_a_key_holds_until_it_is_removed_or_its_scope_is(server):
    """Each key of a service account sends in the delegated scope, until the key or the scope is taken away."""
    first = written(server, "service-account", "add", "robot", "--scope", "gmail.send")
    second = written(server, "service-account", "key", "add", "robot")
    assert [sent(server, by_key(file)) for file in (first, second)] == [200, 200]
    server.command("service-account", "key", "remove", "robot", first["private_key_id"])
    with pytest.raises(RefreshError, match="invalid_grant"):
        by_key(first).refresh(Request())
    credentials = by_key(second)
    assert sent(server, credentials) == 200
    server.command("service-account", "delegate", "robot", "--scope", "gmail.readonly")
    assert refused_within_a_second(server, credentials.token)
    with pytest.raises(RefreshError, match="unauthorized_client"):
        credentials.refresh(Request())


def test_no_log_line_has_a_secret(server):
    """What commands told once is in no line of the server's log."""
    file = written(server, "credentials", OWNER, "--scope", "gmail.send")
    client = written(server, "client", "add", "Canary")["installed"]
    key = written(server, "service-account", "add", "canary")["private_key"]
    for secret in (file["refresh_token"], file["client_secret"], client["client_secret"], *io.StringIO(key)):
        assert secret.strip() not in server.log
