"""Assertions that must be refused, each by its name: how it is made, and what Google's token endpoint says to it.

The attacks of hardening.md G9, and what else a JWT can be that is none. `House` is who is attacked.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from postroad.oauth import assertions
from postroad.oauth.service_accounts import Key, ServiceAccount
from tests.jws_kit import SHA256_INFO, Sign, Signer, always, base64url, compact, mac, octets_of, padded

NOW = 1_790_000_000
SEND = "https://www.googleapis.com/auth/gmail.send"
READ = "https://www.googleapis.com/auth/gmail.readonly"
GOOGLE = "https://oauth2.googleapis.com/token"
OURS = "http://127.0.0.1:8587"

Text = tuple[str, str]
MALFORMED = ("invalid_request", "Bad Request")
SIGNATURE = ("invalid_grant", "Invalid JWT Signature.")
NO_ACCOUNT = ("invalid_grant", "Invalid grant: account not found")
DISABLED = ("invalid_grant", "Robot is disabled.")
NO_IAT = ("invalid_grant", "Invalid JWT: iat (issued at) is not set.")
NO_EXP = ("invalid_grant", "Invalid JWT: exp (expiration time) is not set.")
WINDOW = (
    "invalid_grant",
    (
        "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
        "Check your iat and exp values in the JWT claim."
    ),
)
SCOPE = ("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
AUDIENCE = ("invalid_grant", "Invalid JWT: Failed audience check.")
SUBJECT = ("invalid_grant", "Invalid email or User ID")

ABSENT = object()


@dataclass(frozen=True)
class House:
    """Two service accounts, the first with two keys, a disabled third, and a stranger, whose keys are not here."""

    robot: ServiceAccount
    keys: tuple[Key, Key]
    other: ServiceAccount
    other_key: Key
    off: ServiceAccount
    stranger: Signer
    weak: Signer

    @property
    def signer(self) -> Signer:
        return Signer.of(self.keys[0])

    @property
    def pem(self) -> bytes:
        """The public key an attacker may know."""
        return self.keys[0].public.pem.encode()

    def header(self, **changes: Any) -> dict[str, Any]:
        return changed({"alg": "RS256", "typ": "JWT", "kid": self.keys[0].public.key_id}, changes)

    def claims(self, **changes: Any) -> dict[str, Any]:
        made = {"iss": self.robot.address, "scope": SEND, "aud": GOOGLE, "iat": NOW, "exp": NOW + 3600}
        return changed(made, changes)

    def jwt(
        self, header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None, sign: Sign | None = None
    ) -> str:
        """A valid assertion, but for these changes."""
        return compact(self.header(**header or {}), self.claims(**claims or {}), sign or self.signer.rs())

    def parts(self, header: Any = None, claims: Any = None) -> str:
        """A valid signature over any octets as header and claims."""
        return compact(
            self.header() if header is None else header,
            self.claims() if claims is None else claims,
            self.signer.rs(),
        )

    def cut(self, *replaced: tuple[int, Callable[[str], str]]) -> str:
        """A valid assertion, its parts changed after it was signed."""
        parts = self.jwt().split(".")
        for place, change in replaced:
            parts[place] = change(parts[place])
        return ".".join(parts)


def changed(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (values | changes).items() if value is not ABSENT}


Forgery = tuple[Callable[[House], str], Text]
FORGERIES: dict[str, Forgery] = {}


def forged(text: Text, **ways: Callable[[House], str]) -> None:
    for name, way in ways.items():
        assert name not in FORGERIES, name
        FORGERIES[name] = (way, text)


def each(text: Text, name: str, values: list[Any], way: Callable[[House, Any], str]) -> None:
    """One forgery for each of the values."""
    for number, value in enumerate(values):
        forged(text, **{f"{name} {number}: {repr(value)[:40]}": lambda house, value=value: way(house, value)})


def with_header(name: str) -> Callable[[House, Any], str]:
    return lambda house, value: house.jwt(header={name: value})


def with_claim(name: str) -> Callable[[House, Any], str]:
    return lambda house, value: house.jwt(claims={name: value})


# --- The algorithm: it is RS256, whatever the header asks for.

NOT_RS256 = ["none", "None", "NONE", "nOnE", "rs256", "RS256 ", "RS1", "RSA1_5", "dir", "", None, True, 256]
each(SIGNATURE, "alg with a valid RS256 signature", [*NOT_RS256, ["RS256"], {}, ABSENT], with_header("alg"))
each(
    SIGNATURE,
    "alg none without a signature",
    ["none", "None", "RS256", ABSENT],
    lambda house, alg: house.jwt({"alg": alg}, sign=always(b"")),
)
for bits in (256, 384, 512):
    for name, secret in {
        "PEM": lambda house: house.pem,
        "PEM without its last newline": lambda house: house.pem.rstrip(),
        "DER": lambda house: der(house.pem),
        "modulus": lambda house: house.signer.modulus.to_bytes(256),
        "nothing": lambda house: b"",
    }.items():
        forged(
            SIGNATURE,
            **{
                f"HS{bits} with the public key as secret, {name}": lambda house, bits=bits, secret=secret: (
                    house.jwt({"alg": f"HS{bits}"}, sign=mac(secret(house), bits))
                )
            },
        )
each(SIGNATURE, "RS", [384, 512], lambda house, bits: house.jwt({"alg": f"RS{bits}"}, sign=house.signer.rs(bits)))
each(SIGNATURE, "PS", [256, 384], lambda house, bits: house.jwt({"alg": f"PS{bits}"}, sign=house.signer.ps(bits)))
each(SIGNATURE, "RS256 by the hash of", [384, 512], lambda house, bits: house.jwt(sign=house.signer.rs(bits)))
forged(
    SIGNATURE,
    rs256_signed_as_ps256=lambda house: house.jwt(sign=house.signer.ps()),
    rs256_signed_as_hs256=lambda house: house.jwt(sign=mac(house.pem)),
    es256_of_zeros=lambda house: house.jwt({"alg": "ES256"}, sign=always(bytes(64))),
    es256_of_zeros_in_der=lambda house: house.jwt(
        {"alg": "ES256"}, sign=always(bytes.fromhex("3006020100020100"))
    ),
    rs256_of_es256_zeros=lambda house: house.jwt(sign=always(bytes(64))),
    es256_by_a_stranger=lambda house: house.jwt({"alg": "ES256"}, sign=elliptic),
    eddsa_by_a_stranger=lambda house: house.jwt({"alg": "EdDSA"}, sign=edwards),
    rs256_by_a_stranger=lambda house: house.jwt(sign=house.stranger.rs()),
    rs256_by_a_stranger_without_kid=lambda house: house.jwt({"kid": ABSENT}, sign=house.stranger.rs()),
    rs256_by_a_weak_key=lambda house: house.jwt(sign=house.weak.rs()),
)


def der(pem: bytes) -> bytes:
    return load_pem_public_key(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def elliptic(text: bytes) -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).sign(text, ec.ECDSA(hashes.SHA256()))


def edwards(text: bytes) -> bytes:
    return ed25519.Ed25519PrivateKey.generate().sign(text)


# --- The signature: of all octets, and of one encoding (RFC 8017 section 8.2.2).

each(
    SIGNATURE,
    "a signature of",
    [b"", b"\0", bytes(255), bytes(256), bytes(257), b"\xff" * 256, b"\0" * 255 + b"\1"],
    lambda house, octets: house.jwt(sign=always(octets)),
)


def resigned(change: Callable[[House, bytes], bytes]) -> Callable[[House], str]:
    """A valid signature, changed."""
    return lambda house: house.jwt(sign=lambda text: change(house, house.signer.rs()(text)))


def plus_modulus(house: House, signature: bytes) -> bytes:
    """The same number modulo the modulus, in as many octets if it fits."""
    return (int.from_bytes(signature) + house.signer.modulus).to_bytes(257).removeprefix(b"\0")


def block(change: Callable[[bytes], bytes]) -> Callable[[House], str]:
    """The signature of a wrong encoding of the right hash, by the right key."""
    return lambda house: house.jwt(sign=house.signer.raw(change))


forged(
    SIGNATURE,
    signature_cut=resigned(lambda _, signature: signature[:-1]),
    signature_without_its_first_octet=resigned(lambda _, signature: signature[1:]),
    signature_with_a_zero_before=resigned(lambda _, signature: b"\0" + signature),
    signature_with_a_zero_behind=resigned(lambda _, signature: signature + b"\0"),
    signature_twice=resigned(lambda _, signature: signature * 2),
    signature_reversed=resigned(lambda _, signature: signature[::-1]),
    signature_and_the_modulus=resigned(plus_modulus),
    signature_is_the_modulus=lambda house: house.jwt(sign=always(house.signer.modulus.to_bytes(256))),
    signature_a_bit_off=resigned(lambda _, signature: signature[:-1] + bytes([signature[-1] ^ 1])),
    signature_of_other_claims=lambda house: house.cut(
        (1, lambda _: base64url(octets_of(house.claims(sub="x@y.z"))))
    ),
    signature_of_another_header=lambda house: house.cut((0, lambda _: base64url(octets_of({"alg": "RS256"})))),
    signature_of_the_claims_alone=lambda house: house.jwt(
        sign=lambda text: house.signer.rs()(text.split(b".")[1])
    ),
    padding_of_kind_two=block(lambda digest: padded(SHA256_INFO + digest, kind=2)),
    padding_of_kind_zero=block(lambda digest: padded(SHA256_INFO + digest, kind=0)),
    padding_short_and_rubbish_behind=block(
        lambda digest: padded(SHA256_INFO + digest, 100) + b"\x5a" * 156,
    ),
    padding_with_a_gap=block(
        lambda digest: padded(SHA256_INFO + digest).replace(b"\xff" * 9, b"\xff" * 8 + b"\0", 1)
    ),
    padding_of_eights=block(lambda digest: padded(SHA256_INFO + digest).replace(b"\xff", b"\x08")),
    hash_alone=block(padded),
    hash_called_sha1=block(lambda digest: padded(bytes.fromhex("3021300906052b0e03021a05000414") + digest[:20])),
    hash_called_sha512=block(lambda digest: padded(SHA256_INFO[:14] + b"\x03" + SHA256_INFO[15:] + digest)),
    hash_without_parameters=block(
        lambda digest: padded(bytes.fromhex("302f300b0609608648016503040201") + SHA256_INFO[-2:] + digest)
    ),
    hash_with_lengths_in_long_form=block(
        lambda digest: padded(bytes.fromhex("30813130") + SHA256_INFO[3:] + digest)
    ),
    hash_with_rubbish_inside=block(
        lambda digest: padded(bytes.fromhex("3033300d0609608648016503040201050004") + b"\x20" + digest + b"\0\0")
    ),
    hash_of_zeros=block(lambda digest: padded(SHA256_INFO + bytes(32))),
)


# --- What must be understood (RFC 7515 section 4.1.11): nothing is.

each(
    SIGNATURE,
    "crit",
    [
        ["exp"],
        ["b64"],
        ["alg"],
        ["x"],
        [],
        [""],
        ["crit"],
        "exp",
        None,
        True,
        1,
        {},
        [1],
        [["exp"]],
        ["exp", "exp"],
    ],
    lambda house, names: house.jwt({"crit": names, "exp": NOW + 60}),
)
each(
    SIGNATURE,
    "crit of something known",
    [{"x": 1}, {"jwk": {}}, {"b64": True}, {"http://example.test/": True}],
    lambda house, more: house.jwt({"crit": list(more)} | more),
)
forged(
    SIGNATURE,
    b64_false_without_crit=lambda house: house.jwt({"b64": False}),
    b64_is_no_boolean=lambda house: house.jwt({"b64": "false"}),
)
# RFC 7797: the part is then the payload itself, which is base64 and no JSON object …
forged(MALFORMED, b64_false=lambda house: house.jwt({"b64": False, "crit": ["b64"]}))
# … unless it is JSON without a dot.
forged(
    SIGNATURE,
    b64_false_and_json=lambda house: bare(house, {"iss": "x"}),
)


def bare(house: House, claims: dict[str, Any]) -> str:
    text = base64url(octets_of(house.header(b64=False, crit=["b64"]))) + "." + json.dumps(claims)
    return f"{text}.{base64url(house.signer.rs()(text.encode()))}"


# --- Keys that come with the JWT (RFC 7515 sections 4.1.2 to 4.1.8): never looked at.


def own_jwk(signer: Signer, **more: Any) -> dict[str, Any]:
    numbers = signer.key.public_key().public_numbers()
    modulus, exponent = (base64url(one.to_bytes((one.bit_length() + 7) // 8)) for one in (numbers.n, numbers.e))
    return {"kty": "RSA", "n": modulus, "e": exponent} | more


JWKS: dict[str, Callable[[House], Any]] = {
    "its own": lambda house: own_jwk(house.stranger),
    "its own, under the right name": lambda house: own_jwk(house.stranger, kid=house.keys[0].public.key_id),
    "its own, for signatures by RS256": lambda house: own_jwk(house.stranger, use="sig", alg="RS256"),
    "its own, to encrypt": lambda house: own_jwk(house.stranger, use="enc"),
    "its own, for another algorithm": lambda house: own_jwk(house.stranger, alg="PS256"),
    "its own, for HMAC": lambda house: own_jwk(house.stranger, alg="HS256"),
    "its own, to verify": lambda house: own_jwk(house.stranger, key_ops=["verify"]),
    "its own, not to verify": lambda house: own_jwk(house.stranger, key_ops=["encrypt"]),
    "its own, with a private exponent": lambda house: own_jwk(house.stranger, d="AQAB"),
    "its own, in base64 with zeros before": lambda house: own_jwk(house.stranger, e="AAAAAQAB"),
    "with an exponent of one": lambda house: own_jwk(house.stranger, e="AQ"),
    "with an exponent of nothing": lambda house: own_jwk(house.stranger, e=""),
    "with an even exponent": lambda house: own_jwk(house.stranger, e="Ag"),
    "with an exponent as long as the modulus": lambda house: own_jwk(house.stranger, e="_" * 342),
    "with a modulus of nothing": lambda house: own_jwk(house.stranger, n=""),
    "with a modulus of zero": lambda house: own_jwk(house.stranger, n="AA"),
    "with a modulus that is a number": lambda house: own_jwk(house.stranger, n=3),
    "weak": lambda house: own_jwk(house.weak),
    "a secret": lambda house: {"kty": "oct", "k": base64url(house.pem)},
    "an empty secret": lambda house: {"kty": "oct", "k": ""},
    "on a curve": lambda house: {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},
    "a point that is none": lambda house: {"kty": "EC", "crv": "P-256", "x": "", "y": ""},
    "of no kind": lambda house: {},
    "of an unknown kind": lambda house: {"kty": "XXX"},
    "of a kind that is a list": lambda house: own_jwk(house.stranger, kty=["RSA"]),
    "a list": lambda house: [own_jwk(house.stranger)],
    "a text": lambda house: "RSA",
    "null": lambda house: None,
    "the right one": lambda house: own_jwk(house.signer),
}
for kind, jwk in JWKS.items():
    forged(
        SIGNATURE,
        **{
            f"jwk {kind}": lambda house, jwk=jwk: house.jwt({"jwk": jwk(house)}, sign=house.stranger.rs()),
            f"jwk {kind}, without kid": lambda house, jwk=jwk: house.jwt(
                {"jwk": jwk(house), "kid": ABSENT}, sign=house.stranger.rs()
            ),
        },
    )
for name, values in {
    "jku": ["http://127.0.0.1:9/jwks", "https://attacker.example/jwks.json", "file:///etc/passwd", "", None, 1],
    "x5u": ["http://127.0.0.1:9/x5u", "https://attacker.example/cert.pem", "ftp://x", ["https://x.example"], None],
    "x5c": [["MIIB"], ["A" * 600], [], "MIIB", None, [1], [["MIIB"]]],
    "x5t": ["A" * 27, "", None, 1],
    "x5t#S256": ["A" * 43, 1],
}.items():
    each(
        SIGNATURE,
        f"{name} of a stranger",
        values,
        lambda house, value, name=name: house.jwt({name: value}, sign=house.stranger.rs()),
    )

# --- The name of the key: exactly one of the issuer's, or none.

KIDS = [
    "../../x",
    "../../../../../../dev/null",
    "/dev/null",
    "' OR 1=1",
    "' OR '1'='1' --",
    "x' UNION SELECT 'AA",
    "",
    " ",
    "\0",
    "*",
    "%",
    "_" * 40,
    "ä",
    "\ud800",
    "0" * 40,
    "file:///dev/null",
    "http://127.0.0.1:9/key",
    "| id",
    "x" * 1400,
]
each(SIGNATURE, "kid", KIDS, with_header("kid"))
each(SIGNATURE, "kid that is no text", [None, 0, 1, True, [], {}, 1.5], with_header("kid"))
forged(
    SIGNATURE,
    kid_in_a_list=lambda house: house.jwt({"kid": [house.keys[0].public.key_id]}),
    kid_in_upper_case=lambda house: house.jwt({"kid": f"{house.keys[0].public.key_id.upper()}G"}),
    kid_with_a_space=lambda house: house.jwt({"kid": house.keys[0].public.key_id + " "}),
    kid_with_nul=lambda house: house.jwt({"kid": house.keys[0].public.key_id + "\0"}),
    kid_cut=lambda house: house.jwt({"kid": house.keys[0].public.key_id[:-1]}),
    kid_of_its_second_key=lambda house: house.jwt({"kid": house.keys[1].public.key_id}),
    kid_of_another_issuer=lambda house: house.jwt({"kid": house.other_key.public.key_id}),
    kid_and_key_of_another_issuer=lambda house: house.jwt(
        {"kid": house.other_key.public.key_id}, sign=Signer.of(house.other_key).rs()
    ),
    key_of_another_issuer=lambda house: house.jwt(sign=Signer.of(house.other_key).rs()),
    key_of_another_issuer_without_kid=lambda house: house.jwt(
        {"kid": ABSENT}, sign=Signer.of(house.other_key).rs()
    ),
    key_that_another_issuer_never_had=lambda house: house.jwt(claims={"iss": house.other.address}),
)

# --- The issuer.

each(
    NO_ACCOUNT,
    "iss",
    [
        ABSENT,
        None,
        "",
        0,
        True,
        [],
        {},
        "nobody@postroad.iam.gserviceaccount.com",
        "alice@example.test",
        "robot@postroad.iam.gserviceaccount.com.",
        "robot@postroad.iam.gserviceaccount.com ",
        " robot@postroad.iam.gserviceaccount.com",
        "Robot@postroad.iam.gserviceaccount.com",
        "robot@POSTROAD.iam.gserviceaccount.com",
        "robot@postroad.iam.gserviceaccount.com\0",
        "robot@postroad.iam.gserviceaccount.com\n",
        "rob\u043et@postroad.iam.gserviceaccount.com",
        "robot\u0000@postroad.iam.gserviceaccount.com",
        "\ud800@postroad.iam.gserviceaccount.com",
        "' OR 1=1 --",
        "%@postroad.iam.gserviceaccount.com",
        "x" * 8000,
    ],
    with_claim("iss"),
)
forged(
    NO_ACCOUNT,
    iss_in_a_list=lambda house: house.jwt(claims={"iss": [house.robot.address]}),
    iss_is_the_number=lambda house: house.jwt(claims={"iss": house.robot.client_id}),
    iss_unknown_and_a_strangers_key=lambda house: house.jwt(
        {"jwk": own_jwk(house.stranger)}, {"iss": "nobody@postroad.iam.gserviceaccount.com"}, house.stranger.rs()
    ),
)
forged(
    DISABLED,
    iss_is_disabled=lambda house: house.jwt(
        {"kid": ABSENT}, {"iss": house.off.address}, Signer.of(house.other_key).rs()
    ),
)

# --- Times (RFC 7519 section 2): numbers, within an hour, around now.

each(NO_IAT, "iat", [ABSENT, None], with_claim("iat"))
each(NO_EXP, "exp", [ABSENT, None], with_claim("exp"))
NO_TIMES = [
    True,
    False,
    "",
    "x",
    "NaN",
    "Infinity",
    "1e9",
    "+1790000000",
    "-1790000000",
    " 1790000000",
    "1790000000 ",
    "1_790_000_000",
    "0x6ab13b80",
    "१७९००००००",
    "1790000000.",
    "2026-09-21T00:00:00Z",
    [],
    {},
    [NOW],
    0,
    -1,
    1 << 63,
    10**400,
    -(10**400),
    1e300,
    NOW * 1000,
]
each(WINDOW, "iat", NO_TIMES, with_claim("iat"))
each(WINDOW, "exp", NO_TIMES, with_claim("exp"))
each(WINDOW, "nbf", [*NO_TIMES[:19], None, NOW + 301, 10**400, "1790000301"], with_claim("nbf"))
each(
    WINDOW,
    "iat and exp",
    [
        (NOW, NOW + 3601),
        (NOW, NOW + 86_400),
        (NOW, NOW + 3600.5),
        (NOW, NOW),
        (NOW, NOW - 1),
        (NOW - 3600, NOW + 3600),
        (NOW - 7200, NOW - 3600),
        (NOW - 3600, NOW - 300),
        (NOW + 301, NOW + 3901),
        (NOW + 86_400, NOW + 90_000),
        (-3600, 0),
        (str(NOW), str(NOW + 3601)),
        (f"{NOW}.5", f"{NOW + 3601}.5"),
    ],
    lambda house, times: house.jwt(claims={"iat": times[0], "exp": times[1]}),
)
for constant in ("NaN", "Infinity", "-Infinity"):
    each(
        MALFORMED,
        f"{constant} as",
        ["iat", "exp", "nbf", "x"],
        lambda house, name, constant=constant: house.parts(
            claims=octets_of(house.claims(**{name: "?"})).replace(b'"?"', constant.encode())
        ),
    )
forged(
    WINDOW,
    exp_is_infinite=lambda house: house.parts(claims=octets_of(house.claims(exp="?")).replace(b'"?"', b"1e999")),
)
forged(
    MALFORMED,
    exp_has_5000_digits=lambda house: house.parts(
        claims=octets_of(house.claims(exp="?")).replace(b'"?"', b"1" * 5000)
    ),
    exp_is_octal=lambda house: house.parts(claims=octets_of(house.claims(exp="?")).replace(b'"?"', b"0123")),
)

# --- What for (hardening.md G11): scopes are exact.

each(
    SCOPE,
    "scope",
    [
        ABSENT,
        None,
        "",
        " ",
        0,
        True,
        [],
        [SEND],
        {},
        "gmail.send",
        "x",
        SEND.upper(),
        SEND + "/",
        SEND + "\n",
        "\t" + SEND,
        f"{SEND},{READ}",
        f"{SEND}\t{READ}",
        f"{SEND}\u00a0{READ}",
        f"{SEND} x",
        f"{SEND} https://www.googleapis.com/auth/drive",
        "https://mail.google.com",
        "http://mail.google.com/",
        SEND[:-1],
        "https://www.googleapis.com/auth/gmail",
        "\ud800",
        "\0",
    ],
    with_claim("scope"),
)
forged(
    SCOPE,
    target_audience_alone=lambda house: house.jwt(
        claims={"scope": ABSENT, "target_audience": "https://x.example"}
    ),
)

# --- For whom it is meant: one name, exactly.

each(
    AUDIENCE,
    "aud",
    [
        ABSENT,
        None,
        "",
        0,
        True,
        {},
        [],
        [GOOGLE],
        [GOOGLE, GOOGLE],
        [GOOGLE, "https://evil.example"],
        [[GOOGLE]],
        {GOOGLE: 1},
        "https://oauth2.googleapis.com",
        "https://oauth2.googleapis.com/",
        GOOGLE + "/",
        GOOGLE + " ",
        " " + GOOGLE,
        GOOGLE + "\0",
        GOOGLE + "?x=1",
        GOOGLE + "#",
        GOOGLE + "x",
        GOOGLE[:-1],
        GOOGLE.upper(),
        "HTTPS://oauth2.googleapis.com/token",
        "http://oauth2.googleapis.com/token",
        "https://oauth2.googleapis.com:443/token",
        "https://oauth2.googleapis.com.evil.example/token",
        "https://evil.example/https://oauth2.googleapis.com/token",
        "https://oauth2.googleapis.com@evil.example/token",
        "https://oauth2.googleapis.com/revoke",
        "https://www.googleapis.com/oauth2/v3/token",
        "https://gmail.googleapis.com/",
        f"{GOOGLE} {GOOGLE}",
        f"{GOOGLE},{OURS}/token",
        OURS,
        OURS + "/",
        OURS + "/token/",
        OURS + "/revoke",
        "http://127.0.0.1:8588/token",
        "http://localhost:8587/token",
        "\ud800",
        "*",
    ],
    with_claim("aud"),
)

# --- For whom it acts.

each(SUBJECT, "sub", ["", 0, 1, True, False, [], {}, ["alice@example.test"], 1.5], with_claim("sub"))
each(SUBJECT, "prn", [0, True, [], ["alice@example.test"]], with_claim("prn"))
forged(
    SUBJECT,
    sub_and_another_prn=lambda house: house.jwt(claims={"sub": "alice@example.test", "prn": "bob@example.test"}),
    sub_and_an_empty_prn=lambda house: house.jwt(claims={"sub": "alice@example.test", "prn": ""}),
)

# --- Names that stand twice (RFC 7515 section 4, RFC 7519 section 4).


def twice(values: dict[str, Any], name: str, another: Any) -> bytes:
    text = json.dumps(values)
    return f"{text[:-1]}, {json.dumps(name)}: {json.dumps(another)}}}".encode()


for name, another in {
    "iss": "other@postroad.iam.gserviceaccount.com",
    "aud": GOOGLE,
    "exp": NOW + 10**6,
    "iat": NOW,
    "scope": READ,
}.items():
    forged(
        MALFORMED,
        **{
            f"twice {name} {another}": lambda house, name=name, another=another: house.parts(
                claims=twice(house.claims(), name, another)
            )
        },
    )
forged(
    MALFORMED,
    sub_twice=lambda house: house.parts(
        claims=twice(house.claims(sub="alice@example.test"), "sub", "bob@example.test")
    ),
    kid_twice=lambda house: house.parts(twice(house.header(), "kid", house.other_key.public.key_id)),
    the_same_kid_twice=lambda house: house.parts(twice(house.header(), "kid", house.keys[0].public.key_id)),
    alg_twice=lambda house: house.parts(twice(house.header(), "alg", "none")),
    alg_twice_and_right_at_last=lambda house: house.parts(twice(house.header(alg="none"), "alg", "RS256")),
    name_twice_inside=lambda house: house.parts(
        claims=octets_of(house.claims(x="?")).replace(b'"?"', b'{"a": 1, "a": 2}')
    ),
    name_twice_by_an_escape=lambda house: house.parts(
        claims=octets_of(house.claims()).replace(b'"iss"', b'"\\u0069ss": "x", "iss"')
    ),
)

# --- Not a compact serialization of two JSON objects (RFC 7515 section 7.1).

each(
    MALFORMED,
    "text",
    [
        "",
        ".",
        "..",
        "...",
        "a",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "....",
        "e30",
        "e30.e30",
        "\0.\0.\0",
        "{}",
        " ",
        "ya29.x",
    ],
    lambda house, text: text,
)
each(
    MALFORMED,
    "header",
    [[], [1], ["alg"], "alg", "b64 alg", 1, None, True, 1.5, "x"],
    lambda house, value: house.parts(octets_of(value)),
)
each(
    MALFORMED,
    "claims",
    [[], [1], "x", 1, None, True, 1.5, [{"iss": "x"}]],
    lambda house, value: house.parts(claims=octets_of(value)),
)
each(
    MALFORMED,
    "octets as claims",
    [
        b"",
        b"{",
        b"{}x",
        b"{'iss': 1}",
        b"{iss: 1}",
        b'{"a": 1,}',
        b"\xff",
        b'{"a": "\xe4"}',
        b'{"a": "\n"}',
        b"//\n{}",
    ],
    lambda house, octets: house.parts(claims=octets),
)
each(
    MALFORMED,
    "octets as header",
    [b"", b"{", b"{}x", b"{'alg': 'RS256'}", b"\xff", b'{"alg": "RS256", "x": "\xe4"}', b'{"alg": NaN}', b"["],
    lambda house, octets: house.parts(octets),
)
each(
    MALFORMED,
    "claims in",
    ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7"],
    lambda house, charset: house.parts(
        claims=b"\xef\xbb\xbf" + octets_of({})
        if charset == "utf-7"
        else json.dumps(house.claims()).encode(charset)
    ),
)
each(
    MALFORMED,
    "header in",
    ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"],
    lambda house, charset: house.parts(json.dumps(house.header()).encode(charset)),
)
forged(
    MALFORMED,
    detached=lambda house: house.cut((1, lambda _: "")),
    without_header=lambda house: house.cut((0, lambda _: "")),
    two_parts=lambda house: house.jwt().rpartition(".")[0],
    a_fourth_part=lambda house: house.jwt() + ".",
    encrypted_form=lambda house: house.jwt() + ".AAAA.AAAA",
    a_dot_before=lambda house: "." + house.jwt(),
    nested=lambda house: compact(house.header(cty="JWT"), house.jwt().encode(), house.signer.rs()),
    json_serialization_flattened=lambda house: json.dumps(
        dict(zip(("protected", "payload", "signature"), house.jwt().split("."), strict=True))
    ),
    json_serialization_general=lambda house: general(house.jwt()),
    with_bearer_before=lambda house: "Bearer " + house.jwt(),
    in_quotes=lambda house: f'"{house.jwt()}"',
    twice_over=lambda house: f"{house.jwt()} {house.jwt()}",
    header_of_256_kb=lambda house: house.jwt({"x": "y" * 262_144}),
    header_too_long=lambda house: house.jwt({"x": "y" * 1500}),
    claims_of_200_kb=lambda house: house.jwt(claims={"x": "y" * 200_000}),
    claims_too_long=lambda house: house.jwt(claims={"x": "y" * 12_000}),
    one_octet_too_long=lambda house: house.jwt() + "A" * (assertions.MAX_LENGTH + 1 - len(house.jwt())),
    signature_too_long=lambda house: house.jwt(sign=always(bytes(800))),
    ten_megabytes=lambda house: "e30." * 2_500_000,
    dots=lambda house: "." * 16_384,
    nested_claims=lambda house: house.parts(claims=b'{"a":' * 2000 + b"1" + b"}" * 2000),
    nested_list=lambda house: house.parts(claims=b"[" * 10_000),
    nested_header=lambda house: house.parts(b'{"alg":"RS256","a":' + b"[" * 1200),
    nested_header_closed=lambda house: house.parts(b"[" * 700 + b"]" * 700),
)


def general(text: str) -> str:
    protected, payload, signature = text.split(".")
    return json.dumps({"payload": payload, "signatures": [{"protected": protected, "signature": signature}]})


# --- Base64url (RFC 7515 section 2): without padding, white space, or another alphabet.

FULL_WIDTH_DOT = "\uff0e"
for place, part in enumerate(("header", "claims")):
    for name, change in {
        "padded": lambda text: text + "=" * (-len(text) % 4 or 1),
        "padded too much": lambda text: text + "====",
        "with white space before": lambda text: " " + text,
        "with white space inside": lambda text: f"{text[:9]} {text[9:]}",
        "with a line break inside": lambda text: f"{text[:9]}\r\n{text[9:]}",
        "with a line break behind": lambda text: text + "\n",
        "with NUL behind": lambda text: text + "\0",
        "with a plus": lambda text: "+" + text[1:],
        "with a slash": lambda text: "/" + text[1:],
        "with a per cent sign": lambda text: "%" + text[1:],
        "with a letter that is none": lambda text: "\u00e4" + text[1:],
        "with a full-width letter": lambda text: "\uff45" + text[1:],
        "with a surrogate": lambda text: "\ud800" + text[1:],
        "a character short of an octet": lambda text: text[: len(text) // 4 * 4] + "A",
    }.items():
        forged(
            MALFORMED,
            **{f"{part} {name}": lambda house, place=place, change=change: house.cut((place, change))},
        )


def loose_end(text: str) -> str:
    """The same octets with other bits behind the last one, which nobody should read (RFC 4648 section 3.5)."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


