"""The process that stands between a cluster and its owner, so that a cluster never outlives its owner.

An owner can be killed without a chance to clean up. Therefore the components are children of this small process,
which waits for one thing above all: that the pipe it reads its orders from is closed, which the kernel does when the
owner ends, however it ends. Then it ends every process that descends from it (it is their parent of last resort, so
none can escape by forking), removes the state folder, and is gone.

Orders are lines of JSON on standard input, each answered by a line on standard output:

    {"start": "etcd", "command": ["/path/etcd", "--flag"]}    start a component, its output goes to logs/etcd.log
    {"kill": "etcd"}                                          kill a component; answered once it has ended

What runs is written to `components.json` in the state folder whenever it changes.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from local_cluster import processes, states
from local_cluster.components import NODE

COMPONENTS_FILE = "components.json"
_KILL_SECONDS = 10
_GRACE_SECONDS = 1.0
_END_SECONDS = 15


class Keeper:
    """Starts and ends the components of one cluster."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._components: dict[str, dict[str, Any]] = {}

    def run(self, owner: int, wakeup: int) -> None:
        """Take orders until the owner is gone or a signal asks to end."""
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
            selector.register(wakeup, selectors.EVENT_READ)
            selector.register(owner, selectors.EVENT_READ)
            rest = b""
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if wakeup in ready and set(os.read(wakeup, 4096)) != {signal.SIGCHLD}:
                    return
                self._note_ended(processes.reap())
                if owner in ready:
                    return
                if sys.stdin.fileno() in ready:
                    chunk = os.read(sys.stdin.fileno(), 65536)
                    if not chunk:
                        return
                    *orders, rest = (rest + chunk).split(b"\n")
                    for order in orders:
                        sys.stdout.write(json.dumps(self._obey(json.loads(order))) + "\n")
                        sys.stdout.flush()

    def end(self) -> None:
        """End everything that descends from this process, and remove its traces."""
        # Pods get a moment to end well; the rest has nothing left to lose, and an API server takes its time.
        for name, component in self._components.items():
            if name != NODE and component["exit"] is None:
                os.kill(component["pid"], signal.SIGKILL)
        processes.end_all(processes.descendants, grace=_GRACE_SECONDS, limit=_END_SECONDS)
        states.remove(self._state)

    def _obey(self, order: dict[str, Any]) -> dict[str, Any]:
        try:
            if "start" in order:
                self._start(order["start"], order["command"])
            else:
                self._kill(order["kill"])
        except OSError as error:
            return {"error": str(error)}
        return {}

    def _start(self, name: str, command: list[str]) -> None:
        with (self._state / "logs" / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self._state,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=processes.die_with_parent,  # noqa: PLW1509 - this process has one thread
            )
        process.returncode = 0  # its end is collected by `reap`, not by this object
        self._components[name] = {"pid": process.pid, "exit": None}
        self._write()

    def _kill(self, name: str) -> None:
        component = self._components[name]
        if component["exit"] is None:
            os.kill(component["pid"], signal.SIGKILL)  # not yet collected, so the id is still its own
        deadline = time.monotonic() + _KILL_SECONDS
        while component["exit"] is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} has not ended {_KILL_SECONDS} s after being killed")
            time.sleep(0.01)
            self._note_ended(processes.reap())

    def _note_ended(self, ended: dict[int, int]) -> None:
        for component in self._components.values():
            if component["exit"] is None and component["pid"] in ended:
                component["exit"] = ended[component["pid"]]
                self._write()

    def _write(self) -> None:
        fresh = self._state / f"{COMPONENTS_FILE}.new"
        fresh.write_text(json.dumps(self._components, indent=1))
        fresh.replace(self._state / COMPONENTS_FILE)


def main() -> None:
    """Run as `python -m local_cluster.keeper STATE OWNER-PID`."""
    keeper = Keeper(Path(sys.argv[1]))
    processes.adopt_orphans()
    wakeup, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        # A forked copy of the owner would keep the pipe open; the owner itself is told apart by its process.
        owner = os.pidfd_open(int(sys.argv[2]))
        keeper.run(owner, wakeup)
    finally:
        keeper.end()


if __name__ == "__main__":
    main()
