"""Live events: complete, in order, resumable, and only for those who may."""

import base64
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread, Timer
from typing import Any, Self

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from gateway_client import Gateway, GatewayProcess, Tenant, gateway, single, tenant
from local_cluster.cluster import LocalCluster
from operator_process import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]


class Stream:
    """A stream of server-sent events, read one by one."""

    def __init__(self, client: Gateway, last: str = "", **params: Any) -> None:
        headers = {"Last-Event-ID": last} if last else {}
        self._context = client.http.stream("GET", "/v1/events", params=params, headers=headers, timeout=20)

    def __enter__(self) -> Self:
        self._answer = self._context.__enter__()
        assert self._answer.status_code == 200, self._answer.read()
        self._lines = self._answer.iter_lines()
        self.alive = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._context.__exit__(None, None, None)

    def next(self) -> tuple[str, str, Any]:
        """Return type, id and data of the next event; the type is empty at the end."""
        event = {"event": "", "id": "", "data": "null"}
        for line in self._lines:
            if line.startswith(":"):
                self.alive += 1
            elif line:
                key, _, value = line.partition(": ")
                event[key] = value
            elif event["event"]:
                return event["event"], event["id"], json.loads(event["data"])
        return "", "", None

    def changes(self, count: int) -> list[tuple[str, str]]:
        """Return type and name of so many changes and READY, which comes before what the gateway hears only then."""
        events = [self.next() for _ in range(count + 1)]
        assert [kind for kind, *_ in events].count("READY") == 1
        return [(kind, data["metadata"]["name"]) for kind, _, data in events if kind != "READY"]

    def until(self, type_: str, name: str = "") -> tuple[str, Any]:
        """Return id and data of the next event of a type."""
        for _ in range(1000):
            kind, identity, data = self.next()
            if kind == type_ and (not name or data["metadata"]["name"] == name):
                return identity, data
            assert kind, "the stream has ended"
        raise AssertionError(f"no {type_} of {name}")


def test_what_happens_is_told_in_order(call: Gateway, owner: Tenant) -> None:
    with Stream(call) as stream:
        first, _ = stream.until("READY")
        call.submit("told")
        owner.jobs.patch("told", priority="Low")
        owner.jobs.kubectl("delete", "crawljob", "told")
        seen = [stream.until(kind, "told") for kind in ("ADDED", "MODIFIED", "DELETED")]
        versions = [int(first), *(int(identity) for identity, _ in seen)]
        assert versions == sorted(set(versions))
        assert seen[1][1]["spec"]["priority"] == "Low"


def test_a_stream_goes_on_from_where_it_was(call: Gateway) -> None:
    with Stream(call) as stream:
        stream.until("READY")
        call.submit("seen-1")
        last, _ = stream.until("ADDED", "seen-1")
    call.submit("missed-1")
    call.call("DELETE", "/v1/jobs/missed-1", 204)
    call.submit("missed-2")
    with Stream(call, last) as stream:
        told = ("ADDED", "missed-1"), ("DELETED", "missed-1"), ("ADDED", "missed-2")
        assert stream.changes(len(told)) == list(told)
        call.submit("seen-2")
        assert stream.next()[2]["metadata"]["name"] == "seen-2"


def test_a_list_says_where_a_stream_begins(call: Gateway) -> None:
    version = call.get("/v1/jobs")["resourceVersion"]
    call.submit("after-the-list")
    with Stream(call, since=version) as stream:
        assert stream.changes(1) == [("ADDED", "after-the-list")]


def test_all_that_there_is_comes_first_where_that_is_wanted(call: Gateway, owner: Tenant) -> None:
    call.submit("there-already")
    with Stream(call, snapshot="true") as stream:
        names, kind, data = set(), "", None
        while kind != "READY":
            kind, _, data = stream.next()
            names.add((data.get("metadata") or {}).get("name"))
        there = {
            item["metadata"]["name"]
            for item in json.loads(owner.jobs.kubectl("get", "crawljobs", "-o", "json").stdout)["items"]
        }
        assert names - {None} == there
    with Stream(call, name="there-already", snapshot="true") as stream:
        assert stream.next()[2]["metadata"]["name"] == "there-already"
        assert stream.next()[0] == "READY"


def test_what_cannot_be_remembered_begins_anew(call: Gateway) -> None:
    call.submit("still-there")
    with Stream(call, "1") as stream:
        assert stream.next()[0] == "RESET"
        stream.until("ADDED", "still-there")
        stream.until("READY")
    assert call.get("/v1/events", 400, since="yesterday")["error"]["code"] == "BadRequest"
    assert call.get("/v1/events", 422, kind="pods")


def test_a_silent_stream_says_that_it_is_alive(call: Gateway) -> None:
    with Stream(call, name="nobody") as stream:
        stream.until("READY")
        later = Timer(3, call.submit, ["nobody"])
        later.start()
        stream.until("ADDED", "nobody")
        later.join()
        assert stream.alive >= 1


def test_schedules_are_followed_too(call: Gateway) -> None:
    spec = {"schedule": "0 2 * * *", "suspend": True, "jobTemplate": {"spec": single()["spec"]}}
    with Stream(call, kind="schedules") as stream:
        stream.until("READY")
        call.call("POST", "/v1/schedules", 201, {"metadata": {"name": "nightly"}, "spec": spec})
        stream.until("ADDED", "nightly")