forged(
    SIGNATURE,
    signature_padded=lambda house: house.cut((2, lambda text: text + "==")),
    signature_in_the_other_alphabet=lambda house: house.cut((2, lambda text: "+/" + text[2:])),
    signature_in_plain_base64=lambda house: house.cut(
        (2, lambda text: base64.b64encode(base64.urlsafe_b64decode(text + "==")).decode())
    ),
    signature_with_white_space=lambda house: house.cut((2, lambda text: f"{text[:9]} {text[9:]}")),
    signature_with_a_line_break=lambda house: house.cut((2, lambda text: text + "\n")),
    signature_with_nul=lambda house: house.cut((2, lambda text: text + "\0")),
    signature_with_loose_bits=lambda house: house.cut((2, loose_end)),
    signature_with_a_character_more=lambda house: house.cut((2, lambda text: text + "A")),
    signature_in_hexadecimal=lambda house: house.cut(
        (2, lambda text: base64.urlsafe_b64decode(text + "==").hex())
    ),
    no_signature=lambda house: house.cut((2, lambda _: "")),
)
forged(
    MALFORMED,
    signature_with_a_letter_that_is_none=lambda house: house.cut((2, lambda text: "\u00e4" + text[1:])),
    full_width_dots=lambda house: house.jwt().replace(".", FULL_WIDTH_DOT),
)
