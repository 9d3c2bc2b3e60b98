"""Nothing secret is in what a server writes: not in its log, not in its database, not in its answers to others."""

import base64
import contextlib
import json
import time
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.jws_kit import Signer, compact
from tests.running import SEND, Answer, Server, running

FORM = "application/x-www-form-urlencoded"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GMAIL_SEND = "https://www.googleapis.com/auth/gmail.send"


class Canaries:
    """Asks a server with secrets, right ones and wrong ones, and keeps them all, and what was answered."""

    def __init__(self, server: Server) -> None:
        self.server, self.secrets, self.answers = server, set(), []
        self.wrongs = 0
        self.connection = server.connect()

    def keep(self, secret: str) -> str:
        self.secrets.add(secret)
        return secret

    def wrong(self, prefix: str = "") -> str:
        """A secret that nobody has, in the form of one."""
        self.wrongs += 1
        return self.keep(f"{prefix}canary{self.wrongs:04}{'x' * 32}")

    def ask(self, verb: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        self.answers.append(self.server.request(verb, target, body, named, self.connection))
        return self.answers[-1]

    def form(self, target: str, **fields: str) -> Answer:
        return self.ask("POST", target, urlencode(fields).encode(), content_type=FORM)

    def granted(self, **fields: str) -> str:
        """The access token that the endpoint gives for this; its answer alone may tell it."""
        answer = self.form("/token", **fields)
        assert answer.code == 200, answer.body
        self.answers.pop()
        return self.keep(answer.json["access_token"])


def use_right_secrets(canaries: Canaries) -> None:
    """What the sandbox's files hold, and what it is exchanged for: asked, used in every place, revoked."""
    folder = canaries.server.data
    user, robot = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("authorized_user", "service_account")
    )
    client = {"client_id": user["client_id"], "client_secret": canaries.keep(user["client_secret"])}
    refresh = {
        "grant_type": "refresh_token",
        "refresh_token": canaries.keep(user["refresh_token"]),
        "scope": GMAIL_SEND,
    }
    canaries.keep(robot["private_key"].splitlines()[3])
    now = int(time.time())
    claims = {"iss": robot["client_email"], "aud": robot["token_uri"], "iat": now, "exp": now + 3600}
    claims |= {"scope": GMAIL_SEND, "sub": "alice@example.test"}
    key = load_pem_private_key(robot["private_key"].encode(), None)
    assertion = canaries.keep(compact({"alg": "RS256"}, claims, Signer(key).rs()))
    tokens = [
        canaries.keep(canaries.server.token("alice@example.test", "gmail.readonly", "email")),
        canaries.granted(**refresh, **client),
        canaries.granted(grant_type=JWT_BEARER, assertion=assertion),
    ]
    for token in tokens:
        use(canaries, token)
    canaries.form("/token", **(refresh | {"scope": "nonsense"}), **client)
    for token in (*tokens, user["refresh_token"]):
        canaries.form("/revoke", token=token)
        canaries.form("/revoke", token=token)
        use(canaries, token)


def use_wrong_secrets(canaries: Canaries) -> None:
    """Secrets that are none, and right ones in wrong places, wherever one is asked for."""
    use(canaries, canaries.wrong("ya29."))
    use(canaries, canaries.wrong())
    header = base64.urlsafe_b64encode(b'{"alg":"RS256"}').decode().rstrip("=")
    use(canaries, f"{header}.{canaries.wrong('e')}.{canaries.wrong()}")
    known = json.loads((canaries.server.data / "client_secret.json").read_text())["installed"]["client_id"]
    for client_id in (known, "x"):
        basic = base64.b64encode(f"{client_id}:{canaries.wrong('GOCSPX-')}".encode()).decode()
        for grant in (
            {"grant_type": "authorization_code", "code": canaries.wrong("4/0"), "code_verifier": canaries.wrong()},
            {"grant_type": "refresh_token", "refresh_token": canaries.wrong("1//0")},
            {"grant_type": JWT_BEARER, "assertion": canaries.wrong("eyJ")},
            {"grant_type": JWT_BEARER, "assertion": f"{header}.{canaries.wrong('e')}.{canaries.wrong()}"},
        ):
            body = urlencode(grant).encode()
            canaries.form("/token", client_id=client_id, client_secret=canaries.wrong("GOCSPX-"), **grant)
            canaries.ask("POST", "/token", body, content_type=FORM, authorization=f"Basic {canaries.keep(basic)}")
            canaries.ask("POST", "/token", body, content_type="text/plain")
            canaries.ask("POST", "/token", body + b"&" + body, content_type=FORM)
            canaries.ask("POST", "/token", body + b"&x=%ff", content_type=FORM)
            canaries.ask("GET", "/token?" + body.decode())


def use(canaries: Canaries, token: str) -> None:
    """A token in every place where one may stand, and in some where none may."""
    canaries.ask("POST", SEND, b"{}", authorization=f"Bearer {token}", content_type="application/json")
    canaries.ask("GET", "/gmail/v1/users/me/messages", authorization=f"Bearer {token}")
    canaries.ask("GET", "/gmail/v1/users/bob@example.test/messages", authorization=f"Bearer {token}")
    canaries.ask("GET", "/gmail/v1/users/me/messages", authorization=f"Basic {token}")
    canaries.ask("GET", f"/gmail/v1/users/me/messages?access_token={token}")
    canaries.ask("GET", f"/gmail/v1/users/me/messages?oauth_token={token}&key={token}")
    canaries.ask("GET", f"/tokeninfo?access_token={token}")
    canaries.ask("GET", f"/oauth2/v1/tokeninfo?access_token={token}&access_token={token}")
    canaries.form("/tokeninfo", access_token=token)
    canaries.ask("POST", "/oauth2/v3/tokeninfo", b"", authorization=f"Bearer {token}")
    canaries.ask("DELETE", f"/revoke?token={token}")
    canaries.ask("POST", "/upload/gmail/v1/users/me/messages/send", b"x", authorization=f"Bearer {token}")


@pytest.mark.parametrize(
    "flags", [(), ("--token-in-query", "true")], ids=["tokens in headers", "tokens in addresses"]
)
def test_nothing_secret_is_written_down(tmp_path, flags):
    """Right and wrong tokens, codes, secrets and assertions: in no log line, no database file, no answer."""
    with running(tmp_path / "data", *flags) as server:
        canaries = Canaries(server)
        with contextlib.closing(canaries.connection):
            use_wrong_secrets(canaries)
            use_right_secrets(canaries)
        metrics = server.request("GET", "/metrics").body
        assert server.stop() == 0
    written = {"the log": server.log.encode(), "the metrics": metrics}
    written |= {file.name: file.read_bytes() for file in server.data.glob("postroad.sqlite3*")}
    heads = (f"{answer.headers}".encode() + answer.body for answer in canaries.answers)
    written |= {f"answer {number}": octets for number, octets in enumerate(heads)}
    assert len(canaries.secrets) > 30
    assert {answer.code for answer in canaries.answers} >= {200, 400, 401, 403, 405}
    for secret in canaries.secrets:
        for where, octets in written.items():
            assert secret.encode() not in octets, f"{secret} is in {where}"
    assert max(answer.code for answer in canaries.answers) < 500
    assert written["the log"].count(b'"denied"') > 20
