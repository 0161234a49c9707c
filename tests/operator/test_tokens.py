"""Workers' tokens: real keys, real signatures; only the API server that publishes the keys is a function."""

import base64
import hmac
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from crawl_operator.kube_errors import UnavailableError
from crawl_operator.tokens import TokenRefusedError, TokenVerifier, WorkerIdentity

ISSUER = "https://kubernetes.default.svc"
BOUND = {"namespace": "team", "pod": {"name": "news-abc-1", "uid": "uid-of-pod"}}

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


class Cluster:
    """What an API server publishes about its tokens."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.reads = 0
        self.answers = True

    async def read(self, path: str) -> dict[str, Any]:
        self.reads += 1
        if not self.answers:
            raise UnavailableError("no answer")
        if path == "/.well-known/openid-configuration":
            return {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/openid/v1/jwks"}
        assert path == "/openid/v1/jwks"
        return {"keys": [published(name, key) for name, key in self.keys.items()]}


def published(name: str, key: Key) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": name, "alg": "RS256", "use": "sig"}
    return ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": name, "alg": "ES256", "use": "sig"}


def signed(key: Key, kid: str = "one", **claims: Any) -> str:
    """Sign a token as the API server does; a claim that is None is left out."""
    now = int(time.time())
    values = {
        "aud": ["crawl-operator"],
        "iss": ISSUER,
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "sub": "system:serviceaccount:team:default",
        "kubernetes.io": BOUND,
    } | claims
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    payload = {name: value for name, value in values.items() if value is not None}
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def cluster(rsa_key: rsa.RSAPrivateKey) -> Cluster:
    made = Cluster()
    made.keys["one"] = rsa_key
    return made


@pytest.fixture
def verifier(cluster: Cluster) -> TokenVerifier:
    return TokenVerifier(cluster.read)


async def refusal(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(TokenRefusedError) as error:
        await verifier.verify(token)
    return str(error.value)


async def test_a_workers_token_speaks_for_its_pod(verifier: TokenVerifier, rsa_key: rsa.RSAPrivateKey) -> None:
    assert await verifier.verify(signed(rsa_key)) == WorkerIdentity("team", "news-abc-1", "uid-of-pod")


async def test_elliptic_keys_are_as_good(cluster: Cluster, ec_key: ec.EllipticCurvePrivateKey) -> None:
    cluster.keys = {"one": ec_key}
    identity = await TokenVerifier(cluster.read).verify(signed(ec_key))
    assert identity.pod_uid == "uid-of-pod"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": int(time.time()) - 10}, "expired"),
        ({"exp": None}, 'missing the "exp" claim'),
        ({"aud": ["https://kubernetes.default.svc"]}, "Audience"),
        ({"aud": None}, 'missing the "aud" claim'),
        ({"iss": "https://another-cluster"}, "issuer"),
        ({"iss": None}, 'missing the "iss" claim'),
        ({"nbf": int(time.time()) + 86400}, "not yet valid"),
        ({"kubernetes.io": None}, "not bound to a pod"),
        ({"kubernetes.io": {"namespace": "team"}}, "not bound to a pod"),
        ({"kubernetes.io": {"namespace": "team", "pod": {"name": "news-abc-1"}}}, "not bound to a pod"),
        ({"kubernetes.io": "team"}, "not bound to a pod"),
    ],
)
async def test_a_token_that_does_not_say_all_it_must_is_refused(
    verifier: TokenVerifier, rsa_key: rsa.RSAPrivateKey, claims: dict[str, Any], why: str
) -> None:
    assert why in await refusal(verifier, signed(rsa_key, **claims))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "é", "\udcff" * 3, "Bearer x"])
async def test_what_is_no_token_is_refused(verifier: TokenVerifier, token: str) -> None:
    await refusal(verifier, token)


async def test_a_changed_token_is_refused(verifier: TokenVerifier, rsa_key: rsa.RSAPrivateKey) -> None:
    """Another payload under the same signature, and the same payload under another key's."""
    head, _, signature = signed(rsa_key).split(".")
    other = signed(rsa_key, sub="system:serviceaccount:others:default").split(".")[1]
    assert "Signature" in await refusal(verifier, f"{head}.{other}.{signature}")
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert "Signature" in await refusal(verifier, signed(stranger))


