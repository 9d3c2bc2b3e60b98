"""Files that hold credentials: mode 0600, whole or not there."""

import os
import stat

import pytest

from postroad import private_files


@pytest.fixture(autouse=True)
def _a_lax_umask():
    """Nobody's umask is relied on."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_file_is_its_owners_alone(tmp_path):
    """A new file has mode 0600, and one that was there for others gets it."""
    for name in ("new", "old"):
        file = tmp_path / name
        if name == "old":
            file.touch(0o666)
        private_files.write(file, {"a": "ü"})
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text() == '{\n  "a": "\\u00fc"\n}\n'


def test_a_reserved_place_is_empty_and_taken(tmp_path):
    """A place is reserved once, and not where something is."""
    private_files.reserve(tmp_path / "file")
    assert (tmp_path / "file").stat().st_size == 0
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        private_files.reserve(tmp_path / "file")


def test_what_fails_leaves_what_was_there(tmp_path):
    """A value that is no JSON leaves the file as it was, and nothing beside it."""
    private_files.write(tmp_path / "file", {"a": 1})
    with pytest.raises(TypeError):
        private_files.write(tmp_path / "file", {"a": object()})
    assert (tmp_path / "file").read_text() == '{\n  "a": 1\n}\n'
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
