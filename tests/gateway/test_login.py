"""Passwords for tokens: what is asked of an OpenID provider, and what is made of its answers."""

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs

import pytest

from crawl_client import TaskClient
from gateway_client import Gateway, GatewayProcess, Tenant, gateway
from local_cluster.cluster import LocalCluster
from operator_process import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]

EMAIL, PASSWORD, SECRET = "jo@example.org", "open sesame+&=", "s:3 cret"
JO = {"email": EMAIL, "password": PASSWORD}


class Provider:
    """An OpenID provider that knows one user; `answer` is what it says to whatever it is asked."""

    def __init__(self) -> None:
        self.answer: tuple[int, Any] = (200, {})
        self.asked: list[tuple[str, dict[str, str]]] = []
        """The header Authorization and the form of each request."""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {key: value for key, (value,) in parse_qs(content, strict_parsing=True).items()}
                provider.asked.append((self.headers.get("Authorization", ""), form))
                status, said = provider.answer
                if (form["username"], form["password"]) != (EMAIL, PASSWORD):
                    status, said = 400, {"error": "invalid_grant", "error_description": f"{form} is wrong"}
                body = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with Provider() as made:
        yield made


@pytest.fixture
def provider(running: Provider, owner: Tenant) -> Provider:
    """A provider that gives the owner's token, as the API server has issued it."""
    running.asked.clear()
    running.answer = (200, {"id_token": owner.token, "access_token": "for others", "expires_in": 60})
    return running


