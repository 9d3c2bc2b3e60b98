"""`postroad domain`: what is printed is what must be published, and the check finds it."""

import base64
import json

import pytest

from postroad.cli import domains
from postroad.domains import register
from tests.name_server import answering
from tests.test_cli import here, postroad  # noqa: F401 - fixtures

# A public address by its form alone: nobody is asked at it.
HOST = ("--address", "1.2.3.4", "--hostname", "mail.example.test")
OTHERS_ZONE = "; at the provider of the address: "
EXCHANGE = "example.test. IN MX 10 mail.example.test.\n"


@pytest.fixture
def run(postroad, tmp_path):  # noqa: F811
    """Runs `postroad domain` on a data folder: exit code, stdout, stderr."""
    return lambda *words: postroad("domain", *words, "--data", str(tmp_path))


@pytest.fixture
def zone(here):  # noqa: F811
    """What `domain add` prints as lines of a zone file, those of others' zones too."""
    printed = here("domain", "add", "example.test", *HOST).partition("zone file:\n\n")[2]
    return printed.partition("\n\n")[0].replace(OTHERS_ZONE, "") + "\n" + EXCHANGE


def check(run, zone: str, *words: str) -> tuple[int, str, str]:
    """`domain check` against a name server with that zone, on loopback."""
    with answering(zone) as (host, port):
        return run("check", "example.test", "--hostname", "mail.example.test", "--dns", f"{host}:{port}", *words)


def without(zone: str, name: str) -> str:
    return "".join(line for line in zone.splitlines(keepends=True) if not line.startswith(name))


def test_what_is_printed_is_what_is_missed(run, zone):
    """A name server with the printed lines leaves nothing to complain of: the check ends with 0."""
    code, out, err = check(run, zone, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert {one["about"] for one in found if one["state"] == "good"} == {"DKIM", "SPF", "MX", "TLS-RPT", "PTR"}
    assert not any(one["bad"] for one in found)


@pytest.mark.parametrize("name", ["rsa-", "ed25519-", "example.test. IN TXT", "_dmarc", "4.3.2.1"])
def test_what_is_missing_ends_the_check_with_1(run, zone, name):
    """The line of a record that is missing says what to publish, and the exit code is 1."""
    code, out, err = check(run, without(zone, name))
    assert (code, err) == (1, "")
    assert out.count("missing") == 1
    (line,) = [line for line in zone.splitlines() if line.startswith(name)]
    value = line.partition('"')[2].replace('" "', "").rstrip('"') or "mail.example.test"
    assert f"{line.split('. IN ')[0]}\n{value}\n" in out


def test_without_an_answer_the_check_ends_with_1(run, here):  # noqa: F811
    """A name server that fails has said nothing of the records: one line on stderr says so."""
    here("domain", "add", "example.test")
    with answering("", failing=2) as (host, port):
        code, out, err = run("check", "example.test", "--hostname", "mail.test", "--dns", f"{host}:{port}")
    assert (code, out) == (1, "")
    assert err.startswith("postroad: the DNS did not answer (mail.test A: ")


def test_to_add_twice_prints_the_same_records(here):  # noqa: F811
    """JSON names each record by name, type and value; a domain that is there keeps its keys."""
    first, second = (json.loads(here("domain", "add", "Example.Test.", "--json")) for _ in range(2))
    assert first == second
    assert {one["type"] for one in first} == {"TXT"}
    assert [one["name"].partition(".")[2] for one in first[:2]] == ["_domainkey.example.test"] * 2
    assert all(one.keys() == {"name", "type", "value"} for one in first)


def test_a_smart_hosts_record_is_included(here):  # noqa: F811
    """--include puts the record of another into the domain's SPF record."""
    found = json.loads(here("domain", "add", "example.test", "--include", "spf.other.test", "--json"))
    assert "v=spf1 include:spf.other.test ~all" in [one["value"] for one in found]


def test_without_addresses_a_line_says_what_is_not_known(here):  # noqa: F811
    """SPF needs to know from where mail leaves; the text for people says how to tell."""
    assert "--address" in here("domain", "add", "example.test")
    assert "name the addresses" not in here("domain", "add", "example.test", *HOST)


def states(here) -> dict[str, str]:  # noqa: F811
    (listed,) = json.loads(here("domain", "list", "--json"))
    return {key["selector"]: key["state"] for key in listed["keys"]}


@pytest.mark.parametrize(
    ("days", "words", "old", "new"),
    [
        ((), "Publish before:", "signing", "published"),
        (("--days", "0"), "take the others out:", "retired", "signing"),
    ],
)
def test_a_rotation_prints_the_new_records_alone(here, days, words, old, new):  # noqa: F811
    """The records of the new keys, and when they sign; the list shows the state of all."""
    before = [one["name"] for one in json.loads(here("domain", "add", "example.test", "--json"))]
    out = here("domain", "rotate", "example.test", *days)
    assert out.splitlines()[0].endswith(words)
    assert not any(name in out for name in before)
    assert sorted(states(here).values()) == sorted([old, old, new, new])


def test_domains_of_accounts_without_keys_are_unsigned(here, run):  # noqa: F811
    """The list and the check say so, and which command makes keys; of others, that they are none."""
    assert "unsigned" in here("domain", "list")
    cure = "mail from example.test goes out unsigned; `postroad domain add example.test` makes its keys"
    assert run("check", "example.test") == (1, "", f"postroad: {cure}\n")
    assert "is no sending domain here" in run("check", "other.test")[2]


def test_a_domain_can_be_removed(here, run):  # noqa: F811
    """Its keys go with it, and a second time there is nothing to remove."""
    here("domain", "add", "example.test")
    assert here("domain", "remove", "EXAMPLE.test").startswith("removed the sending domain example.test")
    assert json.loads(here("domain", "list", "--json")) == [{"domain": "example.test", "keys": []}]
    assert run("remove", "example.test")[0] == 1


def test_keys_are_sealed_with_the_servers_key_or_not_at_all(here, run, tmp_path):  # noqa: F811
    """With another key than the database began with nothing is made, and the line says which would do."""
    here("domain", "add", "example.test")
    other = tmp_path / "other.key"
    other.write_bytes(base64.b64encode(b"o" * 32))
    code, out, err = run("add", "other.test", "--secret-key-file", str(other))
    assert (code, out) == (1, "")
    assert "does not open with this key" in err
    assert "other.test" not in here("domain", "list")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("add", "example.test", "--address", "1.2.3"), 2),
        (("rotate", "example.test", "--days", "-1"), 2),
        (("add", "no domain"), 1),
        (("rotate", "example.test"), 1),
    ],
)
def test_what_cannot_be_is_refused(here, run, words, code):  # noqa: F811
    """One line on stderr, and nothing was made."""
    found, out, err = run(*words)
    assert (found, out, err.count("\n")) == (code, "", 1)


def test_the_notice_of_a_rotation_is_the_registers():
    """The command's default is that of the rules."""
    assert domains._NOTICE_DAYS == register.NOTICE_DAYS
