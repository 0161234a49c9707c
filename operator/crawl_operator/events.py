"""Kubernetes Events about jobs, for `kubectl describe`: one per thing said, never a reason for anything to fail."""

import hashlib
import logging
from datetime import datetime
from typing import Final

from crawl_api.names import API_VERSION, KIND
from crawl_operator.decide.model import Job, RecordEvent
from crawl_operator.kube import EVENTS, AlreadyExistsError, Kube, KubeError

_log = logging.getLogger(__name__)

_MAX_MESSAGE: Final = 1024


async def post(kube: Kube, job: Job, event: RecordEvent, now: datetime) -> None:
    """Post an Event; its name follows from what it says, so that a restarted operator does not say it twice."""
    digest = hashlib.sha256(f"{job.uid}\0{event.reason}\0{event.message}".encode()).hexdigest()[:16]
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{job.key.name}.{digest}", "namespace": job.key.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": job.key.namespace,
            "name": job.key.name,
            "uid": job.uid,
        },
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason,
        "message": event.message[:_MAX_MESSAGE],
        "source": {"component": "crawl-operator"},
        "reportingComponent": "crawl-operator",
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
    try:
        await kube.create(EVENTS, job.key.namespace, body)
    except AlreadyExistsError:
        pass
    except KubeError as error:
        _log.warning("event %s of %s not posted: %s", event.reason, job.key, error)
