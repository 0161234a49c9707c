"""Kubernetes Events, for `kubectl describe`: one per thing said, never a reason for anything to fail."""

import hashlib
import logging
from datetime import datetime
from typing import Final

from crawl_api.names import API_VERSION, KIND, SCHEDULE_KIND
from crawl_operator.decide.model import Job, RecordEvent
from crawl_operator.decide.schedule_model import Schedule
from crawl_operator.kube import EVENTS, Kube
from crawl_operator.kube_errors import AlreadyExistsError, KubeError

_log = logging.getLogger(__name__)

_MAX_MESSAGE: Final = 1024


async def post(kube: Kube, about: Job | Schedule, event: RecordEvent, now: datetime) -> None:
    """Post an Event; its name follows from what it says, so that a restarted operator does not say it twice."""
    digest = hashlib.sha256(f"{about.uid}\0{event.reason}\0{event.message}".encode()).hexdigest()[:16]
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{about.key.name}.{digest}", "namespace": about.key.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND if isinstance(about, Job) else SCHEDULE_KIND,
            "namespace": about.key.namespace,
            "name": about.key.name,
            "uid": about.uid,
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
        await kube.create(EVENTS, about.key.namespace, body)
    except AlreadyExistsError:
        pass
    except KubeError as error:
        _log.warning("event %s of %s not posted: %s", event.reason, about.key, error)
