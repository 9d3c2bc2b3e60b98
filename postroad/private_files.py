"""Files that hold credentials: mode 0600, and whole or not there."""

import json
import os
import secrets
from pathlib import Path
from typing import Any


def reserve(file: Path) -> None:
    """Make an empty file, before what is to be in it exists. Raises OSError: it is there already, or cannot be."""
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def write(file: Path, value: dict[str, Any]) -> None:
    """Put a JSON object into a file, whatever was there."""
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    reserve(draft)
    try:
        draft.write_text(text(value))
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def text(value: dict[str, Any]) -> str:
    """A JSON object as it stands in such a file."""
    return json.dumps(value, indent=2) + "\n"
