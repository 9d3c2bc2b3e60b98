"""Accounts: who has a mailbox here, and who may send."""

import asyncio
import time
from dataclasses import replace

import pytest

from postroad.database.engine import Database
from postroad.mail.address import BadAddress
from postroad.oauth import accounts
from postroad.oauth.accounts import Account, AccountExistsError, Directory, NoSuchAccountError

NOW = 1_790_000_000_000


@pytest.fixture
def database(tmp_path, database_url):
    """An empty database."""
    opened = Database(tmp_path, floor=0, url=database_url)
    yield opened
    opened.close()


def add(change, address: str, *, administrator: bool = False) -> Account:
    return change(accounts.add, address, administrator=administrator, now=NOW)


def test_an_account_is_made(change):
    """A new account is active, no administrator, and found by its address."""
    made = add(change, "alice@example.test")
    assert made == Account(made.account_id, "alice@example.test", False, False, False)
    assert change(accounts.find, "alice@example.test") == made
    assert change(accounts.by_id, made.account_id) == made


def test_an_administrator_is_made(change):
    """An account may be an administrator's from the start."""
    assert add(change, "alice@example.test", administrator=True).administrator


SAME = {
    "another case": "ALICE@Example.Test",
    "quoted without need": '"alice"@example.test',
}


@pytest.mark.parametrize("address", SAME.values(), ids=SAME)
def test_an_address_has_one_account(change, address):
    """Spellings of one address mean one account."""
    made = add(change, "alice@example.test")
    assert change(accounts.named, address) == made
    with pytest.raises(AccountExistsError, match=r"^there is an account alice@example\.test already$"):
        add(change, address)


def test_a_domain_in_unicode_is_the_same_as_in_ascii(change):
    """An internationalised domain means the account of its A-label form."""
    made = add(change, "alice@bücher.example")
    assert made.address == "alice@xn--bcher-kva.example"
    assert change(accounts.named, "alice@XN--BCHER-KVA.example") == made


@pytest.mark.parametrize(
    "address", ["", "alice", "@example.test", "alice@", "a b@example.test", "a@b@example.test"]
)
def test_what_is_no_address_has_no_account(change, address):
    """An account needs an address that mail can be sent to."""
    with pytest.raises(BadAddress):
        add(change, address)


def test_an_unknown_account_is_said_to_be_so(change):
    """The refusal names the command that would make the account."""
    with pytest.raises(NoSuchAccountError) as refused:
        change(accounts.named, "bob@example.test")
    assert str(refused.value) == (
        "there is no account bob@example.test; `postroad account add bob@example.test` makes one"
    )
    assert change(accounts.find, "bob@example.test") is None


def test_captured_mail_makes_a_mailbox_once(change):
    """Capture makes an account that is marked so, and the next time finds it."""
    made = change(accounts.capture, "Who@Ever.example", NOW)
    assert (made.address, made.captured, made.administrator) == ("who@ever.example", True, False)
    assert change(accounts.capture, "who@ever.example", NOW + 1) == made


def test_capture_finds_a_true_account(change):
    """Capture never makes a second account, nor marks a true one."""
    made = add(change, "alice@example.test")
    assert change(accounts.capture, "alice@example.test", NOW) == made


def test_a_captured_mailbox_becomes_an_account(change):
    """Adding an account for a captured mailbox keeps the mailbox."""
    captured = change(accounts.capture, "who@ever.example", NOW)
    made = add(change, "who@ever.example", administrator=True)
    assert made == replace(captured, captured=False, administrator=True)


def test_an_account_is_disabled(change):
    """A disabled account is still there, and is disabled; again makes no difference."""
    made = add(change, "alice@example.test")
    assert change(accounts.disable, "Alice@example.test", NOW) == replace(made, disabled=True)
    assert change(accounts.disable, "alice@example.test", NOW + 1).disabled
    assert change(accounts.find, "alice@example.test").disabled


def test_nobody_cannot_be_disabled(change):
    """Disabling an unknown account is refused."""
    with pytest.raises(NoSuchAccountError):
        change(accounts.disable, "bob@example.test", NOW)


