"""The key that seals secrets: made once, told what is wrong with it before anything is served."""

import base64
import subprocess

from tests.running import POSTROAD, running

OTHER = base64.b64encode(bytes(32)).decode()


def refused(*words: str, **variables: str) -> str:
    """What a server says that does not start."""
    command = [POSTROAD, "dev", "--listen", "127.0.0.1:0", *words]
    environment = {f"POSTROAD_{name.upper()}": text for name, text in variables.items()}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_server_keeps_its_key_and_takes_no_other(tmp_path):
    """What one start has sealed the next opens; with another key it says so, in one line, and does not start."""
    folder = tmp_path / "data"
    keys = []
    for _ in range(2):
        with running(folder) as server:
            keys.append(server.request("GET", "/oauth2/v3/certs").json)
    assert keys[0] == keys[1]
    assert (folder / "secret.key").stat().st_mode & 0o777 == 0o600
    told = refused("--data", str(folder), secret_key=OTHER)
    assert "does not open with this key" in told
    assert OTHER not in told
    (folder / "secret.key").unlink()
    assert "does not open with this key" in refused("--data", str(folder))


def test_nodes_are_given_their_key(tmp_path, postgres):
    """On PostgreSQL a server without a key says what to do, and makes none of its own."""
    with postgres.new_database() as url:
        told = refused("--data", str(tmp_path / "data"), "--database", url)
    assert "every node needs the same key" in told
    assert not (tmp_path / "data").exists()
