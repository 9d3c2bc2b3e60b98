"""How log lines are written: one JSON object a line on stderr, or plain text where a person reads along.

Every message costs several lines, so JSON takes a shorter way than structlog's own; what is written is the same.
"""

import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
import structlog
from structlog.processors import JSONRenderer, TimeStamper, add_log_level, format_exc_info
from structlog.typing import EventDict, Processor, WrappedLogger


def to_stderr() -> None:
    """Send every event to stderr."""
    person = sys.stderr.isatty()
    structlog.configure(
        processors=_readable() if person else [_line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO) if person else _Logger,
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _readable() -> list[Processor]:
    return [add_log_level, TimeStamper("iso"), format_exc_info, structlog.dev.ConsoleRenderer(colors=True)]


def _method(level: str) -> Callable[..., None]:
    def tell(self: "_Logger", event: str, **fields: Any) -> None:
        told: Any = {**self._context, **fields, "event": event}
        try:
            for processor in self._processors:
                told = processor(self._logger, level, told)
        except structlog.DropEvent:
            return
        self._logger.msg(told)

    return tell


class _Logger(structlog.BoundLoggerBase):
    """Has the levels that the mail log uses, without the layers between a level and its processors."""

    info, warning, error, critical = map(_method, ("info", "warning", "error", "critical"))


def _line(logger: WrappedLogger, level: str, fields: EventDict) -> str | bytes:
    """A whole line, as `add_log_level`, `TimeStamper`, `format_exc_info` and `JSONRenderer` make it."""
    fields["level"] = level
    fields["timestamp"] = _timestamp(time.time_ns() // 1000)
    return _json(format_exc_info(logger, level, fields) if "exc_info" in fields else fields)


def _timestamp(microseconds: int) -> str:
    """ISO 8601 in UTC, from microseconds since 1970; those of a whole second have no fraction."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{fraction:06}Z" if fraction else f"{_second(seconds)}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


_encode = msgspec.json.Encoder().encode
_as_json_dumps = JSONRenderer()
# What msgspec and the json module write alike.
_ALIKE = frozenset({str, int, type(None)})


def _json(fields: EventDict) -> str | bytes:
    """What `json.dumps` writes; by msgspec, where nothing needs an escape that msgspec would not make."""
    if _ALIKE.issuperset(map(type, fields.values())):
        try:
            found = msgspec.json.format(_encode(fields), indent=0)
        except UnicodeEncodeError:  # half of a surrogate pair
            pass
        else:
            if found.isascii() and b"\x7f" not in found:
                return found.decode()
    return _as_json_dumps(None, "", fields)
