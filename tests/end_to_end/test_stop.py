"""How a server stops."""

import signal
import subprocess
import time

from tests.running import running

SECONDS = 30


def test_further_signals_do_not_make_a_stop_rough(tmp_path):
    """Whenever a second, a third, a hundredth SIGTERM or SIGINT comes, the stop goes on and the exit code is 0."""
    with running(tmp_path / "data") as server:
        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            for number in (signal.SIGTERM, signal.SIGINT):
                server.process.send_signal(number)  # nothing, once it has ended
            try:
                code = server.process.wait(0.001)
                break
            except subprocess.TimeoutExpired:
                continue
        assert code == 0
        assert "close the database" in server.log
