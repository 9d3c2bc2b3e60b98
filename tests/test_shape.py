"""Budgets of the package's shape: functions, files, cycles, words."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

import postroad

PACKAGE = Path(postroad.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_FUNCTION = 50
MAX_FILE = 400
MAX_MEDIAN_FUNCTION = 8
BANNED_FILES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
BANNED_SUFFIXES = ("Manager", "Handler", "Service", "Helper")


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def statement_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


def name_of(file: Path) -> str:
    parts = ("postroad", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(file: Path, known: set[str]) -> set[str]:
    """The package's own modules that this one imports at run time, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return (found & known) - {name_of(file), "postroad"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_file_keeps_its_budget(file):
    """No file is over 400 lines and no function over 50."""
    assert len(file.read_text().splitlines()) <= MAX_FILE
    assert [node.name for node in functions(file) if lines(node) > MAX_FUNCTION] == []


def test_functions_are_short():
    """The median function has at most eight lines beside its docstring."""
    assert median(statement_lines(node) for file in FILES for node in functions(file)) <= MAX_MEDIAN_FUNCTION


def test_no_module_imports_itself_in_a_circle():
    """The import graph of the package has no cycle."""
    known = {name_of(file) for file in FILES}
    graph = {
        name_of(file): {other for other in imported(file, known) if other != name_of(file).rpartition(".")[0]}
        for file in FILES
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(known - {"postroad"}) + ("postroad" in graph)


def test_nothing_is_called_a_utility():
    """No file and no class hides behind a word that fits everything."""
    classes = [
        node.name
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    assert [file for file in FILES if file.stem in BANNED_FILES] == []
    assert [name for name in classes if name.endswith(BANNED_SUFFIXES)] == []


def test_every_module_says_what_it_is_for():
    """Every module begins with a docstring."""
    assert [file for file in FILES if not ast.get_docstring(ast.parse(file.read_text()))] == []


def test_every_test_states_a_fact():
    """Every test has a docstring."""
    tests = sorted(Path(__file__).parent.rglob("test_*.py"))
    silent = [
        f"{file.name}:{node.name}"
        for file in tests
        for node in functions(file)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []
