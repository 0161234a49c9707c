"""Every name that more than one program must spell the same: API group, labels, annotations, worker file paths."""

from typing import Final

GROUP: Final = "crawl-operator.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

KIND: Final = "CrawlJob"
PLURAL: Final = "crawljobs"

SCHEDULE_KIND: Final = "ScheduledCrawlJob"
SCHEDULE_PLURAL: Final = "scheduledcrawljobs"

LABEL_JOB: Final = f"{GROUP}/job"
LABEL_JOB_UID: Final = f"{GROUP}/job-uid"
LABEL_ATTEMPT: Final = f"{GROUP}/attempt"
LABEL_PRIORITY: Final = f"{GROUP}/priority"
LABEL_JOB_ID: Final = f"{GROUP}/job-id"
LABEL_TASK_ID: Final = f"{GROUP}/task-id"
"""On a job: what other systems call it; clients find it by these too."""
LABEL_QUEUE: Final = "kueue.x-k8s.io/queue-name"
"""On a job: the Kueue queue that decides when its batch Jobs run. The name is Kueue's."""

LABEL_SCHEDULE: Final = f"{GROUP}/schedule"
"""On a run: the name of the schedule that made it."""
LABEL_SCHEDULE_UID: Final = f"{GROUP}/schedule-uid"
LABEL_EXECUTION: Final = f"{GROUP}/execution"
"""On a run: its number among the runs of its schedule, from 1; an annotation too."""
ANNOTATION_SLOT: Final = f"{GROUP}/scheduled-at"
"""On a run: the time that it was due, in the zone of its schedule."""

ANNOTATION_ASSIGNMENT: Final = f"{GROUP}/assignment"
"""On a worker pod: the JSON of its `Assignment`, which the pod reads as a downward-API file."""

ANNOTATION_RETRY_COUNT: Final = f"{GROUP}/retry-count"
ANNOTATION_NEXT_RETRY: Final = f"{GROUP}/next-retry-at"
ANNOTATION_LAST_FAILURE: Final = f"{GROUP}/last-failure-reason"
ANNOTATION_DEAD_LETTER: Final = f"{GROUP}/dead-letter"
"""Also a label, for selectors."""
ANNOTATION_DEAD_LETTER_REASON: Final = f"{GROUP}/dead-letter-reason"
ANNOTATION_DEAD_LETTER_AT: Final = f"{GROUP}/dead-letter-at"

ANNOTATION_REQUEUE: Final = f"{GROUP}/requeue"
"""A person's lever: each new value runs a finished job again. The operator never touches it."""
ANNOTATION_CANCEL: Final = f"{GROUP}/cancel"
"""A person's lever: `true` is `spec.cancel` without a change of the spec, which Git would undo."""

ANNOTATION_REPORTS: Final = f"{GROUP}/reports"
"""On the operators' Lease: the URL at which the one that leads takes the reports of workers."""
ANNOTATION_TRIGGER: Final = f"{GROUP}/trigger"
"""A person's lever on a schedule: each new value makes a run now. On that run: the value. The operator never touches
the former."""

ANNOTATION_NOTIFIED: Final = f"{GROUP}/notified"
"""On a job with webhooks: the JSON of what has become of each message. The gateway writes it."""

ANNOTATION_REQUEST: Final = f"{GROUP}/request"
"""On a job that was submitted with an idempotency key: a digest of key and request, to know a repetition by."""

TOKEN_AUDIENCE: Final = "crawl-operator"  # noqa: S105 - a name, not a secret
"""The audience of the workers' projected tokens: useless on the Kubernetes API, accepted by the operator alone."""

WORKER_CONTAINER: Final = "worker"

ENV_ASSIGNMENT_FILE: Final = "CRAWL_ASSIGNMENT_FILE"
ENV_TOKEN_FILE: Final = "CRAWL_TOKEN_FILE"  # noqa: S105 - the name of a variable
ENV_TERMINATION_LOG: Final = "CRAWL_TERMINATION_LOG"
ENV_WORK_DIR: Final = "CRAWL_WORK_DIR"
ENV_HEADERS: Final = "CRAWL_HEADERS"
"""A folder with the Secrets that `spec.fetch.headersFrom` names, one file per header."""
ENV_STORE_CREDENTIALS: Final = "CRAWL_STORE_CREDENTIALS"
"""A folder with the Secret that `spec.output.credentials` names, one file per key."""

MAX_JOB_NAME: Final = 63
"""Characters in a job's name, and in a schedule's: they are also label values on what is made of them."""
