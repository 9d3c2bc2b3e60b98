"""Every fact of gmail-wire.md that shows on the wire: a row asks in octets and is answered in octets."""

import contextlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest

from tests.conformance.answers import assert_sound, assert_wanted
from tests.conformance.lines import SERVERS, Line, furnish, line_to

HERE = Path(__file__).parent
TABLES = {
    file.stem: import_module(f"tests.conformance.{file.stem}").ROWS
    for file in sorted(HERE.glob("*.py"))
    if file.stem.startswith(("wire_", "rfc_"))
}
ROWS = [row for rows in TABLES.values() for row in rows]
DOCUMENTS = [HERE.parents[1] / "docs" / name for name in ("specifications.md", "quirks.md")]


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """A line to each of the servers."""
    with contextlib.ExitStack() as stack:
        found = {
            name: stack.enter_context(line_to(name, tmp_path_factory.mktemp(name.partition(" ")[0])))
            for name in SERVERS
        }
        furnish(found["sandbox"])
        yield found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_fact_holds(lines, row):
    """The answers to the row's requests are the expected ones, octet by octet."""
    line = lines[row.server]
    known = dict(line.known)
    for ask, want in row.dialogue:
        answer = line.ask(ask, known)
        try:
            assert_sound(answer)
            known = assert_wanted(answer, want, known)
        except AssertionError as failed:
            line.close()
            asked = ask.octets(known)[:3000].decode("latin-1")
            raise AssertionError(f"{row.name}\n{failed}\nASKED\n{asked}\nANSWERED {answer}") from None


def test_what_is_refused_leaves_nothing(lines):
    """All refused rows once more, four at once: Alice's mailbox and the queue hold what they held before."""
    line = lines["sandbox"]
    refused = [row.dialogue[0][0] for row in ROWS if row.server == "sandbox" and row.refused]
    before = held(line)
    with ThreadPoolExecutor(4) as pool:
        codes = [code for some in pool.map(lambda at: answered(line, refused[at::4]), range(4)) for code in some]
    assert len(codes) > 100
    assert max(codes) < 500
    assert held(line) == before


def answered(line: Line, asks) -> list[int]:
    """The codes that requests are answered with over a connection of their own."""
    with contextlib.closing(Line(line.server, line.known)) as own:
        return [own.ask(ask).code for ask in asks]


def held(line: Line) -> tuple[int, int]:
    """How many messages Alice has, and how many entries the queue."""
    return line.messages(), len(line.order("queue list", limit=10_000, everything=True))


def test_no_two_rows_state_the_same_fact():
    """A row is known by its section and its fact."""
    assert [name for name, times in Counter(row.name for row in ROWS).items() if times > 1] == []


def test_every_difference_is_written_down():
    """Where a row says that we differ from Gmail, the documents say so in the same words."""
    written = " ".join(" ".join(file.read_text().split()) for file in DOCUMENTS)
    assert [row.name for row in ROWS if row.differs not in written] == []


def test_the_suite_is_as_large_as_it_was():
    """There are at least eight hundred rows of the wire, and eighty documents that must be refused."""
    assert sum(len(rows) for table, rows in TABLES.items() if table.startswith("wire_")) >= 800
    assert len([row for row in TABLES["rfc_8259_json"] if row.refused and "refused" in row.fact]) >= 80
