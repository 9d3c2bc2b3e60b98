"""Keys that sign ID tokens: made, published, signing and ended in their time, and kept sealed."""

import itertools

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from postroad.oauth import service_accounts, signing_keys
from postroad.oauth.signing_keys import DAY, SigningKey
from postroad.sealing import Sealing, WrongKeyError

NOW = 1_790_000_000_000
HOUR = 3_600_000
SEALING = Sealing(bytes(32))


@pytest.fixture(scope="module")
def made():
    """A few keys, as making one takes its time."""
    return [signing_keys.fresh(SEALING, NOW) for _ in range(3)]


@pytest.fixture
def quick(monkeypatch, made):
    """Keys that are not made but taken, with the time of their making."""
    numbers = itertools.count()

    def taken(_sealing, now):
        one = made[0]
        return SigningKey(f"{next(numbers):040x}", one.certificate, one.sealed, now)

    monkeypatch.setattr(signing_keys, "fresh", taken)


def test_a_key_is_sealed_and_published_twice_alike(made):
    """The private half opens with the sealing alone; the certificate and the JWK hold the same public half."""
    key = made[0]
    private = signing_keys.private_key(key, SEALING)
    assert private.public_key() == key.public_key == made[0].public_key
    assert private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) not in key.sealed
    jwk = key.jwk()
    assert {name: jwk[name] for name in ("kty", "alg", "use", "kid", "e")} == {
        "kty": "RSA", "alg": "RS256", "use": "sig", "kid": key.key_id, "e": "AQAB",
    }  # fmt: skip
    assert jwk.keys() == {"kty", "alg", "use", "kid", "n", "e"}
    assert key.key_id not in {other.key_id for other in made[1:]}
    with pytest.raises(WrongKeyError):
        signing_keys.private_key(key, Sealing(bytes([1] * 32)))


def test_a_sealed_key_opens_under_its_own_name_alone(made):
    """A row whose private key was put into another row is refused."""
    mixed = SigningKey(made[1].key_id, made[1].certificate, made[0].sealed, NOW)
    with pytest.raises(WrongKeyError):
        signing_keys.private_key(mixed, SEALING)


def test_the_certificate_is_self_signed(made):
    """As Google's: X.509, issued by itself."""
    certificate = x509.load_pem_x509_certificate(made[0].certificate.encode())
    certificate.verify_directly_issued_by(certificate)


def test_the_key_of_a_service_account_is_certified_by_ours(made):
    """A certificate of its public key, also for an address that is longer than a common name may be."""
    key = service_accounts.fresh_key()
    signer = signing_keys.private_key(made[0], SEALING)
    address = service_accounts.address_of("a" * 30)
    text = signing_keys.certified(key.public.pem, address * 2, key.public.key_id, signer, NOW)
    certificate = x509.load_pem_x509_certificate(text.encode())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(made[0].certificate.encode()))
    assert address in certificate.subject.rfc4514_string()


def test_a_key_lives_its_life(engine, quick):
    """The first signs at once; after 30 days comes another, signs a day later, and the first stays for a day."""
    seen = []
    for day in range(70):
        now = NOW + day * DAY
        with engine.begin() as connection:
            keys = signing_keys.published(connection, SEALING, now)
        signs = signing_keys.signing(keys, now)
        seen.append(([int(key.key_id, 16) for key in keys], int(signs.key_id, 16)))
    changes = [(day, *now) for day, (before, now) in enumerate(itertools.pairwise(seen), 1) if before != now]
    assert seen[0] == ([0], 0)
    assert changes == [
        (30, [0, 1], 0), (31, [0, 1], 1), (32, [1], 1), (60, [1, 2], 1), (61, [1, 2], 2), (62, [2], 2),
    ]  # fmt: skip


@given(st.lists(st.integers(0, 90 * 24), max_size=30).map(sorted))
def test_what_was_signed_is_published_while_it_counts(hours):
    """Whenever somebody looks: a token verifies for its hour, and who kept the keys for an hour has its key."""
    keys, signed, looked = [], [], []
    for number, now in enumerate(NOW + hour * HOUR for hour in hours):
        if signing_keys._lacks_young(keys, now):
            keys = [*keys, SigningKey(str(number), "", b"", now)]
        ended = signing_keys._ended(keys, now)
        keys = [key for key in keys if key not in ended]
        assert signing_keys.in_order(keys, now)
        signer = signing_keys.signing(keys, now)
        signed.append((now, signer))
        assert all(key in keys for at, key in signed if now - at <= HOUR)
        assert all(signer in then for at, then in looked if now - at <= HOUR)
        looked.append((now, keys))


def test_looking_again_changes_nothing(engine, quick):
    """A second look at the same time finds the same keys and writes none."""
    with engine.begin() as connection:
        first = signing_keys.published(connection, SEALING, NOW)
        assert signing_keys.in_order(first, NOW)
        assert signing_keys.published(connection, SEALING, NOW + DAY) == first == signing_keys.kept(connection)
