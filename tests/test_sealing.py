"""Sealing of secrets: only the same key opens them, only for their purpose; where the key comes from."""

import base64
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.sealing import FILE, Sealing, SecretKeyError, WrongKeyError, key_of

SEALING = Sealing(bytes(32))
KEY = base64.b64encode(bytes(range(32))).decode()


@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_was_sealed_opens_again(octets, purpose):
    """Any octets, for any purpose."""
    assert SEALING.open(SEALING.seal(octets, purpose), purpose) == octets


def test_twice_the_same_is_sealed_differently():
    """The nonce is random: equal secrets are not seen to be equal."""
    assert SEALING.seal(b"secret", "a") != SEALING.seal(b"secret", "a")
    assert b"secret" not in SEALING.seal(b"secret", "a")


def test_it_opens_for_its_purpose_alone():
    """A sealed signing key put into another column is refused there."""
    with pytest.raises(WrongKeyError, match=r"\(b\)"):
        SEALING.open(SEALING.seal(b"secret", "a"), "b")


def test_another_key_is_told_how_to_mend():
    """The error names the three places a key may be given in."""
    with pytest.raises(WrongKeyError, match=r"--secret-key-file, POSTROAD_SECRET_KEY or secret\.key in the data"):
        Sealing(bytes([1] * 32)).open(SEALING.seal(b"secret", "a"), "a")


@given(st.data())
def test_nothing_changed_opens(data):
    """A flipped bit anywhere, a cut or an addition is refused, and so is what was never sealed."""
    sealed = SEALING.seal(b"secret", "a")
    place = data.draw(st.integers(0, len(sealed) * 8 - 1))
    flipped = bytearray(sealed)
    flipped[place // 8] ^= 1 << place % 8
    for octets in (bytes(flipped), sealed[: place // 8], sealed + b"\0", data.draw(st.binary(max_size=60))):
        with pytest.raises(WrongKeyError):
            SEALING.open(octets, "a")


def test_a_proof_knows_its_key():
    """It opens with the key that made it and with no other."""
    SEALING.refuse_other(SEALING.proof())
    with pytest.raises(WrongKeyError):
        Sealing(bytes([1] * 32)).refuse_other(SEALING.proof())


def test_the_folder_keeps_the_key_it_made(tmp_path):
    """Made once, mode 0600, nothing else left in the folder; the next start finds the same."""
    folder = tmp_path / "new" / "data"
    key = key_of(folder)
    assert len(key) == 32
    assert key_of(folder) == key
    assert [file.name for file in folder.iterdir()] == [FILE]
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600


def test_keys_made_at_once_are_one(tmp_path):
    """Sixteen threads that find no key all go on with the same."""
    barrier, keys = threading.Barrier(16), []

    def make():
        barrier.wait()
        keys.append(key_of(tmp_path))

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 16
    assert len(set(keys)) == 1


def test_a_key_that_is_given_counts_first(tmp_path):
    """The text before the file, the file before the folder, where then none is made."""
    file = tmp_path / "file"
    file.write_text(base64.b64encode(bytes([2] * 32)).decode() + "\n")
    folder = tmp_path / "data"
    assert key_of(folder, text=KEY, file=str(file), shared=True) == bytes(range(32))
    assert key_of(folder, file=str(file), shared=True) == bytes([2] * 32)
    assert not folder.exists()


@pytest.mark.parametrize(
    "text", ["short", KEY[:-4], KEY + KEY, "ü" * 44, "!" + KEY[1:], KEY.replace("A", "-"), "a" * 5000]
)
def test_what_is_no_key_is_said_to_be_none(tmp_path, text):
    """In the environment and in a file; the text names the place and the cure, never the key."""
    (tmp_path / "file").write_text(text)
    for place in ({"text": text}, {"file": str(tmp_path / "file")}):
        with pytest.raises(
            SecretKeyError, match="32 octets in base64; `openssl rand -base64 32` makes one"
        ) as caught:
            key_of(tmp_path, **place)
        assert text not in str(caught.value).replace(str(tmp_path), "")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """There is none, or it is a folder."""
    for file in (tmp_path / "none", tmp_path):
        with pytest.raises(SecretKeyError, match=str(file)):
            key_of(tmp_path, file=str(file))


def test_nodes_that_share_a_database_are_given_a_key(tmp_path):
    """None is made in the folder of one of them: it would be wrong for the others."""
    with pytest.raises(SecretKeyError, match="every node needs the same key"):
        key_of(tmp_path, shared=True)
    assert list(tmp_path.iterdir()) == []
