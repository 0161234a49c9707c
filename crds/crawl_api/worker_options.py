"""`CrawlJob.spec.worker`: what a user may choose about the worker pod. A closed list, never a raw pod spec."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from crawl_api.base import SpecModel

Quantity = Annotated[
    str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$", min_length=1, max_length=32)
]
"""An amount as Kubernetes writes it, such as 250m or 512Mi."""

_NAME = r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)"

_LABEL_KEY = rf"^([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}$"
_NO_LABEL_NAME = "keys must be label names, such as example.org/disk"

LabelKey = Annotated[str, StringConstraints(pattern=_LABEL_KEY, max_length=317)]
LabelValue = Annotated[str, StringConstraints(pattern=rf"^{_NAME}?$", max_length=63)]


def _label_names(labels: dict[str, str]) -> dict[str, str]:
    if not all(re.match(_LABEL_KEY, key) for key in labels):
        raise ValueError(_NO_LABEL_NAME)
    return labels


class Amounts(SpecModel):
    """Amounts of what a node has."""

    model_config = ConfigDict(
        alias_generator=lambda name: name.replace("_", "-") if name == "ephemeral_storage" else to_camel(name)
    )

    cpu: Quantity | None = None
    """Cores, such as 250m."""
    memory: Quantity | None = None
    """Bytes, such as 512Mi."""
    ephemeral_storage: Quantity | None = None
    """Bytes of the node's disk, such as 2Gi."""


class Resources(SpecModel):
    """What the worker's container asks for and may use."""

    requests: Amounts = Amounts()
    """What the scheduler keeps for it."""
    limits: Amounts = Amounts()
    """What it cannot exceed."""


class TolerationOperator(StrEnum):
    """How a toleration's value is compared."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(SpecModel):
    """A taint of nodes that the worker may run on all the same."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.operator == 'Exists' ? !has(self.value) || self.value == '' : has(self.key)",
                    "message": "Exists takes no value, and Equal needs a key",
                }
            ]
        }
    )

    key: LabelKey | None = None
    """The taint's key; with `Exists` and no key, every taint is tolerated."""
    operator: TolerationOperator = TolerationOperator.EQUAL
    """`Equal` compares the value, `Exists` does not."""
    value: LabelValue = ""
    """The taint's value."""
    effect: TaintEffect | None = None
    """The taint's effect; unset for all."""
    toleration_seconds: Annotated[int, Field(ge=0, le=86400)] | None = None
    """For NoExecute: how long the worker stays."""


class WorkerOptions(SpecModel):
    """The pod that does the work."""

    image: Annotated[str, StringConstraints(max_length=512, pattern=r"^[A-Za-z0-9._:/@-]*$")] = ""
    """An image that the administrator allows; empty for the operator's own."""
    resources: Resources | None = None
    """Instead of what the administrator has set for the job's priority."""
    node_selector: Annotated[
        dict[str, LabelValue],
        Field(
            max_length=20,
            json_schema_extra={
                "x-kubernetes-validations": [
                    {
                        "rule": f"self.all(key, key.matches('{_LABEL_KEY}'))",
                        "message": _NO_LABEL_NAME,
                    }
                ]
            },
        ),
        AfterValidator(_label_names),
    ] = {}
    """Labels that the node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=20)] = ()
    """Taints of nodes that the worker tolerates."""
