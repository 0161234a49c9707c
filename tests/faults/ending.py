"""What a trial came to, told in terms that do not depend on its accidents: times, UIDs and the names made from them."""

import json
import re
from base64 import b32encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from fault import Course
from world import Object, World, ended, owner_uid, phase_of

from crawl_api.names import LABEL_EXECUTION, LABEL_PRIORITY
from crawl_operator.kube import BATCH_JOBS, CRAWLJOBS, PODS, SCHEDULES, Resource

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_LINE: Final = re.compile(r'"\d+ \* \* \* \*')
_NUMBER: Final = re.compile(rf'("{re.escape(LABEL_EXECUTION)}": )"\d+"')
_LASTED: Final = re.compile(r'("processingTimeMs": )\d+|("duration": )"[^"]*"')


@dataclass(frozen=True)
class Ending:
    """What a trial came to."""

    state: str
    """Jobs, children and stored files as JSON, without what is accidental."""
    phases: dict[str, str]
    moves: frozenset[tuple[str, str]]
    """From phase to phase, as the jobs at the end tell."""
    course: Course
    violations: tuple[str, ...]
    injected: tuple[str, ...]
    """Where the fault has struck."""
    journal: tuple[str, ...]


def state_of(world: World, folder: Path) -> str:
    """Return all that is left at the end of a trial.

    Args:
        world: its namespace.
        folder: the operator's result store.
    """
    left = [
        *_jobs(world, SCHEDULES),
        *_jobs(world, CRAWLJOBS),
        *sorted(_children(world), key=json.dumps),
        {"files": sorted(_files(folder))},
    ]
    text = "\n".join(json.dumps(each, indent=1, sort_keys=True) for each in left)
    for part, name in _accidents(world, folder).items():
        text = text.replace(part, name)
    return _LASTED.sub(r'\1\2"…"', _LINE.sub('"<line>', _TIME.sub("…", text)))


def unnumbered(state: str) -> str:
    """Leave out of an end what runs are numbered: two operators, or one that has seen old lists, may count the same."""
    return _NUMBER.sub(r'\1"…"', state)


def _jobs(world: World, kind: Resource) -> Iterator[Object]:
    """Everything about each job or schedule: also that nobody but its user has touched its spec and annotations."""
    names = world.now.names
    for _, body in sorted(world.now.objects[kind].items(), key=lambda item: names.get(item[0], "")):
        meta = {name: body["metadata"].get(name) for name in ("name", "labels", "annotations", "finalizers")}
        yield {"metadata": meta, "spec": body["spec"], "status": body.get("status", {})}


def _children(world: World) -> Iterator[dict[str, Any]]:
    for resource in (PODS, BATCH_JOBS):
        for each in world.now.objects[resource].values():
            # The class is the one that was known when it started: a change may be known later.
            labels = {name: value for name, value in each["metadata"]["labels"].items() if name != LABEL_PRIORITY}
            yield {
                "kind": each["kind"],
                "name": each["metadata"]["name"],
                "owner": owner_uid(each),
                "labels": labels,
                "phase": phase_of(each),
                "ended": ended(each),
            }


def _files(folder: Path) -> Iterator[str]:
    """Yield what is stored, but for what a writer that died has left unfinished."""
    for path in folder.rglob("*"):
        if path.is_file() and "#" not in path.name:
            yield str(path.relative_to(folder))


def _accidents(world: World, folder: Path) -> Mapping[str, str]:
    """Return what is accidental about this trial → what to call it."""
    names = {str(folder.resolve()): "<results>", world.namespace: "<namespace>"}
    counts: dict[str, int] = {}
    hashes = {}
    for seen in sorted(world.history, key=lambda each: each.version):
        if seen.uid in names or seen.resource is not CRAWLJOBS:
            continue
        name = world.now.names[seen.uid]
        if name != seen.body["metadata"]["name"]:
            hashes[seen.body["metadata"]["name"]] = f"<name of {name}>"
        count = counts[name] = counts.get(name, 0) + 1
        names[seen.uid] = f"<uid of {name} {count}>"
        digest = b32encode(sha256(seen.uid.encode()).digest())[:8].decode().lower()
        hashes[digest] = f"<hash of {name} {count}>"
    for seen in world.history:
        names.setdefault(seen.uid, f"<uid of {seen.resource.plural} {seen.body['metadata']['name']}>")
    return names | dict(sorted(hashes.items(), key=lambda each: -len(each[0])))
