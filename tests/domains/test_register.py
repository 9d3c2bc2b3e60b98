"""The register of sending domains: which keys sign, and when."""

import pytest

from postroad.database.engine import Database
from postroad.domains import register
from postroad.domains.register import DAY, LINGER, NoDomainError
from postroad.oauth import accounts
from postroad.sealing import Sealing, WrongKeyError

NOW = 1_790_000_000_000  # 21 September 2026
SEALING = Sealing(b"k" * 32)


@pytest.fixture
def database(tmp_path, database_url):
    """An empty database."""
    opened = Database(tmp_path, floor=0, url=database_url)
    yield opened
    opened.close()


def selectors(change, name, now):
    return [(key.domain, key.selector) for key in change(register.signing, name, now)]


def states(domain, now):
    return {key.selector: key.state(now) for key in domain.keys}


def test_a_domain_is_made_with_a_key_of_each_kind(change):
    """A new domain has an RSA and an Ed25519 key that sign at once, RSA first."""
    made = change(register.add, "Bücher.Test.", SEALING, NOW)
    assert made.domain == "xn--bcher-kva.test"
    assert states(made, NOW) == {"rsa-20260921": "signing", "ed25519-20260921": "signing"}
    assert selectors(change, made.domain, NOW) == [
        ("xn--bcher-kva.test", "rsa-20260921"),
        ("xn--bcher-kva.test", "ed25519-20260921"),
    ]
    assert change(register.named, "BÜCHER.test") == made
    assert change(register.everyone) == [made]


def test_a_domain_that_is_there_stays_as_it_is(change):
    """To add a domain twice changes nothing."""
    assert change(register.add, "a.test", SEALING, NOW) == change(register.add, "a.test", SEALING, NOW + 1)


@pytest.mark.parametrize("text", ["", "test", "a b.test", "a..test", "a.test\n", "x@a.test", "[192.0.2.1]"])
def test_what_is_no_domain_is_refused(text):
    """Only what mail can come from can be a sending domain."""
    with pytest.raises(NoDomainError, match="no domain"):
        register.canonical(text)


def test_an_unknown_domain_is_named(change):
    """The refusal says which command makes it one."""
    with pytest.raises(NoDomainError, match=r"`postroad domain add a\.test`"):
        change(register.rotate, "a.test", SEALING, NOW)


def test_the_keys_open_with_the_sealing_they_were_made_with(change):
    """A sealed key is ready to sign once opened, and does not open with another sealing or for another domain."""
    change(register.add, "a.test", SEALING, NOW)
    slow, quick = change(register.signing, "a.test", NOW)
    assert slow.opened(SEALING).algorithm == "rsa-sha256"
    assert quick.opened(SEALING).sign(bytes(32)) == quick.opened(SEALING).sign(bytes(32))
    with pytest.raises(WrongKeyError):
        slow.opened(Sealing(b"l" * 32))
    with pytest.raises(WrongKeyError):
        register.SealedKey("b.test", slow.selector, slow.private_key).opened(SEALING)


SIGNERS = {
    "its own": ("a.test", "a.test"),
    "the domain above": ("news.a.test", "a.test"),
    "two above": ("x.y.a.test", "a.test"),
    "the closest above": ("x.shop.a.test", "shop.a.test"),
    "no domain beside": ("ba.test", None),
    "no domain below": ("test", None),
    "another": ("b.test", None),
}


def test_the_closest_domain_signs(change):
    """What comes from a domain is signed by its own keys, else by those of the closest domain above it."""
    change(register.add, "a.test", SEALING, NOW)
    change(register.add, "shop.a.test", SEALING, NOW)
    for name, signer in SIGNERS.values():
        assert {domain for domain, _ in selectors(change, name, NOW)} == ({signer} if signer else set()), name


