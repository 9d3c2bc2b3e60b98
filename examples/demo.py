"""The sandbox, and one message through it, sent and read with Google's own Python client.

Usage: demo.py [--once]
"""

import base64
import contextlib
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

from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build

POSTROAD = str(Path(sys.executable).with_name("postroad"))
AUTHOR = "alice@example.test"
RECIPIENTS = ("bob@example.test", "carol@example.test", "dave@example.org")
SECONDS = 30


def main(once: bool) -> None:
    """Run the demo."""
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="postroad-demo-"))
        server, address = stack.enter_context(sandbox(data, port=0 if once else 8587))
        print(
            f"Sent with google-api-python-client; the answer: {send(address, token(data, AUTHOR, 'gmail.send'))}\n"
        )
        for recipient in RECIPIENTS:
            mailbox = client(address, token(data, recipient, "gmail.readonly")).users().messages()
            show(recipient, within(SECONDS, partial(newest, mailbox)))
        print(f"All {len(RECIPIENTS)} recipients have it, and nobody sees who was blind-copied.")
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
            print(line)
            yield server, line.split(" on ", 1)[1].split(";", 1)[0]
        finally:
            server.send_signal(signal.SIGTERM)


def token(data: str, address: str, *scopes: str, life: str = "1h") -> str:
    """A bearer token, as `postroad token` prints it."""
    asked = [word for scope in scopes for word in ("--scope", scope)]
    command = [POSTROAD, "token", address, *asked, "--expires", life, "--data", data]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def client(address: str, bearer: str) -> Any:
    """Google's client, unmodified, pointed at the sandbox."""
    return build(
        "gmail",
        "v1",
        credentials=Credentials(token=bearer),
        client_options={"api_endpoint": address},
        cache_discovery=False,
    )


def message() -> EmailMessage:
    """A message with an attachment and a blind-copied recipient."""
    made = EmailMessage()
    made["To"] = "Bob <bob@example.test>"
    made["Cc"] = "carol@example.test"
    made["Bcc"] = "dave@example.org"
    made["Subject"] = "The first letter on this road"
    made.set_content("Hello,\n\nthis was sent with Google's own client, and Google never saw it.\n")
    made.add_attachment(b"name,amount\nink,3\n", maintype="text", subtype="csv", filename="order.csv")
    return made


def send(address: str, bearer: str) -> Any:
    """Send the message; what the API answers."""
    raw = base64.urlsafe_b64encode(message().as_bytes()).decode()
    return client(address, bearer).users().messages().send(userId="me", body={"raw": raw}).execute()


def newest(mailbox: Any) -> bytes | None:
    """The newest message of a mailbox; `None` while there is none."""
    found = mailbox.list(userId="me", labelIds="INBOX").execute().get("messages", [])
    if not found:
        return None
    return base64.urlsafe_b64decode(mailbox.get(userId="me", id=found[0]["id"], format="raw").execute()["raw"])


def within(seconds: float, question: Callable[[], bytes | None]) -> bytes:
    """Ask until there is an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = question()
        if answer is not None:
            return answer
        time.sleep(0.1)
    raise SystemExit(f"The message did not arrive within {seconds} seconds.")


def show(recipient: str, octets: bytes) -> None:
    """Print a message as its recipient got it."""
    if b"dave" in octets.partition(b"\r\n\r\n")[0].replace(b"Return-Path", b""):
        raise SystemExit(f"{recipient} can see who was blind-copied!")
    print(f"----- what {recipient} got " + "-" * (50 - len(recipient)))
    print(octets.decode(errors="replace").replace("\r\n", "\n"))


def how_to_go_on(address: str, bearer: str) -> str:
    """The same with curl."""
    return f"""
The sandbox serves on. Send from another terminal (the token is good for a day):

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
