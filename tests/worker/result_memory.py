"""Writes the result of a ledger; prints its size and how much memory that took beyond what was held before, in bytes.

A program of its own, given the ledger's folder and the options: what a process has held at most is never less than what
anything that ran in it before has held.
"""

import json
import re
import sys
from contextlib import closing
from pathlib import Path

from crawl_api.output import OutputOptions
from crawl_worker.ledger import Ledger
from crawl_worker.output.forms import content


def peak() -> int:
    """Return the most that this program has held, in bytes; getrusage would count what it was forked from."""
    (kibibytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kibibytes) << 10


def main(directory: Path, options: OutputOptions) -> dict[str, int]:
    with closing(Ledger(directory, "job")) as ledger:
        before = peak()
        size = sum(map(len, content(ledger, options, directory)()))
        return {"size": size, "grown": peak() - before}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), OutputOptions.model_validate_json(sys.argv[2]))))
