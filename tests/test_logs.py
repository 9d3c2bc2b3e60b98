"""How log lines are written: as structlog's own chain writes them, by a shorter way."""

import json
import logging
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.processors import JSONRenderer, TimeStamper, add_log_level, format_exc_info
from structlog.testing import capture_logs

from postroad import logs

# With halves of surrogate pairs, which a file name may hold.
ANY_TEXT = st.text(st.characters(exclude_categories=()))
LAST_SECOND = 253_402_300_799  # of the year 9999
ASCII = st.text(st.characters(max_codepoint=127))
ALIKE = st.one_of(ASCII, ANY_TEXT, st.integers(), st.none())


class Tells:
    """Says itself how it is logged."""

    def __structlog__(self):
        return {"told": 1}


OTHERS = st.one_of(
    st.booleans(),
    st.floats(),
    st.binary(),
    st.datetimes(),
    st.uuids(),
    st.lists(ALIKE),
    st.dictionaries(ASCII, ALIKE),
    st.sampled_from([Tells(), ValueError("bad"), re.MULTILINE, logging, {1}, (1, "a")]),
)


@pytest.fixture
def written(capsys):
    """Tells what was written on stderr since; structlog is as before afterwards."""
    yield lambda: capsys.readouterr().err
    structlog.reset_defaults()


def of_structlog():
    """The chain that lines are compared with."""
    structlog.configure(
        processors=[add_log_level, TimeStamper(fmt="iso", utc=True), format_exc_info, JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


@given(st.dictionaries(ANY_TEXT, st.one_of(ALIKE, ASCII, ASCII)))
def test_words_and_numbers_are_what_json_dumps_writes(fields):
    """Any text and any integer, to the last escape."""
    assert logs._json(fields) == json.dumps(fields)


@given(st.dictionaries(ASCII, st.one_of(ALIKE, OTHERS)))
def test_anything_else_is_what_structlog_writes(fields):
    """What JSON has no word for is told by itself or by its repr."""
    assert logs._json(fields) == JSONRenderer()(None, "", fields)


@pytest.mark.parametrize("character", range(128))
def test_every_character_of_ascii_is_what_json_dumps_writes(character):
    """Controls, quotation marks and DEL, alone and between others."""
    fields = {"alone": chr(character), "between": f"a{chr(character)}, : b"}
    assert logs._json(fields) == json.dumps(fields)


@given(st.integers(0, LAST_SECOND), st.one_of(st.just(0), st.integers(0, 999_999)))
def test_a_timestamp_is_iso_8601(seconds, fraction):
    """As `isoformat` writes it: without a fraction where there is none."""
    moment = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=fraction)
    expected = moment.isoformat().replace("+00:00", "Z")
    assert logs._timestamp(seconds * 1_000_000 + fraction) == expected


def tell(logger):
    """Events of each level, with what is not plain in a line."""
    logger.info("plain", queue_id="00ff", account="a@a.test", size=700, tls=None)
    logger.warning("escapes", text='"\\\n\x7f\x00\u20ac\U0001f600/', half="\udc80", more=1.5, yes=True)
    logger.error("level", level="mine", timestamp="mine", after=1)
    logger.critical("nothing else")
    try:
        int("b\u00e4d")
    except ValueError as error:
        for fields in ({"exc_info": error}, {"exc_info": True}, {"exc_info": None}):
            logger.critical("broke", **fields, after=1)


TIMESTAMP = re.compile(r'"timestamp": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z"')


def test_a_line_is_what_the_chain_of_structlog_writes(written):
    """Each level, with the same fields in the same order; exceptions, too; only the time is another."""
    found = []
    for configure in (logs.to_stderr, of_structlog):
        configure()
        tell(structlog.get_logger("test"))
        found.append(TIMESTAMP.subn("", written()))
    assert found[0] == found[1]
    assert found[0][1] == 7, "each line has a timestamp"


def test_the_time_of_a_line_is_now(written):
    """Between before and after."""
    logs.to_stderr()
    before = datetime.now(UTC)
    structlog.get_logger("test").info("event")
    assert before <= datetime.fromisoformat(json.loads(written())["timestamp"]) <= datetime.now(UTC)


def test_what_is_bound_is_told_before_the_rest(written):
    """A logger with a context is still structlog's."""
    logs.to_stderr()
    structlog.get_logger("test").bind(node=1).info("event", size=2)
    assert written().startswith('{"node": 1, "size": 2, "event": "event", "level": "info", ')


def test_lines_can_be_captured(written):
    """A processor that drops an event, as those of structlog's tests do, is obeyed."""
    logs.to_stderr()
    with capture_logs() as captured:
        structlog.get_logger("test").info("event", size=2)
    assert captured == [{"event": "event", "log_level": "info", "size": 2}]
    assert written() == ""


def test_a_person_reads_colours(written, monkeypatch):
    """At a terminal a line is no JSON."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    logs.to_stderr()
    structlog.get_logger("test").info("event", size=2)
    line = written()
    assert "\x1b[" in line
    assert "event" in line
    assert not line.startswith("{")
