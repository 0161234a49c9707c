"""What decisions are made from and what they come to. All values frozen; actions are a closed union."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from crawl_api.crawljob import Priority
from crawl_api.status import CrawlJobStatus, Execution, Phase
from crawl_api.worker_protocol import Outcome, ProgressReport
from crawl_operator.decide.retention import KEPT, Expiry
from crawl_operator.decide.run import Run


@dataclass(frozen=True, slots=True)
class JobKey:
    """Names a CrawlJob, as the work queue does."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Job:
    """A CrawlJob as last seen. A finished one carries neither spec nor the bulk of its status."""

    key: JobKey
    uid: str
    version: int
    """`metadata.resourceVersion`, which Kubernetes defines as comparable between versions of one kind."""
    generation: int
    created: datetime
    since: datetime
    """From when it may run, as far as it is for the job to say: its age in the line for a place."""
    priority: Priority
    phase: Phase
    deleting: bool
    spec: Mapping[str, Any] = field(default_factory=dict)
    status: CrawlJobStatus = field(default_factory=CrawlJobStatus)
    requeue: str = ""
    """Value of the requeue annotation."""
    cancel: bool = False
    """Whether the cancel annotation is set."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """The operator's own annotations on the object."""
    queue: str = ""
    """The Kueue queue that its batch Jobs go to."""
    settled: bool = False
    """Whether it has ended and only time can make something to do: spec and status are not kept."""
    expiry: Expiry = KEPT
    """When its result and itself have been kept long enough."""
    run: Run | None = None
    """The same as its schedule sees it, where it has one."""
    depends_on: tuple[str, ...] = ()
    """Names of the jobs that must have ended first. A finished job keeps them only if it has failed for standing in a
    circle: the others in it then find the same circle, whoever of them is looked at first."""

    @property
    def attempts_over(self) -> int:
        """Number of the last attempt that has ended: all about its children has been said."""
        return self.status.attempts_over


@dataclass(frozen=True, slots=True)
class WorkerPod:
    """A pod that runs, or ran, an attempt."""

    name: str
    uid: str
    version: int
    attempt: int
    priority: Priority
    """The class it was started in."""
    deleting: bool
    phase: str
    started: datetime | None = None
    """When the worker's container started; None while it never did."""
    finished: datetime | None = None
    exit_code: int | None = None
    signal: int | None = None
    end_reason: str = ""
    """The container's reason (OOMKilled, Error…) or, before that, the pod's (Evicted, DeadlineExceeded…)."""
    end_message: str = ""
    """The pod's message where the cluster ended it."""
    termination_message: str = ""
    hold_reason: str = ""
    """Why it does not start (Unschedulable, ErrImagePull…), in the cluster's own word."""
    hold_message: str = ""

    @property
    def ended(self) -> bool:
        """Whether it has run, to whatever end."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def out_of_time(self) -> bool:
        """Whether the cluster ended it because its time was up."""
        return self.end_reason == "DeadlineExceeded"


@dataclass(frozen=True, slots=True)
class BatchJob:
    """A batch Job that runs, or ran, an attempt through a pod of its own."""

    name: str
    uid: str
    version: int
    attempt: int
    priority: Priority
    deleting: bool
    suspended: bool = False
    """Whether somebody holds it, such as a queue that has not admitted it."""
    failed_reason: str = ""
    failed_message: str = ""
    completed: bool = False

    @property
    def ended(self) -> bool:
        """Whether it will start no further pod."""
        return self.completed or bool(self.failed_reason)


Child = WorkerPod | BatchJob

DependencyPhases = Mapping[str, Phase | None]
"""By name the phases of the jobs that a job depends on; None for one that does not exist."""


@dataclass(frozen=True, slots=True)
class ClassPolicy:
    """How jobs of one priority class are run."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class Policy:
    """The administrator's settings that decisions depend on."""

    classes: Mapping[Priority, ClassPolicy]
    max_urls: int
    images: tuple[str, ...]
    """Patterns of the worker images that jobs may name."""
    progress_interval: float
    """Seconds between two progress writes of one job."""
    delete_jobs: bool
    """Whether jobs are deleted when their time is over; results always are."""
    patience: float
    """Seconds a job may wait for capacity before its status says so: short waits cost no write."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether capacity is free for the job, now."""

    granted: bool
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """All that is known about one job when it is decided upon."""

    job: Job
    pods: tuple[WorkerPod, ...] = ()
    """Those of the attempt that is not over; so too the batch Jobs."""
    batch_jobs: tuple[BatchJob, ...] = ()
    report: ProgressReport | None = None
    """The newest progress report of the current attempt."""
    outcome: Outcome | None = None
    """The outcome document of the current attempt, where the result store holds one."""
    admission: Admission = Admission(granted=False)
    dependencies: DependencyPhases = field(default_factory=dict)
    cycle: tuple[str, ...] = ()
    """The chain of names by which the job waits for itself, if it does."""
    refusal: str = ""
    """What the cluster said when it refused a worker just now."""


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Create the Pod or batch Job of an attempt."""

    attempt: int
    execution: Execution


@dataclass(frozen=True, slots=True)
class StopWorker:
    """Delete a child; its worker gets the time to hand back what it has."""

    child: Child


@dataclass(frozen=True, slots=True)
class Mark:
    """Make these the operator's own annotations on the job, and no others; the dead-letter one is a label too."""

    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RemoveResults:
    """Remove all that the job's workers have stored."""


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete the job itself, in this very version; what it owns goes with it."""


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """Post a Kubernetes Event about the job, for `kubectl describe`."""

    reason: str
    message: str
    warning: bool = True


Action = StartWorker | StopWorker | Mark | RemoveResults | DeleteJob | RecordEvent


@dataclass(frozen=True, slots=True)
class Plan:
    """What shall be: a status (None: leave it), what to do, and when to look again at the latest."""

    status: CrawlJobStatus | None = None
    actions: tuple[Action, ...] = ()
    requeue_after: float | None = None
    in_line: bool = False
    """Whether the job waits for nothing but a place."""

    @property
    def starts(self) -> bool:
        """Whether a worker is to be started."""
        return any(isinstance(action, StartWorker) for action in self.actions)


NOTHING = Plan()