OLD, NEW = "rsa-20260921", "rsa-20260922"
LIFE_OF_A_ROTATION = [
    (0, OLD, {OLD: "signing", NEW: "published"}),
    (2 * DAY - 1, OLD, {OLD: "signing", NEW: "published"}),
    (2 * DAY, NEW, {OLD: "retiring", NEW: "signing"}),
    (2 * DAY + LINGER - 1, NEW, {OLD: "retiring", NEW: "signing"}),
    (2 * DAY + LINGER, NEW, {OLD: "retired", NEW: "signing"}),
    (1000 * DAY, NEW, {OLD: "retired", NEW: "signing"}),
]


def test_a_rotation_takes_its_time(change):
    """A new key is published for two days before it signs; the old one stays for the week its signatures count."""
    change(register.add, "a.test", SEALING, NOW)
    rotated = change(register.rotate, "a.test", SEALING, NOW + DAY)
    for later, signer, wanted in LIFE_OF_A_ROTATION:
        now = NOW + DAY + later
        assert states(rotated, now).items() >= wanted.items(), later
        assert selectors(change, "a.test", now)[0][1] == signer, later
        assert len(selectors(change, "a.test", now)) == 2, later


def test_a_stolen_key_retires_at_once(change):
    """A rotation in 0 days retires every other key, also those that were to sign later."""
    change(register.add, "a.test", SEALING, NOW)
    change(register.rotate, "a.test", SEALING, NOW)
    rotated = change(register.rotate, "a.test", SEALING, NOW, days=0)
    wanted = dict.fromkeys(["rsa-20260921", "rsa-20260921-2"], "retired") | {"rsa-20260921-3": "signing"}
    assert states(rotated, NOW).items() >= wanted.items()
    assert selectors(change, "a.test", NOW)[0][1] == "rsa-20260921-3"


ROTATIONS = [(7, 2), (2, 7), (2, 0)]


def test_at_any_time_one_key_of_each_kind_signs(change):
    """Whatever rotations overlap, there is always one key of each kind that signs, and its state says so."""
    for days in ROTATIONS:
        name = f"days-{days[0]}-{days[1]}.test"
        change(register.add, name, SEALING, NOW)
        for number, one in enumerate(days):
            rotated = change(register.rotate, name, SEALING, NOW + number * DAY, days=one)
        for now in range(NOW + DAY, NOW + 30 * DAY, DAY // 2):
            signing = {selector for selector, state in states(rotated, now).items() if state == "signing"}
            assert {selector for _, selector in selectors(change, name, now)} == signing, (days, now)
            assert len(signing) == 2


def test_retired_keys_are_forgotten(change):
    """A rotation removes what retired over a week ago, so that its private key is nowhere."""
    change(register.add, "a.test", SEALING, NOW)
    change(register.rotate, "a.test", SEALING, NOW, days=0)
    assert len(change(register.rotate, "a.test", SEALING, NOW + LINGER - 1, days=0).keys) == 6
    assert len(change(register.rotate, "a.test", SEALING, NOW + LINGER, days=0).keys) == 6
    assert "rsa-20260921" not in states(change(register.named, "a.test"), NOW)


def test_a_removed_domain_leaves_nothing(change):
    """Its keys are gone, and it can be made anew; an unknown one is told of."""
    change(register.add, "a.test", SEALING, NOW)
    assert change(register.remove, "A.test").domain == "a.test"
    assert (change(register.everyone), change(register.signing, "a.test", NOW)) == ([], ())
    with pytest.raises(NoDomainError):
        change(register.remove, "a.test")
    assert len(change(register.add, "a.test", SEALING, NOW).keys) == 2


def test_domains_of_accounts_that_nobody_signs_for(change):
    """Accounts and aliases of domains without a key are told of, captured mailboxes are not."""
    change(register.add, "a.test", SEALING, NOW)
    change(accounts.add, "me@news.a.test", administrator=False, now=NOW)
    change(accounts.add, "me@b.test", administrator=False, now=NOW)
    change(accounts.add_alias, "me@b.test", "me@c.test", NOW)
    change(accounts.capture, "you@d.test", NOW)
    assert change(register.unsigned, NOW) == ["b.test", "c.test"]
