"""Where mail goes next."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NextHop:
    """A mail server to hand messages to."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"
