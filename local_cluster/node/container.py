"""One container of a pod: started, watched, ended, and started again as its pod's policy says."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local_cluster.node import environment, probes
from local_cluster.node.api import ApiError
from local_cluster.node.environment import ConfigError, Means, Place, Sources
from local_cluster.node.halt import Halt, first_of
from local_cluster.node.images import UnknownImageError
from local_cluster.node.k8s import Json, utc_now
from local_cluster.node.logs import LogWriter
from local_cluster.node.objects import Data
from local_cluster.node.processes import Command, Process, StartError
from local_cluster.node.records import Record, Running, Terminated, end_of
from local_cluster.node.rewrite import Mounts
from local_cluster.node.services import Services
from local_cluster.node.status import restarts
from local_cluster.node.termination import message_of
from local_cluster.node.volumes import Volumes

_MAX_OUTPUT = 1024
_FIRST_RETRY = 0.02
_LONGEST_RETRY = 5.0
# The API server's node authorizer learns of a new pod a moment after the node does, so a first refusal means nothing.
_QUIET_RETRY = 0.2


@dataclass(slots=True)
class Shared:
    """What the containers of one pod share. `pod` is replaced when the API server has a newer one."""

    pod: Json
    place: Place
    volumes: Volumes
    halt: Halt
    save: Callable[[], None]
    changed: Callable[[], None]


class Container:
    """Runs one container. `record` is what everybody else may know of it."""

    def __init__(self, spec: Json, record: Record, shared: Shared, services: Services) -> None:
        self.spec = spec
        self.record = record
        self.log: LogWriter | None = None
        self._shared = shared
        self._services = services
        uid = shared.pod["metadata"]["uid"]
        self._directory = services.pod_directory(uid) / "containers" / record.name
        self._identity = f"process://{uid}.{record.name}"
        self._ends = 0
        self._means: Means | None = None

    def log_path(self, attempt: int) -> Path:
        """Where the output of the attempt (1 is the first) is kept."""
        return self._directory / f"{attempt}.log"

    async def run(self) -> None:
        """Run until the container is not to be started again."""
        record, halt = self.record, self._shared.halt
        policy = self._shared.pod["spec"].get("restartPolicy") or "Always"
        while not halt.given:
            if isinstance(record.state, Terminated):
                if not restarts(policy, record.state, init=record.init):
                    return
                if await self._back_off():
                    break
            command = await self._command()
            if command is None:
                break
            await self._attempt(command)
        if not isinstance(record.state, Terminated) and record.last is not None:
            record.state = record.last

    def abandon(self) -> None:
        """Note that the node gave up on the container; its processes have been killed."""
        if isinstance(state := self.record.state, Running):
            message = "killed: the node failed to run its pod"
            self.record.end(Terminated(state.container_id, 137, "Error", message, state.started_at, utc_now(), 9))

    async def _attempt(self, command: Command) -> None:
        """One process from start to end, in the record before it is in the world: no attempt is ever made twice."""
        record, attempt = self.record, self.record.attempts + 1
        identity, started_at = f"{self._identity}.{attempt}", utc_now()
        record.run(identity, started_at)
        record.started = "startupProbe" not in self.spec
        record.ready = record.started and "readinessProbe" not in self.spec
        self._shared.save()
        self.log_path(attempt - 2).unlink(missing_ok=True)
        self.log = LogWriter(self.log_path(attempt))
        try:
            process = Process(command, str(self._directory / str(attempt)), self._services.reaper, self.log.feed)
        except StartError as error:
            self.log.close()
            message = f"failed to start container: {error}"
            self._services.events.warning(self._shared.pod, "Failed", f"Error: {message}", self.spec)
            self._end(Terminated(identity, 128, "StartError", message, started_at, utc_now()))
            return
        self._shared.changed()
        self._services.events.normal(self._shared.pod, "Started", f"Started container {record.name}", self.spec)
        try:
            await self._until_gone(process)
        finally:
            process.kill()  # for the case that the node itself gives up on this pod
        code, finished_at = process.gone.result()
        self.log.close()
        exit_code, number, reason = end_of(code)
        message = message_of(self.spec, self._message_path(attempt), self.log_path(attempt), failed=exit_code != 0)
        self._end(Terminated(identity, exit_code, reason, message, started_at, finished_at, number))

    async def _until_gone(self, process: Process) -> None:
        """Wait for the end of the process, or bring it about: on a halt, or when a probe has failed for good."""
        halt, name = self._shared.halt, self.record.name
        probing = asyncio.create_task(self._probe())
        try:
            await first_of(process.gone, halt.ordered, probing)
            if process.gone.done():
                return
            grace = None if halt.given else self._shared.pod["spec"].get("terminationGracePeriodSeconds", 30)
            message = f"Stopping container {name}" if halt.given else f"Container {name} {probing.result()}"
            self._services.events.normal(self._shared.pod, "Killing", message, self.spec)
            if not halt.expired.done():
                process.terminate()
                await first_of(process.gone, halt.expired, seconds=grace)
            process.kill()
            await first_of(process.gone)
        finally:
            probing.cancel()

    async def _probe(self) -> str:
        if not any(kind in self.spec for kind in probes.KINDS):
            await asyncio.Event().wait()
        pod, events = self._shared.pod, self._services.events
        return await probes.Prober(
            spec=self.spec,
            record=self.record,
            host=self._shared.place.pod_ip,
            execute=self._execute,
            changed=self._shared.changed,
            unhealthy=lambda message: events.warning(pod, "Unhealthy", message, self.spec),
        ).run()

    async def _execute(self, arguments: list[str]) -> str:
        """Run a probe's command beside the container; what went wrong."""
        if self._means is None:
            return "the container has not been started"
        output = bytearray()
        command = environment.command(self._shared.pod, {**self.spec, "command": arguments, "args": []}, self._means)
        marker = str(self._directory / f"{self.record.attempts}.probe")
        try:
            process = Process(
                command, marker, self._services.reaper, lambda _, data: output.extend(data[: _MAX_OUTPUT - len(output)])
            )
        except StartError as error:
            return str(error)
        try:
            await first_of(process.gone)
        finally:
            process.kill()
        code, _ = process.gone.result()
        return "" if code == 0 else output[:_MAX_OUTPUT].decode(errors="replace").strip() or f"exit code {code}"

    def _end(self, end: Terminated) -> None:
        if end.started_at and self._services.backoff.healthy((end.finished_at - end.started_at).total_seconds()):
            self._ends = 0
        self._ends += 1
        self.record.end(end)
        self._shared.save()
        self._shared.changed()

    async def _back_off(self) -> bool:
        """Wait before the next start; whether the pod is to end instead."""
        seconds = self._services.backoff.wait(self._ends)
        if seconds == 0:
            return False
        metadata, name = self._shared.pod["metadata"], self.record.name
        whose = f"pod={metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        self._wait("CrashLoopBackOff", f"back-off {seconds:g}s restarting failed container={name} {whose}")
        message = f"Back-off restarting failed container {name} in pod {metadata['name']}_{metadata['namespace']}"
        self._services.events.warning(self._shared.pod, "BackOff", message, self.spec)
        return await self._shared.halt.sleep(seconds)

    async def _command(self) -> Command | None:
        """What to execute, as soon as all it needs is there; None when the pod is to end first."""
        retry, image = _FIRST_RETRY, self.spec["image"]
        while True:
            try:
                command = await self._ready_command()
            except UnknownImageError as error:
                backing_off = retry > _FIRST_RETRY
                self._wait("ImagePullBackOff" if backing_off else "ErrImagePull", str(error))
                self._services.events.warning(self._shared.pod, "Failed", f"Error: {error}", self.spec)
                retry = max(retry, 0.5)
            except ConfigError as error:
                self._wait("CreateContainerConfigError", str(error))
                self._services.events.warning(self._shared.pod, "Failed", f"Error: {error}", self.spec)
                retry = max(retry, 0.5)
            except ApiError as error:
                if retry >= _QUIET_RETRY:
                    self._wait("CreateContainerConfigError", f"{image}: {error}")
            else:
                return None if self._shared.halt.given else command
            if await self._shared.halt.sleep(retry):
                return None
            retry = min(retry * 2, _LONGEST_RETRY)

    async def _ready_command(self) -> Command:
        image = self._services.images.find(self.spec["image"])
        home = self._directory / "home"
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        termination = self._message_path(self.record.attempts + 1)
        termination.touch(mode=0o666)
        self._message_path(self.record.attempts).unlink(missing_ok=True)
        paths = self._shared.volumes.mounts(self.spec)
        paths[self.spec.get("terminationMessagePath") or "/dev/termination-log"] = termination
        self._means = Means(image, self._shared.place, await self._sources(), Mounts(paths), home)
        return environment.command(self._shared.pod, self.spec, self._means)

    async def _sources(self) -> Sources:
        namespace = self._shared.pod["metadata"]["namespace"]
        objects = self._services.objects
        config_maps: dict[str, Data] = {}
        secrets: dict[str, Data] = {}
        for kind, name in sorted(environment.referenced(self.spec)):
            read, found = (objects.secret, secrets) if kind == "secret" else (objects.config_map, config_maps)
            if (data := await read(namespace, name, max_age=0)) is not None:
                found[name] = data
        return Sources(config_maps, secrets)

    def _wait(self, reason: str, message: str) -> None:
        self.record.wait(reason, message)
        self._shared.changed()

    def _message_path(self, attempt: int) -> Path:
        return self._directory / f"{attempt}.message"
