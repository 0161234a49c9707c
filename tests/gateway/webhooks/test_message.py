"""What a webhook is told, and that its signature can be checked by whoever has the key."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest

from crawl_client.models import Job
from crawl_gateway.webhooks import message

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
JOB = Job(
    {
        "metadata": {"name": "a", "namespace": "n", "uid": "0f8fad5b-d9cb-469f-a165-70867728950e"},
        "spec": {"type": "Single", "metadata": {"ticket": [1]}, "priority": "High"},
        "status": {
            "phase": "Failed",
            "completedAt": "2026-03-01T11:59:00.5Z",
            "lastError": "HTTP 404",
            "processingTimeMs": 12,
            "progress": {"percent": 0},
        },
    }
)


def test_a_message_says_what_became_of_the_job() -> None:
    told = json.loads(message.body(JOB))
    assert (told["type"], told["timestamp"]) == ("crawljob.Failed", "2026-03-01T11:59:00.5Z")
    expected = {
        "namespace": "n",
        "name": "a",
        "jobId": "job_0f8fad5bd9cb469fa16570867728950e",
        "phase": "Failed",
        "lastError": "HTTP 404",
        "processingTimeMs": 12,
        "metadata": {"ticket": [1]},
        "resultURL": None,
    }
    assert told["data"].items() >= expected.items()


def test_the_signature_is_that_of_the_specification() -> None:
    content = message.body(JOB)
    said = message.headers(JOB, "abc", content, b"key", NOW)
    signed = b".".join([said["webhook-id"].encode(), said["webhook-timestamp"].encode(), content])
    expected = base64.b64encode(hmac.new(b"key", signed, hashlib.sha256).digest()).decode()
    assert said["webhook-signature"] == f"v1,{expected}"
    assert said["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert "webhook-signature" not in message.headers(JOB, "abc", content, None, NOW)


def test_the_id_is_that_of_one_end_and_one_webhook() -> None:
    def id_of(job: Job, hook: str, now: datetime = NOW) -> str:
        return message.headers(job, hook, b"", None, now)["webhook-id"]

    later = Job({**JOB.raw, "status": {**JOB.raw["status"], "completedAt": "2026-03-02T00:00:00Z"}})
    assert id_of(JOB, "a") == id_of(JOB, "a", datetime(2026, 3, 2, tzinfo=UTC))
    assert len({id_of(JOB, "a"), id_of(JOB, "b"), id_of(later, "a")}) == 3


@pytest.mark.parametrize(
    ("text", "key"), [(b"plain\n", b"plain"), (b"whsec_a2V5", b"key"), (b" whsec_a2V5 \n", b"key"), (b"\xff", b"\xff")]
)
def test_a_key_is_plain_or_base64(text: bytes, key: bytes) -> None:
    assert message.key_of(text) == key


@pytest.mark.parametrize("text", [b"", b" \n", b"whsec_", b"whsec_!!!"])
def test_what_is_no_key_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"empty|base64"):
        message.key_of(text)