def test_everyone_is_listed_by_address(change):
    """The list of accounts is ordered by address and holds captured mailboxes too."""
    for address in ("carol@example.test", "alice@example.test"):
        add(change, address)
    change(accounts.capture, "bob@example.test", NOW)
    assert [one.address for one in change(accounts.everyone)] == [
        "alice@example.test",
        "bob@example.test",
        "carol@example.test",
    ]


def test_an_alias_is_its_accounts_address(change):
    """What is found by it is the account, which knows all of its addresses, its own first."""
    made = add(change, "alice@example.test")
    change(accounts.add_alias, "alice@example.test", "Sales@Example.Test", NOW)
    changed = change(accounts.add_alias, "sales@example.test", "info@bücher.example", NOW)
    assert changed.addresses == ("alice@example.test", "info@xn--bcher-kva.example", "sales@example.test")
    assert changed == replace(made, aliases=changed.aliases)
    assert change(accounts.find, "sales@example.test") == changed
    assert change(accounts.capture, "Sales@example.test", NOW) == changed
    assert change(accounts.everyone) == [changed]


def test_an_alias_goes(change):
    """Removed, it is nobody's."""
    made = add(change, "alice@example.test")
    change(accounts.add_alias, "alice@example.test", "sales@example.test", NOW)
    assert change(accounts.remove_alias, "SALES@example.test") == made
    assert change(accounts.find, "sales@example.test") is None
    with pytest.raises(NoSuchAccountError, match=r"^there is no alias sales@example\.test$"):
        change(accounts.remove_alias, "sales@example.test")


TAKEN = {
    "bob@example.test": "there is an account bob@example.test already",
    "alice@example.test": "there is an account alice@example.test already",
    "sales@example.test": "sales@example.test is an alias of bob@example.test already",
    "who@ever.example": "there is a captured mailbox who@ever.example already",
}


@pytest.mark.parametrize(("address", "text"), TAKEN.items())
def test_an_address_is_one_accounts_alone(change, address, text):
    """What is an account's, an alias or a captured mailbox becomes nobody's alias, nor an alias an account."""
    for name in ("alice@example.test", "bob@example.test"):
        add(change, name)
    change(accounts.add_alias, "bob@example.test", "sales@example.test", NOW)
    change(accounts.capture, "who@ever.example", NOW)
    with pytest.raises(AccountExistsError, match=f"^{text}$"):
        change(accounts.add_alias, "alice@example.test", address, NOW)
    with pytest.raises(AccountExistsError, match="alias of bob"):
        add(change, "sales@example.test")


ASKED = ["alice@example.test", "Alice@example.test", "bob@example.test", "who@ever.example", "eve@example.org"]


def test_the_directory_tells_accounts_from_others(database, change):
    """Of addresses as written those are local that belong to true accounts."""
    add(change, "alice@example.test")
    change(accounts.add_alias, "alice@example.test", "Info@other.example", NOW)
    change(accounts.capture, "who@ever.example", NOW)
    found = asyncio.run(Directory(database).among([*ASKED, "info@other.example", "sales@other.example"]))
    assert found == {"alice@example.test", "Alice@example.test", "info@other.example"}


def test_other_domains_cost_no_question(database, change, monkeypatch):
    """While the domains are fresh, addresses of other domains are answered without the database."""
    add(change, "alice@example.test")
    directory = Directory(database)
    asyncio.run(directory.among([]))
    monkeypatch.setattr(database, "read", None)
    assert asyncio.run(directory.among(["eve@example.org"])) == frozenset()


def test_a_new_domain_is_known_within_a_second(database, change, monkeypatch):
    """The first account of a domain is local at the latest a second after it was made."""
    directory, then = Directory(database), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: then)
    assert asyncio.run(directory.among(ASKED)) == frozenset()
    add(change, "alice@example.test")
    monkeypatch.setattr(time, "monotonic", lambda: then + 1.01)
    assert "alice@example.test" in asyncio.run(directory.among(ASKED))
