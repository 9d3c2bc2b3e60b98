"""Service accounts over a running server: Google's clients with a key file, and assertions that are forged."""

import base64
import json
import time
from email.message import EmailMessage
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.auth.exceptions import RefreshError
from google.oauth2.service_account import Credentials
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError

from postroad.oauth.service_accounts import Key, PublicKey, ServiceAccount, fresh_key
from tests.jws_kit import Signer, compact
from tests.oauth.forgeries import FORGERIES, GOOGLE, MALFORMED, NO_ACCOUNT, SIGNATURE, House
from tests.running import running
from tests.smtp_sink import running_sink

ALICE = "alice@example.test"
SCOPE = "https://www.googleapis.com/auth/gmail.send"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
UNAUTHORIZED = (
    "Client is unauthorized to retrieve access tokens using this method, "
    "or client not authorized for any of the scopes requested."
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A server that relays to a sink, so that not every address is an account of it."""
    folder = tmp_path_factory.mktemp("service_accounts")
    with running_sink() as sink, running(folder, "--relay", f"smtp://127.0.0.1:{sink.port}") as server:
        yield server, sink


@pytest.fixture(scope="module")
def server(stage):
    return stage[0]


@pytest.fixture(scope="module")
def sandbox_file(server):
    """The key file that `postroad dev` writes: for all scopes, and anyone."""
    return server.data / "service_account.json"


@pytest.fixture(scope="module")
def undelegated_file(server):
    """The key file of a service account that may act for nobody."""
    server.command("service-account", "add", "lonely", "--out", str(server.data / "lonely.json"))
    return server.data / "lonely.json"


def credentials(file, subject=None, *scopes):
    found = Credentials.from_service_account_file(file, scopes=scopes or [SCOPE])
    return found.with_subject(subject) if subject else found


def send(server, credentials, subject="Hello", **options):
    """Send with Google's client, built from the server's own discovery document."""
    document = server.request("GET", "/$discovery/rest?version=v1").json
    message = EmailMessage()
    message["To"], message["Subject"] = "bob@example.org", subject
    message.set_content("Hello\n")
    body = {"raw": base64.urlsafe_b64encode(message.as_bytes()).decode()}
    with build_from_document(document, credentials=credentials, **options) as gmail:
        return gmail.users().messages().send(userId="me", body=body).execute()


def test_a_service_account_sends_for_somebody(stage, sandbox_file):
    """With Google's key file and a subject, Google's client sends that account's mail."""
    server, sink = stage
    sent = send(server, credentials(sandbox_file, ALICE), "For Alice")
    assert sent == {"id": sent["id"], "threadId": sent["id"], "labelIds": ["SENT"]}
    received = [one for one in sink.wait_for(1) if b"Subject: For Alice\r\n" in one.content]
    assert [one.reverse_path for one in received] == [ALICE]


def test_the_token_is_known_as_its_own(server, sandbox_file):
    """Its token begins as those of Google's service accounts do, and lives 3599 seconds."""
    claims = {"sub": ALICE}
    answer = exchange(server, assertion(sandbox_file, claims))
    assert answer.code == 200
    assert answer.json.keys() == {"access_token", "expires_in", "token_type"}
    assert answer.json["access_token"].startswith("ya29.c.")
    assert answer.headers["Cache-Control"] == "no-cache, no-store, max-age=0, must-revalidate"


def refused(server, found, **options):
    """Code, text and reason of what Google's client raises."""
    with pytest.raises(HttpError) as caught:
        send(server, found, **options)
    error = json.loads(caught.value.content)["error"]
    return caught.value.status_code, error["message"], error["errors"][0]["reason"]


def test_without_a_subject_there_is_no_mailbox(server, sandbox_file):
    """A token of the service account's own is valid and reads and sends nobody's mail."""
    assert refused(server, credentials(sandbox_file)) == (400, "Precondition check failed.", "failedPrecondition")


@pytest.mark.parametrize("scopes", [[SCOPE], None], ids=["a scope", "an audience"])
def test_a_self_signed_token_has_no_mailbox(server, sandbox_file, scopes):
    """What Google's client signs itself, instead of asking for a token, is taken for what it is."""
    found = Credentials.from_service_account_file(sandbox_file, scopes=scopes)
    if scopes:
        found = found.with_always_use_jwt_access(True)
    assert refused(server, found, always_use_jwt_access=True) == (
        400,
        "Precondition check failed.",
        "failedPrecondition",
    )


def test_without_delegation_nobody_is_acted_for(server, undelegated_file):
    """Google's client raises Google's words; that it may act for nobody does not keep it from its own token."""
    with pytest.raises(RefreshError, match=f"unauthorized_client: {UNAUTHORIZED}"):
        send(server, credentials(undelegated_file, ALICE))
    assert refused(server, credentials(undelegated_file))[1] == "Precondition check failed."


def test_delegation_is_of_scopes_and_can_be_taken_back(server, undelegated_file):
    """What is delegated holds at once, and the tokens that came of it end with it within a second."""
    server.command("service-account", "delegate", "lonely", "--scope", "gmail.send")
    found = credentials(undelegated_file, ALICE)
    assert send(server, found)["labelIds"] == ["SENT"]
    token = exchange(server, assertion(undelegated_file, {"sub": ALICE})).json["access_token"]
    server.command("service-account", "delegate", "lonely")
    with pytest.raises(RefreshError, match="unauthorized_client"):
        send(server, credentials(undelegated_file, ALICE))
    deadline = time.monotonic() + 5
    while (code := server.send(b"To: bob@example.org\n\n", token).code) == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert code == 401


@pytest.mark.parametrize("subject", ["nobody@example.org", "alice"])
def test_an_unknown_subject_is_refused(server, sandbox_file, subject):
    """Who is no account here cannot be acted for."""
    with pytest.raises(RefreshError, match="invalid_grant: Invalid email or User ID"):
        send(server, credentials(sandbox_file, subject))


def signer(file) -> Signer:
    made = json.loads(file.read_text())
    return Signer.of(Key(PublicKey(made["private_key_id"], ""), made["private_key"]))


def assertion(file, claims):
    """An assertion as Google's client for Node writes it, now."""
    made, now = json.loads(file.read_text()), int(time.time())
    whole = {"iss": made["client_email"], "scope": SCOPE, "aud": GOOGLE, "iat": now, "exp": now + 3600}
    return compact({"alg": "RS256"}, whole | claims, signer(file).rs())


def exchange(server, text, connection=None):
    form = urlencode({"grant_type": GRANT_TYPE, "assertion": text}, errors="surrogatepass").encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return server.request("POST", "/token", form, headers, connection)


def whole_key(file) -> Key:
    made = json.loads(file.read_text())
    public = Signer.of(Key(PublicKey("", ""), made["private_key"])).key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return Key(PublicKey(made["private_key_id"], pem), made["private_key"])


def owner_of(file) -> ServiceAccount:
    made = json.loads(file.read_text())
    return ServiceAccount(int(made["client_id"]), made["client_email"], False, frozenset(), ())


@pytest.fixture(scope="module")
def house(server, sandbox_file, undelegated_file):
    """The running server's service accounts, to be attacked."""
    other = owner_of(undelegated_file)
    keys = (whole_key(sandbox_file), fresh_key())
    stranger = Signer(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    return House(owner_of(sandbox_file), keys, other, whole_key(undelegated_file), other, stranger, stranger)


# Those that are wrong at any time.
TIMELESS = {
    name: forgery for name, forgery in FORGERIES.items() if forgery[1] in (MALFORMED, SIGNATURE, NO_ACCOUNT)
}


def test_no_forgery_gets_a_token(server, house):
    """Over HTTP each is a 400 in Google's words, or no form at all, and no part of one is in the log."""
    connection = server.connect()
    for name, (make, (error, description)) in TIMELESS.items():
        text = make(house)
        fits = len(text) < 16_000 and text.isascii() and "\0" not in text
        answer = exchange(server, text, connection if fits else None)
        assert 400 <= answer.code < 500, name
        if fits:
            assert (answer.code, answer.json) == (400, {"error": error, "error_description": description}), name
    connection.close()
    assert len(TIMELESS) > 300
    assert not [line for line in server.log.splitlines() if "eyJ" in line or "Traceback" in line]


def test_no_forgery_is_a_token(server, house):
    """As bearer tokens they are invalid credentials."""
    connection = server.connect()
    for name, (make, _) in list(TIMELESS.items())[::10]:
        text = make(house)
        if text.isascii() and text.isprintable() and 0 < len(text.strip()) < 6000:
            answer = server.send(b"To: bob@example.org\n\n", text, connection)
            assert (answer.code, answer.json["error"]["status"]) == (401, "UNAUTHENTICATED"), name
    connection.close()
