"""The sandbox, and two messages through it, sent and read with Google's own Python client.

One is sent with a service account's key, the other with a refresh token: the files that `postroad dev` writes.

Usage: demo.py [--once]
"""

import base64
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

from google.oauth2 import service_account
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build

POSTROAD = str(Path(sys.executable).with_name("postroad"))
AUTHOR = "alice@example.test"
RECIPIENTS = ("bob@example.test", "carol@example.test", "dave@example.org")
SEND = "https://www.googleapis.com/auth/gmail.send"
SECONDS = 30


def main(once: bool) -> None:
    """Run the demo."""
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="postroad-demo-"))
        server, address = stack.enter_context(sandbox(data, port=0 if once else 8587))
        for way, credentials in {"a service account": by_key(data), "a refresh token": by_refresh(data)}.items():
            print(f"Sent with google-api-python-client and {way}; the answer: {send(address, credentials, way)}")
        for recipient in RECIPIENTS:
            mailbox = client(address, Credentials(token(data, recipient, "gmail.readonly"))).users().messages()
            show(recipient, *within(SECONDS, partial(both, mailbox)))
        print(f"All {len(RECIPIENTS)} recipients have both, and nobody sees who was blind-copied.")
        if not once:
            print(how_to_go_on(address, token(data, AUTHOR, "gmail.send", "gmail.readonly", life="1d")))
            server.wait()


@contextlib.contextmanager
def sandbox(data: str, port: int) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A running `postroad dev`, and its address."""
    command = [POSTROAD, "dev", "--data", data, "--listen", f"127.0.0.1:{port}"]
    log = Path(data, "log")
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as server,
    ):
        try:
            line = server.stdout.readline() if server.stdout else ""
            if not line:
                raise SystemExit(f"The sandbox did not start: {log.read_text().strip()}")
            print(line, flush=True)
            yield server, line.split(" on ", 1)[1].split(";", 1)[0]
        finally:
            server.send_signal(signal.SIGTERM)


def token(data: str, address: str, *scopes: str, life: str = "1h") -> str:
    """A bearer token, as `postroad token` prints it."""
    asked = [word for scope in scopes for word in ("--scope", scope)]
    command = [POSTROAD, "token", address, *asked, "--expires", life, "--data", data]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def by_key(data: str) -> Any:
    """Credentials of the service account, acting for the author."""
    file = Path(data, "service_account.json")
    return service_account.Credentials.from_service_account_file(file, scopes=[SEND], subject=AUTHOR)


def by_refresh(data: str) -> Any:
    """Credentials of the author, by a refresh token. Google's library passes over the token_uri of this file."""
    file = Path(data, "authorized_user.json")
    token_uri = json.loads(file.read_text())["token_uri"]
    return Credentials.from_authorized_user_file(file, scopes=[SEND]).with_token_uri(token_uri)


def client(address: str, credentials: Any) -> Any:
    """Google's client, unmodified: it learns from the discovery document where to go."""
    document = f"{address}/$discovery/rest?version=v1"
    return build("gmail", "v1", credentials=credentials, discoveryServiceUrl=document, cache_discovery=False)


def message(way: str) -> EmailMessage:
    """A message with an attachment and a blind-copied recipient."""
    made = EmailMessage()
    made["To"] = "Bob <bob@example.test>"
    made["Cc"] = "carol@example.test"
    made["Bcc"] = "dave@example.org"
    made["Subject"] = f"A letter on this road, by {way}"
    made.set_content("Hello,\n\nthis was sent with Google's own client, and Google never saw it.\n")
    made.add_attachment(b"name,amount\nink,3\n", maintype="text", subtype="csv", filename="order.csv")
    return made


def send(address: str, credentials: Any, way: str) -> Any:
    """Send the message; what the API answers."""
    raw = base64.urlsafe_b64encode(message(way).as_bytes()).decode()
    return client(address, credentials).users().messages().send(userId="me", body={"raw": raw}).execute()


def both(mailbox: Any) -> list[bytes] | None:
    """The two messages of a mailbox, the newer one first; `None` while they are not there."""
    found = mailbox.list(userId="me", labelIds="INBOX").execute().get("messages", [])
    if len(found) < 2:
        return None
    got = [mailbox.get(userId="me", id=one["id"], format="raw").execute() for one in found]
    return [base64.urlsafe_b64decode(one["raw"]) for one in got]


def within(seconds: float, question: Callable[[], list[bytes] | None]) -> list[bytes]:
    """Ask until there is an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = question()
        if answer is not None:
            return answer
        time.sleep(0.1)
    raise SystemExit(f"The messages did not arrive within {seconds} seconds.")


def show(recipient: str, newer: bytes, older: bytes) -> None:
    """Print the newer message as its recipient got it, once both are known to hide who was blind-copied."""
    if any(b"dave" in headers_of(octets).replace(b"Return-Path", b"") for octets in (newer, older)):
        raise SystemExit(f"{recipient} can see who was blind-copied!")
    print(f"\n----- what {recipient} got " + "-" * (50 - len(recipient)))
    print(newer.decode(errors="replace").replace("\r\n", "\n"))


def headers_of(octets: bytes) -> bytes:
    """The header section of a message."""
    return octets.partition(b"\r\n\r\n")[0]


def how_to_go_on(address: str, bearer: str) -> str:
    """The same with curl."""
    return f"""
The sandbox serves on. Other libraries: docs/connect.md. From another terminal (the token is good for a day):

  curl -X POST '{address}/upload/gmail/v1/users/me/messages/send?uploadType=media' \\
    -H 'Authorization: Bearer {bearer}' \\
    -H 'Content-Type: message/rfc822' \\
    --data-binary $'To: you@example.org\\nSubject: Hello\\n\\nFrom curl.\\n'

Ctrl-C stops it; its mail goes with it."""


if __name__ == "__main__":
    try:
        main(once=sys.argv[1:] == ["--once"])
    except KeyboardInterrupt:
        sys.exit(130)
