"""Webhooks on a real cluster: jobs are brought to their ends by hand, and a real server is told."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from gateway_client import Gateway, GatewayProcess, Tenant, gateway, tenant
from local_cluster.cluster import LocalCluster
from operator_process import wait_until
from webhook_receiver import Message, Receiver, receiving_aside

pytestmark = [pytest.mark.cluster, pytest.mark.long]

SETTINGS = {"webhookNetworks": ["127.0.0.0/8"], "webhookPauseSeconds": 0.2, "tokenSeconds": 1, "rightsSeconds": 1}


@pytest.fixture(scope="module")
def process(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that may send messages to loopback."""
    with gateway(cluster, tmp_path_factory.mktemp("gateway"), **SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving_aside() as running:
        yield running


def end(owner: Tenant, name: str, phase: str = "Completed", at: datetime | None = None) -> None:
    """Bring a job to an end, as an operator does."""
    completed = (at or datetime.now(UTC)).isoformat()
    status = {"status": {"phase": phase, "completedAt": completed, "processingTimeMs": 7}}
    owner.jobs.kubectl("patch", "crawljob", name, "--subresource=status", "--type=merge", "-p", json.dumps(status))


def arrived(receiver: Receiver, path: str, count: int = 1) -> list[Message]:
    wait_until(lambda: len(receiver.to(path)) >= count, f"{count} messages come to {path}", 20, 0.05)
    return receiver.to(path)


def delivery(call: Gateway, name: str) -> dict[str, Any]:
    """Return what has become of the message of a job's only webhook."""
    (item,) = call.get(f"/v1/jobs/{name}/webhooks")["items"]
    found: dict[str, Any] = item.get("delivery", {})
    return found


def becomes(call: Gateway, name: str, state: str) -> dict[str, Any]:
    wait_until(lambda: delivery(call, name).get("state") == state, f"the message of {name} is {state}", 20, 0.05)
    return delivery(call, name)


def all_delivered(call: Gateway, name: str) -> None:
    """Wait until all messages about a job's last end have been delivered, and that is written down."""

    def states() -> list[str]:
        return [item.get("delivery", {}).get("state", "") for item in call.get(f"/v1/jobs/{name}/webhooks")["items"]]

    wait_until(lambda: set(states()) == {"Delivered"}, f"the messages of {name} are delivered", 20, 0.05)


def allow_secrets(cluster: LocalCluster, owner: Tenant) -> None:
    """Let the gateway read one Secret there, as an administrator does."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "webhook-keys"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["hooks"], "verbs": ["get"]}],
    }
    owner.jobs.kubectl("apply", "-f", "-", input=yaml.safe_dump(role))
    account = "crawl-operator:crawl-gateway"
    owner.jobs.kubectl("create", "rolebinding", "webhook-keys", "--role=webhook-keys", f"--serviceaccount={account}")
    asked = ("auth", "can-i", "get", "secrets/hooks", f"--as=system:serviceaccount:{account}")
    allowed = lambda: owner.jobs.kubectl(*asked, check=False).returncode == 0  # noqa: E731 - one line
    wait_until(allowed, "the gateway may read the key", 20)


def test_a_signed_message_tells_an_end_once(
    cluster: LocalCluster, call: Gateway, owner: Tenant, receiver: Receiver
) -> None:
    allow_secrets(cluster, owner)
    owner.jobs.kubectl("create", "secret", "generic", "hooks", "--from-literal=webhook-key=whsec_a2V5")
    hook = {"url": f"{receiver.url}/200/signed", "secretRef": {"name": "hooks"}}
    call.submit("signed", notify=[hook], metadata={"ticket": 7})
    end(owner, "signed", "PartialSuccess")
    (message,) = arrived(receiver, "/200/signed")
    told = json.loads(message.body)
    assert told["type"] == "crawljob.PartialSuccess"
    assert (told["data"]["name"], told["data"]["namespace"], told["data"]["metadata"]) == (
        "signed",
        owner.name,
        {"ticket": 7},
    )
    said = message.headers
    signed = b".".join([said["webhook-id"].encode(), said["webhook-timestamp"].encode(), message.body])
    expected = base64.b64encode(hmac.new(b"key", signed, hashlib.sha256).digest()).decode()
    assert said["webhook-signature"] == f"v1,{expected}"
    done = becomes(call, "signed", "Delivered")
    assert (done["tries"], done["error"]) == (1, "")
    assert len(receiver.to("/200/signed")) == 1


def tries(call: Gateway, state: str) -> int:
    """Return what the gateway has counted."""
    said = call.http.get("/metrics").text
    (line,) = [
        each for each in said.splitlines() if each.startswith(f'crawl_gateway_webhook_tries_total{{state="{state}"}}')
    ]
    return int(float(line.split()[-1]))


def test_an_end_that_is_not_asked_for_is_not_told(call: Gateway, owner: Tenant, receiver: Receiver) -> None:
    hooks = [
        {"url": f"{receiver.url}/200/failures", "events": ["Failed", "DeadLetter"]},
        {"url": f"{receiver.url}/200/all"},
    ]
    call.submit("chosen", notify=hooks)
    end(owner, "chosen")
    arrived(receiver, "/200/all")
    assert receiver.to("/200/failures") == []
    end(owner, "chosen", "Failed", datetime.now(UTC) + timedelta(seconds=1))
    arrived(receiver, "/200/failures")
    ids = {message.headers["webhook-id"] for message in arrived(receiver, "/200/all", 2)}
    assert len(ids) == 2
    all_delivered(call, "chosen")


def test_a_message_is_sent_again_until_it_arrives(call: Gateway, owner: Tenant, receiver: Receiver) -> None:
    call.submit("again", notify=[{"url": f"{receiver.url}/200/again"}])
    before = {state: tries(call, state) for state in ("Delivered", "Waiting")}
    receiver.failures = 2
    end(owner, "again")
    messages = arrived(receiver, "/200/again", 3)
    assert len({message.headers["webhook-id"] for message in messages}) == 1
    assert len({message.body for message in messages}) == 1
    assert becomes(call, "again", "Delivered")["tries"] == 3

    def counted() -> dict[str, int]:
        return {state: tries(call, state) - before[state] for state in before}

    wait_until(lambda: sum(counted().values()) >= 3, "its tries are counted", 10)
    assert counted() == {"Delivered": 1, "Waiting": 2}


@pytest.mark.parametrize(
    ("name", "url", "said"),
    [
        ("metadata", "http://169.254.169.254/latest/meta-data", "refused"),
        ("private", "http://10.0.0.1/", "refused"),
        ("gone", "/410/gone", "HTTP 410"),
    ],
)
def test_some_are_given_up(call: Gateway, owner: Tenant, receiver: Receiver, *, name: str, url: str, said: str) -> None:
    call.submit(name, notify=[{"url": receiver.url + url if url.startswith("/") else url}])
    end(owner, name)
    given_up = becomes(call, name, "GivenUp")
    assert said in given_up["error"]
    assert given_up["tries"] == 1


def test_without_its_key_nothing_is_sent(call: Gateway, owner: Tenant, receiver: Receiver) -> None:
    hook = {"url": f"{receiver.url}/200/unsigned", "secretRef": {"name": "not-allowed"}}
    call.submit("unsigned", notify=[hook])
    end(owner, "unsigned")

    def failed_again() -> bool:
        found = delivery(call, "unsigned")
        return bool(found.get("state") == "Waiting" and found["tries"] >= 2 and "key" in found["error"])

    wait_until(failed_again, "it is tried again, and fails for want of its key", 20)
    assert receiver.to("/200/unsigned") == []


def test_two_gateways_tell_each_end_once(
    cluster: LocalCluster, call: Gateway, owner: Tenant, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = [f"shared-{number}" for number in range(8)]
    for name in names:
        call.submit(name, notify=[{"url": f"{receiver.url}/200/{name}"}])
    with gateway(cluster, tmp_path_factory.mktemp("second"), **SETTINGS):
        for name in names:
            end(owner, name)
        for name in names:
            arrived(receiver, f"/200/{name}")
            becomes(call, name, "Delivered")
    assert [len(receiver.to(f"/200/{name}")) for name in names] == [1] * len(names)


def test_what_a_gateway_left_undone_another_does(call: Gateway, owner: Tenant, receiver: Receiver) -> None:
    """A claim whose time is over belongs to nobody; one whose time is not is respected."""
    at = datetime.now(UTC)
    for name, until in (("dropped", at - timedelta(seconds=1)), ("taken", at + timedelta(seconds=4))):
        call.submit(name, notify=[{"url": f"{receiver.url}/200/{name}"}])
        (hook,) = call.get(f"/v1/jobs/{name}/webhooks")["items"]
        claim = {
            "end": f"Completed@{at.isoformat()}",
            "state": "Sending",
            "tries": 1,
            "at": until.isoformat(),
            "by": "dead",
        }
        owner.jobs.annotate(name, f"notified={json.dumps({hook['id']: claim})}")
        end(owner, name, at=at)
    arrived(receiver, "/200/dropped")
    assert becomes(call, "dropped", "Delivered")["tries"] == 2
    assert receiver.to("/200/taken") == [] or datetime.now(UTC) > at + timedelta(seconds=4)
    arrived(receiver, "/200/taken")


def test_a_restarted_gateway_tells_what_happened_meanwhile(
    cluster: LocalCluster, owner: Tenant, receiver: Receiver, process: GatewayProcess, call: Gateway
) -> None:
    call.submit("meanwhile", notify=[{"url": f"{receiver.url}/200/meanwhile"}])
    process.kill()
    end(owner, "meanwhile")
    assert receiver.to("/200/meanwhile") == []
    process.start()
    arrived(receiver, "/200/meanwhile")


def test_webhooks_are_managed_here_and_by_kubectl(call: Gateway, owner: Tenant, receiver: Receiver) -> None:
    call.submit("managed")
    url = f"{receiver.url}/200/managed"
    (added,) = call.call("POST", "/v1/jobs/managed/webhooks", 201, {"url": url, "events": ["Failed"]})["items"]
    assert added == {"id": added["id"], "url": url, "events": ["Failed"]}
    (replaced,) = call.call("POST", "/v1/jobs/managed/webhooks", 201, {"url": url})["items"]
    assert replaced == {"id": added["id"], "url": url}
    assert owner.jobs.get("managed")["spec"]["notify"] == [{"url": url}]
    owner.jobs.patch("managed", notify=[{"url": url}, {"url": f"{url}/two"}])
    listed = call.get("/v1/jobs/managed/webhooks")["items"]
    assert [item["url"] for item in listed] == [url, f"{url}/two"]
    end(owner, "managed")
    arrived(receiver, "/200/managed")
    arrived(receiver, "/200/managed/two")
    call.call("POST", "/v1/jobs/managed/webhooks", 201, {"url": f"{url}/late"})
    arrived(receiver, "/200/managed/late")
    for item in call.get("/v1/jobs/managed/webhooks")["items"]:
        call.call("DELETE", f"/v1/jobs/managed/webhooks/{item['id']}", 204)
    assert call.get("/v1/jobs/managed/webhooks") == {"items": []}
    call.call("DELETE", f"/v1/jobs/managed/webhooks/{added['id']}", 404)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"url": "ftp://example.org/"},
        {"url": "https://example.org/", "events": ["Never"]},
        {"url": "https://example.org/", "events": ["Failed", "Failed"]},
        {"url": "https://example.org/", "secretRef": {"name": "Not A Name"}},
        {"url": "https://example.org/", "more": 1},
    ],
)
def test_what_is_no_webhook_is_refused(call: Gateway, body: Any) -> None:
    if not call.http.get("/v1/jobs/refusing").is_success:
        call.submit("refusing")
    assert call.call("POST", "/v1/jobs/refusing/webhooks", 422, body)["error"]["details"]
    assert call.get("/v1/jobs/refusing/webhooks") == {"items": []}


def test_a_job_has_eight_webhooks_at_most(call: Gateway) -> None:
    call.submit("eight", notify=[{"url": f"https://example.org/{number}"} for number in range(8)])
    call.call("POST", "/v1/jobs/eight/webhooks", 422, {"url": "https://example.org/8"})
    same = [{"url": "https://example.org/"}] * 2
    call.submit("same", status=422, notify=same)


def test_another_tenants_webhooks_are_not_seen(call: Gateway, cluster: LocalCluster, process: GatewayProcess) -> None:
    uid = call.submit("hidden", notify=[{"url": "https://example.org/"}])["metadata"]["uid"]
    checks: list[Callable[[Gateway], Any]] = [
        lambda other: other.get(f"/v1/jobs/{uid}/webhooks", 404),
        lambda other: other.call("POST", f"/v1/jobs/{uid}/webhooks", 404, {"url": "https://example.org/"}),
        lambda other: other.call("DELETE", f"/v1/jobs/{uid}/webhooks/abc", 404),
    ]
    with tenant(cluster, "other") as made, Gateway(process, made) as other:
        for check in checks:
            check(other)
