"""Errors, repeated tries and logins, over real sockets: an HTTP server that answers as it is told."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from crawl_client import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    CrawlClient,
    ForbiddenError,
    NotFoundError,
    QueueFullError,
    RateLimitError,
    UnavailableError,
    ValidationError,
    single,
)

JOB: dict[str, Any] = {"metadata": {"name": "a", "namespace": "here"}, "spec": {"type": "Single"}}

Answer = tuple[int, dict[str, str], Any]


@asynccontextmanager
async def answering(decide: Callable[[web.Request], Answer]) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        status, headers, body = decide(request)
        return web.Response(status=status, headers=headers, text=body if isinstance(body, str) else json.dumps(body))

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def client_of(url: str, **options: Any) -> CrawlClient:
    return CrawlClient(server=url, token="secret", **options)


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_tried_again_and_not_before_it_was_asked_to(code: int) -> None:
    times: list[float] = []

    def decide(_: web.Request) -> Answer:
        times.append(asyncio.get_running_loop().time())
        return (code, {"Retry-After": "0.5"}, {"message": "later"}) if len(times) < 2 else (200, {}, JOB)

    async with answering(decide) as url, client_of(url) as client:
        assert (await client.jobs.get("a")).name == "a"
    assert len(times) == 2
    assert times[1] - times[0] >= 0.5


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (400, "bad", ValidationError),
        (401, "Unauthorized", AuthenticationError),
        (403, "is forbidden", ForbiddenError),
        (403, "exceeded quota: jobs", QueueFullError),
        (404, "not found", NotFoundError),
        (422, "is invalid", ValidationError),
        (418, "teapot", APIError),
    ],
)
async def test_what_will_not_pass_is_tried_once_and_has_its_own_exception(
    code: int, message: str, kind: type[Exception]
) -> None:
    calls: list[str] = []

    def decide(request: web.Request) -> Answer:
        calls.append(request.headers["Authorization"])
        return code, {}, {"message": message, "reason": "Why"}

    async with answering(decide) as url, client_of(url) as client:
        with pytest.raises(kind, match=message) as error:
            await client.jobs.get("a")
    assert calls == ["Bearer secret"]
    if isinstance(error.value, APIError):
        assert (error.value.status_code, error.value.reason) == (code, "Why")


async def test_who_asks_too_often_is_told_for_how_long_to_stay_away() -> None:
    async with (
        answering(lambda _: (429, {"Retry-After": "7"}, {"message": "too many"})) as url,
        client_of(url, retries=0) as client,
    ):
        with pytest.raises(RateLimitError) as error:
            await client.jobs.get("a")
    assert (error.value.status_code, error.value.retry_after) == (429, 7)


async def test_a_submission_whose_answer_was_lost_is_found_to_have_gone_well() -> None:
    stored: list[dict[str, Any]] = []

    async def store(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.json_response(stored[0])
        if stored:
            return web.json_response({"message": "already exists", "reason": "AlreadyExists"}, status=409)
        body = await request.json()
        stored.append(body | {"spec": body["spec"] | {"timeoutSeconds": 300}})
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", store)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with client_of(f"http://127.0.0.1:{runner.addresses[0][1]}") as client:
            job = await client.jobs.submit(single("https://example.org/", name="once"))
            assert job.name == "once"
            with pytest.raises(APIError, match="already exists"):
                await client.jobs.submit(single("https://example.com/", name="once"))
    finally:
        await runner.cleanup()


async def test_silence_and_nonsense_are_no_answer() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and listens to nobody
        async with client_of(f"http://127.0.0.1:{silent.getsockname()[1]}", retries=0) as client:
            with pytest.raises(UnavailableError, match="does not answer"):
                await client.jobs.get("a")
    async with answering(lambda _: (200, {}, "<html>")) as url, client_of(url, retries=0) as client:
        with pytest.raises(UnavailableError, match="is not JSON"):
            await client.jobs.get("a")


def kubeconfig(path: Path, url: str, user: dict[str, Any]) -> Path:
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "main",
                "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "here"}}],
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "u", "user": user}],
            }
        )
    )
    return path


async def test_a_credential_plugin_is_asked_again_when_its_token_is_refused(tmp_path: Path) -> None:
    count = tmp_path / "count"
    program = tmp_path / "plugin.py"
    program.write_text(
        "import json, os, sys, pathlib\n"
        "assert json.loads(os.environ['KUBERNETES_EXEC_INFO'])['kind'] == 'ExecCredential'\n"
        f"path = pathlib.Path({str(count)!r})\n"
        "path.write_text((path.read_text() if path.exists() else '') + 'x')\n"
        "token = sys.argv[1] + str(len(path.read_text()))\n"
        "print(json.dumps({'kind': 'ExecCredential', 'status': {'token': token}}))\n"
    )
    version = "client.authentication.k8s.io/v1"
    user = {"exec": {"apiVersion": version, "command": sys.executable, "args": [str(program), "token"]}}

    def decide(request: web.Request) -> Answer:
        good = request.headers["Authorization"] == "Bearer token2"
        return (200, {}, JOB) if good else (401, {}, {"message": "Unauthorized"})

    async with answering(decide) as url:
        file = kubeconfig(tmp_path / "config", url, user)
        async with CrawlClient(kubeconfig=file) as client:
            assert client.namespace == "here"
            await client.jobs.get("a")
            await client.jobs.get("a")
    assert count.read_text() == "xx"
    file = kubeconfig(tmp_path / "config", "http://127.0.0.1:1", {"exec": user["exec"] | {"command": "/nowhere"}})
    async with CrawlClient(kubeconfig=file) as client:
        with pytest.raises(AuthenticationError, match="cannot run"):
            await client.jobs.get("a")


async def test_a_token_in_a_file_is_read_again_when_it_was_renewed(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")

    def decide(request: web.Request) -> Answer:
        good = request.headers["Authorization"] == f"Bearer {token.read_text()}"
        return (200, {}, JOB) if good else (401, {}, {"message": "Unauthorized"})

    async with answering(decide) as url:
        file = kubeconfig(tmp_path / "config", url, {"tokenFile": "token"})
        async with CrawlClient(kubeconfig=file) as client:
            await client.jobs.get("a")
            token.write_text("new")
            await client.jobs.get("a")


def test_kubeconfigs_are_merged_and_what_is_wrong_with_them_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kubeconfig(tmp_path / "first", "http://first", {"token": "a"})
    second = tmp_path / "second"
    second.write_text(
        "contexts: [{name: other, context: {cluster: d}}]\nclusters: [{name: d, cluster: {server: http://second}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", f"{first}:{second}:{tmp_path / 'missing'}")
    assert CrawlClient().login.server == "http://first"
    assert CrawlClient(context="other").login.server == "http://second"
    with pytest.raises(ConfigurationError, match="there is no context 'nope'"):
        CrawlClient(context="nope")
    second.write_text("[")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        CrawlClient(kubeconfig=second)
    with pytest.raises(ConfigurationError, match="no cluster is configured"):
        CrawlClient(kubeconfig=tmp_path / "missing")