@pytest.fixture(scope="module")
def process(
    cluster: LocalCluster, running: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway that exchanges passwords, at its most talkative."""
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "secret").write_text(f"{SECRET}\n")
    login: dict[str, Any] = {"tokenEndpoint": running.url, "clientId": "crawls"}
    login |= {"clientSecretFile": str(folder / "secret"), "scope": "openid email", "triesPerMinute": 1000}
    with gateway(cluster, folder, login=login, logging="debug") as made:
        yield made


@pytest.fixture(scope="module")
def nobody(process: GatewayProcess, owner: Tenant) -> Iterator[Gateway]:
    with Gateway(process, None, **{"X-Namespace": owner.name}) as client:
        yield client


def test_a_token_for_a_password_opens_the_door(
    nobody: Gateway, process: GatewayProcess, provider: Provider, owner: Tenant
) -> None:
    answer = nobody.http.post("/v1/login", json=JO)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    given = answer.json()
    assert set(given) == {"access_token", "token_type", "expires_in"}
    assert (given["access_token"], given["token_type"]) == (owner.token, "Bearer")
    assert given["expires_in"] > 600  # the token's own, and not that of the other one
    nobody.call("GET", "/v1/jobs", 401)
    nobody.call("GET", "/v1/jobs", 200, headers={"Authorization": f"Bearer {given['access_token']}"})
    ((authorization, form),) = provider.asked
    assert base64.b64decode(authorization.removeprefix("Basic ")).decode() == "crawls:s%3A3+cret"
    assert form == {"grant_type": "password", "username": EMAIL, "password": PASSWORD, "scope": "openid email"}
    with TaskClient(process.url, namespace=owner.name) as client:
        assert "HTTP 401" in (client.list_tasks().error or "")
        assert "HTTP 401" in (client.login(EMAIL, "wrong").error or "")
        assert "HTTP 401" in (client.list_tasks().error or "")
        assert client.login(EMAIL, PASSWORD).success
        assert client.list_tasks().success


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        ((400, {"error": "invalid_grant"}), 401, "Unauthorized"),
        ((401, {"error": "invalid_grant"}), 401, "Unauthorized"),
        ((401, {"error": "invalid_client"}), 502, "LoginFailed"),
        ((400, {"error": "unsupported_grant_type"}), 502, "LoginFailed"),
        ((400, {"error": EMAIL}), 502, "LoginFailed"),
        ((400, ["invalid_grant"]), 502, "LoginFailed"),
        ((200, {"access_token": "for others"}), 502, "LoginFailed"),
        ((200, {"id_token": 7}), 502, "LoginFailed"),
        ((200, b"<html>"), 502, "LoginFailed"),
        ((200, {"id_token": "x" * 70_000}), 502, "LoginFailed"),
        ((302, {}), 502, "LoginFailed"),
        ((500, {}), 502, "LoginFailed"),
        ((429, {}), 429, "TooManyRequests"),
    ],
)
def test_what_a_provider_refuses_or_garbles_is_told(
    nobody: Gateway, provider: Provider, answer: tuple[int, Any], status: int, code: str
) -> None:
    provider.answer = answer
    told = nobody.http.post("/v1/login", json=JO)
    assert (told.status_code, told.json()["error"]["code"]) == (status, code), told.text
    assert EMAIL not in told.text
    assert ("www-authenticate" in told.headers) == (status == 401)


def test_a_wrong_password_is_401(nobody: Gateway, provider: Provider) -> None:
    told = nobody.call("POST", "/v1/login", 401, {**JO, "password": "wrong"})["error"]
    assert "does not accept" in told["message"]
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b'{"email": "jo@example.org", "password": "hush-hush', 400),
        (b"[]", 422),
        (b'{"email": "jo@example.org"}', 422),
        (b'{"email": "jo@example.org", "password": ["hush-hush"]}', 422),
        (b'{"email": "", "password": "hush-hush"}', 422),
        (json.dumps({"email": EMAIL, "password": "hush-hush" * 200}).encode(), 422),
        (json.dumps({"email": EMAIL, "password": "hush-hush", "more": "x" * 9000}).encode(), 413),
    ],
)
def test_what_is_no_login_is_not_passed_on_nor_repeated(
    nobody: Gateway, provider: Provider, content: bytes, status: int
) -> None:
    told = nobody.http.post("/v1/login", content=content)
    assert told.status_code == status, told.text
    assert "hush" not in told.text
    assert EMAIL not in told.text
    assert provider.asked == []


def test_no_log_holds_anything_of_a_login(
    nobody: Gateway, process: GatewayProcess, provider: Provider, owner: Tenant
) -> None:
    for number, password in enumerate((PASSWORD, "hush-hush")):
        headers = {"X-Request-ID": f"login-{number}"}
        nobody.http.post("/v1/login", json={**JO, "password": password}, headers=headers)
        wait_until(lambda n=number: f"id=login-{n}" in process.log, "it is logged", 5)  # type: ignore[misc]
    log = process.log
    assert "POST /v1/login 200" in log
    assert "POST /v1/login 401" in log
    for secret in (EMAIL, "jo%40", "sesame", "hush", "s:3", "s%3A3", owner.token):
        assert secret not in log, secret


def test_one_address_has_so_many_tries(cluster: LocalCluster, provider: Provider, tmp_path: Path) -> None:
    """The provider takes another token, and no secret, here."""
    login = {"tokenEndpoint": provider.url, "clientId": "crawls", "token": "access_token", "triesPerMinute": 3}
    with gateway(cluster, tmp_path, login=login) as small, Gateway(small) as client:
        given = client.call("POST", "/v1/login", 200, JO)
        assert given == {"access_token": "for others", "token_type": "Bearer", "expires_in": 60}
        assert provider.asked[0][0] == ""
        assert provider.asked[0][1]["client_id"] == "crawls"
        answers = [client.http.post("/v1/login", json=JO) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
        assert int(answers[-1].headers["retry-after"]) >= 10
        assert len(provider.asked) == 3
        client.call("GET", "/v1/jobs", 401)  # other requests are not counted


def test_where_no_provider_answers_it_is_503(cluster: LocalCluster, tmp_path: Path) -> None:
    login = {"tokenEndpoint": "http://127.0.0.1:1/token", "clientId": "crawls"}
    with gateway(cluster, tmp_path, login=login) as alone, Gateway(alone) as client:
        told = client.http.post("/v1/login", json=JO)
        assert (told.status_code, told.json()["error"]["code"]) == (503, "LoginUnavailable")
        assert told.headers["retry-after"]
        wait_until(lambda: "login: ConnectError" in alone.log, "it is logged", 5)


def test_a_secret_that_cannot_be_read_is_not_said_of_the_provider(
    cluster: LocalCluster, provider: Provider, tmp_path: Path
) -> None:
    (secret := tmp_path / "secret").write_text(SECRET)
    login = {"tokenEndpoint": provider.url, "clientId": "crawls", "clientSecretFile": str(secret)}
    with gateway(cluster, tmp_path, login=login) as made, Gateway(made) as client:
        for spoil, why in ((lambda: secret.write_bytes(b"\xff"), "no text"), (secret.unlink, "No such file")):
            spoil()
            told = client.call("POST", "/v1/login", 503, JO)["error"]
            assert (told["code"], told["message"]) == ("LoginUnavailable", "the gateway cannot read its client secret")
            wait_until(lambda w=why: f"clientSecretFile {secret}: {w}" in made.log, "it is logged", 5)  # type: ignore[misc]
    assert provider.asked == []


def test_by_default_there_is_no_login(cluster: LocalCluster, tmp_path: Path) -> None:
    with gateway(cluster, tmp_path) as plain, Gateway(plain) as client:
        assert client.call("POST", "/v1/login", 404, JO)["error"]["code"] == "LoginNotConfigured"
