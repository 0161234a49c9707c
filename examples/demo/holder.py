"""The process that holds all that runs behind the demo: local cluster, CRDs, operator and site.

It is apart from the demo that people see, so that it can outlive it when asked to. Until then it ends when its
standard input does, which the kernel sees to, however the demo ends. It reports in lines of JSON on standard output:

    {"done": "the local cluster is up"}          for each step
    {"ready": {"env": {…}, "site": "http://…"}}  at last
    {"failed": "what happened and what to do"}   instead
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from demo import folders
from demo.site import DemoSite
from local_cluster import Image, LocalCluster, LocalClusterError
from local_cluster.named import NamedCluster
from local_cluster.operator_process import await_kinds
from local_cluster.processes import die_with_parent
from local_cluster.programs import free_port

KEEP: Final = "keep"
"""The line on standard input after which the holder lives until it is terminated."""
OPERATOR_LOG: Final = "operator.log"

_WORKER_IMAGE: Final = "crawl-worker:local"
_PAGE_SECONDS: Final = 0.3
"""A site on loopback would answer faster than anyone can watch."""
_READY_SECONDS: Final = 30
_END_SECONDS: Final = 10


class HolderError(Exception):
    """Something did not start; the message is for the person at the terminal."""


def main() -> int:
    """Hold the stage until told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--site-port", type=int, required=True)
    site_port = parser.parse_args().site_port
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        _hold(site_port, folders.state())
    except (HolderError, LocalClusterError, OSError) as error:
        _report(failed=str(error))
        return 1
    except subprocess.CalledProcessError as error:
        _report(failed="\n".join([str(error), *getattr(error, "__notes__", [])]))
        return 1
    return 0


def _hold(site_port: int, folder: Path) -> None:
    images = {_WORKER_IMAGE: Image(entrypoint=[sys.executable, "-m", "crawl_worker"])}
    with NamedCluster(folders.CLUSTER).hold() as publish, LocalCluster(folders.CLUSTER, images=images) as cluster:
        publish(cluster.blueprint, cluster.components)
        _report(done=f"a Kubernetes API server and a node run at {cluster.server}")
        cluster.kubectl("apply", "-f", folders.CRDS)
        await_kinds(cluster)
        _report(done="the API server knows the kind CrawlJob")
        with _operator(cluster, folder), DemoSite(port=site_port, delay=_PAGE_SECONDS) as site:
            _report(done=f"a site of some sixty pages is served at {site.base_url}")
            _report(ready={"env": cluster.env, "site": site.base_url})
            if sys.stdin.readline().strip() == KEEP:
                cluster.wait()


def _end(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # ending takes a moment, and must not be left half done
    raise SystemExit(128 + number)


def _report(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def _operator(cluster: LocalCluster, folder: Path) -> Iterator[None]:
    endpoint, health = free_port(), free_port()
    config, log = folder / "operator.yaml", folder / OPERATOR_LOG
    config.write_text(yaml.safe_dump(_settings(folder, endpoint, health), sort_keys=False))
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - this project's own operator
            [sys.executable, "-m", "crawl_operator", "--config", config],
            env=os.environ | cluster.env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - this process has one thread until the site is served
        )
    try:
        _await_ready(process, f"http://127.0.0.1:{health}/readyz", log)
        _report(done="the operator is ready")
        yield
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _settings(folder: Path, endpoint: int, health: int) -> dict[str, Any]:
    return {
        "endpoint": {"host": "127.0.0.1", "port": endpoint, "url": f"http://127.0.0.1:{endpoint}"},
        "health": {"host": "127.0.0.1", "port": health},
        # Workers refuse internal addresses unless the administrator lists them; the demo's site is on loopback.
        "worker": {"image": _WORKER_IMAGE, "allowedNetworks": ["127.0.0.0/8"], "userAgent": "crawl-operator-demo"},
        "results": {"folder": str(folder / "results")},
        "reconcile": {"progressIntervalSeconds": 0.5},
    }


def _await_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(URLError, OSError), urlopen(url, timeout=1):  # noqa: S310 - our own http URL
            return
        time.sleep(0.1)
    what = "is not ready" if process.returncode is None else f"has ended with {process.returncode}"
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise HolderError(f"the operator {what}; its log {log} ends with:\n{tail}")


if __name__ == "__main__":
    sys.exit(main())