def test_a_stream_ends_when_the_right_is_gone(process: GatewayProcess, cluster: LocalCluster) -> None:
    with tenant(cluster, "passing") as passing, Gateway(process, passing) as client, Stream(client) as stream:
        stream.until("READY")
        cluster.kubectl("-n", passing.name, "delete", "rolebinding", "caller")
        began = time.monotonic()
        assert stream.until("ENDED")[1]["code"] == "Forbidden"
        assert time.monotonic() - began < 6
        assert stream.next()[0] == ""


def test_one_caller_has_so_many_streams_and_no_more(cluster: LocalCluster, owner: Tenant, tmp_path: Path) -> None:
    with gateway(cluster, tmp_path, streamsPerCaller=2) as few, Gateway(few, owner) as client:
        with Stream(client), Stream(client):
            assert client.get("/v1/events", 429)["error"]["code"] == "TooManyStreams"
        metrics = f"{few.url}/metrics"
        wait_until(lambda: 'crawl_gateway_streams{kind="sse"} 0.0' in httpx2.get(metrics).text, "both are closed", 5)
        with Stream(client) as stream:
            stream.until("READY")


@pytest.mark.faults
def test_whoever_does_not_read_is_let_go_and_disturbs_nobody(
    cluster: LocalCluster, owner: Tenant, tmp_path: Path
) -> None:
    with gateway(cluster, tmp_path, unreadChanges=50) as served, Gateway(served, owner) as client:
        with Stream(client) as lazy, Stream(client) as eager:
            for stream in (lazy, eager):
                stream.until("READY")
            text = "x" * 25_000  # more in all than sockets hold, and each little enough to be told whole
            for start in range(0, 600, 20):
                items = [single(f"flood-{start + n}", metadata={"text": text}) for n in range(20)]
                assert not client.call("POST", "/v1/jobs/bulk", 200, {"items": items})["failed"]
                for number in range(20):
                    assert eager.next()[0] == "ADDED", number
            last = ""
            with contextlib.suppress(httpx2.RemoteProtocolError):  # which comes if it took half a minute
                while (event := lazy.next())[0] == "ADDED":
                    last = event[1]
                assert (event[0], event[2]["code"]) == ("ENDED", "TooSlow")
        with Stream(client, last) as again:  # nothing is lost
            names = set()
            while (event := again.next())[0] == "ADDED":
                names.add(event[2]["metadata"]["name"])
            assert "flood-599" in names
        owner.jobs.kubectl("delete", "crawljobs", "--all", "--wait=false")


def socket_url(process: GatewayProcess, **params: str) -> str:
    return f"{process.url.replace('http', 'ws', 1)}/v1/events/ws?{httpx2.QueryParams(params)}"


def test_the_same_over_websocket(process: GatewayProcess, call: Gateway, owner: Tenant) -> None:
    """Of one job alone: of others that were deleted before, it may be told later."""
    url = socket_url(process, namespace=owner.name, name="over-socket")
    with connect(url, additional_headers={"Authorization": f"Bearer {owner.token}"}) as socket:
        assert json.loads(socket.recv(5))["type"] == "READY"
        call.submit("over-socket")
        event = json.loads(socket.recv(20))
        assert (event["type"], event["data"]["metadata"]["name"]) == ("ADDED", "over-socket")
    token = base64.urlsafe_b64encode(owner.token.encode()).decode().rstrip("=")
    protocols = ["events.crawl-operator.io", f"base64url.bearer.authorization.k8s.io.{token}"]
    again = socket_url(process, namespace=owner.name, lastEventId=str(int(event["id"]) - 1))
    with connect(again, subprotocols=protocols) as socket:  # type: ignore[arg-type]
        assert socket.subprotocol == "events.crawl-operator.io"
        assert json.loads(socket.recv(5))["data"]["metadata"]["name"] == "over-socket"


def test_a_websocket_is_not_opened_for_strangers_or_pages_of_elsewhere(process: GatewayProcess, owner: Tenant) -> None:
    own = {"Authorization": f"Bearer {owner.token}"}
    for status, namespace, headers in (
        (401, owner.name, {}),
        (401, owner.name, {"Authorization": "Bearer x"}),
        (403, "kube-system", own),
        (403, owner.name, {**own, "Origin": "https://elsewhere.example.org"}),
    ):
        with (
            pytest.raises(InvalidStatus) as caught,
            connect(socket_url(process, namespace=namespace), additional_headers=headers),
        ):
            pass
        assert caught.value.response.status_code == status


def read_all(socket: ClientConnection) -> None:
    while True:
        socket.recv(5)


@pytest.fixture
def ending(cluster: LocalCluster, tmp_path: Path) -> Iterator[GatewayProcess]:
    with gateway(cluster, tmp_path) as running:
        yield running


def test_a_gateway_ends_in_order(ending: GatewayProcess, owner: Tenant) -> None:
    """Streams are told, and it is over in a moment."""
    with (
        Gateway(ending, owner) as client,
        Stream(client) as stream,
        connect(
            socket_url(ending, namespace=owner.name), additional_headers={"Authorization": f"Bearer {owner.token}"}
        ) as socket,
    ):
        stream.until("READY")
        socket.recv(5)
        began = time.monotonic()
        stopping = Thread(target=ending.stop)
        stopping.start()
        assert stream.until("ENDED")[1]["code"] == "Stopping"
        with pytest.raises(ConnectionClosed):
            read_all(socket)
        stopping.join(15)
        assert time.monotonic() - began < 10  # and not 20, which requests under way have
    assert "Traceback" not in ending.log
