"""What the node waits for, against an API server and a clock that do as the test says."""

import asyncio
import base64
from datetime import timedelta
from typing import Any

import pytest

from local_cluster.node.api import Api, ApiError
from local_cluster.node.halt import Halt
from local_cluster.node.k8s import Json, time_text, utc_now
from local_cluster.node.objects import Objects
from local_cluster.node.probes import Prober
from local_cluster.node.publisher import Publisher
from local_cluster.node.records import Record, Running

POD: Json = {
    "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
    "spec": {"serviceAccountName": "sa"},
}


class FakeApi(Api):
    """Answers from lists; an exception in one is raised."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, Json | None]] = []

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "",
    ) -> Json:
        self.asked.append((method, path, body))
        await asyncio.sleep(0)
        answer: Json | Exception = self.answers[method.lower()].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_the_earliest_limit_of_a_halt_holds() -> None:
    halt = Halt()
    halt.order(60)
    assert halt.given
    assert not halt.expired.done()
    halt.order(0.02)
    halt.order(30)
    async with asyncio.timeout(5):
        await halt.expired
    at_once = Halt()
    at_once.order(0)
    assert at_once.expired.done()


async def test_a_halt_wakes_who_sleeps() -> None:
    halt = Halt()
    assert not await halt.sleep(0.001)
    sleeping = asyncio.create_task(halt.sleep(60))
    await asyncio.sleep(0)
    halt.order(60)
    async with asyncio.timeout(5):
        assert await sleeping
    halt.cancel_timer()


async def test_objects_are_read_once_for_all_who_ask_together() -> None:
    answer = {"data": {"a": "1"}, "binaryData": {"b": base64.b64encode(b"2").decode()}}
    api = FakeApi(get=[answer, {"data": {"a": "3"}}])
    objects = Objects(api)
    read = await asyncio.gather(*(objects.config_map("ns", "c", 0) for _ in range(5)))
    assert read == [{"a": b"1", "b": b"2"}] * 5
    assert await objects.config_map("ns", "c", 60) == {"a": b"1", "b": b"2"}
    assert len(api.asked) == 1
    assert await objects.config_map("ns", "c", 0) == {"a": b"3"}


async def test_an_absent_object_is_none_and_an_error_is_an_error() -> None:
    api = FakeApi(get=[ApiError(404, "no"), ApiError(403, "not yet"), {"data": {"k": base64.b64encode(b"v").decode()}}])
    objects = Objects(api)
    assert await objects.secret("ns", "s", 0) is None
    with pytest.raises(ApiError, match="not yet"):
        await objects.secret("ns", "s", 0)
    assert await objects.secret("ns", "s", 0) == {"k": b"v"}


async def test_a_token_is_renewed_when_four_fifths_of_its_life_have_passed() -> None:
    now = [1000.0]
    expires = time_text(utc_now() + timedelta(seconds=1001))
    tokens = [{"status": {"token": text, "expirationTimestamp": expires}} for text in ("first", "second")]
    api = FakeApi(post=tokens)
    objects = Objects(api, clock=lambda: now[0])
    assert await objects.token(POD, "aud", 1000) == "first"
    now[0] += 790
    assert await objects.token(POD, "aud", 1000) == "first"
    now[0] += 20
    assert await objects.token(POD, "aud", 1000) == "second"
    _, path, body = api.asked[0]
    assert path == "/api/v1/namespaces/ns/serviceaccounts/sa/token"
    assert body is not None
    assert body["spec"] == {
        "audiences": ["aud"],
        "expirationSeconds": 1000,
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"},
    }


async def test_the_newest_status_gets_through_a_server_that_fails() -> None:
    api = FakeApi(patch=[ApiError(0, "away"), {}])
    publisher = Publisher(api, POD)
    running = asyncio.create_task(publisher.run())
    publisher.publish({"phase": "Running"})
    await asyncio.sleep(0.01)
    publisher.publish({"phase": "Succeeded"})
    async with asyncio.timeout(5):
        await publisher.settled()
    assert [body and body["status"]["phase"] for _, _, body in api.asked] == ["Running", "Succeeded"]
    assert api.asked[0][2] == {"metadata": {"uid": "u"}, "status": {"phase": "Running"}}
    publisher.vanish()
    async with asyncio.timeout(5):
        await running


async def test_a_status_that_is_never_accepted_does_not_hold_the_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_cluster.node.publisher._LONGEST_PAUSE", 0.001)
    monkeypatch.setattr("local_cluster.node.publisher._FIRST_PAUSE", 0.001)
    api = FakeApi(patch=[ApiError(422, "invalid")] * 10)
    publisher = Publisher(api, POD)
    running = asyncio.create_task(publisher.run())
    publisher.publish({"phase": "Strange"})
    async with asyncio.timeout(5):
        await publisher.settled()
    assert api.answers["patch"] == []
    running.cancel()


async def test_a_pod_is_deleted_even_if_the_server_fails_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_cluster.node.publisher._FIRST_LOOK_AGAIN", 0.001)
    api = FakeApi(delete=[ApiError(500, "oh"), ApiError(0, "away"), ApiError(404, "not yet in my cache"), {}])
    publisher = Publisher(api, POD)
    deleting = asyncio.create_task(publisher.delete())
    async with asyncio.timeout(5):
        while api.answers["delete"]:  # noqa: ASYNC110 - the fake has no event to wait for
            await asyncio.sleep(0.001)
        publisher.vanish()
        await deleting
    assert [body for _, _, body in api.asked] == [{"gracePeriodSeconds": 0, "preconditions": {"uid": "u"}}] * 4


async def test_a_probe_needs_as_many_equal_answers_as_it_says() -> None:
    answers = ["", "bad", "", "bad", "bad", "", "bad", "bad", "bad"]
    told: list[str] = []
    record = Record("c", state=Running("id", utc_now()), started=True, ready=True)

    async def execute(_: list[str]) -> str:
        await asyncio.sleep(0)
        return answers.pop(0)

    probe = {"exec": {"command": ["x"]}, "periodSeconds": 0, "failureThreshold": 3}
    prober = Prober({"livenessProbe": probe}, record, "127.0.0.1", execute, lambda: None, told.append)
    async with asyncio.timeout(5):
        assert await prober.run() == "failed liveness probe"
    assert answers == []
    assert told == ["Liveness probe failed: bad"] * 6
