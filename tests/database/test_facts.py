"""Facts about the database itself."""

from contextlib import closing

from postroad.database import facts
from postroad.database.engine import Database


def test_a_fact_is_what_was_written_last(tmp_path, database_url):
    """Unknown until written, replaced by the next, there after a restart."""
    with closing(Database(tmp_path, floor=0, url=database_url)) as database:
        assert database.look(lambda connection: facts.read(connection, facts.RELAY)) is None
        for value in ("capture", "smtp://host:25"):
            database.submit(lambda connection, v=value: facts.write(connection, facts.RELAY, v)).result()
            assert database.look(lambda connection: facts.read(connection, facts.RELAY)) == value
    with closing(Database(tmp_path, floor=0, url=database_url)) as again:
        assert again.look(lambda connection: facts.read(connection, facts.RELAY)) == "smtp://host:25"


def test_facts_do_not_touch_each_other(tmp_path, database_url):
    """Writing one leaves the others."""
    with closing(Database(tmp_path, floor=0, url=database_url)) as database:
        for name in ("one", "two", "one"):
            database.submit(lambda connection, n=name: facts.write(connection, n, n)).result()
        assert database.look(lambda connection: [facts.read(connection, name) for name in ("one", "two")]) == [
            "one",
            "two",
        ]


def test_the_first_value_is_kept(tmp_path, database_url):
    """Who comes later gets what was written first."""
    with closing(Database(tmp_path, floor=0, url=database_url)) as database:
        kept = [
            database.submit(lambda connection, v=value: facts.keep(connection, "one", v)).result()
            for value in "ab"
        ]
        assert kept == ["a", "a"]
