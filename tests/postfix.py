"""A private Postfix on a loopback port, delivering into maildirs: the judge that Internet mail meets most."""

import contextlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import program

_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
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
virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:mail/
virtual_mailbox_base = {folder}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_minimum_uid = 1
message_size_limit = 60000000
virtual_mailbox_limit = 0
smtpd_recipient_restrictions =
    check_recipient_access inline:{{{{refused@example.org=550 5.1.1 nobody}}}}, permit_mynetworks
smtpd_client_connection_rate_limit = 0
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
    """Start it, wait until it answers, stop it."""
    postfix = program("postfix")
    folder = Path(tempfile.mkdtemp(prefix="postroad-postfix-"))
    folder.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        _configure(folder, port)
        subprocess.run([postfix, "-c", folder / "etc", "start"], check=True, capture_output=True)
        try:
            _wait_for(port)
            yield Postfix(port, folder)
        finally:
            subprocess.run([postfix, "-c", folder / "etc", "stop"], check=True, capture_output=True)
    finally:
        shutil.rmtree(folder)


def _configure(folder: Path, port: int) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    owner = pwd.getpwnam("postfix").pw_uid
    for name in ("etc", "queue", "data", "mail"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", owner)
    shutil.chown(folder / "mail", nobody)
    (folder / "etc" / "master.cf").write_text(_MASTER.format(port=port))
    (folder / "etc" / "main.cf").write_text(_MAIN.format(folder=folder, uid=nobody))


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
            if connection.recv(3) == b"220":
                return
        time.sleep(0.05)
    raise AssertionError("Postfix does not answer")
