"""Who holds the data folder."""

import os
import stat

import pytest

from postroad.control.folder import LOCK, InUseError, lock


def test_a_second_holder_is_refused_with_a_clear_line(tmp_path):
    """Who holds the folder is named, with what to do."""
    with lock(tmp_path):
        with pytest.raises(InUseError) as refused, lock(tmp_path):
            pass
        assert str(refused.value) == (
            f"{tmp_path} is in use by process {os.getpid()}; stop it first, or name another --data"
        )


def test_a_lock_is_free_again(tmp_path):
    """A folder may be held again after its holder left, whatever it wrote into the file."""
    for _ in range(2):
        with lock(tmp_path):
            assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"


def test_a_lock_makes_the_folder_for_its_owner_alone(tmp_path):
    """A data folder that is not there is made, closed to others."""
    folder = tmp_path / "a" / "b"
    with lock(folder):
        assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0
