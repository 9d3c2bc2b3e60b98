"""The key that seals secrets, as the settings name it."""

from postroad.sealing import Sealing, key_of
from postroad.settings import Settings


def sealing_of(settings: Settings) -> Sealing:
    """What seals with that key. Raises `SecretKeyError`."""
    given, file = settings.secret_key, settings.secret_key_file
    return Sealing(key_of(settings.folder, text=given, file=file, shared=bool(settings.database)))
