"""The OpenAPI document: complete, and whatever is sent by it, the gateway never fails."""

import json
import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from schemathesis.checks import not_a_server_error

from crawl_client.kubeconfig import Login
from crawl_gateway.app import create
from crawl_gateway.core import Core
from crawl_gateway.settings import Settings
from gateway_client import Gateway, GatewayProcess, Tenant

_EXAMPLES = 15
"""Requests of each operation."""


@pytest.fixture
async def document() -> dict[str, Any]:
    return create(Core(Settings(), Login("http://127.0.0.1:1"))).openapi()


async def test_every_operation_is_named_and_explained(document: dict[str, Any]) -> None:
    seen = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["operationId"] not in seen
            seen.add(operation["operationId"])
            assert operation["summary"], path
            assert operation["tags"]
            if path == "/v1/login":  # who asks there has no token yet
                assert "security" not in operation
            elif path.startswith("/v1"):
                assert operation["security"] == [{"Bearer": []}, {"ApiKey": []}]
                assert {"401", "403", "429", "503"} <= operation["responses"].keys(), (method, path)
    assert len(seen) > 25


async def test_every_body_and_every_answer_has_an_example_that_is_one(document: dict[str, Any]) -> None:
    """JSON alone; of each a media type's own example, or those of its schema."""
    checked = 0
    for path, item in document["paths"].items():
        for method, operation in item.items():
            places = {"body": operation.get("requestBody", {}), **operation["responses"]}
            for place, said in places.items():
                if (content := said.get("content", {}).get("application/json")) is None:
                    continue
                schema = content["schema"]
                assert schema, (method, path, place)
                examples = [content["example"]] if "example" in content else examples_of(document, schema)
                assert examples, (method, path, place)
                check = Draft202012Validator({**schema, "components": document["components"]})
                for example in examples:
                    assert [error.message for error in check.iter_errors(example)] == [], (method, path, place)
                checked += 1
    assert checked > 300


def examples_of(document: dict[str, Any], schema: dict[str, Any]) -> list[Any]:
    """Return the examples of a schema, or of the one that it refers to."""
    if reference := schema.get("$ref"):
        schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    found: list[Any] = schema.get("examples", [])
    return found


async def test_errors_are_shown_with_their_own_status(document: dict[str, Any]) -> None:
    words = {
        status: answer["content"]["application/json"]["example"]["error"]["code"]
        for status, answer in document["paths"]["/v1/jobs"]["post"]["responses"].items()
        if status != "201"
    }
    assert words.items() >= {"401": "Unauthorized", "403": "Forbidden", "409": "AlreadyExists"}.items()
    assert len(set(words.values())) == len(words)


async def test_what_is_referred_to_is_there(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    for name in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
        assert name in document["components"]["schemas"], name
    assert "#/$defs" not in text
    assert "HTTPValidationError" not in text


@pytest.mark.faults
@pytest.mark.cluster
@pytest.mark.timeout(600)
def test_nothing_that_is_sent_makes_it_fail(process: GatewayProcess, owner: Tenant, call: Gateway) -> None:
    schema = schemathesis.openapi.from_dict(call.get("/openapi.json"))
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        # Events do not end; the pool's statistics are 503 where nobody works, as here.
        if not operation.path.endswith(("/v1/events", "/workers/stats", "/stats/workers")):
            _try(operation, process.url, owner)
            tried += 1
    assert tried > 25


def _try(operation: Any, url: str, owner: Tenant) -> None:
    @settings(
        max_examples=_EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy())
    def attempt(case: Any) -> None:
        answer = case.call(base_url=url, headers=owner.headers, timeout=20)
        case.validate_response(answer, checks=[not_a_server_error])

    attempt()
