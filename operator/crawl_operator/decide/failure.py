"""Failures of a whole attempt: what the cluster or the worker said, put into one code, one cause and one sentence."""

import signal

from crawl_api.status import Cause
from crawl_api.worker_protocol import AttemptFailure
from crawl_operator.decide.model import BatchJob, WorkerPod

# Reasons of a pod that the cluster, not the worker, brought to its end. Source: Kubernetes, "Pod disruption conditions"
# and the kubelet's eviction, shutdown and admission reasons.
_CLUSTER_REASONS = frozenset(
    {"Evicted", "NodeLost", "NodeShutdown", "Terminated", "Shutdown", "Preempted", "UnexpectedAdmissionError"}
)

_START_REASONS = frozenset({"StartError", "ContainerCannotRun"})

_LOST_REASON = "Unknown"
"""What the kubelet says of a container that its runtime does not know any more; the exit code, 255, is made up."""


def of_pod(pod: WorkerPod) -> AttemptFailure:
    """Say why a pod that ended without an outcome ended."""
    who = f"worker pod {pod.name}"
    words = pod.end_message or pod.termination_message
    said = f": {words}" if words else ""
    if pod.end_reason == "OOMKilled":
        text = f"{who} used more memory than its limit and was killed"
        return AttemptFailure(code="OutOfMemory", cause=Cause.TRANSIENT, message=text)
    if pod.end_reason in _CLUSTER_REASONS:
        text = f"{who} was ended by the cluster ({pod.end_reason}){said}"
        return AttemptFailure(code=pod.end_reason, cause=Cause.INFRASTRUCTURE, message=text)
    if pod.started is None or pod.end_reason in _START_REASONS:
        text = f"{who} never started ({pod.end_reason or pod.phase}){said}"
        return AttemptFailure(code="WorkerNotStarted", cause=Cause.INFRASTRUCTURE, message=text)
    if pod.out_of_time:
        text = f"{who} ran beyond the job's timeoutSeconds and was stopped{said}"
        return AttemptFailure(code="Timeout", cause=Cause.TRANSIENT, message=text)
    if killer := _killer(pod):
        text = f"{who} was killed by {killer} before it could report{said}"
        return AttemptFailure(code="WorkerKilled", cause=Cause.INFRASTRUCTURE, message=text)
    text = f"{who} ended with exit code {pod.exit_code} and left no outcome{said}"
    return AttemptFailure(code="WorkerCrashed", cause=Cause.TRANSIENT, message=text)


def of_batch_job(job: BatchJob) -> AttemptFailure:
    """Say why a batch Job failed whose pod is gone."""
    code = "Timeout" if job.failed_reason == "DeadlineExceeded" else "WorkerLost"
    cause = Cause.TRANSIENT if code == "Timeout" else Cause.INFRASTRUCTURE
    text = f"batch Job {job.name} failed ({job.failed_reason}): {job.failed_message}"
    return AttemptFailure(code=code, cause=cause, message=text)


def lost(worker: str) -> AttemptFailure:
    """Say that nothing is left of a worker that was running."""
    text = f"worker {worker} was deleted before it could report"
    return AttemptFailure(code="WorkerLost", cause=Cause.INFRASTRUCTURE, message=text)


def overdue(text: str) -> AttemptFailure:
    """Say that a worker was ended because it did not keep its time limit."""
    return AttemptFailure(code="Timeout", cause=Cause.TRANSIENT, message=text)


def _killer(pod: WorkerPod) -> str:
    """Say what killed a worker; nothing if it ended by itself."""
    if pod.end_reason == _LOST_REASON:
        return "a restart of its node"
    number = pod.signal or (pod.exit_code - 128 if pod.exit_code is not None and pod.exit_code > 128 else 0)
    try:
        return signal.Signals(number).name if number else ""
    except ValueError:
        return f"signal {number}"
