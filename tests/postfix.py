"""A private Postfix on loopback ports; delivering into maildirs, the judge that Internet mail meets most."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import program

# The services of Debian's master.cf that mail passes through, no chroot; the doors stand above them.
_MASTER = """\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

_MAIN = """\
compatibility_level = 3.6
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
queue_directory = {folder}/queue
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
message_size_limit = 60000000
"""

# What a judge of delivered mail is told beside. Mail for bounced.example is taken, and then loops.
_DELIVERING = """\
virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:mail/
virtual_mailbox_base = {folder}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
smtpd_recipient_restrictions =
    check_recipient_access inline:{{{{refused@example.org=550 5.1.1 nobody}}}}, permit_mynetworks
smtpd_client_connection_rate_limit = 0
transport_maps = inline:{{{{bounced.example=smtp:[127.0.0.1]:{port}}}}}
hopcount_limit = 5
"""


@dataclass(frozen=True)
class Postfix:
    """A running Postfix."""

    port: int
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def delivered(self, messages: int, seconds: float = 30) -> list[bytes]:
        """The delivered messages, once there are so many."""
        new = self.folder / "mail" / "new"
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            files = sorted(new.glob("*")) if new.exists() else []
            if len(files) >= messages:
                return [file.read_bytes() for file in files]
            time.sleep(0.05)
        raise AssertionError(self.log)


@contextlib.contextmanager
def running_postfix() -> Iterator[Postfix]:
    """Start one that delivers, wait until it answers, stop it."""
    program("postfix")
    folder = Path(tempfile.mkdtemp(prefix="postroad-postfix-"))
    folder.chmod(0o755)
    port, nobody = free_port(), pwd.getpwnam("nobody").pw_uid
    try:
        (folder / "mail").mkdir()
        shutil.chown(folder / "mail", nobody)
        with started(folder, {port: ""}, _DELIVERING.format(folder=folder, uid=nobody, port=port)):
            yield Postfix(port, folder)
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def started(folder: Path, doors: Mapping[int, str], settings: str) -> Iterator[None]:
    """A Postfix with its queue in `folder`: a door for each port, with options, and `settings` for main.cf beside.

    It stands in a session of its own, out of reach of Ctrl-C on the terminal.
    """
    for name in ("etc", "queue", "data"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", pwd.getpwnam("postfix").pw_uid)
    listening = [f"127.0.0.1:{port} inet n - n - - smtpd {options}\n" for port, options in doors.items()]
    (folder / "etc" / "master.cf").write_text("".join([*listening, _MASTER]))
    (folder / "etc" / "main.cf").write_text(_MAIN.format(folder=folder) + settings)
    command = [found_program("postfix"), "-c", folder / "etc"]
    subprocess.run([*command, "start"], check=True, capture_output=True, start_new_session=True)
    try:
        for port in doors:
            await_greeting(port)
        yield
    finally:
        subprocess.run([*command, "stop"], check=True, capture_output=True, start_new_session=True)


def found_program(name: str) -> str | None:
    """The path of a program that may be for administrators; `None` when it is not installed."""
    return shutil.which(name, path=os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin")))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_greeting(port: int) -> None:
    """Wait until a mail server greets. Raises `TimeoutError` when none does."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
            if connection.recv(3) == b"220":
                return
        time.sleep(0.05)
    raise TimeoutError(f"nobody answers on port {port}")
