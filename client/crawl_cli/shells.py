"""What shells and kubectl need to complete commands, flags and live names."""

import os
import sys
from typing import Final

from crawl_cli import complete
from crawl_cli.exits import Refused

SHELLS: Final = ("bash", "zsh")
_PROGRAM: Final = "crawl-operator"
"""kubectl completes `kubectl crawl` by itself."""

_NO_FILES: Final = ":4"
"""The directive by which a plug-in tells kubectl to offer no files beside what it says."""


def script(shell: str) -> str:
    """Return what a shell is to read.

    Raises:
        Refused: the shell is not known.
    """
    from typer._completion_shared import get_completion_script

    if shell not in SHELLS:
        raise Refused(f"{shell} is none of {', '.join(SHELLS)}")
    return get_completion_script(prog_name=_PROGRAM, complete_var="_CRAWL_OPERATOR_COMPLETE", shell=shell)


def for_kubectl() -> None:
    """Answer kubectl, which asks `kubectl_complete-crawl` with the words after `kubectl crawl`."""
    words = sys.argv[1:]
    complete.take_line(words)
    for value, meaning in offers(words):
        sys.stdout.write(f"{value}\t{meaning}\n" if meaning else f"{value}\n")
    sys.stdout.write(f"{_NO_FILES}\n")
    sys.stdout.flush()
    os._exit(0)  # a look-up that is still on its way must not hold up the shell


def offers(words: list[str]) -> list[tuple[str, str]]:
    """Return what could stand in place of the last word, and what it means."""
    import typer
    from typer._completion_classes import BashComplete

    from crawl_cli.__main__ import application

    *before, last = words or [""]
    found = BashComplete(typer.main.get_command(application()), {}, "kubectl crawl", "").get_completions(before, last)
    return [(str(each.value), str(each.help or "").partition("\n")[0]) for each in found]
