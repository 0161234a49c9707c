"""What configuration forbids: the API server cannot know it, so the operator refuses it, all errors at once."""

import json
from fnmatch import fnmatchcase
from typing import Final

from pydantic import ValidationError

from crawl_api.crawljob import CrawlJobSpec
from crawl_operator.decide.model import Job, Policy

MAX_ASSIGNMENT_BYTES: Final = 200_000
"""What is handed to a worker travels in an annotation, and Kubernetes allows 256 KiB for all of an object's."""


def read_spec(job: Job) -> CrawlJobSpec | tuple[str, ...]:
    """Return the job's spec, or one sentence for each thing wrong with it, naming field and fix."""
    try:
        return CrawlJobSpec.model_validate(job.spec)
    except ValidationError as error:
        return tuple(
            f"spec.{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}".replace("spec.:", "spec:")
            for problem in error.errors(include_url=False, include_input=False)
        )


def problems(spec: CrawlJobSpec, policy: Policy) -> tuple[str, ...]:
    """Return one sentence for each limit of the administrator's that the spec breaks."""
    found = []
    if len(spec.urls) > policy.max_urls:
        found.append(
            f"spec.{spec.type.value.lower()}.urls: {len(spec.urls)} URLs, but at most {policy.max_urls} are allowed "
            "here (limits.urlsPerJob); split the list into several CrawlJobs"
        )
    image = spec.worker.image
    if image and not any(fnmatchcase(image, allowed) for allowed in policy.images):
        found.append(
            f"spec.worker.image: {image} is not allowed here (worker.allowedImages), but {', '.join(policy.images)}; "
            "leave it empty for the operator's own"
        )
    size = len(
        json.dumps(spec.model_dump(mode="json", by_alias=True, exclude={"metadata"}), ensure_ascii=False).encode()
    )
    if size > MAX_ASSIGNMENT_BYTES:
        found.append(
            f"spec: {size} bytes, but a worker can be handed at most {MAX_ASSIGNMENT_BYTES}; "
            "use fewer or shorter URLs and selectors"
        )
    return tuple(found)
