"""The configuration: all that is wrong is said at once; the environment wins."""

import json
from pathlib import Path

import pytest

from crawl_gateway.settings import FIRST_TENANT, ConfigurationError, Settings


def test_every_setting_has_a_default() -> None:
    settings = Settings.load(None)
    assert (settings.port, settings.default_namespace, settings.anonymous) == (8080, "default", "")
    assert settings.audiences == ("crawl-gateway", "")


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("port: 0\ndefaultNamespace: Not A Label\ncolour: red\norigins: ['*']\n")
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(file)
    for name in ("port", "defaultNamespace", "colour", "origins"):
        assert name in str(caught.value)


@pytest.mark.parametrize("content", ["[]", "a: [", "port"])
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=str(file)):
        Settings.load(file)


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("port: 1234\nnamespaces: [default, b]\n")
    monkeypatch.setenv("CRAWL_GATEWAY_PORT", "4321")
    monkeypatch.setenv("CRAWL_GATEWAY_NAMESPACES", '["default", "c"]')
    settings = Settings.load(file)
    assert (settings.port, settings.namespaces) == (4321, ("default", "c"))
    monkeypatch.setenv("CRAWL_GATEWAY_PORT", "no number")
    with pytest.raises(ConfigurationError, match="port"):
        Settings.load(file)


def test_the_default_namespace_is_one_that_is_served() -> None:
    with pytest.raises(ValueError, match="default: meant by"):
        Settings(namespaces=("a",))


LOGIN = {"tokenEndpoint": "https://id.example.org/token", "clientId": "crawls"}


def test_nobody_logs_in_by_default() -> None:
    assert Settings.load(None).login is None


@pytest.mark.parametrize(
    "url",
    [
        "https://id.example.org/realms/a/token?x=y",
        "http://127.0.0.1:8080/token",
        "http://[::1]:8080/token",
        "http://localhost/token",
    ],
)
def test_passwords_go_where_nobody_listens(tmp_path: Path, url: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps({"login": {**LOGIN, "tokenEndpoint": url}}))
    found = Settings.load(file).login
    assert found is not None
    assert (found.token_endpoint, found.token, found.scope) == (url, "id_token", "openid")


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"tokenEndpoint": "http://id.example.org/token"}, "tokenEndpoint"),
        ({"tokenEndpoint": "http://127.0.0.1.example.org/token"}, "tokenEndpoint"),
        ({"tokenEndpoint": "http://10.0.0.1/token"}, "tokenEndpoint"),
        ({"tokenEndpoint": "https://jo:secret@id.example.org/token"}, "tokenEndpoint"),
        ({"tokenEndpoint": "https:///token"}, "tokenEndpoint"),
        ({"tokenEndpoint": "file:///etc/passwd"}, "tokenEndpoint"),
        ({"clientId": ""}, "clientId"),
        ({"clientSecretFile": "/nowhere/at/all"}, "clientSecretFile"),
        ({"token": "refresh_token"}, "token"),
        ({"triesPerMinute": 0}, "triesPerMinute"),
        ({"clientSecret": "in the file"}, "clientSecret"),
    ],
)
def test_what_is_wrong_with_a_login_is_said(tmp_path: Path, wrong: dict[str, object], name: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps({"login": LOGIN | wrong}))
    with pytest.raises(ConfigurationError, match=rf"login\.{name}: "):
        Settings.load(file)


def test_tenants_are_namespaces() -> None:
    settings = Settings(default_namespace="home", tenants={"acme": "team-a"})
    assert [settings.namespace_of(each) for each in ("acme", FIRST_TENANT, "team-b")] == ["team-a", "home", "team-b"]
