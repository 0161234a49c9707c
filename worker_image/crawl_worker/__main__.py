"""Entry point: run one attempt, leave the termination message, exit with a code that says how it went."""

import argparse
import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

from scrapy.utils.reactor import install_reactor

from crawl_api.addresses import Network
from crawl_api.names import ENV_TERMINATION_LOG
from crawl_api.status import Cause
from crawl_api.worker_protocol import Assignment, AttemptFailure, Outcome
from crawl_worker import logs
from crawl_worker.attempt import OVERTIME_SECONDS, Attempt, crash
from crawl_worker.base_worker import BaseWorker, Pace, add_arguments
from crawl_worker.fetch.engine import REACTOR
from crawl_worker.health import HealthServer
from crawl_worker.processors.custom import catalogue
from crawl_worker.settings import ConfigurationError, WorkerSettings, load
from crawl_worker.tally import Ending
from crawl_worker.watchdog import Watchdog, block_signals

_LOG: Final = logging.getLogger("crawl_worker")

FAREWELL_SECONDS: Final = 3.0
"""Beyond the grace period, for the termination message alone."""

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_MISCONFIGURED: Final = 2
EXIT_INTERRUPTED: Final = 143

HELP: Final = """\
Run one attempt of a crawl job and exit.

The operator starts this in a pod, without arguments. To run it by hand, write an assignment and set:

  CRAWL_ASSIGNMENT_FILE   JSON of the assignment: namespace, name, uid, attempt, type, its member, timeoutSeconds,
                          maxConcurrency, userAgent, inlineLimitBytes, reportUrl; optional fetch, extract,
                          allowedNetworks
  CRAWL_TOKEN_FILE        token sent to reportUrl; read again for each request
  CRAWL_TERMINATION_LOG   file that receives the outcome
  CRAWL_WORK_DIR          writable directory for records on their way

and, where the defaults do not do:

  CRAWL_HEADERS                   folder with request headers for the hosts that the job names, a file each (none)
  CRAWL_STORE_CREDENTIALS         folder with the options of the job's store, a file each (none)
  CRAWL_EXTRACT_TIMEOUT_SECONDS   time limit of reading one page (20)
  CRAWL_EXTRACT_MEMORY_BYTES      memory of one extraction process (1 GiB, or what the container has for it)
  CRAWL_EXTRACT_PROCESSES         extraction processes at most, no more than cores and than memory is for (2)
  CRAWL_GRACE_SECONDS             from SIGTERM until all must be handed over (22)
  CRAWL_MEMORY_LIMIT_BYTES        the crawl stops at 85 % of it (0: of the container's limit)
  CRAWL_CHECKPOINT_SECONDS        how long a result may be on this disk alone (10)
  CRAWL_MIN_HANDOVER_SECONDS      how long to wait for the operator at least (60)

An assignment such as

  {"namespace": "default", "name": "example", "uid": "1", "attempt": 1, "type": "Single",
   "single": {"url": "https://example.com/"}, "timeoutSeconds": 60, "maxConcurrency": 10,
   "userAgent": "crawl-operator", "inlineLimitBytes": 65536, "reportUrl": "http://127.0.0.1:8081"}

fetches one page. Certificates are checked against the system's authorities, or those in SSL_CERT_FILE.

exit codes:
  0    at least one page was crawled and the attempt ran to its end
  1    the attempt failed; the termination message says why
  2    the configuration is wrong; every error is printed
  143  told to stop by SIGTERM or SIGINT; what was done is stored
"""


