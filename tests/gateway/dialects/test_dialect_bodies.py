"""What no JSON can hold, or no text, is refused in each dialect's form, and never fails."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from crawl_client.kubeconfig import Login
from crawl_gateway.app import create
from crawl_gateway.core import Core
from crawl_gateway.settings import Settings

SINGLE = '"job_type": {"type": "single_crawl", "url": "https://example.org/"}'
CUSTOM = '"job_type": {"type": "custom", "job_name": "a", "payload": %s}'
ODD = ("NaN", "Infinity", "-Infinity", '"\\ud800"', '{"\\udfff": 1}', '[{"a": ["\\ud800"]}]')


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """A gateway that knows who asks, and cannot reach an API server."""
    core = Core(Settings(anonymous="somebody"), Login("http://127.0.0.1:1", "default"))
    transport = httpx2.ASGITransport(create(core))
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as opened:
        yield opened


async def post(client: httpx2.AsyncClient, path: str, body: str) -> httpx2.Response:
    return await client.post(path, content=body, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/workers/jobs", f'{{{SINGLE}, "metadata": {{"a": %s}}}}', 400),
        ("/workers/jobs", f"{{{CUSTOM}}}", 400),
        ("/workers/jobs", f'{{{SINGLE}, "retry_config": {{"initial_delay_secs": %s}}}}', 400),
        ("/workers/jobs", f'{{{SINGLE}, "retry_config": {{"backoff_multiplier": %s}}}}', 400),
        ("/workers/jobs", f'{{{SINGLE}, "priority": %s}}', 400),
        ("/workers/jobs", f'{{{SINGLE}, "timeout_secs": %s}}', 400),
        ("/workers/jobs", '{"job_type": %s}', 400),
        ("/api/v1/workers/scheduled", '{"name": %s, "cron_expression": "@daily", "job_template": {}}', 400),
        ("/jobs", '{"type": "a", "payload": %s}', 400),
        ("/jobs", '{"type": %s, "payload": null}', 400),
        ("/tasks", '{"task_type": "single_crawl", "parameters": {"a": %s}}', 422),
        ("/tasks", '{"task_type": %s, "parameters": {}}', 422),
    ],
)
async def test_odd_values_are_refused(client: httpx2.AsyncClient, path: str, body: str, status: int, odd: str) -> None:
    answer = await post(client, path, body % odd)
    assert answer.status_code == status, answer.text
    assert answer.json()


@pytest.mark.parametrize("path", ["/workers/jobs", "/api/v1/workers/schedule", "/jobs", "/tasks"])
@pytest.mark.parametrize("body", ["", "{", "null", "[]", "7", '"\\ud800"', "[" * 5000, '{"\\ud800": 1}'])
async def test_what_is_no_object_is_refused(client: httpx2.AsyncClient, path: str, body: str) -> None:
    answer = await post(client, path, body)
    assert answer.status_code == (422 if path == "/tasks" else 400), answer.text


async def test_a_store_that_is_not_known_yet_is_told(client: httpx2.AsyncClient) -> None:
    """All that was refused above was refused for itself."""
    assert (await post(client, "/workers/jobs", f"{{{SINGLE}}}")).status_code == 500
    assert (await post(client, "/jobs", '{"type": "a", "payload": null}')).status_code == 503
    assert (
        await post(client, "/tasks", '{"task_type": "maintenance", "parameters": {"task": "a"}}')
    ).status_code == 503
