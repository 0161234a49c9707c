"""`make demo`: a tour from an empty machine to finished crawls; `make demo-down` ends one that was kept."""

import argparse
import os
import signal
import sys
from types import FrameType
from typing import Final, NoReturn

from demo import stage
from demo.screen import Screen
from demo.site import DEFAULT_PORT
from demo.stage import DemoError
from demo.tour import Tour
from local_cluster import LocalClusterError

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the demo, or end a kept one; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("action", nargs="?", choices=("run", "down"), default="run")
    parser.add_argument(
        "--keep", action="store_true", default=os.environ.get("KEEP", "") not in {"", "0"}, help="leave all running"
    )
    parser.add_argument(
        "--site-port",
        type=int,
        default=os.environ.get("SITE_PORT") or DEFAULT_PORT,
        help="port of the site on loopback, 0 for any free one (default: %(default)s)",
    )
    options = parser.parse_args()
    screen = Screen()
    for number in _ENDING:
        signal.signal(number, _end)
    try:
        if options.action == "down":
            screen.say("The demo has ended." if stage.end_kept() else "No demo is running.")
        else:
            _run(screen, options.site_port, keep=options.keep)
    except (DemoError, LocalClusterError) as error:
        screen.say("\n".join([f"demo: error: {error}", *getattr(error, "__notes__", [])]), "red")
        return 1
    except _Interruption as interruption:
        screen.say("\nInterrupted: everything the demo had started has been ended.")
        return 128 + interruption.number
    return 0


def _run(screen: Screen, site_port: int, *, keep: bool) -> None:
    screen.say("A tour of crawl-operator, on real parts and on this machine alone.\n", "bold")
    with stage.running(site_port, screen.step) as running:
        tour = Tour(running, screen)
        tour.run()
        tour.next_steps(kept=keep)
        screen.say()
        if keep:
            running.keep()
    screen.say("Everything is still running, in the background." if keep else "Everything has been ended and removed.")


class _Interruption(KeyboardInterrupt):
    """A signal asked the demo to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _end(number: int, frame: FrameType | None) -> NoReturn:
    for other in _ENDING:
        signal.signal(other, signal.SIG_IGN)  # ending takes a moment, and must not be left half done
    raise _Interruption(number)


if __name__ == "__main__":
    sys.exit(main())