def main() -> int:
    """Run the worker; return its exit code."""
    started = time.monotonic()
    parser = argparse.ArgumentParser(
        prog="python -m crawl_worker", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--catalogue", action="store_true", help="list the custom processors as JSON, and exit")
    options = parser.parse_args()
    if options.catalogue:
        sys.stdout.write(json.dumps(catalogue(), indent=2) + "\n")
        return EXIT_OK
    block_signals()
    logs.configure()
    try:
        settings, job, networks = load()
    except ConfigurationError as error:
        for problem in error.problems:
            sys.stderr.write(f"crawl_worker: {problem}\n")
        if path := os.environ.get(ENV_TERMINATION_LOG):
            failure = AttemptFailure(code="InvalidConfiguration", cause=Cause.PERMANENT, message=str(error))
            leave(Path(path), Outcome(total=0, succeeded=0, failed=0, failure=failure))
        return EXIT_MISCONFIGURED
    return run(settings, job, networks, started, options.health_port)


class AttemptWorker(BaseWorker):
    """A worker whose one batch is the attempt of one job.

    Args:
        attempt: to run.
        job: its assignment.
        grace: seconds that the attempt gets when it is to stop.
    """

    def __init__(self, attempt: Attempt, job: Assignment, grace: float) -> None:
        super().__init__(f"{job.namespace}/{job.name}", Pace(grace=grace))
        self.outcome: Outcome | None = None
        self._attempt = attempt
        self._job = job

    async def on_startup(self) -> None:
        """Say what begins."""
        job = self._job
        told = {"job": self.name, "attempt": job.attempt, "type": job.type, "urls": len(job.urls)}
        _LOG.info("attempt started", extra=told)

    async def process_batch(self) -> int:
        """Run the attempt; return how many pages it brought."""
        self.outcome = await self._attempt.run()
        return self.outcome.succeeded

    def stop(self) -> None:
        """Have the attempt hand over what it has."""
        self._attempt.interrupt()
        super().stop()


def run(
    settings: WorkerSettings, job: Assignment, networks: tuple[Network, ...], started: float, health_port: int | None
) -> int:
    """Run the attempt on Scrapy's event loop; return the exit code."""
    install_reactor(REACTOR)
    from twisted.internet import reactor  # noqa: PLC0415 (importing it would install another one)

    loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop  # noqa: SLF001 (Twisted offers no other way to it)
    grace = settings.grace_seconds + FAREWELL_SECONDS
    watchdog = Watchdog(
        started + job.timeout_seconds + OVERTIME_SECONDS,
        grace,
        on_signal=lambda: _stop(loop, attempt, worker),
        on_expiry=lambda: _last_resort(settings.termination_log, attempt, job.timeout_seconds),
    )
    attempt = Attempt(settings, job, networks, started, watchdog)
    worker = AttemptWorker(attempt, job, 2 * grace)  # the watchdog comes first, and knows more to say
    watchdog.start()
    reactor.startRunning(installSignalHandlers=False)

    async def serve() -> None:
        async with HealthServer(worker.state, health_port):
            await worker.run(once=True)

    problem: BaseException | None = None
    try:
        loop.run_until_complete(serve())
    except BaseException as error:  # noqa: BLE001 (even then the pod must leave word)
        _LOG.exception("the worker broke")
        problem = error
    outcome = worker.outcome or attempt.tally.outcome(crash(problem or RuntimeError("it came to no outcome")))
    leave(settings.termination_log, outcome)
    _LOG.info(
        "attempt ended",
        extra={
            "succeeded": outcome.succeeded,
            "failed": outcome.failed,
            "failure": outcome.failure.code if outcome.failure else "none",
            "seconds": round(time.monotonic() - started, 3),
        },
    )
    return exit_code(outcome)


def exit_code(outcome: Outcome) -> int:
    """Return the exit code that says the same."""
    if outcome.failure is None:
        return EXIT_OK
    return EXIT_INTERRUPTED if outcome.failure.code == "Interrupted" else EXIT_FAILED


def leave(path: Path, outcome: Outcome) -> None:
    """Write the termination message; a disk that takes none must not keep the process from ending."""
    try:
        path.write_text(outcome.termination_message(), encoding="utf-8")
    except OSError as error:
        _LOG.error("the termination message cannot be written", extra={"path": path, "error": error.strerror})


def _stop(loop: asyncio.AbstractEventLoop, attempt: Attempt, worker: AttemptWorker) -> None:
    attempt.interrupted = True  # for the last resort: the loop may never get to the next line's call
    loop.call_soon_threadsafe(worker.stop)


def _last_resort(path: Path, attempt: Attempt, timeout_seconds: int) -> None:
    """End the process from the watchdog's thread, with the outcome as far as it is known."""
    ending = Ending.INTERRUPTED if attempt.interrupted else Ending.TIMED_OUT
    outcome = attempt.tally.outcome(attempt.tally.judge(ending, timeout_seconds))
    _LOG.error("the worker is stuck and ends itself")
    leave(path, outcome)
    end(exit_code(outcome))


def end(code: int) -> Any:
    """End the process now: a look-up thread that waits for a dead name server must not hold up the pod."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    end(main())
