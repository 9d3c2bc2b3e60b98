"""The command's side: ask the server, if one runs; else carry the order out ourselves."""

import json
import socket
import time
from pathlib import Path
from typing import Any

from postroad.control.folder import InUseError, socket_path
from postroad.orders.errors import OrderError
from postroad.settings import Settings

WAIT_SECONDS = 5.0


def ask(settings: Settings, name: str, arguments: dict[str, Any], now: int) -> Any:
    """Have an order carried out: on PostgreSQL by ourselves, else by the server if one runs.

    Raises `OrderError`, `InUseError`.
    """
    if settings.database:
        return _alone(settings, name, arguments, now)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return _ask_server(settings.folder, name, arguments)
        except (FileNotFoundError, ConnectionError):
            pass
        try:
            return _alone(settings, name, arguments, now)
        except InUseError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _ask_server(folder: Path, name: str, arguments: dict[str, Any]) -> Any:
    with socket_path(folder) as path, socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(json.dumps({"name": name, "arguments": arguments}).encode() + b"\n")
        with connection.makefile("rb") as lines:
            line = lines.readline()
    if not line:
        raise ConnectionResetError("the server went away")
    answer = json.loads(line)
    if "error" in answer:
        raise OrderError(answer["error"])
    return answer["result"]


def _alone(settings: Settings, name: str, arguments: dict[str, Any], now: int) -> Any:
    from postroad.control import alone  # noqa: PLC0415 - slow to load: the database, and all that orders touch

    return alone.carry_out(settings, name, arguments, now)