async def test_an_unsigned_token_is_refused(verifier: TokenVerifier, rsa_key: rsa.RSAPrivateKey) -> None:
    payload = jwt.decode(signed(rsa_key), options={"verify_signature": False})
    unsigned = jwt.encode(payload, "", algorithm="none", headers={"kid": "one"})
    assert "alg" in await refusal(verifier, unsigned)


async def test_a_public_key_is_no_secret_to_sign_with(verifier: TokenVerifier, rsa_key: rsa.RSAPrivateKey) -> None:
    """The classic confusion: a token "signed" by HMAC with what everybody can read."""
    public = rsa_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = encoded(b'{"alg":"HS256","kid":"one","typ":"JWT"}')
    message = f"{head}.{signed(rsa_key).split('.')[1]}"
    forged = f"{message}.{encoded(hmac.digest(public, message.encode(), 'sha256'))}"
    assert "alg" in await refusal(verifier, forged)


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


async def test_an_unknown_key_is_looked_for_and_then_refused(
    cluster: Cluster, verifier: TokenVerifier, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    assert "none of the cluster's keys" in await refusal(verifier, signed(ec_key, kid="other"))
    assert "none of the cluster's keys" in await refusal(verifier, jwt.encode({}, ec_key, algorithm="ES256"))


async def test_the_keys_are_read_once_for_all_tokens(
    cluster: Cluster, verifier: TokenVerifier, rsa_key: rsa.RSAPrivateKey
) -> None:
    """A report costs no API call."""
    for _ in range(20):
        await verifier.verify(signed(rsa_key))
    assert cluster.reads == 2, "the issuer, and the keys"


async def test_whatever_tokens_claim_the_api_server_is_asked_seldom(
    cluster: Cluster, verifier: TokenVerifier, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """Nobody can make the operator ask by sending tokens with invented key names."""
    for number in range(50):
        await refusal(verifier, signed(ec_key, kid=f"invented{number}"))
    assert cluster.reads == 2


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let time pass for the verifier."""
    passed = 0.0
    real = time.monotonic

    def go(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    clock = SimpleNamespace(monotonic=lambda: real() + passed)
    monkeypatch.setattr("crawl_operator.tokens.time", clock)
    return go


async def test_a_new_key_is_found_when_it_is_first_used(
    cluster: Cluster,
    verifier: TokenVerifier,
    rsa_key: rsa.RSAPrivateKey,
    ec_key: ec.EllipticCurvePrivateKey,
    later: Callable[[float], None],
) -> None:
    """Keys are rotated: both are published for a while, and nobody restarts the operator."""
    await verifier.verify(signed(rsa_key))
    cluster.keys["two"] = ec_key
    later(11)
    for token in (signed(ec_key, kid="two"), signed(rsa_key)):
        assert (await verifier.verify(token)).pod_uid == "uid-of-pod"
    assert cluster.reads == 4


async def test_a_withdrawn_key_is_forgotten_within_the_hour(
    cluster: Cluster, verifier: TokenVerifier, rsa_key: rsa.RSAPrivateKey, later: Callable[[float], None]
) -> None:
    await verifier.verify(signed(rsa_key))
    del cluster.keys["one"]
    cluster.keys["two"] = ec.generate_private_key(ec.SECP256R1())
    later(3500)
    await verifier.verify(signed(rsa_key))
    later(101)
    assert "none of the cluster's keys" in await refusal(verifier, signed(rsa_key))


async def test_without_an_answer_nothing_is_said_about_the_token(
    cluster: Cluster, verifier: TokenVerifier, rsa_key: rsa.RSAPrivateKey
) -> None:
    """The API server is away: that is not the worker's fault, and it goes on as soon as it is back."""
    cluster.answers = False
    with pytest.raises(UnavailableError):
        await verifier.verify(signed(rsa_key))
    cluster.answers = True
    assert (await verifier.verify(signed(rsa_key))).pod_uid == "uid-of-pod"
