"""One pod, from the moment the node sees it until the API server no longer has it.

Each pod is a task of its own that follows the pod's life in order: check, prepare, initialise, run, end, delete. News
from the API server only changes what that task looks at next; so news may come twice, late, or not at all.
"""

import asyncio
import contextlib
import logging

from local_cluster.node import processes, spec, status
from local_cluster.node.api import ApiError
from local_cluster.node.container import Container, Shared
from local_cluster.node.environment import Place
from local_cluster.node.halt import Halt, settle
from local_cluster.node.k8s import Json, parse_time, pod_key, utc_now
from local_cluster.node.publisher import Publisher
from local_cluster.node.records import Memory, Record, Waiting
from local_cluster.node.services import Services
from local_cluster.node.status import Knowledge, Verdict
from local_cluster.node.volumes import MountError, Volumes

_log = logging.getLogger(__name__)

_FIRST_RETRY = 0.02
_LONGEST_RETRY = 2.0
_QUIET_RETRY = 0.2
_REFRESH_SECONDS = 5.0
_DEFAULT_GRACE = 30


class Pod:
    """A pod of this node. `run` is its life; `update`, `vanish` and `shut_down` are the news it gets."""

    def __init__(self, pod: Json, ip: str, services: Services) -> None:
        self.pod = pod
        self.ip = ip
        self.containers: dict[str, Container] = {}
        self._services = services
        self._directory = services.pod_directory(pod["metadata"]["uid"])
        endpoint = services.api.endpoint
        place = Place(ip, services.host_ip, endpoint.host, endpoint.port, services.resources)
        volumes = Volumes(self._directory / "volumes", place, services.objects)
        self._memory = Memory(self._directory / "records.json")
        self._shared = Shared(pod, place, volumes, Halt(), self._save, self._changed)
        self._publisher = Publisher(services.api, pod)
        self._deleted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._refresh = asyncio.Event()
        self._prepared = self._over = self._silent = False
        self._verdict: Verdict | None = None
        self._deadline: asyncio.TimerHandle | None = None
        started = (pod.get("status") or {}).get("startTime")
        self._start_time = parse_time(started) if started else utc_now()
        self._note_deletion()

    def update(self, pod: Json) -> None:
        """Take a newer version of the pod."""
        before, self.pod, self._shared.pod = self.pod, pod, pod
        if any(before["metadata"].get(field) != pod["metadata"].get(field) for field in ("labels", "annotations")):
            self._refresh.set()
        self._note_deletion()
        if self.containers and not self._over:
            self._set_deadline()
            self._changed()

    def vanish(self) -> None:
        """The API server no longer has the pod: end at once, tell nobody."""
        self._publisher.vanish()
        settle(self._deleted)
        self._shared.halt.order(0)

    def shut_down(self) -> None:
        """The node ends: kill the processes, and leave to the next node what that means for the pod."""
        self._silent = True
        self.vanish()

    async def run(self) -> None:
        """Live; returns when nothing of the pod is left on this node, or the node shuts down."""
        publishing = asyncio.create_task(self._publisher.run())
        try:
            await self._live()
            await self._publisher.settled()
            await self._deleted
            if not self._silent:
                await self._publisher.delete()
                self._services.objects.forget(self.pod["metadata"]["uid"])
                processes.remove_tree(self._directory)
        finally:
            publishing.cancel()
            self._shared.halt.cancel_timer()
            self._cancel_deadline()

    async def _live(self) -> None:
        if (self.pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            self._over = True
            self._adopt_records()  # its logs can still be read
            return
        if problems := spec.unsupported(self.pod):
            self._refuse("UnsupportedPodSpec", f"this node does not support: {', '.join(problems)}")
            return
        try:
            await self._run_containers()
        except Exception as error:  # noqa: BLE001 - a defect here is this pod's bad luck, never the node's
            _log.exception("pod %s", pod_key(self.pod))
            for container in self.containers.values():
                container.abandon()
            self._refuse("NodeError", f"the node failed to run this pod: {error!r}")

    def _refuse(self, reason: str, message: str) -> None:
        self._verdict, self._over = Verdict(reason, message), True
        self._services.events.warning(self.pod, reason, message)
        self._changed()

    async def _run_containers(self) -> None:
        self._adopt_records()
        self._set_deadline()
        if await self._prepare():
            keeping = asyncio.create_task(self._keep_volumes())
            try:
                await self._run_in_order()
            finally:
                keeping.cancel()
        self._over = True
        self._cancel_deadline()
        self._changed()

    def _adopt_records(self) -> None:
        """Continue what an earlier life of the node has begun, or begin."""
        self._directory.mkdir(parents=True, exist_ok=True)
        inits = self.pod["spec"].get("initContainers") or []
        reason = Waiting("PodInitializing" if inits else "ContainerCreating")
        fresh = [Record(entry["name"], init=True, state=reason) for entry in inits]
        fresh += [Record(entry["name"], state=reason) for entry in self.pod["spec"]["containers"]]
        specs = {entry["name"]: entry for entry in [*inits, *self.pod["spec"]["containers"]]}
        self.containers = {
            record.name: Container(specs[record.name], record, self._shared, self._services)
            for record in self._memory.load() or fresh
        }

    async def _prepare(self) -> bool:
        """Make the volumes, trying again until what they need is there; whether that came before the pod's end."""
        retry, halt = _FIRST_RETRY, self._shared.halt
        while not halt.given:
            try:
                await self._shared.volumes.fill(self.pod, max_age=0)
            except (MountError, ApiError) as error:
                if retry >= _QUIET_RETRY or isinstance(error, MountError):
                    self._services.events.warning(self.pod, "FailedMount", str(error))
                    self._changed()
            else:
                self._prepared = True
                return not halt.given
            await halt.sleep(retry)
            retry = min(retry * 2, _LONGEST_RETRY)
        return False

    async def _run_in_order(self) -> None:
        for container in self.containers.values():
            if container.record.init:
                await container.run()
                if not status.succeeded(container.record):
                    return
        async with asyncio.TaskGroup() as group:
            for container in self.containers.values():
                if not container.record.init:
                    group.create_task(container.run())

    async def _keep_volumes(self) -> None:
        """Let changes of what the volumes show reach their files; what cannot be read now stays as it was."""
        if not any("emptyDir" not in volume for volume in self.pod["spec"].get("volumes") or []):
            return
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_SECONDS):
                    await self._refresh.wait()
            self._refresh.clear()
            try:
                await self._shared.volumes.fill(self.pod, max_age=_REFRESH_SECONDS / 2)
            except (MountError, ApiError, OSError) as error:
                _log.info("pod %s: volumes stay as they are: %s", pod_key(self.pod), error)

    def _note_deletion(self) -> None:
        metadata = self.pod["metadata"]
        if "deletionTimestamp" in metadata:
            settle(self._deleted)
            self._shared.halt.order(float(metadata.get("deletionGracePeriodSeconds") or 0))

    def _set_deadline(self) -> None:
        self._cancel_deadline()
        seconds = self.pod["spec"].get("activeDeadlineSeconds")
        if seconds is not None and self._verdict is None:
            left = seconds - (utc_now() - self._start_time).total_seconds()
            self._deadline = asyncio.get_running_loop().call_later(max(left, 0), self._expire)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        message = "Pod was active on the node longer than the specified deadline"
        self._verdict = Verdict("DeadlineExceeded", message)
        self._services.events.normal(self.pod, "DeadlineExceeded", message)
        grace = self.pod["spec"].get("terminationGracePeriodSeconds", _DEFAULT_GRACE)
        self._shared.halt.order(float(grace))
        self._changed()

    def _save(self) -> None:
        self._memory.save([container.record for container in self.containers.values()])

    def _changed(self) -> None:
        """Show what is known now."""
        if self._silent:
            return
        known = Knowledge(
            records=[container.record for container in self.containers.values()],
            pod_ip=self.ip,
            host_ip=self._services.host_ip,
            start_time=self._start_time,
            prepared=self._prepared,
            over=self._over,
            verdict=self._verdict,
            shown=self._publisher.wanted.get("conditions", ()),
        )
        self._publisher.publish(status.build(self.pod, known, utc_now()))
